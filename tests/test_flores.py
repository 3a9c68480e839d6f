"""FLORES: every layout it comes in, and what does not fit."""

import json
import shutil
import tarfile
from pathlib import Path

import pytest

from detox_bench.data.flores import (
    SPLITS,
    flores_sentences,
    open_flores,
    read_flores,
    save_flores,
)
from detox_bench.data.store import read_manifest
from detox_bench.errors import BadData, UnknownName

CODES = {"en": "eng_Latn", "de": "deu_Latn", "zh-Hans": "zho_Hans"}


def texts(code: str, split: str, n: int = 3) -> list[str]:
    return [f"sentence {number} of {split} in {code}" for number in range(n)]


def write(folder: Path, name: str, content: list[str]) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(content) + "\n", "utf-8")
    return file


def official(folder: Path, splits=SPLITS, more=()) -> Path:
    for code, named in (*CODES.items(), *more):
        for split in splits:
            write(folder, f"flores200_dataset/{split}/{named}.{split}", texts(code, split))
    write(folder, "flores200_dataset/metadata_dev.tsv", ["URL\tdomain"])
    return folder / "flores200_dataset"


def prepared(path: Path) -> None:
    opened = open_flores(path)
    save_flores(opened, read_flores(opened), replace=True)


def everything() -> dict[tuple[str, str], list[str]]:
    return {
        (code, split): list(flores_sentences(code, split)[1].values())
        for code in CODES
        for split in SPLITS
    }


EXPECTED = {(code, split): texts(code, split) for code in CODES for split in SPLITS}


def test_the_folder_the_one_around_it_and_the_archive_are_the_same(tmp_path):
    folder = official(tmp_path / "made")
    hashes = set()
    archive = tmp_path / "flores200_dataset.tar.gz"
    with tarfile.open(archive, "w:gz") as made:
        made.add(folder, "flores200_dataset")
    for path in (folder, folder.parent, archive):
        prepared(path)
        assert everything() == EXPECTED
        hashes.add(read_manifest("flores").content_sha256)
    assert len(hashes) == 1
    assert read_manifest("flores").source == "flores200_dataset.tar.gz"


@pytest.mark.parametrize("layout", ["{split}/{code}.jsonl", "{code}/{split}/0000.jsonl"])
def test_copies_of_the_hub_have_a_table_a_language(tmp_path, layout):
    newer = {**CODES, "zh-Hans": "cmn_Hans"}  # as FLORES+ calls it
    for code, named in newer.items():
        for split in SPLITS:
            rows = [json.dumps({"id": n, "text": t}) for n, t in enumerate(texts(code, split))]
            write(tmp_path, layout.format(split=split, code=named), rows)
    prepared(tmp_path)
    assert everything() == EXPECTED


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_a_folder_or_zip_of_one_split_of_the_hub_is_read(tmp_path, kind):
    for code in CODES.values():
        write(tmp_path / "made", f"dev/{code}.jsonl", ['{"text": "one"}', '{"text": "two"}'])
    if kind == "zip":
        source = Path(shutil.make_archive(str(tmp_path / "hub"), "zip", tmp_path / "made"))
    else:
        source = tmp_path / "made" / "dev"
    prepared(source)
    assert list(flores_sentences("de", "dev")[1].values()) == ["one", "two"]


@pytest.mark.parametrize("name", ["notes.txt", "flores200_dataset.zst", "deu_Latn.jsonl"])
def test_one_file_that_is_not_named_as_flores_is_refused(tmp_path, name):
    write(tmp_path, name, ["one"])
    with pytest.raises(BadData, match=f"^{name} holds no FLORES file of our languages"):
        open_flores(tmp_path / name)


def test_one_split_alone_will_do_and_the_other_is_missed_where_it_is_asked(tmp_path):
    prepared(official(tmp_path, splits=["devtest"]) / "devtest")
    assert list(flores_sentences("de", "devtest")[1]) == [f"flores/devtest/{n}" for n in range(3)]
    with pytest.raises(BadData, match=r"\(devtest\) has no 'de' in dev, only none"):
        flores_sentences("de", "dev")


def test_a_split_in_the_store_is_not_lost_without_a_word(tmp_path):
    both, one = official(tmp_path / "both"), official(tmp_path / "one", ("devtest",))
    save_flores(opened := open_flores(both), read_flores(opened))
    alone = open_flores(one)
    with pytest.raises(BadData, match=r"holds dev of FLORES and .* does not: add --replace"):
        save_flores(alone, read_flores(alone))
    assert flores_sentences("de", "dev")
    save_flores(alone, read_flores(alone), replace=True)
    save_flores(opened, read_flores(opened))


def test_a_language_that_is_missing_is_named_and_others_are_left_out(tmp_path):
    prepared(official(tmp_path, more=[("xx", "vie_Latn")]))
    assert read_manifest("flores").left_out == ("vie_Latn",)
    with pytest.raises(BadData, match=r"has no 'fr' in devtest, only de, en, zh-Hans: run"):
        flores_sentences("fr", "devtest")
    with pytest.raises(UnknownName, match="Unknown split of FLORES 'test'"):
        flores_sentences("de", "test")


def test_nothing_prepared_says_how():
    with pytest.raises(BadData, match="run `detox-bench data flores SOURCE`"):
        flores_sentences("de", "dev")


def test_files_of_different_length_and_blank_lines_are_errors(tmp_path):
    folder = official(tmp_path)
    write(folder, "devtest/deu_Latn.devtest", texts("de", "devtest", 2))
    with pytest.raises(BadData, match=r"devtest/deu_Latn\.devtest has 2 lines and .*/devtest/"):
        read_flores(open_flores(folder))
    write(folder, "devtest/deu_Latn.devtest", ["a", " ", "c"])
    with pytest.raises(BadData, match=r"devtest/deu_Latn\.devtest, line 2: blank"):
        read_flores(open_flores(folder))


def test_the_same_language_twice_and_no_language_are_errors(tmp_path):
    folder = official(tmp_path)
    write(folder, "copy/devtest/deu_Latn.devtest", texts("de", "devtest"))
    with pytest.raises(BadData, match="are both German, devtest: keep one"):
        open_flores(folder)
    write(tmp_path / "empty", "notes.txt", ["nothing"])
    with pytest.raises(BadData, match="empty holds no FLORES file of our languages"):
        open_flores(tmp_path / "empty")


def test_the_real_files_are_known_by_their_hash(shared):
    opened = open_flores(shared / "data" / "flores200")
    manifest = save_flores(opened, read_flores(opened))
    assert manifest.release == "FLORES-200" and len(manifest.languages) == 28
    assert {len(flores_sentences("de", split)[1]) for split in SPLITS} == {997, 1012}
    english, german = (flores_sentences(code, "devtest")[1] for code in ("en", "de"))
    assert english.keys() == german.keys()
    assert not set(english.values()) & set(german.values())
