"""The embedded critic on drawings and paintings it never saw, against matching and mismatched briefs. Prints JSON.

- ``critic_renders``, ``critic_painted``: of each attribute (patterns, density, palette, gradient) how often it is named
  rightly, with the exact 95% interval, beside ``majority``: what always saying the most frequent value would get. A
  painting counts as what was asked for in held-out wordings, one in three of them of two patterns; its density as what
  is measured on it; all attributes together are ``critic_attributes_renders`` and ``_painted``;
- ``critic_auroc``: how well its score (the Director's: half the checklist, half the fit) parts pictures with their own
  brief from pictures with another's, which mostly differs in colours too; ``critic_auroc_hard``: on paintings, from the
  same brief with one pattern swapped, its colours kept, with a bootstrap interval over pictures;
- ``critic_valid``: critiques that are valid by the schema, which the decoder enforces; ``critic_seconds``: median a
  picture. That the sentence and the change agree with what is seen is made so (`agents/roles/advice.py`) and no figure.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from home import fresh_home
from judge import share

SEED = 8_000_003


def drawings(count: int) -> list[tuple[Any, Any]]:
    """Held-out drawings at the painter's size, each with what it shows."""
    from PIL import Image

    from training.embedded.critic.rows import Truth
    from training.embedded.microstructures.drawing import draw, sample

    rows = []
    for number in range(count):
        rng = np.random.default_rng([SEED, number])
        spec = sample(rng)
        rows.append((Image.fromarray(draw(spec, 256, rng)), Truth.of(spec)))
    return rows


def paintings(painter: Any, count: int) -> list[tuple[Any, Any]]:
    """Pictures painted in held-out wordings, each with what was asked for and the density that is measured."""
    from training.embedded.critic.rows import Truth
    from training.embedded.critic.tower import nearest_density
    from training.embedded.microstructures.drawing import Microstructure
    from training.embedded.microstructures.wordings import DENSITIES, FAMILIES, JOINS, PALETTES

    rows, names = [], list(FAMILIES)
    shown: tuple[str, ...]
    for number in range(count):
        family, palette = names[number % len(names)], list(PALETTES)[number % len(PALETTES)]
        density = list(DENSITIES)[number % len(DENSITIES)]
        shown, words = (family,), FAMILIES[family].held_out[number % 2]
        if number % 3 == 2:
            other = names[(number * 5 + 3) % len(names)]
            join = JOINS[list(JOINS)[number % 2]][0]
            if other != family:
                shown, words = (family, other), join.format(a=words, b=FAMILIES[other].held_out[number % 2])
        prompt = f"{words}, {PALETTES[palette].words[0]}, {DENSITIES[density][0]}"
        [image] = painter.paint([painter.spec(prompt, seed=SEED + number)])
        found = nearest_density(np.asarray(image), Microstructure(family, palette=palette))
        rows.append((image, Truth(shown, found, palette, "none")))
        if number % 20 == 19:
            print(f"painted {number + 1} of {count}", file=sys.stderr, flush=True)
    return rows


def swapped(truth: Any, rng: Any) -> Any:
    """A picture's own brief with one pattern swapped for one that it does not show, its colours kept."""
    from training.embedded.critic.rows import Wanted
    from training.embedded.microstructures.wordings import FAMILIES

    other = str(rng.choice([name for name in FAMILIES if name not in truth.families]))
    return Wanted((*truth.families[:-1], other), truth.palette)


