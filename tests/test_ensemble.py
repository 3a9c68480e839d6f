"""``ensemble:`` scorers: the members that cover a language, on one scale, as one number."""

import json
import re
from pathlib import Path

import pytest
from doubles import HashScorer, hash_value, save_classifier

from detox_bench.ensemble_members import Member, make_members, split_members
from detox_bench.ensemble_scorers import EnsembleOptions, EnsembleScorer
from detox_bench.errors import DetoxBenchError, ScorerUnavailable, UnknownName
from detox_bench.isotonic import Isotonic
from detox_bench.languages import LANGUAGES
from detox_bench.score_maps import ScoreMap, write_map
from detox_bench.scorers.cache import ScoreCache
from detox_bench.scorers.driver import score_texts
from detox_bench.scorers.protocol import coverage, scorer_info
from detox_bench.scorers.table import load_scorer
from detox_bench.types import ToxicityScore

TEXTS = ["you fool", "hello there, friend", "", "ten"]


class FixedScorer(HashScorer):
    """Scores every text by one number, or leaves it unscored."""

    def __init__(self, name: str, value: float | None, languages: str = "", **options) -> None:
        super().__init__(name, f"{name}@1#000000000000", frozenset(languages.split()), **options)
        self.value = value

    def score(self, texts, language):
        self.calls.append(list(texts))
        if any(map(self.fails, texts)):
            raise RuntimeError("the scorer fell over")
        return [ToxicityScore(self.value, reason=None if self.value else "no idea") for _ in texts]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory) -> Path:
    return save_classifier(tmp_path_factory.mktemp("classifier"), ("neutral", "toxic"))


def _ensemble(*scorers, maps: frozenset[str] = frozenset(), **options) -> EnsembleScorer:
    chosen = EnsembleOptions(calibration=maps, **options)
    return EnsembleScorer("ensemble:test", make_members(scorers, maps), chosen)


def _values(ensemble: EnsembleScorer, language: str = "en") -> list[float | None]:
    return [score.value for score in ensemble.score(TEXTS, language)]


def test_the_score_is_the_mean_or_the_maximum_of_the_members():
    """Of .2, .3 and .7 the mean is 1.2 / 3 = .4, the maximum .7."""
    members = [FixedScorer("a", 0.2), FixedScorer("b", 0.3), FixedScorer("c", 0.7)]
    mean, highest = _ensemble(*members), _ensemble(*members, aggregate="max")
    assert _values(mean) == pytest.approx([0.4] * 4)
    assert _values(highest) == [0.7] * 4
    assert mean.score(["x"], "en")[0].attributes == {"a": 0.2, "b": 0.3, "c": 0.7}


def test_in_a_language_the_members_that_declare_it_score():
    """Both in English (.2 + .6) / 2 = .4; one in German and in Thai; none in Czech."""
    ensemble = _ensemble(FixedScorer("a", 0.2, "en de"), FixedScorer("b", 0.6, "en th"))
    assert ensemble.languages == {"en", "de", "th"}
    found = {code: _values(ensemble, code)[0] for code in ("en", "de", "th", "cs")}
    assert found == {"en": pytest.approx(0.4), "de": 0.2, "th": 0.6, "cs": None}
    (score,) = ensemble.score(["x"], "cs")
    assert score.reason == "no member of the ensemble is made for 'cs'"
    assert {code: coverage(ensemble, code) for code in ("en", "cs")} == {
        "en": "declared",
        "cs": "unsupported",
    }


def test_a_member_for_which_nothing_is_declared_scores_in_every_language():
    ensemble = _ensemble(FixedScorer("a", 0.2, "en"), FixedScorer("b", 0.6))
    assert [_values(ensemble, code)[0] for code in ("en", "cs")] == [pytest.approx(0.4), 0.6]
    assert ensemble.languages == {"en"}


def test_a_member_scores_where_it_is_validated(monkeypatch):
    def stated(scorer, code):
        return "validated" if (scorer.name, code) == ("b", "sw") else coverage(scorer, code)

    monkeypatch.setattr("detox_bench.ensemble_members.coverage", stated)
    ensemble = _ensemble(FixedScorer("a", 0.2, "en"), FixedScorer("b", 0.6, "en"))
    assert _values(ensemble, "sw") == [0.6] * 4
    assert ensemble.languages == {"en", "sw"}
    monkeypatch.undo()
    # the languages are part of the id: elsewhere, where nothing was validated, it is another scorer
    assert ensemble.id != _ensemble(FixedScorer("a", 0.2, "en"), FixedScorer("b", 0.6, "en")).id


