"""The scorer ``perspective``: what it asks, reads, keeps and refuses, against a local service."""

import json
import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest
from doubles import hash_value
from perspective_doubles import KEY, served

from detox_bench.errors import BadRunFolder, DetoxBenchError, ScorerUnavailable, UnknownName
from detox_bench.scorers import perspective
from detox_bench.scorers.cache import ScoreCache
from detox_bench.scorers.driver import score_texts
from detox_bench.scorers.perspective_answers import (
    request_body,
    retry_after,
    summary_score,
    without,
)
from detox_bench.scorers.perspective_archive import Answer, AnswerArchive, Question
from detox_bench.scorers.perspective_options import GOOGLE, full_address
from detox_bench.scorers.protocol import coverage
from detox_bench.scorers.table import SCORERS, load_scorer

pytest.importorskip("httpx")
pytest.importorskip("tenacity")


@pytest.fixture(autouse=True)
def settings(monkeypatch):
    monkeypatch.setenv("PERSPECTIVE_API_KEY", KEY)
    monkeypatch.delenv("PERSPECTIVE_ENDPOINT", raising=False)
    monkeypatch.setattr("detox_bench.scorers.perspective_client._FIRST_PAUSE", 0.005)


def load(service, **options):
    return load_scorer(f"perspective:{service.url}", **{"qps": 500, **options})


def lines(archive: Path) -> list[dict]:
    (file,) = archive.glob("*.jsonl")
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def toxicity(text: str) -> float:
    return hash_value(f"TOXICITY {text}")


# What is asked and read


def test_a_request_has_the_shape_of_comments_analyze_and_the_key_in_a_header():
    with served() as service:
        (score,) = load(service, attributes="insult,THREAT").score(["text 0"], "zh-Hans")
    assert service.requests == [
        {
            "comment": {"text": "text 0"},
            "languages": ["zh"],
            "requestedAttributes": {"TOXICITY": {}, "INSULT": {}, "THREAT": {}},
            "doNotStore": True,
        }
    ]
    assert service.paths == ["/v1alpha1/comments:analyze"]
    headers = {name.lower(): value for name, value in service.headers[0].items()}
    assert headers["x-goog-api-key"] == KEY
    assert score.value == toxicity("text 0")
    assert score.attributes == {
        "insult": hash_value("INSULT text 0"),
        "threat": hash_value("THREAT text 0"),
    }


def test_attributes_of_english_are_asked_in_english_only():
    with served() as service:
        scorer = load(service, attributes="SEXUALLY_EXPLICIT")
        english, german = (scorer.score(["text"], code)[0] for code in ("en", "de"))
    assert list(english.attributes) == ["sexually_explicit"] and german.attributes == {}
    assert english.value == german.value == toxicity("text")


@pytest.mark.parametrize("text", ["a\0b", "\x1b[31m", "a\u2028b\n", "مرحبا 😀"])
def test_odd_characters_arrive_as_they_are(text):
    with served() as service:
        (score,) = load(service).score([text], "en")
    assert list(service.asked) == [text] and score.value == toxicity(text)


def test_half_characters_are_sent_as_the_sign_for_them():
    sent = json.loads(request_body("a \ud800 b", "en", ["TOXICITY"]))
    assert sent["comment"]["text"] == "a � b"


def test_empty_and_too_long_texts_are_unscored_and_not_asked():
    with served() as service:
        scorer = load(service, max_bytes=8)
        scores = scorer.score(["", " \n", "ä" * 4, "ä" * 5, "x" * 10_000_000], "de")
    assert [score.reason for score in scores] == [
        "the text is empty",
        "the text is empty",
        None,
        "the text has 10 bytes, more than 8",
        "the text has 10,000,000 bytes, more than 8",
    ]
    assert [score.value for score in scores] == [None, None, toxicity("ä" * 4), None, None]
    assert list(service.asked) == ["ä" * 4]


