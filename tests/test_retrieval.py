"""Retrieval metrics: equal to the definitions, and unmoved by what must not move them."""

import math

import numpy as np
import pytest

from detox_bench import retrieval_cosines
from detox_bench.errors import DetoxBenchError
from detox_bench.retrieval import LEGACY, METRICS, layer_metrics, retrieval_metrics
from detox_bench.retrieval_cosines import unit

N, HIDDEN = 40, 24


def sides(n=N, hidden=HIDDEN, noise=0.7, seed=0, shared=0.0):
    """Return two sides whose pairs are alike, and all of whose vectors share a direction."""
    chance = np.random.default_rng(seed)
    one = chance.normal(size=(n, hidden))
    other = one + noise * chance.normal(size=(n, hidden))
    one, other = one + shared, other + shared * 1.1
    return one.astype(np.float32), other.astype(np.float32)


def cosine(one, other):
    dot = sum(float(a) * float(b) for a, b in zip(one, other, strict=True))
    lengths = [math.sqrt(sum(float(a) ** 2 for a in v)) for v in (one, other)]
    return dot / (lengths[0] * lengths[1])


def reference(source, target):
    """Return the metrics from their definitions, pair by pair; for vectors without ties."""
    return of_cosines([[cosine(x, y) for y in target] for x in source])


def of_cosines(table):
    n = len(table)
    columns = [[table[i][j] for i in range(n)] for j in range(n)]
    near = [[sum(sorted(row)[-4:]) / (2 * 4) for row in side] for side in (table, columns)]
    margins = [[table[i][j] / (near[0][i] + near[1][j]) for j in range(n)] for i in range(n)]
    margin_columns = [[margins[i][j] for i in range(n)] for j in range(n)]

    def first(rows):
        return sum(row.index(max(row)) == i for i, row in enumerate(rows)) / n

    def reciprocal(rows):
        return sum(1 / (1 + sorted(r, reverse=True).index(r[i])) for i, r in enumerate(rows)) / n

    strict = [
        all(table[i][i] > table[i][j] and table[i][i] > table[j][i] for j in range(n) if j != i)
        for i in range(n)
    ]
    return {
        "top1_source_to_target": first(table),
        "top1_target_to_source": first(columns),
        "top1": (first(table) + first(columns)) / 2,
        "mexa": sum(strict) / n,
        "mrr": (reciprocal(table) + reciprocal(columns)) / 2,
        "margin_accuracy": (first(margins) + first(margin_columns)) / 2,
        "mean_cosine": sum(table[i][i] for i in range(n)) / n,
    }


@pytest.mark.parametrize("shared", [0.0, 2.0, 100.0])
@pytest.mark.parametrize("noise", [1.5, 2.5])
def test_metrics_are_those_of_the_definitions(noise, shared):
    source, target = sides(noise=noise, shared=shared)
    expected = reference(source, target)
    assert len(set(expected.values())) > 4, "the sides must tell the metrics apart"
    assert layer_metrics(source, target).values == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("at_once", [retrieval_cosines.AT_ONCE, 7 * 200])
def test_a_massive_dimension_that_varies_harms_nothing(monkeypatch, at_once):
    """Float32 products are off by more than a tie here: the pair must still equal itself."""
    monkeypatch.setattr(retrieval_cosines, "AT_ONCE", at_once)
    chance = np.random.default_rng(0)
    base = chance.normal(size=(200, 2048))
    base[:, 7] += 100 * chance.normal(size=200)
    source, target = (
        (base + noise * chance.normal(size=base.shape)).astype(np.float32) for noise in (0, 3)
    )
    found = layer_metrics(source, target)
    assert (found.outcomes[:-1] >= 0).all() and (found.outcomes[:-1] <= 1).all()
    expected = of_cosines((unit(source) @ unit(target).T).tolist())
    assert 0.1 < expected["mexa"] < expected["top1"] < 0.95, "neither all nor none may be found"
    assert found.values == pytest.approx(expected, abs=1e-12)


