"""How the commands about settings are carried out and shown. Their options are those of `studio.configuration`."""

from __future__ import annotations

import sys
from typing import Any

from ui.terminal.console import consoles, lines, print_json
from ui.terminal.generate import Asked, Command
from workspace.errors import ServiceError

COMMANDS = {
    "list": Command("list_settings", "Examples:\n\n  studio settings list", "configuration.settings:listed"),
    "set": Command(
        "change_settings",
        "Examples:\n\n  studio settings set flow.images=3 flow.rounds=2\n\n  studio settings set flow.images=\n\n"
        "Written to studio.toml in STUDIO_HOME; comments and all else in it stay. Nothing after = takes a setting out.",
        "configuration.settings:change",
        subject="KEY=VALUE...",
        about="Section and name, and the value.",
        many=True,
    ),
    "test": Command(
        "try_server",
        "Examples:\n\n  studio settings test chat",
        "configuration.settings:test",
        subject="WHERE",
        about="chat, vision, or a role.",
    ),
    "keys": Command("list_keys", "Examples:\n\n  studio settings keys", "configuration.settings:keys"),
    "key": Command(
        "keep_key",
        "Examples:\n\n  studio settings key MY_SERVER_KEY < key.txt\n\n"
        "The key is asked for, or read from stdin, and kept in STUDIO_HOME in a file that you alone can read.",
        "configuration.settings:keep",
        subject="NAME",
        about="The variable that api_key_env names.",
        json=False,
    ),
    "forget": Command(
        "forget_key",
        "Examples:\n\n  studio settings forget MY_SERVER_KEY",
        "configuration.settings:forget",
        subject="NAME",
        about="The variable that api_key_env names.",
        json=False,
    ),
}
EPILOG = "Examples:\n\n  studio settings list\n\n  studio settings set flow.images=3"


def listed(asked: Asked) -> None:
    """Show every setting, its value and where it comes from."""
    made = asked.verb(**asked.given)
    if asked.as_json:
        print_json(made.model_dump(mode="json"))
        return
    lines(((row.key, f"{row.value}  ({row.origin})") for row in made.settings), 32)


def change(asked: Asked) -> None:
    """Change settings and say in which file."""
    path = asked.verb(asked.subject)
    if asked.as_json:
        print_json({"file": str(path)})
        return
    consoles()[0].print(str(path), markup=False, soft_wrap=True)


def test(asked: Asked) -> None:
    """Say how a server stands; one that is of no use is an error."""
    found = asked.verb(asked.subject)
    if asked.as_json:
        print_json(found.model_dump(mode="json"))
    if not found.well:
        raise ServiceError(f"{found.server}: {found.told}" if found.server not in found.told else found.told)
    if not asked.as_json:
        rows: list[tuple[str, Any]] = [(found.server, found.told)]
        lines([*rows, *([("models", ", ".join(found.models))] if found.models else [])])


def keys(asked: Asked) -> None:
    """Show keys by name."""
    made = asked.verb(**asked.given)
    if asked.as_json:
        print_json(made.model_dump(mode="json"))
        return
    lines((one.name, ", for ".join(filter(None, [one.place, " and ".join(one.used_by)]))) for one in made.keys)


def keep(asked: Asked) -> None:
    """Ask for a key and keep it."""
    if sys.stdin.isatty():
        from getpass import getpass

        value = getpass(f"{asked.subject}: ")
    else:
        value = sys.stdin.readline()
    asked.verb(asked.subject, value=value)
    consoles()[0].print(f"{asked.subject} is kept", markup=False)


def forget(asked: Asked) -> None:
    """Forget a key."""
    gone = asked.verb(asked.subject)
    consoles()[0].print(f"{asked.subject} is {'forgotten' if gone else 'not kept here'}", markup=False)
