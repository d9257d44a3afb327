"""Evaluations, merges and judgements as figures, tables and a page."""
