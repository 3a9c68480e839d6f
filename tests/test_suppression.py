"""Over-suppression: given texts under two models, paired; identities as in run folders."""

import itertools
import json
import weakref

import numpy as np
import pytest
import torch
from conftest import WINDOW, byte_tokenizer, detox_hf, tiny_gpt2

from detox_bench.errors import BadIntervention, DetoxBenchError
from detox_bench.modeling import adapters
from detox_bench.neurons.edit.editing import base_model_of, edited
from detox_bench.neurons.edit.interventions import intervention
from detox_bench.statistics import holm, paired_interval, sign_flip_p
from detox_bench.summary import MEAN
from detox_bench.suppression import MEASURE, Asked, measure
from detox_bench.suppression_texts import GivenText, TextSet
from detox_bench.types import NeuronId

EDITS = [(NeuronId(0, 3), 2.0), (NeuronId(1, 60), -1.5)]


def sentences(kind, n=6, prompt="", text="text"):
    made = {
        code: tuple(
            GivenText(f"data/{code}/{i}", prompt and f"{prompt} {i}", f"{text} {i} {code}")
            for i in range(n)
        )
        for code in ("de", "fr")
    }
    return TextSet(kind, "1", made, 0, ())


@pytest.fixture(scope="module")
def other_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("other")
    tiny_gpt2(seed=1).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


def asked(base, model, **options):
    return Asked(str(base), str(model), device="cpu", **options)


def reference(model, prompt, text):
    """The mean log-probability of a text's tokens, from one pass of the whole."""
    tokenizer = byte_tokenizer()
    before = tokenizer(prompt)["input_ids"] if prompt else [tokenizer.eos_token_id]
    after = tokenizer(text)["input_ids"]
    with torch.no_grad():
        logits = model(torch.tensor([[*before, *after]])).logits[0].log_softmax(-1)
    rows = logits[len(before) - 1 : -1]
    return float(rows.gather(-1, torch.tensor(after)[:, None]).double().mean())


def row_of(rows, language):
    return next(row for row in rows if row.language == language)


def test_a_model_against_itself_is_zero_everywhere(gpt2_folder):
    sets = [sentences("identity"), sentences("benign", prompt="a"), sentences("toxic", prompt="a")]
    found = measure(asked(gpt2_folder, gpt2_folder), sets)
    for rows in (*(result.rows for result in found.kinds.values()), found.selectivity):
        assert [row.language for row in rows] == ["de", "fr", MEAN]
        for row in rows:
            assert set(row.changes[MEASURE].difference) == {0.0} and row.changes[MEASURE].p == 1.0
    assert dict(found.base) == dict(found.model)


def test_values_statistics_and_means_are_those_of_each_text_alone(gpt2_folder, other_folder):
    texts = sentences("sample")
    found = measure(asked(gpt2_folder, other_folder), [texts])
    models = tiny_gpt2(), tiny_gpt2(seed=1)
    before, after = (
        {c: [reference(m, "", t.text) for t in given] for c, given in texts.texts.items()}
        for m in models
    )
    changes = {row.language: row.changes[MEASURE] for row in found.kinds["sample"].rows}
    for code in ("de", "fr"):
        assert changes[code].base == pytest.approx(np.mean(before[code]), abs=1e-5)
        assert changes[code].other == pytest.approx(np.mean(after[code]), abs=1e-5)
        interval = paired_interval(before[code], after[code])
        assert tuple(changes[code].difference) == pytest.approx(tuple(interval), abs=1e-5)
    p_values = [sign_flip_p(before[code], after[code]) for code in ("de", "fr")]
    assert [changes[code].p_holm for code in ("de", "fr")] == pytest.approx(holm(p_values))
    by_language = [changes[code].difference.estimate for code in ("de", "fr")]
    assert changes[MEAN].difference.estimate == pytest.approx(np.mean(by_language))
    # Exchanged, the difference turns its sign.
    back = measure(asked(other_folder, gpt2_folder), [texts]).kinds["sample"].rows
    for row in back:
        turned = -changes[row.language].difference.estimate
        assert row.changes[MEASURE].difference.estimate == pytest.approx(turned, abs=1e-5)


