"""Options of the tasks: what cannot work is one sentence before anything is loaded."""

import subprocess
import sys
from pathlib import Path

import pytest

from detox_bench.errors import DetoxBenchError
from detox_bench.harness import command
from detox_bench.harness.options import RetrievalOptions, check_options

WRONG = [
    ({"detox_pooling": "maen"}, "Unknown pooling 'maen'. Did you mean 'mean'?"),
    ({"detox_split": "test"}, "Unknown split of FLORES 'test'. Did you mean 'devtest'?"),
    ({"detox_data": "flore"}, "Unknown parallel data set 'flore'. Did you mean 'flores'?"),
    ({"detox_pooling": None}, "detox_pooling is None: give one text in quotes."),
    ({"detox_source": None}, "detox_source is None: give one text in quotes."),
    ({"detox_source": ["de"]}, "detox_source is ['de']: give one text in quotes."),
    ({"detox_folder": 5}, "detox_folder is 5: give one text in quotes."),
    ({"detox_translate_to": 5}, "detox_translate_to is 5: give one text in quotes."),
    ({"detox_scorer": ["ngram"]}, "detox_scorer is ['ngram']: give one text in quotes."),
    ({"detox_sentences": True}, "detox_sentences is True: give a whole number above 0."),
    ({"detox_poling": "mean"}, "Unknown option 'detox_poling'. Did you mean 'detox_pooling'?"),
]


@pytest.mark.parametrize(("metadata", "words"), WRONG)
def test_what_is_wrong_is_one_sentence(metadata, words):
    with pytest.raises(DetoxBenchError) as error:
        check_options(metadata)
    assert str(error.value).startswith(words)


def test_what_is_right_is_taken():
    given = {"detox_pooling": "last", "detox_split": "dev", "detox_folder": None, "other": [5]}
    check_options(given | {"detox_threshold": 0.5, "detox_sentences": 3, "detox_scorer_x": [1]})
    assert RetrievalOptions.of(given) == RetrievalOptions(pooling="last", split="dev")


def test_the_command_checks_before_a_model_is_loaded(gpt2_folder, monkeypatch):
    monkeypatch.setattr(command, "_execute", lambda *_: pytest.fail("lm-eval was run"))
    arguments = ["--model", "detox-hf", "--model_args", f"pretrained={gpt2_folder}"]
    arguments += ["--tasks", "flores_retrieval_de", "--metadata", '{"detox_pooling": "maen"}']
    with pytest.raises(DetoxBenchError, match="Did you mean 'mean'"):
        command.evaluate(arguments, command.EvalOptions())


def test_the_names_of_options_need_no_torch():
    code = "import sys, detox_bench.harness.options; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])
