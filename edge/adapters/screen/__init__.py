"""The kiosk's local screen: a page served on loopback, a WebSocket that keeps it current."""

from edge.adapters.screen.web import WebScreen

__all__ = ["WebScreen"]
