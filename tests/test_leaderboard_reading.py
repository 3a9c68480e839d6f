"""Safe reading: what is refused, by which sentence, and that limits hold before parsing."""

import gzip
import io
import json
import os
import re
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from submission_doubles import sample_lines

from detox_bench.errors import BadData
from detox_bench.leaderboard import json_of_strangers, reading
from detox_bench.leaderboard.content import canonical_json, pack_lines
from detox_bench.leaderboard.json_of_strangers import MOST_DEPTH, parse_json, read_json, too_deep
from detox_bench.leaderboard.reading import (
    SampleLimits,
    read_badges,
    read_sample_lines,
    unpacked,
    unpacked_lines,
)
from detox_bench.leaderboard.submitted import misplaced
from detox_bench.leaderboard.wording import plain, shown, texts_in, unsafe_character

LIMITS = SampleLimits(prompts=200, samples=3)

BAD_JSON = {
    b'{"a": 1, "a": 2}': r"x has the key 'a' twice",
    b"[NaN]": r"x holds NaN, which is no number of JSON",
    b"[-Infinity]": r"x holds -Infinity",
    b"[1e999]": r"x holds '1e999', which is too large a number",
    b"[1234567890123456]": r"x holds '1234567890123456', which has more digits",
    b"[" * 10**6: r"x is nested more than 32 deep",
    b'{"a":' * 10**6: r"x is nested more than 32 deep",
    b'"\\ud800"': r"x holds half a character",
    b"\xef\xbb\xbf{}": r"x begins with a byte order mark",
    '{"a": "é"}'.encode("latin-1"): r"x is not UTF-8: byte 7 is wrong",
    "{}".encode("utf-16"): r"x is not UTF-8: byte 0 is wrong",
    b"": r"x is not JSON: Expecting value, line 1 column 1",
    b"{": r"x is not JSON: Expecting property name",
    b"!!python/object/apply:os.system ['true']": r"x is not JSON",
    b"\x80\x04]\x94.": r"x is not UTF-8",  # a pickle
    b'"' + b'\\"' * 400_000: r"x is not JSON: Unterminated string",
}


@pytest.mark.parametrize("content", BAD_JSON, ids=lambda content: repr(content[:20]))
def test_json_that_two_readers_would_not_read_alike_is_refused(content):
    with pytest.raises(BadData, match=BAD_JSON[content]):
        parse_json(content, "x")


def test_good_json_is_read_as_it_is():
    value = {"a": [1, 2.5, None, True, "é\u2028", "[[[[" * 20], "b": {"c": {}}}
    for ascii_only in (True, False):
        text = json.dumps(value, ensure_ascii=ascii_only)
        assert parse_json(text.encode(), "x") == value


def test_depth_counts_brackets_outside_of_strings():
    assert not too_deep(b"[" * MOST_DEPTH + b"]" * MOST_DEPTH)
    assert too_deep(b"[" * (MOST_DEPTH + 1))
    assert not too_deep(json.dumps(["[" * 1000, '"[', "\\"]).encode())


def test_files_that_are_none_are_refused(tmp_path):
    (tmp_path / "real").write_text("{}", "utf-8")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    cases = {
        "link": "it is a link",
        "folder": "is no regular file",
        "pipe": "is no regular file",
        "gone": "No such file",
    }
    for name, sentence in cases.items():
        with pytest.raises(BadData, match=sentence):
            read_json(tmp_path / name, 100)
    with pytest.raises(BadData, match=r"real has 2 bytes, and 1 is the most"):
        read_json(tmp_path / "real", 1)


def packed(tmp_path: Path, content: bytes) -> Path:
    file = tmp_path / "samples.jsonl.gz"
    file.write_bytes(content)
    return file


def line(**changed: object) -> str:
    return canonical_json(sample_lines("x")[0].model_dump(mode="json") | changed)


def test_whole_samples_are_read_as_they_were_packed(tmp_path):
    lines = sample_lines("x")
    found = read_sample_lines(packed(tmp_path, pack_lines(lines)), LIMITS)
    assert found.problems == []
    assert sorted(found.lines, key=str) == sorted(lines, key=str)


