"""Typed progress: every event has a place in the log, comes back from JSON as it was, and carries its stage's name."""

from __future__ import annotations

from typing import get_args

from workspace.events import EVENT, Event
from workspace.progress import PROGRESS, Downloaded, Progress, Remark, RowsPrepared, TrainingStep, in_stage

EVENTS: list[Progress] = [
    TrainingStep(step=1, of=2, loss=0.5),
    RowsPrepared(rows=3, tokens=40, truncated=0.0),
    Downloaded(file="a", bytes=1, of=0),
    Remark(text="a word"),
]


def test_the_log_knows_every_event_of_progress() -> None:
    assert set(get_args(get_args(Progress)[0])) <= set(get_args(get_args(Event)[0]))


def test_events_come_back_from_json() -> None:
    for event in EVENTS:
        line = event.model_dump_json()
        assert PROGRESS.validate_json(line) == event == EVENT.validate_json(line)


def test_a_stage_puts_its_name_on_every_event() -> None:
    heard: list[Progress] = []
    for event in EVENTS:
        in_stage(heard.append, "sft")(event)
    assert [event.model_copy(update={"stage": ""}) for event in heard] == EVENTS
    assert {event.stage for event in heard} == {"sft"}
