"""How merges, evaluations, judges and reports are carried out and shown. Their options are those of the verbs."""

from __future__ import annotations

from typing import Any

from rich.table import Table as RichTable
from rich.text import Text

from ui.terminal.console import consoles, lines
from ui.terminal.follow import at_once, shown
from ui.terminal.generate import Asked, Command

COMMANDS = {
    "merge": Command(
        "train_merge",
        "Examples:\n\n  studio train merge smollm2-135m-instruct demo-cpt-sft --name demo-slerp --plan\n\n"
        "  studio train merge smollm2-135m-instruct demo-cpt-sft --name demo-slerp --preset linear\n\n"
        "  studio train merge demo-cpt-sft-dpo demo-cpt-sft-orpo --name demo-soup --method linear\n\n"
        "  studio train merge smollm2-135m-instruct demo-cpt-sft --name demo-found --search sample --trials 60\n\n"
        "  studio train merge --yaml mine.yaml --name mine\n\n"
        "t = 0 is the model named first, t = 1 the second; --self-attn 0,0.5,0.3,0.7,1 gives t over depth. The merge "
        'is a model: studio design "..." --model demo-slerp',
        "training:run",
        subject="MODEL...",
        about="Names or folders, or BASE+ADAPTER; that of t = 0 first.",
        many=True,
        needed=False,
    ),
    "evaluate": Command(
        "train_evaluate",
        "Examples:\n\n  studio train evaluate smollm2-135m-instruct demo-cpt-sft\n\n"
        "  studio train evaluate demo-slerp --task sample --task forgetting --rule pmi\n\n"
        "  studio train evaluate demo-slerp --task questions.csv --protocol written\n\n"
        "  studio train evaluate llama-3.1-8b --server http://127.0.0.1:8000/v1 --protocol written "
        "--task spider-silk\n\n"
        "The same command goes on where it was stopped; no question is asked twice. studio train report compares.",
        "training:run",
        subject="MODEL...",
        about="Names or folders, or BASE+ADAPTER; with --server the names that it knows.",
        many=True,
    ),
    "judge": Command(
        "train_judge",
        "Examples:\n\n  studio train judge smollm2-135m-instruct demo-slerp\n\n"
        "  studio train judge demo-cpt-sft demo-slerp --judge llama-3.1-70b --judge-server http://127.0.0.1:8000/v1\n\n"
        "Without a judge conversations are had and measured alone. The same command goes on where it was stopped.",
        "training:run",
        subject="MODEL...",
        about="Names or folders; with --server the names that it knows.",
        many=True,
    ),
    "report": Command(
        "train_report",
        "Examples:\n\n  studio train report\n\n"
        "  studio train report smollm2-135m-instruct demo-cpt-sft demo-slerp --task sample --out report\n\n"
        "  studio train report --out new --beside report\n\n  studio train report --published",
        "experiments:report",
        subject="MODEL...",
        about="Evaluated models; all if none is named.",
        many=True,
        needed=False,
    ),
}


def report(asked: Asked) -> None:
    """Write a report and show where it is, and what it may claim."""
    shown(at_once(asked, asked.subject).model_dump(mode="json"), asked.as_json, _report)


def _report(made: dict[str, Any]) -> None:
    told: list[tuple[str, Any]] = [("page", made["page"])]
    if made["note"]:
        lines([*told, ("holds", made["note"])])
        return
    told.append(("models", made["models"]))
    if made["comparisons"]:
        told += [
            ("merges beside rivals", made["comparisons"]),
            ("better than best parent", ", ".join(made["better"]) or "none can be told apart"),
            ("synergy", ", ".join(made["synergy"]) or "none can be seen"),
        ]
    told += [("beside the other", made["beside"])] if made["beside"] else []
    lines(told)


def plan(made: dict[str, Any]) -> None:
    """A merge before it is made."""
    out = consoles()[0]
    out.print(f"{made['name']}: {made['method']} of {', '.join(made['parents'])}", markup=False, soft_wrap=True)
    if made["picture"]:
        out.print(made["picture"], markup=False, soft_wrap=True)
    for remark in made["remarks"]:
        out.print(remark, markup=False, soft_wrap=True)
    from ui.terminal.console import size

    lines(
        [
            ("written", f"{size(made['bytes'])}; {size(made['free_bytes'])} free on the disk"),
            ("memory", f"{size(made['memory_bytes'])}; {size(made['free_memory_bytes'])} free"),
            ("by", "Studio's own engine" if made["engine"] == "studio" else "mergekit"),
        ]
    )


def merged(made: dict[str, Any]) -> None:
    """A merge that was made."""
    lines(
        [
            ("variant", made["name"]),
            ("merged", f"{made['tensors']} tensors by {made['method']} in {made['seconds']:.1f} s"),
            *(
                [("straight lines", f"{made['linear']} of {len(made['cosines'])} tensors, whose cosine is above .9995")]
                if made["method"] == "slerp"
                else []
            ),
        ]
    )


def scores(made: dict[str, Any]) -> None:
    """Models' scores."""
    shown_as = RichTable("model", "benchmark", "n", "right", "95% interval", "not read", box=None)
    for row in made["scores"]:
        cells = (
            row["model"],
            row["task"],
            str(row["questions"]),
            f"{row['right']:.1%}",
            f"{row['low']:.1%} to {row['high']:.1%}",
            str(row["unparsed"]),
        )
        shown_as.add_row(*map(Text, cells))
    consoles()[0].print(shown_as)


def judged(made: dict[str, Any]) -> None:
    """Models' conversations."""
    lines(
        (
            one["model"],
            f"{one['valid_json']:.0%} end in JSON"
            + ("" if one["total"] is None else f", {one['total']:.1f} of 40 by the judges"),
        )
        for one in made["models"]
    )
    if made["file"]:
        lines([("verdicts", made["file"]), ("no verdict", made["failures"])])
