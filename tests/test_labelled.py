"""Reading labelled texts: columns, labels, ids, subsets, and files that are not right."""

import gzip
import json
import logging

import pytest

from detox_bench.data.labelled import (
    LabelledText,
    hash_fraction,
    read_labelled,
    read_labelled_files,
)
from detox_bench.errors import BadData

JIGSAW = """id,comment_text,toxic,severe_toxic,obscene
00a1,"first line
second line, with ""quotes""

fourth",0,0,0
00a2,plain,1,0,1
"""


def lines(file, rows):
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return file


def pair(label, other):
    return [{"text": "this", "label": label}, {"text": "that", "label": other}]


@pytest.mark.parametrize("toxic", [True, 1, "1", 1.0, 0.5, "0.73", "Toxic", "TRUE", "offensive"])
@pytest.mark.parametrize("other", [False, 0, "0", 0.49, "non-toxic", "Not toxic", "non_toxic"])
def test_labels_of_every_spelling(tmp_path, toxic, other):
    found = read_labelled(lines(tmp_path / "a.jsonl", pair(toxic, other)))
    assert [each.toxic for each in found] == [True, False]


@pytest.mark.parametrize("label", ["perhaps", "", None, 2, -1, "-1", "nan", "inf", [], {}])
def test_a_label_that_is_none_is_named_with_its_line(tmp_path, label):
    file = lines(tmp_path / "a.jsonl", pair(1, label))
    with pytest.raises(BadData, match=r"a\.jsonl line 2: the label 'label' is .* give true, false"):
        read_labelled(file)


def test_jigsaw_is_read_as_it_is(tmp_path):
    file = tmp_path / "train.csv"
    file.write_text(JIGSAW, "utf-8")
    assert read_labelled(file) == [
        LabelledText("00a1", 'first line\nsecond line, with "quotes"\n\nfourth', False),
        LabelledText("00a2", "plain", True),
    ]


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "tsv", "tsv.gz", "jsonl", "jsonl.gz"])
def test_every_kind_of_file(tmp_path, suffix):
    separator = "\t" if "tsv" in suffix else ","
    content = f"Text{separator}Label\r\nthis{separator}1\r\n\r\nthat{separator}0\r\n"
    if "jsonl" in suffix:
        content = "\n".join(map(json.dumps, pair(1, 0)))
    content = ("\ufeff" + content).encode()  # as spreadsheets begin their files
    file = tmp_path / f"a.{suffix}"
    file.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    assert [(each.text, each.toxic) for each in read_labelled(file)] == [
        ("this", True),
        ("that", False),
    ]


def test_other_line_ends_within_a_text_end_no_line(tmp_path):
    texts = ["one\u2028two\x85three\x0cfour", "five"]
    content = [json.dumps({"text": t, "label": n}, ensure_ascii=False) for n, t in enumerate(texts)]
    file = tmp_path / "a.jsonl"
    file.write_bytes("\n".join(content).encode())
    assert [each.text for each in read_labelled(file)] == texts


def test_ids_are_the_files_or_those_of_equal_texts_alike(tmp_path):
    rows = [
        {"id": 7, "text": "one", "label": 1},
        {"id": "", "text": "two", "label": 0},
        {"id": None, "text": "two", "label": 0},
        {"text": "three", "label": 0},
    ]
    ids = [each.id for each in read_labelled(lines(tmp_path / "a.jsonl", rows))]
    assert ids[0] == "7"
    assert ids[1] == ids[2]
    assert len(set(ids)) == 3


def test_columns_can_be_named(tmp_path):
    rows = [{"text": "x", "body": b, "label": 5, "bad": n} for n, b in enumerate(["this", "that"])]
    file = lines(tmp_path / "a.jsonl", rows)
    assert [each.text for each in read_labelled(file, "Body", "bad")] == ["this", "that"]


