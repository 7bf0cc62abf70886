/* SPDX-License-Identifier: MIT */
/* What the sources of a device delivered last, as they delivered it: for people who look for a fault. */
#include "bridge/service/service_device_parts.h"

#include "drivers/base/text.h"

#include <inttypes.h>

struct row {
    unsigned field; /* of enum reading_field */
    const char *register_name, *unit;
};

/* By the kind of the source: reading.h. */
static const struct row chip_rows[] = {
    {READING_VOLTAGE, "V_RMS", ""}, {READING_CURRENT, "I_RMS", ""},    {READING_POWER, "WATT", ""},
    {READING_ENERGY, "CF_CNT", ""}, {READING_FREQUENCY, "FREQ", "us"},
};
static const struct row message_rows[] = {
    {READING_VOLTAGE, "voltage", "mV"},      {READING_CURRENT, "current", "mA"},
    {READING_POWER, "power", "mW"},          {READING_ENERGY, "energy", "mWh"},
    {READING_FREQUENCY, "frequency", "mHz"},
};
static const struct {
    unsigned flag;
    const char *name;
} flags[] = {
    {READING_REVERSE, "CF_REVP_F"},      {READING_CREEP, "CREEP_F"},
    {READING_CURRENT_LOW, "I_ZX_LTH_F"}, {READING_VOLTAGE_LOW, "V_ZX_LTH_F"},
    {READING_CHIP_RESET, "restarted"},
};

static int64_t value_of(const struct reading *reading, unsigned field)
{
    switch (field) {
    case READING_VOLTAGE:
        return reading->voltage;
    case READING_CURRENT:
        return reading->current;
    case READING_POWER:
        return reading->power;
    case READING_ENERGY:
        return reading->energy;
    default:
        return reading->frequency;
    }
}

static void append(json_t *list, const char *name, int64_t value, const char *unit)
{
    (void)json_array_append_new(
        list, json_pack("{s:s, s:I, s:s}", "name", name, "value", (json_int_t)value, "unit", unit));
}

static json_t *registers_of(enum reading_kind kind, const struct reading *reading)
{
    const struct row *rows = kind == READING_BL0942 ? chip_rows : message_rows;
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof chip_rows / sizeof chip_rows[0]; i++) {
        if ((reading->present & rows[i].field) == 0)
            continue;
        int64_t value = value_of(reading, rows[i].field);
        if (kind != READING_METERED || rows[i].field != READING_ENERGY) {
            append(list, rows[i].register_name, value, rows[i].unit);
            continue;
        }
        append(list, "energy", reading_drawn(value) * 10, "mWh");
        append(list, "energy_produced", reading_fed_back(value) * 10, "mWh");
    }
    return list;
}

static json_t *flags_of(const struct reading *reading)
{
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if ((reading->flags & flags[i].flag) != 0)
            (void)json_array_append_new(list, json_string(flags[i].name));
    return list;
}

static json_t *counters_of(const struct service_device *device, size_t channel)
{
    struct driver_statistics counted = {0};
    if (device->source == DEVICE_NO_SOURCE || device->outputs->statistics == NULL ||
        !device->outputs->statistics(device->outputs->context, device->source, channel, &counted))
        return json_null();
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "readings", (json_int_t)counted.readings,
                     "frame_errors", (json_int_t)counted.frame_errors, "timeouts",
                     (json_int_t)counted.timeouts, "junk_bytes", (json_int_t)counted.junk_bytes,
                     "chip_resets", (json_int_t)counted.chip_resets, "reconnects",
                     (json_int_t)counted.reconnects);
}

static json_t *time_of(const struct reading *reading)
{
    char buffer[64];
    struct text text;
    if (reading->wall_ms == 0)
        return json_null();
    text_init(&text, buffer, sizeof buffer);
    text_append_time(&text, reading->wall_ms, true);
    return json_string(buffer);
}

json_t *service_device_raw(const struct service_device *device)
{
    enum reading_kind kind = service_device_kind(device->config);
    json_t *channels = json_object();
    for (size_t i = 0; i < device->config->channel_count; i++) {
        const struct reading *last = &device->channels[i].last;
        (void)json_object_set_new(channels, device->config->channels[i].name,
                                  json_pack("{s:o, s:o, s:o, s:o}", "time", time_of(last),
                                            "registers", registers_of(kind, last), "flags",
                                            flags_of(last), "counters", counters_of(device, i)));
    }
    return json_pack("{s:s, s:b, s:o}", "id", device->config->id, "chip", kind == READING_BL0942,
                     "channels", channels);
}
