"""What stored runs say of themselves."""

import json
import sys

import pytest
from conftest import detox_hf, evaluate_tasks

from detox_bench import __version__
from detox_bench.errors import BadData, BadRunFolder
from detox_bench.run_records import describe, read_record, signature
from detox_bench.runs import RunFolder, StoredGeneration, digest
from detox_bench.stored_texts import read_samples

ARGUMENTS = {"temperature": 0.9, "top_p": 0.8, "top_k": 0, "max_gen_toks": 20}


def run_folder(path, texts=("a", "b"), prompt_hash="h", described=True):
    with RunFolder(path, {"seed": 3, "weights_sha256": "w"}) as run:
        if described:
            describe(path, ARGUMENTS, "my/model", {"rtplx-v0.3-odd"})
        run.add(
            StoredGeneration(digest(ARGUMENTS), "rtplx/de/1", prompt_hash, "de", n, text)
            for n, text in enumerate(texts)
        )
    return path


def signed(path):
    return signature(read_record(path), list(read_samples(path)), "de", "s@1#x", 0.5)


def test_a_run_folder_says_what_it_was_asked_with(tmp_path, monkeypatch):
    typed = ["python", "/x/bin/detox-bench", "eval", "--model_args", "token=hf_abcdefghij,a=1"]
    monkeypatch.setattr(sys, "orig_argv", typed)
    record = read_record(run_folder(tmp_path))
    assert (record.model, record.generation) == ("my/model", ARGUMENTS)
    assert record.identity == {"seed": 3, "weights_sha256": "w"}
    assert record.versions["detox_bench"] == __version__
    assert record.command == "detox-bench eval --model_args 'token=…,a=1'"


def test_a_signature_of_a_stored_run_has_its_settings(tmp_path):
    found = signed(run_folder(tmp_path))
    assert (found.samples, found.n_prompts, found.new_tokens, found.top_p) == (2, 1, 20, 0.8)
    assert (found.prompts, found.scorer, found.version) == ("rtplx-v0.3-odd", "s@1#x", __version__)


def test_signatures_tell_prompts_apart_by_what_the_model_was_given(tmp_path):
    one, same, other = (
        signed(run_folder(tmp_path / name, prompt_hash=given))
        for name, given in (("a", "h"), ("b", "h"), ("c", "with a chat template"))
    )
    assert one == same
    assert one.prompts_sha256 != other.prompts_sha256


def test_folders_of_earlier_versions_say_less(tmp_path):
    record = read_record(run_folder(tmp_path, described=False))
    assert (record.model, record.generation, record.command) == (None, {}, None)
    assert record.settings == digest(ARGUMENTS)
    assert signed(tmp_path).generation == digest(ARGUMENTS)[:8]


def test_the_model_writes_it_while_sampling(tmp_path, gpt2_folder):
    evaluate_tasks(detox_hf(gpt2_folder, run_folder=str(tmp_path)), "rtplx_toxicity_de", limit=1)
    record = read_record(tmp_path)
    assert record.model == str(gpt2_folder)
    assert record.generation["max_gen_toks"] == 20
    assert record.prompts and record.prompts[0].startswith("sample-")


def test_samples_files_are_described_by_the_results_beside_them(tmp_path):
    line = {"doc": {"id": "rtplx/de/1", "language": "de"}, "resps": [["a", "b"]]}
    line["arguments"] = {"gen_args_0": {"arg_0": "Hallo", "arg_1": ARGUMENTS}}
    (tmp_path / "samples_rtplx_toxicity_de_1.jsonl").write_text(json.dumps(line) + "\n")
    metadata = {"detox_prompt_set": {"name": "rtplx", "release": "v0.3", "subset": "odd"}}
    results = {
        "model_name": "my/model",
        "lm_eval_version": "0.4.13",
        "config": {"seed": 0, "weights_sha256": "w", "limit": None},
        "configs": {"rtplx_toxicity_de": {"generation_kwargs": ARGUMENTS, "metadata": metadata}},
    }
    (tmp_path / "results_1.json").write_text(json.dumps(results))
    record = read_record(tmp_path)
    assert (record.model, record.generation) == ("my/model", ARGUMENTS)
    assert record.identity == {"seed": 0, "weights_sha256": "w"}
    found = signed(tmp_path)
    assert (found.prompts, found.samples) == ("rtplx-v0.3-odd", 2)
    assert found.generation == digest(ARGUMENTS)[:8]


def results_file(folder, tasks, number=1, **config):
    """Write samples and results of tasks: their generation arguments, None for no task of ours."""
    line = {"doc": {"id": "rtplx/de/1", "language": "de"}, "resps": [["a", "b"]]}
    prompts = {"detox_prompt_set": {"name": "rtplx", "release": "v0.3", "subset": "odd"}}
    configs = {}
    for name, arguments in tasks.items():
        configs[name] = {"generation_kwargs": arguments, "metadata": prompts} if arguments else {}
        if arguments:
            (folder / f"samples_{name}_{number}.jsonl").write_text(json.dumps(line) + "\n")
    results = {"model_name": "m", "config": config, "configs": configs}
    (folder / f"results_{number}.json").write_text(json.dumps(results))


def test_settings_are_those_of_our_tasks_whatever_else_was_evaluated(tmp_path):
    results_file(tmp_path, {"arc_vi": None, "t_de": ARGUMENTS, "t_fr": ARGUMENTS}, intervention="i")
    record = read_record(tmp_path)
    assert (record.generation, record.settings) == (ARGUMENTS, digest(ARGUMENTS))
    assert record.prompts == ["rtplx-v0.3-odd"]
    assert record.identity == {"intervention": "i"}


def test_tasks_that_were_sampled_differently_are_not_mixed(tmp_path):
    results_file(tmp_path, {"t_de": ARGUMENTS})
    results_file(tmp_path, {"t_fr": ARGUMENTS | {"temperature": 1.7}}, number=2)
    with pytest.raises(BadData, match="sampled with different arguments"):
        read_record(tmp_path)
    results_file(tmp_path, {"t_de": ARGUMENTS | {"temperature": 1.7}}, number=3)
    assert read_record(tmp_path).generation["temperature"] == 1.7


def test_a_broken_record_is_a_sentence(tmp_path):
    run_folder(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(BadRunFolder, match=r"run\.json cannot be read as a record of a run"):
        read_record(tmp_path)
