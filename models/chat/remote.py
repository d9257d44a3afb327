"""Chat models on any OpenAI-compatible server: bounded in time, tries and bytes; each fault is one clear line.

Knows the protocol; nothing of roles, and nothing of what the server runs. How servers differ stands in ``dialects``,
how their answers are read in ``answers``, who gets which key in ``addresses``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import httpx2
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableLambda
from pydantic import BaseModel, Field, PrivateAttr, ValidationError

from models.chat import dialects, exchange
from models.chat.addresses import OPENAI, Address, address
from models.chat.answers import BrokenOff, Piece, Speech, pieces
from models.chat.dialects import Body
from models.chat.documents import faults, in_words, objects, wire_schema, written
from models.chat.exchange import Patience, Refused
from models.chat.refusals import reason
from models.chat.servers import broken, late, listed, refusal
from models.decoder.turns import neighbours_joined
from workspace.errors import DataError, ServiceError, UsageError, one_line
from workspace.settings import RoleCall

_ROLES = {"system": "system", "human": "user", "ai": "assistant"}
_unannounced: dict[dialects.Key, bool] = {}
"""Whether a model begins to reason without the tag that opens it; not there: nobody has heard it yet."""


class RemoteChat(BaseChatModel):
    """A model on a server, whose faults are `ServiceError` and whose documents are asked for by JSON schema.

    A call takes ``seed``. ``on_usage`` is told of every whole answer how many tokens were read and written for it,
    where the server says so. The first answer of a model that nobody has heard yet is given only when it is whole: it
    may begin with reasoning that nothing announces.
    """

    call: RoleCall
    seed: int | None = None
    on_usage: Callable[[int, int], object] | None = Field(None, exclude=True, repr=False)
    _where: Address = PrivateAttr()

    @property
    def _llm_type(self) -> str:
        return "studio-remote"

    @property
    def server(self) -> str:
        """The server's address as it may be shown."""
        return self._where.shown

    @property
    def _key(self) -> dialects.Key:
        return self.server, self.call.chat.model

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        answer, speech = Piece(), Speech(wait=True)
        with self._faults():
            for piece in self._pieces(messages, kwargs.get("seed"), stream=False):
                answer.add(piece)
        usage = self._usage(answer)
        answer.text = speech.heard(answer.text, last=True).strip()
        self._check(answer, speech)
        message = AIMessage(answer.text, response_metadata=self._metadata(answer), usage_metadata=usage)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        answer, speech = Piece(), Speech(wait=_unannounced.get(self._key, True))
        with self._faults():
            for piece in self._pieces(messages, kwargs.get("seed"), stream=True):
                text = speech.heard(piece.text)
                answer.add(Piece(**{**vars(piece), "text": text}))
                if text:
                    yield _chunk(text, run_manager)
        usage = self._usage(answer)
        rest = speech.heard("", last=True)
        answer.text += rest
        self._check(answer, speech)
        if rest:
            yield _chunk(rest, run_manager)
        last = AIMessageChunk(
            content="", response_metadata=self._metadata(answer), usage_metadata=usage, chunk_position="last"
        )
        yield ChatGenerationChunk(message=last, generation_info={"finish_reason": answer.finish})

    def with_structured_output(  # type: ignore[override]
        self, schema: type[BaseModel], *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[Any, Any]:
        """Return a runnable that asks for JSON by ``schema`` and validates the answer with it.

        The raw answer's ``response_metadata`` says under ``none`` why it is no answer at all, under ``fault`` why
        it may be no whole one.
        """
        if not (isinstance(schema, type) and issubclass(schema, BaseModel)):
            raise UsageError("structured output needs a pydantic class, not a JSON schema")

        def run(prompt: Any, seed: int | None = None) -> Any:
            raw = self._document(self._convert_input(prompt).to_messages(), seed, schema)
            try:
                fault, value = None, written(str(raw.text), schema)
            except (ValidationError, DataError) as error:
                why = not_taken(raw.response_metadata) or faults(error)
                fault, value = DataError(f"the answer is not a valid {schema.__name__}: {why}"), None
            if include_raw:
                return {"raw": raw, "parsed": value, "parsing_error": fault}
            if fault is not None:
                raise fault
            return value

        return RunnableLambda(run, name="structured_output")

    def _document(self, messages: Sequence[BaseMessage], seed: int | None, schema: type[BaseModel]) -> AIMessage:
        """Ask for a document; the JSON is taken out of whichever field of the answer holds it."""
        answer, speech = Piece(), Speech(wait=True)
        with self._faults():
            try:
                for piece in self._pieces(_with_fields(messages, schema), seed, stream=False, schema=schema):
                    answer.add(piece)
            except Refused as refused:
                if not dialects.unread(refused.text):
                    raise
                words = self._where.safe(one_line(reason(refused.text)))
                return AIMessage("", response_metadata=self._metadata(answer) | {"fault": f"the server says: {words}"})
        usage = self._usage(answer)
        whole, answer.text = answer.text, speech.heard(answer.text, last=True).strip()
        limit = self.call.sampling.max_tokens
        fault = answer.fault(limit, thought=speech.thought)
        said = self._metadata(answer) | ({"none": f"{self.server}: {self._where.safe(fault)}"} if fault else {})
        if answer.is_cut:
            said["fault"] = f"the answer was cut off at sampling.max_tokens ({limit})"
        elif not answer.text:
            said["fault"] = "the answer is empty"
        elsewhere = [answer.arguments, *([] if answer.is_cut else [answer.reasoning, whole if speech.thought else ""])]
        found = [] if any(objects(answer.text)) else [one for place in elsewhere for one in [*objects(place)][-1:]]
        if not found or answer.is_withheld:
            text = "" if answer.is_withheld else answer.text
            return AIMessage(text, response_metadata=said, usage_metadata=usage)
        said = {name: held for name, held in said.items() if name != "none" and (name != "fault" or answer.is_cut)}
        return AIMessage(json.dumps(found[0]), response_metadata=said, usage_metadata=usage)

    def _pieces(
        self,
        messages: Sequence[BaseMessage],
        seed: int | None,
        *,
        stream: bool,
        schema: type[BaseModel] | None = None,
    ) -> Iterator[Piece]:
        """The parts of an answer; what the server refuses is said otherwise, as long as there is a way."""
        body = self._body(messages, self.seed if seed is None else seed, stream, schema)
        spoken, heard = dialects.known(self._key), False
        chat = self.call.chat
        patience = Patience(chat.timeout, chat.retries, chat.max_bytes)
        deadline = exchange.clock() + chat.timeout

        def meant(refused: Refused) -> str | None:
            words = reason(refused.text) or refused.text
            return dialects.understood(refused.status_code, words, body, spoken)

        def hopeless(refused: Refused) -> bool:  # a document is asked for again with another seed
            return meant(refused) is not None or (schema is not None and dialects.unread(refused.text))

        while True:
            try:
                said = dialects.said(body, spoken)
                with exchange.exchange(self._where, "/chat/completions", said, patience, deadline, hopeless) as chunks:
                    for piece in pieces(chunks):
                        heard = heard or piece.chosen
                        yield piece
            except Refused as refused:
                more = None if heard else meant(refused)
                if more is None:
                    raise
                spoken |= {more}
            else:
                dialects.remember(self._key, spoken)
                if not heard:
                    raise ValueError("it holds no choice; is it an OpenAI-compatible server?")
                return

    def _body(
        self, messages: Sequence[BaseMessage], seed: int | None, stream: bool, schema: type[BaseModel] | None
    ) -> Body:
        """A request in full; `dialects` takes out what a server does not take."""
        sampling = self.call.sampling
        limit = "max_completion_tokens" if self._where.url.host == OPENAI else "max_tokens"
        body: Body = {
            "model": self.call.chat.model,
            "messages": neighbours_joined([_turn(message) for message in messages]),
            "stream": stream,
            "stream_options": dialects.USAGE if stream else None,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            limit: sampling.max_tokens,
            "seed": seed,
        }
        if schema is not None:
            wanted = {"name": schema.__name__, "schema": wire_schema(schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": wanted}
        return {name: value for name, value in body.items() if value is not None}

    def _check(self, answer: Piece, speech: Speech) -> None:
        """Refuse what is no answer, and keep whether the model announces its reasoning."""
        fault = answer.fault(self.call.sampling.max_tokens, thought=speech.thought)
        if fault:
            raise ServiceError(f"{self.server}: {self._where.safe(fault)}", hint=hint_for(fault))
        _unannounced[self._key] = speech.bare or _unannounced.get(self._key, False)

    def _metadata(self, answer: Piece) -> dict[str, Any]:
        finish = "length" if answer.is_cut else answer.finish
        return {"finish_reason": finish, "model_name": self.call.chat.model}

    def _usage(self, answer: Piece) -> UsageMetadata | None:
        """The tokens that a whole answer took, which are told on; nothing where its server does not say."""
        read, wrote = answer.tokens_in, answer.tokens_out
        if not read and not wrote:
            return None
        if self.on_usage is not None:
            self.on_usage(read, wrote)
        return UsageMetadata(input_tokens=read, output_tokens=wrote, total_tokens=read + wrote)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Turn every way in which a server can fail into one line that names it."""
        try:
            yield
        except Refused as fault:
            raise self._refused(fault) from fault
        except httpx2.TimeoutException as fault:
            raise late(self._where, self.call.chat.timeout) from fault
        except (httpx2.TransportError, httpx2.InvalidURL, BrokenOff) as fault:
            raise broken(self._where, fault) from fault
        except (ValueError, TypeError, KeyError, AttributeError, IndexError) as fault:
            words = self._where.safe(one_line(fault))
            raise ServiceError(f"{self.server} gave an answer that cannot be read: {words}") from fault

    def _refused(self, fault: Refused) -> ServiceError:
        name = self.call.chat.model
        there = (listed(self._where, self.call.chat.timeout) or ()) if fault.status_code == 404 else ()
        if fault.status_code != 404 or name in there:
            return refusal(self._where, fault)
        listing = f"it has: {', '.join(there[:8])}" if there else "and lists no models"
        said = self._where.safe(one_line(reason(fault.text)))
        hint = None if there else "does the URL end as the server wants it, most often in /v1?"
        words = f"{self.server} has no model {name!r} (HTTP 404){'; ' if there else ', '}{listing}"
        return ServiceError(f"{words}; it says: {said}" if said else words, hint=hint)


def not_taken(metadata: Mapping[str, Any]) -> str | None:
    """Why an answer that is no valid document is none, where it is not the document's own fault."""
    return metadata.get("none") or metadata.get("fault")


def _with_fields(messages: Sequence[BaseMessage], schema: type[BaseModel]) -> list[BaseMessage]:
    """A conversation whose first task is followed by the document's fields; what comes later leaves that as it is."""
    place = next((number for number, message in enumerate(messages, 1) if message.type == "human"), len(messages))
    return [*messages[:place], HumanMessage(in_words(schema)), *messages[place:]]


def hint_for(fault: str) -> str | None:
    """What mends an answer that is none."""
    return "raise sampling.max_tokens, or have the model reason less" if "sampling.max_tokens" in fault else None


def _chunk(text: str, run_manager: CallbackManagerForLLMRun | None) -> ChatGenerationChunk:
    chunk = ChatGenerationChunk(message=AIMessageChunk(content=text))
    if run_manager is not None:
        run_manager.on_llm_new_token(text, chunk=chunk)
    return chunk


def _turn(message: BaseMessage) -> Body:
    """A message as the protocol has it: plain text, or text and pictures."""
    role = _ROLES.get(message.type)
    if role is None:
        raise UsageError(f"a served chat model has no {message.type!r} messages; roles: {', '.join(_ROLES)}")
    if isinstance(message.content, str):
        return {"role": role, "content": message.content}
    parts = [{"type": "text", "text": block} if isinstance(block, str) else block for block in message.content]
    if all(part.get("type") == "text" for part in parts):
        return {"role": role, "content": "\n".join(str(part["text"]) for part in parts)}
    return {"role": role, "content": parts}


def remote(call: RoleCall, *, seed: int | None = None) -> RemoteChat:
    """Return the chat model of a role's server.

    Raises:
        UsageError: The variable that should hold the key does not, or the server's URL is none.
    """
    where = address(call.chat)
    model = RemoteChat(call=call, seed=seed)
    model._where = where
    return model


def forget() -> None:
    """Know nothing of any server and its models, as when the process began."""
    dialects.forget()
    _unannounced.clear()
