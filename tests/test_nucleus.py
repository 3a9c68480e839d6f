"""The draw: the distribution of transformers' warpers, token for token, without a sort."""

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
from detox_bench.modeling.nucleus import SamplingSettings, draw
from detox_bench.modeling.walk import Noise
from detox_bench.modeling.wide_nucleus import wide_nucleus


def grid(n: int) -> Tensor:
    """Return n numbers spread evenly over [0, 1)."""
    return (torch.arange(n, dtype=torch.float64) + 0.5) / n


def expected(logits: Tensor, asked: SamplingSettings) -> Tensor:
    """Return ``(vocabulary,)`` probabilities by the warpers that ``generate`` uses."""
    warpers = LogitsProcessorList([TemperatureLogitsWarper(asked.temperature)])
    if asked.top_k:
        warpers.append(TopKLogitsWarper(asked.top_k))
    if asked.top_p < 1:
        warpers.append(TopPLogitsWarper(asked.top_p))
    return warpers(None, logits[None]).double().softmax(-1)[0]


def integrated(logits: Tensor, asked: SamplingSettings, n: int) -> Tensor:
    """Return ``(vocabulary,)`` shares of n numbers, spread evenly, that draw each token."""
    drawn = draw(logits.expand(n, -1), grid(n), asked).tokens
    return torch.bincount(drawn, minlength=logits.shape[-1]) / n


def random_logits(vocabulary: int, scale: float, seed: int = 0) -> Tensor:
    return scale * torch.randn(vocabulary, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("vocabulary", "scale", "n"),
    [(50, 1.0, 20_000), (50, 8.0, 20_000), (700, 3.0, 3000), (700, 0.1, 3000)],
)
@pytest.mark.parametrize(
    "asked",
    [
        SamplingSettings(),
        SamplingSettings(top_p=1.0, temperature=1.0),
        SamplingSettings(top_p=0.3, temperature=1.7),
        SamplingSettings(top_k=7),
        SamplingSettings(top_k=40, top_p=1.0),
        SamplingSettings(top_k=10_000),
    ],
    ids=str,
)
def test_every_token_has_the_probability_of_transformers(vocabulary, scale, n, asked):
    logits = random_logits(vocabulary, scale)
    difference = integrated(logits, asked, n) - expected(logits, asked)
    # A token owns one stretch of [0, 1): the numbers in it are its share to within one of n.
    assert difference.abs().max() <= 1 / n + 1e-6


@pytest.mark.parametrize(("scale", "needed"), [(0.5, 2500), (1.3, 1000)])
def test_a_nucleus_of_thousands_is_found_whole(scale, needed):
    logits, asked, n = random_logits(5000, scale), SamplingSettings(), 3000
    wanted = expected(logits, asked)
    assert (wanted > 0).sum() > needed
    assert (integrated(logits, asked, n) - wanted).abs().max() <= 1 / n + 1e-6


def test_ties_share_the_mass_whichever_of_them_are_kept():
    # Of 10 equal tokens, 8 reach .8: whichever those are, each is drawn 1/8 of the time.
    shares = integrated(torch.zeros(10), SamplingSettings(top_p=0.79), 8000)
    assert sorted(shares.tolist()) == [0.0, 0.0] + [0.125] * 8
    # In halves, which ties cut: .5, then .25 of .25 needed; temperature 1 keeps the logs exact.
    logits = torch.tensor([0.5, 0.25, 0.25]).log()
    shares = integrated(logits, SamplingSettings(top_p=0.7, temperature=1.0), 9000)
    assert shares[0] == pytest.approx(2 / 3, abs=1e-3)
    assert sorted(shares[1:].tolist()) == pytest.approx([0.0, 1 / 3], abs=1e-3)


def test_the_smallest_set_that_reaches_p_not_one_more():
    logits = torch.tensor([0.4, 0.3, 0.2, 0.1]).log()
    shares = integrated(logits, SamplingSettings(top_p=0.65, temperature=1.0), 7000)
    assert shares.tolist() == pytest.approx([4 / 7, 3 / 7, 0, 0], abs=2e-4)


