/* SPDX-License-Identifier: MIT */
#include "bridge/sinks/line_protocol.h"

#include <inttypes.h>
#include <math.h>
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
    return row->kind == READING_OPENBEKEN ? raw / 1000 : 1e6 / raw;
}

bool line_append(struct text *out, const char *bridge, const struct history_reading *row)
{
    const struct reading *reading = &row->reading;
    const struct calibration *factors = &row->factors;
    size_t before = out->length;
    /* OpenBeken's raw values are in milli-units, for which the factors are meant. */
    double sign = row->invert ? -1 : 1;
    text_append(out, LINE_MEASUREMENT);
    append_pair(out, "bridge", bridge);
    append_pair(out, "channel", row->channel);
    append_pair(out, "device", row->device);
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
    text_append(out, " %" PRId64 "\n", reading->wall_ms);
    if (!out->cut)
        return true;
    out->length = before;
    out->buffer[before] = '\0';
    out->cut = false;
    return false;
}
