"""A LoRA adapter's folder and its base as one whole model in a folder, made once, without loading the base.

What the adapter changes is found on a model without memory, and the base's files are read tensor by tensor. Knows
folders; not what the whole model is wanted for.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import warnings
from pathlib import Path
from typing import Any

from models.catalogue.fetch import fingerprint, inspect, locate
from models.catalogue.folders import contents, read_json
from models.catalogue.table import MODELS
from training.folding import fold, plan_folding
from training.loadable import check_loads
from workspace.errors import DataError, UsageError, reading
from workspace.files import publish
from workspace.progress import waiting

_SAVED = re.compile(r"\.modules_to_save\.default|(?<=lora_magnitude_vector)\.default\.weight$|\.default(?=\.|$)")
"""What peft leaves out of a parameter's name where it saves it."""
_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter and no whole model."""
    return (folder / _CONFIG).is_file() and not (folder / "config.json").is_file()


def folded(adapter: Path, home: Path, base: Path | None = None) -> tuple[Path, str]:
    """Fold an adapter into its base; nothing is folded twice.

    Args:
        adapter: Its folder.
        home: Studio's home, where the whole model is kept.
        base: The base's folder, in place of the one that the adapter names.

    Returns:
        The folder of the whole model, and the base's name.

    Raises:
        DataError: The adapter is no LoRA, or changes what the base does not hold.
        UsageError: Its base is not here.
    """
    config = read_json(adapter / _CONFIG) if (adapter / _CONFIG).is_file() else None
    if not isinstance(config, dict) or not (adapter / _WEIGHTS).is_file():
        raise DataError(f"{adapter} is no adapter's folder: it needs {_CONFIG} and {_WEIGHTS}")
    if config.get("peft_type") != "LORA":
        raise DataError(f"{adapter.name} is an adapter of type {config.get('peft_type')}; LORA can be folded")
    if base is None:
        base = _base_of(config, adapter, home)
    inspect(base, "chat")
    folder = place_of(adapter, base, home)
    if not (folder / "config.json").is_file():
        with waiting(f"folding {adapter.name} into {base.name}"):
            _fold(adapter, base, folder)
    return folder, base.name


def place_of(adapter: Path, base: Path, home: Path) -> Path:
    """The folder into which an adapter is folded with its base, by what both hold."""
    key = hashlib.sha256(f"{fingerprint(adapter)}\0{fingerprint(base)}".encode()).hexdigest()[:32]
    return home / "training" / "folded" / f"{adapter.resolve().name}-{key}"


def _base_of(config: dict[str, Any], adapter: Path, home: Path) -> Path:
    named = config.get("base_model_name_or_path")
    if not isinstance(named, str) or not named:
        raise DataError(f"{adapter.name} does not name its base", hint=f"BASE+{adapter} names it")
    known = next((entry.id for entry in MODELS.values() if entry.hub == named), named)
    try:
        return locate(known, home)
    except UsageError as fault:
        raise UsageError(
            f"the base of the adapter {adapter.name}, {named}, is not here", hint=f"BASE+{adapter} names another place"
        ) from fault


def _fold(adapter: Path, base: Path, folder: Path) -> None:
    from safetensors.torch import load_file

    with reading(f"the adapter {adapter.name}"):
        model = _on_paper(adapter, base)
        saved = load_file(adapter / _WEIGHTS)
    weights = {}
    for name in [name for name, weight in model.named_parameters() if weight.requires_grad]:
        if (short := _SAVED.sub("", name)) not in saved:
            raise DataError(f"{adapter.name} lacks {short}, which its {_CONFIG} says it has")
        weights[name] = saved.pop(short)
    if odd := next((name for name, weight in saved.items() if not _of_base(name, weight, base)), None):
        raise DataError(f"{adapter.name} holds {odd}, which cannot be folded into {base.name}")
    folding = plan_folding(model, weights)

    def lay(staged: Path) -> None:
        staged.mkdir()
        for file in contents(base):
            if file.suffix != ".safetensors" and not file.name.endswith((".index.json", "manifest.json")):
                (staged / file.relative_to(base)).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, staged / file.relative_to(base))
        told = json.loads((base / "config.json").read_text(encoding="utf-8")) | {"dtype": "bfloat16"}
        if folding.untied:
            told["tie_word_embeddings"] = False
        (staged / "config.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
        fold(folding, staged)
        check_loads(staged)

    publish(folder, lay)


def _on_paper(adapter: Path, base: Path) -> Any:
    """The base with the adapter on it, neither with any memory."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    held = AutoConfig.from_pretrained(base, local_files_only=True, trust_remote_code=False)
    lora = LoraConfig.from_pretrained(str(adapter))
    lora.init_lora_weights, lora.inference_mode = False, False
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the base lies elsewhere than where the adapter was trained is expected
        bare = AutoModelForCausalLM.from_config(held, trust_remote_code=False)
        model = get_peft_model(bare, lora)
    bare.config.name_or_path = str(base)
    return model


def _of_base(name: str, weight: Any, base: Path) -> bool:
    """Whether a saved tensor is the base's own, which is kept beside an adapter of its embeddings or output."""
    import torch
    from safetensors import safe_open

    plain = name.removeprefix("base_model.model.").replace(".base_layer.", ".")
    for file in sorted(base.glob("*.safetensors")):
        with safe_open(file, framework="pt") as opened:
            held = set(opened.keys())
            if plain == "lm_head.weight" and plain not in held:  # tied to the embeddings
                plain = next((one for one in held if one.endswith("embed_tokens.weight")), plain)
            if plain in held:
                return torch.equal(opened.get_tensor(plain).to(weight.dtype), weight)
    return False
