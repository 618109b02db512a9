#include "gate.h"

#include <string.h>

#include "board.h"
#include "bytes.h"
#include "line.h"
#include "store.h"

#define BOTH_UNLOCKED (GATE_OUTPUT_ENTRY_UNLOCKED | GATE_OUTPUT_EXIT_UNLOCKED)
#define LIFE (GATE_INPUT_FIRE | GATE_INPUT_EMERGENCY)
#define LETS_OUT (LIFE | GATE_INPUT_REQUEST_TO_EXIT)

/* A pulse that only one round sees is not enough, however long that round was; what the round before saw too is. */
enum { LOOK_MAX_MS = GATE_DEBOUNCE_MS / 2 };

/* What the beams say happened, beside GATE_DIRECTION_: PROTOCOL.md 7. */
enum { SEEN_FOLLOWED = GATE_DIRECTION_CODES, SEEN_NOTHING };

/* Where the person is: bit 0 the beam they came from, bit 1 the other. */
enum { AT_CLEAR = 0, AT_NEAR = 1, AT_FAR = 2, AT_BETWEEN = 3 };

/* An instant that may not be set. */
struct moment {
    bool is_set;
    uint32_t at_ms;
};

struct nonce {
    uint8_t bytes[GATE_NONCE_SIZE];
    uint32_t until_ms;
};

static const uint8_t no_passage[GATE_PASSAGE_ID_SIZE];

static uint32_t now_ms;
static uint8_t mode, mode_told, fault, outputs;
static uint16_t inputs, raw_before;
static uint32_t raw_since_ms[GATE_INPUT_CODES]; /* of LETS_OUT: when it was last active */
static uint8_t active_ms[GATE_INPUT_CODES];      /* of LETS_OUT: in sum since its last pause */
static struct moment host_heard, exit_until, buzzer_until, door_since, mismatch_since;
static uint32_t status_at_ms;
static bool forced_reported, held_reported;

static bool release_open;
static uint8_t release_passage[GATE_PASSAGE_ID_SIZE], release_direction;
static uint32_t release_until_ms;
static struct moment closed_until; /* a passage closed the gate: until then another is tailgating */
static uint8_t closed_passage[GATE_PASSAGE_ID_SIZE];
static struct nonce nonces[GATE_NONCES_KEPT];
static uint8_t nonces_kept;

static uint8_t person_at, person_direction;

/* --- time ----------------------------------------------------------------------------------------- */

/* Uptimes wrap, and compare by their signed difference. */
static int32_t since(uint32_t earlier_ms) { return (int32_t)(now_ms - earlier_ms); }

static bool is_before(uint32_t uptime_ms) { return since(uptime_ms) < 0; }

static void set(struct moment *moment, uint32_t at_ms)
{
    moment->is_set = true;
    moment->at_ms = at_ms;
}

static void expire(struct moment *until)
{
    if (until->is_set && !is_before(until->at_ms))
        until->is_set = false;
}

/* --- reports -------------------------------------------------------------------------------------- */

static void report(uint8_t type, const uint8_t *passage_id, uint8_t code)
{
    line_report(type, passage_id, code, now_ms);
}

static void alarm(uint8_t type, const uint8_t *passage_id, uint8_t code)
{
    set(&buzzer_until, now_ms + GATE_BUZZER_MS);
    report(type, passage_id, code);
}

static void interrupt(uint8_t cause)
{
    if (release_open)
        report(GATE_INTERRUPTED, release_passage, cause);
    release_open = false;
}

static void latch(uint8_t found)
{
    if (fault != GATE_FAULT_NONE)
        return;
    fault = found;
    report(GATE_FAULT_LATCHED, NULL, found);
    interrupt(GATE_CAUSE_FAULT);
}

