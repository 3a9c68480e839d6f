"""Gathering a report from stored runs."""

import json

import pytest
from conftest import WINDOW
from doubles import HashScorer, hash_value
from test_run_records import ARGUMENTS

from detox_bench import run_comparison
from detox_bench.comparison import MEAN, OTHERS
from detox_bench.data.prompts import load_prompts
from detox_bench.errors import DetoxBenchError
from detox_bench.reports.examples import PROMPTS_SHOWN
from detox_bench.reports.gather import Wish, gather
from detox_bench.reports.stores import settings_of
from detox_bench.reports.writing import write_report
from detox_bench.run_comparison import Asked
from detox_bench.run_records import describe
from detox_bench.runs import RunFolder, StoredGeneration, digest
from detox_bench.types import ToxicityScore
from detox_bench.verdicts import CLEAN, INVALID

LANGUAGES = ("de", "en", "fr")
STATES = {"de": "validated", "fr": "unsupported"}
#: Sentences of their own for each language and place, toxic ones and mild ones by the scorer.
WORDS = {
    "de": "Wir gehen heute {} Mal zusammen in den Garten hinter dem Haus",
    "en": "We go to the garden behind the house together {} times today",
    "fr": "Nous allons ensemble dans le jardin derrière la maison {} fois",
}


def sentences(code, toxic):
    texts = (WORDS[code].format(n) for n in range(1000))
    return [t for t in texts if (hash_value(t) > 0.6 if toxic else hash_value(t) < 0.4)]


def run(path, toxic, prompts=8, k=3, model="m", languages=LANGUAGES, text=None):
    """Write a run over prompts of the sample set; ``text`` replaces every continuation."""
    settings = digest(ARGUMENTS)
    with RunFolder(path, {"seed": 0, "weights_sha256": path.name}) as folder:
        describe(path, ARGUMENTS, str(model), {"sample-1-all"})
        for code in languages:
            texts = sentences(code, toxic)
            for number, prompt in enumerate(load_prompts(code, "sample").prompts[:prompts]):
                own = texts[k * number : k * (number + 1)]
                folder.add(
                    StoredGeneration(
                        settings, prompt.id, "h", code, n, each if text is None else text
                    )
                    for n, each in enumerate(own)
                )
    return path


@pytest.fixture(autouse=True)
def hash_scorer(monkeypatch):
    scorer = HashScorer(languages=frozenset(LANGUAGES))
    monkeypatch.setattr(run_comparison, "load_scorer", lambda name: scorer)
    return scorer


def sides(base, *runs):
    return settings_of([str(base)])[0], settings_of(map(str, runs))


def report(base, *runs, model=None, **wish):
    return gather(*sides(base, *runs), Wish(Asked(model), **wish))


def test_a_milder_run_is_clean_and_everything_is_there(tmp_path, gpt2_folder):
    base = run(tmp_path / "base", True, model=gpt2_folder)
    found = report(base, run(tmp_path / "after", False), command="detox-bench report …")
    (compared,) = found.compared
    assert [row.language for row in compared.rows] == [*LANGUAGES, MEAN, OTHERS]
    assert {each.verdict for each in compared.verdicts.values()} == {CLEAN}
    assert set(compared.perplexity) == set(LANGUAGES)
    assert compared.perplexity["de"].base[1] > 1
    assert compared.mean_perplexity_ratio == pytest.approx(1, abs=0.5)
    assert found.perplexity_model == gpt2_folder.name
    assert [row.language for row in found.scorer.rows] == list(LANGUAGES)
    assert not any(row.valid for row in found.scorer.rows)  # nobody validated a hash
    assert found.commands[-1] == "detox-bench report …"
    assert "|lang:de|" in found.signatures["de"]
    assert not found.remarks and not compared.samples


def test_a_base_model_that_cannot_be_had_leaves_perplexity_out(tmp_path):
    base, after = run(tmp_path / "base", True, model="/no/model"), run(tmp_path / "after", False)
    found = report(base, after)
    assert found.compared[0].perplexity == {} and found.perplexity_model is None
    assert found.remarks[0].startswith("Perplexity is left out: ")
    assert report(base, after, model="none").remarks == []
    with pytest.raises(DetoxBenchError):
        report(base, after, model="/no/model")


def test_a_window_too_short_drops_texts_and_counts_them(tmp_path, gpt2_folder):
    base = run(tmp_path / "base", True)
    after = run(tmp_path / "after", False, text="x" * (WINDOW + 1))
    (compared,) = report(base, after, model=str(gpt2_folder)).compared
    assert compared.perplexity["de"].other is None
    assert compared.perplexity["de"].n_dropped == (0, 24)
    assert compared.mean_perplexity_ratio is None


def test_a_language_with_all_prompts_unscored_is_invalid(tmp_path, monkeypatch, hash_scorer):
    judge = hash_scorer.score

    def score(texts, language):
        found = judge(texts, language)
        return [ToxicityScore(None, reason="no")] * len(texts) if language == "fr" else found

    monkeypatch.setattr(hash_scorer, "score", score)
    base, after = run(tmp_path / "base", True), run(tmp_path / "after", False)
    (compared,) = report(base, after, model="none").compared
    assert compared.verdicts["fr"].verdict == INVALID
    assert compared.verdicts["de"].verdict == CLEAN
    assert any("unscored" in each for each in compared.doubts)
    assert "Hardly scored, and left out of the means: fr." in compared.doubts
    mean = next(row for row in compared.rows if row.language == MEAN)
    own = [row.changes["emt"].base for row in compared.rows if row.language in ("de", "en")]
    assert mean.changes["emt"].base == pytest.approx(sum(own) / 2)


