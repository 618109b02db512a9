"""Pseudo-terminals that carry bytes as they are."""

from __future__ import annotations

import os
import tty


def new_terminal() -> tuple[int, int]:
    """Master, which does not block, and slave of a new raw terminal; whoever asks closes both."""
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    return master, slave
