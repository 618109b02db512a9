"""What `stile doctor` asks of a kiosk's surroundings: its broker, gate and camera."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from edge.adapters.central.pairing import load_identity
from edge.adapters.central.tls import chosen_files
from edge.adapters.central.tls import probe as probe_tls
from edge.adapters.storage.exclusive import holder
from edge.config import BrokerSection, KioskConfig
from edge.modes.common import open_eye, tls_files
from edge.modes.lane import open_configured_gate
from firmware_bridge.gate import LinkUp
from wire.environment import monotonic_ms


def broker_of(config: KioskConfig) -> tuple[str, int]:
    """Host and port of the broker a kiosk uses; raises `StoreError` when it is not paired."""
    given = config.broker or BrokerSection()
    if given.host is not None and given.port is not None:
        return given.host, given.port
    identity = load_identity(Path(config.kiosk.state_dir), os.urandom)
    return given.host or identity.broker_host, given.port or identity.broker_port


def running_kiosk(config: KioskConfig) -> str | None:
    """The process that runs this kiosk and so has its gate and camera; None where it does not run."""
    return holder(Path(config.kiosk.state_dir))


async def probe_broker(config: KioskConfig, within_s: float) -> str:
    """What is wrong with the broker, as a sentence; empty when it is well. Raises `StileError`, OSError."""
    host, port = broker_of(config)
    name = None if config.broker is None else config.broker.server_name
    files = chosen_files(Path(config.kiosk.state_dir), tls_files(config), name)
    if files is not None:
        now_ms = time.time_ns() // 1_000_000
        return await asyncio.to_thread(probe_tls, files, host, port, now_ms, within_s)
    async with asyncio.timeout(within_s):
        _, writer = await asyncio.open_connection(host, port)
    writer.close()
    await writer.wait_closed()
    return ""


async def probe_gate(config: KioskConfig, within_s: float) -> str:
    """What is wrong with the gate, as a sentence; empty once it has answered. Raises `ConfigError`."""
    gate = open_configured_gate(config, monotonic_ms)
    try:
        async with asyncio.timeout(within_s):
            async for event in gate.events():
                if isinstance(event, LinkUp):
                    return ""
    except TimeoutError:
        pass
    finally:
        await gate.close()
    return gate.state().trouble or f"nothing answers on {config.turnstile_gate.wiring.port}"


async def probe_camera(config: KioskConfig) -> str:
    """The camera's state once it had the time for a picture; raises `CameraError`."""
    camera = open_eye(config, monotonic_ms)
    try:
        frame = await camera.read()
        return camera.state() if frame is not None or camera.state() != "ok" else "no picture"
    finally:
        await camera.close()
