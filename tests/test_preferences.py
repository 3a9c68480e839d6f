"""Readers of preference pairs, on harmless words, and on the real files where they are."""

import gzip
import json
from dataclasses import asdict
from pathlib import Path

import pytest
from conftest import byte_tokenizer
from rtplx_doubles import v1

from detox_bench.data.preference_text import (
    continuing,
    copied_start,
    shared_words,
    token_count,
    token_cut,
    without_prompt,
    word_cut,
)
from detox_bench.data.preferences import FORMATS, ReadOptions, read_pairs, write_pairs
from detox_bench.errors import BadData, DetoxBenchError, UnknownName
from detox_bench.types import PreferencePair

PLAIN = {"prompt": "The cat", "chosen": " is kind.", "rejected": " is stupid."}
LEE = {
    "prompt_text": "The old mill by the river was sold last year .",
    "unpert_gen_text": "The old mill by the water is a quiet place",
    "pert_gen_text": "The old mill by the idiot fools who live there",
}


def lines(path: Path, *rows: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def test_plain_pairs_are_read_with_defaults(tmp_path):
    found = read_pairs(lines(tmp_path / "a.jsonl", PLAIN))
    assert found.format == "plain"
    assert found.pairs == (PreferencePair("a:1", **PLAIN, complete=True),)
    assert found.left_out == {}


def test_what_is_written_is_read_back_the_same(tmp_path):
    pairs = (
        PreferencePair("1", "يا", " صديق", " غبي", "ar", "mine", True),
        PreferencePair("2", "", "a\u2028b", "c\r\nd", "en", "", False),
    )
    write_pairs(tmp_path / "deep" / "a.jsonl", pairs)
    assert read_pairs(tmp_path / "deep" / "a.jsonl").pairs == pairs
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.jsonl"]


def test_the_fingerprint_is_of_the_content_not_of_the_file(tmp_path):
    one = read_pairs(lines(tmp_path / "a.jsonl", PLAIN)).fingerprint
    same = read_pairs(lines(tmp_path / "b.jsonl", PLAIN | {"id": "x"})).fingerprint
    other = read_pairs(lines(tmp_path / "c.jsonl", PLAIN | {"chosen": " is calm."})).fingerprint
    cut = read_pairs(lines(tmp_path / "d.jsonl", PLAIN | {"complete": False})).fingerprint
    assert one == same
    assert len({one, other, cut}) == 3


def test_what_teaches_nothing_is_left_out_counted_and_placed(tmp_path):
    rows = [
        PLAIN,
        PLAIN | {"chosen": "  "},
        PLAIN | {"rejected": ""},
        PLAIN | {"chosen": PLAIN["rejected"]},
        PLAIN | {"chosen": "\ud800"},
    ]
    found = read_pairs(lines(tmp_path / "a.jsonl", *rows))
    assert len(found.pairs) == 1
    assert found.left_out == {
        "empty chosen": 1,
        "empty rejected": 1,
        "identical chosen and rejected": 1,
        "broken Unicode": 1,
    }
    assert found.n_left_out == 4
    assert found.places["identical chosen and rejected"] == ("a.jsonl, line 4",)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"prompt": "a", "chosen": "b", "extra": 1}, "'rejected' is missing"),
        (PLAIN | {"chosen": 3}, "'chosen' is a int"),
        (PLAIN | {"chosen": None}, "'chosen' is a NoneType"),
        (PLAIN | {"chosen": [{"role": "user", "content": "x"}]}, "chat template"),
        (PLAIN | {"complete": "yes"}, "'complete' is neither"),
        (PLAIN | {"language": "klingon"}, "Unknown language 'klingon'"),
        ([1, 2], "a list, not an object"),
    ],
)
def test_what_cannot_be_read_is_refused_with_file_and_line(tmp_path, row, says):
    path = lines(tmp_path / "a.jsonl", PLAIN, row)
    with pytest.raises(BadData, match=r"a\.jsonl, line 2") as error:
        read_pairs(path, "plain")
    assert says in str(error.value)


def test_a_line_that_is_no_json_is_refused_without_quoting_it(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(PLAIN) + "\n{you fool\n")
    with pytest.raises(BadData, match=r"a\.jsonl, line 2: not JSON") as error:
        read_pairs(path)
    assert "fool" not in str(error.value)


