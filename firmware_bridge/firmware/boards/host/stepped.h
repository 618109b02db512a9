/* How a program drives a stepped target; little-endian, as the machine's own. Shared with the simavr runner. */
#ifndef STEPPED_H
#define STEPPED_H

#include <stdint.h>

enum { STEP_RELAYS_STUCK = 1, STEP_CLOCK_STOPPED = 2, STEP_BYTES_MAX = 8192, STEP_CHANGES_MAX = 4096 };

/* Asks for time up to `until_us` since power-on, with these inputs; `size` bytes for the port follow. */
struct step_request {
    uint32_t until_us;
    uint16_t inputs;
    uint16_t flags;
    uint16_t size;
    uint16_t unused;
};

/* `size` bytes from the port follow, then the changes of inputs and outputs. */
struct step_reply {
    uint16_t size;
    uint16_t changes;
};

struct step_change {
    uint32_t at_us;
    uint16_t inputs;
    uint16_t outputs;
};

#endif
