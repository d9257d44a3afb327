"""Chat models on any OpenAI-compatible server: bounded in time, tries and bytes; each fault is one clear line.

Knows the protocol; nothing of roles, and nothing of what the server runs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import httpx2
import openai
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableLambda
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, PrivateAttr, SecretStr, ValidationError

from workspace.errors import DataError, ServiceError, UsageError, one_line, pydantic_fault
from workspace.settings import RoleCall

_RETRIED = frozenset({429, 500, 502, 503, 504})
_PAUSE = 0.5
_LONGEST_PAUSE = 8.0


class _Refused(httpx2.TransportError):
    """An answer that is not read: it is too large or packed."""


class _Body(httpx2.SyncByteStream):
    """An answer's bytes, counted and timed."""

    def __init__(self, stream: Any, most: int, deadline: float) -> None:
        self.stream, self.most, self.deadline = stream, most, deadline

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for chunk in self.stream:
            size += len(chunk)
            if size > self.most:
                raise _Refused(f"the answer is larger than {self.most} bytes")
            if time.monotonic() > self.deadline:
                raise httpx2.ReadTimeout("the answer took too long")
            yield chunk

    def close(self) -> None:
        self.stream.close()


class Bounded(httpx2.BaseTransport):
    """HTTP with a deadline for the whole exchange, bounded retries, and a limit on what is read.

    A connection that is refused or closed before an answer, and the statuses 429, 500, 502, 503 and 504, are tried
    again, each pause twice as long as the one before, as long as the deadline allows. A time-out is not: the time is
    spent. Compressed answers are refused, since a few bytes can unpack to more than the limit.

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
        request.headers["accept-encoding"] = "identity"
        for attempt in range(self.retries + 1):
            left = max(0.01, deadline - time.monotonic())
            request.extensions["timeout"] = dict.fromkeys(("connect", "read", "write", "pool"), left)
            pause = min(_PAUSE * 2**attempt, _LONGEST_PAUSE)
            last = attempt == self.retries or pause > deadline - time.monotonic()
            try:
                response = self.inner.handle_request(request)
            except (httpx2.NetworkError, httpx2.RemoteProtocolError):
                if last:
                    raise
            else:
                if last or response.status_code not in _RETRIED:
                    return self._limited(response, deadline)
                response.close()
            time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def _limited(self, response: httpx2.Response, deadline: float) -> httpx2.Response:
        if response.headers.get("content-encoding", "identity") != "identity":
            response.close()
            raise _Refused("the answer is compressed, which was not asked for")
        body = _Body(response.stream, self.max_bytes, deadline)
        return httpx2.Response(
            response.status_code, headers=response.headers, stream=body, extensions=response.extensions
        )

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
            raise self._nothing()
        return result

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        spoken = False
        with self._faults():
            for chunk in super()._stream(*args, **kwargs):
                spoken = spoken or bool(chunk.message.content) or bool(chunk.generation_info)
                yield chunk
        if not spoken:
            raise self._nothing()

    def with_structured_output(  # type: ignore[override]
        self, schema: type[BaseModel], *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[Any, Any]:
        """Return a runnable that asks for JSON by ``schema`` and validates the answer with it."""
        if not (isinstance(schema, type) and issubclass(schema, BaseModel)):
            raise UsageError("structured output needs a pydantic class, not a JSON schema")
        wanted = {"name": schema.__name__, "schema": wire_schema(schema)}
        asked = self.bind(stream=False, extra_body={"response_format": {"type": "json_schema", "json_schema": wanted}})

        def parsed(message: AIMessage) -> BaseModel:
            try:
                return schema.model_validate_json(str(message.text))
            except ValidationError as error:
                wrong = pydantic_fault(error, schema)
                raise DataError(f"the answer is not a valid {schema.__name__}: {wrong}") from error

        def with_fault(message: AIMessage) -> dict[str, Any]:
            try:
                return {"raw": message, "parsed": parsed(message), "parsing_error": None}
            except DataError as fault:
                return {"raw": message, "parsed": None, "parsing_error": fault}

        return asked | (RunnableLambda(with_fault) if include_raw else RunnableLambda(parsed))

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Turn every way in which a server can fail into one line that names it."""
        try:
            yield
        except openai.APITimeoutError as fault:
            raise self._late() from fault
        except openai.APIStatusError as fault:
            raise self._refused(fault) from fault
        except (openai.APIConnectionError, httpx2.TransportError) as fault:
            raise self._broken(fault) from fault
        except (openai.OpenAIError, ValueError, TypeError, KeyError, AttributeError, IndexError) as fault:
            raise ServiceError(f"{self.server} gave an answer that cannot be read: {one_line(fault)}") from fault

    def _nothing(self) -> ServiceError:
        return ServiceError(f"{self.server} gave an answer without a choice", hint="is it an OpenAI-compatible server?")

    def _broken(self, fault: Exception) -> ServiceError:
        cause = _cause(fault)
        if isinstance(cause, httpx2.TimeoutException):
            return self._late()
        if isinstance(cause, _Refused):
            return ServiceError(f"{self.server} failed: {cause}", hint="chat.max_bytes sets the largest answer")
        if isinstance(cause, httpx2.ConnectError):
            return ServiceError(f"{self.server} cannot be reached: {one_line(cause)}", hint="is the server running?")
        return ServiceError(f"{self.server} broke off: {one_line(cause)}", hint="the server's own log may say why")

    def _late(self) -> ServiceError:
        return ServiceError(
            f"{self.server} did not answer within {self._timeout:g} s", hint="raise chat.timeout, or ask for less"
        )

    def _refused(self, fault: openai.APIStatusError) -> ServiceError:
        code = fault.status_code
        if code in (401, 403):
            return ServiceError(f"{self.server} refused the key (HTTP {code})", hint="set api_key_env to its variable")
        if code == 404:
            there = ", ".join(_listed(self))
            listing = f"; it has: {there}" if there else ", and lists no models"
            hint = None if there else "does the URL end as the server wants it, most often in /v1?"
            return ServiceError(f"{self.server} has no model {self.model_name!r} (HTTP 404){listing}", hint=hint)
        return ServiceError(f"{self.server} answered HTTP {code}: {one_line(fault)}")


