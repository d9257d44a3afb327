"""The whole team on scripted models: order, bounds, questions to a person, and effects that happen once."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from agents.documents import Brief, MaterialDesign
from agents.graph import Team, build_graph
from agents.state import initial_state
from tests.fixtures_run import Desk, critique
from workspace.checkpoints import checkpoints

CONFIG: Any = {"configurable": {"thread_id": "run"}}
BRIEF = Brief(text="a tough panel", inspirations=["collagen", "leaves"])
POOR = {"seen": "Grey noise.", "fit": 1, "change": "Draw lines."}


def poor(messages: Any, seed: int) -> dict[str, Any]:
    made = critique(messages, seed)
    return {**made, **POOR, "checks": [check | {"answer": "no"} for check in made["checks"]]}


def middling(messages: Any, seed: int) -> dict[str, Any]:
    return critique(messages, seed) | {"fit": 3}


def run(desk: Desk, entry: Any = None, saver: Any = None, **options: Any) -> dict[str, Any]:
    graph = build_graph(desk.kit(**options), saver or InMemorySaver())
    return dict(graph.invoke(initial_state(BRIEF) if entry is None else entry, CONFIG))


def steps(desk: Desk) -> list[str]:
    return [event.key for event in desk.of("step_started")]


def test_a_design_in_order(desk: Desk) -> None:
    state = run(desk)
    assert steps(desk) == [
        "scientist/turn-1",
        "scientist/turn-2",
        "scientist/turn-3",
        "engineer/design-1",
        "illustrator/prompt-1",
        "picture/round-1/00",
        "picture/round-1/01",
    ]
    assert MaterialDesign.model_validate(state["design"])
    assert state["best"] == 0 and state["decisions"][-1]["choice"] == "finish"
    assert json.loads(json.dumps(state)) == state


def test_the_same_seed_gives_the_same_run_and_another_a_different_one() -> None:
    one, two, other = (run(Desk(), seed=seed) for seed in (7, 7, 8))
    assert one == two
    assert one["messages"] != other["messages"] and one["pictures"] != other["pictures"]


@pytest.mark.parametrize("limit", [0, 1, 2])
def test_reviews_are_bounded(desk: Desk, limit: int) -> None:
    review = {"verdict": "revise", "comments": "The draft lacks a number for toughness."}
    state = run(desk, review=True, reviews=limit, documents={"Review": review})
    assert len(state["reviews"]) == limit
    assert Counter(key.split("/")[0] for key in steps(desk))["scientist"] == 3 + limit
    assert sum(message["name"] == "reviewer" for message in state["messages"]) == limit


@pytest.mark.parametrize("rounds", [1, 2, 4])
def test_rounds_are_bounded_and_the_best_picture_is_kept(desk: Desk, rounds: int) -> None:
    documents = {"Verdict": [middling, poor]}

    state = run(desk, critic_enabled=True, rounds=rounds, documents=documents)
    assert state["round"] == rounds and len(state["pictures"]) == 2 * rounds == len(state["critiques"])
    assert state["best"] == 0
    assert len(state["prompts"]) == rounds
    assert [decision["choice"] for decision in state["decisions"]] == ["repaint"] * (rounds - 1) + ["finish"]


def test_pictures_that_are_poor_twice_lead_to_one_rethink(desk: Desk) -> None:
    state = run(desk, critic_enabled=True, rounds=4, documents={"Verdict": poor})
    assert [one["choice"] for one in state["decisions"]] == ["repaint", "rethink", "repaint", "finish"]
    assert state["draft"] == 2 and "engineer/design-2" in steps(desk)
    assert "We looked at a picture" in state["messages"][-2]["content"]


def test_a_good_picture_ends_the_run_early(desk: Desk) -> None:
    state = run(desk, critic_enabled=True, rounds=5)
    assert state["round"] == 1 and len(state["critiques"]) == 2


def test_a_person_is_asked_twice(desk: Desk) -> None:
    saver = InMemorySaver()
    options = {"ask": True, "critic_enabled": True, "saver": saver}
    waiting = run(desk, **options)
    assert waiting["__interrupt__"][0].value["kind"] == "before_painting"
    assert not waiting["pictures"]
    waiting = run(desk, Command(resume={"approve": True}), **options)
    assert waiting["__interrupt__"][0].value["kind"] == "after_critique"
    assert waiting["__interrupt__"][0].value["payload"]["best"] == 0
    done = run(desk, Command(resume={"approve": True}), **options)
    assert "__interrupt__" not in done and done["decisions"][-1]["choice"] == "finish"
    assert [event.kind for event in desk.of("question")] == ["before_painting", "after_critique"]
    assert Counter(desk.computed).most_common(1)[0][1] == 1


def test_a_person_words_the_prompt_and_repaints(desk: Desk) -> None:
    saver = InMemorySaver()
    options = {"ask": True, "critic_enabled": True, "saver": saver}
    run(desk, **options)
    waiting = run(desk, Command(resume={"prompt": "a plain red square"}), **options)
    assert waiting["prompts"][-1]["short"] == "a plain red square"
    waiting = run(desk, Command(resume={"prompt": "a plain blue circle"}), **options)
    assert waiting["__interrupt__"][0].value["kind"] == "after_critique" and waiting["round"] == 2
    waiting = run(desk, Command(resume={"choice": "rethink"}), **options)
    assert waiting["__interrupt__"][0].value["kind"] == "before_painting"
    done = run(desk, Command(resume={"choice": "finish"}), **options)
    assert done["draft"] == 2 and len(done["pictures"]) == 4 and "__interrupt__" not in done


def test_an_answer_that_is_not_understood_is_asked_for_again(desk: Desk) -> None:
    saver = InMemorySaver()
    run(desk, ask=True, saver=saver)
    waiting = run(desk, Command(resume={"approve": "maybe"}), ask=True, saver=saver)
    question = waiting["__interrupt__"][0].value
    assert question["kind"] == "before_painting" and "is not understood" in question["problem"]
    done = run(desk, Command(resume={"approve": False}), ask=True, saver=saver)
    assert done["pictures"] == [] and done["decisions"][-1]["choice"] == "finish"


class Stop(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("after", range(9))
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_stopped_anywhere_goes_on_and_makes_nothing_twice(tmp_path: Any, after: int, when: str) -> None:
    whole = run(Desk(), critic_enabled=True)
    desk, left = Desk(), [after]
    kit = desk.kit(critic_enabled=True)

    def once(key: str, compute: Any, *, kind: str) -> Any:
        if when == "before" and left[0] == 0:
            raise Stop
        done = desk.once(key, compute, kind=kind)
        if when == "after" and left[0] == 0:
            raise Stop
        left[0] -= 1
        return done

    with checkpoints(tmp_path / "checkpoints.db") as saver, pytest.raises(Stop):
        build_graph(desk.kit(critic_enabled=True, once=once), saver).invoke(initial_state(BRIEF), CONFIG)
    with checkpoints(tmp_path / "checkpoints.db") as saver:
        state = build_graph(kit, saver).invoke(None, CONFIG)
    assert state == whole
    assert max(Counter(desk.computed).values()) == 1
    if when == "after":
        assert any(event.replayed for event in desk.of("step_finished"))


def test_every_node_says_what_may_follow(desk: Desk) -> None:
    drawn = build_graph(desk.kit()).get_graph()
    nodes = {name for name in drawn.nodes if not name.startswith("__")}
    assert nodes == {name for name in vars(Team) if not name.startswith("_")}
    followed = {edge.source for edge in drawn.edges}
    assert nodes <= followed
    assert len([edge for edge in drawn.edges if edge.target == "__end__"]) == 2


def told(desk: Desk) -> str:
    return "\n".join(event.text for event in desk.of("notice"))


def test_a_source_that_the_atlas_does_not_know_is_said_to_be_unknown(desk: Desk) -> None:
    brief = Brief(text="a tough panel", inspirations=["peacock spider eye", "human bone"])
    saver = InMemorySaver()
    run(desk, initial_state(brief), saver, critic_enabled=True)
    assert '"peacock spider eye" is not in the atlas; nearest: ' in told(desk)
    assert "It is described from its name alone." in told(desk)
    assert '"human bone" is taken for Cortical bone' in told(desk)
    assert 'How "peacock spider eye" looks is not known' in told(desk) and "a free choice" in told(desk)
    asked = [check["question"] for event in desk.of("critique_ready") for check in event.critique["checks"]]
    assert asked and not any("peacock" in question for question in asked)
    assert len(desk.of("notice")) == 3  # bone has a pattern that this painter knows


def test_what_is_known_is_not_remarked_upon(desk: Desk) -> None:
    run(desk, initial_state(Brief(text="a tough panel", inspirations=["leaves", "spider web"])))
    assert told(desk) == ""


def test_six_sources_are_used_and_those_not_shown_are_named(desk: Desk) -> None:
    names = ["竹子", "leaves", "عرق اللؤلؤ", "паутина", "μετάξι", "クモの糸"]
    state = run(desk, initial_state(Brief(text="a tough panel", inspirations=names)))
    assert [source["name"] for source in state["design"]["inspirations"]] == names
    assert (
        "The pictures show 竹子 and leaves; the design alone draws on عرق اللؤلؤ, паутина, μετάξι, クモの糸."
        in told(desk)
    )


@pytest.mark.parametrize("names", [["cell"], ["cells", "large open cell"], ["ox", "竹"], ["Poisson’s net"], ["🕷 web"]])
def test_a_name_that_the_door_lets_in_is_named_at_the_end(desk: Desk, names: list[str]) -> None:
    state = run(desk, initial_state(Brief(text="a tough panel", inspirations=names)))
    assert [source["name"] for source in state["design"]["inspirations"]] == names
