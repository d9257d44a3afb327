"""A local model with eyes: what it sees changes what it says; faults are one clear line."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from langchain_core.messages import BaseMessage, HumanMessage
from PIL import Image
from pydantic import BaseModel, Field

from models.chat.choose import chat_model
from models.chat.structured import structured
from models.chat.vision import VisionChat
from models.encoders.eyes import Eyes, Shape, as_input, base_of, decoded, lay_eyes, load_eyes
from workspace.errors import DataError, UsageError
from workspace.settings import ChatSettings, RoleCall, SamplingSettings

pytest_plugins = ["tests.fixtures_local"]


@pytest.fixture
def seeing(word_llama: Path, tiny_adapter: Callable[..., Path]) -> Path:
    """A folder with an adapter of the tiny model and eyes for it."""
    folder = tiny_adapter()
    torch.manual_seed(0)
    shape = Shape(base=str(word_llama), size=32, patch=8, width=16, layers=1, heads=2, hidden=24, tokens=4, words=64)
    eyes = Eyes(shape)
    with torch.no_grad():
        eyes.connector[3].weight.mul_(30)  # so that two pictures look different to an untrained model
    lay_eyes(eyes, folder)
    return folder


def model(folder: Path, home: Path) -> VisionChat:
    chat = ChatSettings(model=str(folder), dtype="float32", device="cpu")
    made = chat_model(RoleCall(chat=chat, sampling=SamplingSettings(max_tokens=12)), home, seed=1)
    assert isinstance(made, VisionChat)
    return made


def url(seed: int, kind: str = "PNG", size: int = 48) -> str:
    pixels = np.random.default_rng(seed).integers(0, 255, (size, size, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"


def shown(*urls: str, text: str = "What does the layer do?") -> list[BaseMessage]:
    blocks: list[Any] = [{"type": "text", "text": text}]
    blocks += [{"type": "image_url", "image_url": {"url": one}} for one in urls]
    return [HumanMessage(blocks)]


def test_a_picture_changes_the_answer_and_the_same_one_does_not(seeing: Path, tmp_path: Path) -> None:
    chat = model(seeing, tmp_path)
    answers = [chat.invoke(shown(url(seed)), seed=3).text for seed in range(6)]
    assert len(set(answers)) > 1
    assert answers[2] == chat.invoke(shown(url(2)), seed=3).text
    assert chat.invoke([HumanMessage("What does the layer do?")], seed=3).text


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_usual_picture_files_are_read(seeing: Path, tmp_path: Path, kind: str) -> None:
    tape = model(seeing, tmp_path).begun(shown(url(1, kind), url(2, kind)))
    assert len(tape.ids) == 8


class Judgement(BaseModel):
    """What is seen."""

    density: Literal["open", "dense"]
    fit: int = Field(ge=1, le=10)


def test_a_document_is_filled_from_a_picture(seeing: Path, tmp_path: Path) -> None:
    chat = model(seeing, tmp_path)
    found = [structured(chat, Judgement, shown(url(seed)), seed=1).value for seed in range(8)]
    assert all(1 <= one.fit <= 10 for one in found)
    assert found[0] == structured(chat, Judgement, shown(url(0)), seed=1).value
    assert len({one.model_dump_json() for one in found}) > 1


@pytest.mark.parametrize(
    ("given", "fault", "words"),
    [
        ("https://example.org/a.png", UsageError, "from data URLs, not from"),
        ("data:image/png;base64,???", DataError, "not base64"),
        ("data:image/png;base64,AAAA", DataError, "cannot read the picture"),
    ],
)
def test_a_picture_that_cannot_be_read_is_one_line(
    seeing: Path, tmp_path: Path, given: str, fault: type[Exception], words: str
) -> None:
    with pytest.raises(fault, match=words):
        model(seeing, tmp_path).invoke(shown(given))


def test_too_many_pictures_are_refused(seeing: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="5 pictures in one conversation; this model sees at most 4"):
        model(seeing, tmp_path).invoke(shown(*[url(1)] * 5))


def test_a_huge_picture_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.encoders.eyes.MOST_PIXELS", 1000)
    with pytest.raises(DataError, match="48x48 pixels; at most 1000"):
        decoded(base64.b64decode(url(1).partition(",")[2]))


def test_eyes_belong_to_one_width_and_are_whole(seeing: Path, tmp_path: Path) -> None:
    assert load_eyes(seeing, 64).shape.tokens == 4
    with pytest.raises(DataError, match="width 64, not 576"):
        load_eyes(seeing, 576)
    (seeing / "config.json").write_text(json.dumps({"model_type": "studio-eyes", "size": 0}))
    with pytest.raises(DataError, match="cannot read the eyes"):
        load_eyes(seeing, 64)


def test_only_a_folder_of_eyes_has_a_base(seeing: Path, word_llama: Path, tmp_path: Path) -> None:
    assert base_of(seeing) == str(word_llama)
    assert base_of(word_llama) is None and base_of(tmp_path) is None
    (tmp_path / "config.json").write_text("no json")
    assert base_of(tmp_path) is None


def test_pictures_of_any_size_come_in_one_size() -> None:
    images = [Image.new("RGB", (300, 200), "red"), Image.new("L", (20, 40), 255)]
    seen = as_input(images, 32)
    assert seen.shape == (2, 3, 32, 32)
    assert seen[1].min() == 1 and seen[0, 0].min() == 1 and seen[0, 1].max() == -1