def test_a_text_that_a_member_leaves_unscored_is_unscored_unless_partial():
    members = [FixedScorer("a", 0.2), FixedScorer("b", None)]
    (score,) = _ensemble(*members).score(["x"], "en")
    assert (score.value, score.reason, score.attributes) == (None, "b: no idea", {"a": 0.2})
    (score,) = _ensemble(*members, partial=True).score(["x"], "en")
    assert (score.value, score.reason) == (0.2, "without b")
    (score,) = _ensemble(FixedScorer("b", None), FixedScorer("c", None), partial=True).score(
        ["x"], "en"
    )
    assert (score.value, score.reason) == (None, "b: no idea")


def test_a_partial_score_is_not_kept_for_when_the_member_is_back():
    for value, expected in ((None, 0.2), (0.6, 0.4)):
        ensemble = _ensemble(FixedScorer("a", 0.2), FixedScorer("b", value), partial=True)
        with ScoreCache() as cache:
            (score,) = score_texts(["x"], "en", ensemble, cache=cache)
        assert score.value == pytest.approx(expected)


def test_a_member_that_falls_over_on_a_text_costs_that_text_alone():
    def broken():
        return FixedScorer("b", 0.6, fails=lambda text: text == "ten")

    whole = score_texts(TEXTS, "en", _ensemble(FixedScorer("a", 0.2), broken()))
    assert [score.value for score in whole] == [pytest.approx(0.4)] * 3 + [None]
    assert whole[3].reason == "RuntimeError: the scorer fell over"
    partial = score_texts(TEXTS, "en", _ensemble(FixedScorer("c", 0.2), broken(), partial=True))
    assert [score.value for score in partial] == [pytest.approx(0.4)] * 3 + [0.2]


def test_a_number_out_of_range_is_unscored_and_not_cached():
    ensemble = _ensemble(FixedScorer("a", 0.2), FixedScorer("b", 1.5))
    (score,) = ensemble.score(["x"], "en")
    assert (score.value, score.reason) == (None, "b: the scorer gave 1.5, which is not in [0, 1]")
    with ScoreCache() as cache:
        assert cache.get("b@1#000000000000", None, ["x"]) == {}
        assert cache.get("a@1#000000000000", None, ["x"])["x"].value == 0.2


def test_members_take_what_they_scored_before_from_the_cache():
    alone, other = HashScorer(), FixedScorer("b", 0.6)
    with ScoreCache() as cache:
        score_texts(TEXTS[:2], "en", alone, cache=cache)
    assert len(alone.calls) == 1
    found = _ensemble(alone, other).score([*TEXTS, TEXTS[3]], "en")
    assert alone.calls[1:] == [TEXTS[2:]]  # equal texts once
    expected = [(hash_value(text) + 0.6) / 2 for text in [*TEXTS, TEXTS[3]]]
    assert [score.value for score in found] == pytest.approx(expected)
    _ensemble(alone, other).score(TEXTS, "en")
    assert (len(alone.calls), len(other.calls)) == (2, 1)


# Calibration


def _map(folder: Path, scorer: HashScorer, **functions: Isotonic) -> str:
    file = folder / f"{scorer.name}.json"
    write_map(file, ScoreMap(scorer.id, functions, {code: {} for code in functions}))
    return str(file)


def test_members_with_maps_are_put_on_one_scale(tmp_path):
    """.2 on the line from (0, 0) to (.4, 1) is .5; .6 on the level .9 is .9; (.5 + .9) / 2 = .7."""
    a, b = FixedScorer("a", 0.2, "en de"), FixedScorer("b", 0.6, "en de")
    line, level = Isotonic((0.0, 0.4), (0.0, 1.0)), Isotonic((0.0,), (0.9,))
    maps = {_map(tmp_path, a, en=line, de=line), _map(tmp_path, b, en=level)}
    ensemble = _ensemble(a, b, maps=frozenset(maps))
    (score,) = ensemble.score(["x"], "en")
    assert score.value == pytest.approx(0.7)
    assert score.attributes == {"a": pytest.approx(0.5), "b": pytest.approx(0.9)}
    assert _values(ensemble, "de") == pytest.approx([0.5] * 4)  # b has no map there
    assert (ensemble.version, ensemble.languages) == ("calibrated", {"en", "de"})
    with ScoreCache() as cache:  # what is kept for a member is its own score
        assert cache.get(a.id, None, ["x"])["x"].value == 0.2


def test_all_members_are_calibrated_or_none(tmp_path):
    a, b, c = (FixedScorer(name, 0.5, "en") for name in "abc")
    one, other = (_map(tmp_path, each, en=Isotonic((0.0,), (0.5,))) for each in (a, c))
    with pytest.raises(DetoxBenchError, match=r"there is no map for b@1#0{12}\."):
        _ensemble(a, b, maps=frozenset({one}))
    with pytest.raises(DetoxBenchError, match=r"there is a map for c@1#0{12}, no member"):
        _ensemble(a, maps=frozenset({one, other}))
    again = tmp_path / "again.json"
    again.write_bytes(Path(one).read_bytes())
    with pytest.raises(DetoxBenchError, match=r"there are two maps for a@1#0{12}\."):
        _ensemble(a, maps=frozenset({one, str(again)}))
    with pytest.raises(DetoxBenchError, match="cannot be read"):
        _ensemble(a, b, maps=frozenset({str(tmp_path / "none.json")}))


