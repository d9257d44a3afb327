"""Evidence: what is known for a wish, which claim it bears out, and what becomes of a figure that it does not."""
