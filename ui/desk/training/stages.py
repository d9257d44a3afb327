"""The stages of training that the page offers: the verb of each, its command, what it is about. Knows words alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from workspace.errors import UsageError, unknown


@dataclass(frozen=True)
class Stage:
    """A stage of training.

    Attributes:
        verb: The verb's name.
        command: Its words on the command line.
        title: For people.
        about: What it does.
        subject: What its subject is called; empty for none.
        hint: What the subject is.
        plan: The option that only plans, if it has one.
        preview: Whether the subject is something whose beginning can be shown.
        many: Whether several subjects may be given, with commas between them.
    """

    verb: str
    command: tuple[str, ...]
    title: str
    about: str
    subject: str
    hint: str
    plan: str = ""
    preview: bool = False
    many: bool = False


STAGES: Mapping[str, Stage] = {
    "corpus": Stage(
        "train_corpus",
        ("train", "corpus"),
        "Papers to text",
        "Papers become clean passages, each with its source; what was dropped is said, with why.",
        "Papers",
        "Files and folders on this machine, with commas between them",
        preview=True,
        many=True,
    ),
    "distil": Stage(
        "train_distil",
        ("train", "distil"),
        "Text to rows",
        "Passages become questions, answers and preference pairs.",
        "Corpus",
        "A folder that the first stage made",
        preview=True,
    ),
    "run": Stage(
        "train_recipe",
        ("train", "run"),
        "Train a language model",
        "A recipe: continued pretraining, SFT, DPO or ORPO, and merges.",
        "Recipe",
        "The name of a shipped recipe, or a YAML file",
        preview=True,
        plan="--plan",
    ),
    "image-lora": Stage(
        "train_image_lora",
        ("train", "image-lora"),
        "Train a picture style",
        "A LoRA adapter of a painter, from a folder of captioned pictures.",
        "Configuration",
        "A YAML file; pictures lie beside .txt captions",
        preview=True,
        plan="--plan",
    ),
    "merge": Stage(
        "train_merge",
        ("train", "merge"),
        "Merge variants",
        "SLERP with gradients over depth, and other ways to merge two models or more.",
        "Models",
        "Names or folders, with commas between them; that of t = 0 first",
        plan="--plan",
        many=True,
    ),
    "evaluate": Stage(
        "train_evaluate",
        ("train", "evaluate"),
        "Measure variants",
        "Questions with known answers, counted with intervals.",
        "Models",
        "Names or folders, with commas between them",
        many=True,
    ),
    "judge": Stage(
        "train_judge",
        ("train", "judge"),
        "Judge conversations",
        "Conversations are had, measured, and judged by other models.",
        "Models",
        "Names or folders, with commas between them",
        many=True,
    ),
}


def stage_of(name: str) -> Stage:
    """A stage by its name in the address.

    Raises:
        UsageError: There is none of that name.
    """
    if name not in STAGES:
        raise UsageError(unknown("stage", name, STAGES))
    return STAGES[name]
