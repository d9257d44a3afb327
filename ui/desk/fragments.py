"""What a page's piece is: HTML read by its name, and what a press of a button comes to. Knows no page.

A page holds elements that name a reader (``data-read="library"``); the browser asks for it with the page's own address
and puts the HTML in. A button or form that names an action (``data-do="library/star"``) sends its values and gets a
`Reply`. Everything that a page shows can be read again from address and ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ui.desk.door import Door


@dataclass(frozen=True)
class Reply:
    """What becomes of a press.

    Attributes:
        say: One line for the page's live region.
        error: One line that says what was wrong; shown beside what was pressed.
        at: The name of the field that is wrong, if one is.
        go: An address to go to.
        pieces: HTML by the id of the element that takes it.
        refresh: Readers whose pieces are to be read again.
    """

    say: str = ""
    error: str = ""
    at: str = ""
    go: str = ""
    pieces: Mapping[str, str] = field(default_factory=dict)
    refresh: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


Reader = Callable[[Door, Mapping[str, str]], str]
"""Gives a piece's HTML for the address's query; raises ``StudioError`` with one clear line."""

Action = Callable[[Door, Mapping[str, Any]], Reply]
"""Does what was asked with the values sent; raises ``StudioError`` with one clear line."""
