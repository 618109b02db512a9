"""The outside of central: storage, MQTT, HTTP, key files, the embedded broker."""