def test_a_column_that_is_not_there(tmp_path):
    file = lines(tmp_path / "a.jsonl", [{"body": "this", "label": 1}])
    with pytest.raises(BadData, match=r"'text' or 'comment_text'.* It has body, label: .*--text-c"):
        read_labelled(file)
    with pytest.raises(BadData, match="no column 'bad' for the labels"):
        read_labelled(file, "body", "bad")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.jsonl", '{"text": "a", "label": 1}\n{"text": ', "line 2: not JSON"),
        ("a.jsonl", '{"text": "a", "label": 1}\n[1]\n', "line 2: not a JSON object"),
        ("a.jsonl", '{"text": "a", "label": 1}\n{"text": "b"}\n', "line 2: no 'label'"),
        ("a.jsonl", '{"text": ["a"], "label": 1}\n', "line 1: 'text' is .* no text"),
        ("a.csv", 'text,label\n"a\nb",1\n"c,0\nd,0\n', "line 4: .* quote left open"),
        ("a.csv", "text,label\na,1\nb\n", "line 3: 1 fields, and the header has 2"),
        ("a.csv", "text,label\n", "There is no text in"),
        ("a.jsonl", "", "There is no text in"),
        ("a.jsonl", "[" * 100_000, "line 1: not JSON"),
        ("a.jsonl.gz", "not packed", "cannot be read"),
        ("a.xlsx", "", r"Known: \.jsonl, \.jsonl\.gz"),
    ],
)
def test_a_file_that_is_not_right(tmp_path, name, content, told):
    (tmp_path / name).write_text(content, "utf-8")
    with pytest.raises(BadData, match=told):
        read_labelled(tmp_path / name)


def test_bytes_that_are_no_text_and_a_file_that_is_not_there(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"text,label\n\xff\xfe,1\n")
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "\xff", "label": 1}\n')
    for name in ("a.csv", "a.jsonl", "none.jsonl"):
        with pytest.raises(BadData, match=name):
            read_labelled(tmp_path / name)


def test_a_damaged_archive_is_a_sentence(tmp_path):
    packed, file = gzip.compress(json.dumps(pair(1, 0)).encode() * 20), tmp_path / "a.jsonl.gz"
    for place in range(len(packed)):
        file.write_bytes(packed[:place] + bytes([packed[place] ^ 0xFF]) + packed[place + 1 :])
        with pytest.raises(BadData, match=r"line 1|cannot be read"):
            read_labelled(file)


def test_empty_texts_are_left_out_and_counted(tmp_path, caplog):
    rows = [*pair(1, 0), {"text": " \n", "label": 1}, {"text": None, "label": 0}]
    with caplog.at_level(logging.WARNING):
        assert len(read_labelled(lines(tmp_path / "a.jsonl", rows))) == 2
    assert "2 empty texts were left out" in caplog.text


def test_half_a_character_becomes_a_mark(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text('{"text": "a \\ud83d b", "label": 1}\n{"text": "c", "label": 0}\n')
    assert read_labelled(file)[0].text == "a ? b"


def test_one_class_only_is_refused_but_each_file_may_hold_one(tmp_path):
    toxic = lines(tmp_path / "toxic.jsonl", pair(1, 1))
    other = lines(tmp_path / "other.jsonl", pair(0, 0))
    with pytest.raises(BadData, match=r"All 2 texts in .*toxic\.jsonl are toxic\."):
        read_labelled(toxic)
    with pytest.raises(BadData, match="are not toxic"):
        read_labelled(other)
    assert [each.toxic for each in read_labelled_files([toxic, other])] == [True] * 2 + [False] * 2


def test_a_subset_does_not_depend_on_the_order_of_the_file(tmp_path):
    rows = [{"id": f"n{n}", "text": f"text {n}", "label": n % 2} for n in range(200)]
    forward = read_labelled(lines(tmp_path / "a.jsonl", rows), limit=40)
    backward = read_labelled(lines(tmp_path / "b.jsonl", rows[::-1]), limit=40)
    assert len(forward) == 40
    assert forward == backward[::-1]
    assert set(forward) < set(read_labelled(tmp_path / "a.jsonl", limit=60))


def test_hashes_of_two_purposes_are_unrelated():
    ids = [str(n) for n in range(1000)]
    low = [hash_fraction("part", i) for i in ids if hash_fraction("limit", i) < 0.2]
    # About 200 numbers from 0 to 1: their mean is 0.5, give or take 0.02.
    assert 0.4 < sum(low) / len(low) < 0.6


def test_a_preference_pair_is_two_texts_that_stay_together(tmp_path):
    file = tmp_path / "pairs.jsonl"
    rows = [{"id": "a", "prompt": "p", "chosen": "one", "rejected": "two", "language": "en"}] * 1
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_labelled(file) == [
        LabelledText("a", "one", False),
        LabelledText("a", "two", True),
    ]
    file.write_text(json.dumps({**rows[0], "chosen": [{"role": "user"}]}))
    with pytest.raises(BadData, match="which is no text"):
        read_labelled(file)
