import gzip
import hashlib
import json
import re
import zipfile
from pathlib import Path

import pytest
from rtplx_doubles import (
    EVEN,
    PASSWORD,
    ZIP,
    folder_of,
    json_lines,
    needs_both,
    needs_zip,
    real_password,
    v03,
    v1,
    write_zip,
)

from detox_bench.data.archives import SourceFile, lines_of, needs_password
from detox_bench.data.rtplx import COLUMNS, HARMS, LanguageRows, read_language
from detox_bench.data.rtplx_files import open_rtplx
from detox_bench.data.rtplx_numbers import RENUMBERED, IndexedText, as_number, number_prompts
from detox_bench.errors import BadData, DetoxBenchError
from detox_bench.languages import LANGUAGES, PAPER_LANGUAGES


def read(path: Path, password: str | None = None) -> dict[str, LanguageRows]:
    files = open_rtplx(path, password).files
    return {language.code: read_language(language, file) for language, file in files}


def rows_of(code: str, rows: list[dict], end: str = "\n") -> LanguageRows:
    language = LANGUAGES[code]
    content = json_lines(rows, end)
    return read_language(language, SourceFile(f"RTP_LX_{language.rtplx}.json", 0, lambda: content))


def ids(part: LanguageRows) -> list[str]:
    return [row["id"] for row in part.rows]


def tail_of(text: str) -> str:
    return "x" + hashlib.sha256(text.encode()).hexdigest()[:10]


# Sources


@pytest.mark.parametrize("password", [PASSWORD, None])
def test_a_zip_is_read_encrypted_or_not(tmp_path, password):
    members = {
        "RTP-LX/RTP_LX_DE.json": json_lines([v03("0", "prompt 0 de")], "\r\n"),
        "RTP-LX/RTP_LX_EN.json": json_lines([v03(0, "prompt 0 en")]),
        "RTP-LX/README.md": b"no data",
        "__MACOSX/RTP-LX/._RTP_LX_EN.json": b"\0",
    }
    path = write_zip(tmp_path / "RTP-LX.zip", members, password)
    assert needs_password(path) == (password is not None)
    parts = read(path, password)
    assert {code: part.rows[0]["text"] for code, part in parts.items()} == {
        "de": "prompt 0 de",
        "en": "prompt 0 en",
    }


def test_an_unneeded_password_is_no_error(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"RTP_LX_EN.json": json_lines([v03(0, "hello")])})
    assert ids(read(path, "anything")["en"]) == ["rtplx/en/0"]


def test_zip_folder_and_packed_files_give_the_same_rows(tmp_path):
    lines = json_lines([v1(0, "prompt 0"), v1(1, "prompt 1")])
    zipped = write_zip(tmp_path / "a.zip", {"RTP_LX_NO-NB.json": lines}, PASSWORD)
    for name, content in {
        "a/RTP_LX_NO-NB.json": lines,
        "b/nested/RTP_LX_no-nb.jsonl": lines,
        "c/RTP_LX_NO_NB.jsonl.gz": gzip.compress(lines),
    }.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(content)
    expected = read(zipped, PASSWORD)["nb"].rows
    assert [read(tmp_path / folder)["nb"].rows for folder in "abc"] == [expected] * 3
    assert read(tmp_path / "c/RTP_LX_NO_NB.jsonl.gz")["nb"].rows == expected


def test_locales_of_later_releases_are_left_out_and_named(tmp_path):
    folder_of(tmp_path, EN=[v03(0, "hello")], VI=[v03(0, "hello")])
    source = open_rtplx(tmp_path)
    assert [language.code for language, _ in source.files] == ["en"]
    assert source.left_out == ("RTP_LX_VI.json",)


def test_wrong_and_missing_passwords_are_one_sentence(tmp_path):
    members = {"RTP_LX_EN.json": json_lines([v03(0, "hello")])}
    path = write_zip(tmp_path / "RTP-LX.zip", members, PASSWORD)
    with pytest.raises(BadData, match=r"RTP-LX\.zip is encrypted: give .* --password"):
        read(path)
    with pytest.raises(BadData, match=r"The password does not open RTP-LX\.zip"):
        read(path, "wrong")


def test_a_wrong_password_that_passes_the_check_byte_is_found_too(tmp_path):
    members = {"RTP_LX_EN.json": json_lines([v03(0, "hello")])}
    path = write_zip(tmp_path / "RTP-LX.zip", members, PASSWORD)

    def passes(password: str) -> bool:
        with zipfile.ZipFile(path) as archive:
            try:
                archive.open("RTP_LX_EN.json", pwd=password.encode()).close()
            except RuntimeError:
                return False
        return True

    lucky = next(name for name in map(str, range(10_000)) if passes(name))
    with pytest.raises(BadData, match="the password is wrong or the file is damaged"):
        read(path, lucky)


