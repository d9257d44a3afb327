from __future__ import annotations

import json
import re
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from langchain_core.messages import HumanMessage, SystemMessage
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from agents.documents import ImagePrompt, MaterialDesign
from models.chat.local import LocalChat
from models.filling.drafts import Ask, Draft, write
from models.filling.fill import fill
from models.filling.pen import mended, ranked
from models.filling.questions import question
from models.filling.shots import Shots
from models.filling.slots import lay_out
from workspace.errors import DataError, UsageError

pytest_plugins = ["tests.fixtures_local"]
TALK = [SystemMessage("You know materials."), HumanMessage("Write down the layer that carries the load.")]


def never(text: str) -> str:
    raise ValueError("is never right")


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Named(BaseModel):
    """Whose answers say whether its word is the one that is asked for."""

    word: Literal["leaf", "web", "bone"]
    leaf: Literal["yes", "no"]
    web: Literal["yes", "no"]
    other: Literal["yes", "no"]

    @classmethod
    def follows(cls, path: Any, values: Any) -> tuple[str, ...] | None:
        if path[-1] not in ("leaf", "web") or ("word",) not in values:
            return None
        return ("yes",) if values["word",] == path[-1] else ("no",)


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=3, max_length=60, json_schema_extra={"x-text": "name"})
    role: str = Field(min_length=10, max_length=200, json_schema_extra={"x-ask": "What does the {name} do?"})


class Everything(BaseModel):
    model_config = ConfigDict(extra="forbid")
    title: str = Field(min_length=3, max_length=60, description="A title")
    text: str = Field(min_length=10, max_length=300, json_schema_extra={"x-text": "sentence", "x-lead": "The layer"})
    long: str = Field(min_length=10, max_length=600, json_schema_extra={"x-text": "prompt"})
    unit: Literal["mm", "nm"]
    level: Literal[1, 2, 3]
    colour: Colour
    strong: bool
    count: int = Field(ge=2, le=9)
    share: float = Field(ge=0, le=100)
    code: str = Field(pattern=r"^[A-C]{2}[0-9]{2}$")
    parts: list[Part] = Field(min_length=2, max_length=2)
    steps: list[Annotated[str, Field(min_length=10, max_length=200)]] = Field(min_length=1, max_length=5)
    note: str | None = Field(default=None, max_length=200)
    kept: int = 7


class TestAnyClass:
    def test_every_kind_of_leaf_is_written_validly(self, tiny_chat: LocalChat) -> None:
        done = fill(tiny_chat, TALK, Everything, 11)
        value = done.value
        assert value == Everything.model_validate_json(done.raw)
        assert value.text.startswith("The layer") and value.text[-1] in ".!?"
        assert len(value.steps) in (1, 2, 3) and len(set(value.steps)) == len(value.steps)
        assert value.parts[0].name != value.parts[1].name
        assert value.kept == 7

    @pytest.mark.parametrize("word", ["leaf", "web", "bone"])
    def test_what_follows_from_other_fields_is_not_asked(self, tiny_chat: LocalChat, word: str) -> None:
        told = fill(tiny_chat, TALK, Named, 1, hints={"word": [word]}).value
        assert (told.leaf, told.web) == tuple("yes" if name == word else "no" for name in ("leaf", "web"))

    def test_the_same_seed_gives_the_same_document(self, tiny_chat: LocalChat) -> None:
        first = fill(tiny_chat, TALK, Everything, 5)
        assert first == fill(tiny_chat, TALK, Everything, 5)
        assert first.raw != fill(tiny_chat, TALK, Everything, 6).raw

    def test_the_documents_of_the_studio(self, tiny_chat: LocalChat) -> None:
        told: list[str] = []
        hints = {"inspirations.name": ["nacre", "spider silk"]}
        design = fill(tiny_chat, TALK, MaterialDesign, 3, on_text=told.append, hints=hints).value
        assert [source.name for source in design.inspirations] == ["nacre", "spider silk"]
        assert any(line.startswith("components[0].role: ") for line in told)
        prompt = fill(tiny_chat, TALK, ImagePrompt, 3, hints={"palette": ["gold on black"]}).value
        assert prompt.palette == "gold on black"

    def test_text_holds_no_syntax(self, tiny_chat: LocalChat) -> None:
        for seed in range(3):
            raw = fill(tiny_chat, TALK, MaterialDesign, seed).value.model_dump()
            for text in re.findall(r'"((?:[^"\\]|\\.)*)"', json.dumps(raw)):
                assert not re.search(r'[\\"{}\[\]<>*_|`#]', text)
                assert not re.search(r"\d{5}", text)


class TestHints:
    def test_several_values_for_a_plain_field_are_choices(self, tiny_chat: LocalChat) -> None:
        value = fill(tiny_chat, TALK, Part, 1, hints={"name": ["thin wall", "inner mesh"]}).value
        assert value.name in ("thin wall", "inner mesh")

    def test_a_value_that_the_field_refuses_is_an_error(self, tiny_chat: LocalChat) -> None:
        with pytest.raises(DataError, match="name"):
            fill(tiny_chat, TALK, Part, 1, hints={"name": ["x"]})

    def test_an_item_can_be_named_alone(self, tiny_chat: LocalChat) -> None:
        class Pair(BaseModel):
            parts: list[Part] = Field(min_length=2, max_length=2)

        value = fill(tiny_chat, TALK, Pair, 1, hints={"parts.name": ["outer shell", "inner core"]}).value
        assert [part.name for part in value.parts] == ["outer shell", "inner core"]


