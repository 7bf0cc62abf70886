/* SPDX-License-Identifier: MIT */
#include "bridge/mqtt/inbox.h"

#include "drivers/base/memory.h"

#include <string.h>

/* Thousands of modules may answer within the same moment, faster than the loop takes it; and this is what one
 * hostile client may make this process hold. */
#define INBOX_MESSAGES_MAX 65536
#define INBOX_BYTES_MAX (8U << 20)

static void append(struct inbox *inbox, struct inbox_item *item)
{
    if (inbox->last != NULL)
        inbox->last->next = item;
    else
        inbox->first = item;
    inbox->last = item;
}

bool inbox_message(struct inbox *inbox, const char *topic, const char *payload, size_t length,
                   bool retained)
{
    size_t topic_size = strlen(topic) + 1;
    size_t size = topic_size + length;
    if (inbox->messages >= INBOX_MESSAGES_MAX || size > INBOX_BYTES_MAX - inbox->bytes)
        return false;
    struct inbox_item *item = memory_new(1, sizeof *item + size);
    memcpy(item->bytes, topic, topic_size);
    if (length > 0)
        memcpy(item->bytes + topic_size, payload, length);
    item->incoming = (struct publisher_incoming){
        .kind = PUBLISHER_MESSAGE,
        .topic = item->bytes,
        .payload = item->bytes + topic_size,
        .payload_length = length,
        .retained = retained,
    };
    append(inbox, item);
    inbox->messages++;
    inbox->bytes += size;
    return true;
}

void inbox_edge(struct inbox *inbox, enum publisher_incoming_kind kind)
{
    struct inbox_item *item = memory_new(1, sizeof *item + 1);
    item->incoming = (struct publisher_incoming){.kind = kind, .topic = "", .payload = ""};
    append(inbox, item);
}

struct inbox_item *inbox_take(struct inbox *inbox)
{
    struct inbox_item *items = inbox->first;
    *inbox = (struct inbox){.first = NULL};
    return items;
}

void inbox_free_items(struct inbox_item *items)
{
    while (items != NULL) {
        struct inbox_item *next = items->next;
        free(items);
        items = next;
    }
}
