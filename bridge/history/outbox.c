/* SPDX-License-Identifier: MIT */
#include "bridge/history/outbox.h"

#include <stdio.h>
#include <string.h>

struct outbox *outboxes_open(struct outboxes *outboxes, const char *id, int64_t cursor)
{
    for (size_t i = 0; i < outboxes->count; i++)
        if (strcmp(outboxes->list[i].id, id) == 0)
            return &outboxes->list[i];
    if (outboxes->count == sizeof outboxes->list / sizeof outboxes->list[0] ||
        strlen(id) >= OUTBOX_ID_SIZE)
        return NULL;
    struct outbox *outbox = &outboxes->list[outboxes->count++];
    *outbox = (struct outbox){.cursor = cursor, .floor = INT64_MAX, .dirty = true};
    (void)snprintf(outbox->id, sizeof outbox->id, "%s", id);
    return outbox;
}

void outboxes_writing(struct outboxes *outboxes, int64_t least_key)
{
    outboxes->writing = least_key;
    for (size_t i = 0; i < outboxes->count; i++) {
        struct outbox *outbox = &outboxes->list[i];
        if (least_key < outbox->floor)
            outbox->floor = least_key;
        if (least_key <= outbox->cursor) {
            outbox->cursor = least_key - 1;
            outbox->dirty = true;
        }
    }
}

void outboxes_written(struct outboxes *outboxes)
{
    outboxes->writing = INT64_MAX;
}

void outboxes_restart(struct outboxes *outboxes, const struct outboxes *found)
{
    for (size_t i = 0; i < outboxes->count; i++) {
        struct outbox *outbox = &outboxes->list[i];
        for (size_t j = 0; j < found->count; j++)
            if (strcmp(found->list[j].id, outbox->id) == 0 &&
                found->list[j].cursor < outbox->cursor)
                outbox->cursor = found->list[j].cursor;
        outbox->floor = outbox->floor <= outbox->cursor ? outbox->floor : outbox->cursor + 1;
        outbox->dirty = true;
    }
}

int64_t outbox_begin(const struct outboxes *outboxes, struct outbox *outbox)
{
    outbox->floor = outboxes->writing;
    return outbox->cursor;
}

void outbox_done(struct outbox *outbox, int64_t cursor, int64_t refused)
{
    int64_t reached = cursor < outbox->floor ? cursor : outbox->floor - 1;
    if (reached == outbox->cursor && refused == 0)
        return;
    /* It never goes back here: what was written behind the cursor has moved it already. */
    if (reached > outbox->cursor)
        outbox->cursor = reached;
    outbox->refused += refused;
    outbox->dirty = true;
}
