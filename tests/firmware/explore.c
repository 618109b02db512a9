/* Every sequence of ACTIONS up to a depth on the firmware's own sources, from a given uptime and counter.
 *
 * A state is all of the program's static data, copied and put back; states seen before, by hash, are not gone on
 * from. What is on the heap is not part of it. Arguments: depth, uptime, host's counter, controller's counter.
 * Prints what was violated and after which actions, then a line of figures. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gate.c"
#define no_passage line_no_passage
#include "line.c"
#undef no_passage
#include "auth.c"
#include "frame.c"
#include "store.c"

/* The linker's own bounds of all static data. */
extern char __data_start, _end;

enum { BOOT = 7, RELEASES = 3, SEEN_BITS = 30, VIOLATIONS_MAX = 8 };

/* What a host knows and an onlooker sees. Static, so that it is put back with the firmware's data. */
static uint32_t clock_ms, counted, last_sequence, life_since_ms, life_seen_ms, opened_until_ms, limits[RELEASES];
static uint16_t wired;
static uint8_t contacts_are, accepted[RELEASES], ended_releases[RELEASES], saved[GATE_ENCODED_MAX + 2], saved_size;
static bool stuck, life_on, life_ever, beaten, opened_ever;

static const struct gate_keys test_keys = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
                                           {16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1}};

/* On the heap, so that it is not put back. */
static struct {
    unsigned long steps, states, violations;
    unsigned char *seen;
    char path[32];
} *kept;

static void violated(const char *what)
{
    printf("VIOLATED: %s; after: %s\n", what, kept->path);
    if (++kept->violations >= VIOLATIONS_MAX) {
        fflush(stdout);
        _Exit(1);
    }
}

void board_start(void) {}
void board_open_port(void) {}
uint32_t board_uptime_ms(void) { return clock_ms; }
uint16_t board_inputs(void) { return wired; }
uint8_t board_contacts(void) { return contacts_are; }
void board_set_outputs(uint8_t set_to) { (void)set_to; }
int16_t board_read(void) { return -1; }
uint8_t board_memory_read(uint16_t at) { return (uint8_t)at; }
bool board_memory_ready(void) { return true; }
void board_memory_write(uint16_t at, uint8_t value) { (void)at, (void)value; }
void board_feed_watchdog(void) {}
void board_idle(void) {}

static void hear_answer(const uint8_t *body)
{
    const uint8_t number = body[GATE_RELEASE_ANSWER_NONCE_AT];
    if (body[GATE_RELEASE_ANSWER_ANSWER_AT] != GATE_ANSWER_ACCEPTED)
        return;
    if (accepted[number]++ > 0)
        violated("a nonce is accepted twice");
    if ((int32_t)(limits[number] - clock_ms) < 0)
        violated("a late release is accepted");
    if (!beaten)
        violated("a release is accepted though no host was ever heard");
}

static void hear_event(uint8_t type, const uint8_t *body)
{
    const uint32_t sequence = get_u32(body);
    if ((int32_t)(sequence - last_sequence) <= 0)
        return;
    if (sequence != last_sequence + 1)
        violated("an event number is left out");
    last_sequence = sequence;
    const uint8_t number = body[8];
    if ((type != GATE_PASSED && type != GATE_TIMED_OUT && type != GATE_INTERRUPTED) || number == 0)
        return;
    if (number >= RELEASES || !accepted[number])
        violated("a release ends that was never accepted");
    else if (++ended_releases[number] > 1)
        violated("a release ends twice");
}

bool board_write(const uint8_t *wire, uint8_t size)
{
    static uint32_t last_counter;
    uint8_t text[GATE_ENCODED_MAX], at = 1, to = 0;
    size--;
    while (at < size) {
        const uint8_t code = wire[at++];
        for (uint8_t i = 1; i < code; i++)
            text[to++] = wire[at++];
        if (at < size)
            text[to++] = 0;
    }
    if (get_u32(text + 6) <= last_counter)
        violated("the controller's counter does not rise");
    last_counter = get_u32(text + 6);
    if (text[10] == GATE_RELEASE_ANSWER)
        hear_answer(text + GATE_HEADER_SIZE);
    else if (text[10] >= GATE_PASSED && text[10] < GATE_PROVISIONED)
        hear_event(text[10], text + GATE_HEADER_SIZE);
    return true;
}

