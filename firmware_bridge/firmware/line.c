#include "line.h"

#include <string.h>

#include "board.h"
#include "bytes.h"
#include "frame.h"

struct event {
    uint8_t type;
    uint8_t code;
    uint32_t at_ms;
    uint8_t passage_id[GATE_PASSAGE_ID_SIZE];
};

static const uint8_t protocol_hash[GATE_HASH_SIZE] = GATE_PROTOCOL_HASH;
static const uint8_t provisioning_key[GATE_LINE_KEY_SIZE];
static const uint8_t no_passage[GATE_PASSAGE_ID_SIZE];

static struct gate_keys line_keys;
static bool has_keys;
static uint32_t own_boot_id, sent_counter, host_counter;
static struct frame_reader reader;
static struct frame arrived;
static bool ended;
static uint8_t plain[GATE_FRAME_MAX];
static struct event events[GATE_EVENTS_KEPT];
static uint8_t first_event, waiting;
static uint32_t first_sequence; /* of the oldest event kept; the others follow one by one */
static uint32_t repeat_at_ms;
static uint16_t dropped;
static uint16_t ignored[GATE_IGNORED_COUNT];

void line_start(uint32_t boot_id, const struct gate_keys *keys)
{
    has_keys = keys != NULL;
    if (keys != NULL)
        line_keys = *keys;
    own_boot_id = boot_id;
    sent_counter = host_counter = 0;
    frame_reset(&reader);
    first_event = waiting = 0;
    first_sequence = 1;
    dropped = 0;
    memset(ignored, 0, sizeof ignored);
}

bool line_ended_packet(void) { return ended; }

const uint8_t *line_received(void) { return arrived.body; }

uint8_t line_events_waiting(void) { return waiting; }

uint16_t line_events_dropped(void) { return dropped; }

uint16_t line_ignored(uint8_t reason) { return ignored[reason]; }

/* --- sending -------------------------------------------------------------------------------------- */

uint8_t *line_body(void) { return plain + GATE_HEADER_SIZE; }

static void send_frame(uint8_t type, uint8_t size, uint32_t boot_id, uint32_t counter, const uint8_t *key)
{
    uint8_t wire[GATE_ENCODED_MAX + 2];
    plain[0] = GATE_PROTOCOL_VERSION;
    plain[1] = GATE_TO_HOST;
    put_u32(plain + 2, boot_id);
    put_u32(plain + 6, counter);
    plain[10] = type;
    size = (uint8_t)(size + GATE_HEADER_SIZE);
    auth_mac(key, plain, size, plain + size);
    size = (uint8_t)(size + GATE_MAC_SIZE);
    board_write(wire, frame_encode(plain, size, wire));
}

void line_send(uint8_t type, uint8_t size)
{
    /* A counter that is used up never wraps: nothing more is said in this boot. */
    if (!has_keys || sent_counter == UINT32_MAX)
        return;
    sent_counter++;
    send_frame(type, size, own_boot_id, sent_counter, line_keys.to_host);
}

void line_send_provisioned(void) { send_frame(GATE_PROVISIONED, GATE_PROVISIONED_SIZE, 0, 0, provisioning_key); }

static void send_welcome(uint32_t now_ms)
{
    uint8_t *body = line_body();
    memcpy(body + GATE_WELCOME_CHALLENGE_AT, arrived.body + GATE_HELLO_CHALLENGE_AT, GATE_CHALLENGE_SIZE);
    memcpy(body + GATE_WELCOME_PROTOCOL_HASH_AT, protocol_hash, GATE_HASH_SIZE);
    put_u32(body + GATE_WELCOME_HOST_COUNTER_AT, host_counter);
    put_u32(body + GATE_WELCOME_UPTIME_MS_AT, now_ms);
    line_send(GATE_WELCOME, GATE_WELCOME_SIZE);
}

/* --- events --------------------------------------------------------------------------------------- */

static bool has_passage(uint8_t type)
{
    return type == GATE_PASSED || type == GATE_TIMED_OUT || type == GATE_INTERRUPTED || type == GATE_TAILGATED ||
           type == GATE_WRONG_WAY;
}

static bool has_code(uint8_t type)
{
    return type == GATE_PASSED || type == GATE_INTERRUPTED || type == GATE_FORCED_PASSAGE ||
           type == GATE_FAULT_LATCHED;
}

static bool ends_a_release(uint8_t type, const uint8_t *passage_id)
{
    return (type == GATE_PASSED || type == GATE_TIMED_OUT || type == GATE_INTERRUPTED) &&
           memcmp(passage_id, no_passage, GATE_PASSAGE_ID_SIZE) != 0;
}

