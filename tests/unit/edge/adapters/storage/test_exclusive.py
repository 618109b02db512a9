"""A kiosk's state folder has one kiosk, and records that were there are missed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge.adapters.storage.exclusive import held_alone
from edge.adapters.storage.keyfile import RowSealer
from edge.adapters.storage.outbox import Outbox
from edge.errors import StoreError
from wire.ids import KioskId
from wire.signing import Signer

HOLD = """
import sys
from pathlib import Path
from edge.adapters.storage.exclusive import held_alone
with held_alone(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_kiosk_on_a_folder_is_told_which_process_has_it_until_that_one_is_killed(tmp_path: Path):
    program = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(StoreError, match=f"process {other.pid} runs a kiosk in"), held_alone(tmp_path):
            pass
        other.kill()
        other.wait()
        with held_alone(tmp_path):
            pass


@pytest.mark.parametrize("left", ["empty", "gone"])
def test_an_outbox_that_is_empty_or_gone_where_one_was_is_an_error_with_its_remedy(tmp_path: Path, left: str):
    path = tmp_path / "outbox.sqlite3"

    def opened() -> Outbox:
        sealer = RowSealer(bytes(32), os.urandom)
        signer = Signer.from_seed(bytes(32))
        return Outbox(path, KioskId("gate-1"), signer=signer, sealer=sealer, random_bytes=os.urandom)

    opened().close()
    for file in tmp_path.glob("outbox.sqlite3*"):
        file.unlink()
    if left == "empty":
        path.touch()
    with pytest.raises(StoreError, match=r"is empty or gone.*put it back.*pair it anew"):
        opened()
