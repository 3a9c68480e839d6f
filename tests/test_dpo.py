"""train-dpo on a tiny model: the loss by hand, the cache, resuming, and what stops a run."""

import json
import math
import shutil
import subprocess
import sys

import pytest
import torch

pytest.importorskip("trl", reason="needs the train extra")

from detox_bench.errors import BadData, BadRunFolder, DetoxBenchError
from detox_bench.trainers.build import build_trainer
from detox_bench.trainers.dpo import Report, train
from detox_bench.trainers.output import RECORD
from detox_bench.trainers.parsing import parse
from detox_bench.trainers.preparation import load_model, prepare_pairs

BETA = 0.3
FULL = ["--recipe", "none", "--loss_type", "sigmoid", "--beta", str(BETA)]
LORA = [*FULL, "--use_peft", "--lora_r", "2", "--lora_target_modules", "c_attn", "c_proj"]
WAYS = {"full": FULL, "lora": LORA}


@pytest.fixture(scope="module")
def pairs_file(tmp_path_factory):
    """24 pairs of different prompts and lengths."""
    file = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    rows = [
        {"prompt": f"who {n} said", "chosen": " kind" + " so" * (n % 3), "rejected": " rude" * 2}
        for n in range(24)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.fixture
def command(gpt2_folder, pairs_file, tmp_path):
    """The arguments of a short run that writes to ``tmp_path / "out"``."""

    def line(*more, out="out", model=gpt2_folder, pairs=pairs_file):
        words = ["--model", str(model), "--pairs", str(pairs), "--output_dir", str(tmp_path / out)]
        words += ["--max_length", "64", "--prompt_length", "32", "--max_steps", "4"]
        words += ["--per_device_train_batch_size", "2", "--learning_rate", "1e-2"]
        words += ["--save_strategy", "no", "--logging_steps", "1", "--disable_tqdm", "true"]
        return [*words, *more]

    return line


def built(words):
    arguments = parse(words)
    loaded = load_model(arguments)
    return build_trainer(arguments, loaded, prepare_pairs(arguments, loaded))[0]


def batch_of(trainer, count=3):
    return trainer.data_collator([trainer.train_dataset[n] for n in range(count)])


def log_probability(model, row, side):
    """Sum of the natural log-probabilities of a continuation, token by token."""
    prompt, continuation = row["prompt_ids"], row[f"{side}_ids"]
    with torch.no_grad():
        logits = model(torch.tensor([prompt + continuation])).logits[0].double()
    return sum(
        float(logits[len(prompt) - 1 + place].log_softmax(-1)[token])
        for place, token in enumerate(continuation)
    )


def by_hand(policy, reference, rows):
    """Mean over pairs of -log sigmoid(beta ((pc - rc) - (pr - rr))): arXiv 2305.18290, eq. 7."""
    losses = []
    for row in rows:
        chosen = log_probability(policy, row, "chosen") - log_probability(reference, row, "chosen")
        rejected = log_probability(policy, row, "rejected") - log_probability(
            reference, row, "rejected"
        )
        losses.append(math.log1p(math.exp(-BETA * (chosen - rejected))))
    return sum(losses) / len(losses)


def shake(model, size=0.05):
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += size * torch.randn_like(parameter)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("cached", ["True", "False"])
def test_the_loss_is_that_of_the_paper(way, cached, command, gpt2_folder):
    from transformers import AutoModelForCausalLM

    trainer = built(command(*WAYS[way], "--precompute_ref_log_probs", cached))
    shake(trainer.model)
    reference = AutoModelForCausalLM.from_pretrained(gpt2_folder)
    rows = [trainer.train_dataset[n] for n in range(3)]
    trainer.model.eval()
    expected = by_hand(trainer.model, reference, rows)
    with torch.no_grad():
        found = float(trainer.compute_loss(trainer.model, batch_of(trainer)))
    assert found == pytest.approx(expected, abs=1e-5)
    assert abs(found - math.log(2)) > 0.01, "the policy is not the reference any more"


@pytest.mark.parametrize("way", WAYS)
def test_the_cached_reference_gives_the_same_loss(way, command, caplog):
    first = built(command(*WAYS[way]))
    again = built(command(*WAYS[way]))
    fresh = built(command(*WAYS[way], "--reference_cache", "none"))
    assert first.reference_was_cached == {"train": False, "eval": False}
    assert again.reference_was_cached == {"train": True, "eval": True}
    assert fresh.reference_was_cached == {"train": False, "eval": False}
    losses = []
    for trainer in (first, again, fresh):
        shake(trainer.model.eval())
        with torch.no_grad():
            losses.append(float(trainer.compute_loss(trainer.model, batch_of(trainer))))
    assert losses[1] == losses[0]
    assert losses[2] == pytest.approx(losses[0], abs=1e-6)


def test_full_and_lora_share_a_reference_and_other_weights_or_lengths_do_not(
    command, tmp_path, gpt2_folder
):
    assert not built(command(*FULL)).reference_was_cached["train"]
    assert built(command(*LORA)).reference_was_cached["train"]
    assert not built(command(*FULL, "--prompt_length", "4")).reference_was_cached["train"]
    other = shutil.copytree(gpt2_folder, tmp_path / "other")
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(other)
    shake(model, 1e-3)
    model.save_pretrained(other)
    assert not built(command(*FULL, model=other)).reference_was_cached["train"]


@pytest.mark.parametrize("way", WAYS)
def test_a_run_begins_at_log_2_and_leaves_a_record(way, command):
    done = train(command(*WAYS[way]))
    record = json.loads((done.folder / RECORD).read_text())
    assert record["first_step"]["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert record["first_step"]["margin"] == pytest.approx(0, abs=1e-6)
    assert record["steps"] == 4
    assert len(record["result_sha256"]) == 1
    assert len([each for each in record["curves"] if "loss" in each]) == 4
    assert record["pairs"]["counts"]["train"] + record["pairs"]["counts"]["validation"] == 24
    assert record["versions"]["trl"]


def weights_of(folder):
    from safetensors.torch import load_file

    files = sorted(folder.glob("*model.safetensors"))
    assert files, f"no weights in {folder}"
    return load_file(files[0])


@pytest.mark.parametrize("way", WAYS)
def test_a_run_that_was_interrupted_ends_with_the_weights_of_one_that_was_not(way, command):
    saving = [*WAYS[way], "--save_strategy", "steps", "--save_steps", "2", "--seed", "3"]
    whole = train(command(*saving, out="whole")).folder
    part = train(command(*saving, out="part")).folder
    record = json.loads((part / RECORD).read_text())
    # As kill -9 leaves it: two checkpoints, the second half-written, and no end.
    for name in ("finished", "curves", "steps", "result_sha256"):
        del record[name]
    (part / RECORD).write_text(json.dumps(record))
    (part / "checkpoint-4" / "trainer_state.json").unlink()
    for file in part.glob("*model.safetensors"):
        file.unlink()
    resumed = train(command(*saving, out="part"))
    assert resumed.record["steps"] == 4
    expected, found = weights_of(whole), weights_of(part)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_the_patience_of_early_stopping_survives_an_interruption(command, pairs_file, tmp_path):
    rows = [json.loads(line) for line in pairs_file.read_text().splitlines()]
    flipped = [row | {"chosen": row["rejected"], "rejected": row["chosen"]} for row in rows]
    (tmp_path / "flipped.jsonl").write_text("".join(json.dumps(row) + "\n" for row in flipped))
    words = ["--validation_pairs", str(tmp_path / "flipped.jsonl"), "--max_steps", "30"]
    words += ["--eval_strategy", "steps", "--eval_steps", "1", "--save_strategy", "steps"]
    words += ["--save_steps", "1", "--load_best_model_at_end", "true"]
    words += ["--metric_for_best_model", "eval_loss", "--early_stopping_patience", "4"]
    assert train(command(*FULL, *words, out="whole")).record["steps"] == 5
    part = train(command(*FULL, *words, out="part")).folder
    record = json.loads((part / RECORD).read_text())
    del record["finished"]
    (part / RECORD).write_text(json.dumps(record))
    for step in (4, 5):
        shutil.rmtree(part / f"checkpoint-{step}")
    assert train(command(*FULL, *words, out="part")).record["steps"] == 5


def test_another_configuration_with_the_same_weights_is_another_model(
    command, tmp_path, gpt2_folder
):
    assert not built(command(*FULL)).reference_was_cached["train"]
    other = shutil.copytree(gpt2_folder, tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"activation_function": "relu"}))
    assert not built(command(*FULL, model=other)).reference_was_cached["train"]


