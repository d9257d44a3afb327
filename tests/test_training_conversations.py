"""Fixed conversations with any chat model: kept whole, gone on with turn by turn, nothing said twice, measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixtures_chat import Fault, ScriptedServer
from training.evaluation.conversations import prompts
from training.evaluation.conversations.automatic import measure
from training.evaluation.conversations.config import ConversationConfig
from training.evaluation.conversations.hold import hold
from training.evaluation.conversations.kept import conversation_path, read_conversation
from training.evaluation.conversations.quantities import quantities
from training.evaluation.conversations.shapes import Conversation, Turn, digest
from training.evaluation.conversations.speaker import open_speaker
from training.evaluation.conversations.tables import automatic_table
from workspace.errors import DataError, ServiceError, Unfinished, UsageError
from workspace.files import claim
from workspace.progress import Progress, QuestionsAnswered
from workspace.settings import ChatSettings, SamplingSettings

pytest_plugins = ["tests.fixtures_local"]
ONE = ConversationConfig(repeats=1)
TWO = ConversationConfig(topics=("collagen-leaves", "silk-nacre"), repeats=2)


def served(server: ScriptedServer, **more: Any) -> ChatSettings:
    return ChatSettings(model="tiny", server=server.url, retries=0, timeout=5, **more)


def files(home: Path) -> list[Path]:
    return sorted(path for path in (home / "conversations").rglob("*") if path.is_file())


def said(*texts: str, **more: Any) -> Conversation:
    """A conversation with these answers."""
    system, asked = prompts.conversation("collagen-leaves")
    turns = tuple(Turn(asked=one, said=text, seed=1) for one, text in zip(asked, texts, strict=True))
    told: dict[str, Any] = {"model": "m", "fingerprint": "f" * 16, "maker": {"model": "m"}, "topic": "collagen-leaves"}
    told |= {"repeat": 0, "system": system, "sampling": {"max_tokens": 9}, "keys": prompts.wanted_keys(), "wanted": 3}
    return Conversation(**(told | {"turns": turns} | more))


def test_every_model_is_asked_the_same_and_its_own_answers_stand_before_the_next_turn(
    home: Path, openai_server: ScriptedServer
) -> None:
    openai_server.script = ["Both are fibrous.", "A mesh.", '{"name": "x"}']
    (held,) = hold(served(openai_server), ONE, home)
    system, asked = prompts.conversation("collagen-leaves")
    assert [turn.said for turn in held.turns] == ["Both are fibrous.", "A mesh.", '{"name": "x"}']
    assert [turn.asked for turn in held.turns] == list(asked)
    last = openai_server.requests[-1]["messages"]
    assert [one["role"] for one in last] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert [one["content"] for one in last[1:4]] == [asked[0], "Both are fibrous.", asked[1]]
    assert last[0]["content"] == system
    assert "collagen" in asked[0] and "leaves" in asked[0] and all(key in asked[2] for key in prompts.wanted_keys())


def test_the_study_s_sampling_is_the_default_and_what_a_server_is_not_told_is_recorded(
    home: Path, openai_server: ScriptedServer
) -> None:
    (held,) = hold(served(openai_server), ONE, home)
    sampling = {name: held.sampling[name] for name in ("temperature", "top_p", "top_k", "repetition_penalty")}
    assert sampling == {"temperature": 0.3, "top_p": 0.9, "top_k": 512, "repetition_penalty": 1.1}
    assert held.sampling["max_tokens"] == 1024 == openai_server.requests[0]["max_tokens"]
    assert held.not_taken == ("top_k", "repetition_penalty")
    assert "The server was not told: top_k, repetition_penalty" in files(home)[1].read_text()


def test_a_seed_the_server_refuses_is_recorded_too(home: Path, openai_server: ScriptedServer) -> None:
    openai_server.script = [Fault("status", 400, '{"error": {"message": "seed is not supported"}}'), "Fine."]
    (held,) = hold(served(openai_server), ONE, home)
    assert "no seed" in held.not_taken


def test_topics_and_repeats_have_seeds_of_their_own_the_same_for_every_model(
    home: Path, openai_server: ScriptedServer
) -> None:
    one = hold(served(openai_server), TWO, home)
    seeds = [turn.seed for held in one for turn in held.turns]
    assert len(one) == 4 and len(set(seeds)) == 12 and len({held.fingerprint for held in one}) == 4
    other = hold(ChatSettings(model="other", server=openai_server.url), TWO, home)
    assert [turn.seed for held in other for turn in held.turns] == seeds
    assert not {held.fingerprint for held in one} & {held.fingerprint for held in other}
    assert [request["seed"] for request in openai_server.requests[:12]] == seeds


def test_nothing_is_said_twice_and_a_new_name_is_only_a_name(home: Path, openai_server: ScriptedServer) -> None:
    (first,) = hold(served(openai_server), ONE, home)
    openai_server.script = ["Another answer."]
    (again,) = hold(served(openai_server), ONE, home, name="silk model")
    assert len(openai_server.requests) == 3
    assert again.model == "silk model" and again.turns == first.turns
    hold(served(openai_server), ONE.model_copy(update={"seed": 7}), home)
    hold(served(openai_server), ONE.model_copy(update={"sampling": SamplingSettings(temperature=0.2)}), home)
    assert len(openai_server.requests) == 9


def test_a_server_that_goes_away_midway_leaves_whole_turns_and_is_gone_on_with(
    home: Path, openai_server: ScriptedServer
) -> None:
    openai_server.script = ["The first.", "The second.", Fault("drop")]
    with pytest.raises(Unfinished, match="2 of 3 turns are kept") as fault:
        hold(served(openai_server), ONE, home)
    assert fault.value.exit_code == 75
    (path, page) = files(home)
    kept = read_conversation(path)
    assert kept is not None and not kept.whole and [turn.said for turn in kept.turns] == ["The first.", "The second."]
    assert "Not whole yet: 2 of 3" in page.read_text()
    told: list[Progress] = []
    before, openai_server.script = len(openai_server.requests), ["The third."]
    (held,) = hold(served(openai_server), ONE, home, told.append)
    assert [turn.said for turn in held.turns] == ["The first.", "The second.", "The third."]
    assert len(openai_server.requests) == before + 1
    assert told == [QuestionsAnswered(model="tiny", answered=3, of=3)]


def test_a_server_that_is_not_there_is_told_as_such(home: Path, closed_url: str) -> None:
    with pytest.raises(ServiceError) as fault:
        hold(ChatSettings(model="tiny", server=closed_url, retries=0), ONE, home)
    assert fault.value.exit_code == 69


def test_an_unknown_topic_is_told_before_anything_is_said(home: Path, openai_server: ScriptedServer) -> None:
    with pytest.raises(UsageError, match="unknown topic 'silk-nacr'; did you mean 'silk-nacre'"):
        hold(served(openai_server), ConversationConfig(topics=("collagen-leaves", "silk-nacr")), home)
    assert not openai_server.requests


def test_a_damaged_conversation_is_named(home: Path, openai_server: ScriptedServer) -> None:
    (held,) = hold(served(openai_server), ONE, home)
    path = conversation_path(home, held.topic, held.fingerprint)
    path.write_text('{"model": "x"}')
    with pytest.raises(DataError, match=f"cannot read {path}"):
        hold(served(openai_server), ONE, home)


def test_two_processes_do_not_talk_to_one_model_at_once(home: Path, openai_server: ScriptedServer) -> None:
    speaker = open_speaker(served(openai_server), SamplingSettings(), home)
    lock = home / "conversations" / f".{digest(dict(speaker.description))}.lock"
    with claim(lock), pytest.raises(Unfinished, match="held by process"):
        hold(served(openai_server), ONE, home)
    assert not openai_server.requests


def test_a_local_model_talks_and_the_same_seed_says_the_same(word_llama: Path, home: Path, tmp_path: Path) -> None:
    short = ConversationConfig(sampling=SamplingSettings(temperature=0.3, max_tokens=12))
    chat = ChatSettings(model=str(word_llama), dtype="float32", device="cpu")
    (one,) = hold(chat, short, home, name="tuned")
    (other,) = hold(chat, short, tmp_path / "elsewhere")
    assert one.whole and one.maker["fingerprint"] and one.not_taken == ()
    assert [turn.said for turn in one.turns] == [turn.said for turn in other.turns]
    assert one.fingerprint == other.fingerprint and (one.model, other.model) == ("tuned", word_llama.name)
    assert any("left out" in notice or "shortened" in notice for turn in one.turns for notice in turn.notices)


def test_the_page_of_a_conversation_tells_all(home: Path, openai_server: ScriptedServer) -> None:
    openai_server.script = ["Both are fibrous.", "", '{"name": "x"}']
    (held,) = hold(served(openai_server), ONE, home, name="silk-sft")
    page = conversation_path(home, held.topic, held.fingerprint).with_suffix(".md").read_text()
    assert page.startswith("# silk-sft about collagen-leaves\n")
    assert "Both are fibrous." in page and "## Answer 2\n\n(nothing)" in page and "temperature 0.3" in page


# --- measures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Fibrils of 12 nm and 2.5-3 GPa absorb 150 MJ/m³.", ["12 nm", "2.5-3 GPa", "150 MJ/m³"]),
        ("30% of it, 20 °C, 1.2 g/cm3, 0.5 W/(m·K)", ["30%", "20 °C", "1.2 g/cm3", "0.5 W/(m·K)"]),
        ("5 x 10^6 Pa, 1,300 kg/m^3, 10 MPa m^1/2", ["5 x 10^6 Pa", "1,300 kg/m^3", "10 MPa"]),
        (r"$50\ \text{MPa}$ and $2.5\,\mathrm{GPa}$", ["50 MPa", "2.5 GPa"]),
        ('{"strength": {"value": 120, "unit": "MPa"}}', ["120 MPa"]),
        ("five layers, 3 layers, in 2019, Fig. 3 A new 3D one of 7B, 100-fold, 4 materials", []),
        ("45 degrees for 5 minutes at 40 percent", ["45 degrees", "5 minutes", "40 percent"]),
    ],
)
def test_quantities_are_numbers_with_units(text: str, found: list[str]) -> None:
    assert quantities(text) == found


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=80))
def test_no_text_breaks_the_reading_of_quantities(text: str) -> None:
    assert all(any(letter.isdigit() for letter in one) for one in quantities(text))


def test_measures_of_a_good_conversation() -> None:
    document = {key: "10 nm" for key in prompts.wanted_keys()}
    one = measure(said("Fibres of 12 nm bend.", "A mesh of 3 mm holds.", f"```json\n{json.dumps(document)}\n```"))
    assert (one.valid_json, one.some_json, one.keys) == (True, True, 1.0)
    assert one.quantities == 8 and one.quantities_per_100 == pytest.approx(100 * 8 / one.words)
    assert one.relevance is None and one.empty == one.cut == 0


@pytest.mark.parametrize(
    ("text", "valid", "some", "keys"),
    [
        ('Here it is: {"name": "a", "structure": ""}', False, True, 1 / 6),
        ('{"name": NaN}', False, True, 1 / 6),
        ("No JSON {at all}.", False, False, 0),
        ("{}", True, True, 0),
        ("[1]", False, False, 0),
        ('{"name": "a", "components"', False, False, 0),
        ("", False, False, 0),
    ],
)
def test_what_is_no_json_is_not_called_so(text: str, valid: bool, some: bool, keys: float) -> None:
    one = measure(said("a", "b", text))
    assert (one.valid_json, one.some_json) == (valid, some) and one.keys == pytest.approx(keys)


def test_variety_and_repetition() -> None:
    one = measure(said("the core bends the core bends the core bends", "", ""))
    assert one.distinct == pytest.approx((3 / 9, 3 / 8, 3 / 7))
    assert one.repetition == pytest.approx(1 - 3 / 6) and one.empty == 2
    nothing = measure(said("", "", ""))
    assert nothing.distinct == (None, None, None) and nothing.quantities_per_100 is None and nothing.repetition is None


class _Letters:
    """An encoder whose vectors are the shares of vowels: enough to tell like from unlike."""

    def encode(self, texts: list[str]) -> Any:
        import numpy as np

        rows = np.array([[1 + 9 * text.count(vowel) for vowel in "aeiou"] for text in texts], dtype=float)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_an_answer_to_the_point_is_more_relevant() -> None:
    _, asked = prompts.conversation("collagen-leaves")
    near = measure(said(*asked), _Letters())  # type: ignore[arg-type]
    far = measure(said("uuu " * 300, "", "uuu"), _Letters())  # type: ignore[arg-type]
    assert near.relevance == pytest.approx(1) and far.relevance is not None and far.relevance < 0.8


def test_the_table_of_measures_is_a_mean_over_conversations() -> None:
    made = [measure(said("a b", "c 3 nm", "{}")), measure(said("a b", "c", "no"))]
    table = automatic_table(made)
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert row["Model"] == "m" and row["Conversations"] == 2 and row["Valid JSON"] == 0.5
    assert "| Model |" in table.markdown() and "| m | 2 | 0.50 |" in table.markdown()