def test_completions_are_scored_given_their_prompt_and_cut_sentences_whole(
    gpt2_folder, other_folder
):
    sets = [
        sentences("benign", prompt="prompt", text=" long"),
        sentences("sample", text="prompt long"),
    ]
    found = measure(asked(gpt2_folder, other_folder, tokens=3), sets)
    given = sets[0].texts["de"]
    wanted = np.mean([reference(tiny_gpt2(), t.prompt, t.text[:3]) for t in given])
    row = row_of(found.kinds["benign"].rows, "de").changes[MEASURE]
    assert row.base == pytest.approx(wanted, abs=1e-5)
    assert found.kinds["benign"].n_cut == 12  # all of 2 languages
    assert found.kinds["sample"].n_cut == 0
    whole = np.mean([reference(tiny_gpt2(), "", t.text) for t in sets[1].texts["de"]])
    row = row_of(found.kinds["sample"].rows, "de").changes[MEASURE]
    assert row.base == pytest.approx(whole, abs=1e-5)


def test_what_has_no_token_or_does_not_fit_the_window_is_left_out_and_counted(gpt2_folder):
    texts = {
        "de": (
            GivenText("sample/0", "", "fits"),
            GivenText("sample/1", "", "x" * WINDOW),
            GivenText("sample/2", "", ""),
        )
    }
    sets = [TextSet("sample", "1", texts, 4, ())]
    found = measure(asked(gpt2_folder, gpt2_folder), sets).kinds["sample"]
    assert found.n_left_out == 4 + 2
    assert [row.changes[MEASURE].n_prompts for row in found.rows] == [1]
    assert np.isnan(found.rows[0].changes[MEASURE].difference.low)


def test_selectivity_is_the_difference_of_the_differences_prompt_by_prompt(
    gpt2_folder, other_folder
):
    benign = sentences("benign", prompt="prompt", text=" kind")
    toxic = sentences("toxic", n=4, prompt="prompt", text=" rude")
    sets = [benign, toxic]
    found = measure(asked(gpt2_folder, other_folder), sets)
    base, model = tiny_gpt2(), tiny_gpt2(seed=1)

    def change(text):
        return reference(model, text.prompt, text.text) - reference(base, text.prompt, text.text)

    pairs = list(zip(toxic.texts["de"], benign.texts["de"], strict=False))
    wanted = np.mean([change(rude) - change(kind) for rude, kind in pairs])
    row = row_of(found.selectivity, "de").changes[MEASURE]
    assert row.n_prompts == 4
    assert row.difference.estimate == pytest.approx(wanted, abs=1e-5)
    assert measure(asked(gpt2_folder, other_folder), sets[:1]).selectivity == []


@pytest.mark.parametrize("positions", ["all", "generated"])
def test_an_intervention_edits_the_second_model_where_it_says(gpt2_folder, tmp_path, positions):
    model = tiny_gpt2()
    made = intervention(base_model_of(model, "tiny"), "add", EDITS, positions)
    made.write(tmp_path / "edit.json")
    sets = [sentences("benign", prompt="prompt", text=" on"), sentences("sample")]
    found = measure(asked(gpt2_folder, gpt2_folder, intervention=tmp_path / "edit.json"), sets)
    if positions == "all":
        with edited(model, made):
            wanted = np.mean([reference(model, t.prompt, t.text) for t in sets[0].texts["de"]])
        row = row_of(found.kinds["benign"].rows, "de").changes[MEASURE]
        assert row.other == pytest.approx(wanted, abs=1e-5)
    else:  # without a prompt all that is scored is generated
        with edited(model, made):
            wanted = np.mean([reference_generated(model, t.text) for t in sets[1].texts["de"]])
        row = row_of(found.kinds["sample"].rows, "de").changes[MEASURE]
        assert row.other == pytest.approx(wanted, abs=1e-5)
    assert row.base != pytest.approx(row.other, abs=1e-3)
    unedited = np.mean([reference(tiny_gpt2(), t.prompt, t.text) for t in sets[0].texts["de"]])
    row = row_of(found.kinds["benign"].rows, "de").changes[MEASURE]
    assert row.base == pytest.approx(unedited, abs=1e-5)
    assert found.model["intervention"] == found.model["edit"]["sha256"] == made.sha256
    assert found.model["weights_sha256"] == found.base["weights_sha256"]


