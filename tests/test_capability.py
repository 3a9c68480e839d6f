"""Two models on the same documents: rows, means, corrections, and the verdict."""

import json
import math
from dataclasses import asdict

import pytest

from detox_bench.capability import as_json, largest_loss_left_open, pair, verdict, warnings
from detox_bench.errors import DetoxBenchError
from detox_bench.task_results import MEAN, TaskMetric, TaskResult

N = 40


def result(task, values, metric="acc", higher=True, rows=True, **options):
    """Return a result in which each document has one value."""
    value = sum(values) / len(values)
    kept = [[float(each)] for each in values] if rows else None
    found = TaskMetric(value, higher, MEAN if rows else None, kept)
    items = options.pop("items", [str(n) for n in range(len(values))])
    return TaskResult(task, "1.0", 0, items, options.pop("cut", False), {metric: found})


def one(base, model, families=None):
    found = pair([base], [model], families or {})
    return found.tasks[0]


def test_identical_results_differ_by_nothing_in_any_task_or_mean():
    same = [result(name, [1, 0] * (N // 2)) for name in ("a", "b")]
    found = pair(same, same, {"a": "f", "b": "f"})
    for row in [*found.tasks, *found.means]:
        assert row.difference == (0, 0, 0) and row.p == row.p_holm == 1
        assert row.base == row.model == 0.5
    assert verdict(found) == (2, (), ())


def test_a_difference_is_paired_and_its_p_exact():
    """Of 40, 6 lost and none won: - 6/40; p = 2 / 2^6 that all six signs agree."""
    row = one(result("t", [1] * N), result("t", [0] * 6 + [1] * (N - 6)))
    assert (row.base, row.model, row.n) == (1, 0.85, N)
    assert row.difference.estimate == pytest.approx(-0.15)
    assert row.difference.low < -0.15 < row.difference.high < 0
    assert row.p == 2 / 2**6 and row.surely_worse and row.loss == pytest.approx(0.15)


@pytest.mark.parametrize(("higher", "worse", "better"), [(True, True, False), (False, False, True)])
def test_the_direction_of_a_metric_says_what_is_worse(higher, worse, better):
    row = one(result("t", [1] * N, higher=higher), result("t", [0] * N, higher=higher))
    assert (row.surely_worse, row.surely_better) == (worse, better)


def test_without_a_direction_nothing_is_worse():
    row = one(result("t", [1] * N, higher=None), result("t", [0] * N, higher=None))
    assert row.p < 0.05 and math.isnan(row.loss) and not row.surely_worse


def test_p_is_corrected_over_the_tasks_of_the_same_metric():
    """Two tasks with p = 2/64 each: both 4/64 after Holm; the only task of f1 keeps its own."""
    lost = [0] * 6 + [1] * (N - 6)
    base = [result("a", [1] * N), result("b", [1] * N), result("c", [1] * N, "f1")]
    model = [result("a", lost), result("b", lost), result("c", lost, "f1")]
    found = pair(base, model, {})
    assert [row.p_holm for row in found.tasks] == [4 / 64, 4 / 64, 2 / 64]
    assert verdict(found) == (3, ("c",), ()) and found.means == []


def test_means_are_of_tasks_and_documents_that_tasks_share_are_one_item():
    """Differences - 0.1 and - 0.3: mean - 0.2. Two tasks of the same six items flip as six."""
    base = [result("a", [1] * N), result("b", [1] * N)]
    model = [result("a", [0] * 4 + [1] * (N - 4)), result("b", [0] * 12 + [1] * (N - 12))]
    (row,) = pair(base, model, {"a": "f", "b": "f"}).means
    assert row.difference.estimate == pytest.approx(-0.2)
    assert (row.base, row.model, row.n, row.n_tasks) == (1, pytest.approx(0.8), 2 * N, 2)
    lost = [0] * 6 + [1] * (N - 6)
    twice = pair(base, [result("a", lost), result("b", lost)], {"a": "f", "b": "f"})
    assert twice.means[0].p == 2 / 2**6
    assert verdict(twice).worse_means == ("f",)


def test_a_task_alone_in_its_family_has_no_mean():
    assert pair([result("a", [1])], [result("a", [1])], {"a": "f"}).means == []


def test_a_metric_without_values_is_told_and_not_tested():
    row = one(result("t", [1] * N, rows=False), result("t", [0] * N, rows=False))
    assert (row.base, row.model, row.difference) == (1, 0, None)
    assert math.isnan(row.p) and math.isnan(row.p_holm)
    (written,) = as_json([row])
    assert written["difference"] is written["p"] is written["p_holm"] is None
    assert verdict(pair([result("t", [1], rows=False)], [result("t", [1], rows=False)], {}))[0] == 0


@pytest.mark.parametrize("other", [[], [result("t", [1, 1, 1])], [result("u", [1, 1])]])
def test_results_on_other_documents_are_refused(other):
    with pytest.raises(DetoxBenchError, match="not asked the same documents of t"):
        pair([result("t", [1, 1])], other, {})


def test_the_loss_left_open_is_the_lowest_bound():
    base = [result("a", [1, 0] * 20), result("b", [1, 0] * 20)]
    model = [result("a", [1, 0] * 20), result("b", [0, 1] + [1, 0] * 19)]
    bound, row = largest_loss_left_open(pair(base, model, {}))
    assert row.name == "b" and bound == -row.difference.low > 0
    assert largest_loss_left_open(pair([], [], {})) is None


def test_rows_and_results_go_through_json():
    before = result("t", [1, 0, 1, 1, 0], cut=True)
    again = TaskResult.of(json.loads(json.dumps(asdict(before))))
    assert again == before
    (row,) = json.loads(json.dumps(as_json([one(before, again)])))
    assert (row["task"], row["metric"], row["n"], row["num_fewshot"]) == ("t", "acc", 5, 0)
    assert row["difference"] == {"estimate": 0, "low": 0, "high": 0} and row["cut"]


def test_what_the_rows_must_be_read_with():
    base = [result("few", [1, 1], cut=True), result("whole", [1] * N, rows=False)]
    assert warnings(pair(base, base, {})) == [
        "fewer than 5 documents say nothing: few.",
        "documents were cut to the model's window: few.",
        "no value a document, so no interval and no test: whole acc.",
    ]
    sound = [result("t", [1] * N)]
    assert warnings(pair(sound, sound, {})) == []
