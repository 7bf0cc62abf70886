/* SPDX-License-Identifier: MIT */
#include "bridge/service/first_id.h"

#include "bridge/mqtt/announced.h"

#include <stdio.h>
#include <string.h>

#define KEY "first_id"

/* It becomes a level of topics, which are also cleared: a file that was tampered with is not believed. */
static bool is_good(const char *text)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    size_t length = text == NULL ? 0 : strlen(text);
    return length > 0 && length < FIRST_ID_SIZE && strspn(text, letters) == length &&
           strcmp(text, "bridge") != 0;
}

static const char *stored(const struct preferences *preferences, const char *id)
{
    const char *text = json_string_value(preferences_get(preferences, id, KEY));
    return is_good(text) ? text : NULL;
}

static void store(struct preferences *preferences, const char *id, const char *first)
{
    (void)preferences_put(preferences, id, KEY, json_string(first), NULL);
}

void first_id_find(struct preferences *preferences, const struct hub *hub, const char *id,
                   char first[FIRST_ID_SIZE])
{
    const char *known = stored(preferences, id);
    if (known != NULL) {
        (void)snprintf(first, FIRST_ID_SIZE, "%s", known);
        return;
    }
    (void)snprintf(first, FIRST_ID_SIZE, "%s", id);
    if (!preferences_other_has(preferences, id, KEY, first))
        return;
    for (unsigned number = 2;; number++) {
        (void)snprintf(first, FIRST_ID_SIZE, "%.48s__%u", id, number);
        if (!preferences_other_has(preferences, id, KEY, first) && hub_find(hub, first) == NULL)
            break;
    }
    store(preferences, id, first);
}

void first_ids_recover(struct preferences *preferences, const char *announced_path,
                       const char *bridge_id)
{
    json_t *records = NULL, *record;
    size_t index;
    if (!preferences_are_new(preferences) ||
        announced_load(announced_path, &records, NULL) != STATUS_OK) {
        json_decref(records);
        return;
    }
    json_array_foreach(records, index, record)
    {
        const char *id = json_string_value(json_object_get(record, "id"));
        const char *first = json_string_value(json_object_get(record, "device"));
        const char *bridge = json_string_value(json_object_get(record, "bridge"));
        if (is_good(id) && is_good(first) && strcmp(bridge, bridge_id) == 0)
            store(preferences, id, first);
    }
    json_decref(records);
}

void first_id_rename(struct preferences *preferences, const char *from, const char *to)
{
    char first[FIRST_ID_SIZE];
    const char *known = stored(preferences, from);
    (void)snprintf(first, sizeof first, "%s", known != NULL ? known : from);
    preferences_rename(preferences, from, to);
    if (strcmp(first, to) == 0)
        preferences_forget(preferences, to, KEY);
    else
        store(preferences, to, first);
}

void first_id_forget(struct preferences *preferences, const char *id)
{
    preferences_forget(preferences, id, KEY);
}
