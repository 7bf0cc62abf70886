/* SPDX-License-Identifier: MIT */
#include "bridge/history/outbox.h"

#include <stdio.h>
#include <string.h>

void outbox_changes_note(struct outbox_changes *changes, enum outbox_level level, int64_t key)
{
    if (key < changes->minimum[level])
        changes->minimum[level] = key;
}

void outbox_changes_add(struct outbox_changes *changes, const struct outbox_changes *more)
{
    for (int level = 0; level < OUTBOX_LEVELS; level++)
        outbox_changes_note(changes, (enum outbox_level)level, more->minimum[level]);
}

struct outbox *outboxes_open(struct outboxes *outboxes, const char *id, enum outbox_level level,
                             int64_t cursor)
{
    for (size_t i = 0; i < outboxes->count; i++)
        if (outboxes->list[i].level == level && strcmp(outboxes->list[i].id, id) == 0)
            return &outboxes->list[i];
    if (outboxes->count == OUTBOX_LIST_MAX || strlen(id) >= OUTBOX_ID_SIZE)
        return NULL;
    struct outbox *outbox = &outboxes->list[outboxes->count++];
    *outbox = (struct outbox){.level = level, .cursor = cursor, .floor = INT64_MAX, .dirty = true};
    (void)snprintf(outbox->id, sizeof outbox->id, "%s", id);
    return outbox;
}

/* What stands at that key, or may at a later one, is not what the sink may have got. */
static void set_back(struct outbox *outbox, int64_t least_key)
{
    if (least_key < outbox->floor)
        outbox->floor = least_key;
    if (least_key <= outbox->cursor) {
        outbox->cursor = least_key > 0 ? least_key - 1 : 0;
        outbox->dirty = true;
    }
}

void outboxes_writing(struct outboxes *outboxes, int64_t least_key)
{
    outboxes->writing = least_key;
    for (size_t i = 0; i < outboxes->count; i++)
        if (outboxes->list[i].level == OUTBOX_READINGS)
            set_back(&outboxes->list[i], least_key);
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
            if (found->list[j].level == outbox->level &&
                strcmp(found->list[j].id, outbox->id) == 0 &&
                found->list[j].cursor < outbox->cursor)
                outbox->cursor = found->list[j].cursor;
        outbox->floor = outbox->floor <= outbox->cursor ? outbox->floor : outbox->cursor + 1;
        outbox->dirty = true;
    }
}

void outboxes_changed(struct outboxes *outboxes, const struct outbox_changes *changes)
{
    for (size_t i = 0; i < outboxes->count; i++)
        set_back(&outboxes->list[i], changes->minimum[outboxes->list[i].level]);
}

int64_t outbox_begin(const struct outboxes *outboxes, struct outbox *outbox)
{
    outbox->floor = outbox->level == OUTBOX_READINGS ? outboxes->writing : INT64_MAX;
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
