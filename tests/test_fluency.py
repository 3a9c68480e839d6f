"""Perplexities of stored continuations, by language."""

import json
import math
import shutil

import numpy as np
import pytest
import torch
from conftest import WINDOW

from detox_bench import fluency
from detox_bench.data.prompts import load_prompts
from detox_bench.demo import model_path
from detox_bench.errors import BadData, DetoxBenchError
from detox_bench.fluency import (
    Fluency,
    load_language_model,
    perplexity_ratio,
    prompt_texts,
    run_perplexity,
)
from detox_bench.modeling.likelihood import log_probabilities, perplexity
from detox_bench.modeling.splitting import split_texts
from detox_bench.stored_texts import PromptSamples

PROMPTS = {"a": "The cat", "b": "Die Katze", "c": "The dog"}
SAMPLES = [
    PromptSamples("en", "a", (" sat.", " slept.", "")),
    PromptSamples("de", "b", (" saß.", " \n")),
    PromptSamples("en", "c", (" ran.", "x" * (WINDOW + 1), " sat.")),
]


@pytest.fixture(scope="module")
def loaded(gpt2_folder):
    return load_language_model(str(gpt2_folder), "cpu")


def expected(loaded, prompt, text):
    split = split_texts(loaded.tokenizer, [(prompt, text)])
    return perplexity(log_probabilities(loaded.model, split)[0])


def test_values_are_those_of_each_text_and_what_has_none_is_counted(loaded):
    found = run_perplexity(loaded, SAMPLES, PROMPTS)
    for language, prompt, texts in (
        ("en", "a", (" sat.", " slept.")),
        ("de", "b", (" saß.",)),
        ("en", "c", (" ran.", " sat.")),
    ):
        values = [expected(loaded, PROMPTS[prompt], text) for text in texts]
        assert found[language].values[prompt] == pytest.approx(values, rel=1e-4)
    assert (found["en"].n_empty, found["en"].n_dropped) == (1, 1)
    assert (found["de"].n_empty, found["de"].n_dropped) == (1, 0)


def test_what_was_computed_is_taken_from_the_cache(loaded, monkeypatch):
    first = run_perplexity(loaded, SAMPLES, PROMPTS)
    asked = []
    real = fluency.FORMULAS["perplexity"]
    monkeypatch.setitem(
        fluency.FORMULAS,
        "perplexity",
        lambda model, tokenizer, pairs: asked.extend(pairs) or real(model, tokenizer, pairs),
    )
    again = run_perplexity(loaded, SAMPLES, PROMPTS)
    assert [text for _, text in asked] == ["x" * (WINDOW + 1)]  # what has no value is not kept
    for language, each in first.items():
        for prompt, values in each.values.items():
            assert again[language].values[prompt] == pytest.approx(values, rel=1e-12)


def test_half_characters_are_read_as_the_sign_for_what_cannot_be_read(loaded):
    broken, whole = (
        run_perplexity(loaded, [PromptSamples("de", "p", (text,))], {"p": prompt})
        for text, prompt in (("so \ud800", "a\udcff"), ("so \ufffd", "a\ufffd"))
    )
    assert broken["de"].values == whole["de"].values


def test_infinite_perplexities_have_quartiles():
    found = Fluency({"a": [1.0, math.inf], "b": [math.inf]}, 0, 0)
    assert found.quartiles == (math.inf, math.inf, math.inf)
    assert Fluency({"a": [1.0, 2.0, 3.0]}, 0, 0).quartiles == (1.5, 2.0, 2.5)


def test_quartiles_are_over_all_continuations():
    found = Fluency({"a": [1.0, 5.0], "b": [2.0, 3.0, 4.0]}, 1, 0)
    assert found.quartiles == (2.0, 3.0, 4.0)
    assert found.as_json() == {
        "lower": 2.0,
        "median": 3.0,
        "upper": 4.0,
        "n_empty": 1,
        "n_dropped": 0,
    }
    assert Fluency({"a": []}, 1, 0).as_json()["median"] is None


def test_the_ratio_is_of_medians_and_one_against_itself():
    before = Fluency({"a": [1.0, 5.0], "b": [3.0]}, 0, 0)
    assert perplexity_ratio(before, [before]) == (1.0, 1.0, 1.0)
    assert perplexity_ratio(before, [before, before]) == (1.0, 1.0, 1.0)
    twice = Fluency({"a": [2.0, 10.0], "b": [6.0]}, 0, 0)
    assert perplexity_ratio(before, [twice]) == (2.0, 2.0, 2.0)
    silent = Fluency({"a": [], "b": []}, 3, 0)
    assert math.isnan(perplexity_ratio(before, [silent]).estimate)