def remote(call: RoleCall, *, seed: int | None = None) -> RemoteChat:
    """Return the chat model of a role's server.

    Raises:
        UsageError: The variable that should hold the key does not, or the server's URL is none.
    """
    chat, sampling = call.chat, call.sampling
    assert chat.server is not None  # the caller chose by it
    _check(chat.server)
    key = _key(chat.api_key_env, chat.server) if chat.api_key_env else "none"
    model = RemoteChat(  # type: ignore[call-arg]  # by the names that langchain gives its fields
        model=chat.model,
        server=chat.server,
        base_url=chat.server,
        api_key=SecretStr(key),
        http_client=_client(chat.timeout, chat.retries, chat.max_bytes),
        openai_proxy="",
        max_retries=0,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        max_tokens=sampling.max_tokens,
        seed=seed,
        stream_usage=False,
    )
    model._timeout = chat.timeout
    return model


@lru_cache(maxsize=16)
def _client(timeout: float, retries: int, max_bytes: int) -> httpx2.Client:
    """One client for all models with the same bounds; building one reads the machine's certificates."""
    return httpx2.Client(transport=Bounded(timeout, retries, max_bytes))


def _check(server: str) -> None:
    try:
        url = httpx2.URL(server)
    except httpx2.InvalidURL as fault:
        raise UsageError(f"the server {server} is not a URL: {one_line(fault)}") from fault
    if not url.host:
        raise UsageError(f"the server {server} is not a URL: it names no host")


def _key(variable: str, server: str) -> str:
    key = os.environ.get(variable, "").strip()
    if not key:
        raise UsageError(f"the variable {variable}, which should hold the key of {server}, is not set")
    if not (key.isascii() and key.isprintable()):
        raise UsageError(f"the variable {variable} holds characters that a key cannot have")
    return key


def wire_schema(schema: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema as servers take it: without the hints whose names begin with ``x-``."""
    plain: dict[str, Any] = _without_hints(schema.model_json_schema())
    return plain


def _without_hints(value: Any, *, names: bool = False) -> Any:
    """Drop the hints; what stands under ``properties`` are a class's own names, which stay whatever they are."""
    if isinstance(value, dict):
        kept = {key: held for key, held in value.items() if names or not str(key).startswith("x-")}
        return {key: _without_hints(held, names=key == "properties" and not names) for key, held in kept.items()}
    return [_without_hints(held) for held in value] if isinstance(value, list) else value


def _listed(model: RemoteChat) -> list[str]:
    try:
        return [" ".join(str(entry.id).split()) for entry in model.root_client.models.list()][:8]
    except (openai.OpenAIError, httpx2.TransportError, ValueError, TypeError, AttributeError):
        return []


def _cause(fault: BaseException) -> BaseException:
    """The transport's own fault, under whatever other libraries have wrapped around it."""
    under: BaseException | None = fault
    while under is not None and not isinstance(under, httpx2.TransportError):
        under = under.__cause__
    return under or fault
