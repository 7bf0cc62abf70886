/* SPDX-License-Identifier: MIT */
#include "bridge/service/found.h"

#include "bridge/service/module_id.h"
#include "drivers/base/memory.h"
#include "drivers/base/text.h"

#include <string.h>

struct found_known {
    json_t *topics, *ids; /* sets: names as keys */
    struct module_ids *numbers;
};

struct found_known *found_known_create(const struct config *config)
{
    struct found_known *known = memory_new(1, sizeof *known);
    known->topics = json_object();
    known->ids = json_object();
    known->numbers = module_ids_create();
    for (size_t i = 0; i < config->device_count; i++) {
        const struct config_device *device = &config->devices[i];
        (void)json_object_set_new(known->ids, device->id, json_true());
        if (device->driver == DRIVER_OPENBEKEN)
            (void)json_object_set_new(known->topics, device->topic, json_true());
    }
    return known;
}

void found_known_free(struct found_known *known)
{
    if (known == NULL)
        return;
    json_decref(known->topics);
    json_decref(known->ids);
    module_ids_free(known->numbers);
    free(known);
}

static bool id_taken(void *context, const char *id)
{
    const struct found_known *known = context;
    return strcmp(id, "bridge") == 0 || json_object_get(known->ids, id) != NULL;
}

/* JSON's strings are YAML's. */
static char *quoted(const char *value)
{
    json_t *text = json_string(value);
    char *bytes = text == NULL ? NULL : json_dumps(text, JSON_ENCODE_ANY);
    json_decref(text);
    return bytes;
}

static void make_lines(const struct openbeken_found *found, const char *id, struct text *lines)
{
    char *topic memory_auto = quoted(found->client);
    text_append(lines, "  - id: %s\n    driver: openbeken\n    topic: %s\n    channels: {%s}\n", id,
                topic == NULL ? "" : topic,
                !found->chips[1]  ? "a: {}"
                : found->chips[0] ? "a: {}, b: {}"
                                  : "b: {}");
}

static const char *unit_name(enum openbeken_unit unit)
{
    return unit == OPENBEKEN_KWH ? "kWh" : "Wh";
}

static void set_text(json_t *object, const char *key, const char *value)
{
    if (value[0] != '\0')
        (void)json_object_set_new(object, key, json_string(value));
}

/* What a person should know before adopting it. */
static json_t *notes_about(const struct openbeken_found *found)
{
    json_t *notes = json_array();
    if (found->announcement_count > 0)
        (void)json_array_append_new(
            notes, json_string("It announces itself to Home Assistant: with the bridge's own "
                               "announcement its energy would be counted twice. Turn its flag 27 "
                               "off, and let its announcements be removed (--clear)."));
    if (!found->chips[0] && !found->chips[1])
        (void)json_array_append_new(
            notes, json_string("No values were received: does its autoexec.bat start the driver "
                               "(startDriver BL0942)?"));
    else if (!found->values_received)
        (void)json_array_append_new(
            notes, json_string("No fresh value was received: it is offline, its chip is silent, or "
                               "the search was too short (a value comes each minute)."));
    if (found->values_retained)
        (void)json_array_append_new(
            notes, json_string("The broker keeps old values of it (flag 7); the bridge ignores "
                               "those."));
    return notes;
}

static json_t *describe(struct found_known *known, const struct openbeken_found *found)
{
    bool configured = json_object_get(known->topics, found->client) != NULL;
    char id[MODULE_ID_SIZE], buffer[512];
    struct text lines;
    json_t *module = json_pack("{s:s, s:b, s:b, s:b, s:b, s:I, s:o}", "topic", found->client,
                               "configured", configured, "chip_a", found->chips[0], "chip_b",
                               found->chips[1], "flag_30", found->speaks_tele, "announcements",
                               (json_int_t)found->announcement_count, "notes", notes_about(found));
    if (module == NULL)
        return NULL;
    set_text(module, "name", found->name);
    set_text(module, "long_name", found->long_name);
    set_text(module, "chipset", found->chipset);
    set_text(module, "page", found->page);
    set_text(module, "build", found->build);
    if (found->connected_known)
        (void)json_object_set_new(module, "online", json_boolean(found->connected));
    if (found->unit != OPENBEKEN_UNIT_UNKNOWN)
        set_text(module, "energy_unit", unit_name(found->unit));
    if (configured)
        return module;
    module_ids_make(known->numbers, found->client, id_taken, known, id);
    (void)json_object_set_new(known->ids, id, json_true());
    text_init(&lines, buffer, sizeof buffer);
    make_lines(found, id, &lines);
    set_text(module, "id", id);
    set_text(module, "config", buffer);
    return module;
}

static void add_modules(struct found_known *known, const struct openbeken_finder *finder,
                        bool configured, size_t modules_max, json_t *modules, size_t *left_out)
{
    for (size_t i = 0; i < openbeken_finder_count(finder); i++) {
        const struct openbeken_found *found = openbeken_finder_get(finder, i);
        bool is_configured = json_object_get(known->topics, found->client) != NULL;
        if (!found->is_module || is_configured != configured)
            continue;
        if (modules_max > 0 && json_array_size(modules) >= modules_max)
            (*left_out)++;
        else
            (void)json_array_append_new(modules, describe(known, found));
    }
}

json_t *found_modules(struct found_known *known, const struct openbeken_finder *finder,
                      size_t modules_max, size_t *left_out)
{
    json_t *modules = json_array();
    *left_out = 0;
    add_modules(known, finder, false, modules_max, modules, left_out);
    add_modules(known, finder, true, modules_max, modules, left_out);
    return modules;
}
