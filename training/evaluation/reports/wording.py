"""Numbers in words: scores, differences, intervals, chances; what a benchmark asked and can show. Knows no pages."""

from __future__ import annotations

from training.evaluation.reports.shapes import Board, Interval

NONE = "–"
"""Where there is no number."""
_KINDS = {"choice": "of choice", "truth": "statements to be judged true or false"}


def number(value: float | None, digits: int = 3) -> str:
    """A score, or a dash."""
    return NONE if value is None else f"{value:.{digits}f}".replace("-", "−")


def signed(value: float | None, digits: int = 3) -> str:
    """A difference, or a dash."""
    return NONE if value is None else f"{value:+.{digits}f}".replace("-", "−")


def between(one: Interval | None) -> str:
    """Ends of an interval, or a dash."""
    return NONE if one is None else f"{number(one.low)} to {number(one.high)}"


def chance(p: float | None) -> str:
    """A p value, or a dash."""
    return NONE if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def asked(board: Board) -> str:
    """What was asked and how, in a sentence or two."""
    what = board.benchmark
    shared = f" about {what.passages} passages" if what.passages else ""
    how = (
        f"by the likelihood of its answers (rule {what.rule or 'plain'})"
        if what.protocol == "likelihood"
        else "by what it writes at temperature 0, answers that cannot be read counting as wrong"
    )
    kinds = " and ".join(f"{count} {_KINDS.get(kind, kind)}" for kind, count in what.kinds.items())
    with_template, without = what.template
    template = (
        "in its chat template"
        if not without
        else "without a chat template"
        if not with_template
        else f"in its chat template ({with_template} models) or without one ({without})"
    )
    return (
        f"{len(board.standings)} models answered the same {what.n} questions{shared} of {what.task} ({kinds}), each "
        f"{template}, scored {how}."
    )


def able(board: Board) -> str:
    """The smallest differences that the benchmark shows."""
    power = board.power
    shared = f" (with passages shared, {power.effect:.1f} questions count as one)" if power.effect >= 1.05 else ""
    seen = "the median seen here" if power.seen else "assumed"
    return (
        f"Four times out of five, {board.benchmark.n} questions show a difference of {power.paired:.1%} between two "
        f"models on the same questions, where they disagree on {power.discordance:.1%} ({seen}){shared}; of "
        f"{power.corrected:.1%} after correction for {power.comparisons} comparisons; and of {power.unpaired:.1%} "
        f"between models on different questions, at {power.score:.1%} right. Always giving the commonest letter of "
        f"each kind would be right in {board.benchmark.constant:.1%}."
    )
