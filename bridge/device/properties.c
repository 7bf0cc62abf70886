/* SPDX-License-Identifier: MIT */
#include "bridge/device/properties.h"

#include <inttypes.h>
#include <string.h>

/* Which are enabled by default follows what a household looks at; the rest is there on demand,
 * because every enabled number costs Home Assistant's database a row per change. */
const struct property properties[] = {
    {
        .name = "voltage",
        .label = "Voltage",
        .description = "RMS voltage",
        .source = SOURCE_VOLTAGE,
        .unit = "V",
        .decimals = 1,
        .device_class = "voltage",
        .state_class = "measurement",
        .enabled = true,
    },
    {
        .name = "current",
        .label = "Current",
        .description = "RMS current",
        .source = SOURCE_CURRENT,
        .unit = "A",
        .decimals = 3,
        .device_class = "current",
        .state_class = "measurement",
        .enabled = true,
    },
    {
        .name = "power",
        .label = "Power",
        .description = "Active power; positive is drawn from the grid, negative is fed back",
        .source = SOURCE_POWER,
        .scope = PROPERTY_CHANNEL_AND_SUM,
        .unit = "W",
        .decimals = 1,
        .device_class = "power",
        .state_class = "measurement",
        .enabled = true,
    },
    {
        .name = "power_apparent",
        .label = "Apparent power",
        .description = "Voltage times current",
        .source = SOURCE_POWER_APPARENT,
        .unit = "VA",
        .decimals = 1,
        .device_class = "apparent_power",
        .state_class = "measurement",
    },
    {
        .name = "power_reactive",
        .label = "Reactive power",
        .description = "Reactive power, without sign: the chip does not measure its direction",
        .source = SOURCE_POWER_REACTIVE,
        .unit = "var", /* lower case: Home Assistant refuses "VAR" */
        .decimals = 1,
        .device_class = "reactive_power",
        .state_class = "measurement",
    },
    {
        .name = "power_factor",
        .label = "Power factor",
        .description = "Active by apparent power; unknown when there is next to no load",
        .source = SOURCE_POWER_FACTOR,
        .unit = "%",
        .device_class = "power_factor",
        .state_class = "measurement",
        .diagnostic = true,
        .enabled = true,
    },
    {
        .name = "ac_frequency",
        .label = "AC frequency",
        .description = "Mains frequency",
        .source = SOURCE_FREQUENCY,
        .unit = "Hz",
        .decimals = 2,
        .device_class = "frequency",
        .state_class = "measurement",
        .enabled = true,
    },
    {
        .name = "energy",
        .label = "Energy",
        .description = "Energy drawn from the grid; never goes down",
        .source = SOURCE_ENERGY,
        .scope = PROPERTY_CHANNEL_AND_SUM,
        .unit = "kWh",
        .decimals = 3,
        .device_class = "energy",
        .state_class = "total_increasing",
        .enabled = true,
    },
    {
        .name = "energy_produced",
        .label = "Produced energy",
        .description = "Energy fed back; never goes down",
        .source = SOURCE_ENERGY_PRODUCED,
        .scope = PROPERTY_CHANNEL_AND_SUM,
        .unit = "kWh",
        .decimals = 3,
        .device_class = "energy",
        .state_class = "total_increasing",
        .enabled = true,
    },
    {
        .name = "energy_flow",
        .label = "Energy flow",
        .description = "Direction of the active power",
        .source = SOURCE_ENERGY_FLOW,
        .device_class = "enum",
        .options = {"consuming", "producing"},
    },
    {
        .name = "last_seen",
        .label = "Last seen",
        .description = "Time of the last good reading",
        .source = SOURCE_LAST_SEEN,
        .scope = PROPERTY_DEVICE,
        .device_class = "timestamp",
        .diagnostic = true,
    },
    {
        .name = "frame_errors",
        .label = "Frame errors",
        .description = "Damaged or missing answers since the service started",
        .source = SOURCE_FRAME_ERRORS,
        .scope = PROPERTY_DEVICE,
        .state_class = "total_increasing",
        .icon = "mdi:alert-circle-outline",
        .diagnostic = true,
    },
    {
        .name = "data_problem",
        .label = "Data problem",
        .description = "Something is wrong with what is measured; bridge/event says what",
        .source = SOURCE_PROBLEMS,
        .scope = PROPERTY_DEVICE,
        .platform = PLATFORM_BINARY_SENSOR,
        .device_class = "problem",
        .diagnostic = true,
        .enabled = true,
    },
    {
        .name = "report_interval",
        .label = "Report interval",
        .description = "How often the state is published at most",
        .source = SOURCE_REPORT_INTERVAL,
        .scope = PROPERTY_DEVICE,
        .platform = PLATFORM_NUMBER,
        .unit = "s",
        .device_class = "duration",
        .enabled = true,
        .settable = true,
        .low = 1,
        .high = 3600,
        .step = 1,
    },
    {
        .name = "update",
        .label = "Firmware",
        .description = "The module's firmware: installed_version, latest_version, in_progress, "
                       "update_percentage",
        .source = SOURCE_UPDATE,
        .scope = PROPERTY_DEVICE,
        .platform = PLATFORM_UPDATE,
        .device_class = "firmware",
        .enabled = true,
    },
};

