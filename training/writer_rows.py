"""Training rows for the embedded writer, in the very shapes in which it is asked: prompt and completion as plain text.

Some of a design's rows are turns of its conversation, in the model's chat template; the others are fields of its
document, as a small model continues them. The programs' prompts are read from their files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jinja2.sandbox import ImmutableSandboxedEnvironment

from models.shots import about, told
from training.writer_data import row

LIBRARY = Path(__file__).parents[1] / "agents" / "library"
_PROGRAMS = {
    "material microstructure": ("relate-and-design", "relate-and-design", "microstructure"),
    "building": ("architecture",),
    "city": ("city",),
}
_FIELDS: Sequence[tuple[str | int, ...]] = (
    ("title",),
    ("summary",),
    ("inspirations", 0, "feature"),
    ("inspirations", 0, "principle"),
    ("components", 0, "name"),
    ("components", 0, "material"),
    ("components", 0, "role"),
    ("architecture", "scale"),
    ("architecture", "description"),
    ("mechanisms", 0),
    ("properties", 0, "basis"),
    ("fabrication", 0),
    ("applications", 0),
    ("risks", 0),
)


@cache
def _program(name: str) -> Mapping[str, Any]:
    loaded: Mapping[str, Any] = yaml.safe_load((LIBRARY / f"{name}.yaml").read_text(encoding="utf-8"))
    return loaded


def _rendered(text: str, design: Mapping[str, Any]) -> str:
    names = design["inspirations"]
    values = {"brief": design["brief"], "inspirations": names, "first": names[0], "second": names[-1]}
    values |= {"target": design["target"], "known": design["known"]}
    return _jinja().from_string(text).render(values).strip()


@cache
def _jinja() -> ImmutableSandboxedEnvironment:
    return ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)


def turns(design: Mapping[str, Any], program: str) -> list[dict[str, str]]:
    """The whole conversation of a design as messages."""
    script = _program(program)
    messages = [{"role": "system", "content": _rendered(script["system"], design)}]
    for turn, answer in zip(script["turns"], design["answers"], strict=True):
        messages.append({"role": "user", "content": _rendered(turn["text"], design)})
        messages.append({"role": "assistant", "content": answer})
    return messages


def rows(seed: int, number: int, tokenizer: Any, fields: int = 5, held_out: bool = False) -> Iterator[dict[str, str]]:
    """The rows of one design: one turn of its conversation and some of its fields.

    Args:
        seed: Of the design.
        number: Which design.
        tokenizer: The writer's, for its chat template.
        fields: How many fields.
        held_out: Of materials that are in no training row.
    """
    design, rng = row(seed, number, held_out), np.random.default_rng([seed, number, 2])
    programs = _PROGRAMS[design["target"]]
    messages = turns(design, programs[int(rng.integers(len(programs)))])
    turn = int(rng.integers(3))
    prompt = tokenizer.apply_chat_template(messages[: 2 + 2 * turn], tokenize=False, add_generation_prompt=True)
    yield {"prompt": prompt, "completion": messages[2 + 2 * turn]["content"] + tokenizer.eos_token}
    wanted = about(design["brief"], ", ".join(design["inspirations"]), design["answers"][-1])
    for place in rng.permutation(len(_FIELDS))[:fields]:
        path = _FIELDS[int(place)]
        yield {"prompt": f"{wanted}\n", "completion": told(design["document"], path) + "\n"}