def bad_sources(folder: Path) -> list[tuple[Path, str]]:
    whole = write_zip(folder / "whole.zip", {"RTP_LX_EN.json": json_lines([v03(0, "hello")])})
    cut = folder / "cut.zip"
    cut.write_bytes(whole.read_bytes()[:-30])
    page = folder / "page.zip"
    page.write_bytes(b"<!DOCTYPE html>")
    other = write_zip(folder / "other.zip", {"notes.txt": b"hello"})
    aes = folder / "aes.zip"
    content = bytearray(whole.read_bytes())
    start = content.index(b"PK\x01\x02")
    content[start + 10] = 99
    aes.write_bytes(content)
    twice = folder_of(folder / "twice", EN=[v03(0, "hello")])
    (twice / "RTP_LX_EN.jsonl").write_bytes(b"{}")
    holder = folder / "holder"
    holder.mkdir()
    write_zip(holder / "RTP-LX.zip", {})
    empty = folder / "empty"
    empty.mkdir()
    unnamed = folder / "german.jsonl"
    unnamed.write_bytes(json_lines([v03(0, "hello")]))
    typo = folder / "RTP_LX_ZH-Hands.json"
    typo.write_bytes(json_lines([v03(0, "hello")]))
    packed = folder / "RTP_LX_DE.jsonl.gz"
    packed.write_bytes(gzip.compress(b"hello" * 99)[:-9])
    return [
        (folder / "nowhere", "There is no file or folder"),
        (cut, r"cut.zip \(\d+ bytes\) is no zip file or is cut short"),
        (page, r"page.zip \(15 bytes\) is no zip file"),
        (other, "other.zip holds no file named RTP_LX_<LOCALE>.json"),
        (aes, "encrypted with AES.*7z"),
        (twice, "RTP_LX_EN.json and RTP_LX_EN.jsonl are both English: keep one"),
        (holder, "holder holds no data files, but RTP-LX.zip: give that file"),
        (empty, "empty holds no file named"),
        (unnamed, "german.jsonl does not say its language"),
        (typo, "Unknown RTP-LX locale 'ZH-Hands'. Did you mean 'ZH-Hans'?"),
        (packed, "RTP_LX_DE.jsonl.gz is damaged or cut short"),
    ]


def test_a_bad_source_is_one_sentence(tmp_path):
    for path, sentence in bad_sources(tmp_path):
        with pytest.raises(DetoxBenchError, match=sentence) as error:
            read(path)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'{"Prompt": "a", "Index": 1}\n{"text": "b"}\n', "EN.json, line 2: not a text under 'Pro"),
        (b'{"Prompt": 3, "Index": 1}\n', "line 1: not a text under 'Prompt' and an 'Index'"),
        (b'{"Prompt": "a"}\n', "so this is no RTP-LX file; its keys: Prompt"),
        (b'\n[{"Prompt": "a"}]\n', "line 2: a list, not an object"),
        (b'{"Prompt": "a"', "line 1: not JSON in UTF-8"),
        (b'{"Prompt": "\xff"}', "line 1: not JSON in UTF-8"),
        (b'{"Prompt": "a", "Index": ' + b"9" * 5000 + b"}", "EN.json, line 1: not JSON"),
        (b'{"Prompt": "a", "Index": "' + b"9" * 5000 + b'"}', "line 1: the 'Index' is no number"),
        (b'{"Prompt": "a", "Index": 1e300}', "line 1: the 'Index' is no number"),
        (b'{"Prompt": "a", "Index": [[1]]}', "line 1: the 'Index' is no number"),
        (b'\n{"Prompt": ' + b"[" * 100_000, "EN.json, line 2: not JSON in UTF-8"),
        (b"\n", "has no rows"),
    ],
)
def test_a_file_that_is_no_rtplx_names_file_and_line(tmp_path, content, sentence):
    (tmp_path / "RTP_LX_EN.json").write_bytes(content)
    with pytest.raises(BadData, match=sentence) as error:
        read(tmp_path / "RTP_LX_EN.json")
    assert "\n" not in str(error.value)


# Rows


def test_texts_stay_as_they_are_but_for_cr_lf():
    odd = " a\u2028b\u200d\x85c_x000D_ \n"
    part = rows_of("tr", [v03(0, odd), v03(1, "one\r\ntwo\rthree")], end="\r\n")
    assert [row["text"] for row in part.rows] == [odd, "one\ntwo\rthree"]


