"""How many pages of two-column papers are read in their source's order, by each converter. Prints JSON.

The papers are publishers' own templates beside their LaTeX sources, as Debian's package texlive-publishers-doc has
them (``apt-get download texlive-publishers-doc``, unpacked with ``dpkg-deb -x``). A page is in order where, of the
runs of words that stand once in the source, almost all come one after another as they do there; what a page shows
elsewhere than the source (a figure's caption) may fall out. Bar: 95% of the pages.
"""

from __future__ import annotations

import argparse
import bisect
import gzip
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import home  # noqa: F401 - makes the project importable

PAPERS = (
    "revtex/sample/aps/apssamp",
    "revtex/sample/aip/aipsamp",
    "asmeconf/asmeconf-template",
    "asmeconf/examples/asmeconf-wide-equation-example/asmeconf-template-widetext",
    "quantumarticle/quantum-template",
    "mnras/mnras_guide",
    "acmart/samples/sample-acmtog",
    "acmart/samples/sample-sigconf",
    "acmart/samples/sample-sigplan",
    "acmart/samples/sample-sigconf-biblatex",
)
_RUN = 3  # words that are looked up together
_FEWEST = 25  # runs of a page that the source has once: fewer say nothing of its order
IN_ORDER = 0.9
"""Share of a page's runs that come in the source's order."""


def words(text: str) -> list[str]:
    """Words of four letters and more, small."""
    return re.findall(r"[a-z]{4,}", text.lower())


_APART = r"(figure|table|teaserfigure|longtable|tabular|tabularx|CCSXML|thebibliography)"
_NOTES = ("footnote", "footnotetext", "thanks", "altaffiliation", "author", "affiliation", "ccsdesc", "keywords")
_COMMANDS = "cite[a-z]*|ref|eqref|label|url|href|bibliography[a-z]*|includegraphics|begin|end"


def prose(source: str) -> str:
    """A LaTeX source without comments, commands and what is set elsewhere than it stands: floats and notes."""
    body = source[source.find(r"\begin{document}") :]
    body = re.sub(r"(?<!\\)%.*", "", body)
    body = re.sub(rf"(?s)\\begin{{{_APART}\*?}}.*?\\end{{\1\*?}}", " ", body)
    body = _without(body, _NOTES)
    body = re.sub(rf"\\({_COMMANDS})\*?(\[[^]]*\])?{{[^}}]*}}", " ", body)
    return re.sub(r"\\[a-zA-Z]+\*?|[{}$~^_&]", " ", body)


def _without(text: str, commands: tuple[str, ...]) -> str:
    """A source without these commands and what stands in their braces."""
    while found := re.search(rf"\\({'|'.join(commands)})(\[[^]]*\])?{{", text):
        depth, end = 1, found.end()
        while depth and end < len(text):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        text = text[: found.start()] + " " + text[end:]
    return text


def share_in_order(read: str, source: dict[tuple[str, ...], int]) -> tuple[int, float]:
    """How many of a page's runs of words stand once in the source, and which share of them comes in its order."""
    told = words(read)
    runs = Counter(zip(*(told[n:] for n in range(_RUN)), strict=False))
    places = [source[run] for run in runs if run in source and runs[run] == 1]
    ends: list[int] = []
    for place in places:
        at = bisect.bisect_left(ends, place)
        ends[at : at + 1] = [place]
    return len(places), len(ends) / max(1, len(places))


def runs_of(source: str) -> dict[tuple[str, ...], int]:
    """Each run of words that stands once in a source, with its place."""
    told = words(source)
    every = list(zip(*(told[n:] for n in range(_RUN)), strict=False))
    often = Counter(every)
    return {run: place for place, run in enumerate(every) if often[run] == 1}


def measured(folder: Path, converter: Any) -> dict[str, Any]:
    """Pages in order and pages judged, by paper and in all."""
    from pipelines.corpus.converters import convert

    papers: dict[str, str] = {}
    bad: dict[str, float] = {}
    right = judged = 0
    for name in PAPERS:
        pdf, source = folder / f"{name}.pdf", folder / f"{name}.tex.gz"
        if not pdf.is_file() or not source.is_file():
            raise SystemExit(f"{pdf} and its .tex.gz are not there; see --help")
        places = runs_of(prose(gzip.decompress(source.read_bytes()).decode("utf-8", "replace")))
        shares = [share_in_order(page, places) for page in convert(pdf, converter)]
        told = {number: share for number, (count, share) in enumerate(shares, 1) if count >= _FEWEST}
        good = sum(share >= IN_ORDER for share in told.values())
        papers[Path(name).name] = f"{good}/{len(told)}"
        late = {n: round(share, 2) for n, share in told.items() if share < IN_ORDER}
        bad |= {f"{Path(name).name}, page {n}": share for n, share in late.items()}
        right, judged = right + good, judged + len(told)
    return {"share": round(right / judged, 3), "pages": f"{right}/{judged}", "papers": papers, "out_of_order": bad}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="usr/share/doc/texlive-doc/latex of the unpacked package")
    parser.add_argument("--converter", action="append", choices=("pdfium", "pdftext"))
    options = parser.parse_args()
    figures = {one: measured(options.folder, one) for one in options.converter or ("pdfium", "pdftext")}
    print(json.dumps({"benchmark": "columns", **figures}, indent=1))
    sys.exit(0 if all(figure["share"] >= 0.95 for figure in figures.values()) else 1)


if __name__ == "__main__":
    main()
