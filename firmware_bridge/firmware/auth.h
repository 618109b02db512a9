/* The MAC of a frame: SipHash-2-4, PROTOCOL.md 3. */
#ifndef AUTH_H
#define AUTH_H

#include <stdbool.h>
#include <stdint.h>

#include "gate_protocol.h"

struct gate_keys {
    uint8_t to_controller[GATE_LINE_KEY_SIZE];
    uint8_t to_host[GATE_LINE_KEY_SIZE];
};

/* The 8 bytes of SipHash-2-4 of a text of at most 255 bytes. */
void auth_mac(const uint8_t key[GATE_LINE_KEY_SIZE], const uint8_t *text, uint8_t size,
              uint8_t mac[GATE_MAC_SIZE]);

/* Whether the MAC is the text's; takes as long for a wrong one as for a right one. */
bool auth_is_genuine(const uint8_t key[GATE_LINE_KEY_SIZE], const uint8_t *text, uint8_t size,
                     const uint8_t mac[GATE_MAC_SIZE]);

/* Whether a key is sixteen zero bytes, which is no key. */
bool auth_is_zero(const uint8_t key[GATE_LINE_KEY_SIZE]);

#endif