def asked_of(truth: Any, wanted: Any, image: Any, rng: Any) -> tuple[Any, Any, Any, Any]:
    """The schema, messages, hints and examples with which the critic is asked of a picture and a brief."""
    from langchain_core.messages import HumanMessage, SystemMessage

    from agents.roles.advice import Wanted
    from agents.roles.critic import RATINGS, answered_by, checklist, critique_examples, critique_schema
    from agents.templates import prompt
    from agents.vocabulary import Vocabulary
    from training.embedded.critic.rows import NONE, called, coloured, made_of, prompt_of
    from training.embedded.microstructures.wordings import FAMILIES, PALETTES

    made = {"short": prompt_of(wanted, rng), **made_of(wanted)}
    questions = checklist({"inspirations": []}, made, "material microstructure")
    file = io.BytesIO()
    image.save(file, "PNG")
    url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
    blocks: list[Any] = [
        {"type": "text", "text": prompt("critic_task", title="A material", questions=questions)},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    names = [called(name) for name in FAMILIES]
    hints = {
        "checks.question": questions,
        "fit": RATINGS,
        "sees.pattern": names,
        "sees.second": [*names, NONE],
        "sees.palette": [coloured(name) for name in PALETTES],
    }
    examples = critique_examples(made)
    words = Vocabulary(
        tuple(row.biological for row in FAMILIES.values()), tuple(row.words for row in PALETTES.values())
    )
    schema = critique_schema(questions, answered_by(questions, words), Wanted(tuple(made["motifs"]), made["palette"]))
    return schema, [SystemMessage(prompt("critic")), HumanMessage(blocks)], hints, examples


def right(sees: Any, truth: Any) -> list[bool]:
    """Which of a picture's attributes are named rightly: patterns, density, palette, gradient."""
    from training.embedded.critic.rows import GRADIENTS, NONE, called, coloured

    named = {sees.pattern, sees.second} - {NONE}
    return [
        named == {called(name) for name in truth.families},
        sees.density == truth.density,
        sees.palette == coloured(truth.palette),
        sees.gradient == GRADIENTS[truth.gradient],
    ]


def auroc(scores: list[float], matching: list[bool]) -> float:
    """The chance that a matching pair scores above a mismatched one, ties counted half (Mann-Whitney)."""
    good = np.array([score for score, match in zip(scores, matching, strict=True) if match])
    bad = np.array([score for score, match in zip(scores, matching, strict=True) if not match])
    return float(((good[:, None] > bad[None]) + 0.5 * (good[:, None] == bad[None])).mean())


ATTRIBUTES = "patterns", "density", "palette", "gradient"


def majority(truths: list[Any]) -> dict[str, float]:
    """What always naming the most frequent value gets of each attribute."""
    values = [(frozenset(one.families), one.density, one.palette, one.gradient) for one in truths]
    most = [Counter(column).most_common(1)[0][1] for column in zip(*values, strict=True)]
    return {name: round(count / len(truths), 3) for name, count in zip(ATTRIBUTES, most, strict=True)}


def interval(own: list[float], other: list[float]) -> list[float]:
    """A 95% bootstrap interval of the AUROC over pictures, each asked with both briefs."""
    rng = np.random.default_rng(SEED)
    pairs = np.array([own, other])
    drawn = []
    for _ in range(2000):
        one, two = pairs[:, rng.integers(len(own), size=len(own))]
        drawn.append(auroc([*one, *two], [True] * len(one) + [False] * len(two)))
    return [round(float(bound), 3) for bound in np.percentile(drawn, [2.5, 97.5])]


def figures(home: Path, drawn: int = 40, painted: int = 34, critic: str = "") -> dict[str, Any]:
    """Ask the critic of every picture, half of them with another's brief; of paintings with a swapped pattern too."""
    from agents.roles.scores import score
    from models.chat.choose import chat_model
    from models.chat.structured import structured
    from pipelines.pictures.painter import Painter
    from training.embedded.critic.rows import Wanted, wanted_of
    from workspace.errors import DataError
    from workspace.settings import load_settings, resolved

    changes = {"home": str(home)} | ({"vision.model": critic} if critic else {})
    settings = load_settings("embedded", changes)
    chat = chat_model(resolved(settings, "critic"), home, seed=1)
    painter = Painter.load(settings.painter, home)
    seconds: list[float] = []

    def ask(image: Any, truth: Any, wanted: Any, number: int) -> Any:
        schema, messages, hints, told = asked_of(truth, wanted, image, np.random.default_rng([SEED, 2, number]))
        begun = time.perf_counter()
        try:
            made = structured(chat, schema, messages, seed=number, hints=hints, shots=told).value
        except DataError as error:
            print(f"{number}: {error}", file=sys.stderr, flush=True)
            return None
        seconds.append(time.perf_counter() - begun)
        return made

    asked, valid = 0, 0
    scores, matching, fits = [], [], []
    told: dict[str, Any] = {}
    for name, rows in {"renders": drawings(drawn), "painted": paintings(painter, painted)}.items():
        hits = []
        for number, (image, truth) in enumerate(rows):
            match = number % 2 == 0
            made = ask(image, truth, wanted_of(truth, np.random.default_rng([SEED, 1, number]), match), number)
            asked, valid = asked + 1, valid + (made is not None)
            if made is None:
                continue
            hits.append(right(made.sees, truth))
            scores.append(score(made.model_dump()))
            fits.append(float(made.fit))
            matching.append(match)
        columns = list(zip(*hits, strict=True))
        told[f"critic_{name}"] = {one: share(list(got)) for one, got in zip(ATTRIBUTES, columns, strict=True)}
        told[f"critic_{name}"]["majority"] = majority([truth for _, truth in rows])
        told[f"critic_attributes_{name}"] = round(float(np.mean(columns)), 3) if columns else None
        if name == "painted":
            both: list[tuple[float, float]] = []
            for number, (image, truth) in enumerate(rows):
                other = swapped(truth, np.random.default_rng([SEED, 3, number]))
                pair = [ask(image, truth, one, number) for one in (Wanted(truth.families, truth.palette), other)]
                if None not in pair:
                    both.append((score(pair[0].model_dump()), score(pair[1].model_dump())))
            own, swap = map(list, zip(*both, strict=True))
            told["critic_auroc_hard"] = round(auroc([*own, *swap], [True] * len(own) + [False] * len(swap)), 3)
            told["critic_auroc_hard_interval"] = interval(own, swap)
    return told | {
        "critic_auroc": round(auroc(scores, matching), 3),
        "critic_auroc_fit": round(auroc(fits, matching), 3),
        "critic_valid": round(valid / asked, 3),
        "critic_seconds": round(float(np.median(seconds)), 2),
        "critic_pictures": valid,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drawn", type=int, default=40)
    parser.add_argument("--painted", type=int, default=34)
    parser.add_argument("--critic", default="", help="another critic's folder")
    options = parser.parse_args()
    with fresh_home() as home:
        print(json.dumps({"benchmark": "critic", **figures(home, options.drawn, options.painted, options.critic)}))


if __name__ == "__main__":
    main()