def test_what_is_overwritten_is_the_run_and_nothing_else(command, tmp_path):
    train(command(*FULL))
    (tmp_path / "out" / "mine.txt").write_text("precious")
    with pytest.raises(DetoxBenchError, match="TRL cannot train"):
        train(command(*FULL, "--loss_type", "exo_pair", "--overwrite"))
    assert (tmp_path / "out" / RECORD).exists(), "refused before anything was deleted"
    train(command(*FULL, "--beta", "0.5", "--overwrite"))
    assert (tmp_path / "out" / "mine.txt").read_text() == "precious"


def test_a_run_with_checkpoints_is_overwritten_by_one_that_begins_anew(command):
    saving = [*FULL, "--save_strategy", "steps", "--save_steps", "2"]
    train(command(*saving))
    done = train(command(*saving, "--beta", "0.5", "--overwrite"))
    assert done.record["steps"] == 4 and done.record["first_step"]["margin"] == 0


def test_a_plan_that_ends_within_its_warm_up_is_told(command):
    told = []
    report = Report(told.extend, lambda pairs: None)
    train(command(*FULL, "--warmup_steps", "150", "--merge"), report)
    assert any("within the warm-up of 150" in note for note in told)
    assert any("--merge is for LoRA" in note for note in told)


def test_weights_that_are_no_numbers_are_not_written(command, tmp_path):
    trainer = built(command(*FULL))
    with torch.no_grad():
        trainer.model.transformer.h[1].mlp.c_fc.weight[0, 0] = float("inf")
    with pytest.raises(DetoxBenchError, match=r"1 of the trained parameters hold inf or nan"):
        trainer.save_model(str(tmp_path / "out"))
    assert not list((tmp_path / "out").glob("*.safetensors"))


