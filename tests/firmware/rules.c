/* Rules that no scenario reaches: days of uptime, counters near their end, memory that does not keep. Each is a
 * function named on the command line; it stops the program where the firmware breaks it.
 *
 * The sources are included, so that a rule may begin from any state of theirs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gate.c"
#define no_passage line_no_passage
#include "line.c"
#undef no_passage
#include "auth.c"
#include "frame.c"
#include "main_loop.c"
#include "store.c"

#define MUST(holds)                                          \
    do {                                                     \
        if (!(holds)) {                                      \
            printf("line %d: not %s\n", __LINE__, #holds); \
            exit(1);                                         \
        }                                                    \
    } while (0)

enum { BOOT = 7, NO_ANSWER = 0xee };

static const struct gate_keys test_keys = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
                                           {16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1}};

/* --- a board -------------------------------------------------------------------------------------- */

static uint8_t memory[BOARD_MEMORY_SIZE], contacts_are;
static uint16_t wired, worn_at = UINT16_MAX, reads, reads_max, packet_every;
static bool forgets, port_is_open, memory_is_busy;
static uint32_t clock_ms, fed, sent_frames, memory_writes;
static uint8_t said[GATE_FRAME_MAX], said_type;

void board_start(void) {}
void board_open_port(void) { port_is_open = true; }
uint32_t board_uptime_ms(void) { return clock_ms; }
uint16_t board_inputs(void)
{
    if (reads > reads_max)
        reads_max = reads;
    reads = 0;
    return wired;
}
uint8_t board_contacts(void) { return contacts_are; }
void board_set_outputs(uint8_t set_to) { contacts_are = set_to & BOTH_UNLOCKED; }
int16_t board_read(void)
{
    /* A line that never falls silent; where packets are asked for, each is of that many bytes. */
    if (reads >= 4000)
        return -1;
    reads++;
    return packet_every && reads % packet_every == 0 ? 0 : 0x55;
}
uint8_t board_memory_read(uint16_t at) { return memory[at]; }
bool board_memory_ready(void) { return !memory_is_busy; }
void board_memory_write(uint16_t at, uint8_t value)
{
    memory_writes++;
    if (!forgets && at != worn_at)
        memory[at] = value;
}
void board_feed_watchdog(void) { fed++; }
void board_idle(void) {}

bool board_write(const uint8_t *wire, uint8_t size)
{
    uint8_t at = 1, to = 0;
    size--;
    while (at < size) {
        const uint8_t code = wire[at++];
        for (uint8_t i = 1; i < code; i++)
            said[to++] = wire[at++];
        if (at < size)
            said[to++] = 0;
    }
    said_type = said[10];
    sent_frames++;
    return true;
}

static const uint8_t *body_said(void) { return said + GATE_HEADER_SIZE; }

/* --- a host --------------------------------------------------------------------------------------- */

static uint32_t host_counts;

static void tick_at(uint32_t uptime_ms)
{
    gate_tick(uptime_ms, wired, contacts_are);
}

/* Rounds of a millisecond. */
static void pass(uint32_t span_ms)
{
    while (span_ms-- > 0)
        tick_at(now_ms + 1);
}

static void put_frame(uint32_t boot, uint32_t count, uint8_t type, const uint8_t *body, uint8_t size, const uint8_t *key)
{
    uint8_t text[GATE_FRAME_MAX], wire[GATE_ENCODED_MAX + 2];
    text[0] = GATE_PROTOCOL_VERSION;
    text[1] = GATE_TO_CONTROLLER;
    put_u32(text + 2, boot);
    put_u32(text + 6, count);
    text[10] = type;
    memcpy(text + GATE_HEADER_SIZE, body, size);
    size = (uint8_t)(size + GATE_HEADER_SIZE);
    auth_mac(key, text, size, text + size);
    const uint8_t length = frame_encode(text, (uint8_t)(size + GATE_MAC_SIZE), wire);
    said_type = NO_ANSWER;
    for (uint8_t i = 0; i < length; i++)
        gate_take(wire[i]);
}

