"""Whether a model folder will load, found without room for its weights. Knows folders; not how they came to be."""

from __future__ import annotations

from pathlib import Path

from workspace.errors import DataError, check_loaded, one_line


def check_loads(folder: Path) -> None:
    """Load a folder with weights that take no memory.

    Raises:
        DataError: Its configuration, tokenizer and weights do not belong together.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        model, found = AutoModelForCausalLM.from_pretrained(
            folder, device_map="meta", local_files_only=True, output_loading_info=True, trust_remote_code=False
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as fault:  # whatever a loader trips over, the folder is of no use
        raise DataError(f"{folder.name} would not load: {type(fault).__name__}: {one_line(fault)}") from fault
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
    check_loaded(found, folder.name)
    check_embedded(tokenizer.get_vocab(), model.config.get_text_config().vocab_size, folder.name)


def check_embedded(vocabulary: dict[str, int], rows: int, where: str) -> None:
    """Compare a tokenizer's tokens with the rows of a model's embeddings.

    Raises:
        DataError: There are tokens beyond the embeddings.
    """
    beyond = sorted((number, token) for token, number in vocabulary.items() if number >= rows)
    if beyond:
        raise DataError(
            f"the tokenizer of {where} has tokens up to {beyond[-1][0]}, and its embeddings are {rows} rows: "
            f"{beyond[0][1]!r} ({beyond[0][0]}) would have none",
            hint="take the tokenizer that belongs to the weights, or resize the embeddings and save both",
        )
