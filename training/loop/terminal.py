"""Progress of a training as lines on stdout, for the trainings that are started by ``python -m``."""

from __future__ import annotations

from workspace.progress import Progress, Remark, StageFinished, StageStarted, TrainingStep


def show(event: Progress) -> None:
    """Print what a training tells of itself."""
    name = f"{event.stage}: " if event.stage else ""
    match event:
        case TrainingStep():
            line = f"step {event.step} of {event.of}, loss {event.loss:g}"
            line += f", held out {event.held_out:g}" if event.held_out is not None else ""
            line += f", {event.seconds_a_step:.3g} s a step" if event.seconds_a_step is not None else ""
            line += f", {event.left_s:.0f} s left" if event.left_s is not None else ""
        case StageStarted():
            line = event.doing
        case StageFinished():
            line = "done" if event.made else "done before"
        case Remark():
            line = event.text
        case _:
            line = event.model_dump_json(exclude_defaults=True)
    print(f"{name}{line}", flush=True)
