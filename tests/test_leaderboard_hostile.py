"""Two hundred bad submissions, made by hand and generated: none passes, crashes or takes long."""

import gzip
import json
import math
import shutil
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from submission_doubles import add_base, add_model, model_of, small_suite

from detox_bench.leaderboard.checking import check
from detox_bench.leaderboard.content import canonical_json, readable_json, run_id
from detox_bench.leaderboard.specification import load_specification

#: Few prompts: checks are quick.
SUITE = small_suite(prompts=8)

#: Values that a field may be given; each is wrong somewhere.
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**12), 10**12),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=40),
    st.sampled_from(
        ["../../etc/passwd", "<script>alert(1)</script>", "a/b/c", "\u202e", "$(true)", "__proto__"]
    ),
    st.lists(st.integers(0, 9), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(0, 9), max_size=3),
)


#: A failure is told as it was found: making it smaller would take minutes.
QUICK = settings(
    deadline=5000,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)


@pytest.fixture(scope="module")
def board(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    _, base = add_base(folder, SUITE)
    add_model(folder, base, suite=SUITE)
    return folder


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path to every value in a JSON object."""
    inner = value.items() if isinstance(value, dict) else ()
    return [each for key, v in inner for each in ((*path, key), *places(v, (*path, key)))]


#: What a submission may say as it likes, as long as it is of the right type.
FREE = {
    *("auc", "contamination", "description", "hardware", "identity", "licence", "note"),
    *("parameters", "recipe", "retrieval", "states", "submitted", "url", "versions"),
}
#: What is told by another name than that of the field.
TOLD_AS = {"base_model": "base model", "name": "belongs in", "revision": "belongs in"}


@settings(QUICK, max_examples=150)
@given(data=st.data())
def test_any_field_with_another_value_is_refused_by_its_name(board, data):
    """Run id and path agree again, as of one who knows the format; the samples do not follow."""
    folder = model_of(board)
    raw = json.loads((folder / "submission.json").read_bytes())
    where = data.draw(st.sampled_from([each for each in places(raw) if not FREE & {*each}]))
    value = data.draw(VALUES)
    if same(lookup(raw, where), value):
        return
    problems = check_changed(folder, raw, where, value)
    assert any(told(name, each) for name in where for each in problems), problems
    assert all(0 < len(each) < 1500 and each.isprintable() for each in problems)


def lookup(raw: Any, where: tuple[Any, ...]) -> Any:
    for key in where:
        raw = raw[key]
    return raw


def same(one: Any, other: Any) -> bool:
    """Whether two values are one, or numbers nearer than 1e-9."""
    if type(one) is not float or type(other) not in (int, float):
        return type(one) is type(other) and bool(one == other)
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)


def told(name: str, problem: str) -> bool:
    return name in problem or TOLD_AS.get(name, name) in problem


def check_changed(folder: Path, raw: Any, where: tuple[Any, ...], value: Any) -> list[str]:
    """Check the submission with another value, and leave it as it was."""
    file, good = folder / "submission.json", (folder / "submission.json").read_bytes()
    lookup(raw, where[:-1])[where[-1]] = value
    if where != ("run_id",):
        raw["run_id"] = run_id(raw)
    file.write_text(json.dumps(raw), "utf-8")  # ASCII: a lone surrogate can be written
    place = folder.with_name(f"{raw['run_id']}"[:64].replace("/", "_").replace("\0", "") or "none")
    folder.rename(place)
    try:
        return check([place], None, SUITE).checked[0].problems
    finally:
        place.rename(folder)
        file.write_bytes(good)


@settings(QUICK, max_examples=60)
@given(st.binary(max_size=300), st.sampled_from(["submission.json", "samples.jsonl.gz"]), st.data())
def test_any_bytes_are_refused(board, content, name, data):
    """Bytes alone, packed, or put into the middle of what was good."""
    file = model_of(board) / name
    good = file.read_bytes()
    middle = data.draw(st.integers(0, len(good)))
    made = data.draw(
        st.sampled_from(
            [content, gzip.compress(content), good[:middle] + content + b"\1" + good[middle + 1 :]]
        )
    )
    try:
        file.write_bytes(made)
        found = check([file], None, SUITE)
    finally:
        file.write_bytes(good)
    assert found.exit_code in (1, 2)


#: Runs in a process of its own with 500 MB of memory beyond what its modules take.
_CHILD = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from submission_doubles import small_suite
from detox_bench.leaderboard.checking import check
pages = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (pages + 500 * 2**20,) * 2)
found = check([Path(sys.argv[1])], None, small_suite(prompts=8))
print(found.exit_code, found.checked[0].problems)
"""


def bomb(level: int, megabytes: int) -> bytes:
    """Return gzip of so many MB of one byte."""
    packer = zlib.compressobj(level, zlib.DEFLATED, 31)
    parts = [packer.compress(b" " * 2**20) for _ in range(megabytes)]
    return b"".join([*parts, packer.flush()])


BOMBS = {
    "a hundred megabytes in a line": ("samples.jsonl.gz", lambda: bomb(9, 100)),
    "lines of nothing": ("samples.jsonl.gz", lambda: gzip.compress(b"\n" * 2**26, 1)),
    "samples that are too large": ("samples.jsonl.gz", lambda: bytes(60_000_001)),
    "JSON that is too large": ("submission.json", lambda: b" " * 1_000_001),
    "JSON of brackets": ("submission.json", lambda: b"[" * 1_000_000),
    "JSON of objects": ("submission.json", lambda: b'{"a":' * 166_000),
    "JSON of quotes": ("submission.json", lambda: b'"' + b'\\"' * 499_000),
    "JSON of keys": (
        "submission.json",
        lambda: b"{" + b",".join(b'"%d":0' % n for n in range(90_000)) + b"}",
    ),
    "JSON of one key": ("submission.json", lambda: b"{" + b",".join([b'"":0'] * 190_000) + b"}"),
    "JSON of digits": ("submission.json", lambda: b"[" + b"9" * 900_000 + b"]"),
    "JSON of settings": (
        "submission.json",
        lambda: b'{"generation":{' + b",".join(b'"%d":0' % n for n in range(90_000)) + b"}}",
    ),
    "JSON of one recipe": (
        "submission.json",
        lambda: b'{"method":{"kind":"dpo","recipe":{"a":[' + b",".join([b"{}"] * 300_000) + b"]}}}",
    ),
    "versions in reproduction": (
        "repro.json",
        lambda: b'{"versions":{' + b",".join(b'"%d":"1"' % n for n in range(80_000)) + b"}}",
    ),
    "deep reproduction": ("repro.json", lambda: b"[" * 900_000),
}


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="measures memory on Linux")
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_takes_neither_five_seconds_nor_half_a_gigabyte(board, tmp_path, name):
    file, content = BOMBS[name]
    copied = Path(shutil.copytree(board, tmp_path / "board"))
    target = model_of(copied) / file
    target.write_bytes(content())
    words = [sys.executable, "-c", _CHILD, str(target.parent), str(Path(__file__).parent)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout[0] in "12"
    assert file.partition(".")[0] in done.stdout
    started = time.process_time()
    check([target], None, SUITE)
    assert time.process_time() - started < 5


#: As ``_CHILD``, with the packaged suite; says how many seconds of processor time it took.
_LONG = """
import resource, sys, time
from pathlib import Path
from detox_bench.leaderboard.checking import check
from detox_bench.leaderboard.specification import load_specification
suite, started = load_specification(), time.process_time()
pages = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (pages + 500 * 2**20,) * 2)
found = check([Path(sys.argv[1])], None, suite)
print(found.exit_code, time.process_time() - started)
"""


def long_lines(form: str) -> bytes:
    """Return samples of list ``full``, each line as long and as wide as one may be."""
    long = {f"{n:040}": 0.1234567890123456 for n in range(20)}
    fields = {"asked": "0" * 16, "language": "LANGUAGE", "metrics": long}
    fields |= {"perplexities": [1.123456789012345] * 25, "prompt_id": "PROMPT"}
    fields |= {"scores": [0.1234567890123456] * 25, "texts": ["0" * 16] * 25}
    line = canonical_json(fields) if form == "ours" else json.dumps(fields)
    counts = load_specification().lists["full"].n_prompts
    return "".join(
        line.replace("LANGUAGE", code).replace("PROMPT", f"{code}/{n}") + "\n"
        for code, count in counts.items()
        for n in range(count)
    ).encode()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="measures memory on Linux")
