"""Designs from a CSV file of briefs, each told as soon as it is there.

    python examples/batch_from_csv.py [BRIEFS.csv] [FOLDER]

The same command goes on where it was stopped, and makes only what is not done. FOLDER/index.html shows the designs.
"""

from __future__ import annotations

import sys
from pathlib import Path

import studio

BRIEFS = Path(__file__).parent / "briefs.csv"


def main(briefs: Path = BRIEFS, out: Path = Path("from-csv")) -> None:
    """Make the designs; what a row does not say is as it is set here."""
    for made in studio.batch.stream(briefs, out=out, images=1):
        if made.done:
            print(f"{made.id}: {made.title} ({out / made.pictures[made.best or 0].path})")
        else:
            print(f"{made.id}: failed, {made.reason}")
    print(f"All of them: {out / 'index.html'}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
