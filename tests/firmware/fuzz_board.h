/* A board without a world for the fuzz harnesses: memory in an array, and what is sent handed to `on_sent`.
 *
 * With -DREPLAY the harness is a program that reads inputs named on its command line and tells, one line each, what
 * it made of them: the Python side does the same, and both must agree. Without, libFuzzer drives it. */
#ifndef FUZZ_BOARD_H
#define FUZZ_BOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

/* Part of the line that is told of the input; nothing under libFuzzer. */
void tell(const char *format, ...);
void tell_hex(const uint8_t *bytes, size_t size);

#endif
