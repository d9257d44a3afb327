"""What Studio's page costs beside its bars, part by part. Prints one JSON object; the last line on stdout is JSON.

    python benchmarks/page.py interactive --rounds 9      # 1.3 times a bare Gradio app; no torch in the web process
    python benchmarks/page.py sessions --seconds 60       # 20 sessions: p95 300 ms; 100 submits in a burst
    python benchmarks/page.py library --pictures 10000    # 1.5 times the first page of 100; scrolling
    python benchmarks/page.py survive --each 20           # refresh, tab close, restart, worker kill: none lost
    python benchmarks/page.py preview --rounds 8          # the first preview at 15% of the painting, all for 3% of it

Each part makes homes of its own and serves the page as a person does, by ``studio ui`` in a process; `interactive`,
`library` and `survive` need Debian's Chromium and Playwright. What is compared is measured in turns.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import home  # noqa: F401 - makes the project importable


def part(options: argparse.Namespace) -> dict[str, Any]:
    """Measure the part that was named."""
    match options.part:
        case "interactive":
            import page_interactive

            return page_interactive.figures(options.rounds)
        case "sessions":
            import page_sessions

            return page_sessions.figures(options.sessions, options.seconds, options.burst, options.pause)
        case "library":
            import page_library

            return page_library.figures(options.pictures, options.rounds, options.scroll)
        case "survive":
            import page_survive

            return page_survive.figures(options.each, options.only, options.seed, options.steps)
        case _:
            import page_preview

            return page_preview.figures(options.rounds, options.steps)


def parser() -> argparse.ArgumentParser:
    """The options of every part."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = made.add_subparsers(dest="part", required=True)
    interactive = parts.add_parser("interactive", help="from the command to the first letter typed")
    interactive.add_argument("--rounds", type=int, default=9)
    sessions = parts.add_parser("sessions", help="many who look and press at once")
    sessions.add_argument("--sessions", type=int, default=20)
    sessions.add_argument("--seconds", type=float, default=60)
    sessions.add_argument("--pause", type=float, default=0.5, help="seconds between two requests of a session")
    sessions.add_argument("--burst", type=int, default=100, help="submits at once")
    library = parts.add_parser("library", help="many pictures beside few")
    library.add_argument("--pictures", type=int, default=10_000)
    library.add_argument("--rounds", type=int, default=15)
    library.add_argument("--scroll", type=int, default=1000, help="thumbnails that are scrolled through")
    survive = parts.add_parser("survive", help="what becomes of jobs when things go away")
    survive.add_argument("--each", type=int, default=20, help="of each mishap")
    survive.add_argument("--only", action="append", choices=("refresh", "close", "restart", "kill"))
    survive.add_argument("--seed", type=int, default=1)
    survive.add_argument("--steps", type=int, default=2, help="painting steps of a picture")
    preview = parts.add_parser("preview", help="pictures while they are painted")
    preview.add_argument("--rounds", type=int, default=8)
    preview.add_argument("--steps", type=int, default=0, help="painting steps; the model's own for 0")
    return made


def main() -> None:
    options = parser().parse_args()
    print(json.dumps({"benchmark": f"page {options.part}", **part(options)}))


if __name__ == "__main__":
    main()