static void send_status(uint32_t token)
{
    uint8_t *body = line_body();
    mode_told = mode;
    status_at_ms = now_ms + GATE_STATUS_MS;
    put_u32(body + GATE_STATUS_TOKEN_AT, token);
    put_u32(body + GATE_STATUS_UPTIME_MS_AT, now_ms);
    body[GATE_STATUS_MODE_AT] = mode;
    body[GATE_STATUS_FAULT_AT] = fault;
    put_u16(body + GATE_STATUS_INPUTS_AT, inputs);
    body[GATE_STATUS_OUTPUTS_AT] = outputs;
    body[GATE_STATUS_EVENTS_WAITING_AT] = line_events_waiting();
    put_u16(body + GATE_STATUS_EVENTS_DROPPED_AT, line_events_dropped());
    for (uint8_t reason = 0; reason < GATE_IGNORED_COUNT; reason++)
        put_u16(body + GATE_STATUS_IGNORED_FRAMING_AT + 2 * reason, line_ignored(reason));
    line_send(GATE_STATUS, GATE_STATUS_SIZE);
}

/* --- state and outputs ---------------------------------------------------------------------------- */

static bool host_is_silent(void)
{
    if (inputs & GATE_INPUT_PROVISIONING)
        host_heard.is_set = false;
    /* Kept silent, so that uptime wrapping cannot make an old heartbeat young again. */
    if (host_heard.is_set && since(host_heard.at_ms) >= GATE_HOST_SILENCE_MS)
        host_heard.is_set = false;
    return !host_heard.is_set;
}

static uint8_t unlocks(uint8_t direction)
{
    return direction == GATE_DIRECTION_ENTRY ? GATE_OUTPUT_ENTRY_UNLOCKED : GATE_OUTPUT_EXIT_UNLOCKED;
}

static uint8_t unlocked_by_mode(void)
{
    switch (mode) {
    case GATE_MODE_FREE:
        return BOTH_UNLOCKED;
    case GATE_MODE_SAFE:
    case GATE_MODE_FAULT:
        return inputs & GATE_INPUT_FAIL_OPEN ? BOTH_UNLOCKED : 0;
    case GATE_MODE_RELEASED:
        return unlocks(release_direction);
    default:
        return 0;
    }
}

static void settle(void)
{
    if (inputs & LIFE)
        mode = GATE_MODE_FREE;
    else if (fault != GATE_FAULT_NONE)
        mode = GATE_MODE_FAULT;
    else if (release_open)
        mode = GATE_MODE_RELEASED;
    else if (host_is_silent())
        mode = GATE_MODE_SAFE;
    else
        mode = GATE_MODE_LOCKED;
    uint8_t opened = unlocked_by_mode();
    if (exit_until.is_set)
        opened |= GATE_OUTPUT_EXIT_UNLOCKED;
    outputs = opened | (opened ? GATE_OUTPUT_LAMP_GREEN : GATE_OUTPUT_LAMP_RED);
    if (buzzer_until.is_set)
        outputs |= GATE_OUTPUT_BUZZER;
    board_set_outputs(outputs);
}

uint8_t gate_outputs(void) { return outputs; }

/* --- releases ------------------------------------------------------------------------------------- */

/* The oldest nonce that would be late anyway (or is so old that uptime wrapped); GATE_NONCES_KEPT if none is. */
static uint8_t oldest_late_nonce(void)
{
    uint8_t i = 0;
    for (; i < nonces_kept; i++) {
        const int32_t left_ms = -since(nonces[i].until_ms);
        if (left_ms < 0 || left_ms > GATE_RELEASE_AHEAD_MAX_MS)
            return i;
    }
    return GATE_NONCES_KEPT;
}

/* Only a full set forgets, and then only one, for the new one's place. */
static void keep_nonce(const uint8_t *nonce, uint32_t until_ms)
{
    if (nonces_kept == GATE_NONCES_KEPT) {
        const uint8_t late = oldest_late_nonce();
        nonces_kept--;
        memmove(&nonces[late], &nonces[late + 1], (size_t)(nonces_kept - late) * sizeof *nonces);
    }
    memcpy(nonces[nonces_kept].bytes, nonce, GATE_NONCE_SIZE);
    nonces[nonces_kept].until_ms = until_ms;
    nonces_kept++;
}

