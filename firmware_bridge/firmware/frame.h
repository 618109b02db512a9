/* Bytes on the line <-> frames: COBS, CRC-16/CCITT-FALSE, header; PROTOCOL.md 2. */
#ifndef FRAME_H
#define FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "gate_protocol.h"

/* What `frame_decode` says of a frame it does not ignore; beside the GATE_IGNORED_ codes. */
#define FRAME_GOOD 0xff

/* Holds at most one packet, whatever arrives. */
struct frame_reader {
    uint8_t packet[GATE_ENCODED_MAX];
    uint8_t size;
    bool overlong;
};

/* A frame in the packet it came in. */
struct frame {
    uint8_t direction;
    uint32_t boot_id;
    uint32_t counter;
    uint8_t type;
    uint8_t *body;
    uint8_t body_size;
    const uint8_t *text; /* what the MAC covers */
    uint8_t text_size;
    const uint8_t *mac;
};

void frame_reset(struct frame_reader *reader);

/* Takes one byte; true when a packet is complete: decode it, then `frame_reset`. */
bool frame_take(struct frame_reader *reader, uint8_t byte);

/* Decodes the packet in its place; FRAME_GOOD, or why it is ignored. The MAC is not looked at. */
uint8_t frame_decode(struct frame_reader *reader, struct frame *frame);

/* Adds the CRC to `size` bytes (room for two more) and writes them as on the line, delimiters included:
 * at most GATE_ENCODED_MAX + 2 bytes. Returns how many. */
uint8_t frame_encode(uint8_t *plain, uint8_t size, uint8_t *wire);

uint16_t frame_crc(const uint8_t *bytes, uint8_t size);

#endif