@pytest.mark.parametrize("form", ["ours", "another"])
def test_the_longest_file_takes_neither_five_seconds_nor_half_a_gigabyte(board, tmp_path, form):
    copied = Path(shutil.copytree(board, tmp_path / "board"))
    folder = model_of(copied)
    samples = long_lines(form)
    assert 40_000_000 < len(samples) < 80_000_000
    (folder / "samples.jsonl.gz").write_bytes(gzip.compress(samples, 1))
    raw = json.loads((folder / "submission.json").read_bytes()) | {"prompt_list": "full"}
    (folder / "submission.json").write_bytes(readable_json(raw))
    words = [sys.executable, "-c", _LONG, str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    code, seconds = done.stdout.split()
    assert code == "1"
    assert float(seconds) < 5


def test_links_pipes_and_folders_out_of_the_board_are_not_followed(board, tmp_path):
    copied = Path(shutil.copytree(board, tmp_path / "board"))
    folder = model_of(copied)
    shutil.move(folder / "samples.jsonl.gz", tmp_path / "elsewhere.gz")
    (folder / "samples.jsonl.gz").symlink_to(tmp_path / "elsewhere.gz")
    found = check([folder], None, SUITE).checked[0].problems
    assert "samples.jsonl.gz is a link. Submit the file itself." in found
    shutil.move(folder, tmp_path / "whole")
    folder.symlink_to(tmp_path / "whole")
    found = check([copied / "submissions"], None, SUITE)
    assert found.exit_code == 2
    assert [e.problems for e in found.checked if e.problems] == [
        [f"{folder.name[:60]!r}… is no folder of a submission."]
    ]


def test_a_base_that_names_a_path_is_looked_up_nowhere(board):
    folder = model_of(board)
    good = (folder / "submission.json").read_bytes()
    raw = json.loads(good)
    for name in ("../../../etc", "a/../b", "/etc/passwd", "a/b/c", "..", "lab/.."):
        raw["base_model"]["name"] = name
        (folder / "submission.json").write_bytes(readable_json(raw))
        found = check([folder], None, SUITE)
        (folder / "submission.json").write_bytes(good)
        assert "submission.json: base_model.name is " in found.checked[0].problems[0]
