"""The translation tasks inside lm-eval: what is asked, what is shown, and the scores."""

from typing import Any

import pytest
from conftest import detox_hf, evaluate_tasks
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager
from sacrebleu.metrics import BLEU, CHRF

from detox_bench.data.parallel_sample import sample_sentences
from detox_bench.errors import DetoxBenchError
from detox_bench.languages import PAPER_LANGUAGES
from detox_bench.locations import tasks_path

TO, BACK, ZH = (f"flores_translation_{pair}" for pair in ("en-de", "de-en", "en-zh-hans"))
ENGLISH, GERMAN = (list(sample_sentences(code).values()) for code in ("en", "de"))


class Translator(LM):
    """Answers with ``answer`` of the sentence that stands last in the prompt."""

    def __init__(self, answer) -> None:
        super().__init__()
        self.answer = answer
        self.prompts: list[str] = []

    def generate_until(self, requests: list, disable_tqdm: bool = False) -> list[str]:
        self.prompts += [request.args[0] for request in requests]
        lines = [request.args[0].split("\n")[-2] for request in requests]
        return [self.answer(line.partition(": ")[2]) for line in lines]

    def loglikelihood(self, requests: list, disable_tqdm: bool = False) -> list:
        raise NotImplementedError

    def loglikelihood_rolling(self, requests: list, disable_tqdm: bool = False) -> list:
        raise NotImplementedError


def numbers(results: dict[str, Any], task: str) -> dict[str, Any]:
    return {k.split(",")[0]: v for k, v in results["results"][task].items() if "," in k}


def test_a_perfect_translator_has_100_and_one_that_says_nothing_0():
    perfect = Translator(dict(zip(ENGLISH, GERMAN, strict=True)).__getitem__)
    found = numbers(evaluate_tasks(perfect, TO, limit=6), TO)
    assert found["chrf_plus_plus"] == pytest.approx(100) == found["bleu"]
    assert found["empty_rate"] == 0
    silent = numbers(evaluate_tasks(Translator(lambda _: " "), TO, limit=6), TO)
    assert (silent["chrf_plus_plus"], silent["bleu"], silent["empty_rate"]) == (0, 0, 1)


def test_the_prompt_is_five_examples_that_are_never_asked_and_the_sentence():
    model = Translator(lambda text: text)
    evaluate_tasks(model, TO, limit=None)
    assert len(model.prompts) == 40
    lines = model.prompts[0].split("\n")
    examples = zip(ENGLISH[40:45], GERMAN[40:45], strict=True)
    shown = [line for pair in examples for line in (f"English: {pair[0]}", f"German: {pair[1]}")]
    assert lines == [*shown, f"English: {ENGLISH[0]}", "German:"]


@pytest.mark.parametrize(("task", "code", "tokenize"), [(TO, "de", "13a"), (ZH, "zh-Hans", "zh")])
def test_scores_are_sacrebleu_s_with_its_signature_and_an_interval(task, code, tokenize):
    answers = dict(zip(ENGLISH, list(sample_sentences(code).values()), strict=True))
    model = Translator(lambda text: answers[text][: len(answers[text]) // 2 + 1])
    results = evaluate_tasks(model, task, limit=8)
    references = [answers[text] for text in ENGLISH[:8]]
    written = [text[: len(text) // 2 + 1].strip() for text in references]
    found = numbers(results, task)
    chrf = CHRF(word_order=2).corpus_score(written, [references]).score
    bleu = BLEU(tokenize=tokenize).corpus_score(written, [references]).score
    assert found["chrf_plus_plus"] == pytest.approx(chrf) and 20 < chrf < 90
    assert found["bleu"] == pytest.approx(bleu)
    metadata = results["configs"][task]["metadata"]
    record = metadata["detox_translation"]
    assert f"tok:{tokenize}" in record["bleu"]["signature"]
    assert "nw:2" in record["chrf_plus_plus"]["signature"]
    low, high = record["chrf_plus_plus"]["interval"]
    assert low < chrf < high
    assert metadata["detox_translated_set"]["name"] == "sample"
    assert metadata["detox_translated"] == 8


def test_one_right_and_one_empty_has_an_interval_from_all_wrong_to_all_right():
    right = dict(zip(ENGLISH[:1], GERMAN[:1], strict=True))
    model = Translator(lambda text: right.get(text, ""))
    results = evaluate_tasks(model, TO, limit=2)
    record = results["configs"][TO]["metadata"]["detox_translation"]
    for name in ("chrf_plus_plus", "bleu"):
        assert record[name]["interval"] == pytest.approx([0, 100]), name
    expected = CHRF(word_order=2).corpus_score([GERMAN[0], ""], [GERMAN[:2]]).score
    assert numbers(results, TO)["chrf_plus_plus"] == pytest.approx(expected)
    again = evaluate_tasks(model, TO, limit=2)
    assert again["configs"][TO]["metadata"]["detox_translation"] == record


def test_both_directions_of_every_language_load_and_the_pattern_means_them():
    manager = TaskManager(include_defaults=False, include_path=str(tasks_path()))
    names = manager.match_tasks(["flores_translation_*"])
    assert len(names) == 2 * (len(PAPER_LANGUAGES) - 1) and "flores_translation" not in names
    for task in manager.load(names)["tasks"].values():
        assert len(task.eval_docs) == 40


def test_options_and_what_is_wrong_with_them():
    def load(**metadata):
        manager = TaskManager(
            include_defaults=False, include_path=str(tasks_path()), metadata=metadata
        )
        return next(iter(manager.load([BACK])["tasks"].values()))

    assert len(load(detox_sentences=7, detox_pooling="last").eval_docs) == 7
    for wrong in (0, "all", True):
        with pytest.raises(DetoxBenchError, match=r"detox_sentences is .*: give a whole number"):
            load(detox_sentences=wrong)


def test_a_real_model_runs_and_predict_only_scores_nothing(gpt2_folder):
    model = detox_hf(gpt2_folder)
    options = {"num_fewshot": 1, "gen_kwargs": "max_gen_toks=4"}
    found = numbers(evaluate_tasks(model, TO, limit=2, **options), TO)
    assert 0 <= found["chrf_plus_plus"] <= 100
    alone = evaluate_tasks(model, TO, limit=2, predict_only=True, **options)
    assert numbers(alone, TO)["bypass"] == 999