static void tell_gate(uint8_t type, const uint8_t *body, uint8_t size)
{
    put_frame(BOOT, ++host_counts, type, body, size, test_keys.to_controller);
}

static void beat(void)
{
    const uint8_t token[4] = {9};
    tell_gate(GATE_HEARTBEAT, token, 4);
}

static uint8_t ask_way(uint64_t nonce, int32_t within_ms, uint16_t open_ms, uint8_t way)
{
    uint8_t body[GATE_RELEASE_SIZE] = {1};
    put_u32(body + GATE_RELEASE_NONCE_AT, (uint32_t)nonce);
    put_u32(body + GATE_RELEASE_NONCE_AT + 4, (uint32_t)(nonce >> 32));
    put_u32(body + GATE_RELEASE_NOT_AFTER_MS_AT, now_ms + (uint32_t)within_ms);
    put_u16(body + GATE_RELEASE_OPEN_MS_AT, open_ms);
    body[GATE_RELEASE_DIRECTION_AT] = way;
    tell_gate(GATE_RELEASE, body, sizeof body);
    return said_type == GATE_RELEASE_ANSWER ? body_said()[GATE_RELEASE_ANSWER_ANSWER_AT] : NO_ANSWER;
}

static uint8_t ask(uint64_t nonce, int32_t within_ms) { return ask_way(nonce, within_ms, 500, GATE_DIRECTION_ENTRY); }

static void start_at(uint32_t uptime_ms)
{
    host_counts = 0;
    gate_start(BOOT, &test_keys, uptime_ms);
    beat();
    tick_at(uptime_ms);
}

/* A release that was accepted ends by its time, and its end is acknowledged. */
static void let_end(void)
{
    beat();
    tick_at(now_ms + 501);
    tick_at(now_ms + 1);
    while (waiting > 0)
        acknowledge(first_sequence, now_ms);
}

static void provision_with(uint8_t first, uint8_t second, uint8_t size)
{
    static const uint8_t no_key[GATE_LINE_KEY_SIZE];
    uint8_t body[GATE_BODY_MAX];
    memset(body, first, GATE_LINE_KEY_SIZE);
    memset(body + GATE_LINE_KEY_SIZE, second, GATE_LINE_KEY_SIZE);
    put_frame(0, 0, GATE_PROVISION, body, size, no_key);
}

/* What the gate says to PROVISION, within rounds that outlast a whole record. */
static uint8_t provisioned(uint8_t first, uint8_t second)
{
    wired |= GATE_INPUT_PROVISIONING;
    pass(20);
    provision_with(first, second, GATE_PROVISION_SIZE);
    for (int i = 0; i < 60 && said_type != GATE_PROVISIONED; i++)
        pass(1);
    return said_type == GATE_PROVISIONED ? body_said()[GATE_PROVISIONED_ANSWER_AT] : NO_ANSWER;
}

/* --- rules ---------------------------------------------------------------------------------------- */

static void nonces_differ_in_any_byte(void)
{
    start_at(0);
    MUST(ask(0x1122334455667788, 9000) == GATE_ANSWER_ACCEPTED);
    let_end();
    for (uint8_t byte = 0; byte < 8; byte++) {
        MUST(ask(0x1122334455667788 ^ (uint64_t)1 << 8 * byte, 9000) == GATE_ANSWER_ACCEPTED);
        let_end();
    }
    MUST(ask(0x1122334455667788, 9000) == GATE_ANSWER_ALREADY);
}

static void a_round_reads_one_packet_at_most(void)
{
    start_at(0);
    gate_round();
    MUST(reads_max <= 96);
    packet_every = 20;
    reads = reads_max = 0;
    gate_round();
    MUST(reads_max == 20);
    MUST(line_ignored(GATE_IGNORED_FRAMING) > 0);
}

