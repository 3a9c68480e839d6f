"""What is known of a scorer: stored figures, the card of the embedded one, and the states."""

import json

import pytest
from doubles import HashScorer

from detox_bench.errors import BadData, ScorerUnavailable
from detox_bench.languages import LANGUAGES
from detox_bench.scorers.cache import ScoreCache
from detox_bench.scorers.driver import score_texts
from detox_bench.scorers.held_out import rule_of
from detox_bench.scorers.protocol import (
    COVERAGE_STATES,
    check_validated,
    claimed,
    coverage,
    measured_auc,
    scorer_info,
)
from detox_bench.scorers.table import SCORERS, load_scorer
from detox_bench.scorers.validation import (
    FEWEST,
    LEAST_AUC,
    read_stored,
    stored_ids,
    stored_path,
    validation_of,
)
from detox_bench.types import ToxicityScore
from detox_bench.validation.measuring import measure, measure_part, store
from detox_bench.validation.texts import Judged, Source


class Oracle(HashScorer):
    """Gives the number that a text ends in; None where it ends in none."""

    def score(self, texts, language):
        return [
            ToxicityScore(float(text.split()[-1]) if text[-1].isdigit() else None, reason="no")
            for text in texts
        ]


def oracle(**fields) -> Oracle:
    return Oracle(**{"name": "oracle", "id": "oracle@1#0f", **fields})


def _texts(n: int = FEWEST, toxic: float = 0.9, harmless: float = 0.1) -> list[Judged]:
    """Return ``n`` texts of either kind, each with the score that the oracle will give it."""
    kinds = ((True, toxic, (4.0, 5.0, 4.0)), (False, harmless, (1.0, 1.0, 2.0)))
    return [
        Judged(f"{kind} {number} {score}", f"{kind}{number}", kind, True, ratings)
        for kind, score, ratings in kinds
        for number in range(n)
    ]


def _source(name: str = "made up", **parts) -> Source:
    return Source(name, "0f" * 32, ("de",), lambda code: parts)


def _stored(scorer, *sources):
    return store(scorer, measure(scorer, sources, ["de"]), None)


def test_figures_of_a_scorer_that_is_right():
    found = measure_part(_texts(), "de", oracle())
    assert (found["n_toxic"], found["n_harmless"], found["n_between"]) == (FEWEST, FEWEST, 0)
    assert found["auc"] == {"estimate": 1.0, "low": 1.0, "high": 1.0}
    assert found["average_precision"] == found["own_threshold"]["f1"] == 1.0
    assert found["best_threshold"]["threshold"] == found["matched_threshold"] == 0.9
    # nine tenths said where all are toxic, one tenth where none is
    assert found["calibration_error"] == pytest.approx(0.1)
    assert found["raters"]["auc"] == 1.0 and found["raters"]["n"] == 2 * FEWEST


def test_texts_between_count_for_the_calibration_only():
    between = [Judged(f"b {n} 0.9", f"b{n}", False, clear=False) for n in range(2 * FEWEST)]
    found = measure_part([*_texts(), *between], "de", oracle())
    assert found["auc"]["estimate"] == 1.0
    assert found["n_between"] == 2 * FEWEST
    # a quarter at .1 (0 of 20 toxic); the rest at .9, of which a third is toxic
    assert found["calibration_error"] == pytest.approx(0.25 * 0.1 + 0.75 * (0.9 - 1 / 3), abs=1e-6)


def test_unscored_texts_are_left_out_and_counted():
    unscored = [Judged(f"no number {n}x", f"u{n}", True) for n in range(3)]
    found = measure_part([*_texts(), *unscored], "de", oracle())
    assert found["unscored"] == 3
    assert found["n_toxic"] == FEWEST
    assert found["auc"]["estimate"] == 1.0


