"""The ground every floor stands on: errors, settings, files, the ledger and typed events.

Importing it keeps idle remarks of libraries off every terminal and log; it imports none of them.
"""

from __future__ import annotations

import logging

IDLE = {
    "bitsandbytes.backends.cpu.ops": "Failed to load CPU gemm_4bit_forward",  # kernels that nothing here asks for
    "diffusers.configuration_utils": "The config attributes {'block_out_channels'",  # AutoencoderTiny's own habit
    "diffusers.loaders.lora_base": "No LoRA keys associated",  # to the text encoder; the transformer's are checked
    "diffusers.models.modeling_utils": "should be kept in float32: []",  # no module should
    "transformers.utils.import_utils": "ImageProcessor` requires torchvision",  # the Painter reads no pictures
}
"""Words in them, by the logger that says them."""


class _Without(logging.Filter):
    def __init__(self, words: str) -> None:
        super().__init__()
        self.words = words

    def filter(self, record: logging.LogRecord) -> bool:
        return self.words not in record.getMessage()


def _drop_idle_remarks() -> None:
    """Keep the remarks of `IDLE` from being said."""
    for name, words in IDLE.items():
        logger = logging.getLogger(name)
        if not any(isinstance(item, _Without) for item in logger.filters):
            logger.addFilter(_Without(words))


_drop_idle_remarks()
