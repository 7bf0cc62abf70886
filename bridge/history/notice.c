/* SPDX-License-Identifier: MIT */
#include "bridge/history/notice.h"

#include <stdio.h>

void notice_queue_put(struct notice_queue *queue, const char *kind, const char *message)
{
    if (queue->count == NOTICE_QUEUE_MAX) {
        queue->first = (queue->first + 1) % NOTICE_QUEUE_MAX;
        queue->count--;
    }
    struct history_notice *notice = &queue->list[(queue->first + queue->count) % NOTICE_QUEUE_MAX];
    queue->count++;
    (void)snprintf(notice->kind, sizeof notice->kind, "%s", kind);
    (void)snprintf(notice->message, sizeof notice->message, "%s", message);
}

bool notice_queue_take(struct notice_queue *queue, struct history_notice *notice)
{
    if (queue->count == 0)
        return false;
    *notice = queue->list[queue->first];
    queue->first = (queue->first + 1) % NOTICE_QUEUE_MAX;
    queue->count--;
    return true;
}
