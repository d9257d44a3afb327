"""Every piece that a page may read and every action that it may ask for, by name."""

from __future__ import annotations

from collections.abc import Mapping

from ui.desk import batching, catalogue, comparing, options, queue
from ui.desk.fragments import Action, Reader
from ui.desk.library import marking, seeking, sheet
from ui.desk.run import asking, branching, desk
from ui.desk.training import launching, trained

_PARTS: tuple[tuple[Mapping[str, Reader], Mapping[str, Action]], ...] = (
    (asking.READERS, asking.ACTIONS),
    (batching.READERS, batching.ACTIONS),
    (branching.READERS, branching.ACTIONS),
    (catalogue.READERS, catalogue.ACTIONS),
    (comparing.READERS, comparing.ACTIONS),
    (desk.READERS, desk.ACTIONS),
    (launching.READERS, launching.ACTIONS),
    (options.READERS, options.ACTIONS),
    (queue.READERS, queue.ACTIONS),
    (seeking.READERS, marking.ACTIONS),
    (sheet.READERS, {}),
    (trained.READERS, trained.ACTIONS),
)
READERS: Mapping[str, Reader] = {name: one for readers, _ in _PARTS for name, one in readers.items()}
ACTIONS: Mapping[str, Action] = {name: one for _, actions in _PARTS for name, one in actions.items()}
