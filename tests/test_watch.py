"""The watch: what it measures, when it stops a training, and that it changes nothing of it."""

import json
import logging
import random
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from datasets import Dataset
from doubles import HashScorer
from rich.console import Console
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PrinterCallback,
    ProgressCallback,
    TrainerCallback,
)

from detox_bench.errors import BadData, DetoxBenchError, ScorerUnavailable, UnknownName
from detox_bench.modeling.likelihood import Continuation, log_probabilities, perplexity
from detox_bench.trainers.watch import Watch, WatchOptions, logged, reason_to_stop, watch_training
from detox_bench.trainers.watch_display import LiveTable, comparison, line
from detox_bench.trainers.watch_file import WatchFile
from detox_bench.trainers.watch_measure import _choose
from detox_bench.trainers.watch_quiet import loaded_once, undisturbed, without_adapter
from detox_bench.trainers.watch_records import LanguageReading, WatchRecord
from detox_bench.trainers.watch_trainer import reference_of

trl = pytest.importorskip("trl", reason="needs the train extra")
peft = pytest.importorskip("peft", reason="needs the train extra")

SMALL = WatchOptions(
    every=2, languages=("en", "de"), prompts=2, samples=2, new_tokens=6, source="sample"
)
PAIRS = [
    {"prompt": f"prompt {n}", "chosen": " you are kind", "rejected": " you fool"} for n in range(8)
]


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder)


def lora():
    return peft.LoraConfig(r=2, lora_alpha=64, target_modules=["c_attn"], task_type="CAUSAL_LM")


def make_trainer(folder, output, steps=4, peft_config=None, model=None, **options):
    settings = {
        "output_dir": str(output),
        "max_steps": steps,
        "per_device_train_batch_size": 2,
        "learning_rate": 0.05,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "bf16": False,
        "max_length": 64,
        "disable_tqdm": True,
        **options,
    }
    return trl.DPOTrainer(
        model=model or load(folder),
        args=trl.DPOConfig(**settings),
        train_dataset=Dataset.from_list(PAIRS),
        processing_class=AutoTokenizer.from_pretrained(folder, pad_token="!"),
        peft_config=peft_config,
    )


def weights(trainer):
    return {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}


def lines_of(output):
    return [json.loads(each) for each in (output / "watch.jsonl").read_text("utf-8").splitlines()]


def measuring(folder, options=SMALL, **kwargs):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return Watch(load(folder), tokenizer, options, scorer=HashScorer(), **kwargs)


def reading(toxicity=0.5, perplexity=10.0, **fields):
    found = LanguageReading(toxicity, 0.2, perplexity, 0.0, 0.1, 40, 0, 8)
    return replace(found, **fields)


def test_training_writes_what_it_saw_and_tells_the_trackers(gpt2_folder, tmp_path):
    trainer = make_trainer(gpt2_folder, tmp_path)
    seen = watch_training(trainer, SMALL, scorer=HashScorer())
    trainer.train()
    lines = lines_of(tmp_path)
    steps = [(each["step"], each["language"]) for each in lines]
    assert steps == [(step, code) for step in (0, 2, 4) for code in ("en", "de")]
    assert {each["n"] for each in lines} == {4}
    assert {each["scorer"] for each in lines} == {HashScorer().id}
    assert [each["perplexity_ratio"] for each in lines[:2]] == [1.0, 1.0]
    assert lines[0]["perplexity"] != lines[-2]["perplexity"]
    assert lines[0]["settings"]["top_k"] == 0
    found = [log for log in trainer.state.log_history if "watch/en/toxicity_probability" in log]
    assert [log["step"] for log in found] == [0, 2, 4]
    assert found[0]["watch/de/average_toxicity"] == lines[1]["average_toxicity"]
    assert seen.stopped_because is None


@pytest.mark.parametrize("adapter", [False, True], ids=["full", "lora"])
@pytest.mark.parametrize("checkpointing", [False, True], ids=["plain", "checkpointing"])
def test_the_weights_are_those_of_an_unwatched_training(
    gpt2_folder, tmp_path, adapter, checkpointing
):
    found = []
    for watched in (False, True):
        trainer = make_trainer(
            gpt2_folder,
            tmp_path / str(watched),
            peft_config=lora() if adapter else None,
            gradient_checkpointing=checkpointing,
        )
        if watched:
            watch_training(trainer, replace(SMALL, every=1), scorer=HashScorer())
        trainer.train()
        losses = [log["loss"] for log in trainer.state.log_history if "loss" in log]
        rewards = [log["rewards/margins"] for log in trainer.state.log_history if "loss" in log]
        found.append((weights(trainer), losses, rewards, torch.rand(1).item(), random.random()))
    (plain, *rest), (watched, *other) = found
    assert plain.keys() == watched.keys()
    assert all(torch.equal(plain[name], watched[name]) for name in plain)
    assert rest[:2] == other[:2]  # what the trainer gathers for its log is left to it
    assert len(rest[0]) == 4


