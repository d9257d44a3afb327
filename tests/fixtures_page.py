"""A front door that only pretends: the page's tests drive it step by step, without a model or a worker."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from studio import Asked, JobSummary, Pace
from studio.runs.record import Design, ImageInfo, RunSummary
from ui.desk.door import Choices, Member
from workspace.errors import UsageError, unknown
from workspace.events import (
    DesignReady,
    Event,
    PictureProgress,
    PictureReady,
    PromptReady,
    RunFinished,
    RunStarted,
    RunStopped,
    StepFinished,
    StepStarted,
    Token,
)
from workspace.files import sha256

DESIGN: dict[str, Any] = {
    "title": "Venous nacre laminate",
    "summary": "A layered panel whose brick-like plates slide on a soft film while branching veins spread the load.",
    "inspirations": [
        {
            "name": "Nacre",
            "feature": "staggered mineral bricks",
            "principle": "Bricks slide a little on a soft layer, so that a crack has to take a long way round.",
        },
        {
            "name": "Leaf venation",
            "feature": "looped hierarchical veins",
            "principle": "Loops carry load and fluid past a damaged place, so that one cut does not end the network.",
        },
    ],
    "components": [
        {"name": "Brick layer", "material": "alumina platelets", "role": "Carries compression and turns cracks aside."},
        {"name": "Soft film", "material": "chitosan", "role": "Lets the plates slide and takes up energy."},
        {"name": "Vein grid", "material": "flax fibre bundles", "role": "Bridges cracks and spreads point loads."},
    ],
    "architecture": {
        "scale": "micrometre",
        "description": "Plates lie in staggered rows between two films; every tenth film holds a net of looped veins.",
    },
    "mechanisms": ["Plates slide and interlock before they break.", "Veins bridge a crack behind its tip."],
    "properties": [
        {"name": "Toughness", "value": 1240, "unit": "J/m2", "basis": "Natural nacre reaches about this figure."},
        {"name": "Porosity", "value": 12.5, "unit": "%", "basis": "Veins leave hollow channels open."},
        {"name": "Poisson ratio", "value": 0.28, "unit": "1", "basis": "Layered ceramics lie near this ratio."},
    ],
    "fabrication": [
        "Freeze-cast the plates into layers.",
        "Infiltrate with chitosan.",
        "Press warm between vein nets.",
    ],
    "applications": ["Helmet shells", "Cladding panels"],
    "risks": ["Water may soften the film.", "Uneven plates may start cracks."],
}
PROMPT: dict[str, Any] = {
    "long": "Rows of thin flat bricks, each shifted by half a length, with fine pale lines between them and branching "
    "loops of darker threads that cross the rows, seen straight from above, in cream and green.",
    "short": "staggered bricks crossed by branching loops, cream and green",
    "motifs": ["staggered bricks", "branching loops"],
    "palette": "cream and green",
}
ANSWER = (
    "Both materials stop cracks by **making them take a longer way**.\n\n"
    "- Nacre stacks hard plates in a soft film.\n- A leaf closes its veins into loops.\n\n"
    "A strain of 0.02 is enough for the plates to slide, and $\\sigma < 3$ MPa in the film."
)


def _paint(path: Path, index: int) -> None:
    picture = Image.linear_gradient("L").resize((128, 128)).rotate(90 * index)
    Image.merge("RGB", (picture, picture.point(lambda v: 255 - v // 2), picture)).save(path)


def story(run_id: str, brief: dict[str, Any], pictures: Path | None = None) -> list[Event]:
    """The events of a short design, in their order; its two pictures are painted into the folder, if one is given."""
    events: list[Event] = [RunStarted(brief=brief, profile="fake", at=time.time())]
    steps = (
        ("scientist", "relate", "Relating the materials", ANSWER),
        (
            "scientist",
            "design",
            "Designing a material from both",
            "Stack plates, film and veins.\n\n1. Plates\n2. Film",
        ),
        ("engineer", "json", "Writing the design down", '{"title": "Venous nacre laminate"}'),
        ("illustrator", "picture", "Turning it into a picture", PROMPT["long"]),
    )
    for role, key, label, text in steps:
        events.append(StepStarted(role=role, key=key, label=label))
        events += [Token(role=role, key=key, text=text[i : i + 40]) for i in range(0, len(text), 40)]
        events.append(StepFinished(role=role, key=key, text=text, seconds=4.2))
        if role == "engineer":
            events.append(DesignReady(design=DESIGN))
    events.append(PromptReady(prompt=PROMPT, round=1))
    events += [PictureProgress(round=1, step=step, steps=8) for step in range(1, 9)]
    for index in range(2):
        name = f"{index:02}.png"
        hashes: dict[str, Any] = {"sha256": "0" * 64, "pixels_sha256": "1" * 64}
        if pictures is not None:
            _paint(pictures / name, index)
            hashes["sha256"] = sha256(pictures / name)
        events.append(PictureReady(round=1, index=index, path=f"images/{name}", seed=700 + index, **hashes))
    events.append(RunFinished(folder="", seconds=33.0))
    return [event.model_copy(update={"run_id": run_id, "seq": i}) for i, event in enumerate(events, 1)]


class FakeDoor:
    """A front door without a house: runs are lists of events that the test lets through with ``let``.

    Args:
        home: Where the pictures of its runs go.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.stories: dict[str, list[Event]] = {}
        self.told: dict[str, int] = {}
        self.asked: list[dict[str, Any]] = []
        self.stopped: list[str] = []
        self.resumed: list[str] = []
        self.skipped: list[str] = []
        self.answers: list[dict[str, Any]] = []
        self.branched: list[dict[str, Any]] = []
        self.held: dict[str, int] = {}
        self.rated: list[tuple[str, ...]] = []
        self.known = Pace()
        self.states: dict[str, str] = {}
        self._made = 0
        self._news = threading.Condition()
        self._closed = False

    def reread(self) -> None:
        """Take the settings as they are now; there are none."""

    def choices(self) -> Choices:
        programs = {"relate-and-design": "Relate two materials, then design", "city": "A city after nature"}
        return Choices(programs, "relate-and-design", 2, 1, {"relate-and-design": 3, "city": 4}, {"model": "writer"})

    def submit(self, brief: str, *, changes: Any = None, **options: Any) -> str:
        if not brief.strip():
            raise UsageError("the brief is empty; say in 3 to 8000 characters what to design")
        self.asked.append({"brief": brief, **options, **({"changes": changes} if changes else {})})
        self._made += 1
        run_id = f"20261121-120000-fake-{self._made:04x}"
        folder = self.home / "runs" / run_id / "images"
        folder.mkdir(parents=True)
        sources = list(options.get("inspirations", ()))
        self.stories[run_id] = story(run_id, {"text": brief, "inspirations": sources}, folder)
        self.told[run_id] = 0
        return run_id

    def let(self, run_id: str, count: int | None = None) -> None:
        """Let the next ``count`` events happen, or all that are left."""
        left = len(self.stories[run_id]) - self.told[run_id]
        with self._news:
            self.told[run_id] += left if count is None else min(count, left)
            self._news.notify_all()

    def let_to(self, run_id: str, kind: str) -> None:
        """Let everything happen up to the next event of a kind."""
        kinds: list[str] = [event.type for event in self.stories[run_id]]
        self.let(run_id, kinds.index(kind, self.told[run_id]) + 1 - self.told[run_id])

    def end(self, run_id: str, status: str, message: str) -> None:
        """End the run where it is."""
        made = self.stories[run_id][: self.told[run_id]]
        stop = RunStopped(run_id=run_id, seq=len(made) + 1, status=status, message=message, exit_code=69)
        self.stories[run_id] = [*made, stop]
        self.let(run_id)

    def forget(self) -> None:
        """Empty the house; ids are never used twice."""
        lists = (self.asked, self.stopped, self.resumed, self.skipped, self.answers, self.branched, self.rated)
        for record in (self.stories, self.told, self.held, self.states, *lists):
            record.clear()

    def close(self) -> None:
        """Send every watcher home."""
        with self._news:
            self._closed = True
            self._news.notify_all()

    def watch(self, run_id: str) -> Iterator[Event]:
        at = 0
        while True:
            with self._news:
                while not self._closed and self.told.get(run_id, 0) <= at:
                    self._news.wait()
                if self._closed:
                    return
                fresh = self.stories[run_id][at : self.told[run_id]]
                at = self.told[run_id]
                last = at == len(self.stories[run_id])
            yield from fresh
            if last:
                return

    def open_run(self, run_id: str) -> Design:
        if run_id not in self.stories:
            raise UsageError(unknown("run", run_id, self.stories))
        folder = self.home / "runs" / run_id
        images = [
            ImageInfo(folder / event.path, event.seed, event.sha256, event.pixels_sha256)
            for event in self.stories[run_id][: self.told[run_id]]
            if isinstance(event, PictureReady)
        ]
        return Design(run_id, self._status(run_id), folder, images=images)

    def again(self, run_id: str) -> str:
        asked = self.asked_for(run_id)
        return self.submit(asked.brief, inspirations=list(asked.inspirations))

    def thumbnail(self, run_id: str, name: str, side: int) -> bytes | None:
        made = next((one.path for one in self.open_run(run_id).images if one.path.name == name), None)
        if made is None:
            return None
        small = io.BytesIO()
        Image.open(made).resize((side // 4, side // 4)).save(small, "WEBP")
        return small.getvalue()

    def asked_for(self, run_id: str) -> Asked:
        if run_id not in self.stories:
            raise UsageError(unknown("run", run_id, self.stories))
        asked = self.asked[list(self.stories).index(run_id)]
        flow = {"images": asked.get("images") or 2, "rounds": asked.get("rounds") or 1}
        return Asked(
            run_id=run_id,
            brief=asked["brief"],
            inspirations=tuple(asked.get("inspirations", ())),
            program=asked.get("program") or "relate-and-design",
            turns=3,
            seed=asked.get("seed") or 41,
            ask=bool(asked.get("ask")),
            choose=bool(asked.get("choose")),
            settings={"flow": flow, "chat": {"model": "writer"}},
        )

    def pace(self) -> Pace:
        return self.known

    def suggest(self, words: str) -> list[Any]:
        from studio import suggest

        return suggest(words)

    def models(self) -> list[Any]:
        return []

    def sample(self) -> str | None:
        return None

    def folder(self, run_id: str) -> Path:
        return self.home / "runs" / run_id

    def job(self, run_id: str) -> JobSummary:
        if run_id not in self.stories:
            raise UsageError(unknown("run", run_id, self.stories))
        state = self.states.get(run_id) or (self._status(run_id) if self.told[run_id] else "queued")
        last = self.stories[run_id][self.told[run_id] - 1] if self.told[run_id] else None
        message = last.message if isinstance(last, RunStopped) else ""
        tries = 1 + self.resumed.count(run_id)
        return JobSummary(run_id, "design", "", state, message, 0, tries, "", 0.0, float(self.told[run_id]))

    def branch(self, run_id: str, at: str, **changes: Any) -> str:
        self.branched.append({"run_id": run_id, "at": at, **changes})
        return self.again(run_id)

    def family(self, run_id: str) -> list[Member]:
        lines = [one["run_id"] for one in self.branched] or [run_id]
        return [Member(name, self._status(name)) for name in dict.fromkeys([*lines, *self.stories])]

    def chosen(self, run_id: str) -> int | None:
        return self.held.get(run_id)

    def keep(self, run_id: str, picture: int | None) -> None:
        self.held.pop(run_id, None)
        if picture is not None:
            self.held[run_id] = picture

    def rate(self, run_id: str, about: str, value: str, reason: str) -> None:
        self.rated.append((run_id, about, value, reason))

    def thumbs(self, run_id: str) -> dict[str, tuple[str, str]]:
        return {about: (value, why) for run, about, value, why in self.rated if run == run_id and value}

    def skip(self, run_id: str) -> None:
        self.skipped.append(run_id)

    def answer(self, run_id: str, **answer: Any) -> bool:
        self.answers.append({"run_id": run_id, **answer})
        return True

    def runs(self) -> list[RunSummary]:
        return [
            RunSummary(name, self._status(name), asked["brief"], time.time() - 90, self.home / "runs" / name)
            for name, asked in reversed(list(zip(self.stories, self.asked, strict=True)))
        ]

    def stop(self, run_id: str) -> bool:
        self.stopped.append(run_id)
        self.end(run_id, "interrupted", "stopped by the user")
        return True

    def go_on(self, run_id: str) -> None:
        self.resumed.append(run_id)
        brief = next(event.brief for event in self.stories[run_id] if isinstance(event, RunStarted))
        self.stories[run_id] += story(run_id, brief, self.home / "runs" / run_id / "images")
        self.let(run_id, 1)

    def _status(self, run_id: str) -> str:
        last = self.stories[run_id][self.told[run_id] - 1] if self.told[run_id] else None
        if isinstance(last, RunStopped):
            return last.status
        return "finished" if isinstance(last, RunFinished) else "running"
