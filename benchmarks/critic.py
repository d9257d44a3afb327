"""The embedded critic on drawings and paintings it never saw, against matching and mismatched briefs. Prints JSON.

- ``critic_attributes_renders``, ``critic_attributes_painted``: share of the attributes (patterns, density, palette,
  gradient) that it names rightly, over held-out drawings and over paintings in held-out wordings; a painting counts as
  what was asked for, its density as what is measured on it;
- ``critic_auroc``: how well its score (the Director's: half the checklist, half the fit) parts pictures with their own
  brief from pictures with another's;
- ``critic_valid``: share of critiques that are valid by the schema; ``critic_seconds``: median a picture.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from home import fresh_home

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
    from training.embedded.microstructures.wordings import DENSITIES, FAMILIES, PALETTES

    rows, names = [], list(FAMILIES)
    for number in range(count):
        family, palette = names[number % len(names)], list(PALETTES)[number % len(PALETTES)]
        density = list(DENSITIES)[number % len(DENSITIES)]
        words = (FAMILIES[family].held_out[number % 2], PALETTES[palette].words[0], DENSITIES[density][0])
        [image] = painter.paint([painter.spec(", ".join(words), seed=SEED + number)])
        found = nearest_density(np.asarray(image), Microstructure(family, palette=palette))
        rows.append((image, Truth((family,), found, palette, "none")))
        print(f"painted {number + 1} of {count}", file=sys.stderr, flush=True)
    return rows


def asked_of(truth: Any, wanted: Any, image: Any, rng: Any) -> tuple[Any, Any, Any, Any]:
    """The schema, messages, hints and examples with which the critic is asked of a picture and a brief."""
    from langchain_core.messages import HumanMessage, SystemMessage

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
    schema = critique_schema(questions, answered_by(questions, words))
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


def figures(home: Path, drawn: int = 40, painted: int = 34, critic: str = "") -> dict[str, Any]:
    """Ask the critic of every picture, half of them with another's brief."""
    from agents.roles.scores import score
    from models.chat.choose import chat_model
    from models.chat.structured import structured
    from pipelines.pictures.painter import Painter
    from training.embedded.critic.rows import wanted_of
    from workspace.errors import DataError
    from workspace.settings import load_settings, resolved

    changes = {"home": str(home)} | ({"vision.model": critic} if critic else {})
    settings = load_settings("embedded", changes)
    chat = chat_model(resolved(settings, "critic"), home, seed=1)
    painter = Painter.load(settings.painter, home)
    sets = {"renders": drawings(drawn), "painted": paintings(painter, painted)}
    hits: dict[str, list[list[bool]]] = {name: [] for name in sets}
    scores, matching, seconds, valid, fits = [], [], [], 0, []
    for name, rows in sets.items():
        for number, (image, truth) in enumerate(rows):
            rng = np.random.default_rng([SEED, 1, number])
            match = number % 2 == 0
            wanted = wanted_of(truth, rng, match)
            schema, messages, hints, told = asked_of(truth, wanted, image, rng)
            begun = time.perf_counter()
            try:
                made = structured(chat, schema, messages, seed=number, hints=hints, shots=told).value
            except DataError as error:
                print(f"{name} {number}: {error}", file=sys.stderr, flush=True)
                continue
            seconds.append(time.perf_counter() - begun)
            valid += 1
            hits[name].append(right(made.sees, truth))
            scores.append(score(made.model_dump()))
            fits.append(float(made.fit))
            matching.append(match)
    shares = {name: np.mean(np.array(found), axis=0).round(3).tolist() for name, found in hits.items() if found}
    whole = {name: round(float(np.mean(found)), 3) if found else None for name, found in hits.items()}
    return {
        "critic_attributes_renders": whole["renders"],
        "critic_attributes_painted": whole["painted"],
        "critic_patterns_density_palette_gradient": shares,
        "critic_auroc": round(auroc(scores, matching), 3),
        "critic_auroc_fit": round(auroc(fits, matching), 3),
        "critic_valid": round(valid / sum(map(len, sets.values())), 3),
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
