"""The random numbers: fixed for good, and independent of what is sampled beside them."""

import numpy as np
import pytest

from detox_bench.modeling.random_numbers import uniforms

# Written down once. If these change, every text of every model changes: raise ENGINE in
# detox_bench/harness/model.py with them.
GOLDEN = {
    (0, "rtplx/de/0", 0): [0.6622722525981626, 0.8319015489715635, 0.2179522684565377],
    (0, "rtplx/de/0", 24): [0.8649766993688849, 0.9234755312540046, 0.2722366940210468],
    (7, "sample/zh-Hans/3", 1): [0.010033760026305849, 0.5169888524319834, 0.7675075291684242],
}


@pytest.mark.parametrize("key", GOLDEN, ids=str)
def test_the_first_numbers_are_what_they_always_were(key):
    assert uniforms(*key, 3).tolist() == GOLDEN[key]


def test_more_numbers_begin_with_the_fewer():
    assert np.array_equal(uniforms(1, "p", 2, 40)[:7], uniforms(1, "p", 2, 7))


def test_they_do_not_depend_on_what_was_asked_before():
    wanted = {n: uniforms(0, "p", n, 5).tolist() for n in range(25)}
    assert {n: uniforms(0, "p", n, 5).tolist() for n in reversed(range(25))} == wanted
    np.random.seed(0)
    assert uniforms(0, "p", 3, 5).tolist() == wanted[3]


@pytest.mark.parametrize(
    "other", [(1, "p", 0), (0, "q", 0), (0, "p", 1), (0, "p\ud800", 0), (10, "p", 0)]
)
def test_seed_prompt_and_sample_each_give_other_numbers(other):
    assert not set(uniforms(*other, 50)) & set(uniforms(0, "p", 0, 50))


def test_seed_and_prompt_do_not_run_into_each_other():
    assert uniforms(1, "1p", 0, 1) != uniforms(11, "p", 0, 1)


def test_samples_do_not_overlap_even_when_long():
    first, second = uniforms(0, "p", 0, 4000), uniforms(0, "p", 1, 4000)
    assert not set(first) & set(second)


def test_they_are_uniform_over_samples_and_positions():
    numbers = np.stack([uniforms(0, f"prompt {p}", s, 20) for p in range(40) for s in range(25)])
    assert numbers.shape == (1000, 20)
    assert numbers.min() >= 0 and numbers.max() < 1
    # The means of 1000 numbers have a standard error of .289 / sqrt(1000) = .0091.
    assert np.abs(numbers.mean(0) - 0.5).max() < 4 * 0.0091
    # 20,000 numbers in 20 bins: 1000 each, standard deviation sqrt(950) = 31.
    assert np.abs(np.histogram(numbers, 20, (0, 1))[0] - 1000).max() < 4 * 31
    neighbours = np.corrcoef(numbers.T) - np.eye(20)
    assert np.abs(neighbours).max() < 5 / np.sqrt(1000)