def test_blocks_give_what_all_at_once_gives(monkeypatch):
    source, target = sides(noise=1.5)
    whole = layer_metrics(source, target)
    monkeypatch.setattr(retrieval_cosines, "AT_ONCE", 7 * N)  # 40 rows: five blocks of 7, one of 5
    assert np.allclose(layer_metrics(source, target).outcomes, whole.outcomes, atol=1e-12)


def test_identical_vectors_are_all_found():
    source, _ = sides()
    values = layer_metrics(source, source.copy()).values
    assert values == pytest.approx(dict.fromkeys(METRICS, 1.0), abs=1e-12)


def test_a_permutation_of_both_sides_permutes_the_outcomes():
    source, target = sides(noise=1.5)
    order = np.random.default_rng(1).permutation(N)
    before, after = layer_metrics(source, target), layer_metrics(source[order], target[order])
    assert np.allclose(before.outcomes[:, order], after.outcomes, atol=1e-12)


def test_a_shuffle_of_one_side_gives_chance():
    source, target = sides(n=400, noise=0.1)
    assert layer_metrics(source, target).values["top1"] == 1.0
    chance = np.random.default_rng(2)
    found = [layer_metrics(source, target[chance.permutation(400)]).values for _ in range(10)]
    # Of 4,000 sentences each way about 10 are found, and 25 hardly ever.
    assert 0 < np.mean([each["top1"] for each in found]) < 25 / 4000
    ranks = np.mean([each["mrr"] for each in found])
    assert ranks == pytest.approx(sum(1 / np.arange(1, 401)) / 400, rel=0.15)


def test_scaling_changes_nothing():
    source, target = sides(noise=1.5)
    plain = layer_metrics(source, target).outcomes
    scales = np.random.default_rng(3).uniform(0.01, 100, size=(N, 1)).astype(np.float32)
    assert np.allclose(layer_metrics(source * scales, 7 * target).outcomes, plain, atol=1e-6)


def test_exchanging_the_sides_exchanges_the_directions():
    source, target = sides(noise=1.5)
    one, other = layer_metrics(source, target).values, layer_metrics(target, source).values
    assert one["top1_source_to_target"] == other["top1_target_to_source"] != other["top1"]
    assert one["mexa"] == other["mexa"] and one["mrr"] == pytest.approx(other["mrr"])


def test_equal_vectors_count_as_ordered_by_chance():
    same = np.ones((N, HIDDEN), dtype=np.float32)
    found = layer_metrics(same, same)
    assert found.values["top1"] == pytest.approx(1 / N)
    assert found.values["margin_accuracy"] == pytest.approx(1 / N)
    assert found.values["mrr"] == pytest.approx(sum(1 / np.arange(1, N + 1)) / N)
    assert found.values["mexa"] == 0.0
    assert found.ties.all() and found.duplicates.all()


@pytest.mark.parametrize("shared", [0.0, 100.0])
def test_a_sentence_that_is_there_twice_is_found_half_and_counted(shared):
    source, target = sides(noise=0.01, shared=shared)
    source[7], target[7] = source[3], target[3]
    found = layer_metrics(source, target)
    assert np.flatnonzero(found.ties).tolist() == [3, 7]
    assert np.flatnonzero(found.duplicates).tolist() == [3, 7]
    # 38 found, two of them half: (38 + 1/2 + 1/2) / 40, and the rank is 1 or 2.
    assert found.values["top1"] == pytest.approx(39 / 40)
    assert found.values["mrr"] == pytest.approx((38 + 2 * 0.75) / 40)
    assert found.values["mexa"] == pytest.approx(38 / 40)
    summary = retrieval_metrics([source, source], [target, target])
    assert (summary.duplicates, summary.ties) == (2, 2)


def test_vectors_of_zeros_are_counted_and_found_by_chance():
    source, target = sides(noise=0.01)
    source[5] = 0
    found = layer_metrics(source, target)
    assert found.zero_vectors == 1
    assert found.outcomes[METRICS.index("top1_source_to_target"), 5] == pytest.approx(1 / N)
    assert found.outcomes[METRICS.index("mean_cosine"), 5] == pytest.approx(0.0, abs=1e-12)