def test_prompts_of_a_file_are_looked_for_in_the_texts_and_a_broken_one_is_an_error(tmp_path):
    base, after = run(tmp_path / "base", True), run(tmp_path / "after", False)
    file = tmp_path / "prompts.jsonl"
    prompts = [each for code in LANGUAGES for each in load_prompts(code, "sample").prompts]
    lines = [{"id": each.id, "text": "\u2028 x"} for each in prompts]
    file.write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in lines), "utf-8")
    found = gather(*sides(base, after), Wish(Asked("none", prompts=file)))
    assert found.compared[0].rows[0].changes["prompt_copy"].other == 0
    assert not found.remarks
    with pytest.raises(DetoxBenchError, match="cannot be read"):
        gather(*sides(base, after), Wish(Asked("none", prompts=tmp_path / "nowhere")))


def test_half_characters_do_not_stop_the_writing(tmp_path):
    base = run(tmp_path / "base", True)
    after = run(tmp_path / "after", False)
    found = gather(*sides(base, f"\ud800 x={after}"), Wish(Asked("none"), title="a\udcff"))
    page = write_report(found, tmp_path, figures=False).page.read_text("utf-8")
    assert "a\ufffd" in page and "\ufffd x" in page
    assert json.loads((tmp_path / "report.json").read_text("utf-8"))["title"] == "a\ufffd"


def test_samples_are_the_worst_of_both_models_and_only_where_asked_for(tmp_path):
    base, after = run(tmp_path / "base", True), run(tmp_path / "after", False)
    (compared,) = report(base, after, model="none", with_samples=True).compared
    shown = compared.samples["de"]
    assert len(shown) == PROMPTS_SHOWN
    first = shown[0]
    texts = load_prompts("de", "sample").prompts
    assert first.prompt in {each.text for each in texts}
    assert first.base_score == hash_value(first.base) > 0.6
    assert first.other_score == hash_value(first.other) < 0.4
    scores = [each.base_score for each in shown]
    assert scores == sorted(scores, reverse=True)


def test_references_are_compared_as_if_they_were_models(tmp_path):
    base, after = run(tmp_path / "base", True), run(tmp_path / "after", False)
    found = report(base, after, model="none", references=True).compared
    assert [each.is_reference for each in found] == [False, True, True, True, True]
    assert "empty_rate" in found[1].verdicts["de"].signs


def test_seeds_are_one_row_and_twenty_runs_are_twenty(tmp_path):
    base, after = run(tmp_path / "base", True), run(tmp_path / "after", False)
    seeds = report(base, f"s={after}", f"s={run(tmp_path / 'again', False)}", model="none").compared
    assert len(seeds) == 1 and len(seeds[0].about.stores) == 2
    assert len(seeds[0].rows[0].changes["emt"].by_run) == 2
    many = report(base, *(f"run {n}={after}" for n in range(20)), model="none").compared
    assert [each.about.name for each in many] == [f"run {n}" for n in range(20)]


def test_too_few_prompts_for_any_verdict_are_told(tmp_path):
    few = run(tmp_path / "base", True, prompts=6), run(tmp_path / "after", False, prompts=6)
    (compared,) = report(*few, model="none").compared  # 3 languages: 3 * 2 / 2**6 = .09
    assert any("Too few prompts for any verdict" in each for each in compared.doubts)
    more = run(tmp_path / "more", True), run(tmp_path / "milder", False)  # 3 * 2 / 2**8 = .02
    (compared,) = report(*more, model="none").compared
    assert not any("Too few prompts" in each for each in compared.doubts)


def test_other_prompts_are_compared_only_when_forced_and_that_is_told(tmp_path):
    base, after = run(tmp_path / "base", True), run(tmp_path / "after", False, prompts=6)
    with pytest.raises(DetoxBenchError, match="--force"):
        report(base, after, model="none")
    found = report(base, after, model="none", force=True)
    assert found.compared[0].rows[0].n_prompts == 6
    assert any("18 in 3 languages, base 24" in each for each in found.disagreements)


def test_forced_the_languages_that_are_lost_are_named(tmp_path):
    base = run(tmp_path / "base", True, languages=("de", "en"))
    after = run(tmp_path / "after", False, languages=("fr", "de"))
    (compared,) = report(base, after, model="none", force=True).compared
    assert [row.language for row in compared.rows] == ["de"]
    assert "Left out, since the runs share no prompt in it: en, fr." in compared.doubts


def test_strict_refuses_the_language_of_any_run_before_a_model_is_loaded(tmp_path, monkeypatch):
    loads = "detox_bench.reports.judging.load_language_model"
    monkeypatch.setattr(loads, lambda name: pytest.fail("the model was loaded"))
    monkeypatch.setattr("detox_bench.scorers.protocol.coverage", lambda _, code: STATES[code])
    base = run(tmp_path / "base", True, languages=("de",))
    after = run(tmp_path / "after", False, languages=("fr", "de"))
    wish = Wish(Asked("judge", strict=True), force=True)
    with pytest.raises(DetoxBenchError, match=r"not validated .* in fr \(unsupported\)"):
        gather(*sides(base, after), wish)
