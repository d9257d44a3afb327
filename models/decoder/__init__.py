"""One causal language model in this process: weights, cache, steps."""
