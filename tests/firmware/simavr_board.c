/* The AVR build as a host board: simavr runs it, `stepped.c`, `served.c` and `main.c` drive it.
 *
 * A test tool: it links GPL-3 code and is never part of the product. */
#include <avr_eeprom.h>
#include <avr_extint.h>
#include <avr_ioport.h>
#include <avr_uart.h>
#include <sim_avr.h>
#include <sim_cycle_timers.h>
#include <sim_elf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../firmware_bridge/firmware/boards/host/host.h"
#include "../../firmware_bridge/firmware/gate_protocol.h"

enum { CLOCK_HZ = 16000000, CYCLES_PER_MS = CLOCK_HZ / 1000, MEMORY_SIZE = 1024 };

/* One start bit, eight of data, one stop bit. */
enum { CYCLES_PER_BYTE = CLOCK_HZ / (GATE_BAUD / 10) };

/* TIMSK0 of an ATmega328P, in the data space: its OCIE0A bit is the firmware's clock. */
enum { TIMSK0_AT = 0x6e };

/* PINB; those of C and D follow three bytes apart. */
enum { PINB_AT = 0x23 };

struct wire {
    char port;
    uint8_t bit;
    uint16_t means;
    bool active_high;
};

/* As in boards/atmega328p/README.md. */
static const struct wire in_wires[] = {
    {'D', 2, GATE_INPUT_BEAM_A, true},           {'D', 3, GATE_INPUT_BEAM_B, true},
    {'D', 4, GATE_INPUT_DOOR_OPEN, true},        {'D', 5, GATE_INPUT_REQUEST_TO_EXIT, false},
    {'D', 6, GATE_INPUT_FIRE, true},             {'D', 7, GATE_INPUT_EMERGENCY, true},
    {'B', 0, GATE_INPUT_TAMPER, true},           {'B', 1, GATE_INPUT_FAIL_OPEN, false},
    {'B', 2, GATE_INPUT_PROVISIONING, false},
};
static const struct wire contact_wires[] = {
    {'C', 2, GATE_OUTPUT_ENTRY_UNLOCKED, false},
    {'C', 3, GATE_OUTPUT_EXIT_UNLOCKED, false},
};
static const struct wire out_wires[] = {
    {'B', 3, GATE_OUTPUT_ENTRY_UNLOCKED, true}, {'B', 4, GATE_OUTPUT_EXIT_UNLOCKED, true},
    {'B', 5, GATE_OUTPUT_LAMP_RED, true},       {'C', 0, GATE_OUTPUT_LAMP_GREEN, true},
    {'C', 1, GATE_OUTPUT_BUZZER, true},
};
enum { RELAYS = GATE_OUTPUT_ENTRY_UNLOCKED | GATE_OUTPUT_EXIT_UNLOCKED };

#define COUNT(wires) (sizeof(wires) / sizeof *(wires))

struct host host;

static avr_t *avr;
static uint8_t kept[MEMORY_SIZE];

static void drive(const struct wire *wire, uint16_t active)
{
    const bool high = ((active & wire->means) != 0) == wire->active_high;
    avr_irq_t *pin = avr_io_getirq(avr, AVR_IOCTL_IOPORT_GETIRQ(wire->port), wire->bit);
    const uint8_t reads = avr->data[PINB_AT + 3 * (wire->port - 'B')];
    /* A reset clears what the pins read as, and simavr passes on no level that it holds already. */
    if ((reads >> wire->bit & 1) != high)
        avr_raise_irq(pin, !high);
    avr_raise_irq(pin, high);
}

/* What the pins read as whenever the firmware changes a port's direction or pull-ups. */
static void hold_levels(char port)
{
    uint8_t mask = 0, value = 0;
    const struct {
        const struct wire *wires;
        size_t count;
        uint16_t active;
    } groups[] = {{in_wires, COUNT(in_wires), host.inputs}, {contact_wires, COUNT(contact_wires), host.contacts}};
    for (size_t g = 0; g < COUNT(groups); g++)
        for (size_t i = 0; i < groups[g].count; i++) {
            const struct wire *wire = &groups[g].wires[i];
            if (wire->port != port)
                continue;
            mask |= (uint8_t)(1u << wire->bit);
            if (((groups[g].active & wire->means) != 0) == wire->active_high)
                value |= (uint8_t)(1u << wire->bit);
        }
    avr_ioport_external_t levels = {.name = (unsigned char)port, .mask = mask, .value = value};
    avr_ioctl(avr, AVR_IOCTL_IOPORT_SET_EXTERNAL(port), &levels);
}

static void drive_all(void)
{
    hold_levels('B');
    hold_levels('C');
    hold_levels('D');
    for (size_t i = 0; i < COUNT(in_wires); i++)
        drive(&in_wires[i], host.inputs);
    for (size_t i = 0; i < COUNT(contact_wires); i++)
        drive(&contact_wires[i], host.contacts);
}

static uint8_t outputs_at_pins(void)
{
    uint8_t outputs = 0;
    for (size_t i = 0; i < COUNT(out_wires); i++) {
        avr_ioport_state_t state;
        avr_ioctl(avr, AVR_IOCTL_IOPORT_GETSTATE(out_wires[i].port), &state);
        if (state.ddr & state.port & (1u << out_wires[i].bit))
            outputs |= (uint8_t)out_wires[i].means;
    }
    return outputs;
}

