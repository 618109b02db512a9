/* The controller's end of the line: checks in, frames out, and events kept until acknowledged; PROTOCOL.md 2 to 4. */
#ifndef LINE_H
#define LINE_H

#include <stdbool.h>
#include <stdint.h>

#include "auth.h"

/* What `line_take` says when there is no message; no message has this type. */
#define LINE_NOTHING 0

/* Forgets everything; `keys` may be NULL, then only PROVISION is taken. */
void line_start(uint32_t boot_id, const struct gate_keys *keys);

/* Takes one byte. The type of a message that counts and is the gate's to deal with, or LINE_NOTHING:
 * HELLO and ACKNOWLEDGE are dealt with here. */
uint8_t line_take(uint8_t byte, uint32_t now_ms);

/* Whether the byte just taken ended a packet: a round of the main loop deals with one. */
bool line_ended_packet(void);

/* The body of the message just taken. */
const uint8_t *line_received(void);

/* Where to write the body of the next message to send; room for GATE_BODY_MAX bytes. */
uint8_t *line_body(void);

/* Sends that body; a frame that finds no room is lost, and its counter with it. */
void line_send(uint8_t type, uint8_t size);

/* Sends that body as PROVISIONED, which belongs to no boot. */
void line_send_provisioned(void);

/* Keeps an event until it is acknowledged; `passage_id` and `code` for the types that have them, or NULL, 0. */
void line_report(uint8_t type, const uint8_t *passage_id, uint8_t code, uint32_t now_ms);

/* Sends the oldest event again if it is due. */
void line_repeat(uint32_t now_ms);

uint8_t line_events_waiting(void);
uint16_t line_events_dropped(void);

/* Frames ignored for a GATE_IGNORED_ reason. */
uint16_t line_ignored(uint8_t reason);

#endif