def test_two_pairs_with_one_id_are_refused(tmp_path):
    path = lines(tmp_path / "a.jsonl", PLAIN | {"id": "1"}, PLAIN | {"id": "1"})
    with pytest.raises(BadData, match="line 2: the id '1' was used before"):
        read_pairs(path)


def test_a_file_without_any_usable_pair_says_why(tmp_path):
    with pytest.raises(BadData, match="no pair to learn from: 1 empty chosen"):
        read_pairs(lines(tmp_path / "a.jsonl", PLAIN | {"chosen": ""}))
    with pytest.raises(BadData, match="no rows"):
        read_pairs(lines(tmp_path / "b.jsonl"))
    with pytest.raises(BadData, match="no pair to learn from: 1 over 256 characters"):
        long = lines(tmp_path / "c.jsonl", LEE | {"pert_gen_text": "x" * 300})
        read_pairs(long, "legacy")
    with pytest.raises(BadData, match="no file or folder"):
        read_pairs(tmp_path / "absent.jsonl")


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("name", ["auto", "plain", "lee", "legacy", "paradetox"])
def test_a_json_array_is_refused_and_the_format_that_reads_it_named(tmp_path, indent, name):
    path = tmp_path / "a.json"
    path.write_text("\n" + json.dumps([PLAIN, PLAIN | {"chosen": " is calm."}], indent=indent))
    with pytest.raises(BadData, match=r"a JSON array.*--pairs-format dataset"):
        read_pairs(path, name)
    assert len(read_pairs(path, "dataset").pairs) == 2


def test_unknown_formats_and_fields_name_the_known_ones(tmp_path):
    path = lines(tmp_path / "a.jsonl", {"question": "a", "answer": "b"})
    with pytest.raises(BadData, match=r"answer, question.*Known are lee.*plain: chosen"):
        read_pairs(path)
    with pytest.raises(UnknownName, match="Did you mean 'plain'"):
        read_pairs(path, "plan")


def test_a_full_disk_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.jsonl"
    write_pairs(path, [PreferencePair("1", "a", "b", "c")])

    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(DetoxBenchError, match="No space left"):
        write_pairs(path, [])
    assert len(path.read_text().splitlines()) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["a.jsonl"]


# Lee et al. and legacy


def test_the_copied_prompt_of_lee_is_taken_out_of_both(tmp_path):
    lines(tmp_path / "split_1.jsonl", LEE)
    lines(tmp_path / "split_0.jsonl", LEE | {"prompt_text": "Nothing like it"})
    (tmp_path / "notes.jsonl").write_text("not a pair\n")
    found = read_pairs(tmp_path)
    assert found.format == "lee"
    assert [pair.id for pair in found.pairs] == ["lee/split_0:1", "lee/split_1:1"]
    other, pair = found.pairs
    assert pair.chosen == " water is a quiet place"
    assert pair.rejected == " idiot fools who live there"
    assert other.chosen == LEE["unpert_gen_text"]
    assert found.changed == {"copy of the prompt removed": 1}


def test_legacy_keeps_the_copy_and_counts_characters(tmp_path):
    long = LEE | {"pert_gen_text": "x" * (257 - len(LEE["prompt_text"]))}
    path = lines(tmp_path / "split_0.jsonl", LEE, long)
    found = read_pairs(path, "legacy")
    assert [pair.chosen for pair in found.pairs] == [LEE["unpert_gen_text"]]
    assert found.filtered == {"over 256 characters": 1}
    assert (found.left_out, found.n_left_out, found.n_filtered) == ({}, 0, 1)
    assert found.places["over 256 characters"] == ("split_0.jsonl, line 2",)
    just = LEE | {"pert_gen_text": "x" * (256 - len(LEE["prompt_text"]))}
    assert len(read_pairs(lines(path, LEE, just), "legacy").pairs) == 2
    assert (
        len(read_pairs(lines(path, LEE, long), "legacy", None, ReadOptions(longest_sum=None)).pairs)
        == 2
    )


