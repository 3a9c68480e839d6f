"""Every row of SCORERS keeps the contract; the driver scores many texts and never makes up a 0."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from doubles import (
    MULTILINGUAL,
    HashScorer,
    hash_value,
    save_classifier,
    save_detoxify,
    save_in_hub_cache,
)
from guard_doubles import save_guard, save_guard_in_hub_cache
from perspective_doubles import KEY, served

from detox_bench.errors import DetoxBenchError, ScorerUnavailable, UnknownName
from detox_bench.scorers import driver
from detox_bench.scorers.cache import ScoreCache
from detox_bench.scorers.driver import score_texts
from detox_bench.scorers.protocol import COVERAGE_STATES, coverage, scorer_info
from detox_bench.scorers.table import SCORERS, load_scorer, scorer_row
from detox_bench.types import ToxicityScore

#: The labels of each known repository, in the order of its outputs.
LABELS = {
    "unitary/multilingual-toxic-xlm-roberta": ("toxic", "severe_toxicity", "obscene"),
    "textdetox/xlmr-large-toxicity-classifier-v2": ("LABEL_0", "LABEL_1"),
    "textdetox/twitter-xlmr-toxicity-classifier": ("neutral", "toxic"),
    "citizenlab/distilbert-base-multilingual-cased-toxicity": ("toxic", "non-toxic"),
    "s-nlp/roberta_toxicity_classifier": ("neutral", "toxic"),
    "facebook/roberta-hate-speech-dynabench-r4-target": ("nothate", "hate"),
}
#: A program that scores, as ``command:`` asks for it.
PROGRAM = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    print(json.dumps({"id": asked["id"], "score": 1 / (1 + len(asked["text"]))}))
"""
TEXTS = ["you fool", "hello there", "", "what a stupid thing to say, dear friend", "you fool"]


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """A folder with tiny stand-ins for everything the table's rows load."""
    folder = tmp_path_factory.mktemp("models")
    save_detoxify(_made(folder / "detoxify"), MULTILINGUAL)
    save_classifier(folder / "classifier", ("neutral", "toxic"))
    (folder / "program.py").write_text(PROGRAM)
    for repository, labels in LABELS.items():
        save_in_hub_cache(folder / "hub", repository, labels)
    save_guard(folder / "guard")
    for row in SCORERS.values():
        if row.prefix == "guard" and not row.family:
            name = row.name.removeprefix("guard:")
            save_guard_in_hub_cache(folder / "hub", name, row.options["family"])
    return folder


