"""The state that travels through the graph: plain JSON only, so that a checkpoint holds no code. Knows no behaviour."""

from operator import add
from typing import Annotated, Any, TypedDict

from agents.documents import Brief

Json = dict[str, Any]


class Message(TypedDict):
    """One contribution to the conversation; ``role`` is ``user`` or ``assistant``, ``name`` says who spoke."""

    role: str
    name: str
    content: str


class DesignState(TypedDict, total=False):
    """What the roles know of one run.

    A conversation that ends in a user message waits for the Scientist. ``turn`` counts answered program turns,
    ``draft`` the designs made so far, ``round`` the picture rounds begun (from one); ``best`` is an index into
    ``pictures``; ``evidence`` is what was looked up, by number; ``answer`` is a person's, for the Director;
    ``change`` is the Director's, for the Illustrator.
    """

    brief: Json
    inspirations: list[str]
    evidence: Annotated[list[Json], add]
    messages: Annotated[list[Message], add]
    turn: int
    reviews: Annotated[list[Json], add]
    draft: int
    design: Json
    repairs: int
    prompts: Annotated[list[Json], add]
    round: int
    pictures: Annotated[list[Json], add]
    critiques: Annotated[list[Json], add]
    answer: Json
    change: str
    decisions: Annotated[list[Json], add]
    best: int | None


def initial_state(brief: Brief) -> DesignState:
    """The state a run starts from."""
    return {
        "brief": brief.model_dump(mode="json"),
        "inspirations": list(brief.inspirations),
        "evidence": [],
        "messages": [],
        "turn": 0,
        "reviews": [],
        "draft": 0,
        "prompts": [],
        "round": 1,
        "pictures": [],
        "critiques": [],
        "answer": {},
        "change": "",
        "decisions": [],
        "best": None,
    }


def comment(name: str, text: str) -> Message:
    """What a colleague says to the Scientist."""
    return {"role": "user", "name": name, "content": text}
