"""Conversations for templates and servers that know no system turn or want turns to alternate."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from models.decoder.turns import alternating, without_system

CONTENTS = st.one_of(st.text(max_size=8), st.just([{"type": "image_url", "image_url": {"url": "data:"}}]))
TURNS = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant"]), "content": CONTENTS}), max_size=8
)


def _said(turns: list[dict[str, Any]]) -> str:
    parts = [turn["content"] for turn in turns]
    flat = [part if isinstance(part, str) else "".join(one.get("text", "*") for one in part) for part in parts]
    return "".join("".join(flat).split())


def _turns(*pairs: tuple[str, Any]) -> list[dict[str, Any]]:
    return [{"role": role, "content": content} for role, content in pairs]


def test_what_the_system_says_goes_into_the_first_user_turn() -> None:
    turns = _turns(("system", "Be brief."), ("user", "Hello"), ("assistant", "Hi"), ("user", "More"))
    found = without_system(turns)
    assert found == _turns(("user", "Be brief.\n\nHello"), ("assistant", "Hi"), ("user", "More"))
    assert turns[1]["content"] == "Hello"
    picture = {"type": "image_url", "image_url": {"url": "data:"}}
    seen = without_system(_turns(("system", "Judge."), ("user", [picture])))
    assert seen == _turns(("user", [{"type": "text", "text": "Judge."}, picture]))
    assert without_system(_turns(("system", "Be brief."))) == _turns(("user", "Be brief."))


@given(TURNS)
def test_nothing_is_left_out_and_turns_alternate(turns: list[dict[str, Any]]) -> None:
    plain = without_system(turns)
    found = alternating(plain)
    assert all(turn["role"] != "system" for turn in plain)
    assert [turn["role"] for turn in found] == [("user", "assistant")[place % 2] for place in range(len(found))]
    said, told = sorted(_said(turns)), _said(found)
    if plain and found[0]["content"] == "Go on." and plain[0]["role"] == "assistant":
        told = told.removeprefix("Goon.")
    assert sorted(told) == said