static bool is_used(const uint8_t *nonce)
{
    for (uint8_t i = 0; i < nonces_kept; i++)
        if (memcmp(nonces[i].bytes, nonce, GATE_NONCE_SIZE) == 0)
            return true;
    return false;
}

static uint8_t judge(const uint8_t *release)
{
    const uint32_t not_after_ms = get_u32(release + GATE_RELEASE_NOT_AFTER_MS_AT);
    const int32_t ahead_ms = -since(not_after_ms);
    if (memcmp(release + GATE_RELEASE_PASSAGE_ID_AT, no_passage, GATE_PASSAGE_ID_SIZE) == 0)
        return GATE_ANSWER_MALFORMED;
    if (is_used(release + GATE_RELEASE_NONCE_AT))
        return GATE_ANSWER_ALREADY;
    if (ahead_ms < 0)
        return GATE_ANSWER_LATE;
    if (ahead_ms > GATE_RELEASE_AHEAD_MAX_MS)
        return GATE_ANSWER_TOO_FAR_AHEAD;
    if (inputs & LIFE)
        return GATE_ANSWER_FREE;
    if (fault != GATE_FAULT_NONE)
        return GATE_ANSWER_FAULT;
    if (host_is_silent())
        return GATE_ANSWER_SAFE;
    if (release_open)
        return GATE_ANSWER_BUSY;
    if (line_events_waiting() >= GATE_EVENTS_KEPT - GATE_EVENTS_RESERVED)
        return GATE_ANSWER_EVENTS_FULL;
    if (nonces_kept == GATE_NONCES_KEPT && oldest_late_nonce() == GATE_NONCES_KEPT)
        return GATE_ANSWER_NONCES_FULL;

    uint16_t open_ms = get_u16(release + GATE_RELEASE_OPEN_MS_AT);
    if (open_ms < GATE_OPEN_MIN_MS)
        open_ms = GATE_OPEN_MIN_MS;
    if (open_ms > GATE_OPEN_MAX_MS)
        open_ms = GATE_OPEN_MAX_MS;
    keep_nonce(release + GATE_RELEASE_NONCE_AT, not_after_ms);
    memcpy(release_passage, release + GATE_RELEASE_PASSAGE_ID_AT, GATE_PASSAGE_ID_SIZE);
    release_direction = release[GATE_RELEASE_DIRECTION_AT];
    release_until_ms = now_ms + open_ms;
    release_open = true;
    closed_until.is_set = false;
    return GATE_ANSWER_ACCEPTED;
}

static void answer_release(const uint8_t *release)
{
    const uint8_t answer = judge(release);
    uint8_t *body = line_body();
    memcpy(body + GATE_RELEASE_ANSWER_NONCE_AT, release + GATE_RELEASE_NONCE_AT, GATE_NONCE_SIZE);
    body[GATE_RELEASE_ANSWER_ANSWER_AT] = answer;
    line_send(GATE_RELEASE_ANSWER, GATE_RELEASE_ANSWER_SIZE);
}

/* --- provisioning --------------------------------------------------------------------------------- */

static void answer_provision(uint8_t answer)
{
    line_body()[GATE_PROVISIONED_ANSWER_AT] = answer;
    line_send_provisioned();
}

static void provision(const uint8_t *keys)
{
    if (!(inputs & GATE_INPUT_PROVISIONING))
        answer_provision(GATE_PROVISIONING_NO_JUMPER);
    else if (auth_is_zero(keys) || auth_is_zero(keys + GATE_LINE_KEY_SIZE))
        answer_provision(GATE_PROVISIONING_UNUSABLE);
    else
        store_begin_keys(keys);
}

static void watch_store(void)
{
    const enum store_progress progress = store_step();
    if (progress == STORE_DONE)
        answer_provision(GATE_PROVISIONING_STORED);
    else if (progress == STORE_FAILED)
        answer_provision(GATE_PROVISIONING_NOT_STORED);
}

/* --- a round -------------------------------------------------------------------------------------- */

