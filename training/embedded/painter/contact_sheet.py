"""Paint a labelled contact sheet with a trained painter: one row a family, one column a kind of prompt.

    python -m training.embedded.painter.contact_sheet --weights FOLDER --text-encoder MINILM_FOLDER \
        --out docs/pictures/families.webp

It goes through an unchanged `FluxPipeline` with the sampling defaults of the folder's `studio.json`, so the sheet shows
what everybody else will get.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusers import FluxPipeline
from PIL import Image, ImageDraw, ImageFont

from models.encoders.minilm import load_minilm
from pipelines.pictures.easel import Easel
from pipelines.pictures.picture import make_spec, studio_version
from training.embedded.microstructures.wordings import FAMILIES, JOINS, PALETTES
from workspace.files import publish

MARGIN, LINE, SIDE = 4, 11, 192


def prompts() -> dict[str, list[str]]:
    """Five prompts a family: named biologically, drawn geometrically, two other palettes, and two hybrids."""
    names, colours = list(FAMILIES), [row.words[0] for row in PALETTES.values()]
    wanted: dict[str, list[str]] = {}
    for number, (name, row) in enumerate(FAMILIES.items()):
        colour = [colours[(number + shift) % len(colours)] for shift in range(5)]
        other = FAMILIES[names[(number + 3) % len(names)]]
        wanted[name] = [
            f"{row.biological[0]}, {colour[0]}",
            f"{row.geometric[0]}, {colour[1]}, fine",
            f"{row.biological[1]}, {colour[2]}, coarse, dense with thick walls",
            JOINS["over"][0].format(a=row.biological[0], b=other.biological[0]) + f", {colour[3]}",
            JOINS["into"][0].format(a=row.biological[0], b=other.biological[0]) + f", {colour[4]}",
        ]
    return wanted


def load_painter(weights: Path, text_encoder: Path) -> tuple[Easel, dict[str, Any]]:
    """The pipeline with MiniLM in both text places, and its `studio.json`."""
    card = json.loads((weights / "studio.json").read_text(encoding="utf-8"))
    encoder, tokenizer = load_minilm(text_encoder, max_length=card["max_sequence_length"], painter=weights)
    parts = {"text_encoder": encoder, "text_encoder_2": encoder, "tokenizer": tokenizer, "tokenizer_2": tokenizer}
    pipeline = FluxPipeline.from_pretrained(weights, **parts, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    return Easel(pipeline, card["max_sequence_length"]), card


def paint(easel: Easel, card: Mapping[str, Any], wanted: list[str], seed: int) -> list[Image.Image]:
    """One picture a prompt; picture ``n`` has the seed ``seed + n``."""
    specs = [
        make_spec(
            prompt=prompt,
            long_prompt=prompt,
            seed=seed + number,
            width=card["size"],
            height=card["size"],
            steps=card["steps"],
            guidance=card["guidance"],
            true_cfg=card["true_cfg"],
            model="",
            model_fingerprint="",
            adapter=None,
            adapter_scale=0.0,
            adapter_fingerprint=None,
            studio_version=studio_version(),
        )
        for number, prompt in enumerate(wanted)
    ]
    return [easel.paint([spec], Path(), lambda steps: None)[0] for spec in specs]


def sheet(rows: Mapping[str, list[tuple[str, Image.Image]]]) -> Image.Image:
    """Lay labelled pictures out in rows, each `SIDE` pixels wide, with its prompt printed below it."""
    wide, high, lines = SIDE + MARGIN, SIDE + MARGIN, 3
    columns = max(len(row) for row in rows.values())
    canvas = Image.new("RGB", (columns * wide + MARGIN, len(rows) * (high + lines * LINE) + MARGIN), "white")
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=9)
    letters = wide // 5
    for down, row in enumerate(rows.values()):
        for across, (label, picture) in enumerate(row):
            left, top = MARGIN + across * wide, MARGIN + down * (high + lines * LINE)
            canvas.paste(picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS), (left, top))
            for number in range(lines):
                part = label[number * letters : (number + 1) * letters]
                pen.text((left, top + SIDE + 1 + number * LINE), part, fill="black", font=font)
    return canvas


def main(weights: Path, text_encoder: Path, out: Path, seed: int = 0) -> Path:
    """Paint every prompt of `prompts` and write the sheet as a WebP, whole or not at all."""
    pipeline, card = load_painter(weights, text_encoder)
    rows = {}
    for number, (name, wanted) in enumerate(prompts().items()):
        rows[name] = list(zip(wanted, paint(pipeline, card, wanted, seed + 100 * number), strict=True))
    buffer = io.BytesIO()
    sheet(rows).save(buffer, "WEBP", quality=60, method=6)  # a third of a PNG's size
    publish(out, buffer.getvalue())
    return out


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--text-encoder", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    print(main(chosen.weights, chosen.text_encoder, chosen.out, chosen.seed))
