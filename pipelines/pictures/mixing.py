"""Two structures in one picture, each from a prompt of its own, within an unchanged `FluxPipeline`.

Where a prompt joins two structures, the transformer is asked for the velocity of each alone, and they are mixed: side
by side where one grades into the other, everywhere and with that of the whole prompt where one lies over the other. A
small painter draws two structures so far more plainly than from one prompt that names both. Knows tensors; not what
prompts say: the text encoder tells the structures apart, if it can.

Source: Bar-Tal et al., "MultiDiffusion" (2023); Liu et al., "Composable diffusion" (2022).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

Encoded = tuple["torch.Tensor", "torch.Tensor"]
"""States (1, tokens, width) and pooled vector (1, width) of a prompt."""

BAND = 0.28
"""Share of the picture's width over which the left structure gives way to the right one, as in drawn gradings."""
WHOLE = 0.4
"""What the whole prompt's velocity weighs where one structure lies over the other; each alone has half of the rest."""


@dataclass(frozen=True)
class Mix:
    """Prompts that make one picture together: the structures alone, and before them the whole unless they are sides."""

    parts: tuple[Encoded, ...]
    sides: bool

    def weights(self, across: torch.Tensor) -> torch.Tensor:
        """What each part's velocity weighs at places so far from the left edge, -0.5 to 0.5: (parts, places)."""
        import torch

        if self.sides:
            left = (0.5 - across / BAND).clamp(0, 1)
            return torch.stack([left, 1 - left])
        shares = torch.tensor([WHOLE, (1 - WHOLE) / 2, (1 - WHOLE) / 2], device=across.device)
        return shares[:, None].expand(-1, len(across))


def mix_of(pipe: Any, prompt: str, whole: Encoded) -> Mix | None:
    """What a prompt that joins two structures is painted from, if the pipeline's encoder tells them apart.

    Args:
        pipe: A `FluxPipeline`.
        prompt: The prompt.
        whole: The same, encoded.
    """
    tell = getattr(pipe.text_encoder, "structures", None)
    if tell is None:
        return None
    ids = pipe.tokenizer(prompt, padding="max_length", truncation=True, return_tensors="pt").input_ids
    found = tell(ids.to(pipe.text_encoder.device))
    if found is None:
        return None
    alone = tuple((read.last_hidden_state, read.pooler_output) for read in map(pipe.text_encoder, found.alone))
    return Mix(alone if found.graded else (whole, *alone), found.graded)


@contextmanager
def mixing(transformer: Any, pooled: torch.Tensor, mixes: Sequence[Mix | None]) -> Iterator[None]:
    """While inside, the rows that have a mix are painted from its parts instead of from their prompt.

    Args:
        transformer: A pipeline's `FluxTransformer2DModel`.
        pooled: The prompts' pooled vectors, (n, width), by which a pass on them is told from one without a prompt.
        mixes: Each row's, if it has one.
    """
    import torch

    if not any(mixes):
        yield
        return
    counts = [len(mix.parts) if mix else 1 for mix in mixes]
    rows = [row for row, count in enumerate(counts) for _ in range(count)]
    columns: list[torch.Tensor] = []

    def split(_module: Any, args: Any, given: dict[str, Any]) -> tuple[Any, dict[str, Any]] | None:
        columns.clear()
        if given["pooled_projections"].shape != pooled.shape or not torch.equal(given["pooled_projections"], pooled):
            return None
        columns.append(given["img_ids"][..., -1].float())
        given, states = dict(given), given["encoder_hidden_states"]
        own = [((states[row : row + 1], pooled[row : row + 1]),) for row in range(len(mixes))]
        parts = [part for mix, text in zip(mixes, own, strict=True) for part in (mix.parts if mix else text)]
        for name in ("hidden_states", "timestep", "guidance"):
            if given.get(name) is not None:
                given[name] = given[name][rows]
        given["encoder_hidden_states"] = torch.cat([one for one, _ in parts])
        given["pooled_projections"] = torch.cat([one for _, one in parts])
        return args, given

    def join(_module: Any, _args: Any, answer: Any) -> Any:
        if not columns:
            return None
        across = (columns[0] + 0.5) / (columns[0].max() + 1) - 0.5
        mixed = []
        for mix, velocities in zip(mixes, answer[0].split(counts), strict=True):
            shares = mix.weights(across).to(velocities.dtype) if mix else None
            mixed.append(velocities[0] if shares is None else (shares[..., None] * velocities).sum(0))
        return (torch.stack(mixed), *answer[1:])

    hooks = transformer.register_forward_pre_hook(split, with_kwargs=True), transformer.register_forward_hook(join)
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