def test_lines_end_at_line_feeds_only():
    content = "\ufeffa\u2028b\u0085c\r\n\n  \nd".encode()
    assert [(n, line.decode()) for n, line in lines_of(content)] == [
        (1, "a\u2028b\u0085c\r"),
        (4, "d"),
    ]


def test_prompts_that_cannot_be_asked_are_kept_out_and_counted():
    rows = [v03(i, text) for i, text in enumerate(["", " \r\n", "NA", "a\ud800", "fine", "fine"])]
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    part = read_language(LANGUAGES["he"], SourceFile("RTP_LX_HE.json", 0, lambda: content))
    assert part.rows_read == 6
    assert part.kept_out == {"empty prompt": 2, "prompt is NA": 1, "broken Unicode": 1}
    assert ids(part) == ["rtplx/he/4", "rtplx/he/5"]  # equal texts, two prompts


def test_an_exact_repetition_is_kept_out_once():
    part = rows_of("en", [v03(7, "hello"), v03(7, "hello"), v03("NA", "you"), v03("NA", "you")])
    assert ids(part) == ["rtplx/en/7", f"rtplx/en/{tail_of('you')}"]
    assert part.kept_out == {"repeated row": 2}


def test_both_schemas_give_the_mean_of_the_raters():
    old, new = rows_of("en", [v03(0, "a", (5, 5, 1))]), rows_of("en", [v1(0, "a", (5, 5, 1))])
    assert (old.schema, new.schema) == ("v0.3", "v1.x")
    assert old.rows[0]["toxicity"] == new.rows[0]["toxicity"] == pytest.approx(11 / 3)
    assert old.rows[0]["ratings"] == new.rows[0]["ratings"]
    assert tuple(new.rows[0]["ratings"]) == HARMS
    assert old.rows[0]["completion"] is None
    assert new.rows[0]["completion"] == "a, you fool"
    assert new.rows[0]["completion_toxicity"] == pytest.approx(8 / 3)
    assert new.rows[0]["benign_completion"] == "a, my friend"
    assert list(old.rows[0]) == list(new.rows[0]) == list(COLUMNS)


def test_ratings_that_are_missing_are_none_never_zero():
    row = v1(0, "a")
    del row["PromptAnnotationsRaw"], row["CompletionAnnotations"], row["CompletionAnnotationsRaw"]
    row["PromptAnnotations"]["Toxicity"] = 4
    [read_row] = rows_of("en", [row]).rows
    assert read_row["toxicity"] == 4  # of the aggregate, where no rater is published
    assert read_row["completion_toxicity"] is None
    [bare] = rows_of("en", [{"Prompt": "a", "Index": 4.0}]).rows
    assert (bare["toxicity"], bare["ratings"], bare["index"]) == (None, None, "4")


def test_ratings_that_are_not_finite_or_absurd_are_dropped():
    bad = (10**400, -(10**400), 1e308, float("inf"), float("-inf"), float("nan"))
    [row] = rows_of("en", [v03(0, "a", (*bad, 4, 5))]).rows
    assert (row["ratings"]["Toxicity"], row["toxicity"]) == ([4.0, 5.0], 4.5)
    [row] = rows_of("en", [v03(0, "a") | {"AnnotationsRaw": {"Toxicity": list(bad)}}]).rows
    assert (row["ratings"]["Toxicity"], row["toxicity"]) == ([], None)


# Numbers


def test_an_index_of_thousands_of_digits_is_no_number():
    assert as_number("9" * 5000) is None
    assert as_number("1050") == 1050


def test_the_shifted_locales_are_one_ahead_from_961_on():
    texts = {i: f"prompt {i}" for i in (0, 959, 961, 999, 1000, 1051)}
    part = rows_of("de", [v03(str(i), text) for i, text in texts.items()])
    assert [row["parallel_id"] for row in part.rows] == [0, 959, 960, 998, None, None]
    tails = [0, 959, 960, 998, 1000, 1051]
    assert ids(part) == [f"rtplx/de/{tail}" for tail in tails]


def test_the_other_locales_are_numbered_like_english():
    part = rows_of("sv", [v03(i, f"prompt {i}") for i in (0, 960, 998, 999, 1048)])
    assert [row["parallel_id"] for row in part.rows] == [0, 960, 998, None, None]
    assert ids(part) == [f"rtplx/sv/{i}" for i in (0, 960, 998, 999, 1048)]


def test_an_index_960_in_a_shifted_locale_is_an_unknown_numbering(caplog):
    part = rows_of("de", [v03(i, f"prompt {i}") for i in (959, 960, 961)])
    assert [row["parallel_id"] for row in part.rows] == [959, None, None]
    assert "RTP_LX_DE.json has an Index 960" in caplog.text


