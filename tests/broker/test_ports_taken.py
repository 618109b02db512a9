"""A port that somebody else has is named by its key."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from central.errors import ConfigError
from tests.doubles.central_rig import Clock, new_config, running


@pytest.mark.parametrize("key", ["mqtt.port", "http.port"])
async def test_a_port_in_use_names_its_key_and_what_to_do(tmp_path: Path, key: str) -> None:
    config = new_config(tmp_path / "central", Clock())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        section = key.partition(".")[0]
        text = re.sub(rf"(\[{section}\][^\[]*?port = )\d+", rf"\g<1>{port}", config.read_text())
        config.write_text(text)
        with pytest.raises(ConfigError, match=rf"{key} = .*{port}.*(end what has the port|that is free)"):
            async with running(config, Clock()):
                pass