static void put_frame(uint8_t type, const uint8_t *body, uint8_t size)
{
    uint8_t text[GATE_FRAME_MAX], wire[GATE_ENCODED_MAX + 2];
    /* As a host does, it says nothing more once its counter is used up. */
    if (counted == UINT32_MAX)
        return;
    text[0] = GATE_PROTOCOL_VERSION;
    text[1] = GATE_TO_CONTROLLER;
    put_u32(text + 2, BOOT);
    put_u32(text + 6, ++counted);
    text[10] = type;
    memcpy(text + GATE_HEADER_SIZE, body, size);
    size = (uint8_t)(size + GATE_HEADER_SIZE);
    auth_mac(test_keys.to_controller, text, size, text + size);
    const uint8_t length = frame_encode(text, (uint8_t)(size + GATE_MAC_SIZE), wire);
    if (type == GATE_RELEASE) {
        memcpy(saved, wire, length);
        saved_size = length;
    }
    const uint16_t before = line_ignored(GATE_IGNORED_COUNTER);
    for (uint8_t i = 0; i < length; i++)
        gate_take(wire[i]);
    if (line_ignored(GATE_IGNORED_COUNTER) != before)
        violated("a new frame is taken for an old one");
}

static void watch(void)
{
    const uint8_t now_open = gate_outputs() & BOTH_UNLOCKED;
    const bool life = wired & (GATE_INPUT_FIRE | GATE_INPUT_EMERGENCY);
    if (life && !life_on)
        life_since_ms = clock_ms;
    if (life) {
        life_seen_ms = clock_ms;
        life_ever = true;
    }
    life_on = life;
    if (life && clock_ms - life_since_ms >= GATE_LIFE_SAFETY_MS && now_open != BOTH_UNLOCKED)
        violated("fire or emergency for LIFE_SAFETY_MS, and not both ways are open");
    if (!now_open != !(gate_outputs() & GATE_OUTPUT_LAMP_GREEN))
        violated("the lamp does not say whether it is open");
    const bool was_life = life_ever && clock_ms - life_seen_ms <= 2 * GATE_LIFE_SAFETY_MS + 2200;
    const bool is_released = opened_ever && (int32_t)(opened_until_ms - clock_ms) >= 0;
    if ((now_open & GATE_OUTPUT_ENTRY_UNLOCKED) && !was_life && !is_released)
        violated("the entry is open for no reason");
    if ((now_open & GATE_OUTPUT_EXIT_UNLOCKED) && !was_life)
        violated("the exit is open for no reason");
}

static void pass(uint32_t span_ms)
{
    clock_ms += span_ms;
    gate_tick(clock_ms, wired, contacts_are);
    if (!stuck)
        contacts_are = gate_outputs() & BOTH_UNLOCKED;
    watch();
}

static void ask(uint8_t number, uint32_t within_ms, uint16_t open_ms)
{
    uint8_t body[GATE_RELEASE_SIZE] = {0};
    const bool was_open = release_open;
    body[GATE_RELEASE_PASSAGE_ID_AT] = body[GATE_RELEASE_NONCE_AT] = number;
    limits[number] = clock_ms + within_ms;
    put_u32(body + GATE_RELEASE_NOT_AFTER_MS_AT, limits[number]);
    put_u16(body + GATE_RELEASE_OPEN_MS_AT, open_ms);
    put_frame(GATE_RELEASE, body, sizeof body);
    /* The open time, the time to finish, and the longest step that a round takes here. It is not asked whether the
     * answer was heard: a controller whose counter is used up obeys in silence. */
    if (release_open && !was_open) {
        opened_until_ms = clock_ms + open_ms + GATE_PASSAGE_FINISH_MS + 2200;
        opened_ever = true;
    }
}

