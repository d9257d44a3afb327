"""LoRA adapters for a FLUX pipeline: found, checked against the model layer by layer, put on, scaled, taken off.

An adapter that changes no layer, or fits only some of those it names, is refused: a LoRA that silently does nothing
is worse than none. The published key styles are read (diffusers and peft, kohya and ComfyUI, XLabs), as diffusers
converts them. Knows nothing of pictures.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.catalogue.fetch import locate
from models.catalogue.table import MODELS
from pipelines.pictures.adapter_keys import HELD, check_notes, converted
from pipelines.pictures.flux import hush, readable
from workspace.errors import DataError, UsageError
from workspace.files import sha256

USUAL_NAME = "pytorch_lora_weights.safetensors"
TRIGGER_KEY = "modelspec.trigger_phrase"


@dataclass(frozen=True, slots=True)
class Adapter:
    """One adapter's weights.

    Attributes:
        id: The catalogue id or path it was asked for by.
        file: Its safetensors file.
        fingerprint: The file's sha256.
        trigger: Words that wake it.
    """

    id: str
    file: Path
    fingerprint: str
    trigger: str | None

    @property
    def slot(self) -> str:
        """Its name inside a pipeline."""
        return f"lora_{self.fingerprint[:12]}"


def find_adapter(name: str, home: Path) -> Adapter:
    """Find an adapter by its catalogue id, its folder or its safetensors file.

    Raises:
        UsageError: The name is another kind of model, or its folder holds several adapters.
        ServiceError: It is not fetched.
        DataError: Its file is not whole.
    """
    from safetensors import safe_open

    path = locate(name, home, kind="adapter")
    file = path if path.is_file() else _weights(path)
    row = MODELS.get(name)
    with readable(file), safe_open(file, framework="np") as weights:
        noted = (weights.metadata() or {}).get(TRIGGER_KEY)
    return Adapter(id=name, file=file, fingerprint=sha256(file), trigger=row.trigger if row else noted or None)


def _weights(folder: Path) -> Path:
    files = sorted(folder.glob("*.safetensors"))
    if len(files) > 1:
        files = [file for file in files if file.name == USUAL_NAME] or files
    if not files:
        raise DataError(f"{folder} holds no adapter, that is no .safetensors file")
    if len(files) > 1:
        raise UsageError(f"{folder} holds several adapters; name one file: {', '.join(file.name for file in files)}")
    return files[0]


def check_adapter(adapter: Adapter, transformer: Path) -> None:
    """Compare an adapter with a model's configurations, before any large weights are read.

    Args:
        adapter: The adapter.
        transformer: The folder of the transformer; that of a CLIP text encoder may lie beside it.

    Raises:
        DataError: It does not fit.
    """
    import torch

    hush()
    from diffusers import FluxPipeline, FluxTransformer2DModel
    from transformers import CLIPTextConfig, CLIPTextModel

    words = transformer.parent / "text_encoder"
    with readable(transformer), torch.device("meta"):
        shape = FluxTransformer2DModel.from_config(
            FluxTransformer2DModel.load_config(transformer, local_files_only=True)
        )
        there = (words / "config.json").is_file()
        encoder = CLIPTextModel(CLIPTextConfig.from_pretrained(words, local_files_only=True)) if there else None
    check_fit(_converted(FluxPipeline, adapter), shape, encoder, adapter)


def put_on(pipe: Any, adapter: Adapter) -> int:
    """Load an adapter into a pipeline, in the place of any other.

    Returns:
        How many layers it changes.

    Raises:
        DataError: It is not for this model; says which layer does not fit.
    """
    wanted = check_fit(_converted(pipe, adapter), pipe.transformer, pipe.text_encoder, adapter)
    take_off(pipe)
    try:
        with readable(adapter.file), _loadable(adapter) as file:
            pipe.load_lora_weights(
                str(file.parent),
                weight_name=file.name,
                adapter_name=adapter.slot,
                use_safetensors=True,
                local_files_only=True,
            )
        changed = sum(adapter.slot in getattr(layer, "lora_A", ()) for layer in _modules(pipe))
        if changed != wanted:
            raise DataError(f"adapter {adapter.id} reached {changed} of the {wanted} layers it names")
        if any(weight.is_meta for layer in _modules(pipe) for weight in layer.parameters(recurse=False)):
            raise DataError(f"adapter {adapter.id} lacks weights of the kind that its metadata names")
    except BaseException:
        take_off(pipe)  # half of it would stay, and keep every other adapter off
        raise
    return changed


def _modules(pipe: Any) -> Iterator[Any]:
    for part in (pipe.transformer, pipe.text_encoder):
        yield from () if part is None else part.modules()


def check_fit(weights: Mapping[str, Any], transformer: Any, encoder: Any, adapter: Adapter) -> int:
    """Compare an adapter's layers, in diffusers' names, with a transformer's and a CLIP text encoder's.

    Returns:
        How many layers it changes.

    Raises:
        DataError: It names none of the model's layers, or one that is not there or has other measures.
    """
    layers = {f"transformer.{name}": layer for name, layer in transformer.named_modules()}
    if encoder is not None:
        layers |= {f"text_encoder.{name}": layer for name, layer in encoder.named_modules()}
    named: dict[str, dict[str, Any]] = {}
    for key, tensor in weights.items():
        place, _, part = key.rpartition(".lora_")
        if place and key.startswith(HELD):
            named.setdefault(place, {})[part] = tensor
    if not named:
        raise DataError(
            f"adapter {adapter.id} changes no layer of this model: none of its "
            f"{len(weights)} keys match, the first is {next(iter(weights), 'missing')!r}",
            hint="it was made for another architecture",
        )
    faults = [fault for place, parts in named.items() for fault in _misfits(place, parts, layers)]
    if faults:
        raise DataError(
            f"adapter {adapter.id} does not fit this model in {len(set(faults))} places: {faults[0]}",
            hint="it was made for another model",
        )
    return len(named)


def _misfits(place: str, parts: Mapping[str, Any], layers: Mapping[str, Any]) -> Iterator[str]:
    """What of one layer's matrices does not fit."""
    layer, shown = layers.get(place), place.removeprefix("transformer.")
    if layer is None and place.startswith("text_encoder."):  # some converters leave a level of CLIP's names out
        layer = layers.get(place.replace("text_encoder.text_model.", "text_encoder."))
    if layer is None:
        yield f"the model has no layer {shown}"
        return
    inner, outer = getattr(layer, "in_features", None), getattr(layer, "out_features", None)
    first, second = parts.get("A.weight"), parts.get("B.weight")
    if first is None or second is None:
        yield f"{shown} has only one of the two matrices of a LoRA"
    elif first.ndim != 2 or second.ndim != 2 or inner is None:
        yield f"{shown} is no linear layer"
    elif first.shape[1] != inner or second.shape[0] != outer:
        found, wide = (first.shape[1], inner) if first.shape[1] != inner else (second.shape[0], outer)
        yield f"{shown} is {wide} wide, the adapter {found}"
    elif first.shape[0] != second.shape[1]:
        yield f"the two matrices of {shown} have ranks {first.shape[0]} and {second.shape[1]}"
    for part, tensor in parts.items():
        if part not in ("A.weight", "B.weight") and tensor.numel() not in (outer, inner):
            yield f"{shown}: {part} has {tensor.numel()} numbers, the layer {outer}"


