"""The keyed queue: once, never twice at a time, in time, and never lost."""

from __future__ import annotations

import asyncio

import pytest

from sftrun_operator.queues import PATIENCE_SECONDS, ClosedError, KeyedQueue


async def test_a_key_stands_once_and_in_order() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    for key in ("a", "b", "a", "c", "b"):
        queue.add(key)
    assert len(queue) == 3
    assert [await queue.take() for _ in range(3)] == ["a", "b", "c"]


async def test_a_key_that_is_out_comes_once_more_after_it_is_given_back() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    queue.add("a")
    assert await queue.take() == "a"
    queue.add("a")
    queue.add("a")
    assert (len(queue), queue.num_working) == (0, 1)
    queue.done("a")
    assert await queue.take() == "a"
    queue.done("a")
    assert (len(queue), queue.num_working) == (0, 0)


@pytest.mark.parametrize(("delays", "due"), [((0.01, 60), "soon"), ((60, 0.01), "soon"), ((60, 70), "late")])
async def test_the_earlier_of_two_timers_counts(delays: tuple[float, ...], due: str) -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    for delay in delays:
        queue.add_in("a", delay)
    if due == "soon":
        assert await asyncio.wait_for(queue.take(), 60) == "a"
    else:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(queue.take(), 0.05)
    queue.close()


async def test_taking_a_key_cancels_its_timer() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    queue.add_in("a", 0.02)
    queue.add("a")
    assert await queue.take() == "a"
    queue.done("a")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.take(), 0.1)


async def test_retries_double_up_to_a_ceiling_and_start_over_after_a_success() -> None:
    queue: KeyedQueue[str] = KeyedQueue(jitter=lambda: 1.0)
    delays = [queue.retry("a") for _ in range(12)]
    assert delays[:5] == [0.25, 0.5, 1.0, 2.0, 4.0]
    assert delays[-1] == 120.0
    assert queue.retry("a", at_most=3600) == 1024.0
    queue.succeeded("a")
    assert queue.retry("a") == 0.25
    assert queue.retry("a", at_least=30) == 30
    queue.close()


async def test_jitter_halves_a_delay_at_most() -> None:
    queue: KeyedQueue[str] = KeyedQueue(jitter=lambda: 0.0)
    assert queue.retry("a") == 0.125
    queue.close()


async def test_forgetting_drops_the_timer() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    queue.add_in("a", 0.01)
    queue.forget("a")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.take(), 0.1)


async def test_closing_ends_every_waiter_and_hands_nothing_out() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    waiting = [asyncio.create_task(queue.take()) for _ in range(3)]
    await asyncio.sleep(0)
    queue.close()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(result, ClosedError) for result in results)
    queue.add("a")
    with pytest.raises(ClosedError):
        await queue.take()


async def test_many_workers_lose_and_double_nothing() -> None:
    queue: KeyedQueue[int] = KeyedQueue()
    out: set[int] = set()
    looks: dict[int, int] = {}

    async def work() -> None:
        while True:
            key = await queue.take()
            assert key not in out, "two workers look at one run"
            out.add(key)
            await asyncio.sleep(0)
            looks[key] = looks.get(key, 0) + 1
            out.discard(key)
            queue.done(key)

    workers = [asyncio.create_task(work()) for _ in range(8)]
    for round_number in range(5):
        for key in range(200):
            queue.add(key)
        if round_number % 2:
            await asyncio.sleep(0)
    while len(queue) or queue.num_working:  # noqa: ASYNC110 - until nothing is left
        await asyncio.sleep(0)
    queue.close()
    await asyncio.gather(*workers, return_exceptions=True)
    assert set(looks) == set(range(200))


async def test_the_oldest_key_s_age_is_known() -> None:
    now = 0.0
    queue: KeyedQueue[str] = KeyedQueue(clock=lambda: now)
    assert queue.oldest_seconds == 0
    queue.add("a")
    now = 5.0
    queue.add("b")
    queue.add("a")
    now = 7.0
    assert queue.oldest_seconds == 7
    await queue.take()
    assert queue.oldest_seconds == 2