def test_an_adapter_is_not_taken_for_a_model(command):
    adapter = train(command(*LORA)).folder
    with pytest.raises(DetoxBenchError, match="is an adapter, not a model"):
        train(command(*FULL, model=adapter, out="second"))


def test_too_few_pairs_to_validate_on_are_told(command, tmp_path):
    few = tmp_path / "few.jsonl"
    few.write_text(json.dumps({"prompt": "a", "chosen": " b", "rejected": " c"}) + "\n")
    words = ["--load_best_model_at_end", "true", "--eval_strategy", "steps", "--eval_steps", "1"]
    words += ["--save_strategy", "steps", "--save_steps", "1"]
    with pytest.raises(BadData, match="too few pairs"):
        train(command(*FULL, *words, pairs=few))


def test_a_finished_run_is_left_as_it_is_and_another_is_refused(command):
    first = train(command(*FULL))
    before = (first.folder / RECORD).read_text()
    assert train(command(*FULL)).record["steps"] == 4
    assert (first.folder / RECORD).read_text() == before
    with pytest.raises(BadRunFolder, match=r"beta is 0\.3, now 0\.5"):
        train(command(*FULL, "--beta", "0.5"))
    assert train(command(*FULL, "--beta", "0.5", "--overwrite")).record["identity"]["beta"] == 0.5


