"""`stile kiosk run` that ends says why in a line, though the fault came out of a group of tasks."""

from __future__ import annotations

import asyncio

import pytest
import typer

from edge.errors import StoreError
from scripts.cli.kiosk import _expected_errors
from scripts.output import EXIT_UNUSABLE


async def fails_in_a_task_of_a_task() -> None:
    async def write() -> None:
        raise StoreError("outbox.sqlite3 cannot be written: free some space on this disk")

    async with asyncio.TaskGroup() as outer:

        async def pass_people() -> None:
            async with asyncio.TaskGroup() as inner:
                inner.create_task(write())

        outer.create_task(pass_people())


def test_a_full_disk_that_ends_a_running_kiosk_is_told_in_a_line(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(typer.Exit) as ended, _expected_errors():
        asyncio.run(fails_in_a_task_of_a_task())
    told = capsys.readouterr().err
    assert (ended.value.exit_code, "free some space" in told, "Traceback" in told) == (
        EXIT_UNUSABLE,
        True,
        False,
    )


def test_a_fault_of_the_program_itself_is_not_hidden():
    with pytest.raises(ExceptionGroup), _expected_errors():
        raise ExceptionGroup("tasks", [StoreError("full"), ZeroDivisionError()])
