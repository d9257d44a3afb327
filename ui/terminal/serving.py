"""How `studio serve` is carried out and shown: where the server is, how it is used, and what happens to it."""

from __future__ import annotations

import shlex
from typing import Any

from rich.text import Text

from ui.terminal.console import consoles, lines, print_json
from ui.terminal.generate import Asked, Command
from ui.terminal.live import view

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
