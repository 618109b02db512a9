#define _XOPEN_SOURCE 700
#define _DEFAULT_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "host.h"

enum { READ_MAX = 4096, COMMAND_MAX = 64, BEHIND_MAX_MS = 1000 };

static volatile sig_atomic_t stopped;

static void stop(int number)
{
    (void)number;
    stopped = 1;
}

static int64_t monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int fail(const char *what)
{
    perror(what);
    return 2;
}

/* A raw pseudo-terminal named `path`. The slave stays open: without it a host that closes would hang it up. */
static int open_terminal(const char *path)
{
    const int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0)
        return -1;
    const int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    struct termios settings;
    if (slave < 0 || tcgetattr(slave, &settings) != 0)
        return -1;
    cfmakeraw(&settings);
    if (tcsetattr(slave, TCSANOW, &settings) != 0 || symlink(ptsname(master), path) != 0)
        return -1;
    return master;
}

static int open_control(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const int control = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(address.sun_path, path);
    if (control < 0 || bind(control, (struct sockaddr *)&address, sizeof address) != 0)
        return -1;
    return control;
}

/* `inputs N`, `relays stuck`, `relays follow`, `clock stopped`, `restart`, `state`; each is answered with the state. */
static void obey(int control)
{
    char command[COMMAND_MAX + 1];
    struct sockaddr_un from;
    socklen_t from_size = sizeof from;
    const ssize_t size = recvfrom(control, command, COMMAND_MAX, 0, (struct sockaddr *)&from, &from_size);
    if (size < 0)
        return;
    command[size] = 0;
    unsigned inputs;
    if (sscanf(command, "inputs %u", &inputs) == 1)
        host.inputs = (uint16_t)inputs;
    else if (strcmp(command, "relays stuck") == 0)
        host.relays_stuck = true;
    else if (strcmp(command, "relays follow") == 0)
        host.relays_stuck = false;
    else if (strcmp(command, "clock stopped") == 0)
        host.clock_stopped = true;
    else if (strcmp(command, "restart") == 0)
        host_restart();
    if (from_size > sizeof from.sun_family) {
        char state[COMMAND_MAX];
        const int told = snprintf(state, sizeof state, "%lu %u %u %u", (unsigned long)host.uptime_ms,
                                  (unsigned)host.inputs, (unsigned)host.outputs, (unsigned)host.contacts);
        sendto(control, state, (size_t)told, 0, (struct sockaddr *)&from, from_size);
    }
}

static void read_port(int master)
{
    uint8_t bytes[READ_MAX];
    const ssize_t size = read(master, bytes, sizeof bytes);
    if (size > 0)
        queue_put(&host.received, bytes, (uint32_t)size);
}

/* Nobody reading: a UART would lose the bytes too. */
static void write_port(int master)
{
    uint8_t bytes[READ_MAX];
    size_t size = 0;
    for (int16_t byte; size < sizeof bytes && (byte = queue_take(&host.sent)) >= 0;)
        bytes[size++] = (uint8_t)byte;
    if (size > 0 && write(master, bytes, size) < 0 && errno != EAGAIN)
        perror("port");
}

/* Rounds for every millisecond that passed, and one at once for what just arrived. */
static int64_t catch_up(int64_t from_ms)
{
    const int64_t now_ms = monotonic_ms();
    /* A machine that slept is a controller that was off for as long. */
    if (now_ms - from_ms > BEHIND_MAX_MS)
        from_ms = now_ms - 1;
    for (; from_ms < now_ms; from_ms++)
        host_pass_ms();
    return now_ms;
}

int host_serve(const char *port_path, const char *control_path)
{
    const struct sigaction action = {.sa_handler = stop};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    const int master = open_terminal(port_path);
    if (master < 0)
        return fail(port_path);
    const int control = control_path == NULL ? -1 : open_control(control_path);
    if (control_path != NULL && control < 0) {
        unlink(port_path);
        return fail(control_path);
    }
    host_restart();
    printf("ready\n");
    fflush(stdout);
    struct pollfd watched[] = {{master, POLLIN, 0}, {control, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
    int64_t passed_ms = monotonic_ms();
    while (!stopped) {
        poll(watched, sizeof watched / sizeof *watched, 1);
        if (watched[0].revents & POLLIN)
            read_port(master);
        if (watched[1].revents & POLLIN)
            obey(control);
        if (watched[2].revents)
            break;
        passed_ms = catch_up(passed_ms);
        write_port(master);
    }
    unlink(port_path);
    if (control_path != NULL)
        unlink(control_path);
    return 0;
}
