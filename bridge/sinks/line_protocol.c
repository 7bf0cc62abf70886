/* SPDX-License-Identifier: MIT */
#include "bridge/sinks/line_protocol.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

void line_append_tag(struct text *out, const char *value)
{
    for (; *value != '\0'; value++) {
        unsigned char c = (unsigned char)*value;
        if (c < 0x20 || c == 0x7f || c == '\\')
            text_append(out, "_");
        else
            text_append(out, strchr(",= ", c) != NULL ? "\\%c" : "%c", c);
    }
}

void line_append_query(struct text *out, const char *value)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    for (; *value != '\0'; value++)
        text_append(out, strchr(plain, *value) != NULL ? "%c" : "%%%02X", (unsigned char)*value);
}

/* An empty tag is an error to InfluxDB; without it the series is the same. */
static void append_pair(struct text *out, const char *key, const char *value)
{
    if (value[0] == '\0')
        return;
    text_append(out, ",%s=", key);
    line_append_tag(out, value);
}

struct fields {
    struct text *out;
    char separator;
};

static void append_decimal(struct fields *fields, const char *name, int64_t value, unsigned scale)
{
    text_append(fields->out, "%c%s=", fields->separator, name);
    text_append_decimal(fields->out, value, scale, scale, false);
    fields->separator = ',';
}

static void append_quantity(struct fields *fields, const char *name, bool known, double value)
{
    if (known && fabs(value) < 1e15)
        append_decimal(fields, name, llround(value * 1000), 3);
}

/* A BL0942 measures the period in microseconds, OpenBeken tells millihertz. */
static double frequency_hz(const struct history_reading *row)
{
    double raw = (double)row->reading.frequency;
    return row->kind != READING_BL0942 ? raw / 1000 : 1e6 / raw;
}

static void begin(struct text *out, const char *measurement, const char *bridge,
                  const char *channel, const char *device)
{
    text_append(out, "%s", measurement);
    append_pair(out, "bridge", bridge);
    append_pair(out, "channel", channel);
    append_pair(out, "device", device);
}

/* False, and as it was before, if it did not fit. */
static bool end(struct text *out, size_t before, int64_t wall_ms)
{
    text_append(out, " %" PRId64 "\n", wall_ms);
    if (!out->cut)
        return true;
    out->length = before;
    out->buffer[before] = '\0';
    out->cut = false;
    return false;
}

bool line_append(struct text *out, const char *bridge, const struct history_reading *row)
{
    const struct reading *reading = &row->reading;
    const struct calibration *factors = &row->factors;
    size_t before = out->length;
    /* OpenBeken's raw values are in milli-units, for which the factors are meant. */
    double sign = row->invert ? -1 : 1;
    begin(out, LINE_MEASUREMENT, bridge, row->channel, row->device);
    struct fields fields = {.out = out, .separator = ' '};
    append_quantity(&fields, "voltage", (reading->present & READING_VOLTAGE) != 0,
                    (double)reading->voltage / factors->voltage);
    append_quantity(&fields, "current", (reading->present & READING_CURRENT) != 0,
                    (double)reading->current / factors->current);
    append_quantity(&fields, "power", (reading->present & READING_POWER) != 0,
                    sign * (double)reading->power / factors->power);
    bool oscillates = (reading->present & READING_FREQUENCY) != 0 && reading->frequency > 0;
    append_quantity(&fields, "frequency", oscillates, oscillates ? frequency_hz(row) : 0);
    append_decimal(&fields, "energy", row->imported_uwh, 9);
    append_decimal(&fields, "energy_produced", row->exported_uwh, 9);
    if (row->counted_for_ms > 0)
        append_decimal(&fields, "energy_over", row->counted_for_ms, 3);
    return end(out, before, reading->wall_ms);
}

static void append_range(struct fields *fields, const char *name, const struct history_range *range)
{
    const struct {
        const char *which;
        double value;
    } parts[] = {{"min", range->min}, {"mean", range->mean}, {"max", range->max}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "%s_%s", name, parts[i].which);
        append_quantity(fields, key, range->known, parts[i].value);
    }
}

bool line_append_point(struct text *out, const char *bridge, enum outbox_level level,
                       const struct history_point *point)
{
    static const char *const measurements[OUTBOX_LEVELS] = {
        [OUTBOX_READINGS] = LINE_MEASUREMENT,
        [OUTBOX_MINUTES] = LINE_MEASUREMENT "_minute",
        [OUTBOX_QUARTERS] = LINE_MEASUREMENT "_quarter",
        [OUTBOX_DAYS] = LINE_MEASUREMENT "_day",
    };
    size_t before = out->length;
    begin(out, measurements[level], bridge, point->channel, point->device);
    struct fields fields = {.out = out, .separator = ' '};
    append_range(&fields, "voltage", &point->voltage_v);
    append_range(&fields, "current", &point->current_a);
    append_range(&fields, "power", &point->power_w);
    append_range(&fields, "frequency", &point->frequency_hz);
    append_decimal(&fields, "energy", point->imported_uwh, 9);
    append_decimal(&fields, "energy_produced", point->exported_uwh, 9);
    if (point->estimated_imported_uwh > 0)
        append_decimal(&fields, "energy_estimated", point->estimated_imported_uwh, 9);
    if (point->estimated_exported_uwh > 0)
        append_decimal(&fields, "energy_produced_estimated", point->estimated_exported_uwh, 9);
    append_decimal(&fields, "coverage", point->coverage_permille, 3);
    return end(out, before, point->start_ms);
}