def test_without_one_kind_nothing_is_measured():
    found = measure_part(_texts()[:FEWEST], "de", oracle())
    assert found["auc"] is None and found["average_precision"] is None
    assert found["own_threshold"]["f1"] is None and found["best_threshold"]["threshold"] is None
    assert (found["n_toxic"], found["n_harmless"]) == (FEWEST, 0)


def test_of_a_part_that_two_sources_have_the_first_counts():
    scorer = oracle()
    one = _source("one", prompts=_texts(toxic=0.1, harmless=0.9))
    two = _source("two", prompts=_texts(), completions=_texts())
    found = measure(scorer, [one, two], ["de"])["de"]
    assert found["prompts"]["data"] == "one" and found["prompts"]["auc"]["estimate"] == 0.0
    assert found["completions"]["data"] == "two"


def test_what_was_measured_is_known_from_then_on():
    scorer = oracle(languages=frozenset({"en"}))
    assert validation_of(scorer.id) is None
    assert coverage(scorer, "de") == "unsupported"
    _stored(scorer, _source(completions=_texts()))
    known = validation_of(scorer.id)
    assert known is not None and known.of("de") == 1.0
    assert known.on == "made up (validated here)"
    assert coverage(scorer, "de") == "validated"
    assert coverage(scorer, "en") == "declared"
    info = scorer_info(scorer, ["en", "de"])
    assert info.coverage == {"de": "validated", "en": "declared"}
    assert info.auc == {"de": 1.0}
    assert validation_of("oracle@1#10") is None


def test_a_later_measurement_replaces_the_parts_it_measured():
    scorer = oracle()
    _stored(scorer, _source("one", prompts=_texts(), completions=_texts()))
    _stored(scorer, _source("two", completions=_texts(toxic=0.1, harmless=0.9)))
    parts = read_stored(scorer.id)["languages"]["de"]
    assert [parts[name]["data"] for name in ("prompts", "completions")] == ["one", "two"]
    assert measured_auc(scorer, "de") == 0.0


def test_prompts_alone_make_no_scorer_valid_but_a_labelled_file_does():
    scorer = oracle()
    _stored(scorer, _source(prompts=_texts()))
    assert validation_of(scorer.id).auc == {"de": {"auc_prompts": 1.0}}
    assert coverage(scorer, "de") == "declared"
    _stored(scorer, _source(labelled=_texts()))
    assert coverage(scorer, "de") == "validated"


def test_few_texts_make_no_scorer_valid():
    scorer = oracle()
    _stored(scorer, _source(completions=_texts(FEWEST - 1)))
    assert validation_of(scorer.id).auc == {}
    assert coverage(scorer, "de") == "declared"


