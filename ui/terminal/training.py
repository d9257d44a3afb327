"""How the training commands are carried out and shown. Their options are those of `studio.training`."""

from __future__ import annotations

from typing import Any

from ui.terminal import experiments
from ui.terminal.console import consoles, lines
from ui.terminal.follow import at_once, finished, follow, queued, shown, submitted
from ui.terminal.generate import Asked, Command

AGAIN = "the same command goes on"
EPILOG = (
    "Examples:\n\n  studio train corpus papers/ --out corpus\n\n  studio train distil corpus --out distilled\n\n"
    "  studio train run llama-3.1-8b-instruct --plan\n\n  studio train image-lora my-leaves.yaml\n\n"
    "The same command goes on where it was stopped."
)
COMMANDS = {
    "corpus": Command(
        "train_corpus",
        "Examples:\n\n  studio train corpus papers/ --out corpus\n\n"
        '  studio train corpus papers/ list.bib --out corpus --topic "spider silk and its mechanics" '
        "--benchmark questions.jsonl\n\n"
        "Inputs are PDF, Markdown and text files, folders of them, and lists of references (CSV, BibTeX, RIS, Web of "
        "Science), which give papers their titles and DOIs. The same command goes on where it was stopped.",
        "training:run",
        subject="INPUT...",
        about="Files, folders, lists of references.",
        many=True,
    ),
    "distil": Command(
        "train_distil",
        "Examples:\n\n  studio train distil corpus --out distilled\n\n"
        "  studio train distil corpus --out distilled --kinds open,choice,preference --limit 20\n\n"
        "  studio train distil corpus --out distilled --server http://127.0.0.1:8000/v1 --model llama-3.1-8b-instruct"
        "\n\nThe rows lie in OUT/data: text.jsonl, messages.jsonl and preferences.jsonl, each as Parquet too. The same "
        "command goes on where it was stopped; nothing is asked twice.",
        "training:run",
        subject="CORPUS",
        about="Folder of `studio train corpus`, or passages.jsonl.",
    ),
    "image-lora": Command(
        "train_image_lora",
        "Examples:\n\n  studio train image-lora my-leaves.yaml\n\n"
        "  studio train image-lora my-leaves.yaml --out runs/my-leaves\n\n"
        "The same command goes on where it was stopped.",
        "training:run",
        subject="CONFIG",
        about="YAML file; pictures lie beside .txt captions.",
    ),
    "run": Command(
        "train_recipe",
        "Examples:\n\n  studio train run llama-3.1-8b-instruct --plan\n\n  studio train run my-recipe.yaml\n\n"
        "  studio train run my-recipe.yaml --launch accelerate --config fsdp2 --processes 8\n\n"
        "  studio train run my-recipe.yaml --launch ray --processes 16\n\n"
        '  studio design "a tough panel" --model my-recipe-cpt-sft\n\n'
        "The same command goes on where it was stopped; a stage whose inputs did not change is not run again.",
        "training:run",
        subject="RECIPE",
        about="YAML file, or the name of a shipped recipe.",
    ),
} | experiments.COMMANDS


def run(asked: Asked) -> None:
    """Queue a training and follow it, or do at once what asks for nothing long, and show the result."""
    options = asked.options
    if asked.verb.at_once(options):
        result = at_once(asked, asked.subject or []).model_dump(mode="json", by_alias=True)
    else:
        job_id = queued(asked, asked.subject or [])
        if asked.detach:
            submitted(job_id, asked.as_json)
            return
        follow(job_id, again=AGAIN)
        result = finished(job_id)
    shown(result, asked.as_json, SHOW.get((asked.verb.name, asked.verb.at_once(options)), _plainly))


def _corpus(report: dict[str, Any]) -> None:
    lines(
        [
            ("documents", f"{report['documents']} read, {len(report['skipped'])} skipped, {report['pages']} pages"),
            *(("without text", f"{name}: {pages}") for name, pages in report["unread"].items()),
            ("passages", f"{report['passages']} kept, {report['words']:,} words"),
            *((f"dropped by {gate}", count) for gate, count in report["dropped"].items()),
        ]
    )


def _distil(report: dict[str, Any]) -> None:
    lines(
        [
            ("passages", f"{report['passages']} of {report['documents']} documents, in {report['minutes']} minutes"),
            *((f"{name}.jsonl", f"{count} rows") for name, count in report["rows"].items() if count),
            *((f"dropped: {check}", count) for check, count in report["dropped"].items()),
            *([("not written", f"{len(report['refused'])}; --retry asks again")] if report["refused"] else []),
            ("in", report["data"]),
        ]
    )


def _recipe(made: dict[str, Any]) -> None:
    lines(
        (one["name"], f"{'made' if one['made'] else 'made before'}  {one['folder']}")
        for one in [*made["data"], *made["variants"]]
    )


def _plan(made: dict[str, Any]) -> None:
    out, here = consoles()[0], made["machine"]
    many = "one process" if made["processes"] == 1 else f"{made['processes']} processes"
    many += f", {'weights spread over them' if made['spread'] else 'a copy in each'}" if made["processes"] > 1 else ""
    many += f" ({made['command']})" if made["command"] else ""
    speed = "speed unknown" if here["tflops"] is None else f"{here['tflops']:g} TFLOPS hoped for"
    gpus = f"{here['gpus']} x " if here["gpus"] else ""
    words = [
        f"{made['recipe']} from {made['base']}, {many}",
        f"here: {gpus}{here['name']}, {here['memory_gb']} GB, {speed}",
        *([made["missing"]] if made["missing"] else []),
        *(f"would be refused: {fault}" for fault in made["faults"]),
    ]
    for line in words:
        out.print(line, markup=False, soft_wrap=True)
    for row in made["stages"]:
        source = f", from {row['from']}" if row.get("from") else ""
        out.print(f"\n{row['name']} ({row['stage']}{source})", markup=False, soft_wrap=True)
        rest = {key: value for key, value in row.items() if key not in ("name", "stage", "from")}
        if rest.get("fits") is not None:
            rest["fits"] = "yes" if rest["fits"] else "no"
        lines((f"  {key}", value) for key, value in rest.items() if value not in (None, [], ()))


def _plainly(made: dict[str, Any]) -> None:
    lines(made.items(), 12)


SHOW = {
    ("train_corpus", False): _corpus,
    ("train_distil", False): _distil,
    ("train_recipe", False): _recipe,
    ("train_recipe", True): _plan,
    ("train_merge", False): experiments.merged,
    ("train_merge", True): experiments.plan,
    ("train_evaluate", False): experiments.scores,
    ("train_judge", False): experiments.judged,
}
"""How a verb's result is shown, done or only planned; what is not here is shown plainly."""
