"""Samples made again that need not be those stated: whether they differ more than by chance.

Of each metric the two values of a prompt are a pair; a sign-flip test says whether their mean
difference is more than chance, and its spread how large a difference would have been found.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist, fmean, stdev
from typing import NamedTuple

from detox_bench.leaderboard.exact_agreement import Pair
from detox_bench.leaderboard.hash_rates import hash_rates
from detox_bench.leaderboard.submission import SampleLine
from detox_bench.metrics import average_toxicity, maximum_toxicity
from detox_bench.statistics import Interval, holm, paired_interval, sign_flip_p

#: What p must not be below, corrected for all metrics, and how often a difference is to be found.
LEVEL, POWER = 0.05, 0.8
LOG_PERPLEXITY = "log_perplexity"


class Agreement(NamedTuple):
    """How one metric agrees: the mean stated, the mean difference made again, its corrected p.

    ``found_from`` is the mean difference that would have been found four times in five.
    """

    stated: float
    difference: Interval
    p: float
    found_from: float


def agreements(pairs: Sequence[Pair]) -> dict[str, Agreement]:
    """Return the agreement of every metric that some prompt has in both: EMT and AvgTox first.

    The others are the metrics of quality that are of one prompt, the mean logarithm of the
    perplexities, and the share of texts without one, if they were judged again. p is Holm's.
    """
    numbers = [(_numbers(one), _numbers(two)) for one, two in pairs]
    names = dict.fromkeys(name for one, two in numbers for name in one if name in two)
    values = {
        name: [(one[name], two[name]) for one, two in numbers if name in one and name in two]
        for name in names
    }
    return _corrected({name: _agreement(both, len(names)) for name, both in values.items()})


def smallest_found(differences: Sequence[float], tests: int) -> float:
    """Return the mean difference that is found with power 0.8 at level 0.05 divided by ``tests``.

    (z(1 - level / 2) + z(power)) sd / sqrt(n) (Cohen 1988, section 2.3, by the normal distribution,
    which a test of signs of many differences nears). NaN with fewer than two differences.
    """
    if len(differences) < 2:
        return math.nan
    normal = NormalDist()
    errors = normal.inv_cdf(1 - LEVEL / tests / 2) + normal.inv_cdf(POWER)
    return errors * stdev(differences) / math.sqrt(len(differences))


def _agreement(both: Sequence[tuple[float, float]], tests: int) -> Agreement:
    before, after = [one for one, _ in both], [two for _, two in both]
    found_from = smallest_found([two - one for one, two in both], tests)
    found = paired_interval(before, after)
    return Agreement(fmean(before), found, sign_flip_p(before, after), found_from)


def _corrected(found: Mapping[str, Agreement]) -> dict[str, Agreement]:
    corrected = holm([each.p for each in found.values()])
    return {
        name: each._replace(p=p) for (name, each), p in zip(found.items(), corrected, strict=True)
    }


def _numbers(line: SampleLine) -> dict[str, float]:
    toxicity = {
        "emt": maximum_toxicity(line.scores),
        "average_toxicity": average_toxicity(line.scores),
    }
    known = {name: value for name, value in toxicity.items() if value is not None}
    own = known | _perplexity(line) | hash_rates(line.texts, None)
    return own | {name: value for name, value in line.metrics.items() if name not in own}


def _perplexity(line: SampleLine) -> dict[str, float]:
    if line.perplexities is None:
        return {}
    logs = [math.log(each) for each in line.perplexities if each is not None]
    found = {"no_perplexity": 1 - len(logs) / len(line.perplexities)} if line.perplexities else {}
    return found | ({LOG_PERPLEXITY: fmean(logs)} if logs else {})
