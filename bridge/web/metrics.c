/* SPDX-License-Identifier: MIT */
#include "bridge/web/metrics.h"

#include "drivers/base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- names ---- */

/* OpenMetrics wants units as words at the end of the name. */
static const char *unit_word(const char *unit)
{
    static const char *const words[][2] = {
        {"V", "volts"},   {"A", "amperes"}, {"W", "watts"}, {"VA", "volt_amperes"}, {"var", "vars"},
        {"%", "percent"}, {"Hz", "hertz"},  {"kWh", "kwh"}, {"s", "seconds"},
    };
    for (size_t i = 0; unit != NULL && i < sizeof words / sizeof words[0]; i++)
        if (strcmp(words[i][0], unit) == 0)
            return words[i][1];
    return NULL;
}

static bool is_counter(const struct property *property)
{
    return property->state_class != NULL && strcmp(property->state_class, "total_increasing") == 0;
}

/* A label's value: names come from people. */
static void write_label(FILE *out, const char *value)
{
    for (; *value != '\0'; value++) {
        if (*value == '"' || *value == '\\')
            (void)fputc('\\', out);
        if (*value == '\n')
            (void)fputs("\\n", out);
        else
            (void)fputc(*value, out);
    }
}

static void write_family(FILE *out, const char *name, const char *type, const char *unit,
                         const char *help)
{
    (void)fprintf(out, "# TYPE %s %s\n", name, type);
    if (unit != NULL)
        (void)fprintf(out, "# UNIT %s %s\n", name, unit);
    (void)fprintf(out, "# HELP %s ", name);
    write_label(out, help);
    (void)fputc('\n', out);
}

/* ---- properties ---- */

/* The states of all devices as JSON, parsed once. */
struct states {
    const struct hub *hub;
    size_t count;
    json_t **list;
};

static void read_states(struct states *states, const struct hub *hub)
{
    char *buffer memory_auto = memory_new(HUB_STATE_SIZE, 1);
    states->hub = hub;
    states->count = hub_device_count(hub);
    states->list = memory_new(states->count + 1, sizeof(json_t *));
    for (size_t i = 0; i < states->count; i++) {
        struct text text;
        text_init(&text, buffer, HUB_STATE_SIZE);
        if (hub_state_json(hub_device_at(hub, i), &text))
            states->list[i] = json_loadb(buffer, text.length, 0, NULL);
    }
}

static void free_states(struct states *states)
{
    for (size_t i = 0; i < states->count; i++)
        json_decref(states->list[i]);
    free(states->list);
}

static bool number_of(const json_t *value, double *number)
{
    if (json_is_boolean(value))
        *number = json_is_true(value) ? 1 : 0;
    else if (json_is_number(value))
        *number = json_number_value(value);
    else
        return false;
    return true;
}

struct sample_line {
    FILE *out;
    const char *family;
    const char *suffix; /* "_total" of a counter */
};

static void write_sample(const struct sample_line *line, const char *device, const char *channel,
                         double value)
{
    (void)fprintf(line->out, "%s%s{device=\"", line->family, line->suffix);
    write_label(line->out, device);
    if (channel != NULL) {
        (void)fputs("\",channel=\"", line->out);
        write_label(line->out, channel);
    }
    (void)fprintf(line->out, "\"} %.12g\n", value);
}

static void write_device(const struct sample_line *line, const struct property *property,
                         const struct device_description *device, const json_t *state)
{
    char key[PROPERTY_KEY_SIZE];
    double value;
    if (property->scope == PROPERTY_ALARM)
        return;
    if (property->scope == PROPERTY_DEVICE) {
        if (property_key(property, device, -1, key, sizeof key) &&
            number_of(json_object_get(state, key), &value))
            write_sample(line, device->id, NULL, value);
        return;
    }
    for (size_t i = 0; i < device->channel_count; i++)
        if (property_key(property, device, (int)i, key, sizeof key) &&
            number_of(json_object_get(state, key), &value))
            write_sample(line, device->id, device->channel_names[i], value);
}

/* Whether any device knows a number for it. */
static bool is_numeric(const struct property *property)
{
    return property->unit != NULL || property->state_class != NULL ||
           property->platform == PLATFORM_BINARY_SENSOR;
}

static void write_property(FILE *out, const struct states *states, const struct property *property)
{
    if (!is_numeric(property))
        return;
    const char *unit = unit_word(property->unit);
    char family[96];
    (void)snprintf(family, sizeof family, "bl2mqtt_%s%s%s", property->name, unit == NULL ? "" : "_",
                   unit == NULL ? "" : unit);
    write_family(out, family, is_counter(property) ? "counter" : "gauge", unit,
                 property->description);
    const struct sample_line line = {
        .out = out, .family = family, .suffix = is_counter(property) ? "_total" : ""};
    for (size_t i = 0; i < states->count; i++)
        write_device(&line, property, hub_device_description(hub_device_at(states->hub, i)),
                     states->list[i]);
}

/* ---- devices and the process ---- */

static void write_devices(FILE *out, const struct hub *hub)
{
    struct sample_line line = {.out = out, .family = "bl2mqtt_online", .suffix = ""};
    write_family(out, line.family, "gauge", NULL, "Whether the device answers");
    for (size_t i = 0; i < hub_device_count(hub); i++) {
        const struct hub_device *device = hub_device_at(hub, i);
        write_sample(&line, hub_device_description(device)->id, NULL,
                     hub_device_online(device) ? 1 : 0);
    }
    line.family = "bl2mqtt_last_seen_timestamp_seconds";
    write_family(out, line.family, "gauge", "seconds", "Time of the last good reading");
    for (size_t i = 0; i < hub_device_count(hub); i++) {
        const struct hub_device *device = hub_device_at(hub, i);
        int64_t seen_ms = hub_device_state(device)->last_seen_wall_ms;
        if (seen_ms > 0)
            (void)fprintf(out, "%s{device=\"%s\"} %" PRId64 ".%03d\n", line.family,
                          hub_device_description(device)->id, seen_ms / 1000,
                          (int)(seen_ms % 1000));
    }
}

static void write_process(FILE *out, const struct metrics_process *process)
{
    write_family(out, "bl2mqtt", "info", NULL, "The running version");
    (void)fputs("bl2mqtt_info{version=\"", out);
    write_label(out, process->version);
    (void)fputs("\"} 1\n", out);
    write_family(out, "bl2mqtt_uptime_seconds", "gauge", "seconds", "Time since the start");
    (void)fprintf(out, "bl2mqtt_uptime_seconds %.3f\n", process->uptime_s);
    write_family(out, "bl2mqtt_resident_memory_bytes", "gauge", "bytes", "Memory in use");
    (void)fprintf(out, "bl2mqtt_resident_memory_bytes %.0f\n", process->memory_bytes);
}

char *metrics_text(const struct hub *hub, const struct metrics_process *process, size_t *length)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, length);
    if (out == NULL)
        return NULL;
    struct states states;
    read_states(&states, hub);
    for (size_t i = 0; i < property_count; i++)
        write_property(out, &states, &properties[i]);
    free_states(&states);
    write_devices(out, hub);
    write_process(out, process);
    (void)fputs("# EOF\n", out);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}