static void a_heartbeat_of_weeks_ago_stays_old(void)
{
    start_at(100);
    tick_at(100 + GATE_HOST_SILENCE_MS);
    MUST(mode == GATE_MODE_SAFE);
    tick_at(100 + (1u << 31) + 5);
    MUST(mode == GATE_MODE_SAFE);
    MUST(ask(1, 1000) == GATE_ANSWER_SAFE);
    beat();
    MUST(ask(2, 1000) == GATE_ANSWER_ACCEPTED);
}

static void fill_nonces(void)
{
    for (uint64_t nonce = 1; nonce <= GATE_NONCES_KEPT; nonce++) {
        keep_nonce((const uint8_t *)&nonce, now_ms + 9000);
    }
}

static void nonces_of_weeks_ago_make_room(void)
{
    start_at(100);
    fill_nonces();
    MUST(ask(1000, 1000) == GATE_ANSWER_NONCES_FULL);
    tick_at(100 + 9000 + (1u << 31) + 5);
    beat();
    MUST(ask(1000, 1000) == GATE_ANSWER_ACCEPTED);
    MUST(nonces_kept == GATE_NONCES_KEPT);
}

static void a_nonce_is_kept_until_its_limit_is_over(void)
{
    start_at(0);
    fill_nonces();
    tick_at(9000);
    beat();
    MUST(ask(1000, 1000) == GATE_ANSWER_NONCES_FULL);
    tick_at(9001);
    beat();
    MUST(ask(1000, 1000) == GATE_ANSWER_ACCEPTED);
    /* The oldest made room, and only it. */
    MUST(ask(2, 0) == GATE_ANSWER_ALREADY && ask(32, 0) == GATE_ANSWER_ALREADY && ask(1000, 0) == GATE_ANSWER_ALREADY);
    MUST(ask(1, -1) == GATE_ANSWER_LATE);
}

static void a_release_is_taken_up_to_its_limits(void)
{
    start_at(0);
    MUST(ask(1, 0) == GATE_ANSWER_ACCEPTED);
    let_end();
    MUST(ask(2, GATE_RELEASE_AHEAD_MAX_MS) == GATE_ANSWER_ACCEPTED);
    let_end();
    MUST(ask(3, -1) == GATE_ANSWER_LATE && ask(4, GATE_RELEASE_AHEAD_MAX_MS + 1) == GATE_ANSWER_TOO_FAR_AHEAD);
}

static void the_controllers_counter_never_wraps(void)
{
    start_at(0);
    sent_counter = UINT32_MAX - 1;
    sent_frames = 0;
    beat();
    MUST(sent_frames == 1 && get_u32(said + 6) == UINT32_MAX);
    beat();
    pass(2000);
    MUST(sent_frames == 1 && sent_counter == UINT32_MAX);
}

static void the_hosts_counter_counts_by_all_its_bits(void)
{
    for (uint8_t bit = 8; bit < 32; bit += 8) {
        start_at(0);
        host_counts = 5;
        beat();
        MUST(host_counter == 6);
        host_counts = ((uint32_t)1 << bit) + 1;
        beat();
        MUST(host_counter == ((uint32_t)1 << bit) + 2);
        host_counts = 6;
        beat();
        MUST(host_counter == ((uint32_t)1 << bit) + 2 && line_ignored(GATE_IGNORED_COUNTER) == 1);
    }
    start_at(0);
    host_counts = UINT32_MAX - 1;
    beat();
    MUST(host_counter == UINT32_MAX && said_type == GATE_STATUS);
    host_counts = UINT32_MAX;
    beat();
    MUST(line_ignored(GATE_IGNORED_COUNTER) == 1);
}

