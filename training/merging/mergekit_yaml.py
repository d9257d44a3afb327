"""A merge as mergekit's YAML says it: made from a configuration, or a file of one's own, which models it names.

`Mixture` is what of such a document Studio's own engine can do; for everything else there is mergekit itself. Knows the
document; reads no model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from training.merging.config import METHODS, MergeConfig
from training.merging.depth import Curve, read_curve
from training.yaml_text import read_yaml
from workspace.errors import DataError, UsageError, one_line, unknown

Document = dict[str, Any]
_KEYS = (
    "modules", "slices", "models", "merge_method", "base_model", "dtype", "tokenizer_source", "tokenizer",
    "chat_template", "out_dtype", "parameters",
)  # fmt: skip
OWN = ("slerp", "norm_slerp", "nuslerp", "linear", "task_arithmetic")
"""Methods that Studio's own engine has."""
TO_BF16 = ("slerp", "norm_slerp", "linear")
"""Methods that mergekit computes in single precision whatever the type of its inputs."""


@dataclass(frozen=True)
class Mixture:
    """A merge that Studio's own engine does.

    Attributes:
        method: mergekit's name of it, or ``norm_slerp``.
        models: The parents as the document names them; of a method with a t that of t = 0 first.
        base: What task vectors start from; empty where there are none.
        t: Over depth, of methods with two parents on an arc.
        weights: Of every parent, of the others.
        rounded: Whether inputs are rounded to bfloat16 first.
    """

    method: str
    models: tuple[str, ...]
    base: str = ""
    t: Curve | None = None
    weights: tuple[Curve, ...] = ()
    rounded: bool = True


def document_of(config: MergeConfig) -> Document:
    """A merge as mergekit's YAML says it.

    Raises:
        DataError: A YAML of one's own is none.
        UsageError: There is no such file.
    """
    if config.yaml:
        return _read(Path(config.yaml).expanduser())
    kind = METHODS[config.method]
    first = config.models[0]
    made: Document = {"merge_method": kind.mergekit}
    if kind.base or kind.mergekit in ("slerp", "norm_slerp"):
        made["base_model"] = config.base if kind.base else first
    if config.tokenizer and "base_model" not in made:
        made["base_model"] = first
    made["models"] = [{"model": model} | _own_parameters(config, number) for number, model in enumerate(config.models)]
    if kind.mergekit in ("slerp", "norm_slerp"):
        made["parameters"] = {"t": _conditions(config, lambda t: t)}
    if config.tokenizer:
        made["tokenizer"] = {"source": config.tokenizer}
    made["dtype"] = kind.dtype
    if kind.dtype != "bfloat16":
        made["out_dtype"] = "bfloat16"
    return made


def _own_parameters(config: MergeConfig, number: int) -> Document:
    """What of a parent's own the document says: weight and density."""
    kind = METHODS[config.method]
    made: Document = {}
    if kind.depth and kind.mergekit not in ("slerp", "norm_slerp"):
        made["weight"] = _conditions(config, (lambda t: t) if number else (lambda t: 1 - t))
    if kind.weights:
        made["weight"] = config.weights[number] if config.weights else 1.0
    if kind.sparse:
        made["density"] = 0.5 if config.density is None else config.density
    return {"parameters": made} if made else {}


def _conditions(config: MergeConfig, value: Callable[[float], float]) -> Any:
    held = config.vectors
    if config.t is not None:
        return value(config.t)
    return [
        {"filter": "self_attn", "value": [value(t) for t in held.self_attn]},
        {"filter": "mlp", "value": [value(t) for t in held.mlp]},
        {"value": value(held.rest)},
    ]


def _read(path: Path) -> Document:
    """A mergekit YAML, with nothing in it that mergekit would pass over."""
    if not path.is_file():
        raise UsageError(f"there is no mergekit YAML at {path}")
    try:
        held = read_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as fault:
        raise DataError(f"cannot read {path}: {one_line(fault)}") from fault
    if not isinstance(held, dict):
        raise DataError(f"{path} is no mergekit YAML: it holds no keys")
    for key in held:
        if key not in _KEYS:
            raise DataError(f"{path}: {unknown('key', str(key), _KEYS)}")
    if not isinstance(held.get("merge_method"), str):
        raise DataError(f"{path} has no merge_method")
    if sum(bool(held.get(key)) for key in ("models", "slices", "modules")) != 1:
        raise DataError(f"{path} must have one of models, slices and modules")
    return held