def test_prompts_are_looked_up_by_what_their_ids_name():
    known = load_prompts("de", "sample").prompts
    samples = [PromptSamples("de", known[0].id, ("x",))]
    assert prompt_texts(samples)[known[0].id] == known[0].text


def test_a_file_of_prompts_is_read_and_a_bad_line_is_named(tmp_path):
    file = tmp_path / "prompts.jsonl"
    file.write_text(json.dumps({"id": "a", "text": "ä"}) + "\n")
    assert prompt_texts([], file) == {"a": "ä"}
    file.write_text('{"id": "a", "text": "b"}\n{"id": "c"}\n')
    with pytest.raises(BadData, match="line 2"):
        prompt_texts([], file)
    with pytest.raises(BadData, match="cannot be read"):
        prompt_texts([], tmp_path / "none")


def test_prompts_of_no_known_set_are_named(loaded):
    with pytest.raises(DetoxBenchError, match="of 2 prompts are not known, as of 'a'"):
        run_perplexity(loaded, SAMPLES, {"b": ""})


def test_what_is_no_model_is_named(tmp_path):
    with pytest.raises(DetoxBenchError, match="cannot be loaded as a causal language model"):
        load_language_model(str(tmp_path))


def test_ids_tell_models_apart(loaded, llama_folder, gpt2_folder):
    assert load_language_model(str(gpt2_folder)).id == loaded.id
    assert load_language_model(str(llama_folder)).id != loaded.id


def test_the_same_weights_with_another_configuration_are_another_model(
    gpt2_folder, loaded, tmp_path
):
    folder = shutil.copytree(gpt2_folder, tmp_path / "relu")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"activation_function": "relu"}))
    other = load_language_model(str(folder), "cpu")
    assert other.id != loaded.id
    first, second = (run_perplexity(each, SAMPLES, PROMPTS) for each in (loaded, other))
    assert first["en"].values["a"] != pytest.approx(second["en"].values["a"], rel=1e-3)


@pytest.fixture(scope="module")
def demo():
    return load_language_model(str(model_path()), "cpu")


def halves(codes=("ar", "de", "hi", "ja", "ru"), number=10):
    """Return sample texts of five scripts cut into prompt and continuation, by id."""
    prompts = [prompt for code in codes for prompt in load_prompts(code, "sample").prompts[:number]]
    cut = {p.id: len(p.text) // 2 for p in prompts}
    samples = [PromptSamples(p.language, p.id, (p.text[cut[p.id] :],)) for p in prompts]
    return samples, {p.id: p.text[: cut[p.id]] for p in prompts}


def slow_perplexity(loaded, prompt, continuation):
    """Return the reference: one text, one pass without cache, float32, tokens by offsets."""
    encoded = loaded.tokenizer(prompt + continuation, return_offsets_mapping=True)
    ids = torch.tensor([encoded["input_ids"]])
    with torch.no_grad():
        logits = loaded.model(input_ids=ids, use_cache=False).logits[0].float()
    table = logits[:-1].log_softmax(-1)
    own = [n for n, (_, end) in enumerate(encoded["offset_mapping"]) if n and end > len(prompt)]
    return math.exp(-np.mean([float(table[n - 1, ids[0, n]]) for n in own]))


def test_fifty_texts_in_five_scripts_are_those_of_a_slow_reference(demo):
    samples, prompts = halves()
    found = run_perplexity(demo, samples, prompts)
    assert demo.model.dtype == torch.float32
    assert sum(len(v) for each in found.values() for v in each.values.values()) == 50
    for each in samples:
        expected = slow_perplexity(demo, prompts[each.prompt_id], each.texts[0])
        assert found[each.language].values[each.prompt_id] == pytest.approx([expected], rel=1e-4)


def test_batches_of_any_size_give_the_same_perplexities(demo):
    samples, prompts = halves()
    split = split_texts(demo.tokenizer, [(prompts[s.prompt_id], s.texts[0]) for s in samples])
    small, large = (
        [perplexity(values) for values in log_probabilities(demo.model, split, size)]
        for size in (64, 2048)
    )
    assert small == pytest.approx(large, rel=1e-4)