static void a_door_held_open_is_told_in_time_whatever_else_happens(void)
{
    for (uint16_t noise = 1; noise < 1u << GATE_INPUT_CODES; noise = (uint16_t)(noise << 1)) {
        if (noise & (LETS_OUT | GATE_INPUT_DOOR_OPEN | GATE_INPUT_TAMPER | GATE_INPUT_FAIL_OPEN))
            continue;
        /* Quicker than inputs are debounced, and slower. */
        for (uint32_t every_ms = 7; every_ms < 30; every_ms += 16) {
            wired = contacts_are = 0;
            start_at(0);
            wired = GATE_INPUT_DOOR_OPEN;
            for (uint32_t at = 1; at < 20 + GATE_HELD_OPEN_MS; at++) {
                if (at % every_ms == 0)
                    wired ^= noise;
                if (at % 400 == 0)
                    beat();
                tick_at(at);
                MUST(!held_reported || at >= GATE_HELD_OPEN_MS);
            }
            MUST(held_reported);
        }
    }
}

static void keys_are_read_back(void)
{
    start_at(0);
    MUST(provisioned(2, 3) == GATE_PROVISIONING_STORED);
    struct gate_keys kept;
    MUST(store_load_keys(&kept) && kept.to_controller[15] == 2 && kept.to_host[0] == 3);
    worn_at = KEYS_AT + 5;
    MUST(provisioned(4, 5) == GATE_PROVISIONING_NOT_STORED);
    MUST(!store_load_keys(&kept));
}

static void keys_need_their_mark(void)
{
    struct gate_keys kept;
    start_at(0);
    MUST(provisioned(2, 3) == GATE_PROVISIONING_STORED && store_load_keys(&kept));
    /* As erased or zeroed memory would be, were its CRC right. */
    memset(memory + KEYS_AT, 0, RECORD_SIZE);
    put_u16(memory + KEYS_AT + RECORD_SIZE - 2, frame_crc(memory + KEYS_AT, RECORD_SIZE - 2));
    MUST(!store_load_keys(&kept));
}

static void no_key_is_zero(void)
{
    start_at(0);
    MUST(provisioned(0, 3) == GATE_PROVISIONING_UNUSABLE);
    MUST(provisioned(3, 0) == GATE_PROVISIONING_UNUSABLE);
    MUST(memory_writes == 0);
}

static void the_first_keys_are_kept_whole_before_any_others(void)
{
    start_at(0);
    wired |= GATE_INPUT_PROVISIONING;
    pass(20);
    provision_with(2, 3, GATE_PROVISION_SIZE);
    pass(5);
    provision_with(4, 5, GATE_PROVISION_SIZE);
    pass(60);
    struct gate_keys kept;
    MUST(store_load_keys(&kept) && kept.to_controller[0] == 2 && kept.to_host[15] == 3);
    MUST(memory_writes == RECORD_SIZE);
}

static void provision_has_one_length(void)
{
    start_at(0);
    wired |= GATE_INPUT_PROVISIONING;
    pass(20);
    for (uint8_t size = 0; size <= GATE_BODY_MAX; size++)
        if (size != GATE_PROVISION_SIZE) {
            provision_with(2, 3, size);
            pass(50);
            MUST(memory_writes == 0 && said_type != GATE_PROVISIONED);
        }
    MUST(line_ignored(GATE_IGNORED_MALFORMED) == GATE_BODY_MAX);
}

static void every_message_has_one_length(void)
{
    static const uint8_t types[] = {GATE_HEARTBEAT, GATE_RELEASE, GATE_ACKNOWLEDGE}, sizes[] = {4, 31, 4};
    uint8_t body[GATE_BODY_MAX] = {1};
    start_at(0);
    for (uint8_t i = 0; i < 3; i++)
        for (uint8_t size = 0; size <= GATE_BODY_MAX; size++)
            if (size != sizes[i]) {
                tell_gate(types[i], body, size);
                MUST(said_type == NO_ANSWER);
            }
    for (uint8_t size = 0; size <= GATE_BODY_MAX; size++) {
        put_frame(0, 0, GATE_HELLO, body, size, test_keys.to_controller);
        MUST((said_type == GATE_WELCOME) == (size == GATE_HELLO_SIZE));
    }
    MUST(line_ignored(GATE_IGNORED_MALFORMED) == 4 * GATE_BODY_MAX);
}

