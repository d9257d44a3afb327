"""The smallest question there is for a chat server: one token. Tells one that works from one that merely listens."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx2

from models.chat.addresses import Address
from models.chat.exchange import Patience, Refused, clock, exchange
from models.chat.refusals import reason
from models.chat.servers import names

_MOST_BYTES = 1_000_000
_LISTING = 1.0  # seconds in which a list of models comes, where the model is loaded


class Canary:
    """Asks one server for one token of one model.

    Args:
        host: Its address.
        port: Its port.
        model: The model's name there.
        key: Its key.
    """

    def __init__(self, host: str, port: int, model: str, key: str) -> None:
        url = f"http://{host}:{port}/v1"
        self._where = Address(url, httpx2.URL(url), {"Authorization": f"Bearer {key}"}, (key,))
        self._model = model

    def hatched(self) -> bool:
        """Whether the server lists the model.

        Raises:
            Refused: As for `sings`.
        """
        return self._asked(lambda: self._model in names(self._where, _LISTING))

    def sings(self, timeout: float) -> bool:
        """Whether the model writes a token within so many seconds.

        Raises:
            Refused: The server answers with a status that is no success; its words are without the key.
        """
        return self._asked(lambda: self._token(timeout))

    def _asked(self, ask: Callable[[], bool]) -> bool:
        try:
            return ask()
        except Refused as refused:
            raise Refused(refused.status_code, self._where.safe(reason(refused.text) or refused.text)) from None
        except httpx2.TransportError:
            return False
        except (ValueError, TypeError, KeyError, AttributeError, IndexError):  # an answer that is none
            return False

    def _token(self, timeout: float) -> bool:
        asked = {"model": self._model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
        patience = Patience(timeout, 0, _MOST_BYTES)
        with exchange(self._where, "/chat/completions", asked, patience, clock() + timeout) as chunks:
            answer = json.loads(b"".join(chunks))
        return bool(answer["choices"])
