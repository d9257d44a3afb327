"""Reads the two structures of a prompt apart: "A laid over B, gold on black" as "A, gold on black", "B, gold on black".

MiniLM reads one structure well in words that nobody taught it, and blurs two. A tagger finds in its token states where
either stands; each is then read alone and taken for the family it is most like, and the pooled vector becomes the one
that the painter's own text embedder answers with the sum of both. Knows token ids and states; not what a structure is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn

from workspace.errors import DataError, one_line

CLAUSES = "clauses.safetensors"
"""Where a painter's folder keeps them, if it has them."""
FIRST_SHARE = 0.6
"""Of two structures, the upper or left one's part in what the embedder is to answer."""
REST, FIRST, SECOND, JOINS = 0, 1, 2, 3
"""What a tag says of a token: none of these, in the first structure, in the second; from 3 on: of a join, by number."""
INTO = 1
"""The number of the join that lets one structure, on the left, grade into another."""

_WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"
_EMBEDDER = "time_text_embed.text_embedder."


class Tagger(nn.Module):
    """MiniLM's token states (n, tokens, hidden) to scores of every tag (n, tokens, 3 + joins)."""

    def __init__(self, hidden: int = 384, width: int = 96, joins: int = 2) -> None:
        super().__init__()
        self.near = nn.Conv1d(hidden, width, 3, padding=1)
        self.wide = nn.Conv1d(width, width, 5, padding=8, dilation=4)
        self.out = nn.Linear(width, JOINS + joins)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Tag a batch."""
        near = nn.functional.gelu(self.near(states.transpose(1, 2)))
        wide = near + nn.functional.gelu(self.wide(near))
        return torch.as_tensor(self.out(wide.transpose(1, 2)))


class Clauses(nn.Module):
    """What reads clauses apart for one painter.

    Args:
        tagger: Finds them.
        families: The embedder's vector for each family, (families, width).
        others: Its vectors for all else that a prompt names, (others, width); the last are of the joins.
        embedder: The painter's text embedder, pooled vectors (n, hidden) to (n, width).
    """

    def __init__(self, tagger: Tagger, families: torch.Tensor, others: torch.Tensor, embedder: nn.Sequential) -> None:
        super().__init__()
        self.tagger, self.embedder = tagger, embedder
        self.families, self.joins = nn.Buffer(families), nn.Buffer(others[JOINS - tagger.out.out_features :])
        self.shares = nn.Buffer(torch.linalg.pinv(torch.cat([families, others]))[:, : len(families)])

    def apart(
        self,
        ids: torch.Tensor,
        states: torch.Tensor,
        pooled: torch.Tensor,
        read: Callable[[torch.Tensor], torch.Tensor],
    ) -> torch.Tensor:
        """Pooled vectors in which one structure is one and two are two; of prompts without any they stay as they are.

        Args:
            ids: Token ids, padded with 0, (n, tokens).
            states: MiniLM's states of them, (n, tokens, hidden), zero at padding.
            pooled: What is read of the whole, (n, hidden).
            read: Gives the pooled vectors of other ids.
        """
        scores = self.tagger(states.float())
        scores[ids == 0] = 0.0
        tags = scores.argmax(-1)
        made = pooled.clone()
        for row in range(len(ids)):
            one = tags[row]
            if not (one == FIRST).any():
                continue  # it names no structure
            goal = self.plain(self.embedder(pooled[row].float()))
            if found := self._two(ids[row], scores[row]):
                alone, join = found
                answers = [self.plain(self.embedder(read(part[None]).float())[0]) for part in alone]
                if not torch.equal(*((part @ self.shares).argmax() for part in answers)):  # else one, in many words
                    goal = FIRST_SHARE * answers[0] + (1 - FIRST_SHARE) * answers[1] + self.joins[join]
            made[row] = self.answering(goal, pooled[row].float()).to(pooled.dtype)
        return made

    def structures(
        self, ids: torch.Tensor, states: torch.Tensor, read: Callable[[torch.Tensor], torch.Tensor]
    ) -> tuple[tuple[torch.Tensor, torch.Tensor], int] | None:
        """The ids of each of a prompt's two structures, with all that applies to both, and the number of their join.

        None if it names one structure, or the same one twice.

        Args:
            ids: Token ids of one prompt, padded with 0, (tokens,).
            states: MiniLM's states of them, (tokens, hidden), zero at padding.
            read: Gives the pooled vectors of other ids.
        """
        scores = self.tagger(states[None].float())[0]
        scores[ids == 0] = 0.0
        found = self._two(ids, scores)
        if found is None:
            return None
        families = [(self.embedder(read(part[None]).float())[0] @ self.shares).argmax() for part in found[0]]
        return None if torch.equal(*families) else found

    def _two(self, ids: torch.Tensor, scores: torch.Tensor) -> tuple[tuple[torch.Tensor, torch.Tensor], int] | None:
        """The ids of each of two structures with all that applies to both, and the number of their join."""
        tags = scores.argmax(-1)
        if not all(((tags == FIRST).any(), (tags == SECOND).any(), (tags >= JOINS).any())):
            return None
        first, second = (ids[((tags == REST) | (tags == which)) & (ids != 0)] for which in (FIRST, SECOND))
        return (first, second), int(scores[tags >= JOINS, JOINS:].sum(0).argmax())

    def plain(self, answer: torch.Tensor) -> torch.Tensor:
        """The embedder's answer to one structure (width,) with the likeliest family alone in it."""
        shares = answer @ self.shares
        return answer + (nn.functional.one_hot(shares.argmax(), len(shares)) - shares) @ self.families

    def answering(self, goal: torch.Tensor, start: torch.Tensor, rounds: int = 12) -> torch.Tensor:
        """A vector that the embedder answers with ``goal``, by damped least squares (Levenberg and Marquardt)."""
        with torch.no_grad():
            found, damping = start.clone(), 1e-2
            fault = self.embedder(found) - goal
            for _ in range(rounds):
                inner = self.embedder[0](found)
                gate = inner.sigmoid()
                slope = (self.embedder[2].weight * (gate * (1 + inner * (1 - gate)))) @ self.embedder[0].weight
                square = slope @ slope.T
                square.diagonal().add_(damping * square.diagonal().mean())
                moved = found - slope.T @ torch.linalg.solve(square, fault)
                left = self.embedder(moved) - goal
                if left.square().sum() < fault.square().sum():
                    found, fault, damping = moved, left, damping / 3
                else:
                    damping *= 4
            return found


