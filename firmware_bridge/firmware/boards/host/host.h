/* The host board: the same firmware as a program, for the demo, the sanitizers and the conformance suite. */
#ifndef HOST_H
#define HOST_H

#include <stdbool.h>
#include <stdint.h>

/* A UART's worth of bytes each way; what finds no room is lost, as in one. */
#define HOST_QUEUE_MAX 65536

/* As long as the AVR's watchdog waits. */
#define HOST_WATCHDOG_MS 250

struct host_queue {
    uint8_t bytes[HOST_QUEUE_MAX];
    uint32_t first, size;
};

struct host {
    const char *memory_path;
    uint32_t uptime_ms;  /* what the firmware's clock says */
    uint32_t unfed_ms;   /* since the watchdog was last fed, by a clock of its own */
    bool clock_stopped;  /* fault: the firmware's clock stands still */
    bool relays_stuck;   /* fault: the contacts stay as they are */
    bool port_open;
    uint16_t inputs;
    uint8_t outputs, contacts;
    struct host_queue received, sent;
};

extern struct host host;

/* Power on, or a restart by the watchdog: relays off, clock at 0, everything queued gone. */
void host_restart(void);

/* A round of the firmware a millisecond later; restarts it when the watchdog was not fed. */
void host_pass_ms(void);

bool queue_put(struct host_queue *queue, const uint8_t *bytes, uint32_t size);
int16_t queue_take(struct host_queue *queue);

/* Steps on request: requests on standard input, replies on standard output, time only as asked for;
 * `paced`: never faster than real time. */
int host_step(bool paced);

/* Serves a pseudo-terminal by the monotonic clock until standard input ends. */
int host_serve(const char *port_path, const char *control_path);

#endif
