"""What the embedded critic learns to say: a picture's truth and a brief, which may be another picture's, to a critique.

A `Truth` is what a picture shows; a `Wanted` what it was asked to show. `critique` puts both together into the
document that the critic is asked for; `tree` lays out what of it the critic writes, as the rest follows. The checklist,
the rubric and the prompt are the roles' own; only the answers stand here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.documents import ImagePrompt
from agents.programs import DEFAULT, load_program, shipped
from agents.roles import advice
from agents.roles.critic import critique_examples, questions_about
from agents.roles.illustrator import composed
from agents.roles.scores import rubric
from models.filling.shots import field_text, text_ahead
from training.embedded.microstructures.drawing import Microstructure
from training.embedded.microstructures.families import Rng
from training.embedded.microstructures.looks import HELD_OUT, looks, pattern
from training.embedded.microstructures.wordings import DENSITIES, FAMILIES, PALETTES
from training.embedded.writer.branches import Piece, Tree
from workspace.atlas.table import atlas

NONE = "none"
GRADIENTS = {"none": "even", "linear": "to one side", "radial": "to the centre"}
_KEYS = {"cork": "foam"}


@dataclass(frozen=True)
class Truth:
    """What a picture shows: one or two families, and keys of the tables of the same names."""

    families: tuple[str, ...]
    density: str
    palette: str
    gradient: str

    @classmethod
    def of(cls, spec: Microstructure) -> Truth:
        """What was drawn."""
        shown = (spec.family,) if spec.second is None else (spec.family, spec.second)
        return cls(shown, spec.density, spec.palette, spec.gradient)


@dataclass(frozen=True)
class Wanted:
    """What a picture was asked to show."""

    families: tuple[str, ...]
    palette: str


def called(family: str) -> str:
    """A family's name among the patterns that a critic chooses from."""
    return FAMILIES[family].biological[0]


def coloured(palette: str) -> str:
    """A palette's name among those that a critic chooses from."""
    return PALETTES[palette].words[0]


def _one(rng: Rng, items: Sequence[Any]) -> Any:
    return items[int(rng.integers(len(items)))]


def wanted_of(truth: Truth, rng: Rng, matching: bool) -> Wanted:
    """A brief for a picture: its own, or one that asks for something else, in part or altogether."""
    if matching:
        return Wanted(truth.families, truth.palette)
    others = [name for name in FAMILIES if name not in truth.families]
    count = int(rng.integers(1, 3))
    families = tuple(str(name) for name in rng.permutation(others)[:count])
    if count == 2 and rng.random() < 0.4:
        families = (str(_one(rng, truth.families)), families[0])
    palette = truth.palette if rng.random() < 0.4 else str(_one(rng, tuple(PALETTES)))
    return Wanted(families, palette)


def score(truth: Truth, wanted: Wanted) -> int:
    """How well a picture fits by the rubric, 1 to 10; one less where it shows a pattern that was not asked for."""
    shown = sum(name in truth.families for name in wanted.families) / len(wanted.families)
    strange = any(name not in wanted.families for name in truth.families)
    return max(1, round(rubric(shown, wanted.palette == truth.palette) - strange))


def _checks(truth: Truth, wanted: Wanted, rng: Rng) -> list[dict[str, str]]:
    """The critic's checklist for a design of the wanted patterns, answered by what the picture shows."""
    sources = [_source(name, rng) for name in wanted.families]
    drawn = load_program(DEFAULT).target  # what every picture drawn for training looks like
    others = sorted({program.target for program in shipped().values()} - {drawn})
    target = str(_one(rng, (drawn, drawn, drawn, *others)))
    shown = [name in truth.families for name in wanted.families]
    answers = {"motif": shown, "palette": [wanted.palette == truth.palette]}
    answers |= {"inspiration": shown, "target": [target == drawn]}
    asked = questions_about({"inspirations": sources}, made_of(wanted), target)
    return [
        {"question": text, "answer": "yes" if answers[about.subject][about.number] else "no"}
        for text, about in asked.items()
    ]


