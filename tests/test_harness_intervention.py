"""``detox-hf`` with an intervention: edited in all it does, and the results say so."""

import pytest
import torch
from conftest import byte_tokenizer, detox_hf, tiny_gpt2
from lm_eval.api.instance import Instance
from test_harness_command import refused
from test_harness_model import repeated

from detox_bench.errors import BadIntervention, BadRunFolder, DetoxBenchError
from detox_bench.modeling.forward import CausalModel
from detox_bench.modeling.greedy import greedy as greedy_batches
from detox_bench.neurons.edit.editing import base_model_of, edited
from detox_bench.neurons.edit.interventions import intervention, read_intervention
from detox_bench.types import NeuronId

EDITS = [(NeuronId(0, 3), 2.0), (NeuronId(1, 60), -1.5)]


def written(folder, model=None, operator="add", positions="all"):
    model = model or tiny_gpt2()
    made = intervention(base_model_of(model, "tiny"), operator, EDITS, positions)
    file = folder / f"{operator}-{positions}.json"
    made.write(file)
    return file, made


@pytest.fixture(scope="module")
def plain(gpt2_folder):
    return detox_hf(gpt2_folder)


def asked(*pairs: tuple[str, str]) -> list[Instance]:
    return [Instance("loglikelihood", {}, pair, n) for n, pair in enumerate(pairs)]


PAIRS = [("prompt 0", " and"), ("prompt 1 en", " more"), ("a", "b"), ("prompt 0", " or not")]


@pytest.mark.parametrize("positions", ["all", "generated"])
def test_log_likelihoods_are_those_of_the_edited_model(gpt2_folder, plain, tmp_path, positions):
    file, made = written(tmp_path, positions=positions)
    found = detox_hf(gpt2_folder, intervention=str(file)).loglikelihood(asked(*PAIRS))
    model = tiny_gpt2()
    for (context, after), (value, greedy) in zip(PAIRS, found, strict=True):
        before = byte_tokenizer()(context)["input_ids"]
        ids = torch.tensor([[*before, *byte_tokenizer()(after)["input_ids"]]])
        with torch.no_grad(), edited(model, made):
            if positions == "all":
                logits = model(ids).logits[0]
            else:  # the prompt's last token is edited, those before it are not
                cache = None
                logits = []
                for part in (ids[:, : len(before)], *ids[:, len(before) :].split(1, -1)):
                    out = model(part, past_key_values=cache, use_cache=True)
                    cache, logits = out.past_key_values, [*logits, out.logits[0]]
                logits = torch.cat(logits)
        rows = logits[len(before) - 1 : -1].log_softmax(-1)
        targets = ids[0, len(before) :]
        wanted = float(rows.gather(-1, targets[:, None]).sum())
        assert value == pytest.approx(wanted, abs=1e-4)
        assert greedy == bool((rows.argmax(-1) == targets).all())
    assert found != plain.loglikelihood(asked(*PAIRS))


@pytest.mark.parametrize("options", [{}, {"max_length": 8}, {"mixed_precision_dtype": "bfloat16"}])
def test_an_edit_that_changes_nothing_changes_no_log_likelihood(gpt2_folder, tmp_path, options):
    """Our own pass answers as lm-eval's does: its window, its precision, its rolling ones."""
    model = tiny_gpt2()
    made = intervention(base_model_of(model, "t"), "scale", [(NeuronId(0, 3), 1.0)], "generated")
    made.write(tmp_path / "nothing.json")
    ours = detox_hf(gpt2_folder, intervention=str(tmp_path / "nothing.json"), **options)
    theirs = detox_hf(gpt2_folder, **options)
    pairs = asked(*PAIRS, ("a longer context than the window", " goes on"))
    rolling = [Instance("loglikelihood_rolling", {}, ("a long document " * 20,), 0)]
    tolerance = 0.05 if "mixed_precision_dtype" in options else 1e-3
    for (value, greedy), (wanted, likeliest) in zip(
        ours.loglikelihood(pairs), theirs.loglikelihood(pairs), strict=True
    ):
        assert value == pytest.approx(wanted, rel=tolerance)
        assert greedy == likeliest
    (value,), (wanted,) = (each.loglikelihood_rolling(rolling) for each in (ours, theirs))
    assert value == pytest.approx(wanted, rel=tolerance)


def test_values_that_are_too_large_are_one_sentence(gpt2_folder, tmp_path):
    made = intervention(base_model_of(tiny_gpt2(), "t"), "add", [(NeuronId(0, 3), 1e300)])
    made.write(tmp_path / "large.json")
    model = detox_hf(gpt2_folder, intervention=str(tmp_path / "large.json"))
    with pytest.raises(BadIntervention, match=r"values too large for torch\.float32"):
        model.loglikelihood(asked(*PAIRS))
    with pytest.raises(BadIntervention, match="values too large"):
        model.generate_until(repeated(0), disable_tqdm=True)


