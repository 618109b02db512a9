/* What every board's main program does. */
#include <stddef.h>

#include "board.h"
#include "gate.h"
#include "store.h"

/* A round takes no more bytes than this, a fifth of a millisecond's work, so that a flooded line delays nothing. */
enum { ROUND_BYTES_MAX = 96 };

static uint32_t fed_ms;

void gate_boot(void)
{
    struct gate_keys keys;
    const uint32_t boot_id = store_raise_boot_id();
    const bool has_keys = store_load_keys(&keys);
    fed_ms = board_uptime_ms();
    gate_start(boot_id, has_keys ? &keys : NULL, fed_ms);
    /* A memory that keeps no boot id cannot tell old frames from new: then the gate works alone. */
    if (boot_id != 0)
        board_open_port();
}

void gate_round(void)
{
    for (uint8_t taken = 0; taken < ROUND_BYTES_MAX; taken++) {
        const int16_t byte = board_read();
        if (byte < 0 || gate_take((uint8_t)byte))
            break;
    }
    const uint32_t now_ms = board_uptime_ms();
    gate_tick(now_ms, board_inputs(), board_contacts());
    /* Only while the clock moves: a gate whose clock stands still would never close. */
    if (now_ms != fed_ms) {
        fed_ms = now_ms;
        board_feed_watchdog();
    }
}
