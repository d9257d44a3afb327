"""Reads a prompt for a small painter: which structures, colours and attributes it asks for, and what it does not know.

Every token is told apart (of a structure, of what joins two, of a colour and so on) by MiniLM with a low-rank change of
its layers. The words of a structure are then read alone, twice: by the changed MiniLM with a classifier, and by the
unchanged one's neighbourhood among wordings that are known, of families and of what is none. Both opinions count alike.
Knows token ids and states; what the painter draws is in its file.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from torch.nn import functional
from transformers import BertModel

from models.encoders.wishes import FIELDS, READER, Names, Reading, Structure
from workspace.errors import DataError, one_line

REST, FIRST, SECOND, STRANGE, JOINS = 0, 1, 2, 3, 4
"""What a tag says of a token: nothing, of the first structure, of the second, of a colour that the painter has not;
from 4 on: of a join by number, then of the values of `FIELDS` in their order."""
SHARPNESS = 12.0
"""What a sentence vector of length one is multiplied by before it is classified."""
NEAR, NEAREST = 24.0, 30
"""How sharply likeness counts among known wordings, and how many of the likest do."""
SURE = 0.9
"""How likely words must join two structures where the painter does not know one of these, but knows both as one."""
TARGETS = ("query", "key", "value", "dense")
"""The layers of MiniLM that are changed."""

_WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"
_EMBEDDER = "time_text_embed.text_embedder."


class Reader:
    """What reads prompts for one painter, in float32 on the CPU whatever the painter is.

    Args:
        base: MiniLM as it is.
        tokenizer: Its tokenizer.
        names: The painter's own names.
        weights: ``NAME.up`` and ``NAME.down`` of the changed layers, ``tags.weight`` and ``.bias`` (tags, hidden),
            ``families.*`` (families + 1, hidden), ``basis`` (2 x hidden, width), ``known`` (wordings, width),
            ``labels`` (wordings), ``vectors`` (columns of a wish, width of the embedder's answers), ``unknown`` (1),
            the chance of being no family from which on words count as unknown.
        embedder: The painter's text embedder, pooled vectors (n, hidden) to (n, width).

    Raises:
        ValueError: They do not belong together.
    """

    def __init__(
        self, base: Any, tokenizer: Any, names: Names, weights: dict[str, torch.Tensor], embedder: nn.Sequential
    ) -> None:
        weights = {name: one.float() for name, one in weights.items()}
        self.base, self.tokenizer, self.names, self.embedder = base, tokenizer, names, embedder
        self.own = changed(base, weights)
        self.tags, self.families = (_linear(weights, name) for name in ("tags", "families"))
        self.basis, self.vectors, self.unknown = (weights[name] for name in ("basis", "vectors", "unknown"))
        self.known, self.labels = functional.normalize(weights["known"], dim=1), weights["labels"].long()
        if len(self.tags.weight) != JOINS + len(names.joins) + sum(len(names.fields[name]) for name in FIELDS):
            raise ValueError("its tags are not those of its names")
        if self.vectors.shape != (len(names.row(Reading())), embedder[2].out_features):
            raise ValueError("its vectors are of another painter")

    def words(self, ids: torch.Tensor) -> str:
        """The text of token ids."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True))

    def untriggered(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """A prompt's mark at the start with an adapter's trigger behind it, ``<...>``, and the prompt without that."""
        opens, closes = self.tokenizer.convert_tokens_to_ids(["<", ">"])
        ends = (ids == closes).nonzero()
        if len(ids) < 2 or ids[1] != opens or opens == closes or not len(ends):
            return ids[:1], ids
        stop = int(ends[0]) + 1
        return ids[:stop], torch.cat([ids[:1], ids[stop:]])

    def read(self, ids: torch.Tensor) -> Reading:
        """Read a prompt.

        Args:
            ids: Token ids, with their marks at start and end and without padding, (tokens,).
        """
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            return self._read(ids.cpu())

    def _read(self, ids: torch.Tensor) -> Reading:
        inner = ids[1:-1]
        if not len(inner) or (exact := self.names.read(self.words(inner))) is not None:
            return exact if len(inner) and exact else Reading()
        scores = self._scores(ids)
        tags, keys = scores.argmax(-1), list(self.names.joins)
        said = self._said(scores, tags)
        named = (tags == FIRST) | (tags == SECOND)
        whole = [inner[named]] if named.any() else [] if said else [inner]
        found, join = tuple(self._structure(ids, span) for span in whole), None
        joins = (tags >= JOINS) & (tags < JOINS + len(keys))
        if spans := _parted(inner, tags, joins):
            two = tuple(self._structure(ids, span) for span in spans)
            chance = scores[:, JOINS : JOINS + len(keys)].sum(1).max()
            sure = all(one.known for one in two) or not found[0].known or chance > SURE
            if two[0].family != two[1].family and sure:
                found, join = two, keys[int(scores[joins][:, JOINS : JOINS + len(keys)].sum(0).argmax())]
        return Reading(found, join, said, self.words(inner[tags == STRANGE]))

    def pooled(self, reading: Reading) -> torch.Tensor:
        """A vector (hidden,) that the painter's embedder answers with a reading's sum of vectors."""
        with torch.autocast("cpu", enabled=False):
            return answering(self.embedder, torch.tensor([self.names.row(reading)]) @ self.vectors)[0]

    def _scores(self, ids: torch.Tensor) -> torch.Tensor:
        """Chances of every tag for every token but the marks, (tokens, tags); the pieces of a word have the same."""
        scores = self.tags(states(self.own, ids[None])[0]).log_softmax(-1)[1:-1]
        pieces = self.tokenizer.convert_ids_to_tokens(ids[1:-1])
        words = torch.tensor([not piece.startswith("##") for piece in pieces]).cumsum(0)
        words = words - words[0]
        sums = torch.zeros(int(words[-1]) + 1, scores.shape[1]).index_add_(0, words, scores)
        return torch.as_tensor((sums / words.bincount()[:, None]).softmax(-1)[words])

    def _said(self, scores: torch.Tensor, tags: torch.Tensor) -> dict[str, str]:
        """The likeliest value of every field of which a token is said to be."""
        start, said = JOINS + len(self.names.joins), dict[str, str]()
        for name in FIELDS:
            values = list(self.names.fields[name])
            here = (tags >= start) & (tags < start + len(values))
            if name == "palette":
                here = here | (tags == STRANGE)
            if here.any():
                said[name] = values[int(scores[here, start : start + len(values)].sum(0).argmax())]
            start += len(values)
        return said

    def _structure(self, ids: torch.Tensor, span: torch.Tensor) -> Structure:
        chances = self.opinions(torch.cat([ids[:1], span, ids[-1:]])[None]).mean(0)[0]
        families = chances[:-1] / chances[:-1].sum().clamp(min=1e-9)
        best = int(families.argmax())
        return Structure(
            self.words(span), list(self.names.families)[best], bool(chances[-1] < self.unknown), float(families[best])
        )

    @torch.no_grad()
    def opinions(self, ids: torch.Tensor) -> torch.Tensor:
        """What either reading makes of a structure's words alone: chances of (2, 1, families + 1), the last of none."""
        first = self.families(SHARPNESS * functional.normalize(states(self.own, ids).mean(1), dim=1)).softmax(1)
        embedded = self.base.embeddings(input_ids=ids).mean(1)
        place = placed(embedded, states(self.base, ids).mean(1), self.basis)
        return torch.stack([first, neighbourhood(place, self.known, self.labels, first.shape[1])])


def _parted(ids: torch.Tensor, tags: torch.Tensor, joins: torch.Tensor) -> list[torch.Tensor]:
    """The words of two structures, by their tags, or else before and behind what joins them; none of one structure."""
    spans = [ids[tags == which] for which in (FIRST, SECOND)]
    if not joins.any():
        return []
    if all(len(span) for span in spans):
        return spans
    named = (tags == FIRST) | (tags == SECOND)
    places = torch.arange(len(ids))
    for place in places[joins].tolist():
        spans = [ids[named & (places < place)], ids[named & (places > place)]]
        if all(len(span) for span in spans):
            return spans
    return []


def states(minilm: Any, ids: torch.Tensor) -> torch.Tensor:
    """A MiniLM's states (1, tokens, hidden) of ids without padding, (1, tokens)."""
    return torch.as_tensor(BertModel.forward(minilm, ids, attention_mask=torch.ones_like(ids)).last_hidden_state)


def placed(embedded: torch.Tensor, states: torch.Tensor, basis: torch.Tensor) -> torch.Tensor:
    """Where words lie among the known ones: means of embeddings and states (n, hidden) to (n, width), length one."""
    both = torch.cat([functional.normalize(embedded, dim=1), functional.normalize(states, dim=1)], dim=1)
    return functional.normalize(both @ basis, dim=1)


def neighbourhood(place: torch.Tensor, known: torch.Tensor, labels: torch.Tensor, kinds: int) -> torch.Tensor:
    """Chances of every kind, (n, kinds), by the labels of the likest known wordings."""
    likeness, which = (place @ known.T).topk(min(NEAREST, len(known)))
    votes = torch.zeros(len(place), kinds, device=place.device)
    votes.scatter_add_(1, labels.long()[which], (NEAR * (likeness - likeness[:, :1])).exp())
    return votes / votes.sum(1, keepdim=True)


@torch.no_grad()
def answering(embedder: nn.Sequential, goals: torch.Tensor, rounds: int = 12) -> torch.Tensor:
    """Vectors (n, hidden) that an embedder answers with ``goals`` (n, width), by damped least squares.

    Source: Levenberg (1944) and Marquardt (1963).
    """
    found = torch.zeros(len(goals), cast("nn.Linear", embedder[0]).in_features)
    damping = goals.new_full((len(goals), 1), 1e-2)
    fault = embedder(found) - goals
    for _ in range(rounds):
        inner = embedder[0](found)
        gate = inner.sigmoid()
        slope = (embedder[2].weight * (gate * (1 + inner * (1 - gate)))[:, None]) @ embedder[0].weight
        square = slope @ slope.mT
        size = square.diagonal(dim1=1, dim2=2)
        size += damping * size.mean(1, keepdim=True)
        moved = found - (slope.mT @ torch.linalg.solve(square, fault[..., None]))[..., 0]
        left = embedder(moved) - goals
        better = left.square().sum(1, keepdim=True) < fault.square().sum(1, keepdim=True)
        found, fault = torch.where(better, moved, found), torch.where(better, left, fault)
        damping = torch.where(better, damping / 3, damping * 4)
    return torch.as_tensor(found)


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


def load_reader(painter: Path, base: Any, tokenizer: Any) -> Reader:
    """The reader in a painter's folder, for use.

    Args:
        painter: Its folder.
        base: MiniLM in float32, which stays as it is.
        tokenizer: Its tokenizer.

    Raises:
        DataError: It cannot be read, or is of another shape than MiniLM or the painter.
    """
    file, embedder = painter / READER, embedder_of(painter)
    try:
        with safe_open(file, framework="pt") as opened:
            names = Names.of((opened.metadata() or {})["names"])
            weights = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - not a mapping
        return Reader(base, tokenizer, names, weights, embedder)
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError, SafetensorError) as fault:
        raise DataError(f"cannot read the reader {file}: {one_line(fault)}") from None


@torch.no_grad()
def changed(encoder: Any, weights: dict[str, torch.Tensor]) -> Any:
    """A MiniLM with the changes ``NAME.up`` (out, rank) and ``NAME.down`` (rank, in) added to its layers' weights."""
    shared = encoder.embeddings
    encoder.embeddings = None
    try:
        own = copy.deepcopy(encoder)
    finally:
        encoder.embeddings = shared
    own.embeddings = shared
    own.requires_grad_(False)
    for name in weights:
        if name.endswith(".up"):
            layer = own.get_submodule(name.removesuffix(".up"))
            layer.weight += weights[name] @ weights[name.removesuffix("up") + "down"]
    return own


def _linear(weights: dict[str, torch.Tensor], name: str) -> nn.Linear:
    weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer.requires_grad_(False)