@pytest.mark.parametrize("positions", ["all", "generated"])
def test_logits_that_are_no_numbers_are_never_a_score(gpt2_folder, tmp_path, positions):
    made = intervention(base_model_of(tiny_gpt2(), "t"), "add", [(NeuronId(0, 3), 3e38)], positions)
    made.write(tmp_path / "large.json")
    model = detox_hf(gpt2_folder, intervention=str(tmp_path / "large.json"))
    with pytest.raises(DetoxBenchError, match="not numbers"):
        model.loglikelihood(asked(*PAIRS))
    with pytest.raises(DetoxBenchError, match="not numbers"):
        model.generate_until(repeated(0), disable_tqdm=True)


def test_a_model_with_an_adapter_is_the_same_however_it_is_loaded(gpt2_folder, tmp_path):
    from peft import LoraConfig, PeftModel, get_peft_model
    from transformers import AutoModelForCausalLM

    tuned = get_peft_model(tiny_gpt2(), LoraConfig(r=2, target_modules=["c_attn"]))
    tuned.peft_config["default"].base_model_name_or_path = str(gpt2_folder)
    tuned.save_pretrained(tmp_path / "adapter")
    alone = AutoModelForCausalLM.from_pretrained(tmp_path / "adapter")
    wrapped = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(gpt2_folder), tmp_path / "adapter"
    )
    assert base_model_of(alone, "a").fingerprint == base_model_of(wrapped, "a").fingerprint
    assert base_model_of(alone, "a").fingerprint != base_model_of(tiny_gpt2(), "a").fingerprint
    file, _ = written(tmp_path, alone)
    both = detox_hf(gpt2_folder, peft=str(tmp_path / "adapter"), intervention=str(file))
    assert both.get_model_info()["detox_intervention"]["forced_over"] is None


@pytest.mark.parametrize("positions", ["all", "generated"])
def test_sampling_is_edited_whatever_the_batch_size(gpt2_folder, plain, tmp_path, positions):
    file, _ = written(tmp_path, positions=positions)
    one, many = (
        detox_hf(gpt2_folder, intervention=str(file), batch_size=size).generate_until(
            repeated(0, 1), disable_tqdm=True
        )
        for size in (1, 8)
    )
    assert one == many
    assert one != plain.generate_until(repeated(0, 1), disable_tqdm=True)


def test_greedy_texts_of_lm_eval_s_own_engine_are_edited_too(gpt2_folder, plain, tmp_path):
    file, _ = written(tmp_path, positions="generated")
    greedy = repeated(0, 1, kwargs={"do_sample": False, "max_gen_toks": 8, "until": []})
    edited_texts = detox_hf(gpt2_folder, intervention=str(file)).generate_until(greedy, True)
    assert edited_texts != plain.generate_until(greedy, True)
    model, tokenizer = tiny_gpt2(), byte_tokenizer()
    with edited(model, read_intervention(file)):
        for request, text in zip(greedy, edited_texts, strict=True):
            ids = tokenizer(request.args[0])["input_ids"]
            ((found,),) = greedy_batches(CausalModel(model), [ids], 8, [256])
            assert tokenizer.decode(found.tokens) == text


def test_results_and_run_folders_name_the_intervention(gpt2_folder, tmp_path):
    file, made = written(tmp_path)
    run = str(tmp_path / "run")
    model = detox_hf(gpt2_folder, intervention=str(file), run_folder=run)
    said = model.get_model_info()["detox_intervention"]
    assert (said["sha256"], said["n_neurons"], said["forced_over"]) == (made.sha256, 2, None)
    assert said["operator"] == "add" and "edits" not in said
    model.generate_until(repeated(0), disable_tqdm=True)
    with pytest.raises(BadRunFolder, match="intervention is"):
        detox_hf(gpt2_folder, run_folder=run).generate_until(repeated(0), disable_tqdm=True)


def test_one_made_for_another_model_is_refused_and_forcing_it_is_recorded(gpt2_folder, tmp_path):
    file, _ = written(tmp_path, tiny_gpt2(seed=1))
    with pytest.raises(BadIntervention, match="made for another model"):
        detox_hf(gpt2_folder, intervention=str(file))
    model = detox_hf(gpt2_folder, intervention=str(file), force_intervention=True)
    assert "weights" in model.get_model_info()["detox_intervention"]["forced_over"]


def test_a_model_that_takes_none_is_refused_before_it_is_loaded(tmp_path, gpt2_folder):
    file, _ = written(tmp_path)
    arguments = ["--tasks", "rtplx_toxicity_de", "--model_args"]
    said = refused("--model", "hf", *arguments, f"pretrained={gpt2_folder},intervention={file}")
    assert "--model hf takes no intervention" in said and "export" in said
    missing = f"pretrained={gpt2_folder},intervention={tmp_path}/none.json"
    assert "cannot be read" in refused("--model", "detox-hf", *arguments, missing)
