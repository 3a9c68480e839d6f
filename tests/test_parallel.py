"""The pairs that retrieval tasks ask."""

import json

import pytest
from rtplx_doubles import PASSWORD, json_lines, v03, write_zip

from detox_bench.data import parallel
from detox_bench.data.archives import Source
from detox_bench.data.flores import FloresSource, save_flores
from detox_bench.data.parallel import Asked, load_pairs
from detox_bench.data.rtplx import read_language, save_rtplx
from detox_bench.data.rtplx_files import open_rtplx
from detox_bench.errors import BadData, UnknownName


def store_flores(**texts: list[str]) -> None:
    by_code = {code: {"devtest": lines} for code, lines in texts.items()}
    save_flores(FloresSource(Source("made", "0" * 64, ()), (), ()), by_code, replace=True)


def test_the_sample_stands_in_for_flores_and_says_so():
    found = load_pairs("flores", Asked("en", "ja"))
    assert (found.name, found.split, len(found.pairs)) == ("sample", "all", 52)
    assert found.pairs[0].source.isascii() and not found.pairs[0].target.isascii()


def test_prepared_flores_is_asked_and_never_mixed_with_the_sample():
    store_flores(en=["one", "two"], de=["eins", "zwei"])
    found = load_pairs("flores", Asked("en", "de"))
    assert found.name == "flores" and found.split == "devtest"
    assert [tuple(pair) for pair in found.pairs] == [
        ("flores/devtest/0", "one", "eins"),
        ("flores/devtest/1", "two", "zwei"),
    ]
    with pytest.raises(BadData, match="has no 'fr' in devtest"):
        load_pairs("flores", Asked("en", "fr"))
    assert load_pairs("sample", Asked("en", "fr")).name == "sample"


def test_sides_that_do_not_hold_the_same_sentences_are_refused():
    store_flores(en=["one", "two"], de=["eins"])
    with pytest.raises(BadData, match="do not hold the same sentences: 2 and 1"):
        load_pairs("flores", Asked("en", "de"))


def test_the_hash_is_of_both_sides():
    store_flores(en=["one", "two"], de=["eins", "zwei"])
    first = load_pairs("flores", Asked("en", "de"))
    assert first.sha256 != load_pairs("flores", Asked("de", "en")).sha256
    store_flores(en=["one", "two"], de=["eins", "drei"])
    assert first.sha256 != load_pairs("flores", Asked("en", "de")).sha256


def test_rtplx_pairs_are_the_items_of_both_languages(tmp_path):
    members = {
        "RTP_LX_EN.json": json_lines([v03(0, "zero"), v03(1, "one"), v03(2, "two")], "\n"),
        "RTP_LX_DE.json": json_lines([v03(0, "null"), v03(2, "zwei"), v03(1003, "mehr")], "\n"),
    }
    opened = open_rtplx(write_zip(tmp_path / "made.zip", members, PASSWORD), PASSWORD)
    save_rtplx(opened, [read_language(*each) for each in opened.files])
    found = load_pairs("rtplx", Asked("en", "de"))
    assert found.name == "rtplx" and found.split == "parallel"
    assert [(pair.source, pair.target) for pair in found.pairs] == [
        ("zero", "null"),
        ("two", "zwei"),
    ]
    assert load_pairs("rtplx", Asked("en", "de", prompts="sample")).name == "sample"


def write_aligned(folder, **texts: list[str]) -> None:
    for code, lines in texts.items():
        rows = "\n".join(json.dumps({"Prompt": line}) for line in lines)
        (folder / f"dpo_toxicity_pairwise_{code}_200.jsonl").write_text(rows + "\n")


def test_the_paper_s_prompts_come_from_a_folder_as_they_are(tmp_path):
    write_aligned(tmp_path, en=['say "a"', "b"], zh=["&quot;a&quot;", "乙"])
    found = load_pairs("aligned200", Asked("en", "zh-Hans", folder=str(tmp_path)))
    assert [tuple(pair)[1:] for pair in found.pairs] == [('say "a"', "&quot;a&quot;"), ("b", "乙")]
    with pytest.raises(BadData, match=r"no dpo_toxicity_pairwise_de_200\.jsonl; it has en, zh"):
        load_pairs("aligned200", Asked("en", "de", folder=str(tmp_path)))
    write_aligned(tmp_path, de=["a"])
    with pytest.raises(BadData, match=r"_de_200\.jsonl has 1 lines and .*_en_200\.jsonl 2"):
        load_pairs("aligned200", Asked("en", "de", folder=str(tmp_path)))
    with pytest.raises(BadData, match="in a folder of your own: --metadata"):
        load_pairs("aligned200", Asked("en", "de"))


def test_names_in_no_table_and_one_language_twice_are_refused():
    with pytest.raises(UnknownName, match=r"Unknown parallel data set 'flors'\. Did you mean"):
        load_pairs("flors", Asked("en", "de"))
    with pytest.raises(BadData, match="are both 'zh-Hans'"):
        load_pairs("sample", Asked("zh-hans", "zh-Hans"))
    with pytest.raises(BadData, match="The parallel sample has no 'fi'"):
        load_pairs("sample", Asked("en", "fi"))


@pytest.mark.parametrize("data", [name for name in parallel.PARALLEL if name != "aligned200"])
def test_every_data_set_gives_pairs_of_equal_ids_in_both_directions(data):
    forth, back = (load_pairs(data, Asked(*sides)) for sides in (("en", "ar"), ("ar", "en")))
    assert [pair.source for pair in forth.pairs] == [pair.target for pair in back.pairs]
    assert len({pair.id for pair in forth.pairs}) == len(forth.pairs) > 20


def test_the_paper_s_real_prompts(shared):
    folder = str(shared / "data" / "rtplx_aligned200")
    for code in ("ar", "zh-Hans"):
        assert len(load_pairs("aligned200", Asked("en", code, folder=folder)).pairs) == 200