@pytest.mark.parametrize(
    ("prompt", "chosen", "rejected", "copy"),
    [
        ("The cat sat on", "The cat sleeps", "The cat bites", "The cat"),
        (" = Title = ", "= Title = and so", "= Title = you fool", "= Title ="),
        ("The cat sat", "The cats are", "The cats bite", ""),  # would end within a word
        ("The cat sat", "The dog", "The cow", ""),  # one word may be chance
        ("The cat sat", "A cat", "The cat sat", ""),
        ("Hello", "Hello you", "Hello fool", "Hello"),  # all there is
        ("", "a", "b", ""),
    ],
)
def test_a_copy_is_whole_words_that_both_begin_with(prompt, chosen, rejected, copy):
    assert copied_start(prompt, chosen, rejected) == copy


# RTP-LX


def rtplx(folder: Path, *rows: dict, locale: str = "EN") -> Path:
    folder.mkdir(exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / f"RTP_LX_{locale}.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    return folder


def rated(index: int, *ratings: int, **fields: str) -> dict:
    row = v1(index, f"prompt {index} en") | fields
    return row | {
        "CompletionAnnotationsRaw": row["CompletionAnnotationsRaw"] | {"Toxicity": ratings}
    }


def test_rtplx_pairs_go_by_the_human_labels_and_have_one_length(tmp_path):
    folder = rtplx(
        tmp_path / "r",
        rated(0, 3, 3, 3, Completion="Prompt 0, en… you fool and idiot and more"),
        rated(1, 3, 3, 2),
        rated(2, 5, 5, 5, Completion=""),
        rated(4, 3, 3, 3, BenignCompletion="my dear old friend of many years"),
    )
    found = read_pairs(folder)
    assert found.format == "rtplx"
    first, second = found.pairs
    assert (first.prompt, first.chosen, first.rejected) == (
        "prompt 0 en",
        ", my friend",
        " you fool and",
    )
    assert (second.chosen, second.rejected) == (" my dear old", ", you fool")
    assert not first.complete
    assert found.filtered == {"completion rated below 3": 1}
    assert found.left_out == {"no toxic or no benign completion": 1}
    assert found.changed["repeated prompt removed"] == 2
    lower = read_pairs(folder, options=ReadOptions(least_toxicity=2.5, subset="odd"))
    assert [pair.id for pair in lower.pairs] == ["rtplx/en/1"]


def test_rtplx_languages_are_asked_for_and_missing_ones_named(tmp_path):
    folder = rtplx(tmp_path / "r", rated(0, 5, 5, 5))
    with pytest.raises(BadData, match="has no de, only en"):
        read_pairs(folder, "rtplx", options=ReadOptions(languages=("en", "de")))
    with pytest.raises(UnknownName, match="subset"):
        read_pairs(folder, "rtplx", options=ReadOptions(subset="first"))
    old = rtplx(tmp_path / "old", rated(0, 5, 5, 5) | {"BenignCompletion": ""})
    with pytest.raises(BadData, match=r"only RTP-LX v1.x does"):
        read_pairs(old)


# ParaDetox


def test_paradetox_prompts_are_the_shared_beginning(tmp_path):
    path = lines(
        tmp_path / "p.jsonl",
        {
            "lang": "en",
            "toxic": "you are a stupid man today",
            "neutral": ["you are not a clever man"],
        },
        {"lang": "en", "toxic": "stupid talk", "neutral": ["odd talk", "stupid talk"]},
        {"lang": "en", "toxic": "go away fool", "neutral": ["go away"]},
        {"lang": "en", "toxic": "fool", "neutral": []},
    )
    found = read_pairs(path)
    assert found.format == "paradetox"
    first, second = found.pairs
    assert (first.prompt, first.chosen, first.rejected) == (
        "you are",
        " not a clever man",
        " a stupid man today",
    )
    assert (second.id, second.prompt, second.complete) == ("paradetox/2/0", "", True)
    assert found.left_out == {
        "identical chosen and rejected": 1,
        "one text is the beginning of the other": 1,
        "no neutral rewrite": 1,
    }


# data sets


def test_data_sets_are_read_from_folders_and_files(tmp_path):
    from datasets import Dataset, DatasetDict

    data = Dataset.from_list([PLAIN, PLAIN | {"chosen": " is calm."}])
    data.to_parquet(tmp_path / "a.parquet")
    data.to_csv(tmp_path / "a.csv")
    DatasetDict({"train": data}).save_to_disk(tmp_path / "saved")
    prints = set()
    for name in ("a.parquet", "a.csv", "saved"):
        found = read_pairs(tmp_path / name)
        assert found.format == "dataset"
        prints.add(found.fingerprint)
    assert len(prints) == 1
    with pytest.raises(BadData, match="lacks the columns rejected"):
        data.remove_columns("rejected").to_parquet(tmp_path / "b.parquet")
        read_pairs(tmp_path / "b.parquet")


def test_conversations_in_a_data_set_are_refused(tmp_path):
    from datasets import Dataset

    chat = [{"role": "user", "content": "hello"}]
    Dataset.from_list([PLAIN | {"prompt": chat}]).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(BadData, match="row 1: 'prompt' is a list of chat messages"):
        read_pairs(tmp_path / "a.parquet")


# cutting


def test_words_and_characters_are_cut_to_one_length():
    assert word_cut()("one two three", " four five") == ("one two", " four five")
    assert word_cut(most=1)("one two", " four five") == ("one", " four")
    assert word_cut(spaced=False)("你好 吗", "再见") == ("你好", "再见")
    assert word_cut()("", "a") == ("", "")


def test_tokens_are_cut_to_one_length_without_halving_a_character():
    tokenizer = byte_tokenizer()
    chosen, rejected = token_cut(tokenizer, 4)("aéé", "abcdefgh")
    assert token_count(tokenizer, chosen) == token_count(tokenizer, rejected) == 3
    assert (chosen, rejected) == ("aé", "abc")


def test_only_formats_that_need_it_are_cut_unless_asked(tmp_path):
    row = PLAIN | {"rejected": " is a stupid old fool."}
    path = lines(tmp_path / "a.jsonl", row, row | {"id": "again"})
    assert read_pairs(path).pairs[0].rejected == row["rejected"]
    found = read_pairs(path, cut=word_cut(most=2), options=ReadOptions(cut_all=True))
    assert [(p.chosen, p.rejected, p.complete) for p in found.pairs] == [
        (" is kind.", " is a", False)
    ]
    assert found.left_out == {"repeated pair": 1}


def test_shared_and_repeated_beginnings():
    assert shared_words("a b c", "a b d") == "a b"
    assert shared_words("a bc", "a bd") == "a"
    assert shared_words("a  b", "a b") == "a"
    assert without_prompt("Go on", "go, ON. Now") == " Now"
    assert without_prompt("Go on", "Go only") == "Go only"
    assert without_prompt("…", "… yes") == "… yes"
    assert continuing("a", "b", True) == " b"
    assert continuing("a", ", b", True) == ", b"
    assert continuing("a ", " b", True) == continuing("a", "b", False) == "b"


def test_every_format_reads_what_it_writes_about(tmp_path):
    assert set(FORMATS) == {"lee", "legacy", "plain", "dataset", "rtplx", "paradetox"}
    keys = [row.keys for row in FORMATS.values() if row.keys]
    assert not any(a < b for a in keys for b in keys), "auto could not tell them apart"
    assert set(PLAIN) <= set(asdict(PreferencePair("1", "a", "b", "c")))


def test_the_real_files_have_the_counts_of_the_documentation(shared):
    paradetox = shared / "data/paradetox_en/paradetox_en.jsonl"
    rtp_lx = shared / "data/rtp_lx_records_even"
    if not (paradetox.exists() and rtp_lx.exists()):
        pytest.skip("needs paradetox_en and rtp_lx_records_even in the data of DETOX_BENCH_SHARED")
    rewrites = read_pairs(paradetox)
    assert rewrites.left_out["no neutral rewrite"] == 5
    assert len(rewrites.pairs) + rewrites.n_left_out == 19_748
    english = read_pairs(rtp_lx)
    assert (len(english.pairs), english.n_filtered) == (389, 111)
    assert all(len(p.chosen.split()) == len(p.rejected.split()) for p in english.pairs)
