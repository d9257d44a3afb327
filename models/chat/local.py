"""A chat model running in this process, behind LangChain's interface. Knows no roles; sampling lives in ``engine``."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableLambda
from pydantic import BaseModel

from models.decoder.engine import Engine, Tape, engine, pick
from models.decoder.recall import Piece, pieces_of, read_pieces, recall_of
from models.decoder.token_runs import Runs
from workspace.errors import DataError, UsageError
from workspace.settings import SamplingSettings

if TYPE_CHECKING:
    import torch

_ROLES = {"system": "system", "human": "user", "ai": "assistant", "user": "user", "assistant": "assistant"}
_LOG = logging.getLogger("studio.models")


def plain(message: BaseMessage) -> dict[str, str]:
    """Turn a LangChain message into ``{"role", "content"}`` for a model that reads only text.

    Raises:
        UsageError: The message holds an image or has a role a local chat does not have.
    """
    role = _ROLES.get(message.type)
    if role is None:
        raise UsageError(f"a local chat model has no {message.type!r} messages; roles: system, human, ai")
    if isinstance(message.content, str):
        return {"role": role, "content": message.content}
    parts: list[str] = []
    for block in message.content:
        if isinstance(block, str):
            parts.append(block)
        elif block.get("type") == "text":
            parts.append(str(block["text"]))
        else:
            raise UsageError(
                f"this chat model reads text only and cannot see a block of type {block.get('type')!r}",
                hint="name a vision model under [vision]",
            )
    return {"role": role, "content": "\n".join(parts)}


@dataclass
class _Answer:
    """One answer while it is being written."""

    ids: list[int]
    text: str = ""
    shown: int = 0
    finish: str = "length"

    def add(self, token: int, llm: Engine, stop: Sequence[str]) -> str:
        """Take a token and return the text that may be shown now."""
        self.ids.append(token)
        self.text = llm.decode(self.ids)
        for word in stop:
            if (at := self.text.find(word)) >= 0:
                self.text, self.finish = self.text[:at], "stop"
                return self.rest()
        held = max((_overlap(self.text, word) for word in stop), default=0)
        if self.text.endswith("\ufffd"):
            held = max(held, 1)
        end = max(self.shown, len(self.text) - held)
        piece, self.shown = self.text[self.shown : end], end
        return piece

    def rest(self) -> str:
        """Return what has been held back so far."""
        piece, self.shown = self.text[self.shown :], len(self.text)
        return piece


class _Refused:
    """The tokens an answer must not go on with: avoided words, and ends of runs that the model has written before."""

    def __init__(self, llm: Engine, messages: Sequence[BaseMessage], sampling: SamplingSettings) -> None:
        answers = [llm.encode(str(message.text)) for message in messages if message.type == "ai"]
        self.runs = Runs(answers, sampling.no_repeat_ngram_size)
        self.always = llm.single(sampling.avoid)

    def after(self, written: list[int]) -> list[int]:
        self.runs.add(written)
        return [*self.always, *self.runs.after(written)]


def _overlap(text: str, word: str) -> int:
    return next((n for n in range(min(len(text), len(word) - 1), 0, -1) if text.endswith(word[:n])), 0)


class LocalChat(BaseChatModel):
    """A causal language model with a chat template, run by transformers in this process.

    Every call takes ``seed`` and the fields of `SamplingSettings` as keyword arguments. The same seed gives the same
    text. The repetition penalty looks at the answer only; the n-grams that are not repeated are those of this and of
    earlier answers.
    """

    folder: Path
    adapter: Path | None = None
    dtype: str = "auto"
    device: str = "auto"
    sampling: SamplingSettings = SamplingSettings()
    seed: int | None = None

    @property
    def _llm_type(self) -> str:
        return "studio-local"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"folder": str(self.folder), "adapter": str(self.adapter) if self.adapter else None}

    @property
    def engine(self) -> Engine:
        """The weights, read at the first use and shared within the process."""
        return engine(self.folder, adapter=self.adapter, dtype=self.dtype, device=self.device)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        whole: ChatGenerationChunk | None = None
        for chunk in self._stream(messages, stop=stop, run_manager=run_manager, **kwargs):
            whole = chunk if whole is None else whole + chunk
        assert whole is not None  # _stream always ends with a chunk that tells why it ended
        message = AIMessage(
            content=whole.message.content,
            response_metadata=whole.message.response_metadata,
            usage_metadata=getattr(whole.message, "usage_metadata", None),
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        llm, sampling = self.engine, self._sampling(kwargs)
        prompt, pieces, notices = self.fit(messages, sampling.max_tokens)
        generator = self._generator(kwargs.get("seed"))
        answer, refused = _Answer([]), _Refused(llm, messages, sampling)
        tape = self.begun(messages)
        if plain := not tape.ids:
            tape = recall_of(llm).begun(llm, prompt, pieces, take=True)
        logits = read_pieces(tape, prompt, pieces) if plain else tape.read(prompt)
        for _ in range(sampling.max_tokens):
            token = _next(logits, sampling, answer.ids, generator, refused)
            if token in llm.stops:
                answer.finish = "stop"
                break
            if piece := answer.add(token, llm, stop or ()):
                yield _chunk(piece, run_manager)
            if answer.finish == "stop":
                break
            logits = tape.read([token])
        if plain:
            recall_of(llm).keep(tape, pieces)
        if piece := answer.rest():
            yield _chunk(piece, run_manager)
        yield _last(answer, llm.name, len(prompt), notices)

    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[Any, Any]:
        """Return a runnable that answers with an instance of a pydantic model, filled field by field."""
        from models.filling.fill import fill

        if not (isinstance(schema, type) and issubclass(schema, BaseModel)):
            raise UsageError("structured output of a local model needs a pydantic class, not a JSON schema")
        model, seed = schema, kwargs.get("seed", self.seed)

        def run(prompt: Any) -> Any:
            messages = self._convert_input(prompt).to_messages()
            done = fill(self, messages, model, secrets.randbelow(2**31) if seed is None else seed)
            raw = AIMessage(content=done.raw)
            return {"raw": raw, "parsed": done.value, "parsing_error": None} if include_raw else done.value

        return RunnableLambda(run, name="structured_output")

    def fit(self, messages: Sequence[BaseMessage], room: int) -> tuple[list[int], list[Piece], list[str]]:
        """Render a conversation within the context, leaving ``room`` for the answer.

        Returns:
            The token ids of the prompt, in which pieces they are read, and notices about what was left out.
        """
        llm = self.engine
        turns, notices = _shortened(
            llm, [self.plain(message) for message in messages], llm.context - min(room, llm.context // 2)
        )
        for notice in notices:
            _LOG.warning(notice)
        prompt = llm.encode(llm.prompt(turns))
        return prompt, pieces_of(llm, turns, prompt), notices

    def turns(self, messages: Sequence[BaseMessage], limit: int) -> list[dict[str, str]]:
        """The conversation as plain turns, shortened to about ``limit`` tokens."""
        llm = self.engine
        return _shortened(llm, [self.plain(message) for message in messages], min(limit, llm.context // 2))[0]

    def begun(self, messages: Sequence[BaseMessage]) -> Tape:
        """A tape on which stands what is read before any text: nothing, for a model that reads only text."""
        return Tape(self.engine)

    def plain(self, message: BaseMessage) -> dict[str, str]:
        """A message as ``{"role", "content"}``."""
        return plain(message)

    def _sampling(self, kwargs: dict[str, Any]) -> SamplingSettings:
        given = {k: v for k, v in kwargs.items() if k in SamplingSettings.model_fields and v is not None}
        return self.sampling.model_copy(update=given)

    def _generator(self, seed: int | None) -> torch.Generator:
        import torch

        wanted = self.seed if seed is None else seed
        return torch.Generator().manual_seed(secrets.randbelow(2**31) if wanted is None else wanted)


def _shortened(llm: Engine, turns: list[dict[str, str]], limit: int) -> tuple[list[dict[str, str]], list[str]]:
    """Fit turns into ``limit`` tokens: the oldest between the first and the newest go, then the longest are cut."""
    if not turns:
        raise UsageError("a chat needs at least one message")

    def size() -> int:
        return len(llm.encode(llm.prompt(turns)))

    head, dropped = 1 + (turns[0]["role"] == "system"), 0
    while size() > limit and len(turns) > head + 1:
        del turns[head]
        dropped += 1
    notices = [f"left out the {dropped} oldest turns to stay within {limit} tokens"] if dropped else []
    if size() > limit:
        notices.append(f"shortened the longest message to stay within {limit} tokens")
    while (count := size()) > limit:
        longest = max(turns, key=lambda turn: len(turn["content"]))
        text = longest["content"]
        if len(text) < 16:
            raise DataError(f"the chat template alone needs more than {limit} tokens")
        keep = max(4, int(len(text) * 0.9 * limit / count) // 2)
        longest["content"] = text[:keep] + " ... " + text[-keep:]
    return turns, notices


def _next(
    logits: torch.Tensor,
    sampling: SamplingSettings,
    written: list[int],
    generator: torch.Generator,
    refused: _Refused,
) -> int:
    logits = logits.clone()
    logits[refused.after(written)] = float("-inf")
    return pick(
        logits,
        temperature=1.0 if sampling.temperature is None else sampling.temperature,
        top_p=sampling.top_p or 1.0,
        top_k=sampling.top_k,
        penalty=sampling.repetition_penalty,
        written=written,
        generator=generator,
    )


def _chunk(piece: str, run_manager: CallbackManagerForLLMRun | None) -> ChatGenerationChunk:
    chunk = ChatGenerationChunk(message=AIMessageChunk(content=piece))
    if run_manager is not None:
        run_manager.on_llm_new_token(piece, chunk=chunk)
    return chunk


def _metadata(answer: _Answer, name: str, notices: list[str]) -> dict[str, Any]:
    return {"finish_reason": answer.finish, "model_name": name, **({"notices": notices} if notices else {})}


def _last(answer: _Answer, name: str, prompt: int, notices: list[str]) -> ChatGenerationChunk:
    usage = UsageMetadata(input_tokens=prompt, output_tokens=len(answer.ids), total_tokens=prompt + len(answer.ids))
    message = AIMessageChunk(
        content="", response_metadata=_metadata(answer, name, notices), usage_metadata=usage, chunk_position="last"
    )
    return ChatGenerationChunk(message=message, generation_info={"finish_reason": answer.finish})
