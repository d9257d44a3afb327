"""Everything that a batch's folder tells of it, written together: record, results, failures, contact sheet, table."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from studio.batching.results import Reason, write_failures, write_results
from studio.batching.shapes import MANIFEST, BatchManifest
from studio.batching.sheet import write_sheet
from studio.batching.table import write_table
from workspace.files import publish
from workspace.progress import Tell, silent, waiting

if TYPE_CHECKING:
    from studio.batching.store import BatchStore

OFTEN = 30.0
"""Seconds between two writings while a batch goes on, at least."""

_SHARE = 20


def write_reports(store: BatchStore, manifest: BatchManifest, tell: Tell = silent) -> list[Reason]:
    """Write all that a batch's folder tells of it, each file whole.

    Args:
        store: The batch's items.
        manifest: The batch's record, as it stands now.
        tell: Takes remarks.

    Returns:
        What failed, by reasons, the most frequent first.
    """
    with waiting("writing the results"):
        publish(store.folder / MANIFEST, manifest.model_dump_json(indent=2) + "\n")
        write_results(store)
        reasons = write_failures(store)
        write_sheet(store, manifest, reasons, tell)
        write_table(store.folder, tell)
    return reasons


class Pace:
    """When to write again while a batch goes on: often, and for a twentieth of the time at most."""

    def __init__(self) -> None:
        self._next = time.monotonic() + OFTEN

    @property
    def due(self) -> bool:
        """Whether it is time."""
        return time.monotonic() >= self._next

    def wrote(self, began: float) -> None:
        """Note that they were written.

        Args:
            began: When that began, by ``time.monotonic``.
        """
        now = time.monotonic()
        self._next = now + max(OFTEN, _SHARE * (now - began))