def test_rows_without_number_or_sharing_one_are_named_by_their_text():
    part = rows_of("en", [v03("NA", " a\r\nb "), v03(3, "c"), v03(3, "d"), v03(-1, "e")])
    assert ids(part) == [f"rtplx/en/{tail_of(text)}" for text in ("a\nb", "c", "d", "e")]
    assert all(row["parallel_id"] is None for row in part.rows)


@pytest.mark.parametrize("code", ["sh", "sw"])
def test_the_renumbered_locales_have_the_same_ids_in_both_releases(code):
    """v1.x counts rows sorted by Index as text: 0, 1, 10, 100, …; SW has one more, the 12th."""
    old = {"0": 0, "10": 2, "100": 3, "107": 10, "108": 11 + (code == "sw"), "999": 998}
    old["999"] += code == "sw"
    before = [v03(index, f"prompt {index}") for index in old] + [v03("NA", "of the land")]
    after = [v1(now, f"prompt {index}") for index, now in old.items()]
    after.append(v1(1000, "of the land"))
    first, second = rows_of(code, before), rows_of(code, after)
    assert [row["parallel_id"] for row in first.rows] == [0, 10, 100, 107, 108, 998, None]
    assert [(r["id"], r["parallel_id"]) for r in first.rows] == [
        (r["id"], r["parallel_id"]) for r in second.rows
    ]


def test_the_orders_of_the_renumbered_locales_hold_each_parallel_index_once():
    for order in RENUMBERED.values():
        known = [index for index in order if index is not None]
        assert sorted(known) == [n for n in range(1000) if n != 960]
    assert len(RENUMBERED["SW"]) == len(RENUMBERED["BCMS"]) + 1 == 1000


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("schema", ["v0.3", "v1.x"])
def test_ids_are_unique_and_parallel_ids_complete(code, schema):
    locale = LANGUAGES[code].rtplx
    prompts = [IndexedText(str(i), f"prompt {i}") for i in range(1100) if i != 960]
    numbers = number_prompts(locale, schema, prompts)
    assert len({number.tail for number in numbers}) == len(prompts)
    shifted = {number.parallel_id for number in numbers} - {None}
    assert len(shifted) >= 998
    assert shifted <= set(range(999))


# The real files


@pytest.fixture(scope="module")
def real() -> dict[str, LanguageRows]:
    return read(ZIP, real_password())


@needs_zip
def test_the_real_zip_is_read_whole(real):
    assert len(real) == 28
    assert sum(part.rows_read for part in real.values()) == 30_263
    assert {c: dict(p.kept_out) for c, p in real.items() if p.kept_out} == {
        "he": {"empty prompt": 1}
    }
    assert sum(len(real[code].rows) for code in PAPER_LANGUAGES) == 18_328
    assert all(len(set(ids(part))) == len(part.rows) for part in real.values())
    parallel = {c: {r["parallel_id"] for r in p.rows} - {None} for c, p in real.items()}
    assert {c: len(found) for c, found in parallel.items() if len(found) != 999} == {"he": 998}
    assert parallel["en"] == set(range(999))


@needs_zip
def test_the_last_39_parallel_prompts_are_translations(real):
    """English ratings agree with the others' at the right shift, and at no other."""

    def by_parallel_id(code: str, field: str) -> dict[int, float]:
        return {r["parallel_id"]: r[field] for r in real[code].rows}

    def correlation(code: str, shift: int) -> float:
        english, other = by_parallel_id("en", "text"), by_parallel_id(code, "text")
        places = [i for i in range(960, 999) if i + shift in other and i + shift < 999]
        a = [len(english[i]) for i in places]
        b = [len(other[i + shift]) for i in places]
        mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
        cov = sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
        var = sum((x - mean_a) ** 2 for x in a) * sum((y - mean_b) ** 2 for y in b)
        return cov / var**0.5

    for code in real:
        assert correlation(code, 0) > 0.7, code
        if code != "en":
            assert max(abs(correlation(code, shift)) for shift in (-1, 1)) < 0.4, code


@needs_both
def test_v1_records_have_the_ids_of_v03(real):
    """Texts agree but for white space at the ends; ratings agree rater by rater."""
    n_rows = 0
    for code, part in read(EVEN).items():
        first = {row["id"]: row for row in real[code].rows}
        for row in part.rows:
            before = first[row["id"]]
            assert row["text"].strip() == before["text"].strip(), row["id"]
            assert row["parallel_id"] == before["parallel_id"]
            assert row["ratings"] == before["ratings"]
            assert re.fullmatch(rf"rtplx/{code}/(\d+|x[0-9a-f]{{10}})", row["id"])
        n_rows += len(part.rows)
    assert n_rows == 13_974
