"""GGUF to bfloat16 safetensors, once, so that a model then loads in seconds and without the gguf reader.

The weights in a quantised file are widened as they are; nothing is requantised and no code from the file runs.
"""

from __future__ import annotations

import contextlib
import io
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path

from workspace.errors import DataError, one_line


def convert(source: Path, target: Path) -> None:
    """Write the model in a GGUF file as a folder that transformers loads.

    Args:
        source: The ``.gguf`` file.
        target: The folder to fill: weights, configuration, tokenizer, chat template.

    Raises:
        DataError: When the file is no GGUF or holds an architecture that is not known.
    """
    with source.open("rb") as stream:
        if stream.read(4) != b"GGUF":
            raise DataError(f"{source} is not a GGUF file")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    folder, name = str(source.parent), source.name
    with _hushed():
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name, trust_remote_code=False)
            model = AutoModelForCausalLM.from_pretrained(
                folder,
                gguf_file=name,
                dtype=torch.bfloat16,
                quantization_config=GgufConfig(dequantize=True),
                trust_remote_code=False,
            )
        except (ValueError, LookupError, RuntimeError, OSError, struct.error) as error:
            raise DataError(f"{source.name} cannot be converted: {one_line(error)}") from error
        target.mkdir(parents=True, exist_ok=True)
        model.save_pretrained(target)
        tokenizer.save_pretrained(target)
    for file in target.iterdir():
        file.chmod(0o644)


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """Keep the library's progress bars and advice out of the person's terminal."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
