"""A local chat model that sees: pictures are read before the text, through eyes of its own. Knows no roles.

The folder of the adapter holds the eyes too. Pictures come as LangChain's ``image_url`` blocks with a data URL, as any
vision model takes them.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from langchain_core.messages import BaseMessage

from models.chat.local import LocalChat, plain
from models.decoder.engine import Tape
from workspace.errors import DataError, UsageError, one_line

MOST_PICTURES = 4


class VisionChat(LocalChat):
    """A `LocalChat` whose ``adapter`` folder holds eyes."""

    @property
    def _llm_type(self) -> str:
        return "studio-vision"

    def begun(self, messages: Sequence[BaseMessage]) -> Tape:
        """A tape that has seen the conversation's pictures, in their order.

        Raises:
            UsageError: There are more than four.
            DataError: One cannot be read.
        """
        from models.encoders.eyes import as_input, decoded

        urls = [url for message in messages for url in _urls(message)]
        if len(urls) > MOST_PICTURES:
            raise UsageError(f"{len(urls)} pictures in one conversation; this model sees at most {MOST_PICTURES}")
        assert self.adapter is not None  # the eyes lie there
        tape = Tape(self.engine)
        eyes = _eyes(self.adapter, self.engine.model.config.hidden_size) if urls else None
        for url in urls:
            assert eyes is not None
            picture = decoded(_data(url))
            tape.look(eyes(as_input([picture], eyes.shape.size))[0])
        return tape

    def plain(self, message: BaseMessage) -> dict[str, str]:
        """A message's text; its pictures are seen before."""
        if isinstance(message.content, list):
            kept = [block for block in message.content if not (isinstance(block, dict) and _is_picture(block))]
            message = message.model_copy(update={"content": kept})
        return plain(message)


@lru_cache(maxsize=2)
def _eyes(folder: Path, words: int) -> Any:
    from models.encoders.eyes import load_eyes

    return load_eyes(folder, words)


def _is_picture(block: dict[Any, Any]) -> bool:
    return block.get("type") == "image_url"


def _urls(message: BaseMessage) -> list[str]:
    if isinstance(message.content, str):
        return []
    blocks = [block for block in message.content if isinstance(block, dict) and _is_picture(block)]
    given = [block.get("image_url") for block in blocks]
    return [str(one.get("url", "")) if isinstance(one, dict) else str(one) for one in given]


def _data(url: str) -> bytes:
    head, mark, body = url.partition(";base64,")
    if not (mark and head.startswith("data:image/")):
        raise UsageError(f"a local vision model reads pictures from data URLs, not from {url[:60]!r}")
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error as fault:
        raise DataError(f"the picture's data is not base64: {one_line(fault)}") from fault
