#define _XOPEN_SOURCE 700
#include "stepped.h"

#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#include "host.h"

static struct step_change changes[STEP_CHANGES_MAX];
static uint16_t changed;
static uint16_t told_inputs;
static uint16_t told_outputs;

static void note_change(uint32_t at_us)
{
    const bool same = host.inputs == told_inputs && host.outputs == told_outputs;
    if (same || changed == STEP_CHANGES_MAX)
        return;
    told_inputs = host.inputs;
    told_outputs = host.outputs;
    changes[changed++] = (struct step_change){at_us, told_inputs, told_outputs};
}

static bool read_all(void *to, size_t size) { return fread(to, 1, size, stdin) == size; }

static bool write_reply(void)
{
    uint8_t bytes[STEP_BYTES_MAX];
    struct step_reply reply = {0, changed};
    for (int16_t byte; reply.size < STEP_BYTES_MAX && (byte = queue_take(&host.sent)) >= 0;)
        bytes[reply.size++] = (uint8_t)byte;
    const bool written = fwrite(&reply, sizeof reply, 1, stdout) == 1 &&
                         fwrite(bytes, 1, reply.size, stdout) == reply.size &&
                         fwrite(changes, sizeof *changes, changed, stdout) == changed;
    changed = 0;
    return written && fflush(stdout) == 0;
}

/* Waits until as much real time has passed since the first call. */
static void keep_pace(uint32_t passed_us)
{
    static struct timespec started;
    struct timespec due;
    if (started.tv_sec == 0)
        clock_gettime(CLOCK_MONOTONIC, &started);
    due.tv_sec = started.tv_sec + passed_us / 1000000;
    due.tv_nsec = started.tv_nsec + (long)(passed_us % 1000000) * 1000;
    if (due.tv_nsec >= 1000000000) {
        due.tv_sec++;
        due.tv_nsec -= 1000000000;
    }
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
}

int host_step(bool paced)
{
    uint32_t passed_us = 0;
    struct step_request request;
    host_restart();
    if (paced)
        keep_pace(0);
    while (read_all(&request, sizeof request)) {
        uint8_t bytes[STEP_BYTES_MAX];
        if (request.size > STEP_BYTES_MAX || !read_all(bytes, request.size))
            return 2;
        queue_put(&host.received, bytes, request.size);
        host.inputs = request.inputs;
        host.relays_stuck = request.flags & STEP_RELAYS_STUCK;
        host.clock_stopped = host.clock_stopped || (request.flags & STEP_CLOCK_STOPPED);
        note_change(passed_us);
        /* Signed, as the count of microseconds wraps. */
        while ((int32_t)(request.until_us - passed_us) >= 1000) {
            passed_us += 1000;
            host_pass_ms();
            note_change(passed_us);
        }
        if (paced)
            keep_pace(passed_us);
        if (!write_reply())
            return 2;
    }
    return 0;
}
