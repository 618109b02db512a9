"""libFuzzer against the firmware, and the firmware against Python: both must say the same of every input."""

import json
import platform
import secrets
import shutil
import subprocess
import tomllib
from pathlib import Path
from random import Random

import pytest

from firmware_bridge.conformance.build import SANITIZERS, host_compiler, portable_sources
from firmware_bridge.conformance.header import FIRMWARE
from tests.doubles.fuzz_peer import TOLD
from tests.doubles.gate_firmware import has_file, host_build

HERE = Path(__file__).parent
VECTORS = json.loads((HERE.parent / "vectors" / "gate_frames.json").read_text())
REGRESSIONS = tomllib.loads((HERE / "fuzz_regressions.toml").read_text())["regression"]
SEED = 20_251_123
RUNS = {"frame": 60_000, "auth": 4_000, "gate": 4_000}
# Steered by what it compares, libFuzzer goes another way whenever the program's addresses change.
REPEATABLE = ("-use_cmp=0", "-reload=0")
LONG_S = 120
SEEDS_OF_GATE = 400


def compiled(compiler, name, folder, *flags, gate_source=FIRMWARE / "gate.c"):
    sources = [HERE / f"fuzz_{name}.c", HERE / "fuzz_board.c", gate_source]
    sources += [path for path in portable_sources() if path.name not in ("main_loop.c", "gate.c")]
    program = folder / f"{name}-{Path(compiler).name}"
    subprocess.run(
        [compiler, "-std=c99", "-O1", "-g", "-Wall", "-Wextra", "-Werror", *flags, f"-I{FIRMWARE}",
         f"-I{HERE}", "-o", program, *sources], check=True,
    )  # fmt: skip
    return program


def release(random, number):
    within_ms = random.choice((-1, 0, 500, 2_000, 9_900, 10_500)) & 0xFFFF
    open_ms = random.choice((0, 500, 1_000, 3_000, 65_535))
    return (
        bytes([6, number]) + within_ms.to_bytes(2, "little") + open_ms.to_bytes(2, "little") + bytes([number])
    )


def a_day_at_the_gate(random):
    """A script for fuzz_gate.c in which things happen as they would: hosts, people, fires."""
    heartbeat, script, number = bytes([4, 2, 4, 9, 9, 9, 9]), b"", 1
    person_in = b"".join(bytes([1, beams, 0, 0, 20]) for beams in (1, 3, 2, 0))
    person_out = b"".join(bytes([1, beams, 0, 0, 20]) for beams in (2, 3, 1, 0))
    followed = b"".join(bytes([1, beams, 0, 0, 20]) for beams in (1, 3, 2, 3, 2, 0))
    for _ in range(random.randint(3, 40)):
        match random.randrange(12):
            case 0 | 1 | 2:
                script += heartbeat
            case 3 | 4:
                number = number + 1 & 0xFF
                script += heartbeat + release(random, number)
            case 5:
                script += release(random, random.randrange(4))
            case 6:
                script += random.choice((person_in, person_out, followed))
            case 7:
                inputs = 1 << random.randrange(9) | 1 << random.randrange(9)
                script += bytes([1, inputs & 0xFF, inputs >> 8, 0, 15])
            case 8:
                script += bytes([7, random.randrange(8)])
            case 9:
                script += bytes([2, random.getrandbits(1)])
            case 10:
                script += bytes([1, 0, 0])
            case _:
                script += bytes([0, random.randrange(256)]) * random.randint(1, 30)
    return script


def seeds(name):
    random = Random(SEED)
    wires = [bytes.fromhex(row["wire"]) for row in VECTORS["frames"]]
    packets = [b"\0" + bytes.fromhex(row["packet"]) + b"\0" for row in VECTORS["ignored"]]
    match name:
        case "frame":
            return [*wires, *packets, b"".join(wires[:6])]
        case "auth":
            return [random.randbytes(16 + size) for size in (*range(20), 42, 60, 255)]
        case _:
            return [a_day_at_the_gate(random) for _ in range(SEEDS_OF_GATE)]


