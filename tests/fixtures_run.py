"""Scripted stand-ins for tests: a chat model that answers from a script and a painter that paints at once."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableLambda
from PIL import Image
from pydantic import BaseModel, Field, PrivateAttr

from agents.kit import Kit
from agents.programs import load_program
from workspace.events import Event

COLOURS = ("amber", "cobalt", "ivory", "jade", "ochre", "pearl", "ruby", "slate")
VOCABULARY = {
    "vocabulary": {
        "leaf": ["leaf venation", "reticulate leaf veins", "branching lines"],
        "web": ["spider orb web", "dragline silk web", "radial lines crossed by a spiral"],
        "honeycomb": ["honeycomb", "regular hexagons"],
        "collagen": ["wavy collagen fibres", "a stack of waves"],
    },
    "palettes": {"emerald": ["emerald green on cream"], "gold": ["gold on black", "amber on black"]},
    "densities": {"open": ["open and airy"], "medium": ["medium density"], "dense": ["dense with thick walls"]},
    "attributes": ["open and airy", "medium density", "dense with thick walls", "large cells"],
}


def colour(seed: int) -> str:
    return COLOURS[seed % len(COLOURS)]


def text_of(messages: Sequence[BaseMessage]) -> str:
    return str(messages[-1].text) if messages else ""


def design(messages: Sequence[BaseMessage], seed: int) -> dict[str, Any]:
    found = re.search(r"^Inspirations: (.+)$", text_of(messages), re.MULTILINE)
    names = found.group(1).split(", ") if found else ["collagen", "leaves"]
    return {
        "title": f"{colour(seed).capitalize()} weave laminate",
        "summary": "A laminate that joins wavy fibres with a branching mesh so that cracks turn aside.",
        "inspirations": [
            {"name": name, "feature": "branching mesh", "principle": "Loops carry load around damage when one is cut."}
            for name in names
        ],
        "components": [
            {"name": "fibre layer", "material": "silk protein", "role": "It stretches and carries tension."},
            {"name": "mesh layer", "material": "cellulose", "role": "It spreads load sideways around cracks."},
        ],
        "architecture": {"scale": "micrometre", "description": "Wavy fibres lie between two branching meshes."},
        "mechanisms": ["Fibres uncrimp before they break and so take up energy."],
        "properties": [
            {"name": "toughness", "value": 12.5, "unit": "MJ/m3", "basis": "It lies between tendon and leaf tissue."}
        ],
        "fabrication": ["Spin the fibres and press them between printed meshes."],
        "applications": ["protective panels"],
        "risks": ["The layers may part when they are wet for long."],
    }


def image_prompt(messages: Sequence[BaseMessage], seed: int) -> dict[str, Any]:
    return {
        "long": f"Fine {colour(seed)} lines that branch and close into small cells over slow parallel waves.",
        "short": f"fine {colour(seed)} lines over waves",
        "motifs": ["branching lines", "parallel waves"],
        "palette": f"{colour(seed)} on white",
    }


def critique(messages: Sequence[BaseMessage], seed: int) -> dict[str, Any]:
    text = next(str(block["text"]) for block in messages[-1].content if isinstance(block, dict) and "text" in block)
    questions = re.findall(r"^\d+\. (.+)$", text, re.MULTILINE)
    return {
        "sees": {
            "pattern": "lines",
            "second": "none",
            "density": "open",
            "palette": f"{colour(seed)} on white",
            "gradient": "even",
        },
        "seen": f"A {colour(seed)} picture of lines.",
        "checks": [{"question": question, "answer": "yes"} for question in questions],
        "fit": 9,
        "change": "Make the lines thinner.",
    }


Maker = Callable[[Sequence[BaseMessage], int], dict[str, Any]]
MAKERS: dict[str, Maker] = {
    "MaterialDesign": design,
    "ImagePrompt": image_prompt,
    "Verdict": critique,
    "Sources": lambda messages, seed: {"names": ["bone", "bamboo"]},
    "Review": lambda messages, seed: {"verdict": "approve", "comments": "The draft answers the brief well."},
}


class ScriptedChat(BaseChatModel):
    """A chat model for tests: texts and documents come from a script, and differ by role, turn and seed alone.

    ``documents`` maps a schema's name to a list of answers used in turn (the last one stays), or to a maker.
    """

    role: str = "scientist"
    seed: int = 0
    documents: dict[str, Any] = Field(default_factory=dict)
    _used: dict[str, int] = PrivateAttr(default_factory=dict)

    @property
    def _llm_type(self) -> str:
        return "scripted-for-tests"

    def _text(self, messages: Sequence[BaseMessage], seed: int | None) -> str:
        turn = sum(message.type == "human" for message in messages)
        tint = colour(self.seed if seed is None else seed)
        return f"The {self.role} answers turn {turn} in {tint}. The material joins fibres and a mesh."

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        message = AIMessage(self._text(messages, kwargs.get("seed")), response_metadata={"finish_reason": "stop"})
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for word in re.findall(r"\S+\s*", self._text(messages, kwargs.get("seed"))):
            yield ChatGenerationChunk(message=AIMessageChunk(content=word))
        last = AIMessageChunk(content="", response_metadata={"finish_reason": "stop"}, chunk_position="last")
        yield ChatGenerationChunk(message=last)

    def written(self, schema: type[BaseModel], messages: Sequence[BaseMessage], seed: int | None = None) -> Any:
        """What the script holds for a schema, as plain data."""
        given = self.documents.get(schema.__name__, MAKERS.get(schema.__name__))
        if isinstance(given, list):
            used = self._used.get(schema.__name__, 0)
            self._used[schema.__name__] = used + 1
            given = given[min(used, len(given) - 1)]
        return given(messages, self.seed if seed is None else seed) if callable(given) else given

    def with_structured_output(self, schema: Any, *, include_raw: bool = False, **kwargs: Any) -> Runnable[Any, Any]:
        def run(prompt: Any, seed: int | None = None) -> Any:
            messages = self._convert_input(prompt).to_messages()
            made = self.written(schema, messages, kwargs.get("seed") if seed is None else seed)
            if not include_raw:
                return schema.model_validate(made)
            raw = AIMessage(json.dumps(made), response_metadata={"finish_reason": "stop"})
            return {"raw": raw, "parsed": None, "parsing_error": None}

        return RunnableLambda(run)


class InstantPainter:
    """A painter for tests: a tiny picture whose pixels are a hash of prompt and seed."""

    def __init__(self, trigger: str | None = None, vocabulary: Mapping[str, Any] = VOCABULARY, side: int = 64) -> None:
        self.trigger = trigger
        self.side = side
        self.painted: list[Any] = []
        self._vocabulary = vocabulary

    def looks(self, words: str) -> None:
        """It reads nothing."""

    def vocabulary(self) -> Mapping[str, Any]:
        return self._vocabulary

    def spec(
        self, prompt: str, long: str = "", *, long_prompt: str = "", seed: int, size: int | None = None, **_: Any
    ) -> Any:
        from pipelines.pictures.picture import make_spec

        side = size or self.side
        return make_spec(
            prompt=prompt,
            long_prompt=long_prompt or long or prompt,
            seed=seed,
            width=side,
            height=side,
            steps=2,
            guidance=1.0,
            true_cfg=1.0,
            model="instant-for-tests",
            model_fingerprint="0" * 64,
            adapter=None,
            adapter_scale=0.0,
            adapter_fingerprint=None,
            studio_version="0",
        )

    def paint(
        self,
        specs: Sequence[Any],
        on_step: Callable[[int, int], None] | None = None,
        on_notice: Any = None,
        on_preview: Callable[[int, Image.Image], None] | None = None,
    ) -> list[Image.Image]:
        images = []
        for place, spec in enumerate(specs):
            self.painted.append(spec)
            digest = hashlib.sha256(f"{spec.seed}/{spec.prompt}".encode()).digest()
            image = Image.frombytes("RGB", (3, 3), digest[:27]).resize(
                (spec.width, spec.height), Image.Resampling.NEAREST
            )
            images.append(image)
            if on_preview:
                on_preview(place, image)
            for step in (1, 2):
                if on_step:
                    on_step(2 * place + step, 2 * len(specs))
        return images


@dataclass
class Desk:
    """What a graph under test leaves behind: events, the ledger's rows, published pictures."""

    events: list[Event] = field(default_factory=list)
    stored: dict[str, Any] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    computed: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    chats: dict[str, ScriptedChat] = field(default_factory=dict)

    def once(self, key: str, compute: Callable[[], Any], *, kind: str) -> tuple[Any, bool]:
        if key in self.stored:
            return self.stored[key], True
        self.stored[key] = compute()
        self.kinds[key] = kind
        self.computed.append(key)
        return self.stored[key], False

    def publish_picture(self, image: Image.Image, spec: Any, index: int) -> dict[str, Any]:
        path = f"images/{index:02d}.png"
        self.files[path] = image.tobytes()
        digest = hashlib.sha256(image.tobytes()).hexdigest()
        return {"path": path, "seed": spec.seed, "sha256": digest, "pixels_sha256": digest}

    def of(self, kind: str) -> list[Any]:
        """The events of one type."""
        return [event for event in self.events if event.type == kind]

    def kit(
        self, *, documents: dict[str, Any] | None = None, program: str = "relate-and-design", **options: Any
    ) -> Kit:
        """A kit whose models and painter are scripted and whose ledger is this desk."""

        def chat(role: str, seed: int) -> ScriptedChat:
            found = self.chats.setdefault(role, ScriptedChat(role=role, documents=documents or {}))
            found.seed = seed
            return found

        given: dict[str, Any] = {
            "program": load_program(program),
            "seed": 7,
            "chat": chat,
            "structured": scripted_structured,
            "painter": InstantPainter(),
            "once": self.once,
            "emit": self.events.append,
            "publish_picture": self.publish_picture,
            "read_picture": lambda picture: self.files[picture["path"]],
        }
        return Kit(**{**given, **options})


def scripted_structured(
    model: Any,
    schema: type[BaseModel],
    messages: Sequence[BaseMessage],
    *,
    seed: int,
    hints: Any = None,
    on_text: Callable[[str], None] | None = None,
    shots: Any = None,
) -> Any:
    """``models.chat.structured.structured`` for a `ScriptedChat`, without its repairs."""
    value = schema.model_validate(model.written(schema, messages, seed))
    return SimpleNamespace(value=value, repairs=0)


@pytest.fixture
def desk() -> Desk:
    """An empty desk; ``desk.kit(...)`` builds a scripted kit on it."""
    return Desk()


@pytest.fixture
def scripted_profile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> InstantPainter:
    """The whole studio with scripted chat models and an instant painter in place of the real ones."""
    painter = InstantPainter()
    monkeypatch.setattr("models.chat.choose.chat_model", lambda call, home, *, seed=None: ScriptedChat(seed=seed or 0))
    monkeypatch.setattr("models.chat.structured.structured", scripted_structured)
    monkeypatch.setattr("models.chat.choose.describe", lambda call, home: {"model": "scripted-for-tests"})
    monkeypatch.setattr("pipelines.pictures.painter.Painter.load", lambda settings, home: painter)
    return painter
