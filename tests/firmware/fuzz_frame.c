/* Any bytes on the line: for each packet why it is ignored, or the frame in it. */
#include "frame.h"
#include "fuzz_board.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct frame_reader reader;
    struct frame frame;
    frame_reset(&reader);
    for (size_t i = 0; i < size; i++) {
        if (!frame_take(&reader, input[i]))
            continue;
        const uint8_t found = frame_decode(&reader, &frame);
        if (found != FRAME_GOOD) {
            tell("ignored %u;", found);
        } else {
            tell("frame %u %lu %lu %u ", frame.direction, (unsigned long)frame.boot_id,
                 (unsigned long)frame.counter, frame.type);
            tell_hex(frame.body, frame.body_size);
            tell(" ");
            tell_hex(frame.mac, GATE_MAC_SIZE);
            tell(";");
        }
        frame_reset(&reader);
    }
    return 0;
}
