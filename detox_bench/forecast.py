"""Does a number known before training forecast how far detoxification reaches a language?

Each language is one point: a predictor (how well its sentences find their English translation) and
the drop in toxicity, in per cent of the base model's. Each predictor gets its correlation, its
line, and the test that matters: the error of forecasting a language from the line through the
others, against forecasting it by their mean. All predictors that were tried are shown, and p-values
are corrected for their number.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detox_bench.correlation import Correlation, pearson, spearman
from detox_bench.errors import BadData, DetoxBenchError
from detox_bench.statistics import Interval, holm, mean_interval
from detox_bench.student_t import t_quantile

#: A line through fewer languages has no error to speak of.
FEWEST = 4

Array = NDArray[np.float64]
Values = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Line:
    """A least-squares line over n languages, and how far it and their mean miss one left out.

    ``spread_x`` and ``spread_y`` are sums of squares about the means; ``residual`` is the standard
    error of the line, with n - 2 degrees of freedom; ``low`` and ``high`` bound what it was fitted
    on. The errors are mean absolute errors, in the units of y; ``gain`` is by how much that of the
    line is smaller, with its 95 % bootstrap interval over the languages left out.
    """

    n: int
    slope: float
    mean_x: float
    mean_y: float
    spread_x: float
    spread_y: float
    residual: float
    low: float
    high: float
    error: float
    error_of_mean: float
    gain: Interval

    @property
    def better(self) -> bool:
        """Whether leaving a language out, the line misses it by less than the mean does."""
        return self.gain.estimate > 0

    @property
    def surely_better(self) -> bool:
        """Whether it would with other languages, as far as the interval tells."""
        return self.gain.low > 0

    def predict(self, x: float, level: float = 0.95) -> Interval:
        """Return y at ``x`` with its prediction interval: where one more language would lie.

        Of Student's t, for normal residuals (Draper and Smith 1998, section 3.1). Of the mean of
        the languages, whatever ``x`` is, where the line is no better than that.
        """
        if not self.better:
            return self._about(self.mean_y, self.spread_y / (self.n - 1), 1 / self.n, level)
        away = (x - self.mean_x) ** 2 / self.spread_x
        return self._about(self.at(x), self.residual**2, 1 / self.n + away, level)

    def at(self, x: float) -> float:
        """Return the height of the line."""
        return self.mean_y + self.slope * (x - self.mean_x)

    def outside(self, x: float) -> bool:
        """Whether ``x`` is beyond all that the line was fitted on."""
        return not self.low <= x <= self.high

    def _about(self, middle: float, variance: float, of_fit: float, level: float) -> Interval:
        freedom = self.n - 2 if self.better else self.n - 1
        half = t_quantile(freedom, level) * math.sqrt(variance * (1 + of_fit))
        return Interval(middle, middle - half, middle + half)


class Tried(NamedTuple):
    """One predictor: its value in each language, correlations, corrected p-values, and its line."""

    name: str
    values: Values
    pearson: Correlation
    spearman: Correlation
    pearson_p_holm: float
    spearman_p_holm: float
    line: Line


class Forecast(NamedTuple):
    """The forecast of one language; ``reached`` is None where the interval holds 0."""

    language: str
    value: float
    drop: Interval
    outside: bool

    @property
    def reached(self) -> bool | None:
        """Whether toxicity will drop, as far as the interval tells."""
        if self.drop.low <= 0 <= self.drop.high:
            return None
        return self.drop.low > 0


def try_predictors(predictors: Mapping[str, Values], drops: Values) -> list[Tried]:
    """Return each predictor against the drops, in the order given.

    Args:
        predictors: The value of each predictor by language.
        drops: The drop of toxicity by language, in per cent.

    Languages that only one side has, or where it is not finite, are left out. A predictor that has
    fewer than ``FEWEST`` left, or the same value in all, is left out too. Raises
    ``DetoxBenchError`` where none remains.
    """
    found = []
    for name, values in predictors.items():
        both = {code: values[code] for code in drops if _known(values, code, drops)}
        if len(both) >= FEWEST and len(set(both.values())) > 1:
            x, y = list(both.values()), [drops[code] for code in both]
            lines = pearson(x, y), spearman(x, y)
            found.append(Tried(name, both, *lines, math.nan, math.nan, fit_line(x, y)))
    if not found:
        raise DetoxBenchError(
            f"No predictor is known, and differs, in {FEWEST} languages whose drop is known: "
            f"{', '.join(drops) or 'none'}. Evaluate toxicity and retrieval in the same languages."
        )
    corrected = [holm([one.p for one in column]) for column in _columns(found)]
    return [
        each._replace(pearson_p_holm=one, spearman_p_holm=other)
        for each, one, other in zip(found, *corrected, strict=True)
    ]


def fit_line(x: Sequence[float], y: Sequence[float]) -> Line:
    """Return the least-squares line through ``(n,)`` points, n >= 3, and its leave-one-out error.

    Where the other points have one x, the forecast of the point left out is their mean.
    """
    one, other = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    slope = _slope(one, other)
    rest = other - other.mean() - slope * (one - one.mean())
    missed, by_mean = _left_out_errors(one, other, _slope), _left_out_errors(one, other, _flat)
    return Line(
        n=len(one),
        slope=slope,
        mean_x=float(one.mean()),
        mean_y=float(other.mean()),
        spread_x=_squares(one),
        spread_y=_squares(other),
        residual=math.sqrt(float(rest @ rest) / (len(one) - 2)),
        low=float(one.min()),
        high=float(one.max()),
        error=float(missed.mean()),
        error_of_mean=float(by_mean.mean()),
        gain=mean_interval((by_mean - missed).tolist()),
    )


def forecast(line: Line, values: Values) -> list[Forecast]:
    """Return the forecast of each language that has a value, the highest first."""
    known = {code: value for code, value in values.items() if math.isfinite(value)}
    found = [
        Forecast(code, value, line.predict(value), line.outside(value))
        for code, value in known.items()
    ]
    return sorted(found, key=lambda each: (-each.drop.estimate, -each.value, each.language))


def line_json(line: Line) -> dict[str, Any]:
    """Return a line as JSON."""
    return asdict(line) | {"gain": line.gain._asdict()}


def line_from_json(value: Any) -> Line:
    """Return what ``line_json`` made. Raises ``BadData`` for anything else."""
    try:
        gain = Interval(*(float(value["gain"][name]) for name in Interval._fields))
        rest = {name: float(v) for name, v in value.items() if name not in ("n", "gain")}
        line = Line(n=int(value["n"]), gain=gain, **rest)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise BadData("A line of the fit is damaged. Save the fit again.") from error
    if line.n < FEWEST or not line.spread_x > 0:
        raise BadData(f"A line of the fit is through {line.n} points, too few or all at one place.")
    return line


def _known(values: Values, code: str, drops: Values) -> bool:
    return math.isfinite(values.get(code, math.nan)) and math.isfinite(drops[code])


def _columns(found: Sequence[Tried]) -> tuple[list[Correlation], list[Correlation]]:
    return [each.pearson for each in found], [each.spearman for each in found]


def _squares(values: Array) -> float:
    apart = values - values.mean()
    return float(apart @ apart)


def _slope(x: Array, y: Array) -> float:
    apart = x - x.mean()
    spread = float(apart @ apart)
    return float(apart @ y) / spread if spread > 0 else 0.0


def _flat(x: Array, y: Array) -> float:  # noqa: ARG001
    return 0.0


def _left_out_errors(x: Array, y: Array, slope_of: Callable[[Array, Array], float]) -> Array:
    """Return how far the line through the others misses each point, ``(n,)``."""
    errors = []
    for left in range(len(x)):
        one, other = np.delete(x, left), np.delete(y, left)
        forecast_y = other.mean() + slope_of(one, other) * (x[left] - one.mean())
        errors.append(abs(float(y[left] - forecast_y)))
    return np.asarray(errors)
