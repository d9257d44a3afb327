"""Chat models on any OpenAI-compatible server: bounded in time, tries and bytes; each fault is one clear line.

Knows the protocol; nothing of roles, and nothing of what the server runs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import openai
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableLambda
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, PrivateAttr, SecretStr

from workspace.errors import ServiceError, UsageError
from workspace.settings import RoleCall

_RETRIED = frozenset({429, 500, 502, 503, 504})
_PAUSE = 0.5
_LONGEST_PAUSE = 8.0


class _TooLarge(httpx2.TransportError):
    """An answer passed the size limit."""


class _Body(httpx2.SyncByteStream):
    """An answer's bytes, counted and timed."""

    def __init__(self, stream: Any, most: int, deadline: float) -> None:
        self.stream, self.most, self.deadline = stream, most, deadline

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for chunk in self.stream:
            size += len(chunk)
            if size > self.most:
                raise _TooLarge(f"the answer is larger than {self.most} bytes")
            if time.monotonic() > self.deadline:
                raise httpx2.ReadTimeout("the answer took too long")
            yield chunk

    def close(self) -> None:
        self.stream.close()


class Bounded(httpx2.BaseTransport):
    """HTTP with a deadline for the whole exchange, bounded retries, and a limit on what is read.

    A refused connection and the statuses 429, 500, 502, 503 and 504 are tried again, each pause twice as long as the
    one before, as long as the deadline allows. A time-out is not: the time is spent.

    Args:
        timeout: Seconds one answer may take, all tries included.
        retries: How often a failed request is made again.
        max_bytes: Largest answer that is read.
    """

    def __init__(self, timeout: float, retries: int, max_bytes: int) -> None:
        self.timeout, self.retries, self.max_bytes = timeout, retries, max_bytes
        self.inner = httpx2.HTTPTransport(limits=httpx2.Limits(max_keepalive_connections=0))

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request within the bounds."""
        deadline = time.monotonic() + self.timeout
        for attempt in range(self.retries + 1):
            left = max(0.01, deadline - time.monotonic())
            request.extensions["timeout"] = dict.fromkeys(("connect", "read", "write", "pool"), left)
            pause = min(_PAUSE * 2**attempt, _LONGEST_PAUSE)
            last = attempt == self.retries or pause > deadline - time.monotonic()
            try:
                response = self.inner.handle_request(request)
            except httpx2.ConnectError:
                if last:
                    raise
            else:
                if last or response.status_code not in _RETRIED:
                    body = _Body(response.stream, self.max_bytes, deadline)
                    return httpx2.Response(
                        response.status_code, headers=response.headers, stream=body, extensions=response.extensions
                    )
                response.close()
            time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def close(self) -> None:
        """Close the connections."""
        self.inner.close()


class RemoteChat(ChatOpenAI):
    """`ChatOpenAI` whose faults are `ServiceError` and whose documents are asked for by JSON schema.

    ``server`` is the base URL. Keyword arguments of a call are those of `ChatOpenAI`, ``seed`` among them.
    """

    server: str = ""
    _timeout: float = PrivateAttr(default=0.0)

    @property
    def _llm_type(self) -> str:
        return "studio-remote"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with self._faults():
            result = super()._generate(messages, stop=stop, run_manager=run_manager, **kwargs)
        if not result.generations:
            raise ServiceError(
                f"{self.server} gave an answer without a choice", hint="is it an OpenAI-compatible server?"
            )
        return result

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        spoken = False
        with self._faults():
            for chunk in super()._stream(*args, **kwargs):
                spoken = spoken or bool(chunk.message.content) or bool(chunk.generation_info)
                yield chunk
        if not spoken:
            raise ServiceError(
                f"{self.server} gave an answer without a choice", hint="is it an OpenAI-compatible server?"
            )

    def with_structured_output(  # type: ignore[override]
        self, schema: type[BaseModel], *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[Any, Any]:
        """Return a runnable that asks for JSON by ``schema`` and validates the answer with it."""
        if not (isinstance(schema, type) and issubclass(schema, BaseModel)):
            raise UsageError("structured output needs a pydantic class, not a JSON schema")
        wanted = {"name": schema.__name__, "schema": wire_schema(schema)}
        asked = self.bind(stream=False, extra_body={"response_format": {"type": "json_schema", "json_schema": wanted}})
        if include_raw:
            return asked | RunnableLambda(lambda message: {"raw": message, "parsed": None, "parsing_error": None})

        def parsed(message: AIMessage) -> BaseModel:
            return schema.model_validate_json(str(message.text))

        return asked | RunnableLambda(parsed)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Turn every way in which a server can fail into one line that names it."""
        try:
            yield
        except openai.APITimeoutError as fault:
            raise ServiceError(
                f"{self.server} did not answer within {self._timeout:g} s", hint="raise chat.timeout, or ask for less"
            ) from fault
        except openai.APIStatusError as fault:
            raise self._refused(fault) from fault
        except (openai.APIConnectionError, httpx2.TransportError) as fault:
            cause = fault.__cause__ or fault
            if isinstance(cause, httpx2.TimeoutException):
                words = f"did not answer within {self._timeout:g} s"
            elif isinstance(cause, _TooLarge):
                words = f"failed: {cause}"
            else:
                words = f"cannot be reached: {_line(cause)}"
            raise ServiceError(f"{self.server} {words}", hint="is the server running?") from fault
        except (openai.OpenAIError, ValueError, TypeError, KeyError, AttributeError, IndexError) as fault:
            raise ServiceError(f"{self.server} gave an answer that cannot be read: {_line(fault)}") from fault

    def _refused(self, fault: openai.APIStatusError) -> ServiceError:
        code = fault.status_code
        if code in (401, 403):
            return ServiceError(f"{self.server} refused the key (HTTP {code})", hint="set api_key_env to its variable")
        if code == 404:
            there = ", ".join(_listed(self)) or "unknown"
            return ServiceError(f"{self.server} has no model {self.model_name!r} (HTTP 404); it has: {there}")
        return ServiceError(f"{self.server} answered HTTP {code}: {_line(fault)}")


