/* What a board is to the gate: pins, a serial port, a clock, non-volatile memory, a watchdog.
 *
 * Nothing here may wait for longer than LIFE_SAFETY_MS in sum over a round of the main loop. */
#ifndef BOARD_H
#define BOARD_H

#include <stdbool.h>
#include <stdint.h>

/* Bytes of non-volatile memory that are kept for the gate. */
#define BOARD_MEMORY_SIZE 512

/* Both relays off, inputs with their pull-ups, the watchdog and the clock running. The port stays shut. */
void board_start(void);

/* From now on bytes are received and sent. */
void board_open_port(void);

/* Milliseconds since boot; wraps. */
uint32_t board_uptime_ms(void);

/* Every input as it is at the pin, as GATE_INPUT_ bits. */
uint16_t board_inputs(void);

/* The relays as their contacts say: GATE_OUTPUT_ENTRY_UNLOCKED, GATE_OUTPUT_EXIT_UNLOCKED. */
uint8_t board_contacts(void);

/* Sets relays, lamps and buzzer, as GATE_OUTPUT_ bits. */
void board_set_outputs(uint8_t outputs);

/* The next byte received, or -1. Never waits. */
int16_t board_read(void);

/* Queues all of these bytes, or none where they find no room. Never waits. */
bool board_write(const uint8_t *bytes, uint8_t size);

/* One byte of non-volatile memory. Waits while a byte is being written: 4 ms at most. */
uint8_t board_memory_read(uint16_t at);

/* Whether a byte can be written without waiting. */
bool board_memory_ready(void);

/* Begins to write one byte. */
void board_memory_write(uint16_t at, uint8_t value);

/* Tells the watchdog that all is well; without it the board restarts itself within half a second. */
void board_feed_watchdog(void);

/* Until the next millisecond or byte there may be nothing to do. */
void board_idle(void);

#endif