def test_the_draw_walks_token_ids_and_the_temperature_divides():
    # p = [.2, .5, .3] in the order of ids: cuts at .2 and .7 of [0, 1).
    logits = 2 * torch.tensor([0.2, 0.5, 0.3]).log()
    numbers = torch.tensor([0.0, 0.19, 0.21, 0.69, 0.71, 0.999], dtype=torch.float64)
    asked = SamplingSettings(temperature=2.0, top_p=1.0)
    assert draw(logits.expand(6, -1), numbers, asked).tokens.tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("asked", [SamplingSettings(top_k=1), SamplingSettings(top_p=1e-9)])
def test_one_candidate_is_greedy_decoding(asked):
    logits = torch.randn(64, 700, generator=torch.Generator().manual_seed(3))
    assert torch.equal(draw(logits, grid(64), asked).tokens, logits.argmax(-1))


@pytest.mark.parametrize("vocabulary", [1, 2, 3, 300])
@pytest.mark.parametrize("number", [0.0, 5e-324, 1 - 2.0**-53])
def test_numbers_at_the_ends_draw_a_token_of_the_nucleus(vocabulary, number):
    logits = random_logits(vocabulary, 2.0)
    numbers = torch.tensor([number], dtype=torch.float64)
    for asked in (SamplingSettings(), SamplingSettings(top_p=1.0), SamplingSettings(top_k=2)):
        (token,) = draw(logits[None], numbers, asked).tokens.tolist()
        kept = expected(logits, asked).nonzero().flatten()
        assert token == (kept[0] if number < 0.5 else kept[-1])


def test_a_token_that_is_forbidden_is_never_drawn():
    logits = torch.zeros(40)
    logits[::2] = -torch.inf
    shares = integrated(logits, SamplingSettings(top_p=1.0), 2000)
    assert shares[::2].sum() == 0
    assert shares[1::2].tolist() == pytest.approx([0.05] * 20, abs=1e-3)


def test_how_rows_are_blocked_changes_nothing(monkeypatch):
    logits = torch.randn(37, 600, generator=torch.Generator().manual_seed(5))
    noise = Noise(1e-3, 1e-3)
    whole = draw(logits, grid(37), SamplingSettings(), noise)
    monkeypatch.setattr(nucleus, "_BLOCK_ELEMENTS", 600 * 5)
    parts = draw(logits, grid(37), SamplingSettings(), noise)
    assert all(map(torch.equal, whole, parts))


def test_a_row_does_not_see_its_neighbours():
    """Rows that need 300, 3,000 and 3 candidates, drawn together and alone."""
    rows = [random_logits(4000, scale, seed) for seed, scale in enumerate((2, 0.3, 30, 0.3, 2))]
    together = draw(torch.stack(rows), grid(5), SamplingSettings()).tokens
    alone = [draw(r[None], grid(5)[i, None], SamplingSettings()).tokens for i, r in enumerate(rows)]
    assert torch.equal(together, torch.cat(alone))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_types_are_drawn_from_as_float32(dtype):
    logits = random_logits(300, 2.0).to(dtype).expand(50, -1)
    assert torch.equal(
        draw(logits, grid(50), SamplingSettings()).tokens,
        draw(logits.float(), grid(50), SamplingSettings()).tokens,
    )