static void a_boot_id_is_read_back(void)
{
    memset(memory, 0xff, sizeof memory);
    MUST(store_raise_boot_id() == 1 && store_raise_boot_id() == 2);
    worn_at = 2 * SLOT_SIZE;
    MUST(store_raise_boot_id() == 3);
    forgets = true;
    MUST(store_raise_boot_id() == 0);
    gate_boot();
    MUST(!port_is_open);
    forgets = false;
    gate_boot();
    MUST(port_is_open && own_boot_id == 4);
}

static void fill_events(uint8_t count)
{
    while (waiting < count)
        line_report(GATE_HELD_OPEN, NULL, 0, now_ms);
}

static void reserved_places_are_for_ends_of_releases(void)
{
    static const uint8_t somebody[GATE_PASSAGE_ID_SIZE] = {1};
    const uint8_t open_places = GATE_EVENTS_KEPT - GATE_EVENTS_RESERVED;
    start_at(0);
    fill_events(open_places);
    line_report(GATE_PASSED, line_no_passage, GATE_DIRECTION_EXIT, now_ms);
    line_report(GATE_TAILGATED, somebody, 0, now_ms);
    line_report(GATE_WRONG_WAY, somebody, 0, now_ms);
    MUST(waiting == open_places && line_events_dropped() == 3);
    line_report(GATE_INTERRUPTED, somebody, GATE_CAUSE_FIRE, now_ms);
    line_report(GATE_TIMED_OUT, somebody, 0, now_ms);
    MUST(waiting == GATE_EVENTS_KEPT);
    line_report(GATE_PASSED, somebody, 0, now_ms);
    MUST(waiting == GATE_EVENTS_KEPT && line_events_dropped() == 4);
}

static void a_release_needs_a_free_place_for_its_end(void)
{
    start_at(0);
    fill_events(GATE_EVENTS_KEPT - GATE_EVENTS_RESERVED - 1);
    MUST(ask(1, 1000) == GATE_ANSWER_ACCEPTED);
    tick_at(now_ms + 501);
    MUST(waiting == GATE_EVENTS_KEPT - GATE_EVENTS_RESERVED);
    beat();
    MUST(ask(2, 1000) == GATE_ANSWER_EVENTS_FULL);
}

static void counts_stop(void)
{
    start_at(0);
    for (uint8_t reason = 0; reason < GATE_IGNORED_COUNT; reason++)
        ignored[reason] = UINT16_MAX;
    dropped = UINT16_MAX;
    gate_take(1);
    gate_take(0);
    host_counts = 0;
    beat();
    fill_events(GATE_EVENTS_KEPT - GATE_EVENTS_RESERVED);
    line_report(GATE_HELD_OPEN, NULL, 0, now_ms);
    MUST(line_ignored(GATE_IGNORED_FRAMING) == UINT16_MAX && line_ignored(GATE_IGNORED_COUNTER) == UINT16_MAX);
    MUST(line_events_dropped() == UINT16_MAX);
}

static void events_keep_their_order_and_their_numbers(void)
{
    uint8_t body[4];
    start_at(0);
    for (uint32_t number = 1; number <= 100; number++) {
        line_report(GATE_FORCED_PASSAGE, NULL, number & 1, now_ms);
        MUST(said_type == GATE_FORCED_PASSAGE && get_u32(body_said()) == number && body_said()[8] == (number & 1));
        put_u32(body, number + 1);
        tell_gate(GATE_ACKNOWLEDGE, body, 4);
        MUST(waiting == 1);
        put_u32(body, number);
        tell_gate(GATE_ACKNOWLEDGE, body, 4);
        MUST(waiting == 0);
    }
    line_report(GATE_HELD_OPEN, NULL, 0, 5);
    line_report(GATE_FIRE_RELEASED, NULL, 0, 6);
    put_u32(body, 101);
    tell_gate(GATE_ACKNOWLEDGE, body, 4);
    MUST(said_type == GATE_FIRE_RELEASED && get_u32(body_said()) == 102 && get_u32(body_said() + 4) == 6);
}

