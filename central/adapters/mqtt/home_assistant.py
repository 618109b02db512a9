"""Home Assistant's device discovery: one device a kiosk, with how it is; never anybody who passed there.

An adapter on top of the contract. Home Assistant reads two retained JSON messages a kiosk below its discovery
prefix; nothing it sends is listened to.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from typing import Any

from central.rules.fleet import Kiosk
from wire.fleet import Health, KioskState, Presence
from wire.ids import KioskId, OperatorId, SiteId

AGAIN_MS = 60_000
"""How often an unchanged state is sent again, so that it does not expire."""
EXPIRES_S = 180
"""After three missed repeats central is silent, and the state is unknown."""
STANDING = "standing"
WAITING = "outbox_waiting_count"
GONE = b""
"""An empty retained message removes a device."""
CHOSEN = frozenset({"photo_risk", "photo_risk_first_use", "non_commercial", "lane_closed"})
"""Said of every kiosk that is configured so: a choice, not a fault."""

PublishRetained = Callable[[str, bytes], bool]


class HomeAssistant:
    """Tells each paired kiosk's device and state, and takes revoked ones away; what is told already waits."""

    def __init__(self, prefix: str, operator: OperatorId, site: SiteId, publish: PublishRetained) -> None:
        self._prefix, self._operator, self._site, self._publish = prefix, operator, site, publish
        self._told: dict[str, tuple[bytes, int]] = {}

    def forget(self) -> None:
        """Tell everything again."""
        self._told.clear()

    def tell(
        self,
        kiosks: Iterable[Kiosk],
        states: Mapping[KioskId, KioskState],
        health: Mapping[KioskId, Health],
        now_ms: int,
    ) -> None:
        """Tell what is new of these kiosks, and once a minute how each is."""
        for kiosk in kiosks:
            name = kiosk.kiosk
            if kiosk.revoked_at_ms is not None:
                self._say(self.config_topic(name), GONE, 0)
                self._say(self.state_topic(name), GONE, 0)
            elif kiosk.certificate is not None:
                self._say(self.config_topic(name), _json(self.device(kiosk)), 0)
                if (state := states.get(name)) is not None:
                    told = _json(shown(state, health.get(name)))
                    self._say(self.state_topic(name), told, now_ms // AGAIN_MS)

    def _say(self, topic: str, payload: bytes, minute: int) -> None:
        if self._told.get(topic) != (payload, minute) and self._publish(topic, payload):
            self._told[topic] = payload, minute

    def _id(self, kiosk: KioskId) -> str:
        return f"stile-{self._operator}-{self._site}-{kiosk}"

    def config_topic(self, kiosk: KioskId) -> str:
        """Where Home Assistant looks for the device."""
        return f"{self._prefix}/device/{self._id(kiosk)}/config"

    def state_topic(self, kiosk: KioskId) -> str:
        """Where the device's state is."""
        return f"{self._prefix}/stile/{self._site}/{kiosk}/state"

    def device(self, kiosk: Kiosk) -> dict[str, Any]:
        """The discovery message: device, origin, and its entities."""
        own = self._id(kiosk.kiosk)

        def entity(key: str, name: str, platform: str, **more: object) -> dict[str, object]:
            return {
                "platform": platform,
                "unique_id": f"{own}-{key}",
                "name": name,
                "value_template": f"{{{{ value_json.{key} }}}}",
                "expire_after": EXPIRES_S,
                **more,
            }

        return {
            "device": {
                "identifiers": [own],
                "name": kiosk.kiosk,
                "manufacturer": "Stile",
                "model": "kiosk",
                "sw_version": kiosk.software,
            },
            "origin": {"name": "stile", "sw_version": version("stile")},
            "components": {
                "presence": entity(
                    "presence",
                    "Presence",
                    "sensor",
                    device_class="enum",
                    options=[presence.value for presence in Presence],
                ),
                "standing_age_s": entity(
                    "standing_age_s",
                    "Age of standings",
                    "sensor",
                    device_class="duration",
                    unit_of_measurement="s",
                    state_class="measurement",
                ),
                "waiting_records": entity(
                    "waiting_records", "Records waiting", "sensor", state_class="measurement"
                ),
                "fault": entity(
                    "fault",
                    "Fault",
                    "binary_sensor",
                    device_class="problem",
                    payload_on="on",
                    payload_off="off",
                ),
                "lane": entity("lane", "Lane", "sensor", device_class="enum", options=["open", "closed"]),
            },
            "state_topic": self.state_topic(kiosk.kiosk),
            "qos": 1,
        }


def shown(state: KioskState, health: Health | None) -> dict[str, object]:
    """What Home Assistant shows of a kiosk: codes and numbers about the machine alone."""
    age_ms = next((cache.age_ms for cache in state.caches if cache.name == STANDING), None)
    metrics = () if health is None else health.metrics
    waiting = next((metric.value for metric in metrics if metric.name == WAITING), None)
    faults = sorted(note for note in state.notes if note not in CHOSEN)
    wrong = bool(faults) or state.presence in {Presence.ALERT, Presence.LOST}
    return {
        "presence": state.presence.value,
        "standing_age_s": None if age_ms is None else age_ms // 1000,
        "waiting_records": None if waiting is None else int(waiting),
        "fault": "on" if wrong else "off",
        "faults": faults,
        "lane": "closed" if "lane_closed" in state.notes else "open",
    }


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
