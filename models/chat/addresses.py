"""A server's address: where a request goes, with which key, through which proxy. A key goes to its own server alone.

Knows URLs and the environment; nothing of what is asked. The variables of other programs (``OPENAI_BASE_URL`` and the
like) are not read; ``OPENAI_ORG_ID`` and ``OPENAI_PROJECT_ID`` go to OpenAI's own host alone.
"""

from __future__ import annotations

import base64
import ipaddress
import os
import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote
from urllib.request import getproxies

import httpx2

from workspace.configuration import keys
from workspace.errors import SECRET_NAMES, UsageError, masked, one_line
from workspace.settings import ChatSettings

OPENAI = "api.openai.com"
_ENDPOINTS = ("/chat/completions", "/completions", "/models")
_OPENAIS_OWN = {"OPENAI_ORG_ID": "OpenAI-Organization", "OPENAI_PROJECT_ID": "OpenAI-Project"}


@dataclass(frozen=True)
class Address:
    """Where a server is and what it is sent beside each request.

    Args:
        shown: The address as it may be written down, without a password.
        url: The base URL without user and password; a query stays.
        headers: The key, where there is one.
        secrets: What may stand in no message.
    """

    shown: str
    url: httpx2.URL = field(repr=False)
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def endpoint(self, path: str) -> httpx2.URL:
        """The URL of one of the server's own paths, with the base URL's query."""
        return self.url.copy_with(path=self.url.path.rstrip("/") + path)

    def safe(self, text: str) -> str:
        """A server's words without the key, which some servers repeat."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return masked(text)


def address(chat: ChatSettings) -> Address:
    """Read the address of a model's server, and its key, from the environment or the keys that are kept.

    Raises:
        UsageError: The URL is none, or the variable that should hold the key does not.
    """
    server = str(chat.server)
    try:
        url = httpx2.URL(server)
    except httpx2.InvalidURL as fault:
        why = "what stands before @ belongs percent-encoded" if "@" in server else one_line(fault)
        raise UsageError(f"the server {server} is not a URL: {why}") from fault
    if not url.host:
        raise UsageError(f"the server {server} is not a URL: it names no host")
    if url.fragment:
        raise UsageError(f"the server {server} has a part after # in its URL, which no server is sent")
    path = url.path.rstrip("/")
    for end in _ENDPOINTS:
        path = path.removesuffix(end)
    headers, secrets = _credentials(chat, url)
    secrets += tuple(value for name, value in url.params.items() if value and re.fullmatch(f"(?i){SECRET_NAMES}", name))
    plain = url.copy_with(userinfo=b"", path=path or "/", fragment=None)
    return Address(masked(server), plain, headers, secrets)


def _credentials(chat: ChatSettings, url: httpx2.URL) -> tuple[dict[str, str], tuple[str, ...]]:
    own = {}
    if url.host == OPENAI:
        own = {name: value for variable, name in _OPENAIS_OWN.items() if (value := os.environ.get(variable))}
    if url.userinfo:
        if chat.api_key_env:
            raise UsageError(
                f"the server {chat.server} has a user in its URL and a key in {chat.api_key_env}; one can be sent",
                hint="leave the user out of the URL, or set api_key_env to none",
            )
        told = base64.b64encode(unquote(url.userinfo.decode()).encode()).decode()
        own_words = (url.password, quote(url.password, safe=""), told)
        return {"Authorization": f"Basic {told}"}, tuple(filter(None, own_words))
    if not chat.api_key_env:
        return own, ()
    key = _key(chat.api_key_env, str(chat.server))
    azure = {"api-key": key} if b"api-version" in url.query else {}
    return {"Authorization": f"Bearer {key}", **azure, **own}, (key,)


def _key(variable: str, server: str) -> str:
    key = keys.key(variable)
    if not key:
        raise UsageError(
            f"the variable {variable}, which should hold the key of {server}, is not set",
            hint=f"export {variable}=<key>, or studio settings key {variable}",
        )
    if not (key.isascii() and key.isprintable()):
        raise UsageError(f"the variable {variable} holds characters that a key cannot have")
    return key


def proxy_for(url: httpx2.URL) -> str | None:
    """The proxy that the environment names for a URL; none for this machine itself and what ``NO_PROXY`` lists."""
    found = getproxies()
    chosen = found.get(url.scheme) or found.get("all")
    if not chosen or _is_here(url.host) or _passed_by(url, found.get("no", "")):
        return None
    return chosen if "://" in chosen else f"http://{chosen}"


def _is_here(host: str) -> bool:
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    number = _number(host)
    return number is not None and (number.is_loopback or number.is_unspecified)


def _passed_by(url: httpx2.URL, listed: str) -> bool:
    """Whether ``NO_PROXY`` names a host: by name, by the end of its name, by address or by network."""
    host, number = url.host.lower(), _number(url.host)
    for one in filter(None, re.split(r"[\s,]+", listed.lower())):
        name = one.removesuffix(f":{url.port}") if url.port else one
        end = name.removeprefix("*").removeprefix(".")
        if one == "*" or host == end or host.endswith(f".{end}"):
            return True
        net = _net(name.strip("[]"))
        if number is not None and net is not None and number in net:
            return True
    return False


def _number(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _net(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
