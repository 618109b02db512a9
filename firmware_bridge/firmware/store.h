/* What outlives a boot: the boot id, in slots written in turn, and the line keys. */
#ifndef STORE_H
#define STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "auth.h"

enum store_progress { STORE_IDLE, STORE_BUSY, STORE_DONE, STORE_FAILED };

/* The boot id of this boot, kept before this returns; 0 if the memory does not keep it, or has none left. */
uint32_t store_raise_boot_id(void);

/* The keys, if whole ones are kept. */
bool store_load_keys(struct gate_keys *keys);

/* Begins to keep new keys; false while others are still being kept. */
bool store_begin_keys(const uint8_t both[2 * GATE_LINE_KEY_SIZE]);

/* Goes on keeping them by one byte at most; says DONE or FAILED once. */
enum store_progress store_step(void);

#endif