static void time_is_right_across_its_wraps(void)
{
    static const uint32_t starts[] = {0, 0x7fffff00, 0xffffff00};
    for (uint8_t i = 0; i < 3; i++) {
        wired = contacts_are = 0;
        start_at(starts[i]);
        for (uint64_t nonce = 1; nonce < 4; nonce++) {
            beat();
            MUST(ask_way(nonce, 300, 500, GATE_DIRECTION_EXIT) == GATE_ANSWER_ACCEPTED);
            pass(499);
            MUST(mode == GATE_MODE_RELEASED && outputs & GATE_OUTPUT_EXIT_UNLOCKED);
            pass(1);
            MUST(mode == GATE_MODE_LOCKED);
            while (waiting > 0)
                acknowledge(first_sequence, now_ms);
        }
        wired = GATE_INPUT_FIRE;
        pass(GATE_DEBOUNCE_MS);
        MUST(mode == GATE_MODE_FREE && outputs & GATE_OUTPUT_ENTRY_UNLOCKED);
        wired = 0;
        pass(GATE_LIFE_SAFETY_MS - 1);
        MUST(mode == GATE_MODE_FREE);
        pass(1);
        MUST(mode != GATE_MODE_FREE);
    }
}

static void a_new_release_ends_the_time_of_tailgating(void)
{
    start_at(0);
    MUST(ask(1, 1000) == GATE_ANSWER_ACCEPTED);
    static const uint8_t beams[] = {GATE_INPUT_BEAM_A, GATE_INPUT_BEAM_A | GATE_INPUT_BEAM_B, GATE_INPUT_BEAM_B, 0};
    for (uint8_t i = 0; i < 4; i++) {
        wired = beams[i];
        pass(15);
    }
    MUST(closed_until.is_set && !release_open);
    MUST(ask(2, 1000) == GATE_ANSWER_ACCEPTED && !closed_until.is_set);
}

static void the_jumper_makes_the_host_silent_and_no_release_outlasts_it(void)
{
    start_at(0);
    MUST(ask(1, 1000) == GATE_ANSWER_ACCEPTED);
    wired = GATE_INPUT_PROVISIONING;
    pass(12);
    MUST(!release_open && mode == GATE_MODE_SAFE);
    beat();
    MUST(ask(2, 1000) == GATE_ANSWER_SAFE);
    wired = 0;
    pass(12);
    MUST(mode == GATE_MODE_SAFE);
}

static void without_keys_only_provisioning_is_answered(void)
{
    gate_start(BOOT, NULL, 0);
    sent_frames = 0;
    beat();
    pass(2000);
    const uint8_t no_key[GATE_LINE_KEY_SIZE] = {0}, token[4] = {9};
    put_frame(BOOT, 1000, GATE_HEARTBEAT, token, 4, no_key);
    pass(10);
    MUST(sent_frames == 0 && line_ignored(GATE_IGNORED_MAC) == 2 && mode == GATE_MODE_SAFE);
    MUST(provisioned(2, 3) == GATE_PROVISIONING_STORED);
    MUST(get_u32(said + 2) == 0 && get_u32(said + 6) == 0);
}

static void slow_memory_holds_nothing_up(void)
{
    start_at(0);
    wired = GATE_INPUT_PROVISIONING;
    pass(20);
    memory_is_busy = true;
    provision_with(2, 3, GATE_PROVISION_SIZE);
    pass(50);
    MUST(memory_writes == 0);
    memory_is_busy = false;
    pass(10);
    MUST(memory_writes == 10);
    pass(60);
    MUST(memory_writes == RECORD_SIZE && said_type != NO_ANSWER);
}