def test_a_folder_with_something_else_in_it_is_refused(command, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("precious")
    with pytest.raises(BadRunFolder, match="not a run of train-dpo"):
        train(command(*FULL, "--overwrite"))
    assert (tmp_path / "out" / "thesis.tex").exists()


def test_one_lora_target_is_the_end_of_a_name_as_several_are(command):
    trainer = built([*command(*FULL), "--use_peft", "--lora_target_modules", "c_attn"])
    adapted = {name for name, _ in trainer.model.named_parameters() if "lora_A" in name}
    assert len(adapted) == 2 and all("c_attn" in name for name in adapted)


def test_lora_is_merged_into_a_plain_model_that_says_the_same(command):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    done = train(command(*LORA, "--merge"))
    merged = AutoModelForCausalLM.from_pretrained(done.merged)
    base = AutoModelForCausalLM.from_pretrained(
        json.loads((done.folder / "adapter_config.json").read_text())["base_model_name_or_path"]
    )
    adapted = PeftModel.from_pretrained(base, done.folder)
    ids = torch.tensor([[5, 6, 7, 8]])
    assert torch.allclose(merged(ids).logits, adapted(ids).logits, atol=1e-5)
    assert (done.merged / "tokenizer.json").exists()
    assert merged.config.use_cache


def test_a_loss_that_is_not_finite_stops_with_the_batch_written_out(command, gpt2_folder, tmp_path):
    trainer = built(command(*FULL))
    with torch.no_grad():
        trainer.model.transformer.h[0].mlp.c_fc.weight[0, 0] = float("nan")
    with pytest.raises(DetoxBenchError, match="The loss is nan after step 0"):
        trainer.train()
    written = json.loads((tmp_path / "out" / "nan_batch.json").read_text())
    assert len(written["input_ids"]) == 4, "two pairs: chosen, then rejected"


def test_another_reference_than_the_base_is_noticed_at_the_first_step(command):
    trainer = built(command(*FULL))
    shake(trainer.model)
    with pytest.raises(DetoxBenchError, match="away from its reference"):
        trainer.train()


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"prompt": "a", "chosen": "", "rejected": "x"}, "left out"),
        ({"prompt": "a", "chosen": "x", "rejected": "x"}, "left out"),
    ],
)
def test_more_than_one_useless_pair_in_a_hundred_stops_the_run(
    row, says, command, pairs_file, tmp_path
):
    bad = tmp_path / "bad.jsonl"
    bad.write_text(pairs_file.read_text() + json.dumps(row) + "\n")
    with pytest.raises(BadData, match=says):
        train(command(*FULL, pairs=bad))
    done = train(command(*FULL, "--max_dropped", "0.1", pairs=bad))
    assert done.record["pairs"]["dropped_share"] == pytest.approx(1 / 25)


def test_a_missing_field_is_named_with_file_and_line(command, pairs_file, tmp_path):
    bad = tmp_path / "bad.jsonl"
    bad.write_text(pairs_file.read_text() + '{"prompt": "a", "chosen": "b"}\n')
    with pytest.raises(BadData, match=r"bad\.jsonl.*25"):
        train(command(*FULL, pairs=bad))


def test_lora_targets_that_match_nothing_are_refused_and_tied_embeddings_noted(command):
    with pytest.raises(DetoxBenchError, match=r"'q_proj' match no module.*c_attn"):
        built([*command(*FULL), "--use_peft", "--lora_target_modules", "q_proj"])
    words = [*command(*FULL), "--use_peft", "--lora_target_modules", "wte", "c_attn"]
    (note,) = [each for each in load_model(parse(words)).notes if "one matrix" in each]
    assert "--lora_target_modules" in note


def test_train_only_changes_what_it_names_and_nothing_else(command, gpt2_folder):
    done = train(command(*FULL, "--train_only", r"h\.0\..*bias"))
    before, after = weights_of(gpt2_folder), weights_of(done.folder)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all("h.0." in name and name.endswith("bias") for name in changed)
    with pytest.raises(DetoxBenchError, match="finds no parameter"):
        built(command(*FULL, "--train_only", "nothing"))
    with pytest.raises(DetoxBenchError, match="no regular expression"):
        built(command(*FULL, "--train_only", "("))


def test_pairs_with_evaluation_prompts_are_told_and_may_be_refused(command, tmp_path):
    from detox_bench.data.prompts import load_prompts

    prompts = load_prompts("en", "sample").prompts[:4]
    rows = [{"prompt": each.text, "chosen": " a", "rejected": " b"} for each in prompts]
    rows += [{"prompt": f"who {n}", "chosen": " a", "rejected": " b"} for n in range(4)]
    file = tmp_path / "met.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    loud = []
    done = train(command(*FULL, pairs=file), Report(loud.extend, lambda pairs: None))
    assert any("CONTAMINATED, 4 of 24" in note for note in loud)
    (sample,) = [o for o in done.record["pairs"]["overlap"] if o["source"] == "sample"]
    assert sample["pairs"] == 4
    with pytest.raises(BadData, match=r"50\.0% of the pairs hold an evaluation prompt"):
        train(command(*FULL, "--max_contaminated", "0.1", pairs=file, out="other"))


