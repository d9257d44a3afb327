"""Puts one question to a judge once: the document it writes, or why there is none. Knows no files.

A judge on a server is asked for JSON by schema. One in this process fills the document leaf by leaf with the whole
conversation before it: what does not fit into what it can read is a fault, never cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from pydantic import BaseModel

from models.chat.local import LocalChat
from models.filling.fill import fill
from workspace.errors import DataError, ServiceError, StudioError, one_line

if TYPE_CHECKING:
    from models.decoder.engine import Engine, Tape
    from workspace.settings import SamplingSettings

T = TypeVar("T", bound=BaseModel)
_ROOM = 256
"""Tokens that questions and answers take beside the conversation."""
_ONES_OWN = frozenset({400, 413, 422})  # a server's word on one request, not on all
_SHOWN = 80  # letters of an answer that is none


class NoVerdict(DataError):
    """The judge gave no valid answer to this question.

    Args:
        message: Why.
        hopeless: Whether it would say the same again.
    """

    def __init__(self, message: str, *, hopeless: bool = False) -> None:
        super().__init__(message)
        self.hopeless = hopeless


class _Reader:
    """A local judge that is shown whole conversations; see `models.filling.fill.Writer`."""

    def __init__(self, chat: LocalChat) -> None:
        self._chat = chat
        self.sampling: SamplingSettings = chat.sampling

    @property
    def engine(self) -> Engine:
        """The weights."""
        return self._chat.engine

    def begun(self, messages: Sequence[BaseMessage]) -> Tape:
        """What stands before the conversation."""
        return self._chat.begun(messages)

    def turns(self, messages: Sequence[BaseMessage], limit: int) -> list[dict[str, str]]:
        """The conversation, whole.

        Raises:
            NoVerdict: It does not fit.
        """
        turns = [self._chat.plain(message) for message in messages]
        long, room = len(self.engine.encode(self.engine.prompt(turns))), self.engine.context - _ROOM
        if long > room:
            why = f"what it is to judge has {long:,} tokens, and it reads {room:,} beside its answer"
            raise NoVerdict(why, hopeless=True)
        return turns


def ask(judge: BaseChatModel, schema: type[T], messages: Sequence[BaseMessage], seed: int) -> T:
    """Put a question to a judge, once.

    Args:
        judge: Local or served.
        schema: The class of the document.
        messages: What it reads.
        seed: Of its answer.

    Raises:
        NoVerdict: It refused, answered something else, or scored outside the scale.
        ServiceError: It does not answer at all.
    """
    try:
        if isinstance(judge, LocalChat):
            return fill(_Reader(judge), messages, schema, seed).value
        runnable = judge.with_structured_output(schema, method="json_schema", include_raw=True)
        answer: Any = runnable.invoke(list(messages), seed=seed)
    except NoVerdict:
        raise
    except DataError as fault:
        raise NoVerdict(fault.message) from fault
    except ServiceError as fault:
        if getattr(fault.__cause__, "status_code", None) not in _ONES_OWN:
            raise
        raise NoVerdict(fault.message) from fault
    value: T | None = answer["parsed"]
    if value is None:
        raise NoVerdict(_why(answer["parsing_error"], str(answer["raw"].text)))
    return value


def _why(fault: StudioError, text: str) -> str:
    said = one_line(text, _SHOWN)
    return f"{fault.message}; it said: {said}" if text.strip() else fault.message
