"""Programs: the shipped ones render, and whatever is wrong with a file is told with its line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agents.documents import Brief
from agents.programs import DEFAULT, Program, load_program, parse, render, shipped
from workspace.errors import DataError, UsageError

FEW = settings(deadline=None, max_examples=60)

GOOD = """\
name: mine
description: A program of my own
system: You are a careful {{ target }} designer.
turns:
  - label: First
    text: |
      Say what {{ first }} is.
      Then relate it to {{ second }}.
  - label: Second
    text: Sum up {{ brief }}.
"""


def test_four_programs_are_shipped_and_render() -> None:
    programs = shipped()
    assert set(programs) == {"relate-and-design", "microstructure", "architecture", "city"}
    assert DEFAULT in programs
    for name, program in programs.items():
        assert program.name == name
        for inspirations in (["silk"], ["silk", "collagen"], ["silk", "collagen", "leaves"]):
            brief = Brief(text="a tough panel", inspirations=inspirations)
            script = render(program, brief, inspirations)
            assert len(script.turns) == len(program.turns)
            spoken = "\n".join(script.turns)
            assert all(word in spoken for word in [*inspirations, "a tough panel"])
            assert "{" not in spoken + script.system


def test_a_file_of_ones_own_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD, encoding="utf-8")
    program = load_program(str(path))
    script = render(program, Brief(text="a bridge"), ["bone"])
    assert script.turns[0] == "Say what bone is.\nThen relate it to bone."
    path.write_text(GOOD.replace("First", "Begin"), encoding="utf-8")
    assert load_program(str(path)).turns[0].label == "Begin"


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("{{ second }}", "{{ secnd }}", 8, "undefined variable 'secnd'; choices: brief, first"),
        ("{{ brief }}", "{{ brief ", 10, "turns.1.text: expected"),
        ("{{ brief }}", "{{ brief.nothing.at_all }}", 10, "no attribute 'nothing'"),
        ("{{ first }}", "{{ inspirations[5] }}", 7, "no element 5"),
        ("{{ first }}", "{{ 1 // 0 }}", 7, "zero"),
        ("{{ first }}", "{% include 'x' %}", 7, "x"),
        ("{{ first }}", "{{ brief.__class__.__mro__ }}", 7, "unsafe"),
        ("name: mine", "name: Mine!", 1, "name: "),
        (
            "description:",
            "descripton:",
            2,
            "unknown key 'descripton'; did you mean 'description'? choices: description",
        ),
        ("  - label: Second", "  - titel: Second", 9, "turns.1: unknown key 'titel'; choices: label, text"),
        ("turns:", "turns: {", 5, "expected the node content"),
        ("system: You", "name: You", 3, "the key 'name' stands twice"),
        ("  - label: First", "\t- label: First", 5, "cannot start any token"),
        ("description: A", "description: &a [*a] A", 2, ""),
        ("name: mine", "name: mi\x07ne", 1, "character"),
        ("    text: Sum up {{ brief }}.", "    text: '  '", 10, "turns.1.text"),
    ],
)
def test_a_fault_is_told_with_file_and_line(old: str, new: str, line: int, words: str) -> None:
    assert old in GOOD
    with pytest.raises(DataError) as caught:
        parse(GOOD.replace(old, new, 1).encode(), "my.yaml")
    message = str(caught.value)
    assert message.startswith("my.yaml:") and words in message
    assert message.split(":")[1] == str(line), message
    assert "\n" not in message


NO_PROGRAM = [b"", b"\xff\xfe", b"a: \xc3", b"[" * 5000, b"- 1", b"x: &a [*a]", b"\x00", b"--- a\n--- b"]


@pytest.mark.parametrize("data", NO_PROGRAM)
def test_what_is_no_program_is_told(data: bytes) -> None:
    with pytest.raises(DataError, match=r"^bad\.yaml:\d+: "):
        parse(data, "bad.yaml")


def test_unknown_programs_name_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'relate-and-design'"):
        load_program("relate-and-desing")
    for missing in ("nothing-here.yaml", "a\x00b.yaml", "x" * 5000, "", "setup.py/x.yaml"):
        with pytest.raises(UsageError):
            load_program(missing)


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    path.write_bytes(b"#" * 200_000)
    with pytest.raises(DataError, match="larger than"):
        load_program(str(path))


def _only_data_errors(data: bytes) -> None:
    try:
        program = parse(data, "any.yaml")
    except DataError as error:
        assert re.match(r"any\.yaml:\d+: ", str(error)), str(error)
        assert "\n" not in str(error)
    else:
        assert isinstance(program, Program)


@FEW
@given(st.binary(max_size=300))
def test_any_bytes_give_a_program_or_one_line(data: bytes) -> None:
    _only_data_errors(data)


@FEW
@given(st.text(alphabet="abc:-[]{}#&*!|>'\"%@,?\n\t {}", max_size=200))
@example("? [a]\n: b")
@example("!!python/object:os.system x")
def test_any_text_gives_a_program_or_one_line(text: str) -> None:
    _only_data_errors(text.encode())


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@FEW
@given(st.dictionaries(st.sampled_from(["name", "description", "system", "turns", "target", "x"]), JSONISH, max_size=6))
def test_any_values_give_a_program_or_one_line(values: dict[str, object]) -> None:
    _only_data_errors(yaml.safe_dump(values, allow_unicode=True).encode("utf-8", "replace"))


@FEW
@given(st.text(alphabet="{}%#abirst_.|()[]'\"0123 \n-+*/~,=", max_size=60))
@example("{% for x in inspirations %}{{ x }}{% endfor %}")
@example("{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1) }}")
@example("{{ 9 ** 9 ** 9 }}")
@example("{{ 'a' * 999999999999 }}")
@example("{% for i in range(999999999) %}{% endfor %}")
@example("{{ '%999999999999d' % 1 }}")
@example("{{ inspirations.append(1) }}")
@example("{{ self.x() }}")
@example("{% extends 'a' %}")
@example("{{ loop.index }}")
def test_any_template_gives_a_program_or_one_line(text: str) -> None:
    values = {"name": "any", "description": "any", "system": text, "turns": [{"label": "ab", "text": "say"}]}
    _only_data_errors(yaml.safe_dump(values).encode())
