"""A low-rank adapter folded into its base, tensor by tensor from the base's own files: no second model is loaded.

The sum is W + scale B A, in single precision, written in bfloat16; with DoRA's magnitude where there is one (Liu et
al., 2024), and layers that were trained whole in place of the base's. A base that was quantised while it was read is
folded in its full precision. At most one file's share of the weights is held at a time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.catalogue.folders import check_safetensors
from workspace.errors import DataError

_PREFIX, _OWN = "base_model.model.", "default"
_INDEX = "model.safetensors.index.json"
_MOST = 2_000_000_000  # bytes of a written file

Change = Callable[[Any], Any]


@dataclass(frozen=True)
class Folding:
    """What is written: for each tensor its file and name there, and how it is changed, if it is.

    Attributes:
        sources: Name of each tensor that is written, to the file and the name that it is read by.
        changes: Of those that are changed, the new tensor from the old.
        untied: Whether the output layer is a tensor of its own from now on.
    """

    sources: Mapping[str, tuple[Path, str]]
    changes: Mapping[str, Change]
    untied: bool


def plan_folding(model: Any, weights: Mapping[str, Any] | None = None) -> Folding:
    """Find for everything that an adapter changes the tensor of its base.

    Args:
        model: A peft model.
        weights: The model's whole weights by name, where the model itself holds but a share of them.

    Raises:
        DataError: The adapter changes what the base's files do not hold, or in a way that cannot be folded.
    """
    bare = model.get_base_model()
    base = Path(bare.config.name_or_path)
    files = dict(_files(base))
    held = dict(model.named_parameters()) if weights is None else weights
    prefix = f"{bare.base_model_prefix}."
    found = dict(_changes(model, held))
    ends = [_name_of(bare, part) for part in (bare.get_input_embeddings(), bare.get_output_embeddings())]
    sources = {name: (file, name) for name, file in files.items()}
    changes: dict[str, Change] = {}
    untied = False
    for name, change in found.items():
        known = next((one for one in (name, name.removeprefix(prefix)) if one in files), None)
        if known is None and name == ends[1] and ends[0] in files:
            known, untied = name, True
        if known is None:
            fit = sorted(set(_plain_layers(bare, files, prefix)))
            raise DataError(
                f"adapter: {base} holds no weights named {name} that it could be folded into",
                hint=f"target_modules: [{', '.join(fit)}]" if fit else None,
            )
        changes[known] = change
    tied = bool(bare.config.get_text_config().tie_word_embeddings) and ends[1] not in files
    if tied and ends[0] in files and (untied or ends[0] in changes):
        untied = True
        sources[str(ends[1])] = (files[str(ends[0])], str(ends[0]))
    return Folding(sources, changes, untied)


def _plain_layers(bare: Any, files: Mapping[str, Path], prefix: str) -> Iterator[str]:
    """The last names of linear layers that the base's files hold as the model has them, each time it has them."""
    import torch

    linear: dict[str, bool] = {}
    head = bare.get_output_embeddings()
    for place, module in bare.named_modules():
        inner = getattr(module, "base_layer", module)
        if isinstance(inner, torch.nn.Linear) and inner is not head and not place.endswith(".base_layer"):
            held = any(f"{one}.weight" in files for one in (place, place.removeprefix(prefix)))
            last = place.rpartition(".")[2]
            linear[last] = linear.get(last, True) and held
    yield from (name for name, held in linear.items() if held)


