/* The gate itself: the state table of PROTOCOL.md 6 and what moves it. */
#ifndef GATE_H
#define GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "auth.h"

/* A fresh boot: SAFE, both ways locked. `keys` may be NULL. */
void gate_start(uint32_t boot_id, const struct gate_keys *keys, uint32_t uptime_ms);

/* Takes one byte of the host's; true if it ended a packet. It counts at the time of the last tick. */
bool gate_take(uint8_t byte);

/* One round: inputs as they are, relays as their contacts say, and the clock; sets the board's outputs. */
void gate_tick(uint32_t now_ms, uint16_t raw_inputs, uint8_t contacts);

/* The outputs as commanded. */
uint8_t gate_outputs(void);

/* A round of the main loop on any board: bytes of at most one packet, then a tick. */
void gate_round(void);

/* Boot id, keys, port: what a board does once after `board_start`. */
void gate_boot(void);

#endif