def test_empty_texts_are_asked_as_a_space_where_that_is_wanted_and_that_is_another_scorer():
    with served() as service:
        scorer = load(service, empty_as_space="true")
        scores = scorer.score(["", "\n"], "de")
        assert scorer.id != load(service).id
    assert [score.value for score in scores] == [toxicity(" ")] * 2
    assert set(service.asked) == {" "}


def test_texts_that_the_service_refuses_do_not_look_like_a_service_that_is_down():
    def refuse(handler, number, request):
        if "bad" not in request["comment"]["text"]:
            return False
        handler.answer(400, {"error": {"message": "no such comment."}})
        return True

    with served(refuse) as service:
        texts = [*(f"bad {n}" for n in range(perspective.GIVE_UP_AFTER + 5)), "good"]
        scores = load(service, attempts=1, qps=400).score(texts, "en")
    assert scores[-1].value == toxicity("good")
    assert all("400" in score.reason for score in scores[:-1])


def test_a_key_that_the_service_sends_back_is_not_kept():
    body = {"attributeScores": {}, "echo": {"x-goog-api-key": KEY, "text": "a"}}
    assert KEY not in str(without(body, KEY)) and without(body, KEY)["echo"]["text"] == "a"
    assert without({"a": 1}, KEY) == {"a": 1}


def test_a_language_that_is_not_declared_is_not_asked_and_an_undeclared_service_takes_all():
    with served() as service:
        declared = load(service, languages="de,hi-Latn")
        assert "does not take" in declared.score(["x"], "sw")[0].reason
        assert declared.score(["x"], "hi-Latn")[0].value == toxicity("x")
        assert load(service).score(["x"], "sw")[0].value == toxicity("x")
        assert coverage(load(service), "sw") == "undeclared"
    assert [request["languages"] for request in service.requests] == [["hi-Latn"], ["sw"]]


def test_perspective_itself_declares_its_18_languages(monkeypatch):
    scorer = load_scorer("perspective")
    assert len(scorer.languages) == 18 and scorer.languages == SCORERS["perspective"].languages
    assert scorer.url == f"{GOOGLE}/v1alpha1/comments:analyze"
    monkeypatch.setenv("PERSPECTIVE_ENDPOINT", "http://127.0.0.1:9/x")
    for spec in ("perspective", "perspective:"):
        assert load_scorer(spec).url == "http://127.0.0.1:9/x"


def test_the_id_names_host_version_and_a_hash_of_address_and_attributes():
    first, same = (load_scorer("perspective:https://a.example") for _ in range(2))
    assert first.id == same.id
    assert first.id.startswith("perspective:a.example@unversioned#")
    others = [
        load_scorer("perspective:https://a.example/other"),
        load_scorer("perspective:https://a.example", attributes="INSULT"),
        load_scorer("perspective:https://a.example", version="2026-11"),
    ]
    assert len({first.id, *(other.id for other in others)}) == 4
    assert others[2].version == "2026-11"


@pytest.mark.parametrize("value", [float("nan"), -0.1, 1.5, True, None, "0.5", {}])
def test_what_is_no_number_from_0_to_1_is_no_score(value):
    body = {"attributeScores": {"TOXICITY": {"summaryScore": {"value": value}}}}
    with pytest.raises(ValueError, match="TOXICITY"):
        summary_score(body, "TOXICITY")


@pytest.mark.parametrize("body", [{}, {"attributeScores": []}, {"attributeScores": {"X": 1}}])
def test_a_missing_summary_score_is_no_score(body):
    with pytest.raises(ValueError, match="no summary score"):
        summary_score(body, "TOXICITY")


# Failures


@pytest.mark.parametrize(
    "kind", ["LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE", "COMMENT_EMPTY", "COMMENT_TOO_LONG"]
)
def test_an_error_of_one_text_is_its_reason_and_is_asked_once(kind):
    def behave(handler, number, request):
        handler.error(request, 400, "no", errorType=kind)
        return True

    with served(behave) as service:
        for _ in range(2):  # the second time from the archive
            (score,) = load(service).score(["x"], "en")
            assert (score.value, score.reason) == (None, kind)
    assert len(service.arrived) == 1


