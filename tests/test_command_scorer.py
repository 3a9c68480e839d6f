"""The scorer ``command:``: programs that answer well, badly, out of order, or not at all."""

import json
import logging
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from doubles import hash_value

from detox_bench.errors import DetoxBenchError, ScorerUnavailable, UnknownName
from detox_bench.scorers.cache import ScoreCache
from detox_bench.scorers.command import MOST_DEATHS, load_command, read_answer
from detox_bench.scorers.driver import score_texts
from detox_bench.scorers.protocol import coverage, scorer_info
from detox_bench.scorers.table import load_scorer

PROGRAM = """#!{python}
import hashlib, json, os, sys, time

def value(text):
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(data).digest()[:4], "big") / 2**32

def answer(asked, **more):
    print(json.dumps({{"id": asked["id"], "score": value(asked["text"]), **more}}))

for line in sys.stdin:
    asked = json.loads(line)
    text = asked["text"]
{body}
"""


@pytest.fixture
def program(tmp_path):
    """Write a program whose loop has ``body``, and return its path."""

    def written(body: str = "answer(asked)", name: str = "mine") -> Path:
        file = tmp_path / name
        indented = "\n".join(f"    {line}" for line in body.splitlines())
        file.write_text(PROGRAM.format(python=sys.executable, body=indented))
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
        return file

    return written


def values(scores) -> list[float | None]:
    return [score.value for score in scores]


def expected(texts) -> list[float]:
    return [hash_value(text) for text in texts]


def test_a_program_is_started_once_and_scores_every_text(program, tmp_path):
    scorer = load_scorer(f"command:{program('answer(asked, attributes=dict(pid=os.getpid()))')}")
    texts = [f"text {i}" for i in range(500)]
    scores = score_texts(texts, "de", scorer)
    assert values(scores) == expected(texts)
    assert len({score.attributes["pid"] for score in scores}) == 1


def test_a_program_in_the_folder_one_is_in_is_found(program, tmp_path, monkeypatch):
    name = program().name
    monkeypatch.chdir(tmp_path)
    assert values(load_command(f"./{name}").score(["a"], "en")) == expected(["a"])
    with pytest.raises(ScorerUnavailable, match="There is no program mine"):
        load_command(name)


def test_the_program_is_told_id_text_and_language(program):
    body = "answer(asked, score=None, reason=json.dumps(asked, sort_keys=True))"
    first, second = load_scorer(f"command:{program(body)}").score(["a", "b"], "zh-Hans")
    assert json.loads(first.reason) == {"id": 1, "text": "a", "language": "zh-Hans"}
    assert json.loads(second.reason)["id"] == 2


def test_arguments_are_split_as_a_shell_would_but_no_shell_is_asked(program):
    scorer = load_scorer(
        f"command:{program('answer(asked, score=None, reason=repr(sys.argv[1:]))')} "
        "--flag 'two words' $HOME ;ls"
    )
    assert scorer.score(["x"], "en")[0].reason == "['--flag', 'two words', '$HOME', ';ls']"


def test_answers_may_come_in_any_order(program):
    body = """
kept = globals().setdefault("kept", [])
kept.append(asked)
if len(kept) == 5:
    for each in reversed(kept):
        answer(each)
    kept.clear()"""
    texts = [f"text {i}" for i in range(20)]
    assert values(load_scorer(f"command:{program(body)}").score(texts, "en")) == expected(texts)


def test_answers_that_come_twice_late_or_for_unknown_ids_change_nothing(program, caplog):
    body = """
answer(asked)
answer(asked, score=0.123)
answer({"id": asked["id"] + 1000, "text": ""})
print("loading the model ...")
print(json.dumps([1, 2])); print(json.dumps({"score": 0.1})); print(json.dumps({"id": True}))"""
    scorer = load_scorer(f"command:{program(body)}")
    for texts in (["a", "b", "c"], ["d"], ["e", "f"]):
        assert values(scorer.score(texts, "en")) == expected(texts)
    assert caplog.text.count("is no answer to a text") == 1


@pytest.mark.parametrize("value", ["NaN", "1.5", "-0.1", "true", '"0.5"', "Infinity", "[]"])
def test_a_value_that_is_no_number_from_0_to_1_is_unscored(program, value):
    body = f"""print('{{"id": %d, "score": {value}}}' % asked["id"])"""
    (score,) = load_scorer(f"command:{program(body)}").score(["x"], "en")
    assert score.value is None and "no number from 0 to 1" in score.reason


