#include "store.h"

#include <string.h>

#include "board.h"
#include "bytes.h"
#include "frame.h"

/* 64 slots written in turn: memory good for 100,000 writes a byte lasts for 6,400,000 boots. */
enum { SLOTS = 64, SLOT_SIZE = 6, CRC_AT = 4, KEYS_AT = SLOTS * SLOT_SIZE };

/* Each try takes 20 ms on an AVR, and fire is not looked at before. */
enum { TRIES = 4 };

/* Begins with a mark, so that erased or zeroed memory holds no keys. */
enum { MARK = 0x4b, RECORD_SIZE = 1 + 2 * GATE_LINE_KEY_SIZE + 2 };

typedef char store_fits_the_memory[KEYS_AT + RECORD_SIZE <= BOARD_MEMORY_SIZE ? 1 : -1];

static uint8_t record[RECORD_SIZE];
static uint8_t written = RECORD_SIZE;
static bool under_way;

static void read_bytes(uint16_t at, uint8_t *to, uint8_t size)
{
    for (uint8_t i = 0; i < size; i++)
        to[i] = board_memory_read((uint16_t)(at + i));
}

/* 0 for a slot that was never written, or not to its end. */
static uint32_t slot_boot_id(uint8_t slot)
{
    uint8_t bytes[SLOT_SIZE];
    read_bytes((uint16_t)(slot * SLOT_SIZE), bytes, SLOT_SIZE);
    return frame_crc(bytes, CRC_AT) == get_u16(bytes + CRC_AT) ? get_u32(bytes) : 0;
}

uint32_t store_raise_boot_id(void)
{
    uint32_t highest = 0;
    uint8_t slot = SLOTS - 1;
    for (uint8_t i = 0; i < SLOTS; i++) {
        const uint32_t found = slot_boot_id(i);
        if (found > highest) {
            highest = found;
            slot = i;
        }
    }
    if (highest == UINT32_MAX)
        return 0;
    uint8_t bytes[SLOT_SIZE];
    put_u32(bytes, highest + 1);
    put_u16(bytes + CRC_AT, frame_crc(bytes, CRC_AT));
    /* A worn slot is passed over; the highest number stays kept in its own slot all the while. */
    for (uint8_t tries = 0; tries < TRIES; tries++) {
        slot = (uint8_t)((slot + 1) % SLOTS);
        for (uint8_t i = 0; i < SLOT_SIZE; i++)
            board_memory_write((uint16_t)(slot * SLOT_SIZE + i), bytes[i]);
        board_feed_watchdog();
        if (slot_boot_id(slot) == highest + 1)
            return highest + 1;
    }
    return 0;
}

static bool is_whole(const uint8_t *kept)
{
    return kept[0] == MARK && frame_crc(kept, RECORD_SIZE - 2) == get_u16(kept + RECORD_SIZE - 2);
}

bool store_load_keys(struct gate_keys *keys)
{
    uint8_t kept[RECORD_SIZE];
    read_bytes(KEYS_AT, kept, RECORD_SIZE);
    if (!is_whole(kept))
        return false;
    memcpy(keys->to_controller, kept + 1, GATE_LINE_KEY_SIZE);
    memcpy(keys->to_host, kept + 1 + GATE_LINE_KEY_SIZE, GATE_LINE_KEY_SIZE);
    return true;
}

bool store_begin_keys(const uint8_t both[2 * GATE_LINE_KEY_SIZE])
{
    if (under_way)
        return false;
    record[0] = MARK;
    memcpy(record + 1, both, 2 * GATE_LINE_KEY_SIZE);
    put_u16(record + RECORD_SIZE - 2, frame_crc(record, RECORD_SIZE - 2));
    written = 0;
    under_way = true;
    return true;
}

enum store_progress store_step(void)
{
    if (!under_way)
        return STORE_IDLE;
    if (!board_memory_ready())
        return STORE_BUSY;
    if (written < RECORD_SIZE) {
        board_memory_write((uint16_t)(KEYS_AT + written), record[written]);
        written++;
        return STORE_BUSY;
    }
    uint8_t kept[RECORD_SIZE];
    read_bytes(KEYS_AT, kept, RECORD_SIZE);
    const bool same = memcmp(kept, record, RECORD_SIZE) == 0;
    memset(record, 0, RECORD_SIZE);
    under_way = false;
    return same ? STORE_DONE : STORE_FAILED;
}