# By name


def test_it_is_made_of_scorers_by_name(classifier):
    ensemble = load_scorer(f"ensemble:ngram+hf:{classifier}", aggregate="max")
    ngram, hf = load_scorer("ngram"), load_scorer(f"hf:{classifier}")
    pairs = zip(ngram.score(TEXTS, "en"), hf.score(TEXTS, "en"), strict=True)
    assert _values(ensemble) == pytest.approx([max(a.value, b.value) for a, b in pairs], abs=1e-6)
    assert ensemble.name == f"ensemble:ngram+hf:{classifier.name}"
    assert re.fullmatch(r"[^@#]+@uncalibrated#[0-9a-f]{12}", ensemble.id)
    info = scorer_info(ensemble, ["en"])
    assert info.settings["members"] == [ngram.id, hf.id]
    assert {"numpy", "torch"} <= set(info.libraries)
    assert set(info.languages) == set(LANGUAGES)
    assert json.loads(json.dumps(info.as_json()))["version"] == "uncalibrated"


def test_options_go_to_the_members_they_name(classifier):
    spec = f"ensemble:ngram+hf:{classifier}"
    by_number = load_scorer(spec, **{"2.languages": "en,de", "2.toxic_label": 0})
    by_name = load_scorer(spec, **{"hf.languages": "en,de", "hf.toxic_label": 0})
    assert by_number.id == by_name.id != load_scorer(spec).id
    assert by_number.members[1].covers == {"en", "de"}
    assert by_number.members[1].scorer.settings["toxic_label"] == "neutral"


def test_the_id_tells_what_changes_a_score():
    a, b = FixedScorer("a", 0.2, "en"), FixedScorer("b", 0.6, "en")
    ids = [
        _ensemble(a, b).id,
        _ensemble(b, a).id,
        _ensemble(a, b, aggregate="max").id,
        _ensemble(a, b, partial=True).id,
        _ensemble(a, FixedScorer("b", 0.6)).id,
    ]
    everywhere, nowhere = (
        EnsembleScorer("x", (Member(a, None, covers),), EnsembleOptions()).id
        for covers in (None, frozenset[str]())
    )
    assert len({*ids, everywhere, nowhere}) == len(ids) + 2
    assert _ensemble(a, b, threshold=0.3).id == ids[0]


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ("ngram+detoxify:multilingual", ["ngram", "detoxify:multilingual"]),
        ("hf:./c++/model+ngram", ["hf:./c++/model", "ngram"]),
        ("hf:a+b+guard:c+d", ["hf:a+b", "guard:c+d"]),
        ("hf:a+ngrams+ngram", ["hf:a+ngrams", "ngram"]),
        ("perspective+ngram", ["perspective", "ngram"]),
        ("ngram", ["ngram"]),
    ],
)
def test_a_plus_divides_before_the_name_of_a_scorer_only(members, expected):
    assert split_members(members) == expected


@pytest.mark.parametrize(
    ("spec", "options", "error", "message"),
    [
        (
            "ensemble:ngram",
            {},
            ScorerUnavailable,
            "needs two different scorers or more; it",
        ),
        ("ensemble:ngram+ngram", {}, ScorerUnavailable, "needs two different scorers"),
        ("ensemble:ngram+nosuch", {}, UnknownName, r"Unknown scorer 'ngram\+nosuch'"),
        ("ensemble:ngram+ensemble:a+b", {}, ScorerUnavailable, "an ensemble cannot be a member"),
        ("ensemble:ngram+hf:x", {"aggregate": "mode"}, UnknownName, "Known: max, mean"),
        ("ensemble:ngram+hf:x", {"partial": "perhaps"}, DetoxBenchError, "true or false"),
        ("ensemble:ngram+hf:x", {"partail": True}, UnknownName, "Did you mean 'partial'"),
        ("ensemble:ngram+hf:x", {"3.device": "cpu"}, DetoxBenchError, "'3.device' is of no member"),
        ("ensemble:ngram+hf:x", {".device": "cpu"}, DetoxBenchError, "'.device' is of no member"),
        ("ensemble:ngram+hf:x", {"1.depth": 3}, UnknownName, "'depth'"),
        ("ensemble:", {}, ScorerUnavailable, "needs to know which"),
    ],
)
def test_what_cannot_be_is_one_sentence(spec, options, error, message):
    with pytest.raises(error, match=message):
        load_scorer(spec, **options)
