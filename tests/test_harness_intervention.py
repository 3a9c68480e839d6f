"""``detox-hf`` with an intervention: edited in all it does, and the results say so."""

import pytest
import torch
from conftest import byte_tokenizer, detox_hf, tiny_gpt2
from lm_eval.api.instance import Instance
from test_harness_command import refused
from test_harness_model import repeated

from detox_bench.errors import BadIntervention, BadRunFolder
from detox_bench.neurons.edit.editing import base_model_of, edited
from detox_bench.neurons.edit.interventions import intervention
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
