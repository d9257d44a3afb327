"""What a run made, as HTML: the design card and the pictures. Knows views; nothing of Gradio.

Whatever a model wrote is escaped here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any
from urllib.parse import quote

from studio.runs.report import figures_line
from ui.pages.view import View
from workspace.events import PictureReady

UNITS = {"1": "", "um": "µm", "degC": "°C", "MJ/m3": "MJ/m³", "J/m2": "J/m²", "kg/m3": "kg/m³", "W/mK": "W/m·K"}


def _list(tag: str, title: str, items: Iterable[Any]) -> str:
    return f"<section><h3>{title}</h3><{tag}>{''.join(f'<li>{escape(str(x))}</li>' for x in items)}</{tag}></section>"


def _table(title: str, heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    top = "".join(f'<th scope="col">{head}</th>' for head in heads)
    body = "".join(
        "<tr>" + "".join(f'<td data-head="{head}">{escape(cell)}</td>' for head, cell in zip(heads, row, strict=True))
        for row in rows
    )
    table = f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    return f'<section class="wide"><h3>{title}</h3>{table}</section>'


def _figure(item: Mapping[str, Any]) -> str:
    unit = str(item.get("unit", ""))
    return f"{item.get('value', 0):,.6g} {UNITS.get(unit, unit)}".strip()


def card(view: View) -> str:
    """The design as a readable card."""
    design = view.design
    if design is None:
        return ""
    sources = "".join(
        f"<li><b>{escape(item['name'])}</b><em>{escape(item['feature'])}</em><p>{escape(item['principle'])}</p></li>"
        for item in design["inspirations"]
    )
    parts = [(item["name"], item["material"], item["role"]) for item in design["components"]]
    figures = [(item["name"], _figure(item), item["basis"]) for item in design["properties"]]
    tags = "".join(f"<li>{escape(item)}</li>" for item in design["applications"])
    frame = design["architecture"]
    pieces = (
        f'<section class="wide"><h3>Learned from</h3><ul class="sources">{sources}</ul></section>',
        _table("Components", ("Part", "Material", "Role"), parts),
        f'<section class="wide"><h3>Architecture <small>{escape(frame["scale"])} scale</small></h3>',
        f"<p>{escape(frame['description'])}</p></section>",
        _table("Properties", ("Property", "Target", "Basis"), figures),
        _list("ul", "Mechanisms", design["mechanisms"]),
        _list("ol", "Fabrication", design["fabrication"]),
        _list("ul", "Risks", design["risks"]),
    )
    return (
        '<article class="card" aria-label="Design"><p class="kicker">Material design</p>'
        f'<h2>{escape(design["title"])}</h2><p class="lead">{escape(design["summary"])}</p>'
        f'<ul class="tags" aria-label="Applications">{tags}</ul><div class="columns">{"".join(pieces)}</div></article>'
    )


def _critique(view: View, picture: PictureReady) -> str:
    found = [item for item in view.critiques if item.get("picture") == picture.index and item["round"] == picture.round]
    if not found:
        return ""
    item = found[-1]
    checks = "".join(
        f'<li class="{escape(check["answer"])}">{escape(check["question"])} <b>{escape(check["answer"])}</b></li>'
        for check in item["checks"]
    )
    told = figures_line(item.get("measures"))
    measured = f"<p>Measured: {escape(told)}</p>" if told else ""
    return (
        f'<details class="critique"><summary>Critique: fit {int(item["fit"])} of 10</summary>'
        f"<p>{escape(item['seen'])}</p><ul>{checks}</ul>{measured}</details>"
    )


def _picture(view: View, number: int, picture: PictureReady) -> str:
    source = f"pictures/{quote(view.run_id, safe='')}/{quote(picture.path.rsplit('/', 1)[-1], safe='')}"
    prompt = view.prompts.get(picture.round, {})
    words = escape(str(prompt.get("short", "")))
    return (
        f'<figure><a href="{source}" data-zoom title="Look closer"><img src="{source}" loading="lazy" '
        f'alt="Picture {number}: {words}"></a><figcaption><b>Picture {number}</b>'
        f'<span>seed {picture.seed}</span><a href="{source}" download>Save</a></figcaption>'
        f"{_critique(view, picture)}</figure>"
    )


def pictures(view: View) -> str:
    """The pictures with their seeds, and the prompts they were painted from."""
    if not view.pictures:
        return ""
    shown = sorted(view.pictures.values(), key=lambda picture: (picture.round, picture.index))
    rounds = sorted({picture.round for picture in shown})
    blocks = []
    for number in rounds:
        grid = "".join(_picture(view, i, p) for i, p in enumerate(shown, 1) if p.round == number)
        prompt = view.prompts.get(number, {})
        told = "".join(
            f"<dt>{name}</dt><dd>{escape(str(text))}</dd>"
            for name, text in (("Prompt", prompt.get("short")), ("In full", prompt.get("long")))
            if text
        )
        head = f"<h3>Round {rounds.index(number) + 1}</h3>" if len(rounds) > 1 else ""
        blocks.append(f'{head}<div class="grid">{grid}</div><dl class="prompt">{told}</dl>')
    return f'<section class="pictures"><h2>Pictures</h2>{"".join(blocks)}</section>'
