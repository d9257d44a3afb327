"""How `studio serve` and `studio users` are carried out and shown: where a server is, who may log in to the page.

Passwords are typed unseen, or come by stdin.
"""

from __future__ import annotations

import getpass
import shlex
import sys
from typing import Any

from rich.text import Text

from ui.terminal.console import consoles, lines, print_json
from ui.terminal.generate import Asked, Command
from ui.terminal.live import view
from workspace.errors import DataError, UsageError

COMMANDS = {
    "serve": Command(
        "serve",
        "Examples:\n\n  studio serve\n\n  studio serve demo-cpt-sft --port 8010\n\n"
        "  studio serve llama-3.1-8b-instruct --adapter my-lora --engine vllm --gpu-memory 0.8\n\n"
        "  studio serve smollm2-135m-instruct --print\n\n"
        "It goes on until Ctrl-C. `studio doctor` lists the servers that run; STUDIO_HOME/servers/NAME.json says all "
        "of one.",
        "serving:serve",
        subject="MODEL",
        about="A catalogue id, a variant's name or a folder; the profile's chat model with its adapter if none.",
        needed=False,
    )
}

USERS = {
    "add": Command(
        "user_add",
        "Examples:\n\n  studio users add ada --file users.txt\n\n"
        "  studio users add ada --file users.txt < password.txt\n\n  studio ui --host 0.0.0.0 --auth users.txt",
        "serving:add",
        subject="NAME",
        about="A name of letters, digits and ._@-; who is there already gets another password.",
    ),
    "list": Command("user_list", "Examples:\n\n  studio users list --file users.txt", "serving:list_users"),
    "remove": Command(
        "user_remove",
        "Examples:\n\n  studio users remove ada --file users.txt",
        "serving:remove",
        subject="NAME",
        about="Who is taken out; they are logged out at once.",
        json=False,
    ),
    "token": Command(
        "user_token",
        "Examples:\n\n  studio users token ada --file users.txt\n\n"
        '  curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:7860/api/v1/designs',
        "serving:token",
        subject="NAME",
        about="Who gets a token for the API (studio ui --api) in place of the one before; it is shown once.",
    ),
}
USERS_EPILOG = "Examples:\n\n  studio users add ada --file users.txt\n\n  studio ui --host 0.0.0.0 --auth users.txt"
_LONGEST = 10_000


class _Listener:
    """Takes a server's events on to whoever shows them at the time."""

    def __init__(self) -> None:
        self.to: Any = self.say

    def __call__(self, event: Any) -> None:
        self.to(event)

    @staticmethod
    def say(event: Any) -> None:
        """Print what happens to a server that runs."""
        if event.type == "remark":
            consoles()[1].print(Text(event.text), soft_wrap=True)


def serve(asked: Asked) -> None:
    """Serve until Ctrl-C, or show the command alone."""
    listener = _Listener()
    with view(consoles()[1]) as show:
        listener.to = show
        made = asked.verb(asked.subject, **asked.given, listener=listener)
        listener.to = listener.say
    if asked.given.get("show"):
        _command(made.model_dump(mode="json"), asked.as_json)
        return
    with made:
        if asked.as_json:
            print_json(made.record.model_dump(mode="json"))
        else:
            _told(made.record.model_dump(mode="json"))
        made.wait()


def _command(made: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(made)
        return
    out, err = consoles()
    kept = {name: value for name, value in made["variables"].items() if value is not None}
    gone = [word for name in made["variables"].keys() - kept.keys() for word in ("-u", name)]
    words = ["env", *gone, *(f"{name}={value}" for name, value in sorted(kept.items())), *made["command"]]
    out.print(Text(shlex.join(words)), soft_wrap=True)
    err.print(Text(f"{made['engine']} {made['version']}: {made['why']}"), soft_wrap=True)


def _told(record: dict[str, Any]) -> None:
    variable = record["api_key_env"] or "STUDIO_KEY"
    lines(
        [
            ("address", record["address"]),
            ("model", record["model"]),
            *([("also", ", ".join(record["models"][1:]))] if record["models"][1:] else []),
            ("key", record["key_file"] or f"in {record['api_key_env']}"),
            ("at once", f"{record['in_flight']} answers, conversations of {record['context']} tokens"),
            ("weights", record["weights"]),
            ("log", record["log"]),
        ],
        width=10,
    )
    out, err = consoles()
    used = [f"export {variable}=$(cat {shlex.quote(record['key_file'])})"] if record["key_file"] else []
    used.append(
        f"STUDIO_CHAT__SERVER={record['address']} STUDIO_CHAT__MODEL={record['model']} "
        f'STUDIO_CHAT__API_KEY_ENV={variable} studio design "a tough panel inspired by nacre"'
    )
    out.print(Text("\nuse it, in another terminal:"))
    for line in used:
        out.print(Text(f"  {line}"), soft_wrap=True)
    err.print(Text("Ctrl-C stops it"))


def add(asked: Asked) -> None:
    """Read a password and add a user."""
    made = asked.verb(asked.subject, **asked.given, password=_password())
    if asked.as_json:
        print_json(made.model_dump(mode="json"))
        return
    told = "may log in now" if made.new else "has another password now, and is logged out everywhere"
    consoles()[0].print(Text(f"{made.name} {told}: {made.file}"), soft_wrap=True)


def _password() -> str:
    """A password, typed twice, or the first line of stdin.

    Raises:
        UsageError: The two differ.
        DataError: Stdin is no UTF-8 text.
    """
    if sys.stdin.isatty():
        first, second = getpass.getpass("Password: "), getpass.getpass("Once more: ")
        if first != second:
            raise UsageError("the two passwords differ; nothing was changed")
        return first
    try:
        return sys.stdin.buffer.readline(_LONGEST).decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise DataError("the password on stdin is not UTF-8 text") from None


def list_users(asked: Asked) -> None:
    """Show who may log in."""
    from ui.terminal.card import table

    found = asked.verb(**asked.given)
    if asked.as_json:
        print_json({"users": [one.model_dump(mode="json") for one in found]})
    elif found:
        consoles()[0].print(table(("user", "token"), [(one.name, "yes" if one.token else "no") for one in found]))
    else:
        consoles()[1].print("nobody may log in yet; begin with: studio users add NAME")


def remove(asked: Asked) -> None:
    """Take a user out."""
    asked.verb(asked.subject, **asked.given)
    consoles()[0].print(Text(f"{asked.subject} may no longer log in"), soft_wrap=True)


def token(asked: Asked) -> None:
    """Make a token and show it, this once."""
    made = asked.verb(asked.subject, **asked.given)
    if asked.as_json:
        print_json(made.model_dump(mode="json"))
        return
    out, err = consoles()
    out.print(Text(made.token), soft_wrap=True)
    err.print("it is shown this once; keep it as you keep a password")
