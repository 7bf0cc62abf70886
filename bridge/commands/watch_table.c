/* SPDX-License-Identifier: MIT */
#include "bridge/commands/watch_table.h"

#include "bridge/options/layout.h"
#include "drivers/base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DEVICES_MAX = 8192, NAME_SIZE = 64, VALUE_SIZE = 24 };

struct device {
    char id[NAME_SIZE], name[NAME_SIZE];
    char availability[16]; /* "" not known */
    json_t *state;         /* NULL: not published yet */
    int64_t at_ms;         /* boot clock, of the state */
};

struct watch_table {
    struct device *devices;
    size_t count, capacity;
    char bridge[16];
};

/* In the order in which they stand in a line. */
static const struct {
    const char *property, *title;
    int width, decimals;
} columns[] = {
    {"voltage", "V", 6, 1},
    {"current", "A", 8, 3},
    {"power", "W", 9, 1},
    {"energy", "kWh", 10, 3},
    {"energy_produced", "fed back", 10, 3},
};
enum { COLUMNS = sizeof columns / sizeof columns[0] };

struct watch_table *watch_table_new(void)
{
    return memory_new(1, sizeof(struct watch_table));
}

void watch_table_free(struct watch_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        json_decref(table->devices[i].state);
    free(table->devices);
    free(table);
}

/* ---- what is known ---- */

/* NULL: there are too many. */
static struct device *find(struct watch_table *table, const char *id)
{
    for (size_t i = 0; i < table->count; i++)
        if (strcmp(table->devices[i].id, id) == 0)
            return &table->devices[i];
    if (table->count == DEVICES_MAX || strlen(id) >= NAME_SIZE)
        return NULL;
    table->devices =
        memory_grow(table->devices, table->count, &table->capacity, sizeof *table->devices);
    struct device *device = &table->devices[table->count++];
    *device = (struct device){.state = NULL};
    (void)snprintf(device->id, NAME_SIZE, "%s", id);
    (void)snprintf(device->name, NAME_SIZE, "%s", id);
    return device;
}

void watch_table_devices(struct watch_table *table, const json_t *devices)
{
    size_t index;
    const json_t *one;
    json_array_foreach(devices, index, one)
    {
        const char *id = json_string_value(json_object_get(one, "id"));
        const char *name = json_string_value(json_object_get(one, "friendly_name"));
        struct device *device = id != NULL ? find(table, id) : NULL;
        if (device != NULL && name != NULL && name[0] != '\0')
            (void)snprintf(device->name, NAME_SIZE, "%.60s", name);
    }
}

void watch_table_bridge(struct watch_table *table, const char *state)
{
    (void)snprintf(table->bridge, sizeof table->bridge, "%.15s", state != NULL ? state : "");
}

void watch_table_state(struct watch_table *table, const char *id, json_t *state, int64_t now_ms)
{
    struct device *device = json_is_object(state) ? find(table, id) : NULL;
    if (device == NULL)
        return;
    json_decref(device->state);
    device->state = json_incref(state);
    device->at_ms = now_ms;
}

void watch_table_availability(struct watch_table *table, const char *id, const char *state)
{
    struct device *device = find(table, id);
    if (device != NULL)
        (void)snprintf(device->availability, sizeof device->availability, "%.15s",
                       state != NULL ? state : "");
}

size_t watch_table_count(const struct watch_table *table)
{
    size_t count = 0;
    for (size_t i = 0; i < table->count; i++)
        count += table->devices[i].state != NULL ? 1 : 0;
    return count;
}

size_t watch_table_waiting(const struct watch_table *table)
{
    size_t count = 0;
    for (size_t i = 0; i < table->count; i++) {
        const struct device *device = &table->devices[i];
        count += device->state == NULL && strcmp(device->availability, "offline") != 0 ? 1 : 0;
    }
    return count;
}

/* ---- printing ---- */

/* Ends the line on a terminal, where something longer may stand from before. */
static void end_line(bool in_place)
{
    (void)fputs(in_place ? "\033[K\n" : "\n", stdout);
}

static void print_value(const json_t *value, size_t column)
{
    char text[VALUE_SIZE] = "-";
    if (json_is_number(value))
        (void)snprintf(text, sizeof text, "%.*f", columns[column].decimals,
                       json_number_value(value));
    (void)printf(" %*s", columns[column].width, text);
}