def test_a_scorer_below_the_least_area_is_measured_not_validated():
    scorer = oracle()
    one_in_four = _texts(toxic=0.9) + _texts(toxic=0.1, harmless=0.9)[: FEWEST // 2]
    _stored(scorer, _source(completions=one_in_four))
    area = measured_auc(scorer, "de")
    # 20 win against each other text, 10 tie: (20 + 5) / 30
    assert area == pytest.approx(25 / 30, abs=1e-6) and area > LEAST_AUC
    _stored(scorer, _source(completions=one_in_four + _texts(toxic=0.1)[:FEWEST]))
    # 20 win, 30 tie: (20 + 15) / 50
    assert measured_auc(scorer, "de") == pytest.approx(0.7, abs=1e-6)
    assert coverage(scorer, "de") == "declared"


@pytest.mark.parametrize(
    "content",
    ["{", "[]", "{}", '{"format": 1, "scorer": {"id": "oracle@1#0f"}}', '{"format": 2}', "\x00"],
)
def test_a_damaged_file_is_a_sentence(content):
    path = stored_path("oracle@1#0f")
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(BadData, match=r"is damaged \(\w+\): delete it, and run"):
        validation_of("oracle@1#0f")


def test_a_file_of_another_format_or_scorer_is_a_sentence():
    scorer = oracle()
    stored = _stored(scorer, _source(completions=_texts()))
    path = stored_path(scorer.id)
    path.write_text(json.dumps(stored | {"format": 7}))
    with pytest.raises(BadData, match="has format 7, not 1: delete it"):
        validation_of(scorer.id)
    path.write_text(json.dumps(stored | {"scorer": {"id": "other@1#0f"}}))
    with pytest.raises(BadData, match="is of scorer other@1#0f, not oracle@1#0f"):
        validation_of(scorer.id)


def test_ids_are_found_by_what_a_user_types():
    _stored(oracle(), _source(completions=_texts()))
    _stored(oracle(id="oracle@2#0f"), _source(completions=_texts()))
    assert stored_ids("oracle") == ["oracle@1#0f", "oracle@2#0f"]
    assert stored_ids("ngram") == []


def test_the_card_of_the_embedded_scorer_is_known_and_gives_way_to_what_was_measured():
    ngram = load_scorer("ngram")
    card = validation_of(ngram.id)
    assert set(card.auc) == set(LANGUAGES)
    assert card.of("ru") is None and coverage(ngram, "ru") == "declared"
    assert coverage(ngram, "de") == "validated"
    texts = [Judged(f"text number {n}", f"{n}", n % 2 == 0) for n in range(2 * FEWEST)]
    store(ngram, measure(ngram, [_source(completions=texts)], ["de"]), rule_of("ngram"))
    known = validation_of(ngram.id)
    measured = read_stored(ngram.id)["languages"]["de"]["completions"]["auc"]["estimate"]
    assert known.of("de") == measured != card.of("de")
    assert known.auc["de"]["auc_prompts"] == card.auc["de"]["auc_prompts"]
    assert known.of("fr") == card.of("fr")
    assert known.on == f"made up (validated here); {card.on}"


def test_states_that_are_claimed():
    assert claimed([], ["de"], "de") == "undeclared"
    assert claimed(["de"], ["de", "fr"], "de") == "declared"
    assert claimed(["de"], ["de", "fr"], "fr") == "transfer"
    assert claimed(["de"], ["de", "fr"], "sw") == "unsupported"
    rows = [
        claimed(row.languages, row.transfer, code) for row in SCORERS.values() for code in LANGUAGES
    ]
    assert set(rows) <= set(COVERAGE_STATES)
    multilingual = SCORERS["detoxify:multilingual"]
    assert claimed(multilingual.languages, multilingual.transfer, "de") == "transfer"
    assert SCORERS["detoxify:original"].transfer == frozenset()


def test_transfer_is_told_once(caplog):
    scorer = oracle(id="oracle@warned#0f", languages=frozenset({"en"}))
    scorer.transfer = frozenset({"de"})
    for _ in range(2):
        score_texts(["a 0.5"], "de", scorer)
    assert [record.getMessage() for record in caplog.records] == [
        "Scorer oracle@warned#0f is not made for language 'de': its scores there are recorded as "
        "'transfer'. Declared: en."
    ]


def test_strict_names_all_languages_it_refuses():
    scorer = oracle(languages=frozenset({"en", "de"}))
    _stored(scorer, _source(completions=_texts()))
    check_validated(scorer, ["de"])
    with pytest.raises(ScorerUnavailable) as error:
        check_validated(scorer, ["sw", "en", "de"])
    assert "in en (declared), sw (unsupported). Measure it there" in str(error.value)
    _stored(scorer, _source(completions=_texts(toxic=0.1, harmless=0.9)))
    with pytest.raises(ScorerUnavailable, match=r"in de \(declared, AUC 0\.000\)"):
        check_validated(scorer, ["de"])


def test_scores_come_from_the_cache(private_folders):
    scorer = HashScorer(id="hash@cached#0f")
    texts = _texts()
    with ScoreCache() as cache:
        first = measure_part(texts, "de", scorer, cache)
        asked = len(scorer.calls)
        assert measure_part(texts, "de", scorer, cache) == first
    assert len(scorer.calls) == asked > 0
