"""Archives of scores: our fields, those of PolygloToxicityPrompts, and what is no row."""

import json

import pytest

from detox_bench.errors import BadData
from detox_bench.score_archives import ArchivedScore, read_archive


def archive(file, *rows):
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return file


def test_rows_by_either_set_of_names_and_none_without_a_score(tmp_path):
    rows = [
        {"text": "a", "language": "de", "score": 0.25},
        {"prompt": "b", "lang": "zh", "toxicity": 1},
        {"text": "c", "language": "de", "score": None},
    ]
    assert list(read_archive(archive(tmp_path / "a.jsonl", *rows))) == [
        ArchivedScore("a", "de", 0.25),
        ArchivedScore("b", "zh-Hans", 1.0),
    ]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"text": "a", "language": "de"}, "no score or toxicity"),
        ({"text": "a", "language": "de", "score": 1.5}, r"the score 1\.5 is not in"),
        ({"text": "a", "language": "xx", "score": 0.5}, "Unknown language 'xx'"),
        (["a"], "is not a row of an archive"),
    ],
)
def test_what_is_no_row_is_named(tmp_path, row, said):
    good = {"text": "a", "language": "de", "score": 0.5}
    with pytest.raises(BadData, match=rf"a\.jsonl line 2.*{said}"):
        list(read_archive(archive(tmp_path / "a.jsonl", good, row)))


def test_an_archive_that_is_not_there(tmp_path):
    with pytest.raises(BadData, match="cannot be read: No such file"):
        list(read_archive(tmp_path / "a.jsonl"))
