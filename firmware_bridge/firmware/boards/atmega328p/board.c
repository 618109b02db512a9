/* ATmega328P at 16 MHz, as on an Arduino Uno or Nano. Pins and wiring: README.md here. */
#include "board.h"

#include <avr/eeprom.h>
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>
#include <avr/wdt.h>
#include <util/atomic.h>

#include "gate.h"
#include "gate_protocol.h"

/* Buffers wrap by their own index type; 128 bytes are 5 ms of line, 256 two of the longest frames and more. */
enum { RECEIVED_MAX = 128, SENT_MAX = 256 };

/* 16 MHz / 64 / 250 = 1 kHz. */
enum { TICK_TOP = 249 };

#define BAUD_DIVISOR (F_CPU / 16 / GATE_BAUD - 1)

static volatile uint32_t uptime_ms;
static volatile uint8_t received[RECEIVED_MAX], received_in, received_out;
static uint8_t sent[SENT_MAX];
static volatile uint8_t sent_in, sent_out;

/* The watchdog stays on after the reset it made, and at its shortest: it must be set before anything else runs. */
void keep_watchdog_from_biting(void) __attribute__((naked, used, section(".init3")));
void keep_watchdog_from_biting(void)
{
    MCUSR = 0;
    wdt_enable(WDTO_250MS);
}

ISR(TIMER0_COMPA_vect) { uptime_ms++; }

ISR(USART_RX_vect)
{
    const uint8_t byte = UDR0, next = (uint8_t)((received_in + 1) % RECEIVED_MAX);
    if (next != received_out) {
        received[received_in] = byte;
        received_in = next;
    }
}

ISR(USART_UDRE_vect)
{
    if (sent_in == sent_out)
        UCSR0B &= (uint8_t)~_BV(UDRIE0);
    else
        UDR0 = sent[sent_out++];
}

void board_start(void)
{
    /* Relays, lamps and buzzer low before they are outputs. D: inputs 2 to 7. B: 0 to 2 in, 3 to 5 out. C: 0, 1 out. */
    PORTB = _BV(PB0) | _BV(PB1) | _BV(PB2);
    DDRB = _BV(PB3) | _BV(PB4) | _BV(PB5);
    PORTC = _BV(PC2) | _BV(PC3);
    DDRC = _BV(PC0) | _BV(PC1);
    PORTD = _BV(PD2) | _BV(PD3) | _BV(PD4) | _BV(PD5) | _BV(PD6) | _BV(PD7);
    DDRD = 0;
    TCCR0A = _BV(WGM01);
    TCCR0B = _BV(CS01) | _BV(CS00);
    OCR0A = TICK_TOP;
    TIMSK0 = _BV(OCIE0A);
    set_sleep_mode(SLEEP_MODE_IDLE);
    sei();
}

void board_open_port(void)
{
    UBRR0 = BAUD_DIVISOR;
    UCSR0A = 0;
    UCSR0C = _BV(UCSZ01) | _BV(UCSZ00);
    UCSR0B = _BV(RXEN0) | _BV(TXEN0) | _BV(RXCIE0);
}

uint32_t board_uptime_ms(void)
{
    uint32_t now_ms;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE) { now_ms = uptime_ms; }
    return now_ms;
}

uint16_t board_inputs(void)
{
    const uint8_t b = PINB, d = PIND;
    uint16_t found = 0;
    /* Closed loops that open: a cut wire counts as active, on the side of letting people out. */
    if (d & _BV(PD2))
        found |= GATE_INPUT_BEAM_A;
    if (d & _BV(PD3))
        found |= GATE_INPUT_BEAM_B;
    if (d & _BV(PD4))
        found |= GATE_INPUT_DOOR_OPEN;
    if (d & _BV(PD6))
        found |= GATE_INPUT_FIRE;
    if (d & _BV(PD7))
        found |= GATE_INPUT_EMERGENCY;
    if (b & _BV(PB0))
        found |= GATE_INPUT_TAMPER;
    /* Contacts that close to ground. */
    if (!(d & _BV(PD5)))
        found |= GATE_INPUT_REQUEST_TO_EXIT;
    if (!(b & _BV(PB1)))
        found |= GATE_INPUT_FAIL_OPEN;
    if (!(b & _BV(PB2)))
        found |= GATE_INPUT_PROVISIONING;
    return found;
}

uint8_t board_contacts(void)
{
    const uint8_t c = PINC;
    return (uint8_t)((c & _BV(PC2) ? 0 : GATE_OUTPUT_ENTRY_UNLOCKED) | (c & _BV(PC3) ? 0 : GATE_OUTPUT_EXIT_UNLOCKED));
}

static uint8_t pin(uint8_t outputs, uint8_t output, uint8_t bit) { return outputs & output ? (uint8_t)_BV(bit) : 0; }

void board_set_outputs(uint8_t outputs)
{
    const uint8_t b = pin(outputs, GATE_OUTPUT_ENTRY_UNLOCKED, PB3) | pin(outputs, GATE_OUTPUT_EXIT_UNLOCKED, PB4) |
                      pin(outputs, GATE_OUTPUT_LAMP_RED, PB5);
    const uint8_t c = pin(outputs, GATE_OUTPUT_LAMP_GREEN, PC0) | pin(outputs, GATE_OUTPUT_BUZZER, PC1);
    PORTB = (uint8_t)((PORTB & ~(_BV(PB3) | _BV(PB4) | _BV(PB5))) | b);
    PORTC = (uint8_t)((PORTC & ~(_BV(PC0) | _BV(PC1))) | c);
}

int16_t board_read(void)
{
    if (received_in == received_out)
        return -1;
    const uint8_t byte = received[received_out];
    received_out = (uint8_t)((received_out + 1) % RECEIVED_MAX);
    return byte;
}

bool board_write(const uint8_t *bytes, uint8_t size)
{
    const uint8_t used = (uint8_t)(sent_in - sent_out);
    if (!(UCSR0B & _BV(TXEN0)) || size > SENT_MAX - 1 - used)
        return false;
    uint8_t at = sent_in;
    for (uint8_t i = 0; i < size; i++)
        sent[at++] = bytes[i];
    /* The interrupt clears UDRIE0 by reading and writing the register: set it with interrupts off. */
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE)
    {
        sent_in = at;
        UCSR0B |= _BV(UDRIE0);
    }
    return true;
}

uint8_t board_memory_read(uint16_t at) { return eeprom_read_byte((const uint8_t *)at); }

bool board_memory_ready(void) { return eeprom_is_ready(); }

void board_memory_write(uint16_t at, uint8_t value) { eeprom_update_byte((uint8_t *)at, value); }

void board_feed_watchdog(void) { wdt_reset(); }

/* A byte that comes between the last look and this sleep waits for the next tick: a millisecond at most. */
void board_idle(void)
{
    if (received_in == received_out)
        sleep_mode();
}

int main(void)
{
    board_start();
    gate_boot();
    for (;;) {
        gate_round();
        board_idle();
    }
}
