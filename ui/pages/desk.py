"""What happens when a person opens the page, presses a button, or time passes. Knows the door and views; not Gradio.

Every handler returns a `Sheet`: what changed on the page. The page holds the run's id and a digest of each piece that
it shows, the server holds nothing that matters, so a refresh, a second tab or a restarted server shows the same.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ui.pages import results
from ui.pages import status as parts
from ui.pages.door import Door
from ui.pages.view import Observer, View
from workspace.errors import StudioError, UsageError
from workspace.files import read_inside
from workspace.jobs import STOPPED

if TYPE_CHECKING:
    from studio import Design

PIECES = ("status", "pictures", "card", "talk", "past")
RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
SETTLE = 1.5


@dataclass
class Sheet:
    """What the page should show now.

    Attributes:
        run_id: The run on the page, empty for none; ``None`` leaves the page as it is but for ``error``.
        pieces: HTML of the pieces that changed.
        shown: Digest of every piece as it stands on the page afterwards.
        running: Whether more is to come.
        resumable: Whether the run can be gone on with.
        stopping: Whether a stop was just asked for; ``None`` leaves the Stop button as it is.
        error: One line about a request that was refused, as HTML.
        brief: What fills the form's brief, or ``None`` to leave it.
        inspirations: What fills the form's inspirations, or ``None``.
    """

    run_id: str | None = None
    pieces: dict[str, str] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)
    running: bool = False
    resumable: bool = False
    stopping: bool | None = None
    error: str = ""
    brief: str | None = None
    inspirations: str | None = None


def split(text: str) -> list[str]:
    """Split inspirations at commas, semicolons and line ends."""
    return [name for part in re.split(r"[,;\n、，；،؛]", text) if (name := part.strip())]


def whole(name: str, value: float | str | None) -> int | None:
    """A field's value as an integer, or ``None`` when it is left blank.

    Args:
        name: What the field is called, for the error.
        value: What was entered.

    Raises:
        UsageError: If it is no whole number.
    """
    text = "" if value is None else str(value).strip()
    if not text:
        return None
    if not re.fullmatch(r"[+-]?\d{1,18}(\.0)?", text):
        raise UsageError(f"{name} must be a whole number, not {text[:40]!r}")
    return int(text.removesuffix(".0"))


def changed(fresh: Mapping[str, str], shown: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Keep the pieces whose text differs from what is shown, and say what is shown afterwards."""
    digests = {name: hashlib.sha256(text.encode()).hexdigest()[:16] for name, text in fresh.items()}
    pieces = {name: text for name, text in fresh.items() if shown.get(name) != digests[name]}
    return pieces, {**shown, **digests}


class Desk:
    """One page's handlers, shared by all its visitors."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._observer = Observer(door.watch)

    def open(self, run_id: str) -> Sheet:
        """The page was opened or refreshed, perhaps on a run."""
        wanted = run_id.strip()
        if not wanted:
            return self._blank()
        try:
            self._known(wanted)
            self._observer.attach(wanted)
            self._observer.settle(wanted, SETTLE)
            return self._sheet(wanted, {}, fill=True)
        except StudioError as error:
            return self._blank(parts.error(error.message))

    def begin(
        self,
        brief: str,
        inspirations: str,
        program: str,
        images: float | None,
        rounds: float | None,
        seed: str | None,
    ) -> Sheet:
        """Somebody pressed Design."""
        try:
            run_id = self._door.submit(
                brief,
                inspirations=split(inspirations),
                program=program,
                images=whole("images", images),
                rounds=whole("rounds", rounds),
                seed=whole("seed", seed),
            )
        except StudioError as error:
            return Sheet(error=parts.error(str(error)))
        self._observer.attach(run_id)
        return replace(self._sheet(run_id, {}), stopping=False)

    def tick(self, run_id: str, shown: Mapping[str, str]) -> Sheet:
        """Time passed: say what is new."""
        try:
            if not self._observer.follows(run_id):
                self._known(run_id)
            self._look_again(run_id)
            return self._sheet(run_id, shown)
        except StudioError as error:
            return self._blank(parts.error(error.message))

    def _look_again(self, run_id: str) -> None:
        """Follow a run anew that stood still here, if somebody went on with it elsewhere."""
        if self._observer.watches(run_id):
            return
        view = self._observer.view(run_id)
        if view.status not in STOPPED:
            return
        found = self._known(run_id)
        asked = (found.question or {}).get("text", view.question)
        if (found.status, len(found.images), asked) != (view.status, len(view.pictures), view.question):
            self._observer.attach(run_id)
            self._observer.settle(run_id, SETTLE)

    def stop(self, run_id: str, shown: Mapping[str, str]) -> Sheet:
        """Somebody pressed Stop; the run itself tells when it has stopped."""
        try:
            self._known(run_id)
            asked = self._door.stop(run_id)
        except StudioError as error:
            return replace(self._sheet(run_id, shown), error=parts.error(str(error)))
        return replace(self._sheet(run_id, shown), stopping=asked)

    def resume(self, run_id: str, shown: Mapping[str, str]) -> Sheet:
        """Somebody pressed Resume."""
        try:
            self._known(run_id)
            self._door.go_on(run_id)
        except StudioError as error:
            return replace(self._sheet(run_id, shown), error=parts.error(str(error)))
        self._observer.attach(run_id)
        return replace(self._sheet(run_id, shown), stopping=False)

    def picture(self, run_id: str, name: str) -> bytes | None:
        """Read a picture that the ledger lists for a run, if it is still what was made."""
        try:
            images = self._known(run_id).images
            image = next((image for image in images if image.path.name == name), None)
            return None if image is None else read_inside(image.path.parent, name, sha256=image.sha256)
        except StudioError:
            return None

    def _known(self, run_id: str) -> Design:
        if not RUN_ID.fullmatch(run_id):
            raise UsageError(f"unknown run {run_id[:60]!r}; pick one from the past designs")
        return self._door.open_run(run_id)

    def _blank(self, error: str = "") -> Sheet:
        fresh = dict.fromkeys(PIECES, "") | {"status": error + parts.empty(), "past": self._past("")}
        return Sheet(run_id="", pieces=fresh, shown=changed(fresh, {})[1])

    def _past(self, run_id: str) -> str:
        try:
            return parts.past(self._door.runs(), run_id)
        except StudioError as error:
            return parts.error(str(error))

    def _sheet(self, run_id: str, shown: Mapping[str, str], *, fill: bool = False) -> Sheet:
        view: View = self._observer.view(run_id)
        fresh = {
            "status": parts.status(view),
            "pictures": results.pictures(view),
            "card": results.card(view),
            "talk": parts.conversation(view),
        }
        if shown.get("of") != f"{run_id} {view.status}":
            fresh["past"] = self._past(run_id)
        pieces, after = changed(fresh, shown)
        return Sheet(
            run_id=run_id,
            pieces=pieces,
            shown=after | {"of": f"{run_id} {view.status}"},
            running=not view.over or self._observer.watches(run_id),
            resumable=view.status in STOPPED,
            brief=str(view.brief.get("text", "")) if fill else None,
            inspirations=", ".join(view.brief.get("inspirations", [])) if fill else None,
        )
