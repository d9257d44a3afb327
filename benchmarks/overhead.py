"""What the ledger, the event log and the published pictures cost beside LangGraph itself, printed as JSON.

``whole``: the design graph with scripted chat models and an instant painter, on ledger, checkpoints and event log.
``bare``: a LangGraph of as many node visits on the same SQLite checkpointer, whose nodes call the same scripted models
and painter directly, save the pictures plainly, and write the same state updates.
``idle``: the same, with nodes that only write the updates. All run with the same durability, in turns, each time as a
new thread in the same database.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from home import fresh_home

LIMIT = 1.5
DURABILITY: Any = "async"  # as studio.runs.execute has it
BRIEF = "A tough panel inspired by leaves and collagen"


def kit_for(home: Path, run_id: str, ledger: Any, log: Any, images: int) -> Any:
    from agents.kit import Kit
    from agents.programs import load_program
    from studio.runs.assemble import publisher
    from studio.runs.record import folder_of
    from tests.fixtures_run import InstantPainter, ScriptedChat, scripted_structured

    def once(key: str, compute: Any, *, kind: str) -> Any:
        return ledger.once(run_id, key, compute, kind=kind)

    folder = folder_of(home, run_id)
    return Kit(
        program=load_program("relate-and-design"),
        seed=7,
        chat=lambda role, seed: ScriptedChat(role=role, seed=seed),
        structured=scripted_structured,
        painter=InstantPainter(),
        once=once,
        emit=log.emit,
        publish_picture=publisher(run_id, folder, ledger),
        read_picture=lambda picture: (folder / picture["path"]).read_bytes(),
        images=images,
        review=True,
    )


def whole(home: Path, ledger: Any, saver: Any, run_id: str, images: int) -> tuple[float, list[tuple[str, Any]]]:
    """Run the design graph once; returns seconds and every node's update."""
    from agents.documents import Brief
    from agents.graph import build_graph
    from agents.state import initial_state
    from studio.runs.record import folder_of
    from workspace.event_log import EventLog

    brief = Brief(text=BRIEF, inspirations=["leaf", "collagen"])
    ledger.create_run(run_id, brief.model_dump(), {}, 7, str(folder_of(home, run_id)))
    with EventLog(folder_of(home, run_id) / "events.jsonl", run_id) as log:
        graph = build_graph(kit_for(home, run_id, ledger, log, images), saver)
        config: Any = {"configurable": {"thread_id": run_id}}
        updates = []
        begun = time.perf_counter()
        for step in graph.stream(initial_state(brief), config, durability=DURABILITY, stream_mode="updates"):
            updates += list(step.items())
        return time.perf_counter() - begun, updates


def work(folder: Path, name: str, index: int, images: int) -> None:
    """What one node has a model or the painter do, with nothing around it."""
    from langchain_core.messages import HumanMessage

    from agents.documents import ImagePrompt, MaterialDesign, Review
    from tests.fixtures_run import InstantPainter, ScriptedChat, scripted_structured

    messages = [HumanMessage(BRIEF)]
    schema: Any = {"reviewer": Review, "engineer": MaterialDesign, "illustrator": ImagePrompt}.get(name)
    if name == "scientist":
        "".join(str(chunk.text) for chunk in ScriptedChat(role=name, seed=index).stream(messages, seed=index))
    elif schema is not None:
        scripted_structured(ScriptedChat(role=name, seed=index), schema, messages, seed=index).value.model_dump(
            mode="json"
        )
    elif name == "painter":
        painter = InstantPainter()
        specs = [painter.spec(BRIEF, long_prompt=BRIEF, seed=seed) for seed in range(images)]
        for spec, image in zip(specs, painter.paint(specs), strict=True):
            image.save(folder / f"{spec.seed}.png")


def bare(saver: Any, thread: str, updates: list[tuple[str, Any]], does: Callable[[str, int], None] | None) -> float:
    """Run a graph of as many visits that writes the same updates."""
    from langgraph.graph import END, START, StateGraph
    from langgraph.types import Command

    from agents.documents import Brief
    from agents.state import DesignState, initial_state

    graph = StateGraph(DesignState)
    names = [f"{index:02d}-{name}" for index, (name, _) in enumerate(updates)]

    def node(index: int) -> Any:
        def visit(state: DesignState) -> Any:
            if does is not None:
                does(updates[index][0], index)
            return Command(update=updates[index][1], goto=names[index + 1] if index + 1 < len(names) else END)

        return visit

    for index, name in enumerate(names):
        graph.add_node(name, node(index), destinations=(names[index + 1] if index + 1 < len(names) else END,))
    graph.add_edge(START, names[0])
    compiled = graph.compile(checkpointer=saver)
    config: Any = {"configurable": {"thread_id": thread}, "recursion_limit": 400}
    begun = time.perf_counter()
    for _ in compiled.stream(initial_state(Brief(text=BRIEF)), config, durability=DURABILITY, stream_mode="updates"):
        pass
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=45)
    parser.add_argument("--images", type=int, default=2)
    options = parser.parse_args()
    from studio.queue.claims import ledger_of
    from workspace.checkpoints import checkpoints

    took: dict[str, list[float]] = {"whole": [], "bare": [], "idle": []}
    with fresh_home() as home, ledger_of(home) as ledger, closing(checkpoints(home / "checkpoints.db")) as saver:
        _, updates = whole(home, ledger, saver, "warm", options.images)
        pictures = home / "plain"
        pictures.mkdir()

        def does(name: str, index: int) -> None:
            work(pictures, name, index, options.images)

        bare(saver, "warm-bare", updates, does)
        for index in range(options.repeats):
            took["whole"].append(whole(home, ledger, saver, f"whole-{index}", options.images)[0])
            took["bare"].append(bare(saver, f"bare-{index}", updates, does))
            took["idle"].append(bare(saver, f"idle-{index}", updates, None))
    seconds = {name: statistics.median(values) for name, values in took.items()}
    ratio = seconds["whole"] / seconds["bare"]
    print(
        json.dumps(
            {
                "benchmark": "overhead",
                "repeats": options.repeats,
                "node_visits": len(updates),
                "pictures": options.images,
                "whole_seconds": round(seconds["whole"], 4),
                "bare_seconds": round(seconds["bare"], 4),
                "idle_seconds": round(seconds["idle"], 4),
                "ratio": round(ratio, 3),
                "ratio_to_idle": round(seconds["whole"] / seconds["idle"], 3),
                "limit": LIMIT,
                "passed": ratio <= LIMIT,
            }
        )
    )


if __name__ == "__main__":
    main()