const size_t property_count = sizeof properties / sizeof properties[0];

const char *property_platform_name(enum property_platform platform)
{
    static const char *const names[] = {
        [PLATFORM_SENSOR] = "sensor",
        [PLATFORM_BINARY_SENSOR] = "binary_sensor",
        [PLATFORM_NUMBER] = "number",
        [PLATFORM_UPDATE] = "update",
    };
    return names[platform];
}

const struct property *property_find(const char *name)
{
    for (size_t i = 0; i < property_count; i++)
        if (strcmp(properties[i].name, name) == 0)
            return &properties[i];
    return NULL;
}

static bool has_suffix(const struct device_description *device, int channel)
{
    return channel >= 0 && device->channel_count > 1;
}

bool property_key(const struct property *property, const struct device_description *device,
                  int channel, char *key, size_t size)
{
    struct text text;
    text_init(&text, key, size);
    text_append(&text, "%s", property->name);
    if (has_suffix(device, channel))
        text_append(&text, "_%s", device->channel_names[channel]);
    return !text.cut;
}

void property_label(const struct property *property, const struct device_description *device,
                    int channel, char *label, size_t size)
{
    struct text text;
    text_init(&text, label, size);
    text_append(&text, "%s", property->label);
    if (has_suffix(device, channel)) {
        text_append(&text, " ");
        for (const char *c = device->channel_names[channel]; *c != '\0'; c++)
            text_append(&text, "%c", *c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
    } else if (property->scope == PROPERTY_CHANNEL_AND_SUM && device->channel_count > 1) {
        text_append(&text, " total");
    }
}

static void visit_one(const struct device_description *device, const struct property *property,
                      int channel, property_visitor visit, void *context)
{
    char key[PROPERTY_KEY_SIZE];
    if (property_key(property, device, channel, key, sizeof key))
        visit(context, property, channel, key);
}

void properties_visit(const struct device_description *device, property_visitor visit,
                      void *context)
{
    for (size_t i = 0; i < property_count; i++) {
        const struct property *property = &properties[i];
        if (property->source == SOURCE_UPDATE && !device->updatable)
            continue;
        if (property->scope == PROPERTY_DEVICE) {
            visit_one(device, property, -1, visit, context);
            continue;
        }
        for (size_t channel = 0; channel < device->channel_count; channel++)
            visit_one(device, property, (int)channel, visit, context);
        if (property->scope == PROPERTY_CHANNEL_AND_SUM && device->channel_count > 1)
            visit_one(device, property, -1, visit, context);
    }
}

/* A value in the meter's own integer unit, and how many decimal digits that is below the published
 * unit: millivolts to volts is 3. */
struct quantity {
    struct amount amount;
    unsigned scale;
    bool round_down;
};

static struct quantity channel_quantity(const struct channel_values *values,
                                        enum property_source source)
{
    switch (source) {
    case SOURCE_VOLTAGE:
        return (struct quantity){values->voltage_mv, 3, false};
    case SOURCE_CURRENT:
        return (struct quantity){values->current_ma, 3, false};
    case SOURCE_POWER:
        return (struct quantity){values->power_mw, 3, false};
    case SOURCE_POWER_APPARENT:
        return (struct quantity){values->power_apparent_mva, 3, false};
    case SOURCE_POWER_REACTIVE:
        return (struct quantity){values->power_reactive_mvar, 3, false};
    case SOURCE_POWER_FACTOR: /* permille to percent */
        return (struct quantity){values->power_factor_permille, 1, false};
    case SOURCE_FREQUENCY:
        return (struct quantity){values->frequency_mhz, 3, false};
    case SOURCE_ENERGY: /* microwatt hours to kilowatt hours */
        return (struct quantity){values->energy_uwh, 9, true};
    case SOURCE_ENERGY_PRODUCED:
        return (struct quantity){values->energy_produced_uwh, 9, true};
    default:
        return (struct quantity){.amount = {false, 0}};
    }
}

static struct quantity sum_quantity(const struct device_description *device,
                                    const struct device_state *state, enum property_source source)
{
    struct quantity sum = {.amount = {true, 0}};
    for (size_t i = 0; i < device->channel_count; i++) {
        struct quantity part = channel_quantity(&state->channels[i], source);
        sum.scale = part.scale;
        sum.round_down = part.round_down;
        if (!part.amount.known ||
            __builtin_add_overflow(sum.amount.value, part.amount.value, &sum.amount.value)) {
            sum.amount.known = false;
            break;
        }
    }
    return sum;
}

static void append_quantity(struct text *text, const struct property *property,
                            const struct quantity *quantity)
{
    if (quantity->amount.known)
        text_append_decimal(text, quantity->amount.value, quantity->scale, property->decimals,
                            quantity->round_down);
    else
        text_append(text, "null");
}

static void append_flow(struct text *text, const struct property *property, enum energy_flow flow)
{
    if (flow == FLOW_UNKNOWN)
        text_append(text, "null");
    else
        text_append(text, "\"%s\"", property->options[flow == FLOW_PRODUCING ? 1 : 0]);
}

static void append_last_seen(struct text *text, int64_t wall_ms)
{
    if (wall_ms <= 0) {
        text_append(text, "null");
        return;
    }
    text_append(text, "\"");
    text_append_time(text, wall_ms, false);
    text_append(text, "\"");
}

/* Home Assistant takes a version for a text, so that one that is unknown must not be there. */
static void append_update(struct text *text, const struct device_update *update)
{
    text_append(text, "{");
    if (update->installed[0] != '\0')
        text_append(text, "\"installed_version\":\"%s\",", update->installed);
    if (update->latest[0] != '\0')
        text_append(text, "\"latest_version\":\"%s\",", update->latest);
    text_append(
        text, "\"in_progress\":%s,\"update_percentage\":", update->in_progress ? "true" : "false");
    if (update->in_progress && update->percentage >= 0)
        text_append(text, "%d}", update->percentage);
    else
        text_append(text, "null}");
}

struct state_writer {
    const struct device_description *device;
    const struct device_state *state;
    struct text *text;
    bool separate;
};

static void append_property(void *context, const struct property *property, int channel,
                            const char *key)
{
    struct state_writer *writer = context;
    const struct device_state *state = writer->state;
    struct text *text = writer->text;

    text_append(text, "%s\"%s\":", writer->separate ? "," : "", key);
    writer->separate = true;
    switch (property->source) {
    case SOURCE_ENERGY_FLOW:
        append_flow(text, property, state->channels[channel].flow);
        return;
    case SOURCE_LAST_SEEN:
        append_last_seen(text, state->last_seen_wall_ms);
        return;
    case SOURCE_FRAME_ERRORS:
        text_append(text, "%" PRIu64, state->frame_errors);
        return;
    case SOURCE_PROBLEMS:
        text_append(text, "%s", state->problems != 0 ? "true" : "false");
        return;
    case SOURCE_REPORT_INTERVAL:
        text_append_decimal(text, state->report_interval_ms, 3, property->decimals, false);
        return;
    case SOURCE_UPDATE:
        append_update(text, &state->update);
        return;
    default:
        break;
    }
    struct quantity quantity = channel >= 0
                                   ? channel_quantity(&state->channels[channel], property->source)
                                   : sum_quantity(writer->device, state, property->source);
    append_quantity(text, property, &quantity);
}

void device_state_json(const struct device_description *device, const struct device_state *state,
                       struct text *text)
{
    struct state_writer writer = {.device = device, .state = state, .text = text};
    text_append(text, "{");
    properties_visit(device, append_property, &writer);
    text_append(text, "}");
}
