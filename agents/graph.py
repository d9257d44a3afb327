"""The picture of the design team: its nodes, what follows each, and nothing else. The roles hold the behaviour.

scientist -> reviewer -> engineer -> illustrator -> approve -> painter -> critic -> consult -> director
    ^___________|                        ^                                                       |
    |____________________________________|_______________________________________________________|-> end
"""

from collections.abc import Sequence
from typing import Any, Literal

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, interrupt

from agents.kit import Kit
from agents.roles import critic, director, engineer, illustrator, painter, reviewer, scientist
from agents.roles.director import Answer
from agents.state import DesignState, Json
from workspace.errors import UsageError
from workspace.events import Question

STEPS = 400
"""Node visits in one run at most; the limits on turns, reviews and rounds end a run long before."""


class Team:
    """The nodes, bound to one run's kit; when that run is over, to another's."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit

    def scientist(self, state: DesignState) -> Command[Literal["scientist", "reviewer", "engineer"]]:
        """Answer one turn; when none is left the draft goes to review, or straight to the Engineer."""
        names = state["inspirations"] or self._chosen(state)
        changes = scientist.scientist(self.kit, {**state, "inspirations": names})
        return Command(update=changes, goto=scientist.after_turn(self.kit, state, changes))

    def reviewer(self, state: DesignState) -> Command[Literal["scientist", "engineer"]]:
        """Read the draft; comments go back to the Scientist."""
        changes = reviewer.reviewer(self.kit, state)
        return Command(update=changes, goto="scientist" if "messages" in changes else "engineer")

    def engineer(self, state: DesignState) -> Command[Literal["illustrator"]]:
        """Write the design down as a document."""
        return Command(update=engineer.engineer(self.kit, state), goto="illustrator")

    def illustrator(self, state: DesignState) -> Command[Literal["approve", "painter"]]:
        """Turn the design into an image prompt."""
        changes = illustrator.illustrator(self.kit, state)
        return Command(update=changes, goto="approve" if self.kit.ask else "painter")

    def approve(self, state: DesignState) -> Command[Literal["painter", "scientist", "__end__"]]:
        """Wait for a person before painting, who may word the prompt anew."""
        answer = self._asked("before_painting", state)
        changes, goto = director.before_painting(self.kit, state, answer)
        return Command(update=changes, goto=goto)

    def painter(self, state: DesignState) -> Command[Literal["critic", "director"]]:
        """Paint the round's pictures."""
        changes = painter.painter(self.kit, state)
        return Command(update=changes, goto="critic" if self.kit.critic_enabled else "director")

    def critic(self, state: DesignState) -> Command[Literal["consult", "director"]]:
        """Look at the round's pictures."""
        changes = critic.critic(self.kit, state)
        return Command(update=changes, goto="consult" if self.kit.ask else "director")

    def consult(self, state: DesignState) -> Command[Literal["director"]]:
        """Wait for a person after the critique; the Director acts on the answer."""
        return Command(update={"answer": self._asked("after_critique", state)}, goto="director")

    def director(self, state: DesignState) -> Command[Literal["illustrator", "painter", "scientist", "__end__"]]:
        """Repaint with a changed prompt, rethink the design, or finish with the best picture."""
        changes, goto = director.director(self.kit, state)
        return Command(update=changes, goto=goto)

    def _chosen(self, state: DesignState) -> list[str]:
        """The sources that a person chooses among those that fit the brief; none if nobody is asked."""
        candidates = scientist.candidates(self.kit, state) if self.kit.choose else []
        return self._asked("before_designing", state, candidates)["sources"] if candidates else []

    def _asked(self, kind: str, state: DesignState, candidates: Sequence[Json] = ()) -> Answer:
        """Stop until a person answers; an answer that is not understood is asked for again with the reason."""
        question = director.question(kind, state, candidates)
        self.kit.once(f"question/{kind}/{len(state['prompts'])}", lambda: self._announce(question), kind="question")
        problem = ""
        while True:
            try:
                return director.understood(kind, interrupt(question | {"problem": problem}), candidates)
            except UsageError as error:
                problem = str(error)

    def _announce(self, question: Json) -> bool:
        self.kit.emit(Question(**question))
        return True


def build_graph(
    kit: Kit, checkpointer: BaseCheckpointSaver[str] | None = None
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The team's graph for one run."""
    return graph_of(Team(kit), checkpointer)


def graph_of(
    team: Team, checkpointer: BaseCheckpointSaver[str] | None = None
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """A team's graph, for one run after another. Every node names what may follow it in its return type."""
    graph = StateGraph(DesignState)
    for node in (
        team.scientist,
        team.reviewer,
        team.engineer,
        team.illustrator,
        team.approve,
        team.painter,
        team.critic,
        team.consult,
        team.director,
    ):
        graph.add_node(node.__name__, node)
    graph.add_edge(START, "scientist")
    return graph.compile(checkpointer=checkpointer).with_config(recursion_limit=STEPS)