def test_null_is_unscored_with_the_programs_reason_and_0_is_a_score(program):
    body = """answer(asked, score=None if text == "x" else 0, reason="I cannot read this")"""
    null, zero = load_scorer(f"command:{program(body)}").score(["x", "y"], "en")
    assert (null.value, null.reason) == (None, "I cannot read this")
    assert (zero.value, zero.reason) == (0.0, None)


def test_attributes_that_are_no_numbers_are_left_out():
    line = b'{"id": 1, "score": 0.5, "attributes": {"a": 0.1, "b": NaN, "c": "x", "d": true}}'
    assert read_answer(line)[1].attributes == {"a": 0.1}
    assert read_answer(b'{"id": 1, "score": 0.5, "attributes": [1]}')[1].attributes == {}
    assert read_answer(b"[" * 100_000) is None


def test_odd_texts_arrive_as_they_are(program):
    body = """answer(asked, score=None, reason=ascii(text[:20]) + str(len(text)))"""
    texts = ["", "\ud800", "a\0b", "\x1b[31m\n\r\u2028", "مرحبا 😀", "x" * 10_000_000]
    scores = load_scorer(f"command:{program(body)}").score(texts, "en")
    assert [score.reason for score in scores] == [f"{t[:20]!a}{len(t)}" for t in texts]


# Programs that die


def test_what_was_in_flight_is_asked_again_and_a_deadly_text_is_unscored(program):
    body = """
if text == "deadly":
    print("I saw it", file=sys.stderr)
    os._exit(3)
answer(asked)"""
    texts = [f"text {i}" for i in range(10)] + ["deadly"] + [f"more {i}" for i in range(10)]
    scores = load_scorer(f"command:{program(body)}").score(texts, "en")
    assert scores[10].value is None
    assert scores[10].reason == "the program ended (exit code 3): I saw it"
    others = [i for i in range(21) if i != 10]
    assert [scores[i].value for i in others] == expected(texts[i] for i in others)


def test_a_program_that_dies_once_loses_nothing(program, tmp_path):
    body = f"""
died = {str(tmp_path / "died")!r}
if text == "text 5" and not os.path.exists(died):
    open(died, "w").close()
    os.kill(os.getpid(), {int(signal.SIGKILL)})
answer(asked)"""
    texts = [f"text {i}" for i in range(10)]
    assert values(load_scorer(f"command:{program(body)}").score(texts, "en")) == expected(texts)


def test_a_program_that_always_dies_is_given_up(program, tmp_path):
    body = f"open({str(tmp_path / 'starts')!r}, 'a').write('x'); sys.exit('no model here')"
    scorer = load_scorer(f"command:{program(body)}")
    with pytest.raises(ScorerUnavailable, match=r"8 times in succession.*code 1\): no model here"):
        score_texts([f"text {i}" for i in range(100)], "en", scorer)
    assert (tmp_path / "starts").read_text() == "x" * MOST_DEATHS


def test_deaths_between_answers_are_not_in_succession(program):
    body = "answer(asked)\nsys.exit()"
    texts = [f"text {i}" for i in range(MOST_DEATHS + 4)]
    scores = load_scorer(f"command:{program(body)}", batch_size=1)
    assert values(score_texts(texts, "en", scores)) == expected(texts)


def test_a_text_it_hangs_on_is_unscored_after_the_time_given(program):
    body = """
if text == "hang":
    time.sleep(600)
answer(asked)"""
    start = time.monotonic()
    scores = load_scorer(f"command:{program(body)}", timeout=1).score(["a", "hang", "b"], "en")
    assert values(scores) == [hash_value("a"), None, hash_value("b")]
    assert "no answer in time" in scores[1].reason
    assert time.monotonic() - start < 20


def test_a_program_that_reads_nothing_and_one_that_babbles_are_ended(program):
    quiet = load_scorer(f"command:{program('time.sleep(600)', 'quiet')}", timeout=0.5)
    babbling = "while True: print('...')"
    loud = load_scorer(f"command:{program(babbling, 'loud')}", timeout=0.5)
    for scorer in (quiet, loud):
        (score,) = scorer.score(["x" * 1_000_000], "en")
        assert score.value is None and "no answer in time" in score.reason


