import pytest
from hypothesis import given
from hypothesis import strategies as st

from workspace.errors import (
    DataError,
    Interrupted,
    ServiceError,
    StorageError,
    StudioError,
    Unfinished,
    UsageError,
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
