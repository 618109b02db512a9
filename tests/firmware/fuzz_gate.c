/* Time, inputs and frames in any order; what the gate sends and commands. `fuzz_peer.py` reads inputs just so. */
#include <stdlib.h>
#include <string.h>

#include "board.h"
#include "bytes.h"
#include "frame.h"
#include "fuzz_board.h"
#include "gate.h"

enum { PASS_TIME, SET_INPUTS, SET_CONTACTS, RAW_BYTES, SEALED, HELLO, RELEASE, ACKNOWLEDGE, VERBS };
enum { BOOT_ID = 7, BOTH = GATE_OUTPUT_ENTRY_UNLOCKED | GATE_OUTPUT_EXIT_UNLOCKED };

static const struct gate_keys keys = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
                                      {16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1}};

static const uint8_t *next;
static size_t left;
static uint32_t now_ms, counter, since_ms[GATE_INPUT_CODES];
static uint16_t inputs;
static uint16_t steady;
static bool relays_stuck;
static uint8_t contacts;

static uint8_t take(void)
{
    if (left == 0)
        return 0;
    left--;
    return *next++;
}

static uint16_t take_u16(void)
{
    const uint8_t low = take();
    return (uint16_t)(low | take() << 8);
}

static void feed(const uint8_t *wire, size_t size)
{
    for (size_t i = 0; i < size; i++)
        gate_take(wire[i]);
}

static void send(uint32_t boot_id, uint32_t frame_counter, uint8_t type, const uint8_t *body, uint8_t size)
{
    uint8_t plain[GATE_FRAME_MAX], wire[GATE_ENCODED_MAX + 2];
    plain[0] = GATE_PROTOCOL_VERSION;
    plain[1] = GATE_TO_CONTROLLER;
    put_u32(plain + 2, boot_id);
    put_u32(plain + 6, frame_counter);
    plain[10] = type;
    memcpy(plain + GATE_HEADER_SIZE, body, size);
    size = (uint8_t)(size + GATE_HEADER_SIZE);
    auth_mac(keys.to_controller, plain, size, plain + size);
    feed(wire, frame_encode(plain, (uint8_t)(size + GATE_MAC_SIZE), wire));
}

/* What nothing on the line may change: fire and emergency free both ways, a request to exit the exit. */
static void check(void)
{
    for (uint8_t i = 0; i < GATE_INPUT_CODES; i++)
        if ((inputs & ~steady) >> i & 1)
            since_ms[i] = now_ms;
    steady = inputs;
}

static void check_outputs(uint8_t outputs)
{
    for (uint8_t i = 0; i < GATE_INPUT_CODES; i++) {
        const uint16_t bit = (uint16_t)(1u << i);
        const uint8_t frees = bit & (GATE_INPUT_FIRE | GATE_INPUT_EMERGENCY) ? BOTH
                              : bit & GATE_INPUT_REQUEST_TO_EXIT            ? GATE_OUTPUT_EXIT_UNLOCKED
                                                                            : 0;
        /* Two rounds: one sees the input, one knows that it is steady. */
        if (steady & bit && now_ms - since_ms[i] > 2 * 255 && (outputs & frees) != frees)
            abort();
    }
}

static void tick(uint8_t span_ms)
{
    now_ms += span_ms;
    gate_tick(now_ms, inputs, contacts);
    if (!relays_stuck)
        contacts = gate_outputs() & BOTH;
    check_outputs(gate_outputs());
    tell(" %02x ", gate_outputs());
}

static void release(void)
{
    uint8_t body[GATE_RELEASE_SIZE] = {0};
    const uint8_t number = take();
    body[GATE_RELEASE_PASSAGE_ID_AT] = number;
    body[GATE_RELEASE_NONCE_AT] = number;
    put_u32(body + GATE_RELEASE_NOT_AFTER_MS_AT, now_ms + (uint32_t)(int32_t)(int16_t)take_u16());
    put_u16(body + GATE_RELEASE_OPEN_MS_AT, take_u16());
    body[GATE_RELEASE_DIRECTION_AT] = take() & 1;
    send(BOOT_ID, ++counter, GATE_RELEASE, body, sizeof body);
}

static void obey(uint8_t verb)
{
    uint8_t bytes[GATE_BODY_MAX];
    uint8_t type, size;
    switch (verb % VERBS) {
    case PASS_TIME:
        tick(take());
        break;
    case SET_INPUTS:
        inputs = take_u16() & ((1u << GATE_INPUT_CODES) - 1);
        check();
        tick(1);
        break;
    case SET_CONTACTS:
        relays_stuck = take() & 1;
        break;
    case RAW_BYTES:
        size = take() % GATE_BODY_MAX;
        for (uint8_t i = 0; i < size; i++)
            bytes[i] = take();
        feed(bytes, size);
        break;
    case SEALED:
        type = take();
        size = take() % (GATE_BODY_MAX + 1);
        for (uint8_t i = 0; i < size; i++)
            bytes[i] = take();
        send(BOOT_ID, ++counter, type, bytes, size);
        break;
    case HELLO:
        memset(bytes, take(), GATE_HELLO_SIZE);
        send(0, 0, GATE_HELLO, bytes, GATE_HELLO_SIZE);
        break;
    case RELEASE:
        release();
        break;
    default:
        put_u32(bytes, take());
        send(BOOT_ID, ++counter, GATE_ACKNOWLEDGE, bytes, GATE_ACKNOWLEDGE_SIZE);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    next = input;
    left = size;
    counter = 0;
    inputs = 0;
    contacts = 0;
    relays_stuck = false;
    steady = 0;
    /* A second before uptime wraps. */
    now_ms = UINT32_MAX - 1000;
    board_start();
    gate_start(BOOT_ID, &keys, now_ms);
    while (left > 0)
        obey(take());
    return 0;
}
