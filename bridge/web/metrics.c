/* SPDX-License-Identifier: MIT */
#include "bridge/web/metrics.h"

#include "drivers/base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- what the client wants ---- */

/* "0.75": 750. What is none counts as 0. */
static int thousandths(const char *text)
{
    int value = *text == '1' ? 1000 : 0, unit = 100;
    if (*text != '\0' && text[1] == '.')
        for (text += 2; *text >= '0' && *text <= '9' && unit > 0; text++, unit /= 10)
            value += (*text - '0') * unit;
    return value < 1000 ? value : 1000;
}

/* The weight of a type in an Accept header, in thousandths; -1: it is not named. */
static int weight_of(const char *accept, const char *type)
{
    size_t length = strlen(type);
    for (const char *at = accept; *at != '\0'; at += strcspn(at, ","), at += *at == ',') {
        at += strspn(at, " \t");
        size_t word = strcspn(at, ",; \t");
        if (word != length || strncasecmp(at, type, length) != 0)
            continue;
        const char *end = at + strcspn(at, ",");
        const char *mark = strstr(at, ";q=");
        mark = mark != NULL ? mark : strstr(at, "; q=");
        return mark == NULL || mark >= end ? 1000 : thousandths(strchr(mark, '=') + 1);
    }
    return -1;
}

enum metrics_format metrics_format_for(const char *accept)
{
    if (accept == NULL)
        return METRICS_OPEN;
    int open = weight_of(accept, "application/openmetrics-text");
    int plain = weight_of(accept, "text/plain");
    if (open < 0)
        return plain > 0 ? METRICS_TEXT : METRICS_OPEN;
    return open > 0 && open >= plain ? METRICS_OPEN : METRICS_TEXT;
}

const char *metrics_type(enum metrics_format format)
{
    return format == METRICS_OPEN ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                  : "text/plain; version=0.0.4; charset=utf-8";
}

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

/* The document that is being written. */
struct document {
    FILE *out;
    enum metrics_format format;
};

/* Names come from people. OpenMetrics escapes quotation marks in help, too; the older format must not. */
static void write_escaped(FILE *out, const char *value, bool quotes)
{
    for (; *value != '\0'; value++) {
        if (*value == '\\' || (*value == '"' && quotes))
            (void)fputc('\\', out);
        if (*value == '\n')
            (void)fputs("\\n", out);
        else
            (void)fputc(*value, out);
    }
}

static void write_label(FILE *out, const char *value)
{
    write_escaped(out, value, true);
}

/* A counter's family is named without _total in OpenMetrics, and with it in the older format, which has neither
 * units nor the type info. */
static void write_family(const struct document *document, const char *name, const char *type,
                         const char *unit, const char *help)
{
    bool open = document->format == METRICS_OPEN;
    const char *suffix = "";
    if (!open && strcmp(type, "counter") == 0)
        suffix = "_total";
    if (!open && strcmp(type, "info") == 0) {
        suffix = "_info";
        type = "gauge";
    }
    (void)fprintf(document->out, "# TYPE %s%s %s\n", name, suffix, type);
    if (open && unit != NULL)
        (void)fprintf(document->out, "# UNIT %s %s\n", name, unit);
    (void)fprintf(document->out, "# HELP %s%s ", name, suffix);
    write_escaped(document->out, help, open);
    (void)fputc('\n', document->out);
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

static void write_property(const struct document *document, const struct states *states,
                           const struct property *property)
{
    if (!is_numeric(property))
        return;
    const char *unit = unit_word(property->unit);
    char family[96];
    (void)snprintf(family, sizeof family, "bl2mqtt_%s%s%s", property->name, unit == NULL ? "" : "_",
                   unit == NULL ? "" : unit);
    write_family(document, family, is_counter(property) ? "counter" : "gauge", unit,
                 property->description);
    const struct sample_line line = {
        .out = document->out, .family = family, .suffix = is_counter(property) ? "_total" : ""};
    for (size_t i = 0; i < states->count; i++)
        write_device(&line, property, hub_device_description(hub_device_at(states->hub, i)),
                     states->list[i]);
}

/* ---- devices and the process ---- */

static void write_devices(const struct document *document, const struct hub *hub)
{
    FILE *out = document->out;
    struct sample_line line = {.out = out, .family = "bl2mqtt_online", .suffix = ""};
    write_family(document, line.family, "gauge", NULL, "Whether the device answers");
    for (size_t i = 0; i < hub_device_count(hub); i++) {
        const struct hub_device *device = hub_device_at(hub, i);
        write_sample(&line, hub_device_description(device)->id, NULL,
                     hub_device_online(device) ? 1 : 0);
    }
    line.family = "bl2mqtt_last_seen_timestamp_seconds";
    write_family(document, line.family, "gauge", "seconds", "Time of the last good reading");
    for (size_t i = 0; i < hub_device_count(hub); i++) {
        const struct hub_device *device = hub_device_at(hub, i);
        int64_t seen_ms = hub_device_state(device)->last_seen_wall_ms;
        if (seen_ms > 0)
            (void)fprintf(out, "%s{device=\"%s\"} %" PRId64 ".%03d\n", line.family,
                          hub_device_description(device)->id, seen_ms / 1000,
                          (int)(seen_ms % 1000));
    }
}

static void write_process(const struct document *document, const struct metrics_process *process)
{
    FILE *out = document->out;
    write_family(document, "bl2mqtt", "info", NULL, "The running version");
    (void)fputs("bl2mqtt_info{version=\"", out);
    write_label(out, process->version);
    (void)fputs("\"} 1\n", out);
    write_family(document, "bl2mqtt_uptime_seconds", "gauge", "seconds", "Time since the start");
    (void)fprintf(out, "bl2mqtt_uptime_seconds %.3f\n", process->uptime_s);
    write_family(document, "bl2mqtt_resident_memory_bytes", "gauge", "bytes", "Memory in use");
    (void)fprintf(out, "bl2mqtt_resident_memory_bytes %.0f\n", process->memory_bytes);
}

char *metrics_text(const struct hub *hub, const struct metrics_process *process,
                   enum metrics_format format, size_t *length)
{
    char *text = NULL;
    const struct document document = {.out = open_memstream(&text, length), .format = format};
    if (document.out == NULL)
        return NULL;
    struct states states;
    read_states(&states, hub);
    for (size_t i = 0; i < property_count; i++)
        write_property(&document, &states, &properties[i]);
    free_states(&states);
    write_devices(&document, hub);
    write_process(&document, process);
    if (format == METRICS_OPEN)
        (void)fputs("# EOF\n", document.out);
    if (fclose(document.out) == 0)
        return text;
    free(text);
    return NULL;
}