def fold(folding: Folding, folder: Path) -> None:
    """Write the folded weights, and where there are several files their index."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import save_file

    shares = list(_shares(folding.sources))
    placed: dict[str, str] = {}
    for number, names in enumerate(shares, 1):
        file = "model.safetensors" if len(shares) == 1 else f"model-{number:05d}-of-{len(shares):05d}.safetensors"
        made = {}
        for name in names:
            source, there = folding.sources[name]
            with safe_open(source, framework="pt") as opened:
                weight = opened.get_tensor(there)
            if name in folding.changes:
                weight = folding.changes[name](weight)
            made[name] = weight.to(torch.bfloat16).contiguous() if weight.is_floating_point() else weight
            placed[name] = file
        save_file(made, folder / file, metadata={"format": "pt"})
    if len(shares) > 1:
        index = {"metadata": {"format": "pt"}, "weight_map": placed}
        (folder / _INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


def _files(base: Path) -> Iterator[tuple[str, Path]]:
    """The names of a model's tensors, and the file that each lies in."""
    from safetensors import safe_open

    index = base / _INDEX
    if index.is_file():
        held = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        yield from ((name, base / file) for name, file in held.items())
        return
    alone = base / "model.safetensors"
    for file in [alone] if alone.is_file() else sorted(base.glob("*.safetensors")):
        with safe_open(file, framework="pt") as opened:
            yield from ((name, file) for name in opened.keys())  # noqa: SIM118 - not a dict


def _shares(sources: Mapping[str, tuple[Path, str]]) -> Iterator[list[str]]:
    """The tensors of each file that is written, none larger than it may be, tensors that are larger alone."""
    headers = {file: check_safetensors(file) for file in {file for file, _ in sources.values()}}
    names: list[str] = []
    size = 0
    for name, (file, there) in sources.items():
        more = 2
        for side in headers[file][there]["shape"]:
            more *= side
        if names and size + more > _MOST:
            yield names
            names, size = [], 0
        names.append(name)
        size += more
    yield names


def _name_of(bare: Any, part: Any) -> str | None:
    """The name of a module's weight, as the base's files would have it."""
    return next((f"{name}.weight" for name, one in bare.named_modules() if part is not None and one is part), None)


def _changes(model: Any, held: Mapping[str, Any]) -> Iterator[tuple[str, Change]]:
    """Each weight that the adapter changes, and how; every trained one is used."""
    from peft.tuners.lora import LoraLayer
    from peft.utils.other import ModulesToSaveWrapper

    used: set[str] = set()

    def take(*names: str) -> Any:
        found = next((name for name in names if name in held), None)
        if found is None:
            return None
        used.add(found)
        weight = held[found].detach()
        return weight if weight.is_meta else weight.to("cpu").float()

    for place, module in model.named_modules():
        name = place.removeprefix(_PREFIX)
        if isinstance(module, ModulesToSaveWrapper):
            for part in module.modules_to_save[_OWN].state_dict():
                weight = take(f"{place}.modules_to_save.{_OWN}.{part}")
                yield f"{name}.{part}", _replaced(weight)
        elif isinstance(module, LoraLayer) and _OWN in module.scaling:
            first = take(f"{place}.lora_A.{_OWN}.weight", f"{place}.lora_embedding_A.{_OWN}")
            second = take(f"{place}.lora_B.{_OWN}.weight", f"{place}.lora_embedding_B.{_OWN}")
            magnitude = take(f"{place}.lora_magnitude_vector.{_OWN}.weight")
            embeds = _OWN in module.lora_embedding_A
            if first is None or second is None or (embeds and magnitude is not None):
                raise DataError(f"adapter: how it changes {name} cannot be folded into the base")
            turned = embeds or bool(getattr(module, "fan_in_fan_out", False))
            yield f"{name}.weight", _summed(first, second, module.scaling[_OWN], turned, magnitude)
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    if left := sorted(trained - used):  # nothing may be left out unsaid
        raise DataError(f"adapter: {left[0]} was trained and cannot be folded into the base")


def _replaced(weight: Any) -> Change:
    return lambda _: weight


def _summed(first: Any, second: Any, scale: float, turned: bool, magnitude: Any) -> Change:
    """W + scale B A; with a magnitude, each output's weights at that length."""

    def change(weight: Any) -> Any:
        more = scale * (second @ first)
        whole = weight.float() + (more.T if turned else more)
        if magnitude is None:
            return whole
        across = 0 if turned else 1
        return whole * (magnitude.unsqueeze(across) / whole.norm(dim=across, keepdim=True))

    return change
