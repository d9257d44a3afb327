"""Papers to measured model variants, and the embedded painter with its procedural microstructures."""

import os

KERNELS = ("LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY")
"""How many compiled kernels PyTorch and oneDNN keep, read when they are first used on a CPU.

They compile one for every shape. Batches of a training have hundreds of lengths, and by their own account of 1,024
kept kernels the memory grows by megabytes a step and crumbles between them.
"""

for _name in KERNELS:
    os.environ.setdefault(_name, "64")
