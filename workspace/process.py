"""How a process of Studio's behaves towards what else runs here. Knows environment variables, nothing more."""

from __future__ import annotations

import os

MANNERS = {
    "TOKENIZERS_PARALLELISM": "false",  # tokenizers warns after every fork otherwise
    "OMP_WAIT_POLICY": "PASSIVE",  # threads that spin while they wait halve the speed beside any busy program
}


def mind_manners() -> None:
    """Set what the user has not set; must come before torch is imported."""
    for name, value in MANNERS.items():
        os.environ.setdefault(name, value)
