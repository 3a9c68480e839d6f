"""On-policy pairs: matched lengths, margins, degenerate texts, repetition and resumption."""

import json
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest
from conftest import ending_tokenizer, tiny_gpt2
from doubles import HashScorer

from detox_bench.continuations import _requests
from detox_bench.data.preference_text import token_count
from detox_bench.data.preferences import read_pairs
from detox_bench.errors import BadData, BadRunFolder, DetoxBenchError, UnknownName
from detox_bench.modeling.loading import LoadedModel, load_causal_model
from detox_bench.modeling.nucleus import SamplingSettings
from detox_bench.runs import RunFolder, SampleKey, read_generations
from detox_bench.trainers.pair_checks import length_auc, paired_auc
from detox_bench.trainers.pair_choice import (
    Candidate,
    ChoiceSettings,
    choose,
    stratified,
)
from detox_bench.trainers.pair_sampling import SamplePlan, read_prompts, sample_pairs
from detox_bench.types import PreferencePair, Prompt

PROMPT = Prompt("sample/en/0", "en", "The old cat by the river")
WORDS = ["kind", "calm", "brave", "proud", "quiet", "gentle", "happy", "lucky", "merry", "noble"]


def candidate(sample: int, score: float, length: int = 5, text: str = "") -> Candidate:
    words = text or f" {WORDS[sample % 10]} {WORDS[sample // 10]} and so it is today"
    return Candidate(sample, words, length, score)


def scores_of(choices):
    return [(each.chosen.score, each.rejected.score) for each in choices]


def test_the_least_meets_the_most_toxic_and_so_on_inwards():
    """Scores 0 .1 .5 .6 .9: (0, .9), then (.1, .6); .5 stands alone. Margins .9 and .5."""
    candidates = [candidate(n, score) for n, score in enumerate((0.5, 0.9, 0.0, 0.6, 0.1))]
    wide, _ = choose(PROMPT, candidates, ChoiceSettings(margin=0.5))
    assert scores_of(wide) == [(0.0, 0.9), (0.1, 0.6)]
    narrow, _ = choose(PROMPT, candidates, ChoiceSettings(margin=0.51))
    assert scores_of(narrow) == [(0.0, 0.9)]
    one, _ = choose(PROMPT, candidates, ChoiceSettings(margin=0.5, per_prompt=1))
    assert scores_of(one) == [(0.0, 0.9)]


