"""How well a model does: answering questions, statistics, figures."""
