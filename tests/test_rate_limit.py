"""The token bucket: never faster than its rate, nothing saved up, pauses kept."""

import threading
import time

import pytest

from detox_bench.scorers.rate_limit import TokenBucket


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def times(bucket: TokenBucket, clock: Clock, count: int) -> list[float]:
    taken = []
    for _ in range(count):
        bucket.take()
        taken.append(clock.now - 100)
    return taken


def test_the_first_is_free_and_the_others_keep_the_interval(clock):
    bucket = TokenBucket(4, clock, clock.sleep)
    assert times(bucket, clock, 4) == [0, 0.25, 0.5, 0.75]  # 1 / 4 of a second


def test_nothing_is_saved_up_while_nobody_asks(clock):
    bucket = TokenBucket(4, clock, clock.sleep)
    bucket.take()
    clock.sleep(10)
    assert times(bucket, clock, 3) == [10, 10.25, 10.5]


def test_a_pause_is_kept_and_the_rate_after_it(clock):
    bucket = TokenBucket(2, clock, clock.sleep)
    bucket.take()
    bucket.pause(3)
    assert times(bucket, clock, 3) == [3, 3.5, 4]


def test_a_shorter_pause_does_not_cut_a_longer_one(clock):
    bucket = TokenBucket(2, clock, clock.sleep)
    bucket.pause(3)
    bucket.pause(1)
    bucket.pause(0)
    assert times(bucket, clock, 1) == [3]


def test_a_pause_that_begins_while_one_waits_holds_it_too(clock):
    bucket = TokenBucket(2, clock, lambda seconds: (clock.sleep(seconds), pause_once()))
    pauses = iter([5.0])

    def pause_once() -> None:
        bucket.pause(next(pauses, 0))

    bucket.take()
    assert times(bucket, clock, 1) == [5.5]  # after 0.5 it was told to wait 5 more


def test_what_sleeping_raises_ends_the_waiting(clock):
    def refuse(seconds: float) -> None:
        raise InterruptedError

    bucket = TokenBucket(1, clock, refuse)
    bucket.take()
    with pytest.raises(InterruptedError):
        bucket.take()


def test_threads_share_one_rate():
    bucket, taken = TokenBucket(200), []

    def take() -> None:
        for _ in range(10):
            bucket.take()
            taken.append(time.monotonic())

    threads = [threading.Thread(target=take) for _ in range(4)]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 40
    assert time.monotonic() - start >= 39 / 200
