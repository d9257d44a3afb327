"""The Reviewer: approves a draft, or comments on it for the Scientist to answer. Knows no graph and no pictures."""

from __future__ import annotations

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage

from agents.documents import Review
from agents.kit import Kit, wish
from agents.state import DesignState, Json, comment
from agents.templates import prompt


def _draft(state: DesignState) -> str:
    return next(message["content"] for message in reversed(state["messages"]) if message["role"] == "assistant")


def reviewer(kit: Kit, state: DesignState) -> Json:
    """Approve the draft, or add comments to the conversation for the Scientist to answer."""
    key = f"reviewer/review-{len(state['reviews']) + 1}"
    brief = wish(kit, state)
    messages: list[BaseMessage] = [
        SystemMessage(prompt("reviewer")),
        HumanMessage(
            prompt("reviewer_task", brief=brief.text, inspirations=state["inspirations"], draft=_draft(state))
        ),
    ]

    def read() -> Json:
        return kit.document("reviewer", key, Review, messages).value.model_dump(mode="json")

    def verdict(review: Json) -> str:
        return f"{review['verdict']}: {review['comments']}"

    review = kit.step("reviewer", key, "Reviewing the draft", read, kind="review", summary=verdict)
    changes: Json = {"reviews": [review]}
    if review["verdict"] == "revise":
        changes["messages"] = [comment("reviewer", prompt("revise_task", comments=review["comments"]))]
    return changes
