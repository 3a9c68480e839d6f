"""Results of lm-eval read back: what is ours in them, and a sentence for everything else."""

import json
import math

import pytest

from detox_bench.errors import BadData, UnknownName
from detox_bench.retrieval_results import MEANS, read_retrieval


def task(value, n=100, pooling="mean", curve=None):
    """Return results and metadata of one task."""
    numbers = {f"{name},none": value for name in MEANS} | {"n,none": float(n), "alias": "flores"}
    pairs = {"name": "flores", "release": "r", "split": "devtest", "source": "en", "target": "x"}
    layers = {"layers": {"top1": curve or [value, 2 * value], "mexa": [None, value]}}
    metadata = {
        "detox_pair_set": pairs,
        "detox_pooling_used": pooling,
        "detox_retrieval": layers,
    }
    return numbers | {"top1_best,none": 2 * value, "top1_stderr,none": "N/A"}, metadata


def results_file(folder, tasks, name="results_1.json", **content):
    """Write a results file with ``tasks`` by name, each what ``task`` returns."""
    made = {
        "results": {"flores_retrieval": {"top1,none": 0.5}} | {n: t[0] for n, t in tasks.items()},
        "configs": {n: {"metadata": t[1]} for n, t in tasks.items()},
        "config": {"model": "hf", "model_args": {"pretrained": "models/mine"}},
    }
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(made | content))
    return file


def test_numbers_curves_and_settings_are_read(tmp_path):
    tasks = {"flores_retrieval_de": task(0.25), "flores28_retrieval_zh-hant": task(0.125)}
    file = results_file(tmp_path / "model", tasks | {"rtplx_toxicity_de": ({"emt,none": 1.0}, {})})
    found = read_retrieval(tmp_path)
    assert found == read_retrieval(file)
    assert (found.model, set(found.numbers)) == ("mine", {"de", "zh-Hant"})
    assert found.settings["n"] == 100 and found.settings["pooling"] == "mean"
    means = found.predictors()
    assert list(means) == list(MEANS) and means["top1"] == {"de": 0.25, "zh-Hant": 0.125}
    assert found.predictors("summaries")["top1_best"] == {"de": 0.5, "zh-Hant": 0.25}
    assert math.isnan(found.value("mrr@0", "de")) and math.isnan(found.value("mexa@0", "de"))
    assert found.value("mexa@1", "de") == 0.25 and math.isnan(found.value("top1@7", "de"))
    with pytest.raises(UnknownName, match="Known: layers, means, summaries"):
        found.predictors("mean")


def test_layers_are_tried_as_far_as_all_have_them(tmp_path):
    longer, shorter = task(0.25, curve=[0.1] * 5), task(0.25, curve=[0.2] * 3)
    for _, metadata in (longer, shorter):
        top1 = metadata["detox_retrieval"]["layers"]["top1"]
        metadata["detox_retrieval"]["layers"] = dict.fromkeys(MEANS, top1)
    file = results_file(tmp_path, {"flores_retrieval_de": longer, "flores_retrieval_fr": shorter})
    names = list(read_retrieval(file).predictors("layers"))
    assert [name for name in names if name.startswith("top1@")] == ["top1@0", "top1@1", "top1@2"]
    assert len(names) == len(MEANS) * (3 + 3)


def test_model_args_may_be_text(tmp_path):
    config = {"model": "hf", "model_args": "dtype=float32,pretrained=org/name"}
    file = results_file(tmp_path, {"flores_retrieval_de": task(0.5)}, config=config)
    assert read_retrieval(file).model == "name"


def test_tasks_that_were_not_asked_alike_are_refused(tmp_path):
    tasks = {"flores_retrieval_de": task(0.5), "flores_retrieval_fr": task(0.5, n=50)}
    with pytest.raises(BadData, match="not asked alike: n is 100 and 50"):
        read_retrieval(results_file(tmp_path, tasks))
    tasks["flores_retrieval_fr"] = task(0.5, pooling="last")
    with pytest.raises(BadData, match="pooling is 'mean' and 'last'"):
        read_retrieval(results_file(tmp_path, tasks))


def test_a_language_with_fewer_sentences_than_most_is_left_out_by_name(tmp_path):
    tasks = {f"rtplx28_retrieval_{code}": task(0.5, n=999) for code in ("de", "fr", "it")}
    tasks["rtplx28_retrieval_he"] = task(0.5, n=998)
    found = read_retrieval(results_file(tmp_path, tasks))
    assert set(found.numbers) == set(found.curves) == {"de", "fr", "it"}
    assert found.settings["n"] == 999
    assert found.doubts == [
        "rtplx28_retrieval_he is left out: it is of 998 sentences, most are of 999."
    ]


def test_the_sha256_of_the_weights_is_read_where_it_is_known(tmp_path):
    tasks, config = {"flores_retrieval_de": task(0.5)}, {"model": "detox-hf"}
    assert read_retrieval(results_file(tmp_path, tasks, config=config)).weights is None
    known = config | {"weights_sha256": "abc"}
    assert read_retrieval(results_file(tmp_path, tasks, config=known)).weights == "abc"


def test_a_model_without_hidden_states_has_no_result(tmp_path):
    numbers, metadata = task(math.nan)
    metadata["detox_no_result"] = "Dummy gives no hidden states."
    with pytest.raises(BadData, match=r"have no result: Dummy gives no hidden states\."):
        read_retrieval(results_file(tmp_path, {"flores_retrieval_de": (numbers, metadata)}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "no results file of lm-eval"),
        ('{"results": 3}', "no results file of lm-eval"),
        ('{"results": {"rtplx_toxicity_de": {"emt,none": 1}}}', "has no retrieval task"),
        ('{"results": {"flores_retrieval_xx": {"top1,none": 1}}}', "has no retrieval task"),
        ('{"results": {"flores_retrieval_de": null}}', "have no result: all are NaN"),
        ('{"results": {"flores_retrieval_de": {}}, "configs": 7}', "have no result"),
    ],
)
def test_anything_else_is_a_sentence(tmp_path, text, message):
    file = tmp_path / "results_1.json"
    file.write_text(text)
    with pytest.raises(BadData, match=message):
        read_retrieval(file)


def test_a_folder_must_hold_one_results_file(tmp_path):
    with pytest.raises(BadData, match="does not exist"):
        read_retrieval(tmp_path / "none")
    with pytest.raises(BadData, match=r"holds 0 results_….json\. Name"):
        read_retrieval(tmp_path)
    for name in ("results_1.json", "sub/results_2.json"):
        results_file(tmp_path, {"flores_retrieval_de": task(0.5)}, name)
    with pytest.raises(BadData, match="holds 2 results_"):
        read_retrieval(tmp_path)