def embedder_of(painter: Path) -> nn.Sequential:
    """The text embedder of a painter's transformer, float32.

    Raises:
        DataError: Its weights cannot be read.
    """
    try:
        with safe_open(painter / _WEIGHTS, framework="pt") as file:
            parts = {
                name: file.get_tensor(f"{_EMBEDDER}{name}").float()
                for name in ("linear_1.weight", "linear_1.bias", "linear_2.weight", "linear_2.bias")
            }
    except (OSError, SafetensorError) as fault:
        raise DataError(f"cannot read the text embedder of {painter}: {one_line(fault)}") from None
    layers = [nn.Linear(*reversed(parts[f"{name}.weight"].shape)) for name in ("linear_1", "linear_2")]
    for layer, name in zip(layers, ("linear_1", "linear_2"), strict=True):
        layer.load_state_dict({"weight": parts[f"{name}.weight"], "bias": parts[f"{name}.bias"]})
    return nn.Sequential(layers[0], nn.SiLU(), layers[1]).requires_grad_(False)


def load_clauses(painter: Path) -> Clauses:
    """What reads clauses apart in a painter's folder, float32.

    Raises:
        DataError: It cannot be read, or is of another shape than the painter.
    """
    embedder = embedder_of(painter)
    try:
        weights = {name: one.float() for name, one in load_file(painter / CLAUSES).items()}
        families, others = weights.pop("families"), weights.pop("others")
        width, hidden, _ = weights["near.weight"].shape
        tagger = Tagger(hidden, width, len(weights["out.weight"]) - JOINS)
        tagger.load_state_dict(weights)
    except (OSError, KeyError, RuntimeError, ValueError, SafetensorError) as fault:
        raise DataError(f"cannot read {painter / CLAUSES}: {one_line(fault)}") from None
    if {families.shape[1], others.shape[1]} != {embedder[2].out_features} or hidden != embedder[0].in_features:
        raise DataError(f"{painter / CLAUSES} belongs to another painter")
    return Clauses(tagger, families, others, embedder).eval().requires_grad_(False)