/* A contact that chatters must let people out: its active time counts in sum, and only its end must be steady. */
static void sum_up(uint8_t i, bool active, uint8_t passed_ms)
{
    const uint16_t bit = (uint16_t)1 << i;
    if (active) {
        raw_since_ms[i] = now_ms;
        if (!(raw_before & bit) && passed_ms > LOOK_MAX_MS)
            passed_ms = LOOK_MAX_MS;
        if (active_ms[i] < GATE_DEBOUNCE_MS)
            active_ms[i] = (uint8_t)(active_ms[i] + passed_ms);
        if (active_ms[i] >= GATE_DEBOUNCE_MS)
            inputs |= bit;
    } else if (since(raw_since_ms[i]) >= GATE_LIFE_SAFETY_MS) {
        active_ms[i] = 0;
        inputs &= (uint16_t)~bit;
    }
}

static void debounce(uint16_t raw, uint8_t passed_ms)
{
    for (uint8_t i = 0; i < GATE_INPUT_CODES; i++) {
        const uint16_t bit = (uint16_t)1 << i;
        if (bit & LETS_OUT) {
            sum_up(i, raw & bit, passed_ms);
            continue;
        }
        if ((raw ^ raw_before) & bit)
            raw_since_ms[i] = now_ms;
        if (((raw ^ inputs) & bit) && since(raw_since_ms[i]) >= GATE_DEBOUNCE_MS)
            inputs ^= bit;
    }
    raw_before = raw;
}

static void watch_life_safety(uint16_t before)
{
    const uint16_t rose = inputs & (uint16_t)~before;
    if (rose & GATE_INPUT_FIRE)
        report(GATE_FIRE_RELEASED, NULL, 0);
    if (rose & GATE_INPUT_EMERGENCY)
        report(GATE_EMERGENCY_RELEASED, NULL, 0);
    if (inputs & LIFE)
        interrupt(inputs & GATE_INPUT_FIRE ? GATE_CAUSE_FIRE : GATE_CAUSE_EMERGENCY);
    else if (before & LIFE)
        report(GATE_FREE_ENDED, NULL, 0);
}

static void watch_hardware(uint8_t contacts)
{
    if (!((contacts ^ outputs) & BOTH_UNLOCKED))
        mismatch_since.is_set = false;
    else if (!mismatch_since.is_set)
        set(&mismatch_since, now_ms);
    else if (since(mismatch_since.at_ms) >= GATE_RELAY_SETTLE_MS)
        latch(GATE_FAULT_RELAY);
    if (inputs & GATE_INPUT_TAMPER)
        latch(GATE_FAULT_TAMPER);
}

static void watch_host(void)
{
    if (host_is_silent() && person_at == AT_CLEAR)
        interrupt(GATE_CAUSE_HOST_SILENT);
}

static void watch_exit_request(uint16_t before)
{
    if ((inputs | before) & GATE_INPUT_REQUEST_TO_EXIT)
        set(&exit_until, now_ms + GATE_EXIT_OPEN_MS);
    else
        expire(&exit_until);
}

static uint8_t follow_person(bool beam_a, bool beam_b)
{
    if (person_at == AT_CLEAR && (beam_a || beam_b))
        person_direction = beam_a ? GATE_DIRECTION_ENTRY : GATE_DIRECTION_EXIT;
    const bool entering = person_direction == GATE_DIRECTION_ENTRY;
    const bool came = entering ? beam_a : beam_b, other = entering ? beam_b : beam_a;
    const uint8_t was = person_at;
    person_at = (uint8_t)((came ? AT_NEAR : 0) | (other ? AT_FAR : 0));
    if (was == AT_FAR && (person_at == AT_CLEAR || person_at == AT_NEAR))
        return person_direction;
    return was == AT_FAR && person_at == AT_BETWEEN ? SEEN_FOLLOWED : SEEN_NOTHING;
}

