"""A working gate controller in Python: same codec, own logic, faults on request."""

from firmware_bridge.simulator.device import OutputChange, SimulatedGate
from firmware_bridge.simulator.served import ServedGate

__all__ = ["OutputChange", "ServedGate", "SimulatedGate"]