def test_the_seeds_of_random_numbers_and_modes_and_flags_are_left_alone(gpt2_folder):
    watch = measuring(gpt2_folder)
    model = watch.model.train()
    model.transformer.h[1].eval()
    model.gradient_checkpointing_enable()
    model.lm_head.weight.requires_grad_(False)
    before = (torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate())
    flags = [(m.training, getattr(m, "gradient_checkpointing", None)) for m in model.modules()]
    watch.measure(0)
    after = (torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate())
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]
    assert flags == [
        (m.training, getattr(m, "gradient_checkpointing", None)) for m in model.modules()
    ]
    assert not model.lm_head.weight.requires_grad
    assert model.transformer.h[0].attn.c_attn.weight.requires_grad


def test_all_is_put_back_after_an_error(gpt2_folder):
    model = load(gpt2_folder).train()
    state = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), undisturbed(model):
        torch.rand(3)
        assert not model.training
        raise ZeroDivisionError
    assert model.training
    assert torch.equal(state, torch.get_rng_state())


def test_a_measurement_is_the_same_each_time_and_as_worked_out_slowly(gpt2_folder):
    reference = load(gpt2_folder)
    watch = measuring(gpt2_folder, reference=loaded_once(lambda: reference, reference))
    first, second = watch.measure(0), watch.measure(5)
    assert first.languages == second.languages
    drawn = watch._draw()["en"]
    scores = [each.value for each in watch.scorer.score(watch._texts(drawn), "en")]
    assert first.languages["en"].average_toxicity == pytest.approx(sum(scores) / 4)
    by_prompt = [max(scores[:2]) >= 0.5, max(scores[2:]) >= 0.5]
    assert first.languages["en"].toxicity_probability == sum(by_prompt) / 2
    asked = [Continuation(each.request.tokens, tuple(each.tokens)) for each in drawn]
    values = [perplexity(each) for each in log_probabilities(reference, asked)]
    assert first.languages["en"].perplexity == pytest.approx(float(np.median(values)))


def test_the_reference_of_an_adapter_is_the_model_without_it_or_its_frozen_copy(gpt2_folder):
    base = load(gpt2_folder).eval()
    ids = torch.tensor([[1, 2, 3]])
    expected = base(ids).logits
    model = peft.get_peft_model(load(gpt2_folder), lora()).eval()
    for name, parameter in model.named_parameters():
        if "lora" in name:
            parameter.data.fill_(0.1)
    adapted = model(ids).logits
    assert not torch.allclose(adapted, expected)
    with without_adapter(model)() as reference:
        assert torch.equal(reference(ids).logits, expected)
    model.add_adapter("ref", lora())
    for name, parameter in model.named_parameters():
        if ".ref." in name:
            parameter.data.fill_(0.2)
    with without_adapter(model)() as reference:
        assert not torch.allclose(reference(ids).logits, expected)
        assert not torch.allclose(reference(ids).logits, adapted)
    assert torch.equal(model(ids).logits, adapted)


def test_a_reference_is_moved_to_where_the_model_lies_when_it_is_first_used(gpt2_folder):
    reference, trained = load(gpt2_folder), SimpleNamespace(device=torch.device("cpu"))
    held = loaded_once(lambda: reference, trained)
    trained.device = torch.device("meta")  # a trainer places its model after the watch is made
    for _ in range(2):
        with held() as model:
            assert model.device == torch.device("meta")


def test_the_reference_that_is_loaded_lies_beside_the_trained_model(gpt2_folder, tmp_path):
    trainer = make_trainer(gpt2_folder, tmp_path)
    trainer.ref_model = None
    trainer.model.to("meta")
    reference = reference_of(trainer, SMALL, lambda: load(gpt2_folder))
    with reference() as model:
        assert model.device == torch.device("meta")


def test_perplexity_turned_off_loads_no_reference(gpt2_folder, tmp_path):
    def never():
        raise AssertionError

    watch = measuring(gpt2_folder, replace(SMALL, perplexity=False), reference=never)
    assert watch.measure(0).languages["en"].perplexity is None


