"""Rows of a common stem and many branches, so that a language model reads what they share once.

A branch attends to the stem and to itself, and its places go on from the stem's end: its loss is that of the stem and
the branch alone. Knows tokens; not what they say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional
from transformers import AttentionInterface

Piece = tuple[Sequence[int], bool]
"""Tokens, and whether they are learned."""


@dataclass(frozen=True)
class Tree:
    """A stem's tokens and its branches; each branch is pieces of which some are learned."""

    stem: Sequence[int]
    branches: Sequence[Sequence[Piece]]


@dataclass(frozen=True)
class Laid:
    """A tree as one sequence of T tokens.

    Attributes:
        ids: (1, T).
        places: (1, T), a branch's going on from the stem's end.
        sight: (1, 1, T, T), true where a token (row) attends to another (column).
        before: (n,), for every learned token the index of the token that foretells it.
        learned: (n,), the learned tokens.
        branch: (n,), the number of the branch each belongs to.
    """

    ids: torch.Tensor
    places: torch.Tensor
    sight: torch.Tensor
    before: torch.Tensor
    learned: torch.Tensor
    branch: torch.Tensor


def lay_out(tree: Tree, longest: int) -> Laid:
    """A tree as one sequence; a branch that would pass ``longest`` tokens from the stem's start is cut there."""
    ids, places, owner = list(tree.stem), list(range(len(tree.stem))), [-1] * len(tree.stem)
    before: list[int] = []
    learned: list[int] = []
    branches: list[int] = []
    for number, pieces in enumerate(tree.branches):
        last, place = len(tree.stem) - 1, len(tree.stem)
        for tokens, learns in pieces:
            for token in tokens[: max(0, longest - place)]:
                if learns:
                    before.append(last)
                    learned.append(token)
                    branches.append(number)
                last = len(ids)
                ids.append(token)
                places.append(place)
                owner.append(number)
                place += 1
    own = torch.tensor(owner)
    order = torch.arange(len(ids))
    sight = ((own[None] == own[:, None]) | (own[None] == -1)) & (order[None] <= order[:, None])
    return Laid(
        torch.tensor([ids]),
        torch.tensor([places]),
        sight[None, None],
        torch.tensor(before),
        torch.tensor(learned),
        torch.tensor(branches),
    )


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor,
    scaling: float,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Grouped attention in the model's own precision: on a CPU, with a backward pass, a third faster than the usual."""
    _, heads, tokens, width = query.shape
    groups = key.shape[1]
    scaled = (query * scaling).reshape(groups, -1, width)
    near = torch.bmm(scaled, key[0].transpose(1, 2)).view(groups, -1, tokens, tokens) + attention_mask[0]
    seen = torch.bmm(near.softmax(-1).view(groups, -1, tokens), value[0])
    return seen.view(1, heads, tokens, width).transpose(1, 2).contiguous(), None


AttentionInterface.register("studio-branches", attend)


def log_likelihoods(model: Any, laid: Laid, seen: torch.Tensor | None = None) -> torch.Tensor:
    """The log-probability of every learned token, (n,).

    Args:
        model: A causal language model with ``attn_implementation="studio-branches"``, or such a model under peft.
        laid: The tree.
        seen: States that stand for the first tokens of the stem, (tokens, width): a picture's.
    """
    body = model.get_base_model() if hasattr(model, "get_base_model") else model
    mask = torch.zeros(laid.sight.shape, dtype=body.dtype).masked_fill(~laid.sight, torch.finfo(body.dtype).min)
    words = body.model.embed_tokens(laid.ids)
    if seen is not None:
        words = torch.cat([seen[None].to(words.dtype), words[:, len(seen) :]], dim=1)
    states = body.model(
        inputs_embeds=words, position_ids=laid.places, attention_mask=mask, use_cache=False
    ).last_hidden_state
    logits = body.lm_head(states[0, laid.before]).float()
    return -functional.cross_entropy(logits, laid.learned, reduction="none")