def remote(call: RoleCall, *, seed: int | None = None) -> RemoteChat:
    """Return the chat model of a role's server.

    Raises:
        UsageError: The variable that should hold the key is not set.
    """
    chat, sampling = call.chat, call.sampling
    assert chat.server is not None  # the caller chose by it
    key = "none"
    if chat.api_key_env:
        key = os.environ.get(chat.api_key_env, "")
        if not key:
            raise UsageError(f"the variable {chat.api_key_env}, which should hold the key of {chat.server}, is not set")
    model = RemoteChat(
        model=chat.model,
        server=chat.server,
        base_url=chat.server,
        api_key=SecretStr(key),
        http_client=httpx2.Client(transport=Bounded(chat.timeout, chat.retries, chat.max_bytes)),
        max_retries=0,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        max_tokens=sampling.max_tokens,
        seed=seed,
        stream_usage=False,
    )
    model._timeout = chat.timeout
    return model


def wire_schema(schema: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema as servers take it: without the hints whose names begin with ``x-``."""
    plain: dict[str, Any] = _without_hints(schema.model_json_schema())
    return plain


def _without_hints(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_hints(held) for key, held in value.items() if not str(key).startswith("x-")}
    return [_without_hints(held) for held in value] if isinstance(value, list) else value


def _listed(model: RemoteChat) -> list[str]:
    try:
        return [entry.id for entry in model.root_client.models.list()][:8]
    except (openai.OpenAIError, httpx2.TransportError, ValueError, TypeError, AttributeError):
        return []


def _line(fault: BaseException) -> str:
    return " ".join(str(fault).split())[:200] or type(fault).__name__
