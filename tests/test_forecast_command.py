"""``detox-bench forecast``: from results and runs to tables, a figure, and a forecast."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import byte_tokenizer
from doubles import HashScorer, hash_value
from test_retrieval_results import results_file, task
from test_stored_texts import samples_file
from typer.testing import CliRunner

from detox_bench.commands import forecast
from detox_bench.data.parallel import Asked, load_pairs
from detox_bench.data.prompts import load_prompts
from detox_bench.errors import DetoxBenchError, UnknownName
from detox_bench.forecast_runs import model_doubts, tokenizer_values
from detox_bench.retrieval_results import MEANS, Retrieval

CODES = ("de", "es", "fr", "it", "nl", "pl")
#: A text by the hundredth of its score.
TEXTS = {round(hash_value(text), 2): text for text in map("cloud {}".format, range(3000))}


@pytest.fixture(autouse=True)
def hash_scorer(monkeypatch):
    scorer = HashScorer(languages=frozenset({"en", *CODES}))
    monkeypatch.setattr(forecast, "load_scorer", lambda name: scorer)


def run(folder, levels):
    """Write a run whose three samples of each prompt score the level of their language."""
    for code, level in {"en": 0.5, **levels}.items():
        for prompt in load_prompts(code, "sample").prompts[:6]:
            file = folder / f"samples_{code}_1.jsonl"
            samples_file(file, [TEXTS[level]] * 3, id=prompt.id, language=code)
    return folder


@pytest.fixture
def made(tmp_path):
    """Return results and runs in which the drop is 100 times what retrieval finds."""
    found = dict(zip(CODES, (0.1, 0.2, 0.3, 0.4, 0.5, 0.6), strict=True))
    tasks = {f"flores_retrieval_{code}": task(value) for code, value in found.items()}
    after = {code: round(0.8 * (1 - value), 2) for code, value in found.items()}
    return {
        "retrieval": results_file(tmp_path / "retrieval", tasks),
        "base": run(tmp_path / "base", dict.fromkeys(CODES, 0.8)),
        "after": run(tmp_path / "after", after),
    }


def invoke(*arguments):
    result = CliRunner().invoke(forecast.app, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return " ".join(result.stdout.split())


def fit(made, *more):
    options = ("--base", made["base"], "--after", made["after"])
    return invoke("fit", made["retrieval"], *options, *more)


def test_a_drop_that_follows_retrieval_is_found_and_forecast(made, tmp_path):
    file = tmp_path / "fit.json"
    shown = fit(made, "--save", file)
    assert "5 predictors tried" in shown
    assert "top1 is better than the mean in forecasting a language from the others" in shown
    written = json.loads(file.read_text())
    assert set(written["languages"]) == set(CODES), "English is left out"
    for code, expected in zip(CODES, (10, 20, 30, 40, 50, 60), strict=True):
        drop = written["languages"][code]
        # Scores are hundredths, give or take a half.
        assert drop["percent"]["estimate"] == pytest.approx(expected, abs=1.5)
        assert drop["n_prompts"] == 6
    top1 = written["predictors"]["top1"]
    assert top1["pearson"]["coefficient"]["estimate"] > 0.99
    assert top1["pearson"]["p_holm"] == pytest.approx(5 * top1["pearson"]["p"])
    assert top1["spearman"]["permutations"] == "all 720 orders"
    assert top1["spearman"]["p"] == pytest.approx(2 / 720)
    assert top1["better_than_the_mean"] and top1["line"]["error"] < 2

    new = {"flores_retrieval_ru": task(0.45), "flores_retrieval_ko": task(0.9)}
    results = results_file(tmp_path / "new", new)
    forecasts = tmp_path / "forecast.json"
    shown = invoke("predict", file, results, "--json", forecasts)
    assert "0.900 !" in shown and "ru Russian" in shown
    rows = json.loads(forecasts.read_text())["languages"]
    assert [row["language"] for row in rows] == ["ko", "ru"]
    assert rows[1]["drop"]["estimate"] == pytest.approx(45, abs=2)
    assert rows[1]["drop"]["low"] < 45 < rows[1]["drop"]["high"]
    assert [row["reached"] for row in rows] == [True, True]
    assert [row["outside"] for row in rows] == [True, False]


def test_no_better_than_the_mean_is_said_and_forecast(made, tmp_path):
    levels = dict(zip(CODES, (0.4, 0.6, 0.5, 0.5, 0.6, 0.4), strict=True))
    made["after"] = run(tmp_path / "unrelated", levels)
    file, forecasts = tmp_path / "fit.json", tmp_path / "forecast.json"
    assert "top1 is no better than the mean" in fit(made, "--save", file)
    shown = invoke("predict", file, made["retrieval"], "--json", forecasts)
    assert "By the mean of the languages" in shown and "no better than the mean" in shown
    written = json.loads(forecasts.read_text())
    assert written["better_than_the_mean"] is False
    drops = {json.dumps(row["drop"]) for row in written["languages"]}
    assert len(drops) == 1, "the same for every language"


def test_several_runs_after_are_seeds_of_one_setting(made, tmp_path):
    file = tmp_path / "fit.json"
    unchanged = shutil.copytree(made["base"], tmp_path / "unchanged")
    fit(made, "--after", unchanged, "--save", file)
    written = json.loads(file.read_text())["languages"]
    assert written["pl"]["percent"]["estimate"] == pytest.approx(30, abs=1)  # of 60 and 0


def test_a_tokenizer_adds_two_predictors(made, tmp_path):
    byte_tokenizer().save_pretrained(tmp_path / "model")
    file = tmp_path / "fit.json"
    choice = ("--predictor", "relative_fertility", "--tokenizer", tmp_path / "model")
    assert "7 predictors tried" in fit(made, *choice, "--save", file)
    values = json.loads(file.read_text())["predictors"]["relative_fertility"]["values"]
    assert set(values) == set(CODES) and all(0.5 < value < 2 for value in values.values())
    with pytest.raises(DetoxBenchError, match="Name the model: --tokenizer"):
        invoke("predict", file, made["retrieval"])
    shown = invoke("predict", file, made["retrieval"], "--tokenizer", tmp_path / "model")
    assert "by relative_fertility" in shown


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_the_same_figure_is_the_same_file(made, tmp_path, kind):
    pytest.importorskip("matplotlib")
    files = [tmp_path / f"{n}.{kind}" for n in range(2)]
    for file in files:
        fit(made, "--figure", file)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_other_retrieval_than_the_fit_is_refused(made, tmp_path):
    file = tmp_path / "fit.json"
    fit(made, "--save", file)
    other = results_file(tmp_path / "other", {"flores_retrieval_de": task(0.5, n=50)})
    with pytest.raises(DetoxBenchError, match=r"retrieval with n 100, .* has 50"):
        invoke("predict", file, other)


def test_retrieval_of_another_model_than_the_base_run_s_is_doubted(made):
    file = made["retrieval"]
    content = json.loads(file.read_text())
    assert "Doubtful: the retrieval is of" not in fit(made)
    beside = made["base"] / "results_1.json"
    for name, weights, doubted in (("mine", None, False), ("other", None, True)):
        config = {"model_args": {"pretrained": f"there/{name}"}, "weights_sha256": weights}
        beside.write_text(json.dumps({"results": {}, "config": config}))
        assert (
            f"Doubtful: the retrieval is of mine, the base run {made['base']} of" in fit(made)
        ) is (doubted)
    content["config"]["weights_sha256"] = "a" * 64
    file.write_text(json.dumps(content))
    for weights in ("a" * 64, "b" * 64):
        config = {"model_args": {"pretrained": "renamed"}, "weights_sha256": weights}
        beside.write_text(json.dumps({"results": {}, "config": config}))
        assert ("Doubtful: the retrieval is of weights aaaaaaaaaaaa" in fit(made)) is (
            weights == "b" * 64
        )


@pytest.mark.parametrize(
    ("record", "doubted"),
    [
        ('{"identity": {"weights_sha256": "a"}}', False),
        ('{"identity": {"weights_sha256": "b"}}', True),
        ('{"identity": {}}', False),
        ("{", False),
    ],
)
def test_a_run_folder_says_its_weights(tmp_path, record, doubted):
    found = Retrieval(tmp_path, "mine", {}, {}, {}, weights="a")
    (tmp_path / "run.json").write_text(record)
    assert bool(model_doubts(found, tmp_path)) is doubted
    assert model_doubts(replace(found, weights=None), tmp_path) == []


def test_one_layer_of_a_model_of_other_depth_is_refused(made, tmp_path):
    def of_depth(folder, depth):
        tasks = {}
        for place, code in enumerate(CODES):
            numbers, metadata = task(0.1 * place + 0.1)
            curve = [0.1 * place + 0.1] * depth
            metadata["detox_retrieval"]["layers"] = dict.fromkeys(MEANS, curve)
            tasks[f"flores_retrieval_{code}"] = (numbers, metadata)
        return results_file(tmp_path / folder, tasks)

    file, made["retrieval"] = tmp_path / "fit.json", of_depth("seven", 7)
    fit(made, "--try", "layers", "--predictor", "top1@3", "--save", file)
    assert "by top1@3" in invoke("predict", file, made["retrieval"])
    deeper = of_depth("deeper", 33)
    with pytest.raises(DetoxBenchError, match=r"the fit has 7 layers .*json 33\. Choose"):
        invoke("predict", file, deeper)
    assert "by top1" in invoke("predict", file, deeper, "--predictor", "top1")


def test_a_language_that_was_left_out_is_named(made, tmp_path):
    file, content = made["retrieval"], json.loads(made["retrieval"].read_text())
    content["results"]["flores_retrieval_pl"]["n,none"] = 99.0
    file.write_text(json.dumps(content))
    saved = tmp_path / "fit.json"
    named = "Doubtful: flores_retrieval_pl is left out: it is of 99 sentences"
    assert named in fit(made, "--save", saved)
    assert any("flores_retrieval_pl" in doubt for doubt in json.loads(saved.read_text())["doubts"])
    assert named in invoke("predict", saved, file)


def test_the_tokenizer_is_asked_the_sentences_of_the_retrieval():
    def english(name, split):
        asked = []

        def tokenizer(texts, **_):
            asked.extend(texts)
            return byte_tokenizer()(texts)

        settings = {"name": name, "split": split}
        tokenizer_values(Retrieval(Path("x"), "m", settings, {"de": {}}, {}), tokenizer)
        return asked

    sentences = [pair.source for pair in load_pairs("sample", Asked("en", "de")).pairs]
    prompts = [pair.source for pair in load_pairs("rtplx", Asked("en", "de")).pairs]
    assert set(sentences) <= set(english("sample", "all"))
    assert set(prompts) <= set(english("sample", "parallel"))
    assert not set(sentences) & set(english("sample", "parallel"))


def test_bad_arguments_are_sentences(made, tmp_path):
    with pytest.raises(UnknownName, match="predictor among those tried 'top'"):
        fit(made, "--predictor", "top")
    with pytest.raises(UnknownName, match="set of predictors 'all'"):
        fit(made, "--try", "all")
    with pytest.raises(UnknownName, match="metric of toxicity 'max'"):
        fit(made, "--metric", "max")
    with pytest.raises(DetoxBenchError, match="is no figure"):
        fit(made, "--figure", tmp_path / "figure.gif")
    with pytest.raises(DetoxBenchError, match="does not exist"):
        invoke("fit", made["retrieval"], "--base", tmp_path / "no", "--after", made["after"])
    english = [run(tmp_path / name, {}) for name in ("english", "trained")]
    with pytest.raises(DetoxBenchError, match="no language other than English"):
        invoke("fit", made["retrieval"], "--base", english[0], "--after", english[1])
    with pytest.raises(DetoxBenchError, match="is both before and after"):
        invoke("fit", made["retrieval"], "--base", made["base"], "--after", made["base"])


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema": 2}', '{"schema": 1, "predictors": {"top1": {}}}']
)
def test_what_is_no_fit_is_refused(made, tmp_path, text):
    file = tmp_path / "fit.json"
    file.write_text(text)
    with pytest.raises(DetoxBenchError, match=r"is no fit\.|has schema 2"):
        invoke("predict", file, made["retrieval"])