def renamed(document: Mapping[str, Any], name: Callable[[str], str]) -> Document:
    """A document with its models called otherwise.

    Raises:
        DataError: A place of a model holds something else.
    """

    def one(value: Any, where: str) -> str:
        if not isinstance(value, str) or not value:
            raise DataError(f"{where} must name a model, not {value!r}")
        return name(value)

    def walk(value: Any, where: str) -> Any:
        if isinstance(value, Mapping):
            return {key: place(key, inner, f"{where}.{key}".lstrip(".")) for key, inner in value.items()}
        if isinstance(value, list):
            return [walk(inner, f"{where}.{number}") for number, inner in enumerate(value)]
        return value

    def place(key: str, value: Any, where: str) -> Any:
        if key in ("parameters", "merge_method"):
            return value
        if key in ("model", "base_model") and value is not None:
            return one(value, where)
        if key in ("tokenizer_source", "source") and isinstance(value, str) and value not in ("union", "base"):
            return one(value, where)
        return walk(value, where)

    made: Document = walk(document, "")
    return made


def named(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Every model that a document names, the first of its list first, each once."""
    found: dict[str, None] = {}

    def note(name: str) -> str:
        found[name] = None
        return name

    renamed({key: document[key] for key in ("models", "slices", "modules") if document.get(key)}, note)
    renamed(document, note)
    return tuple(found)


def text_of(document: Mapping[str, Any]) -> str:
    """A document as YAML, short lists on one line."""
    return yaml.dump(dict(document), Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        """Write what stands twice twice."""
        return True


def _listed(dumper: yaml.SafeDumper, data: list[Any]) -> yaml.SequenceNode:
    """Numbers on one line, everything else an entry a line."""
    flow = all(isinstance(one, (int, float)) for one in data)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=flow)


_Dumper.add_representer(list, _listed)


def mixture(document: Mapping[str, Any], layers: Mapping[str, int]) -> Mixture | None:
    """What Studio's own engine has to do for a document; none where mergekit itself must.

    Args:
        document: As mergekit reads it.
        layers: How many layers each of its models has.
    """
    sources = _sources(document, layers)
    method = document["merge_method"]
    rounded = document.get("dtype") == "bfloat16"
    whole = rounded or (document.get("dtype") == "float32" and document.get("out_dtype") == "bfloat16")
    if sources is None or method not in OWN or not whole or document.get("out_dtype") not in (None, "bfloat16"):
        return None
    if document.get("tokenizer") or document.get("tokenizer_source") or document.get("chat_template"):
        return None
    if rounded and method not in TO_BF16:
        return None
    base, shared = document.get("base_model") or "", document.get("parameters") or {}
    if not isinstance(shared, Mapping):
        return None
    if method in ("slerp", "norm_slerp"):
        return _on_an_arc(method, sources, base, shared, rounded)
    return _weighted(method, sources, base, shared, rounded)


def _on_an_arc(
    method: str, sources: Mapping[str, Any], base: str, shared: Mapping[str, Any], rounded: bool
) -> Mixture | None:
    others = [model for model in sources if model != base]
    curve = read_curve(shared["t"]) if set(shared) == {"t"} else None
    if not base or len(others) != 1 or any(sources.values()) or curve is None:
        return None
    return Mixture(method, (base, others[0]), t=curve, rounded=rounded)


def _weighted(
    method: str, sources: Mapping[str, Any], base: str, shared: Mapping[str, Any], rounded: bool
) -> Mixture | None:
    takes_base = method != "linear"
    if set(shared) - {"weight"} or (takes_base and not base) or (base and not takes_base and base not in sources):
        return None
    parents = [model for model in sources if not takes_base or model != base]
    weights = []
    for model in parents:
        own = sources[model] or shared
        curve = read_curve(own["weight"]) if set(own) == {"weight"} else None
        if curve is None:
            return None
        weights.append(curve)
    if len(parents) < 2 or (method == "nuslerp" and len(parents) != 2):
        return None
    return Mixture(method, tuple(parents), base if takes_base else "", weights=tuple(weights), rounded=rounded)


def _sources(document: Mapping[str, Any], layers: Mapping[str, int]) -> dict[str, Mapping[str, Any]] | None:
    """The models of one slice over all layers, with their own parameters; none for anything cut and stacked."""
    listed, allowed = document.get("models"), {"model", "parameters"}
    if not listed:
        slices = document.get("slices")
        if not isinstance(slices, list) or len(slices) != 1 or not _only(slices[0], {"sources"}):
            return None
        listed, allowed = slices[0].get("sources"), allowed | {"layer_range"}
    if not isinstance(listed, list) or not all(_only(one, allowed) and "model" in one for one in listed):
        return None
    found = {}
    for one in listed:
        own = one.get("parameters") or {}
        whole = [0, layers.get(one["model"])]
        if not isinstance(own, Mapping) or one.get("layer_range", whole) != whole:
            return None
        found[one["model"]] = own
    return found if len(found) == len(listed) else None


def _only(value: Any, keys: set[str]) -> bool:
    return isinstance(value, Mapping) and set(value) <= keys
