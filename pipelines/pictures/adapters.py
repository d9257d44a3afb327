"""LoRA adapters for a FLUX pipeline: found, checked against the model layer by layer, put on, scaled, taken off.

An adapter that changes no layer, or fits only some of those it names, is refused: a LoRA that silently does nothing
is worse than none. The published key styles are read (diffusers and peft, kohya and ComfyUI, XLabs), as diffusers
converts them. Knows nothing of pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.catalogue.fetch import locate
from models.catalogue.table import MODELS
from pipelines.pictures.flux import hush, readable
from workspace.errors import DataError, UsageError, one_line
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
    with readable(file), safe_open(file, framework="pt") as weights:
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
    """Compare an adapter with a transformer's configuration, before any large weights are read.

    Args:
        adapter: The adapter.
        transformer: The folder of the transformer.

    Raises:
        DataError: It does not fit.
    """
    import torch

    hush()
    from diffusers import FluxPipeline, FluxTransformer2DModel

    with readable(transformer), torch.device("meta"):
        shape = FluxTransformer2DModel.from_config(
            FluxTransformer2DModel.load_config(transformer, local_files_only=True)
        )
    check_fit(_converted(FluxPipeline, adapter), shape, adapter)


def put_on(pipe: Any, adapter: Adapter) -> int:
    """Load an adapter into a pipeline, in the place of any other.

    Returns:
        How many of the transformer's layers it changes.

    Raises:
        DataError: It is not for this model; says which layer does not fit.
    """
    wanted = check_fit(_converted(pipe, adapter), pipe.transformer, adapter)
    take_off(pipe)
    with readable(adapter.file):
        pipe.load_lora_weights(
            str(adapter.file.parent),
            weight_name=adapter.file.name,
            adapter_name=adapter.slot,
            use_safetensors=True,
            local_files_only=True,
        )
    changed = sum(adapter.slot in getattr(layer, "lora_A", ()) for layer in pipe.transformer.modules())
    if changed != wanted:
        take_off(pipe)
        raise DataError(f"adapter {adapter.id} reached {changed} of the {wanted} layers it names")
    return changed


def check_fit(weights: Mapping[str, Any], transformer: Any, adapter: Adapter) -> int:
    """Compare an adapter's layers, in diffusers' names, with a transformer's.

    Returns:
        How many layers it changes.

    Raises:
        DataError: It names none of the transformer's layers, or one that is not there or has other measures.
    """
    layers = dict(transformer.named_modules())
    named: set[str] = set()
    faults: list[str] = []
    for key, tensor in weights.items():
        place, _, part = key.removeprefix("transformer.").rpartition(".lora_")
        if not key.startswith("transformer.") or not place:
            continue
        named.add(place)
        layer = layers.get(place)
        sides = {"A": ("in_features", 1), "B": ("out_features", 0)}.get(part[:1])
        if layer is None:
            faults.append(f"the model has no layer {place}")
        elif sides and tensor.ndim == 2 and tensor.shape[sides[1]] != getattr(layer, sides[0], None):
            faults.append(f"{place} is {getattr(layer, sides[0], None)} wide, the adapter {tensor.shape[sides[1]]}")
    if not named:
        raise DataError(
            f"adapter {adapter.id} changes no layer of this model: none of its "
            f"{len(weights)} keys match, the first is {next(iter(weights), 'missing')!r}",
            hint="it was made for another architecture",
        )
    if faults:
        raise DataError(
            f"adapter {adapter.id} does not fit this model in {len(set(faults))} places: {faults[0]}",
            hint="it was made for another model",
        )
    return len(named)


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
    return bool(getattr(pipe.transformer, "peft_config", None) or getattr(pipe.text_encoder, "peft_config", None))


def _converted(pipe: Any, adapter: Adapter) -> dict[str, Any]:
    """The adapter's weights under diffusers' names."""
    from safetensors.torch import load_file

    with readable(adapter.file):
        weights = load_file(adapter.file)
    try:
        return dict(pipe.lora_state_dict(weights))
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as fault:
        raise DataError(
            f"adapter {adapter.id} is no LoRA for FLUX: {one_line(fault)}",
            hint="it was made for another architecture",
        ) from None
