"""The arguments of train-dpo: who overrides whom, and what is refused before anything is loaded."""

import pytest

pytest.importorskip("trl", reason="needs the train extra")

from detox_bench.errors import BadData, DetoxBenchError, UnknownName
from detox_bench.trainers.arguments import DetoxArguments, ours, recipes
from detox_bench.trainers.checks import check_arguments
from detox_bench.trainers.parsing import full_help, parse

NEEDED = ["--model", "m", "--pairs", "p.jsonl", "--output_dir", "o"]


def test_a_recipe_is_overridden_by_the_configuration_and_that_by_the_command_line(tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text("recipe: paper-full\nbeta: 0.3\nmax_grad_norm: 5.0\nprompt_length: 32\n")
    found = parse([*NEEDED, "--config", str(config), "--beta", "0.4"])
    assert (found.dpo.beta, found.dpo.max_grad_norm, found.ours.prompt_length) == (0.4, 5.0, 32)
    assert found.dpo.learning_rate == 1e-5, "of the recipe that the configuration names"
    assert found.ours.recipe == "paper-full"


def test_paper_full_is_what_the_paper_ran():
    # arXiv 2406.16235, Table 6, and its code for warm-up, lengths and patience.
    dpo, chosen = (found := parse([*NEEDED, "--recipe", "paper-full"])).dpo, found.ours
    assert (dpo.optim, dpo.learning_rate, dpo.beta) == ("rmsprop", 1e-5, 0.1)
    assert (dpo.per_device_train_batch_size, dpo.gradient_accumulation_steps) == (4, 1)
    assert (dpo.max_grad_norm, dpo.weight_decay, dpo.warmup_steps) == (10.0, 0.0, 150)
    assert (dpo.num_train_epochs, dpo.eval_steps, dpo.max_length) == (5, 25, 256)
    assert (chosen.prompt_length, chosen.early_stopping_patience) == (64, 10)
    assert chosen.validation_share == 0.05
    assert not found.model.use_peft


def test_paper_qlora_is_what_the_paper_ran():
    dpo, _, model = (found := parse([*NEEDED, "--recipe", "paper-qlora"])).dpo, None, found.model
    assert (model.lora_r, model.lora_alpha, model.lora_dropout) == (64, 16, 0.05)
    assert (dpo.per_device_train_batch_size, dpo.gradient_accumulation_steps) == (1, 4)
    assert model.use_peft and model.load_in_4bit
    assert dpo.num_train_epochs == 20


@pytest.mark.parametrize("name", recipes())
def test_every_recipe_parses_and_begins_with_a_sentence(name):
    found = parse([*NEEDED, "--recipe", name])
    check_arguments(found)
    assert recipes()[name].endswith(".") and len(recipes()[name]) > 20


def test_a_recipe_may_be_a_file_of_ones_own(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("# Mine.\nbeta: 0.7\n")
    assert parse([*NEEDED, "--recipe", str(mine)]).dpo.beta == 0.7


def test_dashes_equals_signs_and_the_short_name_of_the_folder_are_understood():
    found = parse(["--model=m", "--pairs", "a", "b", "--output", "o", "--learning-rate=3e-4"])
    assert (found.ours.pairs, found.dpo.output_dir, found.dpo.learning_rate) == (
        ["a", "b"],
        "o",
        3e-4,
    )
    assert parse(["--model_name_or_path", "x", *NEEDED[2:]]).ours.model == "x"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (["--betta", "0.1"], "Did you mean '--beta'?"),
        (["--recipe", "papr-full"], "Did you mean 'paper-full'?"),
        (["--beta", "much"], "beta"),
        (["--prompt_keep", "middle"], "prompt_keep"),
        (["--config"], "--config needs the path"),
    ],
)
def test_a_wrong_argument_is_named(line, says):
    with pytest.raises(DetoxBenchError) as refused:
        parse([*NEEDED, *line])
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_loss_of_ones_own_gives_up_the_weights_of_the_recipe():
    assert parse([*NEEDED, "--loss_type", "sigmoid"]).dpo.loss_weights is None
    found = parse([*NEEDED, "--loss_type", "sigmoid", "ipo", "--loss_weights", "1", "2"])
    assert found.dpo.loss_weights == [1.0, 2.0]
    assert parse(NEEDED).dpo.loss_weights == [1.0, 1.0], "the recipe's own"


def test_half_precision_of_one_kind_gives_up_the_other(monkeypatch):
    from detox_bench.trainers import parsing

    known = parsing.machine_defaults() | {"bf16": True}
    monkeypatch.setattr(parsing, "machine_defaults", lambda: known)
    assert parse(NEEDED).dpo.bf16
    assert not parse([*NEEDED, "--fp16", "true"]).dpo.bf16


def test_a_configuration_may_give_one_text_where_several_are_taken(tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text("pairs: mine.jsonl\nwatch_languages: en\n")
    found = parse(["--model", "m", "--output_dir", "o", "--config", str(config)]).ours
    assert (found.pairs, found.watch_languages) == (["mine.jsonl"], ["en"])


@pytest.mark.parametrize("line", ["append_eos: sometimes", "append_eos: no", "prompt_keep: middle"])
def test_a_configuration_with_a_value_that_is_no_choice_is_refused(line, tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text(line + "\n")
    with pytest.raises(UnknownName, match=r"c\.yaml"):
        parse([*NEEDED, "--config", str(config)])


def test_arguments_are_not_abbreviated():
    with pytest.raises(UnknownName, match=r"'--recip'\. Did you mean '--recipe'"):
        parse([*NEEDED, "--recip", "paper-full"])


def test_an_unknown_key_of_a_configuration_is_named_with_its_file(tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text("betta: 0.3\n")
    with pytest.raises(UnknownName, match=r"c\.yaml.*'betta'.*Did you mean 'beta'"):
        parse([*NEEDED, "--config", str(config)])
    config.write_text("- 1\n")
    with pytest.raises(BadData, match="holds no arguments"):
        parse([*NEEDED, "--config", str(config)])


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (["--pairs", "p", "--output_dir", "o"], "No model"),
        (["--model", "m", "--output_dir", "o"], "No pairs"),
        (["--model", "m", "--pairs", "p"], "--output_dir"),
        ([*NEEDED, "--dtype", "float16"], "float16"),
        ([*NEEDED, "--max_length", "60"], "leaves no room"),
        ([*NEEDED, "--validation_share", "1.5"], "validation_share"),
        ([*NEEDED, "--validation_share", "0", "--early_stopping_patience", "3"], "validate"),
        ([*NEEDED, "--early_stopping_patience", "3"], "load_best_model_at_end"),
    ],
)
def test_arguments_that_cannot_be_right_are_refused_in_a_sentence(line, says):
    with pytest.raises(DetoxBenchError) as refused:
        check_arguments(parse(line))
    assert says in str(refused.value)


def test_float16_weights_may_be_forced():
    check_arguments(parse([*NEEDED, "--dtype", "float16", "--allow_float16"]))


def test_each_of_our_arguments_has_a_help_of_a_sentence():
    assert len(ours()) == len(DetoxArguments.__dataclass_fields__)
    for name, text, _ in ours():
        assert text.endswith("."), name
    assert "--ld_alpha" in full_help() and "--watch_every" in full_help()
