"""What deploy/laptop.md says to type is typed here, in its order, and works."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAPTOP = ROOT / "deploy" / "laptop.md"
PATIENCE_S = 90.0
RUNS_ON = ("stile central run", "stile gate simulate", "stile kiosk run")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", LAPTOP.read_text(), re.MULTILINE | re.DOTALL)


def free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class Terminal:
    """A person who types what the page says, and reads what comes back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: list[subprocess.Popen[str]] = []
        self._environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def type(self, line: str, answer: str = "") -> str:
        """All that a command said once it ended well, or the first lines of one that runs on.

        `answer`: what is typed where the command asks.
        """
        if not line.startswith(RUNS_ON):
            return subprocess.run(
                shlex.split(line), cwd=self.folder, env=self._environment, text=True, check=True,
                stdout=subprocess.PIPE, timeout=PATIENCE_S, input=answer,
            ).stdout  # fmt: skip
        said = self.folder / f"said-{len(self.running)}"
        with said.open("w") as file:
            self.running.append(
                subprocess.Popen(
                    shlex.split(line), cwd=self.folder, env=self._environment, text=True, stdout=file
                )
            )
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until and self.running[-1].poll() is None:
            if said.read_text().count("\n") > 1:
                return said.read_text()
            time.sleep(0.05)  # a program that starts: nothing else tells that it has
        raise AssertionError(f"{line}: {said.read_text()}")

    def end(self) -> None:
        for each in reversed(self.running):
            each.terminate()
        for each in reversed(self.running):
            each.wait(PATIENCE_S)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    made = Terminal(tmp_path)
    yield made
    made.end()


@pytest.mark.slow
def test_what_the_page_for_a_laptop_says_to_type_works(terminal: Terminal) -> None:
    http, mqtt, screen = free_ports(3)
    code = ""
    (settings,) = blocks("toml")
    for line in "".join(blocks("sh")).splitlines():
        command = line.split("#")[0].strip().replace(":8480", f":{http}")
        if command.startswith("stile central init"):
            command += f" --http-port {http} --mqtt-port {mqtt}"
        said = terminal.type(command, code if "kiosk pair" in command else "")
        if "kiosk add" in command:
            code = said.split()[0]
        if "gate simulate" in command:
            port, key_file = (
                str(re.findall(pattern, said)[0]) for pattern in (r"gate on (\S+)", r"key file (\S+)\)")
            )
            text = re.sub(r'"\S+/port"', f'"{port}"', settings)
            text = re.sub(r'"\S+/gate.key"', f'"{key_file}"', text)
            (terminal.folder / "kiosk.toml").write_text(f"{text}[screen]\nport = {screen}\n")
    assert [each.poll() for each in terminal.running] == [None] * len(RUNS_ON)
