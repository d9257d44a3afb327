"""The list of runs narrowed by marks: what the shelf finds, in the shape of that list."""

from __future__ import annotations

from typing import Any

from studio.keeping.finding import find_runs
from studio.runs.record import RunSummary, folder_of
from workspace.errors import UsageError

_A_PAGE = 200


def listed(options: Any) -> list[RunSummary]:
    """The runs that fit, newest first.

    Args:
        options: See `studio.designs.ListCall`.

    Raises:
        UsageError: It is asked for what is older than a moment, which the shelf does not tell.
    """
    if options.before is not None:
        raise UsageError("before does not go with star, rating, board or program", hint="studio.find_runs(until=DAY)")
    asked: dict[str, Any] = {"search": options.search, "rating": options.rating, "settings": options.using}
    asked |= {"board": options.board, "program": options.program, "star": True if options.star else None}
    made: list[RunSummary] = []
    after = ""
    while len(made) < options.limit:
        page = find_runs(**asked, count=min(_A_PAGE, options.limit - len(made)), after=after)
        made += [
            RunSummary(one.run_id, one.status, one.brief, one.created, folder_of(options.home, one.run_id), one.message)
            for one in page.runs
        ]
        after = page.next
        if not after:
            break
    return made