def _source(family: str, rng: Rng) -> dict[str, str]:
    """An inspiration as a design names it: a material and a feature that it has."""
    row, key = FAMILIES[family], _KEYS.get(family, family)
    known = [one for one in atlas().values() if one.id not in HELD_OUT and pattern(one) == key]
    source = str(_one(rng, _one(rng, known).calls)).lower() if known else _one(rng, row.biological)
    features = (*row.geometric, *(looks()[key]["features"] if rng.random() < 0.5 else ()))
    return {"name": source, "feature": str(_one(rng, features))}


def critique(truth: Truth, wanted: Wanted, rng: Rng) -> dict[str, Any]:
    """The right critique of a picture for a brief, as plain data."""
    names = [called(name) for name in truth.families]
    sees = {
        "pattern": names[0],
        "second": names[1] if len(names) > 1 else NONE,
        "density": truth.density,
        "palette": coloured(truth.palette),
        "gradient": GRADIENTS[truth.gradient],
    }
    asked_for = advice.Wanted(tuple(map(called, wanted.families)), coloured(wanted.palette))
    return {
        "sees": sees,
        "seen": advice.described(sees),
        "checks": _checks(truth, wanted, rng),
        "fit": score(truth, wanted),
        "change": advice.advised(sees, asked_for),
    }


def prompt_of(wanted: Wanted, rng: Rng) -> str:
    """A short prompt that asks for a brief, as the Illustrator composes it; seven in ten go on with what one sees."""
    made, visual = made_of(wanted), looks()[_KEYS.get(wanted.families[0], wanted.families[0])]["visual"]
    goes_on = rng.random() < 0.7
    seen = str(_one(rng, visual) if goes_on else visual[0])
    written = ImagePrompt(short=seen, long=seen, **made)
    known = {} if goes_on else {"motifs": made["motifs"], "palette": [made["palette"]]}
    return composed(written, known, (), None).short


def made_of(wanted: Wanted) -> dict[str, Any]:
    """Motifs and palette of an image prompt that asks for a brief, in the painter's own names."""
    return {"motifs": [called(name) for name in wanted.families], "palette": coloured(wanted.palette)}


def tree(truth: Truth, wanted: Wanted, rng: Rng, tokenizer: Any, tokens: int) -> Tree:
    """A critique as the critic writes it, behind ``tokens`` places for the picture."""
    document = critique(truth, wanted, rng)
    lead = critique_examples({"short": prompt_of(wanted, rng), **made_of(wanted)}).about

    def ids(text: str) -> list[int]:
        found: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        return found

    def piece(path: tuple[str, ...]) -> list[Piece]:
        first = text_ahead(document, path)
        return [*([(ids(first), False)] if first else []), (ids(field_text(document, path) + "\n"), True)]

    paths = [("sees", name) for name in document["sees"]]
    branches = [piece(path) for path in (*paths, ("fit",))]
    branches.append([(ids(text_ahead(document, ("checks",))), False), *_answers(document["checks"], ids)])
    return Tree([0] * tokens + ids(lead + "\n"), branches)


WEIGHTS = 1.0, 1.0, 1.0, 1.0, 1.0, 8.0, 3.0
"""What a token of each of a tree's branches weighs: a rating is one figure among eighty words, and matters more."""

_SLOTS = 5, 5, 1, 5, 3
"""Tokens of the connector for a picture's pattern, second pattern, density, palette and gradient."""


def spelled(truth: Truth, tokenizer: Any, tokens: int) -> list[int]:
    """A truth as the connector is to say it: every attribute's name in its own places, the rest left as line ends."""
    names = [*(called(name) for name in truth.families), NONE][:2]
    end: int = tokenizer("\n", add_special_tokens=False)["input_ids"][0]
    found: list[int] = []
    for room, name in zip(
        _SLOTS, (*names, truth.density, coloured(truth.palette), GRADIENTS[truth.gradient]), strict=True
    ):
        ids = tokenizer(f" {name}", add_special_tokens=False)["input_ids"][:room]
        found += ids + [end] * (room - len(ids))
    return (found + [end] * tokens)[:tokens]


def _answers(checks: Sequence[Mapping[str, str]], ids: Any) -> list[Piece]:
    """The checklist in order; only the answers are learned."""
    pieces: list[Piece] = []
    for check in checks:
        pieces += [(ids(f"Question: {check['question']}\nAnswer:"), False), (ids(f" {check['answer']}\n"), True)]
    return pieces


def densities() -> tuple[str, ...]:
    """The names of the densities, from open to dense."""
    return tuple(DENSITIES)