static void send_event(uint32_t now_ms)
{
    const struct event *event = &events[first_event];
    uint8_t *body = line_body(), size = 8;
    put_u32(body, first_sequence);
    put_u32(body + 4, event->at_ms);
    if (has_passage(event->type)) {
        memcpy(body + size, event->passage_id, GATE_PASSAGE_ID_SIZE);
        size += GATE_PASSAGE_ID_SIZE;
    }
    if (has_code(event->type))
        body[size++] = event->code;
    line_send(event->type, size);
    repeat_at_ms = now_ms + GATE_EVENT_REPEAT_MS;
}

void line_report(uint8_t type, const uint8_t *passage_id, uint8_t code, uint32_t now_ms)
{
    uint8_t places = GATE_EVENTS_KEPT - GATE_EVENTS_RESERVED;
    if (ends_a_release(type, passage_id))
        places = GATE_EVENTS_KEPT;
    if (waiting >= places) {
        if (dropped < UINT16_MAX)
            dropped++;
        return;
    }
    struct event *event = &events[(first_event + waiting) % GATE_EVENTS_KEPT];
    event->type = type;
    event->code = code;
    event->at_ms = now_ms;
    if (passage_id != NULL)
        memcpy(event->passage_id, passage_id, GATE_PASSAGE_ID_SIZE);
    waiting++;
    if (waiting == 1)
        send_event(now_ms);
}

void line_repeat(uint32_t now_ms)
{
    if (waiting > 0 && (int32_t)(now_ms - repeat_at_ms) >= 0)
        send_event(now_ms);
}

/* Only the event on the line: a wrong number must not drop one the host has never seen. */
static void acknowledge(uint32_t sequence, uint32_t now_ms)
{
    if (waiting == 0 || sequence != first_sequence)
        return;
    first_event = (uint8_t)((first_event + 1) % GATE_EVENTS_KEPT);
    first_sequence++;
    waiting--;
    if (waiting > 0)
        send_event(now_ms);
}

/* --- receiving ------------------------------------------------------------------------------------ */

static bool is_well_formed(void)
{
    switch (arrived.type) {
    case GATE_HELLO:
        return arrived.body_size == GATE_HELLO_SIZE;
    case GATE_HEARTBEAT:
        return arrived.body_size == GATE_HEARTBEAT_SIZE;
    case GATE_RELEASE:
        return arrived.body_size == GATE_RELEASE_SIZE &&
               arrived.body[GATE_RELEASE_DIRECTION_AT] < GATE_DIRECTION_CODES;
    case GATE_ACKNOWLEDGE:
        return arrived.body_size == GATE_ACKNOWLEDGE_SIZE;
    case GATE_PROVISION:
        return arrived.body_size == GATE_PROVISION_SIZE;
    default:
        return false;
    }
}

/* The checks of PROTOCOL.md 2, in its order: FRAME_GOOD, or why the frame is ignored. */
static uint8_t admit(void)
{
    const uint8_t found = frame_decode(&reader, &arrived);
    if (found != FRAME_GOOD)
        return found;
    if (arrived.direction != GATE_TO_CONTROLLER)
        return GATE_IGNORED_DIRECTION;
    const bool bootless = arrived.boot_id == 0 && arrived.counter == 0;
    const bool provisions = bootless && arrived.type == GATE_PROVISION;
    if (!has_keys && !provisions)
        return GATE_IGNORED_MAC;
    const uint8_t *key = provisions ? provisioning_key : line_keys.to_controller;
    if (!auth_is_genuine(key, arrived.text, arrived.text_size, arrived.mac))
        return GATE_IGNORED_MAC;
    if (!provisions && !(bootless && arrived.type == GATE_HELLO)) {
        if (arrived.boot_id != own_boot_id)
            return GATE_IGNORED_BOOT;
        if (arrived.counter <= host_counter)
            return GATE_IGNORED_COUNTER;
        host_counter = arrived.counter;
        if (arrived.type == GATE_PROVISION)
            return GATE_IGNORED_MALFORMED;
    }
    return is_well_formed() ? FRAME_GOOD : GATE_IGNORED_MALFORMED;
}

uint8_t line_take(uint8_t byte, uint32_t now_ms)
{
    ended = frame_take(&reader, byte);
    if (!ended)
        return LINE_NOTHING;
    const uint8_t found = admit();
    frame_reset(&reader);
    if (found != FRAME_GOOD) {
        if (ignored[found] < UINT16_MAX)
            ignored[found]++;
        return LINE_NOTHING;
    }
    switch (arrived.type) {
    case GATE_HELLO:
        send_welcome(now_ms);
        return LINE_NOTHING;
    case GATE_ACKNOWLEDGE:
        acknowledge(get_u32(arrived.body + GATE_ACKNOWLEDGE_SEQUENCE_AT), now_ms);
        return LINE_NOTHING;
    default:
        return arrived.type;
    }
}