@pytest.fixture(scope="module")
def service():
    """A stand-in for a Perspective service."""
    with served() as running:
        yield running


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.fixture
def load(models, service, monkeypatch):
    """Load the scorer of a row from the stand-ins."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(models / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    config = {"huggingface_config_path": str(models / "detoxify")}
    checkpoint = str(models / "detoxify" / "tiny.ckpt")
    monkeypatch.setenv("PERSPECTIVE_API_KEY", KEY)
    monkeypatch.setenv("PERSPECTIVE_ENDPOINT", service.url)

    def loaded(name: str):
        if SCORERS[name].prefix == "perspective":
            return load_scorer(f"perspective:{service.url}" if "<" in name else name, qps=500)
        if SCORERS[name].prefix == "guard":
            given = {"family": "qwen3guard"} if "<" in name else {}
            spec = f"guard:{models / 'guard'}" if "<" in name else name
            return load_scorer(spec, least_answered=0, **given)
        if SCORERS[name].family:
            argument = {
                "hf": str(models / "classifier"),
                "detoxify": checkpoint,
                "command": f"{sys.executable} {models / 'program.py'}",
            }
            argument["ensemble"] = f"hf:{argument['hf']}+command:{argument['command']}"
            prefix = SCORERS[name].prefix
            return load_scorer(
                f"{prefix}:{argument[prefix]}", **(config if prefix == "detoxify" else {})
            )
        if SCORERS[name].prefix == "detoxify":
            return load_scorer(name, checkpoint=checkpoint, **config)
        return load_scorer(name)

    return loaded


@pytest.mark.parametrize("name", SCORERS)
def test_every_scorer_keeps_the_contract(name, load):
    scorer = load(name)
    language = sorted(scorer.languages)[0] if scorer.languages else "en"
    scores = scorer.score(TEXTS, language)
    assert len(scores) == len(TEXTS)
    assert all(isinstance(score, ToxicityScore) for score in scores)
    assert all(score.value is None or 0 <= score.value <= 1 for score in scores)
    assert scorer.score([], language) == []
    (alone,) = scorer.score(TEXTS[:1], language)
    assert alone.value == pytest.approx(scores[0].value, abs=1e-6)
    assert scores[0].value == pytest.approx(scores[4].value, abs=1e-6)
    assert re.fullmatch(r"[^@#]+@[^@#]+#[0-9a-f]{12}", scorer.id)
    assert scorer.id.startswith(f"{scorer.name}@")
    assert 0 < scorer.threshold < 1


@pytest.mark.parametrize("name", SCORERS)
def test_every_scorer_can_be_recorded(name, load):
    scorer = load(name)
    info = scorer_info(scorer, ["sw", "en", "xx"])
    assert json.loads(json.dumps(info.as_json()))["id"] == scorer.id
    assert list(info.coverage) == ["en", "sw", "xx"]
    assert set(info.coverage.values()) <= set(COVERAGE_STATES)
    assert info.version == scorer.id.rpartition("@")[2].partition("#")[0]
    assert SCORERS[name].languages == scorer.languages


@pytest.mark.parametrize(
    "name", [name for name in SCORERS if name.startswith("hf:") and "<" not in name]
)
def test_a_repository_is_recorded_with_its_commit_and_label(name, load, models):
    scorer = load(name)
    repository = name.removeprefix("hf:")
    assert (
        models / "hub" / f"models--{repository.replace('/', '--')}" / "snapshots" / scorer.version
    ).is_dir()
    assert scorer.settings["toxic_label"] in {"toxic", "hate", "LABEL_1"}


def test_an_unknown_scorer_gets_the_nearest_name():
    with pytest.raises(UnknownName, match=r"Unknown scorer 'ngrm'\. Did you mean 'ngram'\?"):
        load_scorer("ngrm")
    with pytest.raises(UnknownName, match=r"Did you mean 'detoxify:multilingual'\?"):
        scorer_row("detoxify:multilngual")


@pytest.mark.parametrize("spec", ["hf", "hf:", "detoxify"])
def test_a_family_without_a_member_lists_its_members(spec):
    with pytest.raises(ScorerUnavailable, match=f"give one of {spec.rstrip(':')}:"):
        load_scorer(spec)


def test_an_unknown_option_gets_the_nearest_name():
    with pytest.raises(UnknownName, match=r"Did you mean 'toxic_label'\?"):
        load_scorer("hf:x/y", toxc_label="toxic")
    with pytest.raises(UnknownName, match="'depth'"):
        load_scorer("ngram", depth=3)


@pytest.mark.parametrize(
    ("name", "value"),
    [("batch_size", "none"), ("threshold", 2), ("allow_pickle", "maybe"), ("max_length", 0)],
)
def test_a_bad_option_is_one_sentence(name, value):
    with pytest.raises(DetoxBenchError, match=f"Scorer option {name} must be .*, not {value!r}"):
        load_scorer("hf:x/y", **{name: value})


def test_importing_scorers_loads_no_torch():
    code = (
        "import sys, detox_bench.scorers.table, detox_bench.scorers.driver, "
        "detox_bench.scorers.cache, detox_bench.scorers.huggingface, detox_bench.scorers.detoxify\n"
        "assert not {'torch', 'transformers', 'detoxify', 'lm_eval'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# The driver


def test_scores_come_back_in_order_and_each_text_is_asked_once():
    scorer = HashScorer()
    texts = [f"text {i % 30}" * (i % 7) for i in range(100)]
    scores = score_texts(texts, "en", scorer)
    assert [score.value for score in scores] == [hash_value(text) for text in texts]
    asked = [text for call in scorer.calls for text in call]
    assert sorted(asked) == sorted(set(texts))
    assert [len(text) for text in asked] == sorted(len(text) for text in asked)


def test_nothing_asked_is_nothing_answered():
    scorer = HashScorer()
    assert score_texts([], "en", scorer) == []
    assert scorer.calls == []


def test_one_text_is_a_list_of_one():
    assert score_texts(["x"], "en", HashScorer()) == [ToxicityScore(hash_value("x"), {"length": 1})]


def test_what_fails_is_unscored_and_the_rest_is_scored():
    scorer = HashScorer(fails=lambda text: "9" in text)
    texts = [f"text {i}" for i in range(40)]
    scores = dict(zip(texts, score_texts(texts, "en", scorer), strict=True))
    failed = {text for text, score in scores.items() if score.value is None}
    assert failed == {"text 9", "text 19", "text 29", "text 39"}
    assert scores["text 9"].reason == "RuntimeError: the scorer fell over"
    assert all(scores[t].value == hash_value(t) for t in texts if t not in failed)


def test_a_failure_is_not_cached_and_is_tried_again(tmp_path):
    texts = ["good", "bad"]
    with ScoreCache(tmp_path / "scores.sqlite") as cache:
        score_texts(texts, "en", HashScorer(fails=lambda text: text == "bad"), cache=cache)
        mended = HashScorer()
        scores = score_texts(texts, "en", mended, cache=cache)
    assert mended.calls == [["bad"]]
    assert [score.value for score in scores] == [hash_value("good"), hash_value("bad")]


def test_all_failing_is_an_error_with_the_first_reason():
    with pytest.raises(ScorerUnavailable, match=r"each of the first 3 texts.*the scorer fell over"):
        score_texts(["a", "b", "c"], "en", HashScorer(fails=lambda text: True))


def test_a_broken_scorer_is_given_up_after_one_batch():
    scorer = HashScorer(fails=lambda text: True, texts_per_call=driver.BROKEN_AFTER)
    with pytest.raises(ScorerUnavailable):
        score_texts([f"text {i}" for i in range(1000)], "en", scorer)
    # a batch of 64, its halves, down to single texts: 64 + 63 calls
    assert len(scorer.calls) == 2 * driver.BROKEN_AFTER - 1


def test_one_failing_text_left_by_a_cached_run_is_no_error(tmp_path):
    scorer = HashScorer(fails=lambda text: text == "bad")
    with ScoreCache(tmp_path / "scores.sqlite") as cache:
        first = score_texts(["good", "bad"], "en", scorer, cache=cache)
        assert score_texts(["good", "bad"], "en", scorer, cache=cache) == first
    assert first[1].value is None


def test_a_users_error_is_passed_on():
    class Refuses(HashScorer):
        def score(self, texts, language):
            raise UnknownName("Unknown language 'xx'.")

    with pytest.raises(UnknownName, match="Unknown language 'xx'"):
        score_texts(["a", "b"], "en", Refuses())


@pytest.mark.parametrize("value", [1.5, -0.1, float("nan")])
def test_a_value_outside_of_0_and_1_is_unscored(value):
    class Wild(HashScorer):
        def score(self, texts, language):
            return [ToxicityScore(value) for _ in texts]

    (score,) = score_texts(["a"], "en", Wild())
    assert score.value is None
    assert "is not in [0, 1]" in score.reason


def test_too_few_scores_are_a_failure_not_a_shift():
    class Short(HashScorer):
        def score(self, texts, language):
            return [ToxicityScore(hash_value(text)) for text in texts[: max(1, len(texts) - 1)]]

    scores = score_texts(["a", "b", "c"], "en", Short())
    assert [score.value for score in scores] == [hash_value(text) for text in "abc"]


def test_odd_texts_are_scored_and_cached_like_any_other(tmp_path):
    texts = ["", "\ud800 half", "a\0b", "\x1b[31m\x07", "a\u2028b\r\n", "x" * 10_000_000]
    with ScoreCache(tmp_path / "scores.sqlite") as cache:
        first = score_texts(texts, "en", load_scorer("ngram"), cache=cache)
        assert all(score.value is not None for score in first)
        assert len(cache) == len(texts)
        assert score_texts(texts, "en", load_scorer("ngram"), cache=cache) == first


def test_the_cache_is_asked_first_and_shared_by_languages_that_do_not_matter(tmp_path):
    scorer = HashScorer()
    with ScoreCache(tmp_path / "scores.sqlite") as cache:
        first = score_texts(["a", "b"], "en", scorer, cache=cache)
        assert score_texts(["b", "a"], "de", scorer, cache=cache) == first[::-1]
        assert scorer.calls == [["a", "b"]]
        scorer.uses_language = True
        score_texts(["a"], "de", scorer, cache=cache)
        assert scorer.calls[1:] == [["a"]]


def test_what_was_scored_before_a_stop_is_kept(tmp_path):
    class Stopped(HashScorer):
        def score(self, texts, language):
            if len(self.calls) == 2:
                raise KeyboardInterrupt
            return super().score(texts, language)

    texts = [f"text {i:02}" for i in range(40)]
    with ScoreCache(tmp_path / "scores.sqlite") as cache:
        with pytest.raises(KeyboardInterrupt):
            score_texts(texts, "en", Stopped(), cache=cache)
        after = HashScorer()
        score_texts(texts, "en", after, cache=cache)
    assert [text for call in after.calls for text in call] == texts[16:]


def test_a_language_not_covered_is_warned_of_once_and_recorded(caplog):
    scorer = HashScorer(id="hash@warned#000000000000")
    for _ in range(2):
        scores = score_texts(["a"], "sw", scorer)
    assert scores[0].value == hash_value("a")
    assert caplog.text.count("not made for language 'sw'") == 1
    assert scorer_info(scorer, ["sw", "de"]).coverage == {"de": "declared", "sw": "unsupported"}


def test_no_declared_language_is_recorded_without_a_warning(caplog):
    scorer = HashScorer(id="hash@undeclared#000000000000", languages=frozenset())
    score_texts(["a"], "sw", scorer)
    assert coverage(scorer, "sw") == "undeclared"
    assert caplog.text == ""


def test_progress_goes_to_stderr(capsys):
    score_texts([f"text {i}" for i in range(20)], "en", HashScorer(), progress=True)
    captured = capsys.readouterr()
    assert "20/20" in captured.err and captured.out == ""
