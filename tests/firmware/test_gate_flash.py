"""`stile gate flash` against a stand-in for avrdude: a script that keeps what it is told. Nothing was written
into a real controller, here or anywhere.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.doubles.gate_firmware import avr_build
from tests.doubles.waiting import WAIT_S

KEEPS = """#!/bin/sh
printf '%s\\n' "$@" > {folder}/told
for word; do
  case "$word" in
    flash:w:*:e) file=${{word#flash:w:}}; cp "${{file%:e}}" {folder}/written ;;
  esac
done
echo "avrdude: 8000 bytes of flash verified" >&2
exit {code}
"""


def stile_gate_flash(*options, path):
    program = [sys.executable, "-c", "from scripts.cli.main import main; main()", "gate", "flash", *options]
    return subprocess.run(
        program, capture_output=True, text=True, timeout=WAIT_S, check=False, env={**os.environ, "PATH": path}
    )


@pytest.fixture
def standing_in(tmp_path):
    """A folder with a stand-in for avrdude that ends with the code it is given."""

    def make(code=0):
        avr_build()
        script = tmp_path / "avrdude"
        script.write_text(KEEPS.format(folder=tmp_path, code=code))
        script.chmod(0o755)
        return f"{tmp_path}:{os.environ['PATH']}"

    return make


def test_the_avr_build_goes_to_avrdude_with_part_programmer_and_port(standing_in, tmp_path):
    ran = stile_gate_flash("--programmer", "avrisp2", "--port", "/dev/x", "--json", path=standing_in())
    assert ran.returncode == 0, ran.stderr
    told = (tmp_path / "told").read_text().splitlines()
    assert told[:6] == ["-p", "m328p", "-c", "avrisp2", "-P", "/dev/x"]
    assert told[6] == "-U"
    assert len(told) == 8
    written = (tmp_path / "written").read_bytes()
    assert written[:4] == b"\x7fELF"
    assert written[18] == 83  # EM_AVR
    row = json.loads(ran.stdout.splitlines()[-1])
    assert (row["part"], row["fuses"]) == ("m328p", False)
    assert 1_000 < row["flash_bytes"] < 32_768
    assert "never run on hardware" in ran.stderr


def test_fuses_are_written_only_when_asked_for(standing_in, tmp_path):
    ran = stile_gate_flash("--programmer", "usbasp", "--fuses", path=standing_in())
    assert ran.returncode == 0, ran.stderr
    told = (tmp_path / "told").read_text().splitlines()
    assert told[4:10] == ["-U", "lfuse:w:0xff:m", "-U", "hfuse:w:0xd1:m", "-U", "efuse:w:0xfc:m"]


def test_an_avrdude_that_fails_is_told_with_what_it_means_for_the_gate(standing_in):
    ran = stile_gate_flash("--programmer", "usbasp", "--json", path=standing_in(code=1))
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "8000 bytes of flash verified" in ran.stderr
    assert "may be without firmware" in ran.stderr


@pytest.mark.parametrize(
    ("there", "missing"), [((), "avrdude is missing"), (("avrdude",), "avr-gcc is missing")]
)
def test_a_program_that_is_missing_is_named_with_its_package(tmp_path, there, missing):
    for name in there:
        shutil.copy("/bin/true", tmp_path / name)
    ran = stile_gate_flash("--programmer", "usbasp", path=str(tmp_path))
    assert ran.returncode == 2
    assert missing in ran.stderr
    assert "sudo apt install" in ran.stderr
