"""The kiosk's own API for tills."""