def test_the_shortest_text_is_not_chosen_for_being_least_toxic():
    """Score grows with length, so the best of all is always the shortest; lengths still match."""
    candidates = [candidate(n, n / 100, length=5 + n // 4) for n in range(100)]
    choices, _ = choose(PROMPT, candidates, ChoiceSettings(margin=0.005, per_prompt=100))
    chosen = [each.chosen.length for each in choices]
    rejected = [each.rejected.length for each in choices]
    assert len(choices) == 50
    assert chosen == rejected
    assert length_auc(chosen, rejected) == paired_auc(chosen, rejected) == 0.5
    assert choose(PROMPT, candidates, ChoiceSettings(margin=0.5))[0] == []


def test_no_text_is_used_twice_and_equal_texts_are_one():
    same = [candidate(n, 0.1 * n, text=" a friendly word is what it takes") for n in range(5)]
    choices, kept_out = choose(PROMPT, same, ChoiceSettings())
    assert choices == []
    assert kept_out["same text"] == 4
    candidates = [candidate(n, n / 20) for n in range(20)]
    choices, _ = choose(PROMPT, candidates, ChoiceSettings(margin=0.01, per_prompt=99))
    used = Counter(each.sample for choice in choices for each in choice)
    assert len(choices) == 10
    assert set(used.values()) == {1}


@pytest.mark.parametrize(
    ("text", "length", "reason"),
    [
        ("  ", 5, "empty"),
        (" yes", 1, "too short"),
        (" a half \ufffd character is here", 7, "broken character"),
        (" это совсем другой язык", 7, "another language, or undetermined"),
        (" 1 2 3 4 5 6", 6, "another language, or undetermined"),
        (" das ist ein ganz anderer Satz", 7, "another language, or undetermined"),
        (" well well well well well well then", 7, "not to be chosen: repeats itself"),
        (" the old cat by the river", 6, "not to be chosen: copies the prompt"),
    ],
)
def test_degenerate_texts_are_kept_out_and_counted(text, length, reason):
    bad = Candidate(0, text, length, 0.0)
    toxic = candidate(1, 0.9, max(length, 5))
    choices, kept_out = choose(PROMPT, [bad, toxic], ChoiceSettings())
    assert choices == []
    assert kept_out[reason] == 1


def test_a_repetitive_text_may_still_be_rejected():
    bad = Candidate(0, " fool fool fool fool fool fool", 6, 1.0)
    choices, _ = choose(PROMPT, [bad, candidate(1, 0.1, 6)], ChoiceSettings())
    assert [each.rejected for each in choices] == [bad]


def test_every_prompt_has_its_turn_before_any_has_two():
    by_prompt = {
        name: [PreferencePair(f"{name}{n}", name, f"chosen {n}", "rejected") for n in range(count)]
        for name, count in (("a", 3), ("b", 1), ("c", 2))
    }
    first = stratified(by_prompt, ChoiceSettings(per_language=3))
    assert {pair.prompt for pair in first} == {"a", "b", "c"}
    assert len(stratified(by_prompt, ChoiceSettings(per_language=5))) == 5
    everything = stratified(by_prompt, ChoiceSettings())
    assert [pair.id for pair in everything][:3] == [pair.id for pair in first]
    assert len(everything) == 6
    orders = {
        tuple(p.prompt for p in stratified(by_prompt, ChoiceSettings(seed=s))[:3]) for s in range(9)
    }
    assert len(orders) > 1


def test_margins_that_no_scores_have_are_refused():
    for settings in ({"margin": 0.0}, {"margin": 1.5}, {"per_prompt": 0}):
        with pytest.raises(DetoxBenchError, match="--"):
            ChoiceSettings(**settings)


# with a model


@pytest.fixture(scope="module")
def model(gpt2_folder):
    return load_causal_model(str(gpt2_folder), "cpu")


def plan(**options) -> SamplePlan:
    choice = ChoiceSettings(margin=0.05, per_prompt=2, fewest_tokens=1)
    sampling = SamplingSettings(new_tokens=4, seed=options.pop("seed", 0))
    given = {"prompts": "sample", "limit": 6, "samples": 10, "batch_size": 16, **options}
    return SamplePlan(sampling=sampling, choice=choice, **given)


@pytest.fixture
def any_script(monkeypatch):
    """Let the gibberish of a random model pass for text."""
    from detox_bench.trainers import pair_choice

    kept = {"empty": pair_choice._NO_TEXT["empty"]}
    monkeypatch.setattr(pair_choice, "_NO_TEXT", kept)


def test_pairs_have_one_length_and_a_record(model, tmp_path, any_script):
    out = tmp_path / "pairs.jsonl"
    made = sample_pairs(model, HashScorer(), plan(), out)
    found = read_pairs(out)
    assert list(found.pairs) == made.pairs
    assert found.pairs
    lengths = [
        [token_count(model.tokenizer, text) for text in (p.chosen, p.rejected)] for p in found.pairs
    ]
    assert all(chosen == rejected for chosen, rejected in lengths)
    record = json.loads((tmp_path / "pairs.jsonl.json").read_text())
    assert record["fingerprint"] == found.fingerprint
    assert record["scorer"]["id"] == HashScorer.id
    assert len(record["identity"]["weights_sha256"]) == 64
    counts = record["languages"]["en"]
    assert (counts["prompts"], counts["samples"], counts["pairs"]) == (6, 60, len(found.pairs))
    assert counts["mean_margin"] >= 0.05
    assert str(tmp_path) not in json.dumps(record)


def test_the_same_seed_gives_the_same_file_whatever_the_batch(model, tmp_path, any_script):
    for name, options in (("a", {}), ("b", {"batch_size": 7}), ("c", {"seed": 1})):
        sample_pairs(model, HashScorer(), plan(**options), tmp_path / name)
    contents = [(tmp_path / name).read_bytes() for name in "abc"]
    assert contents[0] == contents[1] != contents[2]


def test_an_interrupted_run_goes_on_and_ends_the_same(model, tmp_path, any_script, monkeypatch):
    sample_pairs(model, HashScorer(), plan(), tmp_path / "whole")
    add, batches = RunFolder.add, []

    def dies(self, generations):
        batches.append(1)
        if len(batches) == 3:
            raise KeyboardInterrupt
        add(self, generations)

    monkeypatch.setattr(RunFolder, "add", dies)
    with pytest.raises(KeyboardInterrupt):
        sample_pairs(model, HashScorer(), plan(), tmp_path / "cut")
    monkeypatch.setattr(RunFolder, "add", add)
    run = tmp_path / "cut.run"
    kept = len(list(read_generations(run)))
    assert 0 < kept < 60
    with (run / "generations-0.jsonl").open("a") as file:
        file.write('{"half')  # as kill -9 leaves it
    sample_pairs(model, HashScorer(), plan(), tmp_path / "cut")
    assert len(list(read_generations(run))) == 60
    assert (tmp_path / "cut").read_bytes() == (tmp_path / "whole").read_bytes()


def test_a_folder_of_another_seed_is_not_continued(model, tmp_path, any_script):
    sample_pairs(model, HashScorer(), plan(), tmp_path / "a")
    with pytest.raises(BadRunFolder, match="seed is 0, now 1"):
        sample_pairs(model, HashScorer(), plan(seed=1), tmp_path / "a")


def test_no_pair_at_all_is_an_error_and_writes_nothing(model, tmp_path):
    choice = ChoiceSettings(margin=1.0)
    with pytest.raises(DetoxBenchError, match="Lower --margin"):
        sample_pairs(model, HashScorer(), replace(plan(limit=1), choice=choice), tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_more_new_tokens_than_the_window_are_refused(model, tmp_path):
    too_many = SamplePlan(prompts="sample", sampling=SamplingSettings(new_tokens=128))
    with pytest.raises(DetoxBenchError, match="do not fit a window of 128"):
        sample_pairs(model, HashScorer(), too_many, tmp_path / "a")


def test_a_model_that_is_none_is_one_sentence(tmp_path):
    with pytest.raises(DetoxBenchError, match="cannot be loaded as a causal language model"):
        load_causal_model(str(tmp_path))


def test_prompts_come_from_files_too(tmp_path):
    lines = tmp_path / "mine.txt"
    lines.write_text("One prompt\n\nAnother\r\n")
    found = read_prompts(SamplePlan(prompts=str(lines)), "en")
    assert [(p.id, p.text) for p in found] == [
        ("mine/en/1", "One prompt"),
        ("mine/en/3", "Another"),
    ]
    rows = tmp_path / "mine.jsonl"
    rows.write_text(
        '{"prompt": "Hallo", "language": "de"}\n{"text": "Hi", "language": "en", "id": "7"}\n'
    )
    both = SamplePlan(("en", "de"), prompts=str(rows))
    assert read_prompts(both, "en") == (Prompt("7", "en", "Hi"),)
    assert [p.text for p in read_prompts(both, "de")] == ["Hallo"]
    with pytest.raises(BadData, match="no prompt in 'fr'"):
        read_prompts(SamplePlan(("fr",), prompts=str(rows)), "fr")
    with pytest.raises(UnknownName, match="prompt source"):
        read_prompts(SamplePlan(prompts="rtplz"), "en")


def test_one_id_in_two_languages_is_two_prompts(model, tmp_path, any_script):
    file = tmp_path / "prompts.jsonl"
    rows = [
        {"id": "7", "language": "en", "prompt": "Hello"},
        {"id": "7", "language": "de", "prompt": "Guten Tag"},
        {"id": "8", "language": "en", "prompt": "Taxi"},
        {"id": "8", "language": "de", "prompt": "Taxi"},
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    both = plan(prompts=str(file), languages=("en", "de"))
    made = sample_pairs(model, HashScorer(), both, tmp_path / "both")
    assert [made.record["languages"][code]["samples"] for code in ("en", "de")] == [20, 20]
    assert list(read_pairs(tmp_path / "both").pairs) == made.pairs  # no id is there twice
    for code in ("en", "de"):
        alone = plan(prompts=str(file), languages=(code,))
        # As if the other language were not there; and from a folder that has its texts already.
        for name in (code, "both"):
            found = sample_pairs(model, HashScorer(), alone, tmp_path / name).pairs
            assert found == [pair for pair in made.pairs if pair.language == code]
    assert len(list(read_generations(tmp_path / "both.run"))) == 30


def test_one_id_twice_in_a_language_is_refused(tmp_path):
    file = tmp_path / "prompts.jsonl"
    file.write_text('{"id": "7", "prompt": "a"}\n{"id": "7", "prompt": "b"}\n')
    with pytest.raises(BadData, match="the id '7' more than once in 'en'"):
        read_prompts(SamplePlan(prompts=str(file)), "en")


def test_a_folder_or_other_bytes_given_as_prompts_are_one_sentence(tmp_path):
    with pytest.raises(BadData, match="is a folder, not a file of prompts"):
        read_prompts(SamplePlan(prompts=str(tmp_path)), "en")
    file = tmp_path / "latin.txt"
    file.write_bytes("schön".encode("latin-1"))
    with pytest.raises(BadData, match="is not UTF-8: byte 3 is 0xf6"):
        read_prompts(SamplePlan(prompts=str(file)), "en")


def test_a_prompt_does_not_end_in_the_token_that_ends_a_text():
    loaded = LoadedModel("tiny", tiny_gpt2(), ending_tokenizer())
    key = SampleKey("s", "1", "h", 0)
    (request,) = _requests(loaded, {key: Prompt("1", "en", "ab c")}, 100)
    assert request.tokens == (4, 3, 2)  # <s> ab c, without </s>


def test_the_window_is_that_of_the_language_model_in_a_model_of_more_parts():
    text = SimpleNamespace(max_position_embeddings=99)
    config = SimpleNamespace(get_text_config=lambda: text)
    model = SimpleNamespace(config=config)
    assert LoadedModel("tiny", model, SimpleNamespace(model_max_length=10**30)).window == 99