def test_unscored_samples_are_counted_and_never_zero(gpt2_folder, caplog):
    watch = measuring(gpt2_folder)
    whole = watch.measure(0).languages["en"]
    texts = sorted(set(watch._texts(watch._draw()["en"])))
    watch.scorer.fails = lambda text: text == texts[0]
    watch.scorer.id = "hash@2#000000000000"  # the cache knows nothing of it
    part = watch.measure(0).languages["en"]
    assert part.n_unscored >= 1
    assert part.n == whole.n == 4
    watch.scorer.fails, watch.scorer.id = (lambda text: True), "hash@3#000000000000"
    with pytest.raises(ScorerUnavailable, match="failed on each"):
        watch.measure(0)
    none = watch.measure(2)
    assert none.languages["de"].toxicity_probability is None
    assert none.languages["de"].n_unscored == 4
    assert none.toxicity_probability is None
    assert "no scores in en at step 2" in caplog.text


def test_the_same_items_are_watched_in_every_language():
    items = {
        code: [prompt.id.rpartition("/")[2] for prompt in _choose(code, replace(SMALL, prompts=8))]
        for code in ("en", "ar", "zh-Hans")
    }
    assert items["en"] == items["ar"] == items["zh-Hans"]
    other = _choose("en", replace(SMALL, prompts=8, seed=1))
    assert [prompt.id.rpartition("/")[2] for prompt in other] != items["en"]


def test_it_stops_at_the_target_and_says_why(gpt2_folder, tmp_path):
    trainer = make_trainer(gpt2_folder, tmp_path, steps=6)
    scorer = HashScorer()
    watch = watch_training(trainer, replace(SMALL, target=0.1), scorer=scorer)

    class Calm(TrainerCallback):
        def on_step_begin(self, args, state, control, **_):
            scorer.id, scorer.threshold = "hash@4#000000000000", 1.0

    scorer.threshold = 0.0
    trainer.add_callback(Calm())
    trainer.train()
    assert trainer.state.global_step == 2
    assert watch.stopped_because.startswith(
        "Stopped at step 2: the mean toxicity probability is 0.00, at or below the target of 0.1"
    )
    assert lines_of(tmp_path)[-1]["step"] == 2


def test_a_target_that_is_met_before_training_is_an_error(gpt2_folder, tmp_path):
    trainer = make_trainer(gpt2_folder, tmp_path)
    watch_training(trainer, replace(SMALL, target=1.0), scorer=HashScorer())
    with pytest.raises(DetoxBenchError, match="met before training"):
        trainer.train()


def test_it_stops_when_the_perplexity_budget_is_spent():
    options = replace(SMALL, perplexity_budget=1.5, target=0.0)
    first = WatchRecord(0, {"en": reading(), "de": reading(perplexity=20.0)})
    within = WatchRecord(2, {"en": reading(perplexity=15.0), "de": reading(perplexity=30.0)})
    spent = WatchRecord(4, {"en": reading(perplexity=12.0), "de": reading(perplexity=40.0)})
    assert reason_to_stop(options, first, within) is None  # (1.5 + 1.5) / 2 is not above 1.5
    reason = reason_to_stop(options, first, spent)  # (1.2 + 2.0) / 2 = 1.6
    assert "1.60 times that of step 0" in reason
    assert "(de 2.00)" in reason


def test_a_language_without_a_score_does_not_reach_the_target():
    options = replace(SMALL, target=0.5)
    silent = WatchRecord(2, {"en": reading(0.1), "de": reading(None)})
    assert silent.toxicity_probability is None
    assert reason_to_stop(options, silent, silent) is None


def test_what_is_logged_has_no_none():
    record = WatchRecord(2, {"en": reading(), "de": reading(None, None)})
    found = logged(record, record)
    assert found["watch/en/perplexity_ratio"] == found["watch/mean/perplexity_ratio"] == 1.0
    assert "watch/de/toxicity_probability" not in found
    assert "watch/mean/toxicity_probability" not in found
    assert all(isinstance(value, int | float) for value in found.values())


def test_a_resumed_training_reads_step_0_and_drops_what_is_made_again(gpt2_folder, tmp_path):
    saving = {"save_strategy": "steps", "save_steps": 2}
    trainer = make_trainer(gpt2_folder, tmp_path, **saving)
    watch_training(trainer, replace(SMALL, every=1), scorer=HashScorer())
    trainer.train()
    before = lines_of(tmp_path)
    with (tmp_path / "watch.jsonl").open("a") as out:
        out.write('{"step": 5, "lang')  # the process was killed here
    trainer = make_trainer(gpt2_folder, tmp_path, **saving)
    watch = watch_training(trainer, replace(SMALL, every=1), scorer=HashScorer())
    trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    drop = {"seconds"}
    after = [{k: v for k, v in each.items() if k not in drop} for each in lines_of(tmp_path)]
    assert after == [{k: v for k, v in each.items() if k not in drop} for each in before]
    assert [record.step for record in watch.records] == [0, 1, 2, 3, 4]


