"""Questions a run waits with, and the answers a person gives. Knows terminals; not what is done with an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.prompt import Prompt
from rich.text import Text

from workspace.errors import Unfinished

if TYPE_CHECKING:
    from studio import Design

CHOICES = {
    "before_painting": ("approve", "edit", "rethink", "stop"),
    "after_critique": ("approve", "repaint", "edit", "rethink", "stop"),
}
WORDS = {
    "approve": "approve: go on with this",
    "edit": "edit: word the picture prompt yourself",
    "repaint": "repaint: another round of pictures",
    "rethink": "rethink: back to the design",
    "stop": "stop: leave the run here; it can be resumed",
}


def resume_lines(run: Design) -> list[str]:
    """Say what the run waits for and how to answer it."""
    text = (run.question or {}).get("text", "an answer is needed")
    if (run.question or {}).get("kind") == "before_designing":
        others = "or choose with --source NUMBER|NAME, once for each"
        return [f"waiting: {text}", *_candidates(run), f"studio resume {run.run_id} --approve", others]
    others = "or answer with --prompt TEXT or --choice NAME"
    return [f"waiting: {text}", f"studio resume {run.run_id} --approve", others]


def _candidates(run: Design) -> list[str]:
    """The sources that fit, a line each: name, why, how it works, and what stands behind that."""
    held = (run.question or {}).get("payload", {}).get("candidates", [])
    return [f"{n}. {one['name']}: {one['why']}. {one['mechanism']} ({one['source']})" for n, one in enumerate(held, 1)]


def ask_person(run: Design, console: Console) -> dict[str, Any]:
    """Ask in the terminal until there is an answer.

    Raises:
        Unfinished: If the person leaves the run where it is.
    """
    question = run.question or {}
    kind = str(question.get("kind", "before_painting"))
    shown = question.get("payload", {}).get("prompt", {})
    console.print(Text(f"\n{question.get('text', 'Go on?')}", style="bold"))
    for name in ("short", "long"):
        if shown.get(name):
            console.print(Text(f"{name}: {shown[name]}", style="dim"))
    if question.get("payload", {}).get("problem"):
        console.print(Text(str(question["payload"]["problem"]), style="yellow"))
    if kind == "before_designing":
        return _chosen_sources(run, console)
    for name in CHOICES[kind]:
        console.print(Text(f"  {WORDS[name]}"))
    chosen = Prompt.ask("Answer", choices=list(CHOICES[kind]), default="approve", console=console)
    if chosen == "approve":
        return {"approve": True}
    if chosen == "edit":
        return {"prompt": Prompt.ask("Prompt", default=str(shown.get("short", "")), console=console)}
    if chosen == "stop":
        raise Unfinished("left waiting for an answer", hint=f"studio resume {run.run_id} --approve")
    return {"choice": chosen}


def _chosen_sources(run: Design, console: Console) -> dict[str, Any]:
    """Ask which sources the design shall draw on, until each is a number in the list or a name."""
    lines = _candidates(run)
    for line in lines:
        console.print(Text(f"  {line}"))
    asked, usual = "Numbers or names, parted by commas; stop leaves the run", ", ".join("12"[: len(lines)])
    while True:
        said = Prompt.ask(asked, default=usual, console=console)
        if said.strip() == "stop":
            raise Unfinished("left waiting for an answer", hint=f"studio resume {run.run_id} --approve")
        chosen = [one.strip() for one in said.split(",") if one.strip()]
        wrong = [one for one in chosen if one.isdecimal() and not 0 < int(one) <= len(lines)]
        if chosen and not wrong:
            return {"sources": chosen}
        console.print(Text(f"there is no source {', '.join(wrong) or 'chosen'}; choices: 1 to {len(lines)}, or a name"))
