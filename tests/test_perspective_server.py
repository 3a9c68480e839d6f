"""2,000 texts through a service that misbehaves, killed and resumed: nothing lost, or asked twice.

The service answers slowly, with 429 and Retry-After, 500, broken JSON, dropped connections and a
quota that is used up now and then; it counts what it was asked, and when.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from doubles import hash_value
from perspective_doubles import KEY, Service, served

pytest.importorskip("httpx")
pytest.importorskip("tenacity")

RATE = 400
#: A twentieth more may arrive in one second: a busy machine holds requests up, and then takes many.
MOST_A_SECOND = RATE * 1.05
CONNECTIONS = 32
TEXTS = [f"text {i}" for i in range(2000)]
#: What the service says of these is their own error, whatever else goes wrong.
REFUSED = {text for i, text in enumerate(TEXTS) if i % 400 == 7}
KILLED_AFTER = 800
CLIENT = """
import json, sys
from detox_bench.scorers import perspective_client
from detox_bench.scorers.cache import ScoreCache
from detox_bench.scorers.driver import score_texts
from detox_bench.scorers.table import load_scorer
perspective_client._FIRST_PAUSE = 0.02
url, folder, rate, texts = sys.argv[1], sys.argv[2], float(sys.argv[3]), json.load(sys.stdin)
scorer = load_scorer(f"perspective:{url}", qps=rate)
with ScoreCache(f"{folder}/scores.sqlite") as cache:
    scores = score_texts(texts, "de", scorer, cache=cache, progress=False)
json.dump([[score.value, score.reason] for score in scores], sys.stdout)
"""


def misbehave(handler, number: int, request: dict) -> bool:
    """Fail in turn; the numbers have no common factor, so that texts meet all of it."""
    if number % 700 < 3 and number >= 700:  # used up: a whole second is to be waited
        handler.answer(429, {"error": {"code": 429}}, Retry_After="1")
    elif number % 31 == 0:
        handler.answer(500, b"<html>oh no</html>")
    elif number % 37 == 0:
        handler.answer(200, b'{"attributeScores": {"TOXICITY": {"summ')
    elif number % 41 == 0:
        handler.drop()
    elif request["comment"]["text"] in REFUSED:
        handler.error(request, 400, "no", errorType="LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE")
    else:
        time.sleep(0.08 if number % 7 == 0 else 0.01)
        return False
    return True


def client(service: Service, folder: Path, texts: list[str]) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", CLIENT, service.url, str(folder), str(RATE)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    process.stdin.write(json.dumps(texts))
    process.stdin.close()
    return process


@pytest.fixture
def environment(monkeypatch, tmp_path):
    monkeypatch.setenv("PERSPECTIVE_API_KEY", KEY)
    monkeypatch.setenv("DETOX_BENCH_CACHE", str(tmp_path / "scores.sqlite"))


def test_nothing_is_lost_made_up_or_asked_twice(environment, tmp_path):
    with served(misbehave) as service:
        killed = client(service, tmp_path, TEXTS)
        while len(service.arrived) < KILLED_AFTER and killed.poll() is None:
            time.sleep(0.005)
        assert killed.poll() is None
        killed.kill()
        killed.wait()
        killed.stdout.close()
        time.sleep(0.2)  # what is on its way arrives
        before = len(service.arrived)
        second = client(service, tmp_path, TEXTS)
        scores = json.loads(second.stdout.read())
        second.stdout.close()
        assert second.wait() == 0
    # nothing lost, and no text that the service scored is 0 or anything but its score
    expected = [None if text in REFUSED else hash_value(f"TOXICITY {text}") for text in TEXTS]
    assert [value for value, _ in scores] == expected
    assert {reason for value, reason in scores if value is None} == {
        "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE"
    }
    # asked again: what was on its way when the first was killed, at most, and nothing else
    again = [text for text, count in service.answered.items() if count > 1]
    assert len(again) <= CONNECTIONS
    assert set(service.answered) == set(TEXTS)
    assert service.busiest(1.0) <= MOST_A_SECOND and service.busiest(4.0) <= 4 * RATE
    assert len(service.arrived) > before >= KILLED_AFTER
    asked = len(service.arrived)
    third_run_asks_for_nothing(tmp_path, service)
    assert len(service.arrived) == asked


def third_run_asks_for_nothing(folder: Path, service: Service) -> None:
    """All is in the cache or the archive by now; nobody listens any more, and nobody notices."""
    third = client(service, folder, TEXTS)
    values = [value for value, _ in json.loads(third.stdout.read())]
    third.stdout.close()
    assert third.wait() == 0 and values.count(None) == len(REFUSED)


def test_two_processes_share_the_rate_and_the_answers(environment, tmp_path):
    texts = TEXTS[:600]
    with served() as service:
        both = [client(service, tmp_path, texts) for _ in range(2)]
        results = [json.loads(process.stdout.read()) for process in both]
        for process in both:
            process.stdout.close()
        assert [process.wait() for process in both] == [0, 0]
    assert results[0] == results[1]
    assert [value for value, _ in results[0]] == [hash_value(f"TOXICITY {t}") for t in texts]
    assert set(service.asked.values()) == {1}
    assert service.busiest(1.0) <= MOST_A_SECOND
