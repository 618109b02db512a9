"""I/O that edge and central share: MQTT client, HTTP server, TLS files. The rest of `wire` is pure."""
