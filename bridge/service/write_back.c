/* SPDX-License-Identifier: MIT */
#include "bridge/service/write_back.h"

#include "drivers/base/clock.h"
#include "drivers/base/memory.h"

#include <string.h>

#define PAUSE_MS 1000 /* between two changes of the file */

struct waiter {
    struct waiter *next;
    write_back_done done;
    void *context;
};

/* What is to be written of one device, or of the file as a whole. */
struct entry {
    struct entry *next;
    char *device; /* NULL: none */
    bool alone;
    json_t *options;
    struct waiter *waiters;
};

/* Entries that share a change of the file, on their way. */
struct round {
    struct round *next;
    struct write_back *owner;
    struct entry *entries;
};

struct write_back {
    uv_timer_t timer;
    struct settings *settings;
    struct entry *waiting, **end;
    struct round *rounds; /* submitted */
    bool armed;
    int64_t next_ms; /* boot clock: not before, the file is changed again */
};

struct write_back *write_back_create(uv_loop_t *loop, struct settings *settings)
{
    struct write_back *write_back = memory_new(1, sizeof *write_back);
    write_back->settings = settings;
    write_back->end = &write_back->waiting;
    (void)uv_timer_init(loop, &write_back->timer);
    write_back->timer.data = write_back;
    return write_back;
}

static void free_entries(struct entry *entry)
{
    for (struct entry *next; entry != NULL; entry = next) {
        next = entry->next;
        for (struct waiter *waiter = entry->waiters, *after; waiter != NULL; waiter = after) {
            after = waiter->next;
            free(waiter);
        }
        json_decref(entry->options);
        free(entry->device);
        free(entry);
    }
}

/* ---- rounds ---- */

static void end_entry(const struct entry *entry, enum status status, const struct error *error)
{
    for (const struct waiter *waiter = entry->waiters; waiter != NULL; waiter = waiter->next)
        waiter->done(waiter->context, entry->device, entry->options, status, error);
}

static void begin_round(struct write_back *write_back, struct entry *entries);

/* One of a device that has just left, or a value that does not go with the others', takes nobody along. */
static void take_apart(struct write_back *write_back, struct entry *entries)
{
    for (struct entry *entry = entries, *next; entry != NULL; entry = next) {
        next = entry->next;
        entry->next = NULL;
        begin_round(write_back, entry);
    }
}

static void on_done(void *context, enum status status, const struct settings_result *result,
                    const struct error *error)
{
    (void)result;
    struct round *round = context;
    struct write_back *write_back = round->owner;
    struct entry *entries = round->entries;
    struct round **at = &write_back->rounds;
    while (*at != round)
        at = &(*at)->next;
    *at = round->next;
    free(round);
    if (status != STATUS_OK && entries->next != NULL) {
        take_apart(write_back, entries);
        return;
    }
    for (const struct entry *entry = entries; entry != NULL; entry = entry->next)
        end_entry(entry, status, error);
    free_entries(entries);
}

/* A piece of bridge.yaml with all of them; of a device alone, a piece of its block. */
static json_t *piece_of(const struct entry *entries)
{
    if (entries->next == NULL)
        return json_deep_copy(entries->options);
    json_t *piece = json_object(), *devices = json_object();
    for (const struct entry *entry = entries; entry != NULL; entry = entry->next)
        if (entry->device == NULL)
            (void)json_object_update(piece, entry->options);
        else
            (void)json_object_set(devices, entry->device, entry->options);
    if (json_object_size(devices) > 0)
        (void)json_object_set(piece, "devices", devices);
    json_decref(devices);
    json_t *copy = json_deep_copy(piece);
    json_decref(piece);
    return copy;
}

/* Takes the entries. */
static void begin_round(struct write_back *write_back, struct entry *entries)
{
    struct round *round = memory_new(1, sizeof *round);
    *round = (struct round){.owner = write_back, .entries = entries, .next = write_back->rounds};
    const struct settings_change change = {
        .kind = SETTINGS_OPTIONS,
        .device = entries->next == NULL ? entries->device : NULL,
        .value = piece_of(entries),
        .done = on_done,
        .context = round,
    };
    struct error error = {""};
    write_back->rounds = round;
    enum status status = settings_submit(write_back->settings, &change, &error);
    if (status == STATUS_OK)
        return;
    write_back->rounds = round->next;
    free(round);
    for (const struct entry *entry = entries; entry != NULL; entry = entry->next)
        end_entry(entry, status, &error);
    free_entries(entries);
}

static void on_timer(uv_timer_t *timer)
{
    struct write_back *write_back = timer->data;
    struct entry *shared = NULL, **end = &shared;
    struct entry *entry = write_back->waiting;
    write_back->waiting = NULL;
    write_back->end = &write_back->waiting;
    write_back->armed = false;
    write_back->next_ms = clock_boot_ms() + PAUSE_MS;
    for (struct entry *next; entry != NULL; entry = next) {
        next = entry->next;
        entry->next = NULL;
        if (entry->alone) {
            begin_round(write_back, entry);
            continue;
        }
        *end = entry;
        end = &entry->next;
    }
    if (shared != NULL)
        begin_round(write_back, shared);
}

/* ---- what comes ---- */

static bool same_device(const struct entry *entry, const char *device)
{
    return device == NULL || entry->device == NULL ? entry->device == device
                                                   : strcmp(entry->device, device) == 0;
}

static struct entry *find_entry(struct write_back *write_back, const char *device)
{
    for (struct entry *entry = write_back->waiting; entry != NULL; entry = entry->next)
        if (same_device(entry, device))
            return entry;
    struct entry *entry = memory_new(1, sizeof *entry);
    entry->device = device == NULL ? NULL : memory_copy_text(device);
    entry->options = json_object();
    *write_back->end = entry;
    write_back->end = &entry->next;
    return entry;
}

static void add_waiter(struct entry *entry, write_back_done done, void *context)
{
    struct waiter **at = &entry->waiters;
    for (; *at != NULL; at = &(*at)->next)
        if ((*at)->done == done && (*at)->context == context)
            return;
    *at = memory_new(1, sizeof **at);
    **at = (struct waiter){.done = done, .context = context};
}

void write_back_put(struct write_back *write_back, const char *device, bool alone, json_t *options,
                    write_back_done done, void *context)
{
    struct entry *entry = find_entry(write_back, device);
    entry->alone = alone;
    (void)json_object_update_recursive(entry->options, options);
    json_decref(options);
    add_waiter(entry, done, context);
    if (write_back->armed)
        return;
    int64_t delay_ms = write_back->next_ms - clock_boot_ms();
    write_back->armed = true;
    (void)uv_timer_start(&write_back->timer, on_timer, delay_ms > 0 ? (uint64_t)delay_ms : 0, 0);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void write_back_close(struct write_back *write_back)
{
    if (write_back == NULL)
        return;
    free_entries(write_back->waiting);
    for (struct round *round = write_back->rounds, *next; round != NULL; round = next) {
        next = round->next;
        free_entries(round->entries);
        free(round);
    }
    uv_close((uv_handle_t *)&write_back->timer, on_closed);
}
