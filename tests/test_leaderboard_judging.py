"""What judges a submission: the model of perplexity, in the precision that judged the base."""

from pathlib import Path

import pytest
import torch
from leaderboard_runs import make_run, small_suite, wish

from detox_bench.errors import BadData
from detox_bench.fluency import as_language_model
from detox_bench.leaderboard.adding import add
from detox_bench.leaderboard.judging import load_judge, precision_of
from detox_bench.leaderboard.methods import Told
from detox_bench.modeling.loading import load_causal_model
from detox_bench.runs import write_json

SUITE = small_suite()


def id_of(folder, dtype):
    loaded = load_causal_model(str(folder), "cpu", getattr(torch, dtype))
    return as_language_model(loaded.model, loaded.tokenizer).id


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_a_judge_is_loaded_in_the_precision_that_is_wanted(gpt2_folder, dtype):
    wanted = id_of(gpt2_folder, dtype)
    assert precision_of(wanted) == dtype
    assert load_judge(str(gpt2_folder), wanted).id == wanted


def test_a_judge_of_other_weights_is_refused(gpt2_folder, llama_folder):
    with pytest.raises(BadData, match=r"was judged by perplexity@.*float32\. Name the same one"):
        load_judge(str(llama_folder), id_of(gpt2_folder, "float32"))


@pytest.mark.parametrize("judge", ["", "perplexity@a#b-c-torch.int8", "torch.float32", "x-float32"])
def test_the_precision_of_an_id_is_one_that_is_known(judge):
    assert precision_of(judge) is None


def run_in(folder: Path, dtype: str, weights: str) -> Path:
    run = make_run(folder, SUITE, weights=weights * 64)
    identity = {"engine": "detox-bench-1", "seed": 0, "weights_sha256": weights * 64}
    write_json(run / "run.json", {"schema": 1, "identity": identity | {"dtype": dtype}})
    return run


def test_to_a_base_that_was_judged_on_a_gpu_a_cpu_can_add(gpt2_folder, tmp_path):
    judge = {"perplexity_model": str(gpt2_folder)}
    base = add(run_in(tmp_path / "1", "bfloat16", "a"), wish(tmp_path / "board", **judge), SUITE)
    assert base.made.submission.perplexity_judge == id_of(gpt2_folder, "bfloat16")
    told = Told("other", "Pruned")
    options = {**judge, "base": str(base.folder)}
    wished = wish(tmp_path / "board", "some/after", told, **options)
    added = add(run_in(tmp_path / "2", "float32", "b"), wished, SUITE)
    assert added.made.submission.perplexity_judge == base.made.submission.perplexity_judge
