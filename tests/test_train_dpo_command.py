"""The command train-dpo: help, what it prints, errors in one sentence."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

pytest.importorskip("trl", reason="needs the train extra")

from detox_bench.commands.train_dpo import app
from detox_bench.errors import DetoxBenchError

runner = CliRunner()


def test_help_shows_every_argument_of_ours_the_recipes_and_examples():
    found = runner.invoke(app, ["--help"], terminal_width=120)
    for part in ("--pairs_format", "--watch_every", "--train_only", "paper-qlora", "accelerate"):
        assert part in found.output, part
    assert runner.invoke(app, []).output == found.output


def test_help_all_lists_the_arguments_of_trl():
    found = runner.invoke(app, ["--help-all"])
    assert "--f_divergence_type" in found.output and "--lora_r" in found.output


def test_help_is_shown_without_torch():
    code = "import sys\nfrom detox_bench.commands.train_dpo import app\n"
    code += "app(['--help'], standalone_mode=False)\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize("name", ["cpu", "ddp", "fsdp"])
def test_launchers_are_files_that_accelerate_reads(name):
    path = Path(runner.invoke(app, ["--launcher", name]).output.strip())
    assert yaml.safe_load(path.read_text())["compute_environment"] == "LOCAL_MACHINE"
    from accelerate.commands.config.config_args import load_config_from_file

    assert load_config_from_file(str(path)).num_processes == 2
    with pytest.raises(DetoxBenchError, match="Did you mean 'fsdp'"):
        runner.invoke(app, ["--launcher", "fspd"], catch_exceptions=False)


def test_a_run_prints_what_became_of_the_pairs_and_how_it_went(gpt2_folder, tmp_path):
    pairs = tmp_path / "pairs.jsonl"
    rows = [{"prompt": f"who {n}", "chosen": " kind", "rejected": " rude"} for n in range(20)]
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["--model", str(gpt2_folder), "--pairs", str(pairs), "--recipe", "none"]
    words += ["--output_dir", str(tmp_path / "out"), "--max_steps", "2", "--prompt_length", "32"]
    words += ["--save_strategy", "no", "--disable_tqdm", "true"]
    found = runner.invoke(app, words, catch_exceptions=False)
    assert found.exit_code == 0
    for part in (
        "Preference pairs",
        "in en",
        "first margin (0 is right)",
        "0.6931",
        "overlap unknown",
    ):
        assert part in found.output, part


def test_what_trl_refuses_is_one_sentence(gpt2_folder, tmp_path):
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(json.dumps({"prompt": "a", "chosen": " b", "rejected": " c"}) + "\n")
    words = ["--model", str(gpt2_folder), "--pairs", str(pairs), "--recipe", "none"]
    words += ["--output_dir", str(tmp_path / "out"), "--prompt_length", "32"]
    words += ["--validation_share", "0", "--loss_type", "exo_pair"]
    with pytest.raises(DetoxBenchError, match=r"TRL cannot train.*[Ll]abel smoothing"):
        runner.invoke(app, words, catch_exceptions=False)
