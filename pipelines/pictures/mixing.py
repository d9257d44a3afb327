"""Two structures in one picture, each from a prompt of its own, within an unchanged `FluxPipeline`.

A small painter draws two structures far more plainly each alone than from one prompt that names both. So each is
painted alone. Where one grades into the other, the two pictures are joined side by side, each moved so that its middle
is seen; where one lies over the other, the upper one's solid is laid over the lower one's picture, which is paler: so
are such pictures drawn that the painter learned from. Where the painter's colours are not known, velocities are mixed
instead. Knows tensors; not what prompts say: the text encoder reads them.

Source: Bar-Tal et al., "MultiDiffusion" (2023); Liu et al., "Composable diffusion" (2022).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from models.encoders.wishes import Reading

Encoded = tuple["torch.Tensor", "torch.Tensor"]
"""States (1, tokens, width) and pooled vector (1, width) of a prompt."""

BAND = 0.28
"""Share of the picture's width over which the left structure gives way to the right one, as in drawn gradings."""
SEAM = 0.2
"""The same where their pictures are joined: a blend of two pictures shows neither."""
SHIFT = 0.22
"""By how much of the width either picture is moved aside, so that the middle of each is seen."""
SIDE_SCALE = "fine"
"""At which scale structures side by side are painted, unless another is said: each has half of the room."""
GRADED = "into"
"""The join that lets one structure, on the left, grade into another."""
WHOLE = 0.4
"""What the whole prompt's velocity weighs where one structure lies over the other; each alone has half of the rest."""
BELOW = 0.5
"""How far from the ground's colour to its own the lower structure is."""
FRONT = {"density": "open", "scale": "coarse"}
"""How the upper structure is painted, so that the lower one is seen, unless something else is said."""
_EDGE = 0.35, 0.65  # of the way from ground to solid: what is below belongs to the ground, what is above to the solid
_OTHER = 1_000_003  # added to a picture's seed for the lower structure


@dataclass(frozen=True)
class Mix:
    """Prompts that make one picture together: the structures alone, and before them the whole unless they are sides.

    With ``colours``, ground and solid in 0..1, (2, 3), the structures alone are painted apart, the upper one first.
    """

    parts: tuple[Encoded, ...]
    sides: bool
    colours: torch.Tensor | None = None

    def weights(self, across: torch.Tensor) -> torch.Tensor:
        """What each part's velocity weighs at places so far from the left edge, -0.5 to 0.5: (parts, places)."""
        import torch

        if self.sides:
            left = (0.5 - across / BAND).clamp(0, 1)
            return torch.stack([left, 1 - left])
        shares = torch.tensor([WHOLE, (1 - WHOLE) / 2, (1 - WHOLE) / 2], device=across.device)
        return shares[:, None].expand(-1, len(across))


def understood(pipe: Any, short: str, long: str, length: int) -> tuple[Encoded, Reading | None, Mix | None]:
    """A prompt encoded, and what a pipeline's encoder reads in it, if it is one that reads.

    Args:
        pipe: A `FluxPipeline`.
        short: The prompt's short form, for the first encoder.
        long: Its long form, for the second; to one that reads it says what the short one leaves open.
        length: How many tokens the second reads.
    """
    encoder = pipe.text_encoder
    if getattr(encoder, "reader", None) is None:
        states, pooled, _ = pipe.encode_prompt(prompt=short, prompt_2=long, max_sequence_length=length)
        return (states, pooled), None, None
    form = {"padding": "max_length", "max_length": length, "truncation": True, "return_tensors": "pt"}
    first, second = (pipe.tokenizer(text, **form).input_ids[0].to(encoder.device) for text in (short, long))
    reading = encoder.read(first)
    if long != short:
        reading = reading.filled(
            _of_whole(encoder.read(second)) if len(reading.structures) == 2 else encoder.read(second)
        )
    whole = encoder.encoded(reading, first)
    return whole, reading, mix_of(encoder, reading, first, whole)


def _of_whole(reading: Reading) -> Reading:
    """What prose says of the whole of a picture of two structures: its "larger" and "thick" are those of single parts.

    How large and how full two are painted follows from the room that they leave each other, if nothing shorter says it.
    """
    return replace(reading, said={name: value for name, value in reading.said.items() if name not in FRONT})


def mix_of(encoder: Any, reading: Reading, ids: torch.Tensor, whole: Encoded) -> Mix | None:
    """What a prompt that joins two structures is painted from.

    Args:
        encoder: What read it, `models.encoders.minilm.MiniLMEncoder`.
        reading: What was read.
        ids: The prompt's token ids, (length,).
        whole: The same, encoded.
    """
    import torch

    if len(reading.structures) < 2:
        return None
    named = replace(reading, structures=tuple(replace(one, known=True) for one in reading.structures))
    names, graded = encoder.reader.names, reading.join == GRADED
    colours = names.colours.get(reading.said.get("palette") or names.usual.get("palette", ""))
    if colours is None:
        alone = tuple(encoder.encoded(named.alone(place), ids) for place in range(2))
        return Mix(alone if graded else (whole, *alone), graded)
    first, second = (named.alone(place) for place in range(2))
    if graded:
        first, second = (replace(one, said={"scale": SIDE_SCALE, **one.said}) for one in (first, second))
    else:
        first = replace(first, said={**FRONT, **first.said})
    parts = encoder.encoded(first, ids), encoder.encoded(second, ids)
    return Mix(parts, graded, torch.tensor(colours) / 255)


def seeds_of(seed: int, mix: Mix | None) -> tuple[int, ...]:
    """The seeds of what a picture is made of: its own, and where structures are painted apart the lower one's."""
    return (seed,) if mix is None or mix.colours is None else (seed, (seed + _OTHER) % 2**63)


def side_by_side(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """One structure on the left giving way to another on the right; of either the middle of its picture is shown.

    Args:
        left: The left one's picture, (3, height, width) in 0..1.
        right: The right one's.
    """
    import torch

    width = left.shape[-1]
    moved = round(SHIFT * width)
    across = (torch.arange(width, device=left.device) + 0.5) / width - 0.5
    share = (0.5 - across / SEAM).clamp(0, 1)
    made: torch.Tensor = left.roll(-moved, -1) * share + right.roll(moved, -1) * (1 - share)
    return made


def composed(pictures: torch.Tensor, mix: Mix | None) -> torch.Tensor:
    """One picture (3, H, W) from its own, or from those of two structures painted apart, (1 or 2, 3, H, W)."""
    if mix is None or mix.colours is None:
        return pictures[0]
    return side_by_side(*pictures) if mix.sides else laid_over(pictures[0], pictures[1], mix.colours)


def laid_over(front: torch.Tensor, below: torch.Tensor, colours: torch.Tensor) -> torch.Tensor:
    """One structure's solid over another's picture, which becomes paler.

    Args:
        front: The upper one's picture, (3, height, width) in 0..1.
        below: The lower one's.
        colours: Ground and solid, (2, 3) in 0..1.
    """
    ground, solid = (colour[:, None, None].to(front) for colour in colours)
    axis = solid - ground
    share = ((front - ground) * axis).sum(0) / axis.square().sum()
    cover = ((share - _EDGE[0]) / (_EDGE[1] - _EDGE[0])).clamp(0, 1)
    under = ground + BELOW * (below - ground)
    made: torch.Tensor = under + (front - under) * cover
    return made


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
