"""A Modbus RTU relay board: pymodbus's own server, with a flash-on command as some boards have it."""

from __future__ import annotations

import asyncio
import struct
from types import TracebackType

from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
from pymodbus.pdu import ExceptionResponse, ModbusPDU
from pymodbus.server import ModbusSerialServer

from firmware_bridge.simulator.boards.cable import Cable

READ_INPUTS = 2
WRITE_COIL = 5
COILS = 8
ON, OFF = 0xFF00, 0x0000
FLASH_ADDRESS = 0x0200
FLASH_UNIT_S = 0.1
ILLEGAL_ADDRESS = 2


class ModbusDevice:
    """One board at the device's end of a cable, on the running loop; use as an asynchronous context manager.

    `flashes`: it has the flash-on command at `FLASH_ADDRESS`.
    """

    def __init__(self, cable: Cable, *, flashes: bool = False, unit: int = 1) -> None:
        self.on: frozenset[int] = frozenset()
        self.commands = 0
        self.stuck = False
        self._flashes = flashes
        self._ends: dict[int, asyncio.TimerHandle] = {}
        self._cable, self._unit = cable, unit
        self._server: ModbusSerialServer | None = None

    async def __aenter__(self) -> ModbusDevice:
        """Begin to answer."""
        blocks = [ModbusSequentialDataBlock(1, [False] * COILS) for _ in range(2)]  # type: ignore[no-untyped-call]
        context = ModbusServerContext({self._unit: ModbusDeviceContext(co=blocks[0], di=blocks[1])})
        device = self

        class WriteCoil(ModbusPDU):
            """Function 5 as the board understands it."""

            function_code = WRITE_COIL
            rtu_frame_size = 8

            def encode(self) -> bytes:
                return struct.pack(">HH", self.address, self.count)

            def decode(self, data: bytes) -> None:
                self.address, self.count = struct.unpack(">HH", data[:4])

            async def datastore_update(self, context: ModbusServerContext, device_id: int) -> ModbusPDU:
                if not await device.write(self.address, self.count):
                    return ExceptionResponse(WRITE_COIL, ILLEGAL_ADDRESS)
                return self

        self._server = ModbusSerialServer(
            context,
            port=self._cable.device_path,
            baudrate=9_600,
            custom_pdu=[WriteCoil],
            trace_packet=self._heard,
        )
        await self._server.serve_forever(background=True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop answering."""
        for end in self._ends.values():
            end.cancel()
        if self._server is not None:
            await self._server.shutdown()  # type: ignore[no-untyped-call]

    def _heard(self, _: bool, packet: bytes) -> bytes:
        # What is for another unit is not answered; the server would answer it with an exception.
        return packet if packet and packet[0] == self._unit else b""

    async def write(self, address: int, raw: int) -> bool:
        """What function 5 does; False for an address that is not there."""
        coil = address - FLASH_ADDRESS if address >= FLASH_ADDRESS else address
        flash = address >= FLASH_ADDRESS
        if not 0 <= coil < COILS or (flash and not self._flashes):
            return False
        self.commands += 1
        if end := self._ends.pop(coil, None):
            end.cancel()
        await self._switch(coil, flash or raw == ON)
        if flash:
            loop = asyncio.get_running_loop()
            self._ends[coil] = loop.call_later(
                raw * FLASH_UNIT_S, lambda: loop.create_task(self._switch(coil, on=False))
            )
        return True

    async def set_input(self, address: int, active: bool) -> None:
        """One of the board's inputs."""
        assert self._server is not None
        await self._server.async_setValues(self._unit, READ_INPUTS, address, [active])

    async def _switch(self, coil: int, on: bool) -> None:
        if self.stuck or self._server is None:
            return
        self.on = self.on | {coil} if on else self.on - {coil}
        await self._server.async_setValues(self._unit, WRITE_COIL, coil, [on])