def test_the_program_ends_with_the_scorer(program):
    scorer = load_scorer(f"command:{program('answer(asked, attributes=dict(pid=os.getpid()))')}")
    pid = int(scorer.score(["x"], "en")[0].attributes["pid"])
    os.kill(pid, 0)
    del scorer
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_program_ends_with_our_process(program):
    path = program("answer(asked, attributes=dict(pid=os.getpid()))")
    code = (
        "from detox_bench.scorers.table import load_scorer\n"
        f"scorer = load_scorer('command:{path}')\n"
        "print(int(scorer.score(['x'], 'en')[0].attributes['pid']))"
    )
    run = [sys.executable, "-c", code]
    pid = int(subprocess.run(run, check=True, capture_output=True, text=True).stdout)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_stderr_goes_to_the_log(program, caplog):
    caplog.set_level(logging.INFO)
    body = "print('halfway', file=sys.stderr)\nanswer(asked)\nsys.exit()"
    scorer = load_scorer(f"command:{program(body)}")
    scorer.score(["x"], "en")
    scorer.score(["y"], "en")  # the first program has ended by now
    assert "halfway" in caplog.text


# Programs that cannot be


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("./no-such-program", "There is no program"),
        ("no-such-program --x", "There is no program"),
        ("{folder}", "There is no program"),
        ("{folder}/plain", "may not be executed: chmod"),
        ("'open", "cannot be read as a command line"),
        ("' '", "There is no program"),
        ("   ", "names no program"),
    ],
)
def test_what_cannot_be_started_is_one_sentence(command, says, tmp_path):
    (tmp_path / "plain").write_text("text")
    with pytest.raises(ScorerUnavailable, match=says):
        load_scorer(f"command:{command.format(folder=tmp_path)}")


def test_a_file_that_is_no_program_is_one_sentence(tmp_path):
    (tmp_path / "odd").write_bytes(b"\0\1\2 no program")
    (tmp_path / "odd").chmod(0o755)
    with pytest.raises(ScorerUnavailable, match=r"cannot be started.*#!"):
        score_texts(["x"], "en", load_scorer(f"command:{tmp_path / 'odd'}"))


@pytest.mark.parametrize(
    ("name", "value"), [("timeout", 0), ("batch_size", 0), ("version", "a b"), ("threshold", 7)]
)
def test_a_bad_option_is_one_sentence(name, value):
    with pytest.raises(DetoxBenchError, match=f"option {name} must be"):
        load_command("true", **{name: value})
    with pytest.raises(UnknownName, match="Did you mean 'timeout'"):
        load_command("true", timeot=1)


# What is recorded, and the cache


def test_the_id_holds_the_program_its_arguments_and_the_files_they_name(program, tmp_path):
    path, words = program(), tmp_path / "words.txt"
    words.write_text("one")
    command = f"command:{path} --words={words}"
    first = load_scorer(command)
    assert load_scorer(command).id == first.id
    assert first.id.startswith("command:mine@local#")
    ids = {first.id, load_scorer(f"{command} -v").id, load_scorer(command, version="2").id}
    words.write_text("two")
    ids.add(load_scorer(command).id)
    program("answer(asked, score=0)")
    ids.add(load_scorer(command).id)
    assert len(ids) == 5


def test_languages_and_threshold_are_the_users(program):
    scorer = load_scorer(f"command:{program()}", languages="de,sw", threshold=0.7)
    assert (scorer.languages, scorer.threshold) == ({"de", "sw"}, 0.7)
    assert coverage(scorer, "sw") == "declared"
    info = json.loads(json.dumps(scorer_info(scorer, ["en"]).as_json()))
    assert info["coverage"] == {"en": "unsupported"} and info["version"] == "local"


def test_what_was_scored_is_cached_and_what_was_not_is_asked_again(program, tmp_path):
    path = program("answer(asked, score=None if text == 'x' else 0.5)")
    with ScoreCache(tmp_path / "scores.sqlite") as cache:
        before = score_texts(["x", "y"], "en", load_scorer(f"command:{path}"), cache=cache)
        assert values(before) == [None, 0.5]
        scorer = load_scorer(f"command:{path}")
        score_texts(["x", "y"], "en", scorer, cache=cache)
        assert next(scorer._numbers) == 2  # one text was asked, the other was known
