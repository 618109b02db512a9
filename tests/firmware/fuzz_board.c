#include "fuzz_board.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "board.h"

static uint8_t memory[BOARD_MEMORY_SIZE];

void board_start(void) { memset(memory, 0xff, sizeof memory); }
void board_open_port(void) {}
uint32_t board_uptime_ms(void) { return 0; }
uint16_t board_inputs(void) { return 0; }
uint8_t board_contacts(void) { return 0; }
void board_set_outputs(uint8_t outputs) { (void)outputs; }
int16_t board_read(void) { return -1; }
uint8_t board_memory_read(uint16_t at) { return memory[at]; }
bool board_memory_ready(void) { return true; }
void board_memory_write(uint16_t at, uint8_t value) { memory[at] = value; }
void board_feed_watchdog(void) {}

bool board_write(const uint8_t *bytes, uint8_t size)
{
    tell_hex(bytes, size);
    return true;
}

void tell(const char *format, ...)
{
#ifdef REPLAY
    va_list words;
    va_start(words, format);
    vprintf(format, words);
    va_end(words);
#else
    (void)format;
#endif
}

void tell_hex(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        tell("%02x", bytes[i]);
}

#ifdef REPLAY
enum { INPUT_MAX = 4096 };

int main(int count, char **paths)
{
    for (int i = 1; i < count; i++) {
        uint8_t bytes[INPUT_MAX];
        FILE *file = fopen(paths[i], "rb");
        if (file == NULL)
            return perror(paths[i]), 2;
        const size_t size = fread(bytes, 1, sizeof bytes, file);
        fclose(file);
        /* Of exactly its size, so that the sanitizer sees a byte read past it. */
        uint8_t *input = malloc(size ? size : 1);
        memcpy(input, bytes, size);
        LLVMFuzzerTestOneInput(input, size);
        free(input);
        printf("\n");
    }
    return 0;
}
#endif