def corpus_of(name, folder):
    corpus = folder / f"corpus-{name}"
    corpus.mkdir()
    for number, seed in enumerate(seeds(name)):
        (corpus / f"seed-{number:03}").write_bytes(seed)
    for row in REGRESSIONS:
        if row["harness"] == name:
            (corpus / row["name"].replace(" ", "-")).write_bytes(bytes.fromhex(row["input"]))
    return corpus


def check_agreement(name, corpus, folder, **options):
    host_build(sanitized=False)
    replay = compiled(host_compiler(), name, folder, "-DREPLAY", *SANITIZERS, **options)
    paths = sorted(corpus.iterdir())
    ran = subprocess.run([replay, *paths], check=True, capture_output=True, text=True)
    lines = ran.stdout.split("\n")[:-1]
    assert len(lines) == len(paths) > 0
    for path, line in zip(paths, lines, strict=True):
        assert line == TOLD[name](path.read_bytes()), f"{path.name}: {path.read_bytes().hex()}"
    return lines


def fuzzer(name, folder):
    clang = shutil.which("clang")
    if clang is None or not has_file(clang, f"libclang_rt.fuzzer-{platform.machine()}.a"):
        pytest.skip("clang or its fuzzer is missing: sudo apt install clang libclang-rt-dev")
    return compiled(clang, name, folder, "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all")


def fuzz(program, corpus, found, seed, *limits):
    """The inputs that reached something new, in `found`; those of the corpus are tried in order of name."""
    print(f"libFuzzer's seed: {seed}")
    found.mkdir()
    listed = found.with_suffix(".seeds")
    listed.write_text(",".join(str(path) for path in sorted(corpus.iterdir())))
    ran = subprocess.run(
        [program, f"-seed={seed}", "-max_len=600", f"-seed_inputs=@{listed}",
         f"-artifact_prefix={found}.crash-", *limits, found],
        capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-3_000:]
    return found


@pytest.mark.parametrize("name", TOLD)
def test_the_firmware_and_python_say_the_same_of_every_seed(name, tmp_path):
    lines = check_agreement(name, corpus_of(name, tmp_path), tmp_path)
    assert len(set(lines)) > len(lines) / 2


def test_a_firmware_that_differs_in_one_limit_is_seen(tmp_path):
    source = tmp_path / "gate.c"
    text = (FIRMWARE / "gate.c").read_text()
    source.write_text(
        text.replace("set(&closed_until, now_ms + GATE_TAILGATE_MS)", "set(&closed_until, now_ms)")
    )
    with pytest.raises(AssertionError):
        check_agreement("gate", corpus_of("gate", tmp_path), tmp_path, gate_source=source)


@pytest.mark.parametrize("name", TOLD)
def test_a_short_fuzz_finds_nothing_and_both_agree_on_what_it_found(name, tmp_path):
    limits = (f"-runs={RUNS[name]}", *REPEATABLE)
    found = fuzz(fuzzer(name, tmp_path), corpus_of(name, tmp_path), tmp_path / "found", SEED, *limits)
    check_agreement(name, found, tmp_path)


def test_a_short_fuzz_tries_the_same_inputs_every_time(tmp_path):
    program, corpus = fuzzer("gate", tmp_path), corpus_of("gate", tmp_path)
    limits = (f"-runs={RUNS['gate']}", *REPEATABLE)
    first, again = (fuzz(program, corpus, tmp_path / name, SEED, *limits) for name in ("first", "again"))
    # libFuzzer names a file by the hash of what is in it.
    assert {path.name for path in first.iterdir()} == {path.name for path in again.iterdir()}


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", TOLD)
def test_a_long_fuzz_finds_nothing_and_both_agree_on_what_it_found(name, tmp_path):
    seed = 1 + secrets.randbelow(1 << 31)
    limit = f"-max_total_time={LONG_S}"
    found = fuzz(fuzzer(name, tmp_path), corpus_of(name, tmp_path), tmp_path / "found", seed, limit)
    check_agreement(name, found, tmp_path)