def test_a_file_that_was_measured_otherwise_is_refused_on_resuming(tmp_path):
    record = WatchRecord(0, {"en": reading()})
    file = WatchFile(tmp_path / "watch.jsonl", {"scorer": "hash@1", "seed": 0})
    file.add(record, record, 1.0)
    assert file.begin(2) == [record]
    with pytest.raises(DetoxBenchError, match="measured with seed 0, now it is 7"):
        WatchFile(file.path, {"scorer": "hash@1", "seed": 7}).begin(2)
    assert lines_of(tmp_path)[0]["seed"] == 0  # it is as it was
    file.path.write_text("{\n{}\n")
    with pytest.raises(BadData, match="line 1 is no JSON"):
        file.begin(2)
    assert file.begin(0) == []


def test_it_is_off_when_asked_never(gpt2_folder, tmp_path):
    trainer = SimpleNamespace(add_callback=None)
    assert watch_training(trainer, WatchOptions(every=0)) is None


def test_a_sharded_model_is_refused(gpt2_folder, tmp_path):
    trainer = make_trainer(gpt2_folder, tmp_path)
    trainer.is_fsdp_enabled = True
    with pytest.raises(DetoxBenchError, match="while FSDP spreads the model"):
        watch_training(trainer, SMALL, scorer=HashScorer())


def test_a_budget_without_a_reference_is_refused(gpt2_folder, tmp_path, caplog):
    trainer = make_trainer(gpt2_folder, tmp_path)
    trainer.ref_model = None
    with pytest.raises(DetoxBenchError, match="needs a reference model"):
        watch_training(trainer, replace(SMALL, perplexity_budget=1.5), scorer=HashScorer())
    with caplog.at_level(logging.WARNING):
        watch_training(trainer, SMALL, scorer=HashScorer())
    assert "measures no perplexity" in caplog.text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"every": -1}, "every is -1: give 0 or more"),
        ({"samples": 0}, "samples is 0"),
        ({"languages": ()}, "no languages"),
        ({"perplexity": False, "perplexity_budget": 1.5}, "needs the perplexity"),
    ],
)
def test_options_that_mean_nothing_are_refused(changes, words):
    with pytest.raises(DetoxBenchError, match=words):
        replace(SMALL, **changes)


def test_names_and_windows_fail_before_training(gpt2_folder):
    with pytest.raises(UnknownName, match="Unknown language 'xx'"):
        measuring(gpt2_folder, replace(SMALL, languages=("xx",)))
    with pytest.raises(DetoxBenchError, match="do not fit a window of 128"):
        measuring(gpt2_folder, replace(SMALL, new_tokens=128))


def test_a_terminal_gets_a_table_in_place_of_the_bar(gpt2_folder, tmp_path, monkeypatch):
    console = Console(
        force_terminal=True, width=140, record=True, file=(tmp_path / "out").open("w")
    )
    monkeypatch.setattr("detox_bench.trainers.watch.display", lambda: LiveTable(console))
    trainer = make_trainer(gpt2_folder, tmp_path, disable_tqdm=False)
    watch_training(trainer, SMALL, scorer=HashScorer())
    kinds = [type(each) for each in trainer.callback_handler.callbacks]
    assert ProgressCallback not in kinds
    assert PrinterCallback in kinds
    trainer.train()
    shown = console.export_text()
    assert "Step 4" in shown
    assert "4/4" in shown


def test_the_line_and_the_table_say_what_changed():
    first = WatchRecord(0, {"en": reading(0.9), "ar": reading(1.0, None)})
    now = WatchRecord(50, {"en": reading(0.3, 12.0), "ar": reading(None, None, n_unscored=40)})
    assert line(first, now) == (
        "step 50: toxicity probability en 0.90→0.30, ar 1.00→–; "
        "empty 0.00, repetition 0.10, perplexity ×1.20, 40 unscored"
    )
    console = Console(width=140, record=True, file=None, quiet=False)
    with console.capture() as captured:
        console.print(comparison(first, now))
    assert "0.90 → 0.30" in captured.get()
    assert "ar (40 of 40 unscored)" in captured.get()
