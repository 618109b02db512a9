"""Processes of a run: asked over standard input, answering on standard output, one JSON object a line.

None outlives the run: each ends when its standard input does, and the kernel kills it when its parent dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import itertools
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from scripts.harness.errors import ChildError

LINE_MAX_BYTES = 32 * 1024 * 1024
"""One answer: thousands of members with their codes fit."""
ANSWER_S = 60.0
STOP_S = 15.0
"""Time to say goodbye in; after it a child is killed."""
PR_SET_PDEATHSIG = 1
LAUNCHER = (
    "import ctypes,os,sys;p=int(sys.argv[1]);ctypes.CDLL(None).prctl(1,9);"
    "os.getppid()==p or os._exit(1);os.execv(sys.argv[2],sys.argv[2:])"
)
"""Starts a program that is not ours so that the kernel kills it with its parent."""

Verb = Callable[..., Awaitable[Mapping[str, Any] | None]]

log = logging.getLogger(__name__)


def die_with_parent() -> None:
    """Ask the kernel for SIGKILL when the parent dies; where it cannot, the end of input has to do."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Child:
    """One process of ours. `told` is called with what it says unasked."""

    def __init__(
        self, module: str, log_path: Path, told: Callable[[dict[str, Any]], None] | None = None
    ) -> None:
        self._module, self._log_path, self._told = module, log_path, told
        self._process: asyncio.subprocess.Process | None = None
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._numbers = itertools.count(1)
        self._hearing: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Its process id, while it runs."""
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Start the process; it answers `ask` at once."""
        with self._log_path.open("ab") as sink:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # the folder somebody stands in must not lend its modules
                "-m",
                self._module,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=sink,
                limit=LINE_MAX_BYTES,
                start_new_session=True,  # Ctrl-C is for the parent, which ends its children in order
            )
        self._hearing = asyncio.create_task(self._hear(self._process))

    async def _hear(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            said = msgspec.json.decode(line)
            answer = self._answers.pop(said["number"], None) if "number" in said else None
            if answer is not None and not answer.done():
                if "error" in said:
                    answer.set_exception(
                        ChildError(f"{self._module}: {said['error']} (see {self._log_path})")
                    )
                else:
                    answer.set_result(said["answer"])
            elif "number" not in said and self._told is not None:
                self._told(said)
        for waiting in self._answers.values():
            if not waiting.done():
                waiting.set_exception(ChildError(f"{self._module} ended: see {self._log_path}"))
        self._answers.clear()

    async def ask(self, verb: str, *, within_s: float = ANSWER_S, **fields: Any) -> dict[str, Any]:
        """Have a verb done, and its answer; raises `ChildError` when it fails, is late, or the child ends."""
        process = self._process
        if process is None or process.stdin is None or (self._hearing is not None and self._hearing.done()):
            raise ChildError(f"{self._module} does not run: see {self._log_path}")
        number = next(self._numbers)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        try:
            async with asyncio.timeout(within_s):
                process.stdin.write(
                    msgspec.json.encode({"number": number, "verb": verb, "with": fields}) + b"\n"
                )
                await process.stdin.drain()
                return await answer
        except TimeoutError:
            raise ChildError(
                f"{self._module} did not {verb} within {within_s:g} s: the machine is too busy for this run, "
                f"or see {self._log_path}"
            ) from None
        except ConnectionError as error:
            raise ChildError(f"{self._module} ended ({error}): see {self._log_path}") from error
        finally:
            self._answers.pop(number, None)

    async def kill(self) -> None:
        """SIGKILL: no goodbye, nothing is flushed."""
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await self._gone()

    async def stop(self) -> None:
        """End its input, wait for it to leave, and kill it when it does not."""
        process = self._process
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            log.warning("%s did not leave within %g s and is killed", self._module, STOP_S)
            process.kill()
        await self._gone()

    async def _gone(self) -> None:
        if self._process is not None:
            await self._process.wait()
        if self._hearing is not None:
            await self._hearing
        # Its transport would be closed by the garbage collector only, which warns.
        transport = getattr(self._process, "_transport", None)
        if transport is not None:
            transport.close()
        self._process = None


def say(fields: Mapping[str, Any]) -> None:
    """Tell the parent something, in one write."""
    line = msgspec.json.encode(fields) + b"\n"
    while line:
        line = line[os.write(1, line) :]


async def serve(verbs: Mapping[str, Verb]) -> None:
    """In the child: do what is asked, several things at a time, until the parent ends or closes the pipe."""
    die_with_parent()
    reader = asyncio.StreamReader(limit=LINE_MAX_BYTES)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    doing: set[asyncio.Task[None]] = set()
    try:
        while line := await reader.readline():
            asked = msgspec.json.decode(line)
            task = asyncio.create_task(_do(verbs, asked))
            doing.add(task)
            task.add_done_callback(doing.discard)
    finally:
        for task in doing:
            task.cancel()
        await asyncio.gather(*doing, return_exceptions=True)
        transport.close()


async def _do(verbs: Mapping[str, Verb], asked: Mapping[str, Any]) -> None:
    try:
        answer = await verbs[asked["verb"]](**asked["with"])
    except Exception as error:  # told to the parent, who decides
        log.exception("%s failed", asked["verb"])
        say({"number": asked["number"], "error": f"{asked['verb']}: {type(error).__name__}: {error}"})
    else:
        say({"number": asked["number"], "answer": dict(answer or {})})
