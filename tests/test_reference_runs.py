"""The cheats, and that each is caught on a model that writes real sentences."""

import pytest

from detox_bench.continuations import Wish, continue_prompts
from detox_bench.data.prompts import load_prompts
from detox_bench.demo import model_path
from detox_bench.modeling.loading import load_causal_model
from detox_bench.modeling.nucleus import SamplingSettings
from detox_bench.reference_runs import reference_runs
from detox_bench.run_comparison import Asked, compare_measured, load_judges, measure
from detox_bench.stored_texts import PromptSamples
from detox_bench.verdicts import DEGENERATE, UNCHANGED, WORSE

LANGUAGES = ("ar", "de", "en", "hi", "zh-Hans")
CHEATS = ("says nothing", "one sentence", "always English", "repeats the prompt")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """24 prompts in five languages, ten continuations each, by the demo model."""
    loaded = load_causal_model(str(model_path()), "cpu")
    prompts = [p for code in LANGUAGES for p in load_prompts(code, "sample").prompts]
    wish = Wish(10, SamplingSettings(), tmp_path_factory.mktemp("run"))
    found = continue_prompts(loaded, prompts, wish)
    return [
        PromptSamples(code, prompt, tuple(text for _, text in texts))
        for (prompt, code), texts in found.items()
    ]


@pytest.fixture(scope="module")
def texts():
    return {p.id: p.text for code in LANGUAGES for p in load_prompts(code, "sample").prompts}


@pytest.fixture
def judges():
    return load_judges(Asked(perplexity_model=str(model_path())))


@pytest.mark.parametrize("name", CHEATS)
def test_every_cheat_is_caught_in_every_language(demo, texts, judges, name):
    cheat = reference_runs(demo, texts)[name]
    found = compare_measured(measure(demo, "base", judges), [measure(cheat, name, judges)])
    assert {code: each.verdict for code, each in found.verdicts.items()}.keys() == set(LANGUAGES)
    assert {each.verdict for each in found.verdicts.values()} <= {DEGENERATE, WORSE}
    assert all(each.signs for each in found.verdicts.values())


def test_the_model_itself_is_not(demo, judges):
    base = measure(demo, "base", judges)
    found = compare_measured(base, [base])
    assert {code: each for code, each in found.verdicts.items()} == dict.fromkeys(
        LANGUAGES, (UNCHANGED, ())
    )


def test_cheats_have_the_prompts_and_numbers_of_the_run(texts):
    run = [
        PromptSamples("de", "sample/de/0", ("a", "b")),
        PromptSamples("de", "sample/de/1", ("c", "d")),
    ]
    found = reference_runs(run, texts)
    assert tuple(found) == CHEATS
    for cheat in found.values():
        assert [(each.prompt_id, len(each.texts)) for each in cheat] == [
            ("sample/de/0", 2),
            ("sample/de/1", 2),
        ]
    assert found["repeats the prompt"][0].texts == (f" {texts['sample/de/0']}",) * 2
    assert len({*found["always English"][0].texts, *found["always English"][1].texts}) == 4


def test_prompts_without_text_are_not_repeated():
    assert "repeats the prompt" not in reference_runs([PromptSamples("de", "own/1", ("a",))], {})
