"""One way to have any chat model write a document. Knows which models fill leaf by leaf, which are asked for JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from pydantic import BaseModel, ValidationError

from models.chat.documents import faults, written
from models.chat.local import LocalChat
from models.chat.remote import hint_for, not_taken
from models.filling.fill import fill
from models.filling.shots import Shots
from models.filling.slots import firm
from workspace.errors import DataError

T = TypeVar("T", bound=BaseModel)
_REPAIRS = 2


@dataclass(frozen=True)
class Structured(Generic[T]):
    """A validated document, and how often something in it was written again."""

    value: T
    repairs: int


def structured(
    model: BaseChatModel,
    schema: type[T],
    messages: Sequence[BaseMessage],
    *,
    seed: int,
    hints: Mapping[str, Sequence[str]] | None = None,
    on_text: Callable[[str], None] | None = None,
    shots: Shots | None = None,
) -> Structured[T]:
    """Have a chat model write a document from a conversation.

    Args:
        model: A local model fills the document leaf by leaf; any other is asked for JSON by schema.
        schema: The document's class.
        messages: The conversation.
        seed: Seed of the writing.
        hints: Values the document must carry, by dotted field; see ``models.filling.fill.fill``.
        on_text: Takes text as it is written.
        shots: Documents of the same kind that a local model continues; a served model needs none.

    Raises:
        DataError: No valid document came about; the message names the field.
    """
    if isinstance(model, LocalChat):
        filled = fill(model, messages, schema, seed, on_text=on_text, hints=hints, shots=shots)
        return Structured(filled.value, filled.repairs)
    runnable = model.with_structured_output(schema, method="json_schema", include_raw=True)
    talk = [*messages, *_wishes(hints)]
    fault = ""
    for attempt in range(_REPAIRS + 1):
        answer: Any = runnable.invoke(talk, seed=seed + attempt)
        raw: AIMessage = answer["raw"]
        text = str(raw.text)
        try:
            value = written(text, schema)
        except (ValidationError, DataError) as error:
            fault = not_taken(raw.response_metadata) or faults(error)
            if raw.response_metadata.get("none"):  # asked again, it would say the same
                raise DataError(f"there is no {schema.__name__}: {fault}", hint=hint_for(fault)) from error
            if on_text is not None and text:
                on_text(text)
            talk = [*talk, AIMessage(text or "{}"), HumanMessage(f"That is not valid: {fault}. Write it again, whole.")]
            continue
        if on_text is not None:
            on_text(value.model_dump_json())
        return Structured(value, attempt)
    raise DataError(f"the model's answer is not a valid {schema.__name__} after {_REPAIRS} repairs: {fault}")


def _wishes(hints: Mapping[str, Sequence[str]] | None) -> list[BaseMessage]:
    held = firm(hints or {}, taught=True)
    if not held:
        return []
    lines = "; ".join(f"{path}: {', '.join(filter(None, values))}" for path, values in held.items())
    return [HumanMessage(f"Use exactly these values: {lines}")]