/* Channels are the suffixes of the voltage, which no other property's name begins with. A device with
 * one channel has none; with several, the power without a suffix is that of their sum. */
static bool channel_of(const json_t *state, const char *key, char *channel, size_t size)
{
    static const char measured[] = "voltage";
    const size_t length = sizeof measured - 1;
    channel[0] = '\0';
    if (strcmp(key, "power") == 0)
        return json_object_get(state, measured) == NULL;
    if (strncmp(key, measured, length) != 0 || (key[length] != '\0' && key[length] != '_'))
        return false;
    (void)snprintf(channel, size, "%.20s", key[length] == '_' ? key + length + 1 : "");
    return true;
}

static void print_label(const struct device *device, const char *channel, int room)
{
    char label[2 * NAME_SIZE];
    (void)snprintf(label, sizeof label, "%s%s%s", device->name, *channel == '\0' ? "" : " ",
                   channel);
    int columns_wide = layout_columns(label);
    (void)printf("%.*s%*s", (int)(columns_wide > room ? (size_t)room : strlen(label)), label,
                 columns_wide < room ? room - columns_wide : 0, "");
}

static void print_channel(const struct device *device, const char *channel, int room, bool in_place,
                          int64_t now_ms)
{
    char key[80];
    print_label(device, channel, room);
    for (size_t i = 0; i < COLUMNS; i++) {
        (void)snprintf(key, sizeof key, "%s%s%s", columns[i].property, *channel == '\0' ? "" : "_",
                       channel);
        print_value(json_object_get(device->state, key), i);
    }
    if (strcmp(device->availability, "offline") == 0)
        (void)printf("  offline");
    else if (json_is_true(json_object_get(device->state, "data_problem")))
        (void)printf("  problem");
    else
        (void)printf("  %4" PRId64 " s", (now_ms - device->at_ms) / 1000);
    end_line(in_place);
}

static void print_device(const struct device *device, int room, bool in_place, int64_t now_ms)
{
    const char *key;
    json_t *value;
    char channel[24];
    if (device->state == NULL) {
        print_label(device, "", room);
        (void)printf("  %s",
                     device->availability[0] != '\0' ? device->availability : "no state yet");
        end_line(in_place);
        return;
    }
    json_object_foreach(device->state, key, value)
    {
        if (channel_of(device->state, key, channel, sizeof channel))
            print_channel(device, channel, room, in_place, now_ms);
    }
    const char *problem = json_string_value(json_object_get(device->state, "problem_text"));
    if (problem != NULL)
        layout_wrap(stdout, problem, 0, 4, layout_terminal_width(STDOUT_FILENO) - 1);
}

void watch_table_print(const struct watch_table *table, bool in_place, bool connected,
                       int64_t now_ms)
{
    int used = 8; /* the last column */
    for (size_t i = 0; i < COLUMNS; i++)
        used += 1 + columns[i].width;
    int room = layout_terminal_width(STDOUT_FILENO) - 1 - used;
    room = room < 10 ? 10 : room > 30 ? 30 : room;
    if (in_place)
        (void)fputs("\033[H", stdout);
    (void)printf("%-*s", room, "channel");
    for (size_t i = 0; i < COLUMNS; i++)
        (void)printf(" %*s", columns[i].width, columns[i].title);
    (void)printf("  %6s", "age");
    end_line(in_place);
    for (size_t i = 0; i < table->count; i++)
        print_device(&table->devices[i], room, in_place, now_ms);
    if (!connected)
        (void)puts("The connection to the broker is lost; it is tried again.");
    else if (strcmp(table->bridge, "online") != 0)
        (void)printf("The service is %s.\n",
                     table->bridge[0] != '\0' ? table->bridge : "not there");
    else if (in_place)
        (void)puts("Ctrl-C ends this.");
    if (in_place)
        (void)fputs("\033[J", stdout); /* what stands below is from a longer table */
    (void)fflush(stdout);
}

void watch_print_json(const char *device, json_t *state)
{
    json_t *line = json_pack("{s:s, s:O}", "device", device, "state", state);
    char *text memory_auto = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(12));
    json_decref(line);
    if (text != NULL && puts(text) != EOF)
        (void)fflush(stdout);
}
