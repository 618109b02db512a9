/* A key, then a text: its MAC, that it is genuine, and that no MAC with a bit wrong is. */
#include <stdlib.h>
#include <string.h>

#include "auth.h"
#include "fuzz_board.h"

enum { TEXT_MAX = 255 };

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    uint8_t mac[GATE_MAC_SIZE];
    if (size < GATE_LINE_KEY_SIZE || size > GATE_LINE_KEY_SIZE + TEXT_MAX)
        return 0;
    const uint8_t *text = input + GATE_LINE_KEY_SIZE;
    const uint8_t text_size = (uint8_t)(size - GATE_LINE_KEY_SIZE);
    auth_mac(input, text, text_size, mac);
    tell_hex(mac, sizeof mac);
    if (!auth_is_genuine(input, text, text_size, mac))
        abort();
    for (unsigned bit = 0; bit < 8 * GATE_MAC_SIZE; bit++) {
        mac[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (auth_is_genuine(input, text, text_size, mac))
            abort();
        mac[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    return 0;
}
