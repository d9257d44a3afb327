"""What can be done with what a run made: another line of it begun, a picture kept, an opinion left. Plain data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Can:
    """What is offered beside what is shown.

    Attributes:
        branch: Another line of the run may be begun from a step.
        keep: A picture may be held for the best.
        rate: An opinion may be left.
    """

    branch: bool = False
    keep: bool = False
    rate: bool = False


NOTHING = Can()
