#include "frame.h"

#include "bytes.h"

enum { DELIMITER = 0, CRC_SIZE = 2, VERSION_AT = 0, DIRECTION_AT = 1, BOOT_ID_AT = 2, COUNTER_AT = 6, TYPE_AT = 10 };

uint16_t frame_crc(const uint8_t *bytes, uint8_t size)
{
    uint16_t crc = 0xffff;
    for (uint8_t i = 0; i < size; i++) {
        /* Polynomial 0x1021 without a table or a loop over bits. */
        uint8_t x = (uint8_t)(crc >> 8) ^ bytes[i];
        x ^= x >> 4;
        crc = (uint16_t)((uint16_t)(crc << 8) ^ (uint16_t)((uint16_t)x << 12) ^ (uint16_t)((uint16_t)x << 5) ^ x);
    }
    return crc;
}

void frame_reset(struct frame_reader *reader)
{
    reader->size = 0;
    reader->overlong = false;
}

bool frame_take(struct frame_reader *reader, uint8_t byte)
{
    if (byte == DELIMITER)
        return reader->size > 0 || reader->overlong;
    if (reader->size == GATE_ENCODED_MAX) {
        /* Garbage without a delimiter must not grow the buffer. */
        reader->overlong = true;
        reader->size = 0;
    }
    if (!reader->overlong)
        reader->packet[reader->size++] = byte;
    return false;
}

/* COBS in its place: what is written never overtakes what is read. -1 if it is not COBS. */
static int16_t decode_cobs(uint8_t *packet, uint8_t size)
{
    uint8_t from = 0, to = 0;
    while (from < size) {
        const uint8_t code = packet[from++];
        if (code == DELIMITER || code - 1 > size - from)
            return -1;
        for (uint8_t i = 1; i < code; i++) {
            if (packet[from] == DELIMITER)
                return -1;
            packet[to++] = packet[from++];
        }
        if (from < size && code != 0xff)
            packet[to++] = DELIMITER;
    }
    return to;
}

uint8_t frame_decode(struct frame_reader *reader, struct frame *frame)
{
    uint8_t *plain = reader->packet;
    const int16_t size = reader->overlong ? -1 : decode_cobs(plain, reader->size);
    if (size < GATE_FRAME_MIN)
        return GATE_IGNORED_FRAMING;
    if (frame_crc(plain, (uint8_t)(size - CRC_SIZE)) != get_u16(plain + size - CRC_SIZE))
        return GATE_IGNORED_CRC;
    if (plain[VERSION_AT] != GATE_PROTOCOL_VERSION)
        return GATE_IGNORED_VERSION;
    if (plain[DIRECTION_AT] != GATE_TO_CONTROLLER && plain[DIRECTION_AT] != GATE_TO_HOST)
        return GATE_IGNORED_DIRECTION;
    frame->direction = plain[DIRECTION_AT];
    frame->boot_id = get_u32(plain + BOOT_ID_AT);
    frame->counter = get_u32(plain + COUNTER_AT);
    frame->type = plain[TYPE_AT];
    frame->text = plain;
    frame->text_size = (uint8_t)(size - CRC_SIZE - GATE_MAC_SIZE);
    frame->body = plain + GATE_HEADER_SIZE;
    frame->body_size = (uint8_t)(frame->text_size - GATE_HEADER_SIZE);
    frame->mac = plain + frame->text_size;
    return FRAME_GOOD;
}

uint8_t frame_encode(uint8_t *plain, uint8_t size, uint8_t *wire)
{
    put_u16(plain + size, frame_crc(plain, size));
    size = (uint8_t)(size + CRC_SIZE);
    uint8_t code_at = 1, to = 2;
    wire[0] = DELIMITER;
    /* A frame is shorter than 254 bytes, so no run is too long for one code. */
    for (uint8_t i = 0; i < size; i++) {
        if (plain[i] == DELIMITER) {
            wire[code_at] = (uint8_t)(to - code_at);
            code_at = to++;
        } else {
            wire[to++] = plain[i];
        }
    }
    wire[code_at] = (uint8_t)(to - code_at);
    wire[to++] = DELIMITER;
    return to;
}