@pytest.mark.parametrize(
    "failure",
    [
        lambda handler: handler.answer(429, {}),
        lambda handler: handler.answer(500, b"<html>"),
        lambda handler: handler.answer(503, {}, Retry_After="0"),
        lambda handler: handler.answer(200, b'{"attributeScores": {"TOXI'),
        lambda handler: handler.answer(200, {"attributeScores": {}}),
        lambda handler: handler.answer(200, []),
        lambda handler: handler.drop(),
    ],
    ids=["429", "500", "503", "broken JSON", "no score", "a list", "dropped"],
)
def test_what_passes_is_tried_again_a_bounded_number_of_times(failure):
    def behave(handler, number, request):
        if request["comment"]["text"] == "never" or number < 2:
            failure(handler)
            return True
        return False

    with served(behave) as service:
        scorer = load(service, attempts=4, connections=1)
        good, never = scorer.score(["good", "never"], "en")
    assert good.value == toxicity("good") and service.asked["good"] == 3
    assert never.value is None and never.reason and service.asked["never"] == 4


def test_a_service_that_is_too_slow_is_tried_again():
    import time

    def behave(handler, number, request):
        time.sleep(0.4 if number == 0 else 0)
        return False

    with served(behave) as service:
        (score,) = load(service, timeout=0.1).score(["x"], "en")
    assert score.value == toxicity("x") and service.asked["x"] == 2


def test_retry_after_holds_all_connections():
    def behave(handler, number, request):
        if number == 0:
            handler.answer(429, {}, Retry_After="1")
            return True
        return False

    with served(behave) as service:
        scores = load(service, qps=50, connections=4).score([f"t{i}" for i in range(8)], "en")
    assert all(score.value is not None for score in scores)
    # those that were on their way while the 429 was read may still arrive, no others
    late = [t - service.arrived[0] for t in sorted(service.arrived) if t - service.arrived[0] > 0.2]
    assert min(late) >= 0.99 and len(late) >= 4


def test_retry_after_is_read_as_seconds_and_as_a_date():
    now = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)
    assert retry_after("7", now) == 7
    assert retry_after("Wed, 25 Nov 2026 12:00:30 GMT", now) == 30
    assert retry_after("Wed, 25 Nov 2026 11:00:00 GMT", now) == 0
    for nothing in (None, "", "soon", "-5", "nan", "inf"):
        assert retry_after(nothing, now) == 0


def test_a_pause_of_an_hour_ends_the_run():
    def behave(handler, number, request):
        handler.answer(429, {}, Retry_After="3600")
        return True

    with served(behave) as service, pytest.raises(ScorerUnavailable, match=r"wait 3,600 seconds"):
        load(service).score(["x"], "en")


@pytest.mark.parametrize(
    ("status", "message", "detail", "says"),
    [
        (400, "API key not valid.", {"reason": "API_KEY_INVALID"}, "Check the key"),
        (403, f"Key {KEY} may not do this", {}, r"Key \*\*\* may not.*Check the key"),
        (404, "Not found", {}, "Check the address.*31 December 2026"),
        (302, "elsewhere", {}, "Check the address"),
    ],
)
def test_a_refusal_stops_at_once_and_keeps_what_was_answered(
    status, message, detail, says, tmp_path
):
    def behave(handler, number, request):
        if number >= 3:
            handler.error(request, status, message, **detail)
        return number >= 3

    with served(behave) as service:
        scorer = load(service, connections=1, archive=str(tmp_path))
        with pytest.raises(ScorerUnavailable, match=says) as caught:
            score_texts([f"text {i}" for i in range(50)], "en", scorer)
    assert KEY not in str(caught.value)
    assert len(service.arrived) <= 5 and len(lines(tmp_path)) == 3


