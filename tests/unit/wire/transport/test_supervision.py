"""Work that ends without being asked to is logged, told, and tried again."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from wire.transport import supervision
from wire.transport.supervision import WELL_AFTER_S, Supervisor


class StrangeError(Exception):
    """Of a class that nobody listed."""


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "RETRY_FIRST_S", 0.001)
    monkeypatch.setattr(supervision, "RETRY_LAST_S", 0.004)


@pytest.mark.parametrize("end", ["an exception", "a return"])
async def test_a_task_that_ends_unasked_is_told_and_runs_again(end, caplog):
    clock, tries, runs = Clock(), [], asyncio.Event()
    supervisor = Supervisor(clock)

    async def work() -> None:
        tries.append(supervisor.failing())
        if len(tries) == 1 and end == "an exception":
            raise StrangeError("what nobody thought of")
        if len(tries) == 1:
            return
        runs.set()
        await asyncio.Event().wait()

    with caplog.at_level(logging.ERROR):
        kept = asyncio.create_task(supervisor.keep("sender", work))
        await runs.wait()
    assert (tries, supervisor.faults, supervisor.failing()) == ([(), ("sender",)], {"sender": 1}, ("sender",))
    assert "sender failed, and starts again" in caplog.text
    clock.now_s = WELL_AFTER_S
    assert supervisor.failing() == ()
    kept.cancel()
    await asyncio.gather(kept, return_exceptions=True)
    assert kept.cancelled()


async def test_the_wait_between_tries_doubles_and_begins_anew_after_work_that_went_on_for_long(monkeypatch):
    clock, waits, lives = Clock(), [], iter([0, 0, 0, 0, WELL_AFTER_S, 0])
    supervisor = Supervisor(clock)

    async def waited(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 6:
            raise asyncio.CancelledError

    async def work() -> None:
        clock.now_s += next(lives)
        raise StrangeError

    monkeypatch.setattr(supervision.asyncio, "sleep", waited)
    with pytest.raises(asyncio.CancelledError):
        await supervisor.keep("feed", work)
    assert waits == [0.001, 0.002, 0.004, 0.004, 0.001, 0.002]


def test_a_thread_that_ends_unasked_runs_again_until_it_is_closed(caplog):
    supervisor, closing, tries = Supervisor(), threading.Event(), []

    def work() -> None:
        tries.append(supervisor.failing())
        if len(tries) < 3:
            raise StrangeError
        closing.set()

    thread = threading.Thread(target=supervisor.keep_thread, args=("camera", work, closing))
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert (tries, supervisor.faults) == ([(), ("camera",), ("camera",)], {"camera": 2})
