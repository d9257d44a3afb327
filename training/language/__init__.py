"""How a language model is trained: recipe, plan, stages, rows, tokens."""