class TestRefusals:
    def test_a_field_that_nothing_satisfies_is_named(self, tiny_chat: LocalChat) -> None:
        def never(text: str) -> str:
            raise ValueError("is never right")

        class Inner(BaseModel):
            text: Annotated[str, Field(max_length=100), AfterValidator(never)]

        class Outer(BaseModel):
            inner: Inner

        with pytest.raises(DataError, match=r"inner\.text"):
            fill(tiny_chat, TALK, Outer, 1)

    def test_a_text_that_says_a_sibling_again_is_better_than_no_document(self, tiny_chat: LocalChat) -> None:
        class Twins(BaseModel):
            first: str = Field(pattern="^AB$")
            second: str = Field(pattern="^AB$")

        assert fill(tiny_chat, TALK, Twins, 1).value == Twins(first="AB", second="AB")

    @pytest.mark.parametrize("asked", [True, False])
    def test_a_field_that_owes_a_source_names_it(self, tiny_chat: LocalChat, asked: bool) -> None:
        class Sourced(BaseModel):
            word: str = Field(pattern="^(layer|load)$", json_schema_extra={"x-sources": asked})
            sources: list[Part] = Field(min_length=1, max_length=1)

        hints, shots = {"sources.name": ["load"]}, Shots("A layer after the load.", ())
        words = {fill(tiny_chat, TALK, Sourced, seed, hints=hints, shots=shots).value.word for seed in range(3)}
        assert words == {"load"} if asked else "layer" in words

    def test_repairs_are_counted(self, tiny_chat: LocalChat) -> None:
        seen: list[str] = []

        def third_time(text: str) -> str:
            seen.append(text)
            if len(seen) < 9:
                raise ValueError("not yet")
            return text

        class Once(BaseModel):
            text: Annotated[str, Field(min_length=5, max_length=200), AfterValidator(third_time)]

        assert fill(tiny_chat, TALK, Once, 1).repairs > 0

    def test_validators_of_the_class_decide_too(self, tiny_chat: LocalChat) -> None:
        class Upper(BaseModel):
            name: str = Field(min_length=3, max_length=60)

            @field_validator("name")
            @classmethod
            def _loud(cls, name: str) -> str:
                return name.upper()

        assert fill(tiny_chat, TALK, Upper, 1).value.name.isupper()

    def test_an_optional_field_may_stay_empty_and_a_long_list_shorter(self, tiny_chat: LocalChat) -> None:
        def never(text: str | None) -> str | None:
            if text is not None:
                raise ValueError("is never right")
            return text

        class Loose(BaseModel):
            note: Annotated[str | None, AfterValidator(never)] = None
            items: list[Annotated[str, Field(max_length=60), AfterValidator(never)]] = Field(max_length=3)

        value = fill(tiny_chat, TALK, Loose, 1).value
        assert value.items == [] and value.note is None

    def test_a_mapping_cannot_be_written(self) -> None:
        class Free(BaseModel):
            table: dict[str, Any]

        with pytest.raises(UsageError, match="table"):
            lay_out(Free)


class TestDrafts:
    def test_a_draft_stays_inside_its_grammar(self, tiny_chat: LocalChat) -> None:
        from models.decoder.engine import Tape

        tape = Tape(tiny_chat.engine)
        tape.read(tiny_chat.engine.encode("The layer"))
        asks = [Ask(" holds", r" [a-z]{2,6} [a-z]{2,6}\.", 30, seed) for seed in range(5)]
        drafts = write([tape], asks)
        assert all(re.fullmatch(r" [a-z]{2,6} [a-z]{2,6}\.", draft.text) for draft in drafts if draft.ended)
        assert any(draft.ended for draft in drafts)
        assert drafts == write([tape], asks)

    def test_a_pattern_that_is_none_is_told(self, tiny_chat: LocalChat) -> None:
        from models.decoder.engine import Tape

        tape = Tape(tiny_chat.engine)
        tape.read([5])
        with pytest.raises(DataError, match="pattern"):
            write([tape], [Ask("x", "(((", 5, 1)])

    def test_questions_carry_the_siblings(self) -> None:
        slot = next(slot for slot in lay_out(Part).slots if slot.path == ("role",))
        assert question(slot, {("name",): "Outer shell"}).ask == "What does the outer shell do?"


class TestRanking:
    @pytest.mark.parametrize(
        "text",
        [
            "Silk, bone, spider silk, bone.",
            "Silk, bone, hemp, spider silk, bone and hemp.",
            "Silk on silk on silk.",
            "A resinous resinous mat.",
        ],
    )
    def test_names_strung_together_are_no_sentence(self, text: str) -> None:
        slot = next(slot for slot in lay_out(Everything, {}).slots if slot.where == "text")
        shots = Shots("About silk and bone.", ())
        whole = "Silk, bone and glass are wound into one rope that bends."
        drafts = [Draft(text, True, 9.0), Draft(whole, True, 0.0)]
        assert ranked(shots, slot, drafts, lambda text: 0.0) == [whole]


class TestMending:
    @pytest.mark.parametrize(
        ("text", "ended", "whole"),
        [
            (
                "Fine ribs carry the load along the crack and the fib",
                False,
                "Fine ribs carry the load along the crack.",
            ),
            ("Fine ribs carry the load.", True, "Fine ribs carry the load."),
            ("Fine ribs carry", False, None),
        ],
    )
    def test_a_sentence_without_an_end_gets_one(self, text: str, ended: bool, whole: str | None) -> None:
        slot = next(slot for slot in lay_out(Everything, {}).slots if slot.where == "text")
        assert mended(Shots("About ribs.", ()), slot, Draft(text=text, ended=ended)) == whole

    def test_an_example_is_never_said_again(self) -> None:
        slot = next(slot for slot in lay_out(Everything, {}).slots if slot.where == "text")
        told = "Fine ribs carry the load along the crack."
        shots = Shots("About silk.", (("About ribs.", {"text": told}),))
        assert mended(shots, slot, Draft(told, True)) is None
