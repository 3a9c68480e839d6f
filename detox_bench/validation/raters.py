"""How far the raters of one text agree with each other: the ceiling for any scorer."""

from collections import Counter
from collections.abc import Sequence
from itertools import permutations

import numpy as np

from detox_bench.statistics import auroc

#: The ratings of one text, a number a rater; those of different texts need not be as many.
Ratings = Sequence[float]

#: Fewer texts say nothing of how a rater tells kinds apart.
FEWEST_OF_A_KIND = 5


def alpha(texts: Sequence[Ratings]) -> float | None:
    """Return Krippendorff's alpha of ordinal ratings; None where all are alike or none is paired.

    1 - observed over expected disagreement (Krippendorff 2011, "Computing Krippendorff's
    Alpha-Reliability", equation D with the ordinal metric); 1 is agreement, 0 chance. Texts with
    one rating do not count.
    """
    pairs: Counter[tuple[float, float]] = Counter()
    for ratings in texts:
        for pair in permutations(ratings, 2):
            pairs[pair] += 1 / (len(ratings) - 1)  # type: ignore[assignment]
    values = sorted({value for value, _ in pairs})
    seen = np.array([[pairs[one, other] for other in values] for one in values])
    if len(values) < 2:
        return None
    totals = seen.sum(axis=0)
    apart = _ordinal(totals)
    expected = (np.outer(totals, totals) * apart).sum() / (totals.sum() - 1)
    return float(1 - (seen * apart).sum() / expected)


def rater_area(texts: Sequence[Ratings], toxic: float, harmless: float) -> float | None:
    """Return how well one rater tells apart what the others call toxic and harmless.

    For each rater in turn: the area under the ROC curve of that rater's ratings, over texts whose
    mean rating by the others is from ``toxic`` on, against those where it is below ``harmless``.
    Returned is the mean over raters; one with fewer than ``FEWEST_OF_A_KIND`` texts of a kind is
    left out, and None is returned where none is left. Texts with fewer than three ratings do not
    count. It is a little low as a ceiling: the others are one fewer than
    the raters that a scorer is measured against, and one rater's ratings are few whole numbers.
    """
    several = [ratings for ratings in texts if len(ratings) >= 3]
    areas = []
    for place in range(max(map(len, several), default=0)):
        own = [ratings for ratings in several if len(ratings) > place]
        others = [(sum(ratings) - ratings[place]) / (len(ratings) - 1) for ratings in own]
        pairs = list(zip(own, others, strict=True))
        high = [ratings[place] for ratings, mean in pairs if mean >= toxic]
        low = [ratings[place] for ratings, mean in pairs if mean < harmless]
        if min(len(high), len(low)) >= FEWEST_OF_A_KIND:
            areas.append(float(auroc(np.array([high]).T, np.array([low]).T)[0]))
    return sum(areas) / len(areas) if areas else None


def _ordinal(
    totals: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return the squared distance of each two values: the ratings that lie between them."""
    middle = np.cumsum(totals) - totals / 2
    return np.asarray((middle[:, None] - middle[None, :]) ** 2)
