from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workspace.errors import (
    DataError,
    Interrupted,
    ServiceError,
    StorageError,
    StudioError,
    Unfinished,
    UsageError,
    one_line,
    pydantic_fault,
    unknown,
)


@pytest.mark.parametrize(
    "kind, code",
    [
        (StudioError, 1),
        (UsageError, 2),
        (DataError, 65),
        (ServiceError, 69),
        (StorageError, 74),
        (Unfinished, 75),
        (Interrupted, 130),
    ],
)
def test_exit_codes(kind, code):
    error = kind("the model is not here", hint="studio models fetch it")
    assert isinstance(error, StudioError)
    assert error.exit_code == code
    assert str(error) == "the model is not here (studio models fetch it)"
    assert str(kind("no hint")) == "no hint"


def test_unknown_names_the_nearest_and_the_choices():
    assert unknown("program", "citty", ["city", "leaf"]) == (
        "unknown program 'citty'; did you mean 'city'? choices: city, leaf"
    )
    assert unknown("run", "x", []) == "unknown run 'x'; choices: none"
    assert unknown("run", "q", [f"name-{n:02}" for n in range(40)]).endswith("name-11, ...")


@given(st.text(), st.lists(st.text(max_size=20), max_size=20))
def test_unknown_takes_any_text(value, choices):
    assert unknown("thing", value, choices).startswith("unknown thing ")


class _Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    weight: float = Field(1.0, gt=0)


class _Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    parts: list[_Inner] = Field([], max_length=3)
    kind: Literal["one", "two"] = "one"
    word: str | None = Field(None, min_length=2, max_length=10)
    step: Annotated[int, Field(ge=16, multiple_of=16)] | None = None
    named: dict[str, _Inner] | None = None
    source: str = Field("", alias="from")
    needed: int = Field(ge=1, le=100)


def _fault(data: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        _Outer.model_validate(data)
    return pydantic_fault(caught.value, _Outer)


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ({}, "needed: Field required"),
        ({"needed": 1, "form": ""},
         "unknown key 'form'; did you mean 'from'? choices: from, kind, named, needed, parts, step, word"),
        ({"neded": 1},
         "unknown key 'neded'; did you mean 'needed'? "
         "choices: from, kind, named, needed, parts, step, word (and 1 more)"),
        ({"needed": 1, "parts": [{"wight": 1}]},
         "parts.0: unknown key 'wight'; did you mean 'weight'? choices: weight"),
        ({"needed": 1, "named": {"a": {"wight": 1}}},
         "named.a: unknown key 'wight'; did you mean 'weight'? choices: weight"),
        ({"needed": 1, "kind": "b"}, "unknown kind 'b'; choices: one, two"),
        ({"needed": 101}, "needed must be 1 to 100, not 101"),
        ({"needed": 1, "word": "x" * 11}, "word has 11 characters; it may have 2 to 10"),
        ({"needed": 1, "word": ""}, "word has 0 characters; it may have 2 to 10"),
        ({"needed": 1, "step": 100}, "step must be a multiple of 16, not 100; nearest: 96 or 112"),
        ({"needed": 1, "parts": [{}] * 4}, "4 parts given; at most 3"),
        ({"needed": 1, "parts": [{"weight": 0}]}, "parts.0.weight must be more than 0, not 0"),
        ({"needed": 1, "parts": [{"weight": 0}, {"weight": -1}]},
         "parts.0.weight must be more than 0, not 0 (and 1 more)"),
    ],
)  # fmt: skip
def test_a_pydantic_fault_is_one_line(data: dict[str, Any], line: str) -> None:
    assert _fault(data) == line


def test_a_long_value_is_cut() -> None:
    line = _fault({"needed": "x" * 500})
    assert line.startswith("needed: Input should be a valid integer") and line.endswith(" ...") and len(line) < 200


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        (ValueError("two\n  lines"), "two lines"),
        (ValueError(), "ValueError"),
        (ValueError("word " * 100), ("word " * 100)[:196].rstrip() + " ..."),
        ("a text", "a text"),
    ],
)
def test_a_foreign_error_is_one_line(fault: BaseException | str, line: str) -> None:
    assert one_line(fault) == line


def test_an_error_is_one_line_that_no_terminal_obeys() -> None:
    error = DataError("the key 'a\x1b[31m\nb\u202e' is odd", hint="x\ny")
    assert str(error) == "the key 'a\ufffd[31m b\ufffd' is odd (x y)"
