"""Relay boards that speak Modbus RTU, with pymodbus: coils for relays, discrete inputs for what is wired."""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path

from pymodbus import ModbusException
from pymodbus.client import AsyncModbusSerialClient
from pymodbus.pdu import ModbusPDU

from firmware_bridge.drivers.capabilities import capabilities_of
from firmware_bridge.drivers.lane import RelayLane, WantedRelays
from firmware_bridge.drivers.relay import Reading, RelayGate
from firmware_bridge.drivers.wiring import ModbusWiring
from firmware_bridge.errors import BoardError, PortUnavailableError
from firmware_bridge.gate import GateInputs

POLL_MS = 20
"""Between two readings; a reading of coils and inputs itself takes 35 ms of line at 9600 baud."""

ANSWER_S = 0.3
"""Boards answer within 50 ms; one that is silent for so long is gone."""

FLASH_UNIT_MS = 100
"""What a flash-on command counts in."""

WRITE_COIL = 5

GONE = "gone while in use; plug it in again"
NOT_THERE = "not there; plug the board in, or name its port as in /dev/serial/by-id"
NOT_OPENED = "cannot be opened; another program may hold it, or it is no serial port"


class FlashOn(ModbusPDU):
    """Function 5 with a count where ON or OFF would be: on for so many tenths of a second."""

    function_code = WRITE_COIL
    rtu_frame_size = 8

    def encode(self) -> bytes:
        """Address and count."""
        return struct.pack(">HH", self.address, self.count)

    def decode(self, data: bytes) -> None:
        """Address and count."""
        self.address, self.count = struct.unpack(">HH", data[:4])


class ModbusBoard:
    """One board on one serial line."""

    def __init__(self, wiring: ModbusWiring) -> None:
        self._wiring = wiring
        self._client: AsyncModbusSerialClient | None = None

    async def connect(self) -> None:
        """Open the port; whether a board answers there, the first command tells."""
        self.close()
        wiring = self._wiring
        # No repeats: one would come late, and a board that missed a command is reached anew, and locked.
        client = AsyncModbusSerialClient(
            wiring.port,
            baudrate=wiring.baud,
            parity=wiring.parity,
            timeout=ANSWER_S,
            retries=0,
            reconnect_delay=0,
        )
        if not await client.connect():
            client.close()
            raise PortUnavailableError(wiring.port, NOT_OPENED if self._is_there() else NOT_THERE)
        self._client = client

    async def command(self, wanted: WantedRelays) -> None:
        """Every coil; flash-on where the board has it and an end is known."""
        wiring = self._wiring
        for way, coil in wiring.relays.items():
            if way in wanted.ways and wiring.flash_address is not None and wanted.for_ms is not None:
                await self._flash(wiring.flash_address + coil, -(-wanted.for_ms // FLASH_UNIT_MS))
            else:
                await self._write(coil, way in wanted.ways)

    async def poll(self) -> Reading:
        """Coils as the board has them, and the inputs that are wired."""
        wiring = self._wiring
        coils = await self._bits(wiring.relays.values(), coils=True)
        unlocked = frozenset(way for way, coil in wiring.relays.items() if coils[coil])
        if not wiring.inputs:
            return Reading(None, unlocked)
        bits = await self._bits(wiring.inputs.values(), coils=False)
        seen = {
            name: bits[address] is not wiring.inputs_active_low for name, address in wiring.inputs.items()
        }
        return Reading(GateInputs(**seen), unlocked)

    def close(self) -> None:
        """Give the port back."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _is_there(self) -> bool:
        # Nothing else tells a pulled cable from a board that is silent.
        return Path(self._wiring.port).exists()

    async def _flash(self, address: int, tenths: int) -> None:
        flash = FlashOn(dev_id=self._wiring.unit, address=address, count=tenths)
        await self._ask(lambda client: client.execute(False, flash))

    async def _write(self, coil: int, on: bool) -> None:
        unit = self._wiring.unit
        await self._ask(lambda client: client.write_coil(coil, on, device_id=unit))

    async def _bits(self, addresses: Collection[int], *, coils: bool) -> dict[int, bool]:
        first, last = min(addresses), max(addresses)
        unit, count = self._wiring.unit, last - first + 1

        def read(client: AsyncModbusSerialClient) -> Awaitable[ModbusPDU]:
            ask = client.read_coils if coils else client.read_discrete_inputs
            return ask(first, count=count, device_id=unit)

        answer = await self._ask(read)
        return {first + place: bool(bit) for place, bit in enumerate(answer.bits[:count])}

    async def _ask(self, ask: Callable[[AsyncModbusSerialClient], Awaitable[ModbusPDU]]) -> ModbusPDU:
        port = self._wiring.port
        if self._client is None or not self._client.connected:
            raise PortUnavailableError(port, GONE)
        try:
            answer = await ask(self._client)
        except ModbusException as error:
            if not self._is_there():
                raise PortUnavailableError(port, GONE) from error
            why = f"unit {self._wiring.unit} does not answer; check its power, its address, baud and parity"
            raise BoardError(port, why) from error
        if answer.isError():
            code = answer.exception_code
            raise BoardError(port, f"it refuses (exception {code}); check the addresses against its manual")
        return answer


def open_modbus_gate(wiring: ModbusWiring, *, clock_ms: Callable[[], int]) -> RelayGate:
    """A gate on a Modbus RTU board, inside a running loop; returns at once."""
    capabilities = capabilities_of("modbus", beams=wiring.beams, flash=wiring.flash_address is not None)
    lane = RelayLane(frozenset(wiring.relays), beams=wiring.beams)
    return RelayGate(ModbusBoard(wiring), lane, capabilities, clock_ms=clock_ms, poll_ms=POLL_MS)
