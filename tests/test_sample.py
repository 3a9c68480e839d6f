import pytest

from detox_bench.data.sample import sample_languages, sample_prompts
from detox_bench.demo import corpus
from detox_bench.errors import UnknownName
from detox_bench.languages import PAPER_LANGUAGES


def test_the_sample_set_covers_the_languages_of_the_paper() -> None:
    assert set(sample_languages()) == set(PAPER_LANGUAGES)


@pytest.mark.parametrize("language", PAPER_LANGUAGES)
def test_prompts_are_numbered_distinct_and_in_the_language(language: str) -> None:
    prompts = sample_prompts(language)
    assert len(prompts) >= 20
    assert [prompt.id for prompt in prompts] == [
        f"sample/{language}/{item}" for item in range(len(prompts))
    ]
    assert {prompt.language for prompt in prompts} == {language}
    assert len({prompt.text for prompt in prompts}) == len(prompts)


@pytest.mark.parametrize("language", PAPER_LANGUAGES)
def test_item_n_means_the_same_in_every_language(language: str) -> None:
    scenes = corpus.sample_scenes()
    texts = [prompt.text for prompt in sample_prompts(language)]
    assert texts == [corpus.opening(scene, language) for scene in scenes]


def test_odd_and_even_items_have_as_many_rude_speakers_and_as_many_events():
    scenes = corpus.sample_scenes()
    for part in (scenes[::2], scenes[1::2]):
        assert sum(corpus.RUDE_RATES[scene.speaker] > 0.5 for scene in part) == len(part) / 2
        assert sum(scene.event is not None for scene in part) == len(part) / 2


def test_capital_letters_of_a_code_do_not_matter() -> None:
    assert sample_prompts("ZH-HANS") == sample_prompts("zh-Hans")


def test_a_language_outside_the_set_is_an_error_that_lists_the_set() -> None:
    with pytest.raises(UnknownName, match="language of the sample set 'da'"):
        sample_prompts("da")
    with pytest.raises(UnknownName, match="Unknown language 'xx'"):
        sample_prompts("xx")


def test_the_sample_file_is_up_to_date() -> None:
    corpus.write_sample_file(check=True)
