"""One token in each of several texts through a small Llama on a CPU, as one compiled function."""

BLOCK = 16  # outputs that are multiplied at once