def test_another_refusal_of_one_text_leaves_the_others_alone():
    def behave(handler, number, request):
        if request["comment"]["text"] == "odd":
            handler.error(request, 400, "Invalid value at comment")
            return True
        return False

    with served(behave) as service:
        odd, good = load(service).score(["odd", "good"], "en")
    assert odd.value is None and "Invalid value at comment" in odd.reason
    assert good.value == toxicity("good") and service.asked["odd"] == 1


def test_a_service_that_is_down_is_given_up(monkeypatch):
    monkeypatch.setattr(perspective, "GIVE_UP_AFTER", 3)
    with served(lambda handler, *_: handler.answer(500, {}) or True) as service:
        scorer = load(service, attempts=2, connections=1)
        with pytest.raises(ScorerUnavailable, match=r"no score for 3 texts in succession.*500"):
            scorer.score([f"text {i}" for i in range(50)], "en")
    assert len(service.asked) <= 5


def test_an_address_where_nobody_listens_is_one_sentence():
    with served() as service:
        pass
    with pytest.raises(ScorerUnavailable, match=r"cannot be reached.*check the address"):
        load(service, attempts=2).score(["x", "y"], "en")


# The key


@pytest.mark.parametrize("key", [None, "", "  "])
def test_no_key_is_one_sentence_before_anything_is_asked(key, monkeypatch):
    monkeypatch.delenv("PERSPECTIVE_API_KEY") if key is None else monkeypatch.setenv(
        "PERSPECTIVE_API_KEY", key
    )
    sentence = "needs a key: put it into PERSPECTIVE_API_KEY"
    with served() as service, pytest.raises(ScorerUnavailable, match=sentence):
        load(service)
    assert service.arrived == []


@pytest.mark.parametrize("key", ["se cret", "se\ncret", "sécret"])
def test_a_key_that_is_none_is_not_shown(key, monkeypatch):
    monkeypatch.setenv("PERSPECTIVE_API_KEY", key)
    with pytest.raises(ScorerUnavailable, match="has characters") as caught:
        load_scorer("perspective")
    assert key not in str(caught.value)


def test_the_key_is_in_no_log_no_record_and_no_file(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    fails = iter([True, False])

    def behave(handler, number, request):
        return next(fails, False) and (handler.answer(500, {}) or True)

    with served(behave) as service, ScoreCache(tmp_path / "scores.sqlite") as cache:
        scorer = load(service, archive=str(tmp_path))
        score_texts(["x", "y"], "en", scorer, cache=cache)
        shown = [scorer.id, str(scorer.settings), repr(scorer), repr(scorer._client.service)]
    assert all(KEY not in each for each in [caplog.text, *shown])
    files = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) >= 2 and not [content for content in files if KEY.encode() in content]


@pytest.mark.parametrize(
    "endpoint", ["https://h/?key=SECRET", "https://me:SECRET@h", "https://h/#SECRET"]
)
def test_an_address_with_a_key_in_it_is_refused_and_not_shown(endpoint):
    with pytest.raises(ScorerUnavailable, match="a key belongs in") as caught:
        load_scorer(f"perspective:{endpoint}")
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("endpoint", ["ftp://h", "h", "https://", "https://h:x", "https://[::"])
def test_what_is_no_address_is_one_sentence(endpoint):
    with pytest.raises(ScorerUnavailable, match="must be an address like https://host"):
        full_address(endpoint)


def test_an_address_keeps_its_path():
    assert full_address("https://h/") == "https://h/v1alpha1/comments:analyze"
    assert full_address("http://h:8080/v2/analyze") == "http://h:8080/v2/analyze"


@pytest.mark.parametrize(
    ("option", "value"),
    [("qps", 0), ("qps", "fast"), ("attempts", 0), ("timeout", -1), ("version", "a@b")],
)
def test_a_bad_option_is_one_sentence(option, value):
    with pytest.raises(DetoxBenchError, match=f"option {option} must be"):
        load_scorer("perspective", **{option: value})


def test_an_unknown_attribute_gets_the_nearest_name():
    with pytest.raises(UnknownName, match="Did you mean 'INSULT'"):
        load_scorer("perspective", attributes="INSLUT")


# The archive


