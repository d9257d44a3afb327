"""Merges against their parents: observed over expected, clusters and tree of them. Knows scores, no models.

E(P1, P2) is the mean of the parents' scores. Clusters are K-Means with two centres on (expected, observed), each
standardised, from several seeded starts (MacQueen, "Some methods for classification", 1967; Arthur and Vassilvitskii,
"k-means++", 2007); their outline is a Gaussian kernel density (Scott, "Multivariate Density Estimation", 1992); the
tree joins by Ward's criterion ("Hierarchical grouping", 1963).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from training.evaluation.reports.figures.drawing import Drawing
from training.evaluation.reports.figures.style import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    Look,
    grid,
    key_height,
    numbered,
    rows_height,
    shortened,
    with_key,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

FEWEST = 5
"""Merges below which clusters say nothing."""
_STARTS = 20
_SEED = 0
_CLUSTERS = (Look("cluster 1", BLUE, "", "o"), Look("cluster 2", ORANGE, "", "s"))


class Merged(NamedTuple):
    """A merge's observed score, and the one expected of its parents, each with its interval."""

    name: str
    expected: float
    expected_low: float
    expected_high: float
    observed: float
    observed_low: float
    observed_high: float


def observed(merges: Sequence[Merged]) -> Drawing:
    """Observed over expected score; above the diagonal a merge is more than its parents' mean."""
    height = 2.9 + key_height(len(merges))

    def draw(figure: Figure) -> None:
        axes = with_key(figure, [one.name for one in merges], height)
        values = np.array([one[1:] for one in merges])
        low, high = values[:, [1, 4]].min(), values[:, [2, 5]].max()
        margin = 0.03 * (high - low) or 0.01
        ends = (low - margin, high + margin)
        axes.plot(ends, ends, color=GREY, linestyle="--", linewidth=0.9)
        axes.hlines(values[:, 3], values[:, 1], values[:, 2], color=GREY, linewidth=0.5)
        axes.vlines(values[:, 0], values[:, 4], values[:, 5], color=GREY, linewidth=0.5)
        numbered(axes, values[:, 0].tolist(), values[:, 3].tolist(), [None] * len(merges))
        axes.set(xlabel="expected: mean of the parents", ylabel="observed", xlim=ends, ylim=ends)
        axes.set_box_aspect(0.9)
        grid(axes)

    return Drawing(
        "observed",
        "Observed over expected score",
        "Each merge's score over the mean of its parents' scores, both with 95% intervals. Above the dashed diagonal a "
        "merge is more than that mean, which is less than being more than its best parent.",
        ("name", "expected", "expected_low", "expected_high", "observed", "observed_low", "observed_high"),
        tuple(merges),
        height,
        draw,
    )


def standardised(merges: Sequence[Merged]) -> NDArray[np.float64]:
    """(Expected, observed) of every merge (shape n x 2), each with mean 0 and deviation 1; 0 where all are equal."""
    values = np.array([(one.expected, one.observed) for one in merges], dtype=np.float64)
    spread = values.std(axis=0)
    centred: NDArray[np.float64] = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return centred


def two_clusters(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """Which of two clusters each point is in: 0, the one of lower observed score, or 1. The best of several starts."""
    from scipy.cluster.vq import kmeans2

    best: tuple[float, Any] | None = None
    rng = np.random.default_rng(_SEED)
    for _ in range(_STARTS):
        centres, labels = kmeans2(points, 2, minit="++", rng=rng, missing="warn")
        inside = float(((points - centres[labels]) ** 2).sum())
        if len(set(labels.tolist())) == 2 and (best is None or inside < best[0] - 1e-12):
            best = (inside, labels)
    assert best is not None, "points that are all the same have no clusters"
    labels = np.asarray(best[1], dtype=np.int64)
    if points[labels == 0, 1].mean() > points[labels == 1, 1].mean():
        labels = 1 - labels
    return labels


def clusters(merges: Sequence[Merged]) -> Drawing:
    """K-Means of two clusters on standardised (expected, observed), over the density of all points."""
    points = standardised(merges)
    labels = two_clusters(points)
    height = 2.9 + key_height(len(merges))

    def draw(figure: Figure) -> None:
        axes = with_key(figure, [one.name for one in merges], height)
        axes.set(xlim=_ends(points[:, 0]), ylim=_ends(points[:, 1]))
        _density(axes, points)
        numbered(axes, points[:, 0].tolist(), points[:, 1].tolist(), [_CLUSTERS[label] for label in labels])
        for label in (0, 1):
            middle = points[labels == label].mean(axis=0)
            axes.plot(*middle, "X", color=_CLUSTERS[label].colour, markersize=8, markeredgecolor=BLACK, zorder=2)
        axes.set(xlabel="expected (standardised)", ylabel="observed (standardised)")
        axes.set_box_aspect(0.9)

    return Drawing(
        "clusters",
        "Two clusters of merges",
        "K-Means with two centres (crosses) on standardised expected and observed scores, over a Gaussian kernel "
        f"density. K-Means always finds as many clusters as it is asked for; with {len(merges)} points this is a "
        "picture, not a test.",
        ("name", "expected_standardised", "observed_standardised", "cluster"),
        tuple(
            (one.name, float(x), float(y), int(label) + 1)
            for one, (x, y), label in zip(merges, points, labels, strict=True)
        ),
        height,
        draw,
    )


def _ends(values: NDArray[np.float64]) -> tuple[float, float]:
    return float(values.min()) - 0.7, float(values.max()) + 0.7


def _density(axes: Any, points: NDArray[np.float64]) -> None:
    """Outlines of a Gaussian kernel density; nothing where points lie on a line, which have none."""
    from scipy.stats import gaussian_kde

    try:
        density = gaussian_kde(points.T)
    except np.linalg.LinAlgError:
        return
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    x, y = np.meshgrid(np.linspace(left, right, 60), np.linspace(low, high, 60))
    heights = density(np.vstack([x.ravel(), y.ravel()])).reshape(x.shape)
    axes.contourf(x, y, heights, levels=7, cmap="Greys", alpha=0.55, zorder=0)


def tree(merges: Sequence[Merged]) -> Drawing:
    """Which merges score alike: a dendrogram of standardised (expected, observed) by Ward's criterion."""
    from scipy.cluster.hierarchy import linkage

    joined = linkage(standardised(merges), method="ward")

    def draw(figure: Figure) -> None:
        from scipy.cluster.hierarchy import dendrogram

        axes = figure.subplots()
        dendrogram(
            joined,
            labels=shortened([one.name for one in merges]),
            orientation="left",
            ax=axes,
            color_threshold=0,
            above_threshold_color=BLACK,
            leaf_font_size=6.5,
        )
        axes.yaxis.tick_right()
        axes.tick_params(axis="y", length=0)
        axes.spines[["left", "right"]].set_visible(False)
        axes.set_xlabel("distance (Ward, standardised scores)")

    return Drawing(
        "tree",
        "Which merges score alike",
        "Dendrogram by Ward's criterion on standardised expected and observed scores. A row of the table is a join: of "
        f"two merges (numbered from 1 in the table of clusters) or of earlier joins (from {len(merges) + 1} on).",
        ("one", "other", "distance", "merges"),
        tuple((int(a) + 1, int(b) + 1, float(distance), int(count)) for a, b, distance, count in joined),
        rows_height(len(merges)),
        draw,
    )
