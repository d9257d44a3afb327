"""One token in each of several texts through a small Llama on a CPU, as one compiled function."""

BLOCK = 16  # outputs that are multiplied at once
SPANS = 5  # numbers that say how long a row's keys and its prefix's are