BAD_LINES = {
    "[]": r"line 1: the whole is a list of 0, and should be: ",
    "{}": r"line 1: language is missing\.",
    line(extra=1): r"line 1: extra is no field of it\.",
    line(scores=["0.5"] * 3): r"line 1: scores\.0 is '0\.5', and should be: a valid number\.",
    line(scores=[1.5] * 3): r"line 1: scores\.0 is 1\.5, and should be: less than or equal to 1\.",
    line(scores=[True] * 3): r"line 1: scores\.0 is True, and should be: a valid number\.",
    line(texts=["x"] * 3): r"line 1: texts\.0 is 'x', and should be: ",
    line(texts=["0" * 16] * 4): r"line 1 has 4 texts; a prompt has 3 samples\.",
    line(perplexities=[0.5] * 3): r"line 1: perplexities\.0 is 0\.5",
    line(prompt_id="a\u202eb\n"): r"line 1: prompt_id is 'a\\u202eb\\n', and should be",
    line().replace('"metrics":{', '"metrics":{"emt":NaN,'): r"line 1 holds NaN",
    "": r"line 1 is not JSON",
}


@pytest.mark.parametrize("text", BAD_LINES, ids=range(len(BAD_LINES)))
def test_a_line_that_is_none_is_told_by_its_number(tmp_path, text):
    found = read_sample_lines(packed(tmp_path, gzip.compress(f"{text}\n".encode())), LIMITS)
    assert found.lines == []
    assert re.search(BAD_LINES[text], found.problems[0]), found.problems


