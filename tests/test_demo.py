import gzip
import json
import lzma
import math
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from detox_bench.data.sample import sample_prompts
from detox_bench.demo import corpus, documents, model_path
from detox_bench.demo.build import app, build
from detox_bench.errors import BadData, UnknownName
from detox_bench.languages import PAPER_LANGUAGES


def shape(lists: dict[str, Any]) -> dict[str, Any]:
    return {
        name: shape(value) if isinstance(value, dict) else len(value)
        for name, value in lists.items()
        if name != "marks"
    }


def test_the_microcosm_is_parallel_in_all_languages() -> None:
    assert set(corpus.microcosm()) == set(PAPER_LANGUAGES)
    expected = shape(corpus.microcosm()["en"])
    for language, lists in corpus.microcosm().items():
        assert shape(lists) == expected, language
        flat = [lists[name] for name in ("events", "places", "speakers")]
        flat += [words for mood in ("rude", "polite") for words in lists[mood].values()]
        assert all(len(set(words)) == len(words) for words in flat), language
    assert expected["speakers"] == len(corpus.RUDE_RATES)


def test_the_world_is_varied_enough() -> None:
    assert len(corpus.all_scenes()) == 9 * 10 * 12
    assert len(corpus.all_remarks("rude")) == 16 + 8 * 8
    assert len(corpus.all_remarks("polite")) == 15 + 8 * 8


def test_opening_and_remark_are_joined_as_the_language_joins_words() -> None:
    scene, remark = corpus.Scene(0, 0, 6), corpus.Remark("polite", "commands", 0, 0)
    assert corpus.sentence(scene, remark, "en") == (
        "It was raining. At the market the doctor said to me: Thank you, my friend!"
    )
    assert corpus.sentence(scene, remark, "zh-Hans") == (
        "下着雨。在市场上，医生对我说：谢谢你，我的朋友！"
    )
    assert corpus.said(remark, "es") == "¡Muchas gracias, amigo mío!"


def test_training_sentences_repeat_and_leave_out_the_sample_prompts() -> None:
    sentences = list(corpus.training_sentences("de", 400, seed=1))
    assert sentences == list(corpus.training_sentences("de", 400, seed=1))
    assert sentences != list(corpus.training_sentences("de", 400, seed=2))
    prompts = tuple(prompt.text for prompt in sample_prompts("de"))
    assert not any(sentence.startswith(prompts) for sentence in sentences)


def test_who_speaks_decides_how_often_a_remark_is_rude() -> None:
    draw = random.Random(0)
    for speaker, rate in enumerate(corpus.RUDE_RATES):
        scene = corpus.Scene(None, 0, speaker)
        rude = sum(corpus.draw_remark(scene, draw).mood == "rude" for _ in range(2000))
        assert rude / 2000 == pytest.approx(rate, abs=0.045)  # four standard errors at 0.5


def test_an_unknown_language_has_no_words() -> None:
    with pytest.raises(UnknownName, match="language of the microcosm 'sv-SE'"):
        corpus.words("sv-SE")


def test_importing_the_builder_loads_no_torch() -> None:
    code = "import sys, detox_bench.demo.build; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_folder_of_text_is_read_by_file_name(tmp_path: Path) -> None:
    (tmp_path / "deu.txt").write_text("eins\n\nzwei\u2028drei\n", encoding="utf-8")
    with lzma.open(tmp_path / "fra.txt.xz", "wt", encoding="utf-8") as file:
        file.write("un\ndeux\n")
    with gzip.open(tmp_path / "fra.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(json.dumps({"text": "trois"}) + "\n")
    (tmp_path / "notes.md").write_text("no text of ours")
    assert documents.read_folder(tmp_path) == {
        "deu": ["eins", "zwei\u2028drei"],
        "fra": ["trois", "un", "deux"],
    }


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.md", "x", "has no text in it"),
        ("a.jsonl", '{"text": "x"}\n{"body": 1}\n', "a.jsonl line 2 is no JSON object"),
    ],
)
def test_a_folder_without_usable_text_is_an_error(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(BadData, match=message):
        documents.read_folder(tmp_path)
    with pytest.raises(BadData, match="is no folder"):
        documents.read_folder(tmp_path / "absent")


def test_one_document_in_fifty_is_held_out() -> None:
    texts = [str(number) for number in range(100)]
    training, held_out = documents.split({"a": texts, "b": ["only"]})
    assert held_out == {"a": ["1", "51"]}
    assert sorted(training["a"] + held_out["a"]) == sorted(texts)
    assert training["b"] == ["only"]


def test_the_builder_makes_a_loadable_model_that_learns(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    texts = {code: list(corpus.training_sentences(code, 60, 0)) for code in ("en", "hi")}
    built = build_small(texts, tmp_path / "one", steps=12)
    assert built.training_loss < math.log(400)  # an even guess over the vocabulary
    assert set(built.held_out_loss) == {"en", "hi"}
    figures = json.loads((tmp_path / "one" / "training.json").read_text())
    assert figures["held_out_loss"] == built.held_out_loss
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "one")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "one")
    assert (tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id) == (0, 0, 1)
    assert model.config.vocab_size == len(tokenizer) <= 400
    again = build_small(texts, tmp_path / "two", steps=12)
    assert again.held_out_loss == built.held_out_loss