def set_scale(pipe: Any, adapter: Adapter | None, scale: float) -> None:
    """Weigh the loaded adapter; at scale 0, or without one, the pipeline is exactly the bare model."""
    if adapter is not None and scale != 0:
        pipe.enable_lora()
        pipe.set_adapters([adapter.slot], [scale])
    elif _wears(pipe):
        pipe.disable_lora()


def take_off(pipe: Any) -> None:
    """Remove whatever adapter is loaded."""
    if _wears(pipe):
        pipe.unload_lora_weights()


def _wears(pipe: Any) -> bool:
    return any(hasattr(layer, "lora_A") or getattr(layer, "peft_config", None) for layer in _modules(pipe))


def _converted(pipe: Any, adapter: Adapter) -> dict[str, Any]:
    """The adapter's weights under diffusers' names, all of them."""
    weights, notes, _ = _weights_of(adapter)
    check_notes(notes, adapter.id)
    return converted(pipe, weights, adapter.id)


def _weights_of(adapter: Adapter) -> tuple[dict[str, Any], dict[str, str], bool]:
    """What the file holds, its metadata, and whether weights of 8 bits were widened."""
    import torch
    from safetensors import safe_open

    with readable(adapter.file), safe_open(adapter.file, framework="pt") as file:
        weights, notes = {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    small = {name for name, value in weights.items() if value.is_floating_point() and value.element_size() == 1}
    widened = {name: value.to(torch.bfloat16) if name in small else value for name, value in weights.items()}
    return widened, notes, bool(small)


@contextmanager
def _loadable(adapter: Adapter) -> Iterator[Path]:
    """The adapter's file as diffusers can load it: itself, or a passing copy with weights of 8 bits widened."""
    from safetensors.torch import save_file

    weights, notes, widened = _weights_of(adapter)
    if not widened:
        yield adapter.file
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / adapter.file.name
        save_file(weights, copy, metadata=notes)
        yield copy