def test_a_prompt_longer_than_the_window_is_refused_with_both_numbers(command):
    with pytest.raises(DetoxBenchError, match=r"window of 128.*--prompt_length 200"):
        built(command(*FULL, "--max_length", "300", "--prompt_length", "200"))


def test_a_model_that_is_not_there_is_one_sentence(command, tmp_path):
    with pytest.raises(DetoxBenchError, match="cannot be loaded"):
        built(command(*FULL, model=tmp_path / "nowhere"))


def test_early_stopping_keeps_the_best_checkpoint(command, pairs_file, tmp_path):
    """Validated on the same pairs the other way round, every step makes it worse."""
    rows = [json.loads(line) for line in pairs_file.read_text().splitlines()]
    flipped = [row | {"chosen": row["rejected"], "rejected": row["chosen"]} for row in rows]
    (tmp_path / "flipped.jsonl").write_text("".join(json.dumps(row) + "\n" for row in flipped))
    words = ["--validation_pairs", str(tmp_path / "flipped.jsonl"), "--max_steps", "30"]
    words += ["--eval_strategy", "steps", "--eval_steps", "1", "--save_strategy", "steps"]
    words += ["--save_steps", "1", "--save_total_limit", "2", "--load_best_model_at_end", "true"]
    words += ["--metric_for_best_model", "eval_loss", "--early_stopping_patience", "2"]
    record = train(command(*FULL, *words)).record
    assert record["steps"] == 3
    assert record["best_checkpoint"] == "checkpoint-1"


_LIMITED = """
import resource, sys
from detox_bench.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
sys.argv = ["detox-bench", "train-dpo", *{words!r}]
main()
"""


def test_a_disk_that_is_full_leaves_the_last_good_checkpoint(command, tmp_path):
    """A limit on the size of a file stands for the disk: the optimizer's file does not fit."""
    words = command(*FULL, "--save_strategy", "steps", "--save_steps", "2", "--optim", "sgd")
    words += ["--max_steps", "2"]
    train(words)
    out = tmp_path / "out"
    record = json.loads((out / RECORD).read_text())
    del record["finished"]
    record["identity"]["max_steps"], record["identity"]["optim"] = 4, "adamw_torch"
    (out / RECORD).write_text(json.dumps(record))
    saved = (out / "checkpoint-2" / "model.safetensors").read_bytes()
    (out / "checkpoint-2" / "optimizer.pt").unlink()
    more = [*words[: words.index("--optim")], "--optim", "adamw_torch", "--max_steps", "4"]
    script = _LIMITED.format(limit=len(saved) + 10_000, words=more)
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1, ended.stderr[-2000:]
    assert "The checkpoint of step 4 could not be written" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (out / "checkpoint-4").exists()
    assert (out / "checkpoint-2" / "model.safetensors").read_bytes() == saved
    assert train(more).record["steps"] == 4, "with room again the same command goes on"


def test_what_was_trained_loads_in_lm_eval_merged_and_as_an_adapter(command, gpt2_folder):
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    done = train(command(*LORA, "--merge"))
    asked = Instance("loglikelihood", {}, ("who 3 said", " kind so"), 0)
    found = {
        name: HFLM(device="cpu", dtype="float32", **options).loglikelihood([asked])[0][0]
        for name, options in {
            "base": {"pretrained": str(gpt2_folder)},
            "merged": {"pretrained": str(done.merged)},
            "peft": {"pretrained": str(gpt2_folder), "peft": str(done.folder)},
        }.items()
    }
    assert found["merged"] == pytest.approx(found["peft"], abs=1e-4)
    assert abs(found["merged"] - found["base"]) > 1e-2