@pytest.mark.parametrize("top_p", [0.3, 0.8, 1.0])
@pytest.mark.parametrize("scale", [0.0, 0.4, 2.0, 40.0])
def test_a_histogram_finds_the_nucleus_that_sorting_finds(scale, top_p):
    logits = torch.stack([random_logits(3000, scale, seed) for seed in range(4)])
    found = wide_nucleus(logits, top_p)
    for row, kept in zip(found.probabilities, found.kept, strict=True):
        ordered = row.sort(descending=True).values
        size = int((ordered.cumsum(-1) - ordered < top_p).sum())
        # With p = 1 the sum of the rest, about 1e-9, is as good as nothing.
        assert row[kept].sum() == pytest.approx(float(ordered[:size].sum()), abs=1e-7)
        assert top_p == 1.0 or int(kept.sum()) == size
        assert row[kept].min() >= row[~kept].max() if not kept.all() else True
    at_last = found.probabilities.gather(-1, found.last)[:, 0]
    assert torch.equal(at_last, found.probabilities.masked_fill(~found.kept, 2).amin(-1))
    held = (found.probabilities * found.kept).sum(-1)
    assert torch.allclose(found.surplus[:, 0], held - top_p)


def test_forbidden_tokens_and_a_far_outlier_do_not_hide_the_nucleus():
    logits = torch.zeros(1000)
    logits[::2] = -torch.inf
    logits[1] = -1e30
    shares = integrated(logits, SamplingSettings(top_p=1.0), 4990)
    assert shares[::2].sum() == shares[1] == 0
    assert shares[3::2].tolist() == pytest.approx([1 / 499] * 499, abs=3e-4)


@pytest.mark.parametrize(("vocabulary", "scale"), [(30, 2.0), (257, 1.0), (1000, 2.0)])
@pytest.mark.parametrize("size", [1e-4, 1e-2])
def test_a_draw_that_noise_changes_was_called_close(vocabulary, scale, size):
    """Logits moved by at most e move a probability by 2e of itself, and a cumulated one by 2e.

    The number is scaled by the nucleus's mass, which moves by 2e too: 4e in all.
    """
    noise, n, asked = Noise(2 * size, 4 * size), 400, SamplingSettings(temperature=1.0)
    generator = torch.Generator().manual_seed(vocabulary)
    changed = flagged = 0
    for seed in range(6):
        logits = random_logits(vocabulary, scale, seed)
        moved = logits + size * (2 * torch.rand(vocabulary, generator=generator) - 1)
        one, other = (draw(each.expand(n, -1), grid(n), asked, noise) for each in (logits, moved))
        differ = one.tokens != other.tokens
        assert (differ & ~one.close).sum() == 0
        changed, flagged = changed + int(differ.sum()), flagged + int(one.close.sum())
    if size == 1e-2:
        assert changed > 0
    else:
        assert flagged < 6 * n / 2


def test_without_noise_nothing_is_close():
    assert not draw(
        random_logits(300, 1.0).expand(99, -1), grid(99), SamplingSettings()
    ).close.any()


def test_a_number_beside_a_cut_of_the_cdf_is_close_and_one_far_off_is_not():
    logits = torch.tensor([0.25, 0.75]).log().expand(4, -1)
    numbers = torch.tensor([0.2499, 0.2501, 0.1, 0.6], dtype=torch.float64)
    asked = SamplingSettings(temperature=1.0, top_p=0.99)
    assert draw(logits, numbers, asked, Noise(0, 1e-3)).close.tolist() == [True, True, False, False]


def test_a_nucleus_that_noise_could_enlarge_is_close_where_that_moves_the_draw():
    # .5 + .3 = .8: noise decides whether the third token is in. In: cuts at .5 and .8 of 1;
    # out: at .625. A number of .1 draws the first token either way, one of .9 not.
    logits = torch.tensor([0.5, 0.3, 0.2]).log().expand(2, -1)
    numbers = torch.tensor([0.1, 0.9], dtype=torch.float64)
    asked = SamplingSettings(temperature=1.0, top_p=0.8)
    assert draw(logits, numbers, asked, Noise(0, 1e-4)).close.tolist() == [False, True]


@pytest.mark.xfail(
    strict=True, raises=RuntimeError, reason="a model that overflows ends in an index error"
)
def test_logits_that_are_no_numbers_are_one_sentence():
    with pytest.raises(DetoxBenchError):
        draw(torch.full((2, 300), torch.nan), grid(2), SamplingSettings())
