"""From which run a run was branched, as its record tells. Knows records; branches nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workspace.errors import StudioError
from workspace.ledger import Ledger, RunRow

_DEPTH = 64


def parent_of(row: RunRow) -> Mapping[str, Any]:
    """From which run a run was branched, as ``run``, and what else its record says of that; empty where it was not.

    Args:
        row: The run's.
    """
    found = row.settings.get("branch")
    parent = found.get("parent") if isinstance(found, dict) else None
    return found | {"run": parent} if isinstance(found, dict) and isinstance(parent, str) and parent else {}


def root_of(ledger: Ledger, row: RunRow) -> str:
    """The run that a run's family begins with.

    Args:
        ledger: Where the runs stand.
        row: The run's.
    """
    for _ in range(_DEPTH):
        parent = parent_of(row)
        root, name = parent.get("root"), str(parent.get("run", ""))
        if isinstance(root, str) and root:
            return root
        if not name or name == row.run_id:
            break
        try:
            row = ledger.run(name)
        except StudioError:
            return name
    return row.run_id
