#include "board.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gate.h"
#include "gate_protocol.h"
#include "host.h"

enum { RELAYS = GATE_OUTPUT_ENTRY_UNLOCKED | GATE_OUTPUT_EXIT_UNLOCKED };

struct host host;

static uint8_t memory[BOARD_MEMORY_SIZE];

/* --- what the firmware asks of a board ------------------------------------------------------------ */

void board_start(void)
{
    memset(memory, 0xff, sizeof memory);
    FILE *file = fopen(host.memory_path, "rb");
    if (file != NULL) {
        if (fread(memory, 1, sizeof memory, file) != sizeof memory)
            memset(memory, 0xff, sizeof memory);
        fclose(file);
    }
}

void board_open_port(void) { host.port_open = true; }

uint32_t board_uptime_ms(void) { return host.uptime_ms; }

uint16_t board_inputs(void) { return host.inputs; }

uint8_t board_contacts(void) { return host.contacts; }

void board_set_outputs(uint8_t outputs) { host.outputs = outputs; }

int16_t board_read(void) { return host.port_open ? queue_take(&host.received) : -1; }

bool board_write(const uint8_t *bytes, uint8_t size) { return host.port_open && queue_put(&host.sent, bytes, size); }

uint8_t board_memory_read(uint16_t at) { return memory[at]; }

bool board_memory_ready(void) { return true; }

void board_memory_write(uint16_t at, uint8_t value)
{
    memory[at] = value;
    const int file = open(host.memory_path, O_WRONLY | O_CREAT, 0600);
    if (file < 0 || pwrite(file, memory, sizeof memory, 0) != (ssize_t)sizeof memory) {
        perror(host.memory_path);
        exit(2);
    }
    close(file);
}

void board_feed_watchdog(void) { host.unfed_ms = 0; }

/* --- the board itself ----------------------------------------------------------------------------- */

void host_restart(void)
{
    host.uptime_ms = host.unfed_ms = 0;
    host.clock_stopped = host.port_open = false;
    host.outputs = 0;
    if (!host.relays_stuck)
        host.contacts = 0;
    host.received.size = 0;
    board_start();
    gate_boot();
}

void host_pass_ms(void)
{
    if (!host.clock_stopped)
        host.uptime_ms++;
    host.unfed_ms++;
    gate_round();
    if (!host.relays_stuck)
        host.contacts = host.outputs & RELAYS;
    if (host.unfed_ms >= HOST_WATCHDOG_MS)
        host_restart();
}
