"""The draw: what is proposed, what is in the nucleus, and both together, against transformers."""

import pytest
import torch
from torch import Tensor
from transformers import LogitsProcessorList
from transformers.generation.logits_process import (
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from detox_bench.errors import DetoxBenchError
from detox_bench.modeling import nucleus
from detox_bench.modeling.nucleus import (
    TRIES,
    Noise,
    SamplingSettings,
    draw,
    in_nucleus,
    propose,
)


def grid(n: int) -> Tensor:
    """Return n numbers spread evenly over [0, 1)."""
    return (torch.arange(n, dtype=torch.float64) + 0.5) / n


def numbers(n: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, TRIES, dtype=torch.float64, generator=generator)


def random_logits(vocabulary: int, scale: float, seed: int = 0) -> Tensor:
    return scale * torch.randn(vocabulary, generator=torch.Generator().manual_seed(seed))


def expected(logits: Tensor, asked: SamplingSettings) -> Tensor:
    """Return ``(vocabulary,)`` probabilities by the warpers that ``generate`` uses."""
    warpers = LogitsProcessorList([TemperatureLogitsWarper(asked.temperature)])
    if asked.top_k:
        warpers.append(TopKLogitsWarper(min(asked.top_k, logits.shape[-1])))
    if asked.top_p < 1:
        warpers.append(TopPLogitsWarper(asked.top_p))
    return warpers(None, logits[None]).double().softmax(-1)[0]


SHAPES = [(50, 1.0), (129, 8.0), (700, 3.0), (700, 0.1), (5000, 0.5), (5000, 1.3)]


@pytest.mark.parametrize(("vocabulary", "scale"), SHAPES)
def test_a_token_is_proposed_as_often_as_it_is_probable(vocabulary, scale):
    p, n = random_logits(vocabulary, scale).softmax(-1), 4000
    places, _ = propose(p.expand(n, -1), grid(n))
    # A token owns one stretch of [0, 1): the numbers in it are its share to within one of n.
    share = torch.bincount(places, minlength=vocabulary) / n
    assert (share - p).abs().max() <= 1 / n + 1e-6


@pytest.mark.parametrize(("vocabulary", "scale"), SHAPES)
@pytest.mark.parametrize("top_p", [0.05, 0.3, 0.8, 0.99])
def test_the_nucleus_is_that_of_transformers_token_for_token(vocabulary, scale, top_p):
    logits = random_logits(vocabulary, scale)
    wanted = expected(logits, SamplingSettings(temperature=1.0, top_p=top_p)) > 0
    p = logits.softmax(-1)
    for start in range(0, vocabulary, 500):
        tokens = torch.arange(start, min(start + 500, vocabulary))
        inside, _ = in_nucleus(p.expand(len(tokens), -1), tokens, top_p)
        assert torch.equal(inside, wanted[tokens])


@pytest.mark.parametrize(
    "asked",
    [
        SamplingSettings(),
        SamplingSettings(top_p=1.0, temperature=1.0),
        SamplingSettings(top_p=0.05, temperature=1.7),
        SamplingSettings(top_k=7),
        SamplingSettings(top_k=40, top_p=1.0),
        SamplingSettings(top_k=10_000),
    ],
    ids=str,
)
@pytest.mark.parametrize(("vocabulary", "scale"), [(50, 1.0), (300, 2.0)])
def test_what_is_drawn_is_distributed_as_transformers_would(vocabulary, scale, asked):
    logits, n = random_logits(vocabulary, scale), 40_000
    wanted = expected(logits, asked)
    drawn = draw(logits.expand(n, -1), numbers(n), asked).tokens
    share = torch.bincount(drawn, minlength=vocabulary) / n
    assert (share[wanted == 0] == 0).all()
    # Six standard deviations of a share, and some counts for rare tokens, whose tails are heavier.
    spread = (wanted * (1 - wanted) / n).sqrt()
    assert ((share - wanted).abs() <= 6 * spread + 6 / n).all()


def test_ties_share_the_mass():
    # Of 10 equal tokens, 8 reach .79: each of those 8 is drawn 1/8 of the time.
    drawn = draw(torch.zeros(16_000, 10), numbers(16_000), SamplingSettings(top_p=0.79)).tokens
    share = torch.bincount(drawn, minlength=10) / 16_000
    assert share.tolist() == pytest.approx([0.125] * 8 + [0.0] * 2, abs=0.015)


def test_the_smallest_set_that_reaches_p_not_one_more():
    p = torch.tensor([0.4, 0.3, 0.2, 0.1]).expand(4, -1)
    inside, _ = in_nucleus(p, torch.arange(4), 0.65)
    assert inside.tolist() == [True, True, False, False]


def test_the_cdf_walks_token_ids_and_the_temperature_divides():
    # p = [.2, .5, .3] in the order of ids: cuts at .2 and .7 of [0, 1).
    logits = 2 * torch.tensor([0.2, 0.5, 0.3]).log()
    given = torch.tensor([0.0, 0.19, 0.21, 0.69, 0.71, 0.999], dtype=torch.float64)[:, None]
    asked = SamplingSettings(temperature=2.0, top_p=1.0)
    assert draw(logits.expand(6, -1), given, asked).tokens.tolist() == [0, 0, 1, 1, 2, 2]


def test_a_rejected_token_is_followed_by_the_next_number():
    # Nucleus of .6: the first two. .95 falls on the third and is rejected; .1 takes the first.
    logits = torch.tensor([[0.4, 0.3, 0.3]]).log()
    given = torch.tensor([[0.95, 0.1]], dtype=torch.float64)
    asked = SamplingSettings(temperature=1.0, top_p=0.6)
    assert draw(logits, given, asked).tokens.tolist() == [0]


def test_where_all_numbers_are_rejected_the_last_one_draws_from_the_nucleus():
    logits = torch.tensor([[0.3, 0.3, 0.4]]).log().expand(300, -1)
    asked = SamplingSettings(temperature=1.0, top_p=0.35)
    # Only the third token (.4) is in the nucleus; numbers below .6 propose the others.
    assert (draw(logits, grid(300)[:, None] * 0.6, asked).tokens == 2).all()


@pytest.mark.parametrize("asked", [SamplingSettings(top_k=1), SamplingSettings(top_p=1e-9)])
def test_one_candidate_is_greedy_decoding(asked):
    logits = torch.randn(64, 700, generator=torch.Generator().manual_seed(3))
    assert torch.equal(draw(logits, numbers(64), asked).tokens, logits.argmax(-1))


@pytest.mark.parametrize("vocabulary", [1, 2, 3, 127, 128, 129, 300])
@pytest.mark.parametrize("number", [0.0, 5e-324, 1 - 2.0**-53])
def test_numbers_at_the_ends_draw_a_token_of_the_nucleus(vocabulary, number):
    logits = random_logits(vocabulary, 2.0)
    given = torch.full((1, TRIES), number, dtype=torch.float64)
    for asked in (SamplingSettings(), SamplingSettings(top_p=1.0), SamplingSettings(top_k=2)):
        (token,) = draw(logits[None], given, asked).tokens.tolist()
        assert expected(logits, asked)[token] > 0


def test_a_token_that_is_forbidden_is_never_drawn():
    logits = torch.zeros(400)
    logits[::2] = -torch.inf
    logits[1] = -1e30
    drawn = draw(logits.expand(4000, -1), numbers(4000), SamplingSettings(top_p=1.0)).tokens
    assert (drawn % 2 == 1).all()
    assert (drawn != 1).all()


def test_how_rows_are_blocked_changes_nothing(monkeypatch):
    logits = torch.randn(37, 600, generator=torch.Generator().manual_seed(5))
    noise = Noise(1e-3, 1e-3)
    whole = draw(logits, numbers(37), SamplingSettings(), noise)
    monkeypatch.setattr(nucleus, "_CACHED_ELEMENTS", 600 * 5)
    parts = draw(logits, numbers(37), SamplingSettings(), noise)
    assert all(map(torch.equal, whole, parts))


def test_a_row_does_not_see_its_neighbours():
    rows = [random_logits(4000, scale, seed) for seed, scale in enumerate((2, 0.3, 30, 0.3, 2))]
    given = numbers(5)
    together = draw(torch.stack(rows), given, SamplingSettings()).tokens
    alone = [draw(r[None], given[i, None], SamplingSettings()).tokens for i, r in enumerate(rows)]
    assert torch.equal(together, torch.cat(alone))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_types_are_drawn_from_as_float32(dtype):
    logits, given = random_logits(300, 2.0).to(dtype).expand(50, -1), numbers(50)
    assert torch.equal(
        draw(logits, given, SamplingSettings()).tokens,
        draw(logits.float(), given, SamplingSettings()).tokens,
    )


@pytest.mark.parametrize(("vocabulary", "scale"), [(30, 2.0), (257, 1.0), (5000, 0.3)])
@pytest.mark.parametrize("size", [1e-4, 1e-2])
def test_a_draw_that_noise_changes_was_called_close(vocabulary, scale, size):
    """Logits moved by at most e move a probability by 2e of itself, and a cumulated one by 2e."""
    noise, n, asked = Noise(4 * size, 2 * size), 400, SamplingSettings(temperature=1.0)
    generator = torch.Generator().manual_seed(vocabulary)
    changed = flagged = 0
    for seed in range(6):
        logits, given = random_logits(vocabulary, scale, seed), numbers(n, seed)
        moved = logits + size * (2 * torch.rand(vocabulary, generator=generator) - 1)
        one, other = (draw(each.expand(n, -1), given, asked, noise) for each in (logits, moved))
        differ = one.tokens != other.tokens
        assert (differ & ~one.close).sum() == 0
        changed, flagged = changed + int(differ.sum()), flagged + int(one.close.sum())
    assert changed > 0 or size < 1e-2
    if vocabulary < 1000 and size == 1e-4:
        assert flagged < 6 * n / 4


def test_without_noise_nothing_is_close():
    logits = random_logits(300, 1.0).expand(99, -1)
    assert not draw(logits, numbers(99), SamplingSettings()).close.any()


def test_a_number_beside_a_cut_of_the_cdf_is_close_and_one_far_off_is_not():
    logits = torch.tensor([0.25, 0.75]).log().expand(4, -1)
    given = torch.tensor([0.2499, 0.2501, 0.1, 0.6], dtype=torch.float64)[:, None]
    asked = SamplingSettings(temperature=1.0, top_p=0.99)
    assert draw(logits, given, asked, Noise(0, 1e-3)).close.tolist() == [True, True, False, False]


def test_a_number_between_two_rejected_tokens_is_not_close():
    # Nucleus of .5: the first token. .7 is the cut between two others, .5 that beside the first.
    logits = torch.tensor([0.5, 0.2, 0.3]).log().expand(2, -1)
    given = torch.tensor([[0.70001, 0.2], [0.50001, 0.2]], dtype=torch.float64)
    asked = SamplingSettings(temperature=1.0, top_p=0.45)
    drawn = draw(logits, given, asked, Noise(0, 1e-4))
    assert drawn.tokens.tolist() == [0, 0]
    assert drawn.close.tolist() == [False, True]


def test_a_last_token_that_noise_could_drop_or_exchange_is_close():
    asked = SamplingSettings(temperature=1.0, top_p=0.8)
    # .5 + .3 = .8: noise decides whether the third is in. A first token is safe either way.
    logits = torch.tensor([0.5, 0.3, 0.2]).log().expand(2, -1)
    given = torch.tensor([[0.1, 0.1], [0.9, 0.1]], dtype=torch.float64)
    assert draw(logits, given, asked, Noise(0, 1e-4)).close.tolist() == [False, True]
    # .3 + .25 reach .5 with room to spare, but noise may rank either .25 before the other.
    logits = torch.tensor([0.3, 0.25, 0.25 * (1 - 1e-5), 0.2]).log().expand(2, -1)
    given = torch.tensor([[0.1, 0.1], [0.4, 0.1]], dtype=torch.float64)
    half = SamplingSettings(temperature=1.0, top_p=0.5)
    drawn = draw(logits, given, half, Noise(1e-3, 1e-9))
    assert drawn.tokens.tolist() == [0, 1]
    assert drawn.close.tolist() == [False, True]


def test_logits_that_are_no_numbers_are_one_sentence():
    with pytest.raises(DetoxBenchError, match=r"NaN.*dtype=bfloat16"):
        draw(torch.full((2, 300), torch.nan), numbers(2), SamplingSettings())
