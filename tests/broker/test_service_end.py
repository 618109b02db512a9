"""A service goes on when nobody reads what it prints, and ends well when its terminal closes."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

from central.setup import init_central

WITHIN_S = 60.0
RUN = "from scripts.cli.central.app import app; app()"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def test_central_outlives_its_standard_output_and_ends_well_when_its_terminal_closes(tmp_path: Path):
    port = free_port()
    config = init_central(tmp_path, "metro", "north", "ride", http_port=port)
    program = [sys.executable, "-c", RUN, "run", "--config", str(config)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.close()  # whoever read it has gone
        until_s = time.monotonic() + WITHIN_S
        while not answers(f"http://127.0.0.1:{port}/v1/scorecards"):
            assert running.poll() is None
            assert time.monotonic() < until_s
            time.sleep(0.1)
        running.send_signal(signal.SIGHUP)
        _, told = running.communicate(timeout=WITHIN_S)
        assert (running.returncode, b"Traceback" in told) == (0, False), told