def test_margin_accuracy_is_undefined_where_neighbours_are_not_alike():
    source = np.eye(2, dtype=np.float32) - 0.5  # both the opposite of the other
    values = layer_metrics(source, source).values
    assert math.isnan(values["margin_accuracy"]) and values["top1"] == 1.0
    numbers = retrieval_metrics([source], [source]).as_json()
    assert numbers["margin_accuracy"] is None and numbers["top1"] == 1.0


def test_one_sentence_is_found_by_chance_and_has_no_interval():
    source, target = sides(n=1)
    found = retrieval_metrics([source], [target])
    assert (found.n, found.chance) == (1, 1.0)
    assert found.summaries["top1"]["mean"].estimate == 1.0
    assert math.isnan(found.summaries["top1"]["mean"].low)
    assert found.as_json()["intervals"]["top1"]["mean"] == [1.0, None, None]


def test_summaries_are_of_the_curve():
    layers = [sides(noise=noise, seed=3) for noise in (3.0, 1.5, 0.5, 0.2, 1.0, 2.0, 4.0)]
    found = retrieval_metrics([one for one, _ in layers], [other for _, other in layers])
    for name, curve in found.curves().items():
        assert curve == [layer_metrics(*layer).values[name] for layer in layers]
        summary = {key: interval.estimate for key, interval in found.summaries[name].items()}
        assert summary["mean"] == pytest.approx(np.mean(curve))
        assert summary["best"] == curve[found.best_layer[name]] == max(curve)
        assert summary["middle"] == pytest.approx(
            np.mean(curve[2:5])
        )  # of 7, all but 2 at each end
    assert found.numbers()[LEGACY] == pytest.approx(np.mean(found.curves()["mean_cosine"]))
    assert found.numbers()["top1_best"] == max(found.curves()["top1"])
    assert found.numbers()["chance"] == 1 / N


def test_an_array_of_all_layers_is_as_good_as_a_generator():
    one, other = (np.stack(side) for side in zip(*[sides(seed=s) for s in (1, 2)], strict=True))
    assert retrieval_metrics(one, other) == retrieval_metrics(iter(one), iter(other))


def test_intervals_are_bootstrap_intervals_of_the_mean_outcome():
    source, target = sides(n=400, noise=2.0)
    found = retrieval_metrics([source], [target], resamples=4000).summaries["mexa"]["mean"]
    # Of a share, the normal interval: 1.96 standard errors either side.
    error = math.sqrt(found.estimate * (1 - found.estimate) / 400)
    assert 0.1 < found.estimate < 0.9
    assert found.low == pytest.approx(found.estimate - 1.96 * error, abs=0.006)
    assert found.high == pytest.approx(found.estimate + 1.96 * error, abs=0.006)


def bad_states():
    source, target = sides(n=5)
    broken = target.copy()
    broken[[2, 4], 1] = np.nan
    return {
        "not a number": (source, broken, r"2 of 5 vectors of the target .* sentence 2 \(from 0\)"),
        "fewer": (source, target[:4], r"\(5, 24\) and \(4, 24\)"),
        "narrower": (source, target[:, :3], r"\(5, 24\) and \(5, 3\)"),
        "none": (source[:0], target[:0], "no sentence to retrieve"),
        "flat": (source[0], target[0], r"not \(sentences, hidden\)"),
    }


@pytest.mark.parametrize("what", bad_states())
def test_bad_vectors_are_sentences(what):
    source, target, message = bad_states()[what]
    with pytest.raises(DetoxBenchError, match=message):
        layer_metrics(source, target)
    with pytest.raises(DetoxBenchError, match=f"Layer 0: .*{message}"):
        retrieval_metrics([source], [target])


def test_sides_of_different_models_are_refused():
    source, target = sides(n=5)
    with pytest.raises(DetoxBenchError, match="Only the source side has a layer 1"):
        retrieval_metrics([source, source], [target])
    with pytest.raises(DetoxBenchError, match="There is no layer"):
        retrieval_metrics([], [])