def test_the_archive_holds_raw_answers_with_their_dates_and_no_text(tmp_path):
    with served() as service:
        load(service, archive=str(tmp_path)).score(["a text to look for"], "de")
    (line,) = lines(tmp_path)
    date = datetime.fromisoformat(line["date"])
    assert date.utcoffset().total_seconds() == 0
    assert abs((datetime.now(UTC) - date).total_seconds()) < 60
    assert line["status"] == 200 and line["language"] == "de"
    assert line["answer"]["attributeScores"]["TOXICITY"]["summaryScore"]["type"] == "PROBABILITY"
    assert "look for" not in json.dumps(line)


def test_without_key_and_network_scores_come_from_the_archive(tmp_path, monkeypatch):
    with served() as service:
        before = load(service, archive=str(tmp_path)).score(["a", "b"], "de")
    monkeypatch.delenv("PERSPECTIVE_API_KEY")
    after = load(service, archive=str(tmp_path), offline=True).score(["b", "c", "a"], "de")
    assert [after[2], after[0]] == before
    assert after[1].value is None and "not in the archive" in after[1].reason


def test_language_attributes_and_version_are_other_questions(tmp_path):
    with served() as service:
        for code, options in (
            ("de", {}),
            ("en", {}),
            ("de", {"attributes": "INSULT"}),
            ("de", {"version": "2026-12"}),
            ("de", {}),
        ):
            load(service, archive=str(tmp_path), **options).score(["x"], code)
    assert len(service.arrived) == 4


def _question(text: str) -> Question:
    return Question("http://h", "unversioned", ("TOXICITY",), "en", text)


def test_a_half_written_last_line_is_cut_off_and_the_rest_kept(tmp_path, caplog):
    file = tmp_path / "h.jsonl"
    archive = AnswerArchive(file)
    with archive.held():
        for text in ("a", "b \ud800"):
            archive.put(_question(text), Answer(200, {"of": text}))
    with file.open("ab") as out:
        out.write(b'{"key": "')
    again = AnswerArchive(file)
    with again.held() as found:
        assert found == 2
        again.put(_question("c"), Answer(200, {"of": "c"}))
        assert [again.get(_question(t)).body["of"] for t in ("a", "b \ud800", "c")] == [
            "a",
            "b \ud800",
            "c",
        ]
    assert "half-written line" in caplog.text
    assert len(lines(tmp_path)) == 3


def test_answers_of_another_process_are_found_without_reading_all_again(tmp_path):
    first, second = (AnswerArchive(tmp_path / "h.jsonl") for _ in range(2))
    with first.held():
        first.put(_question("a"), Answer(200, {}))
    with second.held() as found:
        assert found == 1
        second.put(_question("b"), Answer(200, {}))
    with first.held() as found:
        assert found == 1 and first.get(_question("b")) == Answer(200, {})


def test_damaged_lines_are_passed_over(tmp_path):
    file = tmp_path / "h.jsonl"
    key = _question("a").key
    file.write_text(f'nonsense\n{{"key": "{key}", "status": 200, "answ\n')
    archive = AnswerArchive(file)
    with archive.held():
        assert archive.get(_question("a")) is None
        archive.put(_question("a"), Answer(200, {"x": 1}))
        assert archive.get(_question("a")) == Answer(200, {"x": 1})


def test_a_file_that_was_put_away_is_begun_again(tmp_path):
    archive = AnswerArchive(tmp_path / "h.jsonl")
    with archive.held():
        archive.put(_question("a"), Answer(200, {}))
    archive.file.unlink()
    with archive.held():
        assert archive.get(_question("a")) is None


def test_a_folder_that_cannot_be_written_is_one_sentence_before_anything_is_asked(tmp_path):
    (tmp_path / "file").write_text("")
    with served() as service:
        scorer = load(service, archive=str(tmp_path / "file" / "x"))
        with pytest.raises(BadRunFolder, match="Cannot write to"):
            score_texts(["a"], "en", scorer)
    assert service.arrived == []
