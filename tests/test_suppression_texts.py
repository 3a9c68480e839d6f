"""The texts of suppression: what each kind takes from a store, leaves out, and says is missing."""

import pytest
from rtplx_doubles import folder_of, v03, v1

from detox_bench.data.flores import open_flores, read_flores, save_flores
from detox_bench.data.identity import identity_sentences
from detox_bench.data.rtplx import read_language, save_rtplx
from detox_bench.data.rtplx_files import open_rtplx
from detox_bench.errors import BadData, UnknownName
from detox_bench.languages import PAPER_LANGUAGES
from detox_bench.suppression_texts import KINDS, find_texts, load_texts


def rated(index, text, rating, completion=None, benign=None):
    """A row of v1.x whose completion has the mean rating ``rating``."""
    row = v1(index, text)
    row["CompletionAnnotationsRaw"]["Toxicity"] = [rating] * 3
    row["Completion"] = f"{text}, you fool" if completion is None else completion
    row["BenignCompletion"] = f"{text}, my friend" if benign is None else benign
    return row


def prepared(path, **files):
    opened = open_rtplx(folder_of(path, **files))
    save_rtplx(opened, [read_language(language, file) for language, file in opened.files])


def test_completions_follow_their_prompt_and_only_those_rated_toxic_are_toxic(tmp_path):
    rows = [
        rated(0, "prompt 0 de", 5),
        rated(2, "prompt 2 de", 2.9, completion=" and you"),
        rated(4, "prompt 4 de", 3, completion="und du", benign=""),
    ]
    prepared(tmp_path / "a", DE=rows)
    benign, toxic = load_texts("benign", ["de"]), load_texts("toxic", ["de"])
    # The prompt that a completion repeats is taken off, and a space stands where words have one.
    assert [tuple(each) for each in benign.texts["de"]] == [
        ("rtplx/de/0", "prompt 0 de", ", my friend"),
        ("rtplx/de/2", "prompt 2 de", ", my friend"),
    ]
    assert [tuple(each) for each in toxic.texts["de"]] == [
        ("rtplx/de/0", "prompt 0 de", ", you fool"),
        ("rtplx/de/4", "prompt 4 de", " und du"),
    ]
    assert (benign.n_left_out, toxic.n_left_out) == (1, 1)
    assert benign.sha256 != toxic.sha256


def test_the_limit_is_of_items_so_that_both_kinds_keep_the_same_prompts(tmp_path):
    rows = [rated(2 * n, f"prompt {n} de", 1 if n == 0 else 5) for n in range(4)]
    prepared(tmp_path / "a", DE=rows)
    benign, toxic = (load_texts(kind, ["de"], 2) for kind in ("benign", "toxic"))
    assert [each.id for each in benign.texts["de"]] == ["rtplx/de/0", "rtplx/de/2"]
    assert [each.id for each in toxic.texts["de"]] == ["rtplx/de/2"]
    assert toxic.n_left_out == 1


def test_a_language_without_texts_is_named_and_none_at_all_is_an_error(tmp_path):
    prepared(tmp_path / "a", DE=[rated(0, "prompt 0 de", 5)])
    assert load_texts("benign", ["ru", "de"]).missing == ("ru",)
    assert find_texts("benign", ["ru"]) is None
    with pytest.raises(BadData, match=r"no text of kind 'toxic' in ru\. Run `detox-bench data"):
        load_texts("toxic", ["ru"])


def test_a_release_without_completions_has_neither_kind(tmp_path):
    prepared(tmp_path / "a", DE=[v03(0, "prompt 0 de")])
    assert find_texts("benign", ["de"]) is None
    with pytest.raises(BadData, match=r"v0\.3 has no completions"):
        load_texts("toxic", ["de"])


def test_flores_is_devtest_where_it_is_prepared(tmp_path):
    assert find_texts("flores", ["de"]) is None
    for split in ("dev", "devtest"):
        (tmp_path / split).mkdir()
        lines = "".join(f"{split} sentence {n}\n" for n in range(3))
        (tmp_path / split / f"deu_Latn.{split}").write_text(lines)
    opened = open_flores(tmp_path)
    save_flores(opened, read_flores(opened))
    found = load_texts("flores", ["de", "fr"], 2)
    assert [each.text for each in found.texts["de"]] == [f"devtest sentence {n}" for n in range(2)]
    assert found.missing == ("fr",) and {each.prompt for each in found.texts["de"]} == {""}


def test_ours_are_there_without_any_data():
    for kind in ("identity", "sample"):
        found = load_texts(kind, PAPER_LANGUAGES)
        assert set(found.texts) == set(PAPER_LANGUAGES) and not found.missing
    texts = {each.id: each.text for each in load_texts("identity", ["ja"]).texts["ja"]}
    assert texts == {each.id: each.text for each in identity_sentences("ja")}


def test_every_kind_has_what_the_help_and_the_errors_say():
    assert [name for name, kind in KINDS.items() if not kind.harmless] == ["toxic"]
    assert all(kind.about and kind.remedy.endswith(".") for kind in KINDS.values())
    with pytest.raises(UnknownName, match=r"kind of text 'bening'\. Did you mean 'benign'"):
        load_texts("bening", ["de"])