static void watch_passage(void)
{
    const uint8_t seen = follow_person(inputs & GATE_INPUT_BEAM_A, inputs & GATE_INPUT_BEAM_B);
    if (seen == SEEN_NOTHING)
        return;
    if (seen == SEEN_FOLLOWED) {
        if (release_open)
            alarm(GATE_TAILGATED, release_passage, 0);
    } else if (release_open && release_direction == seen) {
        report(GATE_PASSED, release_passage, seen);
        release_open = false;
        memcpy(closed_passage, release_passage, GATE_PASSAGE_ID_SIZE);
        set(&closed_until, now_ms + GATE_TAILGATE_MS);
    } else if (outputs & unlocks(seen)) {
        report(GATE_PASSED, no_passage, seen);
    } else if (release_open) {
        alarm(GATE_WRONG_WAY, release_passage, 0);
    } else if (closed_until.is_set) {
        alarm(GATE_TAILGATED, closed_passage, 0);
    } else if (!forced_reported) {
        alarm(GATE_FORCED_PASSAGE, NULL, seen);
    }
}

static void watch_release_time(void)
{
    if (!release_open || is_before(release_until_ms))
        return;
    if (person_at != AT_CLEAR && is_before(release_until_ms + GATE_PASSAGE_FINISH_MS))
        return;
    report(GATE_TIMED_OUT, release_passage, 0);
    release_open = false;
}

static void watch_door(uint16_t before)
{
    const bool locked = !(outputs & BOTH_UNLOCKED), is_open = inputs & GATE_INPUT_DOOR_OPEN;
    if (is_open && !(before & GATE_INPUT_DOOR_OPEN) && locked && !closed_until.is_set) {
        alarm(GATE_FORCED_DOOR, NULL, 0);
        forced_reported = true;
    }
    if (!is_open)
        forced_reported = false;
    if (!is_open || !locked) {
        door_since.is_set = false;
        held_reported = false;
    } else if (!door_since.is_set) {
        set(&door_since, now_ms);
    } else if (!held_reported && since(door_since.at_ms) >= GATE_HELD_OPEN_MS) {
        alarm(GATE_HELD_OPEN, NULL, 0);
        held_reported = true;
    }
}

void gate_start(uint32_t boot_id, const struct gate_keys *keys, uint32_t uptime_ms)
{
    now_ms = status_at_ms = uptime_ms;
    mode = mode_told = GATE_MODE_SAFE;
    fault = GATE_FAULT_NONE;
    inputs = raw_before = 0;
    outputs = 0;
    memset(raw_since_ms, 0, sizeof raw_since_ms);
    memset(active_ms, 0, sizeof active_ms);
    host_heard.is_set = exit_until.is_set = buzzer_until.is_set = false;
    door_since.is_set = mismatch_since.is_set = closed_until.is_set = false;
    forced_reported = held_reported = release_open = false;
    nonces_kept = 0;
    person_at = AT_CLEAR;
    person_direction = GATE_DIRECTION_ENTRY;
    line_start(boot_id, keys);
}

bool gate_take(uint8_t byte)
{
    switch (line_take(byte, now_ms)) {
    case GATE_HEARTBEAT:
        set(&host_heard, now_ms);
        settle();
        send_status(get_u32(line_received() + GATE_HEARTBEAT_TOKEN_AT));
        break;
    case GATE_RELEASE:
        answer_release(line_received());
        settle();
        break;
    case GATE_PROVISION:
        provision(line_received());
        break;
    default:
        break;
    }
    return line_ended_packet();
}

void gate_tick(uint32_t uptime_ms, uint16_t raw_inputs, uint8_t contacts)
{
    const uint16_t before = inputs;
    const uint32_t passed_ms = uptime_ms - now_ms;
    now_ms = uptime_ms;
    debounce(raw_inputs, passed_ms < GATE_DEBOUNCE_MS ? (uint8_t)passed_ms : GATE_DEBOUNCE_MS);
    watch_life_safety(before);
    expire(&closed_until);
    expire(&buzzer_until);
    watch_hardware(contacts);
    watch_host();
    watch_exit_request(before);
    watch_passage();
    watch_release_time();
    watch_door(before);
    settle();
    watch_store();
    if (mode != mode_told || since(status_at_ms) >= 0)
        send_status(0);
    line_repeat(now_ms);
}