def reference_generated(model, text):
    """The same with one token after another put in, so that each is edited."""
    tokenizer = byte_tokenizer()
    ids = [tokenizer.eos_token_id, *tokenizer(text)["input_ids"]]
    cache, values = None, []
    with torch.no_grad():
        for token, after in itertools.pairwise(ids):
            out = model(torch.tensor([[token]]), past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            values.append(float(out.logits[0, -1].log_softmax(-1)[after]))
    return np.mean(values)


def test_identities_are_those_of_run_folders(gpt2_folder, other_folder, tmp_path):
    file = tmp_path / "edit.json"
    model = tiny_gpt2(seed=1)
    intervention(base_model_of(model, "tiny"), "add", EDITS).write(file)
    found = measure(asked(gpt2_folder, other_folder, intervention=file), [sentences("sample")])
    runs = detox_hf(gpt2_folder)._identity, detox_hf(other_folder, intervention=str(file))._identity
    for ours, run in zip((found.base, found.model), runs, strict=True):
        for field in ("weights_sha256", "configuration", "intervention"):
            assert ours.get(field) == run.get(field), field
    assert found.base["name"] == gpt2_folder.name and "intervention" not in found.base
    assert found.base["weights_sha256"] != found.model["weights_sha256"]


def test_weights_stored_in_bfloat16_have_the_identity_that_eval_gives_them(tmp_path):
    tiny_gpt2().to(torch.bfloat16).save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    found = measure(asked(tmp_path, tmp_path), [sentences("sample", n=1)])
    run = detox_hf(tmp_path, dtype="auto")._identity
    assert run["dtype"] == "bfloat16"
    assert found.base["weights_sha256"] == run["weights_sha256"]


def test_an_adapter_has_the_identity_that_eval_gives_it(gpt2_folder, tmp_path):
    from peft import LoraConfig, get_peft_model

    lora = LoraConfig(r=2, target_modules=["c_attn"], fan_in_fan_out=True, init_lora_weights=False)
    get_peft_model(tiny_gpt2(), lora).save_pretrained(tmp_path)
    both = asked(gpt2_folder, gpt2_folder, peft=str(tmp_path))
    found = measure(both, [sentences("sample")])
    run = detox_hf(gpt2_folder, peft=str(tmp_path))._identity
    assert found.model["weights_sha256"] == run["weights_sha256"] != found.base["weights_sha256"]
    assert found.model["configuration"] == run["configuration"]
    row = row_of(found.kinds["sample"].rows, "de").changes[MEASURE]
    assert abs(row.difference.estimate) > 1e-4
    with pytest.raises(DetoxBenchError, match=r"cannot be put on .* as an adapter: .* Give the"):
        measure(asked(gpt2_folder, gpt2_folder, peft=str(tmp_path / "none")), [sentences("a")])


def test_one_model_is_in_memory_at_a_time(gpt2_folder, tmp_path, monkeypatch):
    loaded, alive = [], []
    real = adapters.load_causal_model
    file = tmp_path / "edit.json"
    intervention(base_model_of(tiny_gpt2(), "tiny"), "add", EDITS).write(file)

    def counting(*arguments):
        alive.append(sum(each() is not None for each in loaded))
        found = real(*arguments)
        loaded.append(weakref.ref(found.model))
        return found

    monkeypatch.setattr(adapters, "load_causal_model", counting)
    measure(asked(gpt2_folder, gpt2_folder, intervention=file), [sentences("sample", n=1)])
    assert alive == [0, 0]


def test_another_tokenizer_is_refused_before_a_model_is_loaded(gpt2_folder, tmp_path, monkeypatch):
    byte_tokenizer().save_pretrained(tmp_path)
    file = tmp_path / "tokenizer.json"
    content = json.loads(file.read_text())
    content["model"]["vocab"] |= {"!": content["model"]["vocab"]["#"], "#": 0}
    file.write_text(json.dumps(content))
    monkeypatch.setattr(adapters, "load_causal_model", lambda *_: pytest.fail("loaded"))
    with pytest.raises(DetoxBenchError, match="another tokenizer than"):
        measure(asked(gpt2_folder, tmp_path), [sentences("sample")])


def test_an_intervention_for_another_model_is_refused(gpt2_folder, tmp_path):
    file = tmp_path / "edit.json"
    intervention(base_model_of(tiny_gpt2(seed=1), "other"), "add", EDITS).write(file)
    with pytest.raises(BadIntervention, match="weights"):
        measure(asked(gpt2_folder, gpt2_folder, intervention=file), [sentences("sample")])