static const char ACTIONS[] = "tTLhabBrfe12xsk";

static void act(char action)
{
    uint8_t bytes[4] = {1, 2, 3, 4};
    switch (action) {
    /* Short looks first: a board's rounds are of a millisecond or two. */
    case 't': pass(5), pass(5), pass(5), pass(15); break;
    case 'T': pass(5), pass(5), pass(690); break;
    case 'L': pass(5), pass(5), pass(2100); break;
    case 'h': put_frame(GATE_HEARTBEAT, bytes, 4), beaten = true; break;
    case 'a': ask(1, 1000, 500); break;
    case 'b': ask(2, 1000, 3000); break;
    case 'B': ask(1, 5000, 500); break;
    case 'r':
        for (uint8_t i = 0; i < saved_size; i++)
            gate_take(saved[i]);
        break;
    case 'f': wired ^= GATE_INPUT_FIRE, pass(1); break;
    case 'e': wired ^= GATE_INPUT_EMERGENCY, pass(1); break;
    case '1': wired ^= GATE_INPUT_BEAM_A, pass(15), pass(15); break;
    case '2': wired ^= GATE_INPUT_BEAM_B, pass(15), pass(15); break;
    case 'x': wired ^= GATE_INPUT_TAMPER, pass(15), pass(15); break;
    case 's': stuck = !stuck; break;
    default: put_u32(bytes, last_sequence), put_frame(GATE_ACKNOWLEDGE, bytes, 4); break;
    }
}

static uint64_t hash(const char *bytes, size_t size)
{
    uint64_t found = 1469598103934665603u;
    for (; size >= 8; bytes += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, bytes, 8);
        found = (found ^ word) * 0x9E3779B97F4A7C15u;
        found ^= found >> 29;
    }
    while (size-- > 0)
        found = (found ^ (uint8_t)*bytes++) * 1099511628211u;
    return found ^ found >> 32;
}

static void explore(int done, int depth)
{
    const size_t size = (size_t)(&_end - &__data_start);
    char *before = malloc(size);
    memcpy(before, &__data_start, size);
    for (const char *action = ACTIONS; *action != 0; action++) {
        kept->path[done] = *action;
        kept->path[done + 1] = 0;
        kept->steps++;
        act(*action);
        /* With the depth left: a state that was met deeper is gone on from again. */
        const uint64_t found = hash(&__data_start, size) + (uint64_t)(depth - done) * 0x51ed27;
        const size_t at = found & (((size_t)1 << SEEN_BITS) - 1);
        if (!(kept->seen[at >> 3] >> (at & 7) & 1)) {
            kept->seen[at >> 3] |= (unsigned char)(1 << (at & 7));
            kept->states++;
            if (done + 1 < depth)
                explore(done + 1, depth);
        }
        memcpy(&__data_start, before, size);
    }
    free(before);
}

int main(int count, char **words)
{
    if (count != 5)
        return 2;
    kept = calloc(1, sizeof *kept);
    kept->seen = calloc((size_t)1 << (SEEN_BITS - 3), 1);
    /* Its buffer too would be put back. */
    setvbuf(stdout, malloc(BUFSIZ), _IOFBF, BUFSIZ);
    clock_ms = (uint32_t)strtoul(words[2], NULL, 10);
    gate_start(BOOT, &test_keys, clock_ms);
    counted = host_counter = (uint32_t)strtoul(words[3], NULL, 10);
    sent_counter = (uint32_t)strtoul(words[4], NULL, 10);
    act('h');
    pass(20);
    explore(0, atoi(words[1]));
    printf("{\"steps\": %lu, \"states\": %lu, \"violations\": %lu}\n", kept->steps, kept->states, kept->violations);
    fflush(stdout);
    _Exit(kept->violations != 0);
}