static void on_byte(struct avr_irq_t *irq, uint32_t value, void *unused)
{
    (void)irq, (void)unused;
    const uint8_t byte = (uint8_t)value;
    queue_put(&host.sent, &byte, 1);
}

/* The line's own pace, and what keeps a sleeping controller from skipping further than a byte. */
static avr_cycle_count_t on_byte_time(avr_t *of, avr_cycle_count_t when, void *unused)
{
    (void)unused;
    const int16_t byte = queue_take(&host.received);
    if (byte >= 0)
        avr_raise_irq(avr_io_getirq(of, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_INPUT), (uint32_t)byte);
    return when + CYCLES_PER_BYTE;
}

static void never_sleep(avr_t *of, avr_cycle_count_t cycles) { (void)of, (void)cycles; }

static void keep_memory(void)
{
    uint8_t now[MEMORY_SIZE];
    avr_eeprom_desc_t found = {.ee = now, .offset = 0, .size = MEMORY_SIZE};
    avr_ioctl(avr, AVR_IOCTL_EEPROM_GET, &found);
    if (memcmp(now, kept, MEMORY_SIZE) == 0)
        return;
    memcpy(kept, now, MEMORY_SIZE);
    FILE *file = fopen(host.memory_path, "wb");
    if (file == NULL || fwrite(kept, 1, MEMORY_SIZE, file) != MEMORY_SIZE || fclose(file) != 0) {
        perror(host.memory_path);
        exit(2);
    }
}

static void load_memory(void)
{
    memset(kept, 0xff, MEMORY_SIZE);
    FILE *file = fopen(host.memory_path, "rb");
    if (file != NULL) {
        if (fread(kept, 1, MEMORY_SIZE, file) != MEMORY_SIZE)
            memset(kept, 0xff, MEMORY_SIZE);
        fclose(file);
    }
    avr_eeprom_desc_t wanted = {.ee = kept, .offset = 0, .size = MEMORY_SIZE};
    avr_ioctl(avr, AVR_IOCTL_EEPROM_SET, &wanted);
}

/* Memory between the firmware's variables and its stack: painted at power-on, and counted at the end. */
enum { RAM_FROM = 0x100, PAINT = 0xa5 };

static void tell_stack_left(void)
{
    FILE *file = fopen(getenv("GATE_STACK_LEFT"), "w");
    unsigned longest = 0, run = 0;
    for (unsigned at = RAM_FROM; at <= avr->ramend; at++) {
        run = avr->data[at] == PAINT ? run + 1 : 0;
        if (run > longest)
            longest = run;
    }
    if (file != NULL) {
        fprintf(file, "%u\n", longest);
        fclose(file);
    }
}

/* Standard output carries the steps' replies: simavr's chatter must not. */
static void say_nothing(avr_t *of, const int level, const char *format, va_list words)
{
    (void)of, (void)level, (void)format, (void)words;
}

static void power_on(void)
{
    avr_global_logger_set(say_nothing);
    elf_firmware_t firmware = {0};
    const char *path = getenv("GATE_FIRMWARE");
    if (path == NULL || elf_read_firmware(path, &firmware) != 0) {
        fprintf(stderr, "GATE_FIRMWARE must name the AVR build, an ELF file\n");
        exit(2);
    }
    avr = avr_make_mcu_by_name("atmega328p");
    if (avr == NULL || avr_init(avr) != 0) {
        fprintf(stderr, "simavr has no atmega328p\n");
        exit(2);
    }
    avr->log = LOG_NONE;
    firmware.frequency = CLOCK_HZ;
    avr_load_firmware(avr, &firmware);
    avr->frequency = CLOCK_HZ;
    avr->sleep = never_sleep;
    /* Else it looks at PD2 and PD3 after every instruction, for interrupts that the firmware does not use. */
    avr_extint_set_strict_lvl_trig(avr, 0, 0);
    avr_extint_set_strict_lvl_trig(avr, 1, 0);
    uint32_t flags = 0;
    avr_ioctl(avr, AVR_IOCTL_UART_SET_FLAGS('0'), &flags);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUTPUT), on_byte, NULL);
    load_memory();
    memset(avr->data + RAM_FROM, PAINT, avr->ramend + 1 - RAM_FROM);
    if (getenv("GATE_STACK_LEFT") != NULL)
        atexit(tell_stack_left);
    avr_cycle_timer_register(avr, CYCLES_PER_BYTE, on_byte_time, NULL);
}

void host_restart(void)
{
    if (avr != NULL)
        avr_reset(avr);
    else
        power_on();
    drive_all();
}

void host_pass_ms(void)
{
    const avr_cycle_count_t until = avr->cycle + CYCLES_PER_MS;
    if (host.clock_stopped)
        avr->data[TIMSK0_AT] = 0;
    host.clock_stopped = false;
    drive_all();
    /* A reset by the watchdog forgets it. */
    if (avr_cycle_timer_status(avr, on_byte_time, NULL) == 0)
        avr_cycle_timer_register(avr, CYCLES_PER_BYTE, on_byte_time, NULL);
    while (avr->cycle < until) {
        const int state = avr_run(avr);
        if (state == cpu_Done || state == cpu_Crashed) {
            fprintf(stderr, "the firmware crashed at 0x%x\n", (unsigned)avr->pc);
            exit(3);
        }
    }
    host.uptime_ms++;
    host.outputs = outputs_at_pins();
    if (!host.relays_stuck)
        host.contacts = host.outputs & RELAYS;
    keep_memory();
}