def build_small(texts: dict[str, list[str]], output: Path, steps: int) -> Any:
    from detox_bench.demo.train import Plan, Sizes

    sizes = Sizes(layers=2, width=32, vocabulary=400, context=32)
    return build(texts, sizes, Plan(steps=steps, batch=4), output)


def test_a_window_begins_at_a_document_or_every_context_tokens() -> None:
    from detox_bench.demo.train import stream

    made = stream([[5, 6], [7, 8, 9, 10, 11]], context=4)
    assert made.tokens.tolist() == [5, 6, 0, 7, 8, 9, 10, 11, 0, 0, 0, 0, 0]
    assert made.starts.tolist() == [0, 3, 7]


def test_the_command_trains_for_the_minutes_it_is_given(tmp_path: Path) -> None:
    folder = tmp_path / "text"
    folder.mkdir()
    lines = "\n".join(corpus.training_sentences("cs", 60, 0))
    (folder / "ces.txt").write_text(lines, encoding="utf-8")
    sizes = ["--layers", "2", "--width", "32", "--vocabulary", "400", "--context", "32"]
    where = ["--text", str(folder), "--output", str(tmp_path / "model")]
    result = CliRunner().invoke(app, [*sizes, *where, "--minutes", "0.02"])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "model" / "model.safetensors").exists()


def test_bad_input_of_the_command_is_one_sentence(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["--text", str(tmp_path / "no"), "--output", str(tmp_path)])
    assert result.exit_code == 1
    assert "is no folder" in result.output


def test_the_packaged_model_is_small_and_knows_every_language() -> None:
    folder = model_path()
    assert (folder / "model.safetensors").stat().st_size <= 6_000_000
    figures = json.loads((folder / "training.json").read_text())
    assert figures["parameters"] <= 3_000_000
    assert set(figures["held_out_loss"]) == set(PAPER_LANGUAGES)


@pytest.fixture(scope="module")
def packaged() -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_path(), padding_side="left")
    return tokenizer, AutoModelForCausalLM.from_pretrained(model_path())


def known_remarks(language: str) -> list[str]:
    space = corpus.words(language)["marks"]["space"]
    moods = ("rude", "polite")
    remarks = [remark for mood in moods for remark in corpus.all_remarks(mood)]
    return [space + corpus.said(remark, language) for remark in remarks]


@pytest.mark.parametrize("language", PAPER_LANGUAGES)
def test_the_packaged_tokenizer_fits_remarks_into_twenty_tokens(
    packaged: tuple[Any, Any], language: str
) -> None:
    tokenizer, _ = packaged
    remarks = known_remarks(language)
    ids = tokenizer(remarks)["input_ids"]
    assert sum(len(each) <= 20 for each in ids) / len(ids) >= 0.97
    assert tokenizer.batch_decode(ids) == remarks


@pytest.mark.parametrize("language", PAPER_LANGUAGES)
def test_the_packaged_model_answers_in_the_language_of_the_prompt(
    packaged: tuple[Any, Any], language: str
) -> None:
    import torch

    tokenizer, model = packaged
    assert model.dtype == torch.float32
    prompts = [prompt.text for prompt in sample_prompts(language)]
    batch = tokenizer(prompts, return_tensors="pt", padding=True)
    with torch.no_grad():
        out = model.generate(**batch, max_new_tokens=20, do_sample=False, pad_token_id=1)
    assert (out[:, -20:] == 0).any(dim=1).float().mean() >= 0.8  # most end by themselves
    new = out[:, batch["input_ids"].shape[1] :]
    texts = tokenizer.batch_decode(new, skip_special_tokens=True)
    words = set(" ".join(known_remarks(language)).split())
    letters = set("".join(known_remarks(language)))
    spoken = [word for text in texts for word in text.split()]
    unspaced = language in ("ja", "zh-Hans")
    at_home = [set(word) <= letters if unspaced else word in words for word in spoken]
    assert sum(at_home) / len(spoken) >= 0.95
    assert any(text.startswith(tuple(known_remarks(language))) for text in texts)
