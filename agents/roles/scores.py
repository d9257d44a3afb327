"""How critiques are read: the score of a picture, and the question whether it shows a motif. Knows no model."""

from __future__ import annotations

from agents.state import DesignState, Json


def score(critique: Json) -> float:
    """A critique as one figure from 0 to 1: half the share of checks answered yes, half the fit."""
    checks = critique["checks"]
    yes = sum(check["answer"] == "yes" for check in checks) / len(checks)
    return float(0.5 * yes + 0.05 * critique["fit"])


def rubric(shown: float, coloured: bool) -> float:
    """How well a picture fits, 1 to 10: three quarters for the share of patterns shown, a quarter for the colours.

    A picture that shows none of them has 3 at most.
    """
    fit = 1 + 9 * (0.75 * shown + 0.25 * coloured)
    return fit if shown else min(fit, 3)


def shows(motif: str) -> str:
    """The question of the checklist that asks for a motif."""
    return f"Does the picture show {motif}?"


def latest(state: DesignState) -> Json:
    """The best critique of the last round that was looked at."""
    rounds = [state["pictures"][one["picture"]]["round"] for one in state["critiques"]]
    last = max(rounds)
    return max((one for one, number in zip(state["critiques"], rounds, strict=True) if number == last), key=score)
