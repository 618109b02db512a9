#include "host.h"

bool queue_put(struct host_queue *queue, const uint8_t *bytes, uint32_t size)
{
    if (queue->size + size > HOST_QUEUE_MAX)
        return false;
    for (uint32_t i = 0; i < size; i++)
        queue->bytes[(queue->first + queue->size + i) % HOST_QUEUE_MAX] = bytes[i];
    queue->size += size;
    return true;
}

int16_t queue_take(struct host_queue *queue)
{
    if (queue->size == 0)
        return -1;
    const uint8_t byte = queue->bytes[queue->first];
    queue->first = (queue->first + 1) % HOST_QUEUE_MAX;
    queue->size--;
    return byte;
}