BAD_FILES = {
    "no gzip": (b"{}\n", "is not gzip, or damaged"),
    "nothing": (b"", "ends in the middle, or is empty"),
    "cut off": (pack_lines(sample_lines("x"))[:-20], "ends in the middle"),
    "damaged": (pack_lines(sample_lines("x"))[:-6] + b"\0" * 6, "is not gzip, or damaged"),
    "more behind": (pack_lines(sample_lines("x")) + b"MZ", "holds more behind the end"),
    "two members": (gzip.compress(b"") * 2, "holds more behind the end"),
    "half a line": (gzip.compress(line().encode()), "ends in half a line"),
    "a long line": (gzip.compress(b"[" + b" " * 10**6 + b"]\n"), "a line of more than 2,240 bytes"),
    "many lines": (gzip.compress((line() + "\n").encode() * 201), "more lines than the list has"),
    "many bad lines": (gzip.compress(b"\n" * 10**6), "was not read further"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_of_samples_that_is_none_is_told_why(tmp_path, name):
    content, sentence = BAD_FILES[name]
    assert sentence in read_sample_lines(packed(tmp_path, content), LIMITS).problems[-1]


#: A good line in another form: the same value to a reader of JSON.
OTHER_FORMS = {
    "spaces": lambda text: json.dumps(json.loads(text)),
    "a space before a number": lambda text: text.replace('"scores":[', '"scores":[ '),
    "keys in another order": lambda text: canonical(dict(reversed(json.loads(text).items()))),
    "a number with more digits": lambda text: re.sub(r'("scores":\[[^,]+)', r"\g<1>00", text),
    "a whole number for a share": lambda text: canonical(json.loads(text) | {"scores": [0, 1, 1]}),
    "a default that is left out": lambda text: line(perplexities=None).replace(
        '"perplexities":null,', ""
    ),
    "an escape": lambda text: text.replace("sample/", "s\\u0061mple/"),
    "a key twice": lambda text: text.replace("{", '{"asked":"0",', 1),
    "a carriage return": lambda text: text + "\r",
}


def canonical(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


@pytest.mark.parametrize("form", OTHER_FORMS)
def test_lines_have_one_form_and_reading_stops_at_the_first_of_another(tmp_path, form):
    changed = OTHER_FORMS[form](line())
    assert changed != line()
    content = gzip.compress("".join(f"{each}\n" for each in [line(), *[changed] * 99]).encode())
    found = read_sample_lines(packed(tmp_path, content), LIMITS)
    assert len(found.lines) == 1
    first = found.problems[0]
    assert first.startswith("samples.jsonl.gz line 2 ")
    if form != "a key twice":
        assert len(found.problems) == 1
        assert first.endswith("shortest numbers); it was not read further.")


def test_unpacking_stops_at_the_limit(monkeypatch):
    monkeypatch.setattr(reading, "MOST_SAMPLES", 10**6)
    content = io.BytesIO(gzip.compress(bytes(10**8)))
    got = 0
    with pytest.raises(BadData, match="unpacks to more than 1,000,000 bytes"):
        for block in unpacked(content, "x"):
            got += len(block)
    assert got <= 10**6


def test_lines_come_whole_over_the_ends_of_blocks():
    lines = [bytes([97 + n % 26]) * (n * 37 % 5000) for n in range(200)]
    content = io.BytesIO(gzip.compress(b"\n".join(lines) + b"\n"))
    assert list(unpacked_lines(content, "x", 5000)) == lines


def test_a_folder_holds_the_files_of_a_submission_alone(tmp_path):
    for name in ("submission.json", "samples.jsonl.gz", "run.py", "..\u202e"):
        (tmp_path / name).write_text("", "utf-8")
    (tmp_path / "repro.json").symlink_to("/etc/hostname")
    (tmp_path / "more").mkdir()
    assert misplaced(tmp_path) == [
        "'..\\u202e', more, run.py is no file of a submission. Remove it.",
        "repro.json is a link. Submit the file itself.",
    ]
    (tmp_path / "repro.json").unlink()
    assert misplaced(tmp_path)[-1] == "repro.json is missing."
    assert misplaced(tmp_path / "run.py") == ["run.py is no folder of a submission."]


def badges_in(folder, *raw):
    (folder / "badge.json").write_text(json.dumps(raw), "utf-8")
    return read_badges(folder)


def test_a_submission_has_several_badges_each_one_of_four(tmp_path):
    assert read_badges(tmp_path) == ((), [])
    good = {"badge": "contaminated", "date": "2026-01-31", "note": None}
    found = badges_in(tmp_path, good, {"badge": "best", "date": "2026-01-31"})
    assert [each.badge for each in found.badges] == ["contaminated"]
    assert found.problems[0].startswith("badge.json, badge 2: badge is 'best', and should be")
    found = badges_in(tmp_path, good, good | {"badge": "reproduced"})
    assert [each.badge for each in found.badges] == ["contaminated", "reproduced"]
    assert found.problems == []
    (tmp_path / "badge.json").write_text(json.dumps(good), "utf-8")
    assert read_badges(tmp_path).problems == [
        "badge.json holds an object of 3, not a list of up to 20 badges."
    ]


@pytest.mark.parametrize("date", ["today", "2026-02-30", "20260131", "2999-01-01"])
def test_the_date_of_a_badge_is_one_and_not_in_the_future(tmp_path, date):
    found = badges_in(tmp_path, {"badge": "removed", "date": date})
    wanted = "a date as 2026-01-31 that is not in the future"
    assert found.problems == [f"badge.json, badge 1: date is '{date}', and should be: {wanted}."]


def test_what_strangers_wrote_stands_escaped_and_short_in_a_sentence():
    assert shown("a\u202eb\x1b[31m") == r"'a\u202eb\x1b[31m'"
    assert shown("x" * 100) == repr("x" * 60) + "…"
    assert shown({"a": [1]}) == "an object of 1"
    assert plain("name") == "name"
    assert plain("a\nb") == r"'a\nb'"


def test_unsafe_characters_are_found_and_letters_are_not():
    assert unsafe_character("naïve 中文 العربية हिन्दी\n\t") is None
    unsafe = {"\u202e": "U+202E", "\u200b": "U+200B", "\x00": "U+0000", "\u2028": "U+2028"}
    assert {each: unsafe_character(f"a{each}") for each in unsafe} == unsafe


def test_texts_are_found_wherever_they_stand():
    found = dict(texts_in({"a": ["x", {"b": "y"}], "c": 1}))
    assert found["a[0]"] == "x"
    assert found["a[1].b"] == "y"
    assert found["a name in a[1]"] == "b"


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet='[]{}"a\\ ', max_size=120).map(str.encode))
def test_depth_is_that_of_a_plain_count(content):
    """A reader that goes byte by byte, knowing strings and escapes, counts the same."""
    depth = highest = 0
    inside = escaped = False
    for byte in content.decode():
        if inside:
            inside, escaped = escaped or byte != '"', byte == "\\" and not escaped
        elif byte == '"':
            inside = True
        else:
            depth += (byte in "[{") - (byte in "]}")
            highest = max(highest, depth)
    with mock.patch.object(json_of_strangers, "MOST_DEPTH", 4):
        assert too_deep(content) == (highest > 4)
