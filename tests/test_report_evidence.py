"""Evidence of other commands: whose it is, and what is no evidence."""

import json

import pytest

from detox_bench.errors import BadData, DetoxBenchError, UnknownName
from detox_bench.reports.evidence import check_used, evidence_of, read_evidence

BASE = {"name": "base", "weights_sha256": "a", "configuration": "c"}
DPO = {"name": "dpo", "weights_sha256": "b", "configuration": "c"}
EDITED = {**BASE, "name": "edited", "intervention": "i"}


def file(path, kind="suppression", base=BASE, model=DPO):
    path.write_text(json.dumps({"kind": kind, "base": base, "model": model}))
    return path


def test_evidence_is_of_the_model_whose_weights_and_edit_are_the_same(tmp_path):
    files = [file(tmp_path / "1"), file(tmp_path / "2", "capability", model=EDITED)]
    found = read_evidence(files)
    run = {"weights_sha256": "b", "configuration": "c", "seed": 3}
    edited = {"weights_sha256": "a", "configuration": "c", "intervention": "i"}
    assert evidence_of(run, BASE, found) == {"suppression": found[0]}
    assert evidence_of(edited, BASE, found) == {"capability": found[1]}
    assert evidence_of(BASE, BASE, found) == {}
    assert evidence_of(run, DPO, found) == {}


def test_two_files_of_one_kind_and_model_are_refused(tmp_path):
    found = read_evidence([file(tmp_path / "1"), file(tmp_path / "2")])
    with pytest.raises(DetoxBenchError, match="Several files of --evidence say suppression of one"):
        evidence_of({"weights_sha256": "b", "configuration": "c"}, BASE, found)


def test_models_without_a_hash_match_none(tmp_path):
    with pytest.raises(BadData, match="does not say which models"):
        read_evidence([file(tmp_path / "x", base={}, model={"weights_sha256": ""})])


def test_evidence_of_no_run_is_refused(tmp_path):
    files = [file(tmp_path / "1")]
    found = read_evidence(files)
    check_used(files, found, [{"suppression": found[0]}])
    with pytest.raises(DetoxBenchError, match="1 compares base with dpo, which are not the base"):
        check_used(files, found, [{}])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "it is no JSON"),
        ("\xff", "it is no JSON"),
        ("[" * 100_000, "it is no JSON"),
        ("[]", "it is no JSON object"),
        ("null", "it is no JSON object"),
        ("{}", "it does not say kind, base, model"),
        ('{"kind": "suppression", "base": {}}', "it does not say model"),
    ],
    ids=["cut", "no-text", "deep", "list", "null", "empty", "lacking"],
)
def test_other_files_are_no_evidence(tmp_path, text, reason):
    (tmp_path / "x.json").write_text(text, "latin-1")
    with pytest.raises(BadData, match=rf"x\.json holds no evidence: {reason}\. It is made by `det"):
        read_evidence([tmp_path / "x.json"])


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BadData, match=r"none\.json cannot be read: No such file or directory\.$"):
        read_evidence([tmp_path / "none.json"])


def test_models_must_be_named_and_kinds_known(tmp_path):
    with pytest.raises(BadData, match="does not say which models"):
        read_evidence([file(tmp_path / "x", model={"name": "dpo"})])
    with pytest.raises(UnknownName, match="kind of evidence"):
        read_evidence([file(tmp_path / "x", kind="opinion")])
    with pytest.raises(UnknownName, match="kind of evidence"):
        read_evidence([file(tmp_path / "x", kind=["suppression"])])
