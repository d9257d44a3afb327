"""Model and adapter folders to GGUF files that llama.cpp reads, each written once and kept by what is in the folders.

`models.catalogue.gguf` goes the other way. A file appears whole or not at all; tensors go through a few megabytes at a
time. Knows where files lie and how they are put together, not what serves them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from models.catalogue.folders import fingerprint, inspect
from models.serving.adapters import plain_name
from models.serving.gguf_adapter import read_adapter
from models.serving.gguf_architecture import Architecture, architecture_of, describe, lay_out, unties
from models.serving.gguf_tensors import ALIGNMENT, Laid, Precision, append, held_in
from models.serving.gguf_tokenizer import vocabulary_of
from workspace import files
from workspace.errors import StorageError, UsageError, unknown
from workspace.progress import Remark, Tell, amount, silent, waiting

FORM = 1
"""Counts how files are written; a change makes every one anew."""
_HEADER = 64_000_000
"""Bytes at most that are asked for beside the tensors: words, merges, template."""
_FILE_TYPES = {"f32": "ALL_F32", "f16": "MOSTLY_F16", "bf16": "MOSTLY_BF16", "q8_0": "MOSTLY_Q8_0"}


def model_file(folder: Path, home: Path, precision: Precision) -> Path:
    """The file that `write_model` writes a model folder to, whether it is there or not.

    Raises:
        UsageError: There is no such precision.
        DataError: The folder is damaged or holds no chat model.
    """
    if precision not in get_args(Precision):
        raise UsageError(unknown("precision", precision, get_args(Precision)))
    inspect(folder, "chat")
    return _place(home, _name(folder), f"{fingerprint(folder)}\0{precision}", f"-{precision}")


def adapter_file(adapter: Path, base: Path, home: Path) -> Path:
    """The file that `write_adapter` writes an adapter to, whether it is there or not.

    Raises:
        DataError: A folder is damaged, or does not hold what it should.
    """
    inspect(adapter, "adapter")
    inspect(base, "chat")
    return _place(home, _name(adapter), f"{fingerprint(adapter)}\0{fingerprint(base)}", "")


def write_model(folder: Path, home: Path, precision: Precision, tell: Tell = silent) -> Path:
    """Write a model folder as a GGUF file; nothing is written twice.

    Args:
        folder: A Llama, Mistral or Qwen causal language model: configuration, tokenizer, safetensors.
        home: Studio's home, where the file is kept by the folder's fingerprint.
        precision: How matrices are stored; vectors are always 32-bit.
        tell: Called with a `Remark` on the file's size, and on whatever llama.cpp does otherwise than transformers.

    Returns:
        The file.

    Raises:
        UsageError: There is no such precision.
        DataError: The model is of another architecture, damaged or incomplete, or has a tokenizer that llama.cpp lacks.
        StorageError: There is no room for it.
        Unfinished: Another process writes the same file.
    """
    target, name = model_file(folder, home, precision), _name(folder)

    def write() -> None:
        found = architecture_of(folder)
        words = vocabulary_of(folder, found.vocabulary)
        tensors = lay_out(found, held_in(folder), precision, name)

        def head(writer: Any) -> None:
            from gguf import GGML_QUANT_VERSION, LlamaFileType

            writer.add_type("model")
            writer.add_name(name)
            writer.add_file_type(LlamaFileType[_FILE_TYPES[precision]])
            writer.add_quantization_version(GGML_QUANT_VERSION)
            describe(writer, found)
            words.write(writer)

        for text in (*words.remarks, *_remarks(found, tensors, precision, name)):
            tell(Remark(text=text))
        _write(target, found.family.name, head, tensors, tell)

    return _once(target, write)


def _remarks(found: Architecture, tensors: Sequence[Laid], precision: Precision, name: str) -> Iterator[str]:
    if found.window and found.window < found.context:
        yield f"{name}: it attends to {found.window} tokens at a time, so no more are read at once"
    if odd := sum(len(one.shape) > 1 and one.kind != precision.upper() for one in tensors):
        yield f"{name}: {odd} matrices have rows that Q8_0 does not divide; they are stored as F16"


def write_adapter(adapter: Path, base: Path, home: Path, tell: Tell = silent) -> Path:
    """Write a LoRA adapter of peft as a GGUF adapter for its base; nothing is written twice.

    Args:
        adapter: With ``adapter_config.json`` and ``adapter_model.safetensors``.
        base: The folder of the model that it belongs to.
        home: Studio's home, where the file is kept by both folders' fingerprints.
        tell: Called with a `Remark` on the file's size.

    Returns:
        The file; its numbers are 32-bit.

    Raises:
        DataError: It is no LoRA, changes what a GGUF adapter has no place for, or is of another base.
        StorageError: There is no room for it.
        Unfinished: Another process writes the same file.
    """
    target, name = adapter_file(adapter, base, home), _name(adapter)

    def write() -> None:
        found = architecture_of(base)
        read = read_adapter(adapter, found, unties(found, held_in(base)), _name(base))

        def head(writer: Any) -> None:
            writer.add_type("adapter")
            writer.add_name(name)
            writer.add_string("adapter.type", "lora")
            writer.add_float32("adapter.lora.alpha", read.alpha)

        _write(target, found.family.name, head, read.tensors, tell)

    return _once(target, write)


def _name(folder: Path) -> str:
    return os.fsencode(folder.resolve().name).decode("utf-8", "replace")


def _place(home: Path, name: str, content: str, ending: str) -> Path:
    key = hashlib.sha256(f"{content}\0{FORM}".encode()).hexdigest()[:32]
    return home / "gguf" / f"{plain_name(name)}-{key}{ending}.gguf"


def _once(target: Path, write: Callable[[], None]) -> Path:
    """Write a file unless it is there, and let no two processes do so at once."""
    if target.is_file():
        return target
    lock = target.parent / ".writing" / target.stem / "lock"
    with files.claim(lock):
        if not target.is_file():
            files.sweep(target.parent)
            write()
    with contextlib.suppress(OSError):
        lock.parent.rmdir()
    return target


def _write(target: Path, arch: str, head: Callable[[Any], None], tensors: Sequence[Laid], tell: Tell) -> None:
    need = sum(tensor.nbytes + ALIGNMENT for tensor in tensors) + _HEADER
    free = shutil.disk_usage(_there(target)).free
    if free < need:
        raise StorageError(f"{target.name} needs {amount(need)} in {target.parent}, {amount(free)} are free")

    def write(staged: Path) -> None:
        import numpy as np
        from gguf import GGMLQuantizationType, GGUFWriter

        writer = GGUFWriter(staged, arch)
        try:
            head(writer)
            for tensor in tensors:
                kind = GGMLQuantizationType[tensor.kind]
                writer.add_tensor_info(tensor.name, tensor.shape, np.dtype(np.float32), tensor.nbytes, kind)
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_ti_data_to_file()
        finally:
            writer.close()
        with staged.open("ab") as file:
            append(file, tensors)

    with waiting(f"writing {target.name}"):
        made = files.publish(target, write)
    tell(Remark(text=f"{target.name}: {amount(made.size)} in {target.parent}"))


def _there(path: Path) -> Path:
    """The nearest folder above a path that there is."""
    return next(parent for parent in path.parents if parent.is_dir())