async def test_who_takes_over_is_not_stuck_by_what_waited_while_it_stood_by() -> None:
    now = 0.0
    queue: KeyedQueue[str] = KeyedQueue(clock=lambda: now)
    queue.add("a")
    now = 7200.0
    queue.begin()
    assert queue.oldest_seconds == 0
    now = 7230.0
    assert queue.oldest_seconds == 30


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_patient_keys_let_others_go_ahead() -> None:
    queue: KeyedQueue[str] = KeyedQueue(clock=Clock())
    for key in ("p1", "p2"):
        queue.add(key, patient=True)
    for key in ("a", "b"):
        queue.add(key)
    assert [await queue.take() for _ in range(4)] == ["a", "b", "p1", "p2"]


async def test_patience_ends() -> None:
    clock = Clock()
    queue: KeyedQueue[str] = KeyedQueue(clock=clock)
    queue.add("patient", patient=True)
    clock.now = PATIENCE_SECONDS - 1
    queue.add("before")
    clock.now = PATIENCE_SECONDS + 1
    queue.add("after")
    assert [await queue.take() for _ in range(3)] == ["before", "patient", "after"]


@pytest.mark.parametrize(
    ("added", "order"),
    [
        ((("x", True), ("p", True), ("a", False), ("x", False)), ["a", "x", "p"]),
        ((("x", False), ("a", False), ("x", True)), ["x", "a"]),
        ((("x", True), ("x", False), ("x", True)), ["x"]),
    ],
    ids=["one that somebody waits for after all", "patience does not send back", "again and again"],
)
async def test_a_key_stands_once_and_in_the_better_place(
    added: tuple[tuple[str, bool], ...], order: list[str]
) -> None:
    queue: KeyedQueue[str] = KeyedQueue(clock=Clock())
    for key, patient in added:
        queue.add(key, patient=patient)
    assert len(queue) == len(order)
    assert [await queue.take() for _ in order] == order
    assert len(queue) == 0


async def test_how_long_the_oldest_waits_counts_patient_keys_and_forgets_overtaken_ones() -> None:
    clock = Clock()
    queue: KeyedQueue[str] = KeyedQueue(clock=clock)
    queue.add("patient", patient=True)
    clock.now = 5.0
    queue.add("a")
    assert queue.oldest_seconds == 5.0
    queue.add("patient")
    clock.now = 6.0
    assert queue.oldest_seconds == 6.0, "since it was first added"
    assert [await queue.take() for _ in range(2)] == ["a", "patient"]
    assert queue.oldest_seconds == 0.0


async def test_news_of_a_key_that_is_out_makes_it_prompt() -> None:
    queue: KeyedQueue[str] = KeyedQueue(clock=Clock())
    queue.add("x")
    assert await queue.take() == "x"
    queue.add("x", patient=True)
    queue.add("x")
    queue.add("x", patient=True)
    queue.add("p", patient=True)
    queue.done("x")
    assert [await queue.take() for _ in range(2)] == ["x", "p"]


async def test_what_fails_again_and_again_becomes_patient() -> None:
    queue: KeyedQueue[str] = KeyedQueue(jitter=lambda: 0.0)
    assert queue.retry("x") < queue.retry("x")
    queue.retry("y")
    queue.forget("y")
    await _queued(queue, 1)
    queue.add("a")
    assert [await queue.take() for _ in range(2)] == ["x", "a"], "once may be an accident"
    queue.done("x")
    assert queue.retry("x") == 0.5
    await _queued(queue, 1)
    queue.add("b")
    assert [await queue.take() for _ in range(2)] == ["b", "x"]


async def _queued(queue: KeyedQueue[str], count: int) -> None:
    async with asyncio.timeout(60):
        while len(queue) != count:  # noqa: ASYNC110 - the queue tells nobody but takers
            await asyncio.sleep(0.01)
