/* SPDX-License-Identifier: MIT */
#include "bridge/service/module_id.h"

#include "drivers/base/memory.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define NUMBER_MAX 99999
#define NUMBER_SIZE 6 /* "_99999" */

struct module_ids {
    json_t *next; /* word -> the number to try next */
};

struct module_ids *module_ids_create(void)
{
    struct module_ids *ids = memory_new(1, sizeof *ids);
    ids->next = json_object();
    return ids;
}

void module_ids_free(struct module_ids *ids)
{
    if (ids != NULL)
        json_decref(ids->next);
    free(ids);
}

static void make_stem(const char *client, char stem[MODULE_ID_SIZE - NUMBER_SIZE])
{
    const char *slash = strrchr(client, '/');
    const char *word = slash == NULL ? client : slash + 1;
    size_t length = 0;
    for (; *word != '\0' && length < MODULE_ID_SIZE - NUMBER_SIZE - 1; word++) {
        char c = *word >= 'A' && *word <= 'Z' ? (char)(*word - 'A' + 'a') : *word;
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
        stem[length++] = plain ? c : '_';
    }
    stem[length] = '\0';
    if (length == 0)
        (void)snprintf(stem, MODULE_ID_SIZE - NUMBER_SIZE, "module");
}

void module_ids_make(struct module_ids *ids, const char *client,
                     bool (*is_taken)(void *context, const char *id), void *context,
                     char id[MODULE_ID_SIZE])
{
    char stem[MODULE_ID_SIZE - NUMBER_SIZE];
    make_stem(client, stem);
    (void)snprintf(id, MODULE_ID_SIZE, "%s", stem);
    if (!is_taken(context, id))
        return;
    const json_t *next = json_object_get(ids->next, stem);
    int number = next == NULL ? 2 : (int)json_integer_value(next);
    do
        (void)snprintf(id, MODULE_ID_SIZE, "%s_%d", stem, number++);
    while (number <= NUMBER_MAX && is_taken(context, id));
    (void)json_object_set_new(ids->next, stem, json_integer(number));
}