static void the_watchdog_is_fed_by_a_moving_clock_alone(void)
{
    start_at(0);
    fed_ms = clock_ms = 0;
    fed = 0;
    gate_round();
    gate_round();
    MUST(fed == 0);
    clock_ms = 1;
    gate_round();
    gate_round();
    MUST(fed == 1);
}

static void a_mac_counts_by_every_bit(void)
{
    uint8_t text[5] = {1, 2, 3, 4, 5}, mac[GATE_MAC_SIZE];
    auth_mac(test_keys.to_host, text, 5, mac);
    MUST(auth_is_genuine(test_keys.to_host, text, 5, mac));
    for (uint8_t bit = 0; bit < 8 * GATE_MAC_SIZE; bit++) {
        mac[bit / 8] ^= (uint8_t)(1 << bit % 8);
        MUST(!auth_is_genuine(test_keys.to_host, text, 5, mac));
        mac[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    uint8_t key[GATE_LINE_KEY_SIZE] = {0};
    MUST(auth_is_zero(key));
    for (uint8_t i = 0; i < GATE_LINE_KEY_SIZE; i++) {
        key[i] = 0x80;
        MUST(!auth_is_zero(key));
        key[i] = 0;
    }
}

static void a_relay_may_take_its_time_to_follow(void)
{
    start_at(0);
    MUST(ask(1, 1000) == GATE_ANSWER_ACCEPTED);
    for (uint32_t at = 1; at <= GATE_RELAY_SETTLE_MS; at++)
        gate_tick(at, 0, 0);
    MUST(fault == GATE_FAULT_NONE);
    gate_tick(GATE_RELAY_SETTLE_MS + 1, 0, 0);
    MUST(fault == GATE_FAULT_RELAY && !release_open);
}

#define RULE(name) {#name, name}
static const struct {
    const char *name;
    void (*check)(void);
} rules[] = {
    RULE(nonces_differ_in_any_byte),
    RULE(a_round_reads_one_packet_at_most),
    RULE(a_heartbeat_of_weeks_ago_stays_old),
    RULE(nonces_of_weeks_ago_make_room),
    RULE(a_nonce_is_kept_until_its_limit_is_over),
    RULE(a_release_is_taken_up_to_its_limits),
    RULE(the_controllers_counter_never_wraps),
    RULE(the_hosts_counter_counts_by_all_its_bits),
    RULE(a_door_held_open_is_told_in_time_whatever_else_happens),
    RULE(keys_are_read_back),
    RULE(keys_need_their_mark),
    RULE(no_key_is_zero),
    RULE(the_first_keys_are_kept_whole_before_any_others),
    RULE(provision_has_one_length),
    RULE(every_message_has_one_length),
    RULE(a_boot_id_is_read_back),
    RULE(reserved_places_are_for_ends_of_releases),
    RULE(a_release_needs_a_free_place_for_its_end),
    RULE(counts_stop),
    RULE(events_keep_their_order_and_their_numbers),
    RULE(time_is_right_across_its_wraps),
    RULE(a_new_release_ends_the_time_of_tailgating),
    RULE(the_jumper_makes_the_host_silent_and_no_release_outlasts_it),
    RULE(without_keys_only_provisioning_is_answered),
    RULE(slow_memory_holds_nothing_up),
    RULE(the_watchdog_is_fed_by_a_moving_clock_alone),
    RULE(a_mac_counts_by_every_bit),
    RULE(a_relay_may_take_its_time_to_follow),
};

/* Without a name it lists them. */
int main(int count, char **words)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (count < 2)
            printf("%s\n", rules[i].name);
        else if (strcmp(words[1], rules[i].name) == 0)
            return rules[i].check(), 0;
    }
    return count < 2 ? 0 : 2;
}
