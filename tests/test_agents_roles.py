"""The roles, one by one, on scripted models."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from pydantic import ValidationError

from agents.documents import Brief, ImagePrompt
from agents.experience import quantities
from agents.kit import derive
from agents.knowledge import facts
from agents.roles import director, illustrator
from agents.roles.critic import answered_by, checklist, critic, critique_schema, width_of
from agents.roles.engineer import design_schema, engineer
from agents.roles.illustrator import SHORT_WORDS, composed, cut, reworded
from agents.roles.painter import painter
from agents.roles.reviewer import reviewer
from agents.roles.scientist import after_turn, scientist, to_last_sentence
from agents.state import initial_state
from agents.vocabulary import Vocabulary, contains, stems
from tests.fixtures_run import VOCABULARY, Desk, InstantPainter, ScriptedChat, design, image_prompt
from workspace.errors import ServiceError, UsageError

BRIEF = Brief(text="a tough panel", inspirations=["collagen", "leaves"])


def _state(**more: Any) -> Any:
    made = design([], 1)
    made["inspirations"][0]["name"], made["inspirations"][1]["name"] = "collagen", "leaves"
    return {**initial_state(BRIEF), "design": made, "prompts": [image_prompt([], 3)], **more}


def test_seeds_are_stable_and_differ() -> None:
    assert 0 <= derive(7, "scientist/turn-1") < 2**31
    assert derive(7, "a") == derive(7, "a") != derive(8, "a") != derive(8, "b")


def test_the_scientist_streams_and_goes_through_the_program(desk: Desk) -> None:
    kit = desk.kit()
    state: Any = initial_state(BRIEF)
    changes = scientist(kit, state)
    asked, answer = changes["messages"]
    assert asked["role"] == "user" and "structure of leaves" in asked["content"]
    assert answer["content"] == "".join(event.text for event in desk.of("token"))
    assert after_turn(kit, state, changes) == "scientist"
    finished = desk.of("step_finished")[-1]
    assert (finished.key, finished.replayed) == ("scientist/turn-1", False)
    again = scientist(kit, state)
    assert again == changes
    assert desk.of("step_finished")[-1].replayed
    assert desk.computed == ["scientist/turn-1"]


def test_the_scientist_answers_comments_before_the_program(desk: Desk) -> None:
    said = [
        {"role": "assistant", "name": "scientist", "content": "A draft."},
        {"role": "user", "name": "reviewer", "content": "Give a number."},
    ]
    changes = scientist(desk.kit(), _state(messages=said, turn=3))
    assert [message["role"] for message in changes["messages"]] == ["assistant"]
    assert changes["turn"] == 3 and desk.computed == ["scientist/turn-2"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a helmet like honeycomb and spider webs", ["honeycomb", "spider orb web"]),
        ("a tile with the veins of leaves", ["leaf venation"]),
        ("a quiet floor", ["bone", "bamboo"]),
    ],
)
def test_a_brief_without_inspirations_gets_some(desk: Desk, text: str, names: list[str]) -> None:
    state: Any = initial_state(Brief(text=text))
    changes = scientist(desk.kit(), state)
    assert changes["inspirations"] == names
    assert ("scientist/inspirations" in desk.computed) == (names == ["bone", "bamboo"])


class Silent(ScriptedChat):
    def _stream(self, *args: Any, **kwargs: Any) -> Any:
        yield ChatGenerationChunk(message=AIMessageChunk(content=" ", chunk_position="last"))


class CutOff(ScriptedChat):
    def _stream(self, *args: Any, **kwargs: Any) -> Any:
        yield ChatGenerationChunk(message=AIMessageChunk(content="The mesh is 2.5 mm wide. It holds. And the"))
        last = AIMessageChunk(content="", response_metadata={"finish_reason": "length"}, chunk_position="last")
        yield ChatGenerationChunk(message=last)


def test_an_empty_answer_is_a_fault_and_leaves_nothing(desk: Desk) -> None:
    with pytest.raises(ServiceError, match="empty answer at scientist/turn-1"):
        scientist(desk.kit(chat=lambda role, seed: Silent()), _state())
    assert not desk.stored


def test_an_answer_cut_off_ends_at_its_last_sentence(desk: Desk) -> None:
    changes = scientist(desk.kit(chat=lambda role, seed: CutOff()), _state())
    assert changes["messages"][-1]["content"] == "The mesh is 2.5 mm wide. It holds."
    assert to_last_sentence("One. then a very long run without an end") == ("One. then a very long run without an end")


def test_the_reviewer_sends_back_or_approves(desk: Desk) -> None:
    said = [{"role": "assistant", "name": "scientist", "content": "A draft."}]
    review = {"verdict": "revise", "comments": "The draft lacks a number for toughness."}
    approval = {"verdict": "approve", "comments": "The draft now has its number."}
    kit = desk.kit(documents={"Review": [review, approval]})
    changes = reviewer(kit, _state(messages=said))
    assert changes["reviews"] == [review]
    assert changes["messages"][0]["role"] == "user" and "lacks a number" in changes["messages"][0]["content"]
    assert "messages" not in reviewer(kit, _state(messages=said, reviews=[review]))
    assert desk.computed == ["reviewer/review-1", "reviewer/review-2"]


def test_the_engineer_must_name_every_inspiration(desk: Desk) -> None:
    said = [{"role": "assistant", "name": "scientist", "content": "A draft."}]
    changes = engineer(desk.kit(), _state(messages=said))
    assert [source["name"] for source in changes["design"]["inspirations"]] == ["collagen", "leaves"]
    assert desk.of("design_ready")[0].design == changes["design"]
    lacking = design([], 1) | {"inspirations": design([], 1)["inspirations"][:1]}
    with pytest.raises(ValidationError, match="does not name leaves"):
        design_schema(("collagen", "leaves")).model_validate(lacking)


def test_the_engineer_passes_hints_on(desk: Desk) -> None:
    seen: list[Any] = []

    def structured(model: Any, schema: Any, messages: Any, *, seed: int, hints: Any = None, **_: Any) -> Any:
        seen.append((schema.__name__, hints, seed, str(messages[-1].text)))
        raise ServiceError("enough")

    said = [{"role": "assistant", "name": "scientist", "content": "Sheets of silk."}]
    with pytest.raises(ServiceError):
        engineer(desk.kit(structured=structured), _state(messages=said, inspirations=["spider silk", "bone"]))
    name, hints, seed, text = seen[0]
    assert name == "MaterialDesign" and hints["inspirations.name"] == ["spider silk", "bone"]
    quantity = next(one for one in quantities() if one.name == hints["?properties.name"][0])
    assert hints["?properties.unit"][0] == quantity.unit
    assert hints["?properties.value"][0] == f"{quantity.low:g}..{quantity.high:g}"
    assert "inspirations.feature" not in hints  # the painter knows silk and not bone
    assert seed == derive(7, "engineer/design-1") and "Sheets of silk." in text


def test_the_illustrator_takes_motifs_and_palette_from_the_vocabulary(desk: Desk) -> None:
    made = illustrator.illustrator(desk.kit(), _state(prompts=[]))["prompts"][0]
    assert made["motifs"] == ["wavy collagen fibres", "leaf venation"]
    assert made["short"] == "wavy collagen fibres combined with leaf venation, emerald green on cream"
    assert made["palette"] == "emerald green on cream"
    lead = (
        "wavy collagen fibres combined with leaf venation, emerald green on cream, a stack of waves, branching lines, "
    )
    assert made["long"].startswith(lead)


def test_the_illustrator_puts_the_trigger_first(desk: Desk) -> None:
    kit = desk.kit(painter=InstantPainter(trigger="<leaf microstructure>", vocabulary={}))
    made = illustrator.illustrator(kit, _state(prompts=[]))["prompts"][0]
    assert made["short"].startswith("<leaf microstructure> ") and made["long"].startswith("<leaf microstructure> ")
    assert made["motifs"] == ["branching lines", "parallel waves"]
    assert contains(made["short"], "parallel waves")


def test_the_illustrator_is_told_the_last_prompt_and_the_change(desk: Desk) -> None:
    seen: list[str] = []

    def structured(model: Any, schema: Any, messages: Any, **_: Any) -> Any:
        seen.append(str(messages[-1].text))
        raise ServiceError("enough")

    with pytest.raises(ServiceError):
        illustrator.illustrator(desk.kit(structured=structured), _state(change="Draw thinner lines."))
    assert "Change this: Draw thinner lines." in seen[0] and image_prompt([], 3)["short"] in seen[0]


def test_a_long_short_prompt_is_cut_to_fit() -> None:
    short = " ".join(["lines"] + [f"word{place}" for place in range(30)])
    written = ImagePrompt(long="Lines that cross in many places.", short=short, motifs=["lines"], palette="red on blue")
    hints = {"motifs": ["leaf venation", "spider orb web"], "palette": ["gold on black"]}
    free = composed(written, {"palette": ["gold on black"]}, [], "<leaf microstructure>")
    assert len(free.short.split()) <= SHORT_WORDS and len(free.short) <= 240
    assert contains(free.short, "gold on black") and "word9" in free.short
    made = composed(written, hints, ["branching lines"], "<leaf microstructure>", tones=["open and airy"])
    known = "<leaf microstructure> leaf venation combined with spider orb web, gold on black, open and airy"
    assert made.short == known
    assert made.long == f"{known}, branching lines, {written.long}"
    assert cut("many small lines and the cells", 5) == "many small lines"
    assert reworded(written.model_dump(), "a plain red square", "<t>")["short"] == "<t> a plain red square"


def test_words_are_compared_without_plurals() -> None:
    assert stems("The leaves of bees") == {"leaf", "bee"}
    assert contains("a leaf with veins", "leaf vein") and not contains("a leaf", "leaf vein")
    words = Vocabulary.of(VOCABULARY)
    assert words.motifs([("web", "x"), ("web", "x"), ("bone", "x")], None)[0] == "spider orb web"
    assert words.palette("black", None) == "gold on black"
    assert words.palette("dark", lambda text, rows: [0, 1, 0]) == "gold on black"
    assert Vocabulary.of({"vocabulary": ["lines", "dots"]}).motifs([("dots", "")], None) == ["dots"]
    assert Vocabulary.of({}).palette("black", None) is None


def test_a_source_that_nothing_is_known_of_is_what_the_painter_reads_in_it() -> None:
    table = {"vocabulary": {"web": ["a spider orb web"], "comb": ["honeycomb"], "waves": ["wavy fibres"]}}
    read = {"corduroy that undulates": ("wavy fibres",), "honeycomb toffee": ()}
    words = Vocabulary.of(table, lambda name: read.get(name, ()))
    assert words.meant("corduroy that undulates") == {"wavy fibres"} and not words.meant("honeycomb toffee")
    assert words.motifs([("corduroy that undulates", "x")], None) == ["wavy fibres"]
    known = words.meant("dome of a bee", lambda name: ("honeycomb",))  # the atlas goes first
    assert known == {"honeycomb"} and words.feature("corduroy that undulates") == "wavy fibres"
    by_words = Vocabulary.of(table, lambda name: None)  # a painter that reads everything
    assert by_words.meant("honeycomb toffee") == {"honeycomb"} == Vocabulary.of(table).meant("honeycomb toffee")


def test_pictures_are_painted_together_and_each_once(desk: Desk) -> None:
    instant = InstantPainter()
    kit = desk.kit(images=5, batch=2, painter=instant)
    pictures = painter(kit, _state())["pictures"]
    assert [picture["index"] for picture in pictures] == [0, 1, 2, 3, 4]
    assert len({picture["seed"] for picture in pictures}) == 5 == len({picture["sha256"] for picture in pictures})
    assert [spec.seed for spec in instant.painted] == [picture["seed"] for picture in pictures]
    steps = [(event.step, event.steps) for event in desk.of("picture_progress")]
    assert steps == [(step, 10) for step in range(1, 11)]
    assert painter(kit, _state())["pictures"] == pictures and len(instant.painted) == 5


def test_a_person_skips_the_rest_of_a_round(desk: Desk) -> None:
    wishes = [True]  # one that came too late for the round before
    shown: list[int] = []

    def skipping() -> bool:
        return bool(wishes) and wishes.pop()

    def preview(image: Any, index: int) -> str:
        shown.append(index)
        wishes.append(index == 4)
        return f"previews/{index + 1:02d}.jpg"

    kit = desk.kit(images=3, painter=InstantPainter(), preview=preview, skipping=skipping)
    state = _state(round=2)
    pictures = painter(kit, state)["pictures"]
    assert [(one["index"], one["path"]) for one in pictures] == [(3, "images/03.png")]
    assert shown == [3, 4] == [event.index for event in desk.of("picture_preview")]
    assert desk.stored["picture/round-2/01"] == desk.stored["picture/round-2/02"] == {"skipped": True}
    assert painter(kit, state)["pictures"] == pictures  # what was skipped stays so
    changes, goto = director.director(kit, state | {"pictures": []})
    assert goto == "__end__" and changes["best"] is None


def test_the_critic_sees_the_picture_and_answers_every_question(desk: Desk) -> None:
    seen: list[Any] = []
    kit = desk.kit(critic_enabled=True)

    def structured(model: Any, schema: Any, messages: Any, *, seed: int, hints: Any = None, **_: Any) -> Any:
        seen.append(messages[-1].content)
        return desk.kit().structured(model, schema, messages, seed=seed, hints=hints)

    desk.files["images/00.png"] = b"png bytes"
    kit = desk.kit(critic_enabled=True, structured=structured)
    picture = {"path": "images/00.png", "round": 1, "index": 4}
    [critique] = critic(kit, _state(pictures=[picture, picture | {"round": 0}]))["critiques"]
    assert critique["picture"] == 4 and len(critique["checks"]) == len(
        checklist(_state()["design"], image_prompt([], 3), "material microstructure")
    )
    url = seen[0][1]["image_url"]["url"]
    assert base64.b64decode(url.removeprefix("data:image/png;base64,")) == b"png bytes"


SEES = {"pattern": "lines", "second": "none", "density": "open", "palette": "red", "gradient": "even"}


def test_a_critique_that_skips_a_question_is_refused() -> None:
    schema = critique_schema(("Is it red?", "Is it round?"))
    base = {"sees": SEES, "seen": "A red disc.", "fit": 5, "change": "None at all."}
    answers = [{"question": "is it round?", "answer": "no"}, {"question": "Is it red?", "answer": "yes"}]
    made = schema.model_validate(base | {"checks": answers})
    assert [(check.question, check.answer) for check in made.checks] == [("Is it red?", "yes"), ("Is it round?", "no")]
    by_order = schema.model_validate(base | {"checks": [{"question": "first one", "answer": "no"}, answers[1]]})
    assert [check.answer for check in by_order.checks] == ["no", "yes"]
    with pytest.raises(ValidationError):
        schema.model_validate(base | {"checks": answers[:1]})


def test_answers_follow_from_what_is_seen() -> None:
    rows = {"leaf": ["leaf venation", "a midrib with a mesh"], "web": ["an orb web"]}
    words = Vocabulary.of({"vocabulary": rows, "palettes": {"gold": ["gold on black"], "red": ["red"]}})
    questions = (
        "Does the picture show leaf venation?",
        "Does the picture show an orb web?",
        "Are the main colours red?",
        "Can you see a midrib with a mesh as in a vine leaf?",
        "Can you see rings as in an orb web?",
        "Does the picture look like a city?",
    )
    schema = critique_schema(questions, answered_by(questions, words))

    def answers(**sees: str) -> list[str]:
        checks = [{"question": question, "answer": "no"} for question in questions]
        base = {"seen": "A red disc.", "fit": 5, "change": "None at all.", "checks": checks}
        return [check.answer for check in schema.model_validate(base | {"sees": SEES | sees}).checks]

    assert answers(pattern="leaf venation") == ["yes", "no", "yes", "yes", "no", "no"]
    assert answers(pattern="an orb web", second="leaf venation")[:4] == ["yes", "yes", "yes", "yes"]
    assert answers(pattern="something else", palette="blue") == ["no"] * 6  # in words of its own: its answers stand


@pytest.mark.parametrize(
    ("sees", "most"),
    [
        ({"pattern": "leaf venation", "second": "an orb web"}, 9),
        ({"pattern": "leaf venation"}, 7),
        ({"pattern": "leaf venation", "palette": "gold on black"}, 4),
        ({"pattern": "bone struts"}, 3),
        ({"pattern": "something else"}, 9),
    ],
)
def test_a_rating_does_not_go_beyond_what_is_seen(sees: dict[str, str], most: int) -> None:
    rows = {"leaf": ["leaf venation"], "web": ["an orb web"], "bone": ["bone struts"]}
    words = Vocabulary.of({"vocabulary": rows, "palettes": {"gold": ["gold on black"], "red": ["red"]}})
    questions = (
        "Does the picture show leaf venation?",
        "Does the picture show an orb web?",
        "Are the main colours red?",
    )
    schema = critique_schema(questions, answered_by(questions, words))
    checks = [{"question": question, "answer": "yes"} for question in questions]
    base = {"seen": "A red disc.", "fit": 9, "change": "None at all.", "checks": checks, "sees": SEES | sees}
    assert schema.model_validate(base).fit == most
    assert schema.model_validate(base | {"fit": 2}).fit == 2


def _critique(picture: int, yes: int, fit: int) -> dict[str, Any]:
    checks = [{"question": f"Is it {n}?", "answer": "yes" if n < yes else "no"} for n in range(4)]
    return {"picture": picture, "seen": "Lines.", "checks": checks, "fit": fit, "change": "Thinner lines."}


@pytest.mark.parametrize(
    ("critiques", "number", "decisions", "choice", "best"),
    [
        ([_critique(0, 4, 9), _critique(1, 3, 6)], 1, [], "finish", 0),
        ([_critique(0, 2, 5), _critique(1, 3, 6)], 1, [], "repaint", 1),
        ([_critique(0, 2, 5), _critique(1, 3, 6)], 3, [], "finish", 1),
        ([_critique(0, 0, 2), _critique(1, 0, 1)], 1, [], "repaint", 0),
        ([_critique(0, 0, 2), _critique(1, 0, 1)], 2, [], "rethink", 0),
        ([_critique(0, 0, 2), _critique(1, 0, 1)], 2, [{"choice": "rethink"}], "repaint", 0),
        ([_critique(0, 3, 7), _critique(1, 0, 1)], 2, [], "repaint", 0),
    ],
)
def test_the_directors_rules(
    desk: Desk, critiques: list[Any], number: int, decisions: list[Any], choice: str, best: int
) -> None:
    state = _state(critiques=critiques, round=number, decisions=decisions, pictures=[{"round": number}] * 2)
    changes, goto = director.director(desk.kit(critic_enabled=True, rounds=3), state)
    assert changes["decisions"][0]["choice"] == choice and changes["best"] == best
    assert [(event.choice, event.best) for event in desk.of("decision")] == [(choice, best)]
    assert goto == {"finish": "__end__", "repaint": "illustrator", "rethink": "scientist"}[choice]
    assert changes.get("round", number) == number + (choice != "finish")
    assert bool(changes.get("messages")) == (choice == "rethink")


@pytest.mark.parametrize(
    ("kind", "answer", "meaning"),
    [
        ("before_painting", {"approve": True}, {"choice": "paint"}),
        ("before_painting", True, {"choice": "paint"}),
        ("before_painting", {"approve": False}, {"choice": "finish"}),
        ("before_painting", {"choice": "rethink"}, {"choice": "rethink"}),
        ("before_painting", {"prompt": " a plain red square "}, {"choice": "paint", "prompt": "a plain red square"}),
        ("after_critique", {"approve": True}, {"choice": "finish"}),
        ("after_critique", {"approve": False}, {"choice": "repaint"}),
        ("after_critique", {"choice": "rethink"}, {"choice": "rethink"}),
        ("after_critique", {"prompt": "a plain red square"}, {"choice": "repaint", "prompt": "a plain red square"}),
    ],
)
def test_answers_are_understood(kind: str, answer: Any, meaning: dict[str, str]) -> None:
    assert director.understood(kind, answer) == meaning


@pytest.mark.parametrize(
    "answer",
    [None, {}, "yes", {"approve": "yes"}, {"choice": "burn"}, {"prompt": "x"}, {"prompt": 1}, {"a": 1, "b": 2}],
)
def test_other_answers_are_refused_with_the_choices(answer: Any) -> None:
    with pytest.raises(UsageError, match=r"repaint\|rethink\|finish"):
        director.understood("after_critique", answer)


@pytest.mark.parametrize(
    ("joins", "short"),
    [
        ({}, "leaf venation combined with wavy collagen fibres, emerald green on cream, branching lines"),
        (
            {"into": "{a} on the left grading into {b} on the right"},
            "leaf venation on the left grading into wavy collagen fibres on the right, emerald green on cream",
        ),
    ],
)
def test_a_repainted_prompt_keeps_its_colours_and_begins_with_what_the_critic_missed(
    desk: Desk, joins: dict[str, str], short: str
) -> None:
    kit = desk.kit(painter=InstantPainter(vocabulary={**VOCABULARY, "joins": joins}))
    first = illustrator.illustrator(kit, _state(prompts=[]))["prompts"][0]
    checks = [{"question": f"Does the picture show {one}?", "answer": "yes"} for one in first["motifs"]]
    checks[1]["answer"] = "no"
    seen = {"picture": 0, "sees": SEES, "seen": "Waves.", "checks": checks, "fit": 4, "change": "Draw larger cells."}
    poorer = seen | {"picture": 1, "checks": [one | {"answer": "no"} for one in checks]}
    state = _state(
        prompts=[first],
        pictures=[{"round": 1, "index": 0}, {"round": 1, "index": 1}],
        critiques=[seen, poorer],
        round=2,
        change="Say indigo on pale blue at the start.",
    )
    assert illustrator.missing(state) == ["leaf venation"]
    again = illustrator.illustrator(kit, state)["prompts"][0]
    assert again["palette"] == first["palette"]
    assert again["motifs"] == ["leaf venation", "wavy collagen fibres"]
    assert again["short"] == short


def test_a_source_of_one_short_name_gives_a_prompt_that_its_document_takes(desk: Desk) -> None:
    given: list[list[str]] = []

    def structured(model: Any, schema: Any, messages: Any, *, seed: int, hints: Any = None, **_: Any) -> Any:
        given.append(hints.get("short", []))
        return desk.kit().structured(model, schema, messages, seed=seed, hints=hints)

    made = design([], 1)
    made["inspirations"] = [{**made["inspirations"][0], "name": "honeycomb", "feature": "regular hexagons"}]
    kit = desk.kit(structured=structured)
    [written] = illustrator.illustrator(kit, {**_state(prompts=[]), "design": made})["prompts"]
    assert written["motifs"] == ["honeycomb"] and written["short"].startswith("honeycomb, ")
    ImagePrompt.model_validate({**written, "short": given[0][0]})
    colourless = desk.kit(
        structured=structured, painter=InstantPainter(vocabulary={**VOCABULARY, "palettes": {}}), seed=8
    )
    desk.stored.clear()
    assert illustrator.illustrator(colourless, {**_state(prompts=[]), "design": made})["prompts"]
    assert given[1] == []  # too short to stand for one: it is written


@pytest.mark.parametrize(
    ("name", "value", "unit", "change", "tone"),
    [
        ("Porosity", 75.0, "%", "", "open and airy"),
        ("Porosity", 0.3, "", "", "dense with thick walls"),
        ("Relative density", 45.0, "%", "", "medium density"),
        ("Porosity", 75.0, "%", "Say dense with thick walls.", "dense with thick walls"),
        ("Porosity", 75.0, "%", "Say large cells.", "large cells, open and airy"),
        ("Porosity", None, "", "", ""),
        ("Toughness", 20.0, "MJ/m3", "", ""),
    ],
)
def test_a_prompt_says_how_full_the_design_is_and_what_the_critic_names(
    desk: Desk, name: str, value: float | None, unit: str, change: str, tone: str
) -> None:
    state = _state(prompts=[], change=change)
    state["design"]["properties"] = [{"name": name, "value": value, "unit": unit, "basis": "It was aimed at."}]
    made = illustrator.illustrator(desk.kit(), state)["prompts"][0]
    assert made["short"].partition("emerald green on cream")[2].strip(", ") == tone


def test_the_critic_hands_on_what_is_measured(desk: Desk) -> None:
    asked: list[Any] = []

    def measure(data: bytes, width: float | None) -> dict[str, Any]:
        asked.append((data, width))
        return {"solid_fraction": 0.4}

    desk.files["images/00.png"] = b"png bytes"
    kit = desk.kit(critic_enabled=True, measure=measure)
    [critique] = critic(kit, _state(pictures=[{"path": "images/00.png", "round": 1, "index": 0}]))["critiques"]
    assert critique["measures"] == {"solid_fraction": 0.4}
    assert asked == [(b"png bytes", 10.0)]
    assert width_of({"architecture": {"scale": "kilometre"}}) is None


def test_a_pattern_that_was_a_free_choice_fits_by_half() -> None:
    words = Vocabulary.of(VOCABULARY)
    questions = ("Does the picture show leaf venation?", "Are the main colours gold on black?")
    seen = {
        "pattern": "leaf venation",
        "second": "none",
        "density": "open",
        "palette": "gold on black",
        "gradient": "even",
    }
    said = {
        "sees": seen,
        "seen": "Fine lines that branch.",
        "checks": [{"question": question, "answer": "yes"} for question in questions],
        "fit": 10,
        "change": "Draw thinner lines.",
    }
    for fitting, fit in ((None, 10), ({"leaf venation"}, 10), (set(), 7)):
        schema = critique_schema(questions, answered_by(questions, words, fitting))
        assert schema.model_validate(said).fit == fit


def test_what_is_not_known_is_not_told_as_a_fact() -> None:
    [known, unknown] = facts(["nacre", "peacock spider eye"])
    assert "aragonite" in known
    assert unknown.startswith("Peacock spider eye: nothing is known of it here")
