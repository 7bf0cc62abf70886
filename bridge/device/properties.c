/* SPDX-License-Identifier: MIT */
#include "bridge/device/properties.h"

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
        .deadband_micro = 2000000,
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
        .deadband_micro = 200000,
        .deadband_permille = 100,
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
        .deadband_micro = 30000000,
        .deadband_permille = 100,
    },
    {
        .name = "power_produced",
        .label = "Produced power",
        .description = "Power fed back, positive; 0 while power is drawn",
        .source = SOURCE_POWER_PRODUCED,
        .unit = "W",
        .decimals = 1,
        .device_class = "power",
        .state_class = "measurement",
        .deadband_micro = PROPERTY_NO_REASON, /* power moves with it */
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
        .deadband_micro = PROPERTY_NO_REASON,
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
        .deadband_micro = PROPERTY_NO_REASON,
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
        .deadband_micro = PROPERTY_NO_REASON,
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
        .deadband_micro = 200000,
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
        .deadband_micro = 200000,
        .sum_apart = true,
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
        .deadband_micro = 200000,
        .sum_apart = true,
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
        .description = "Something is wrong with what is measured; problem_text says what",
        .source = SOURCE_PROBLEMS,
        .scope = PROPERTY_DEVICE,
        .platform = PLATFORM_BINARY_SENSOR,
        .device_class = "problem",
        .diagnostic = true,
        .enabled = true,
    },
    {
        .name = "problem_text",
        .label = "Problem",
        .description = "What is wrong and what to do, as a sentence; null when nothing is",
        .source = SOURCE_PROBLEM_TEXT,
        .scope = PROPERTY_DEVICE,
        .icon = "mdi:message-alert-outline",
        .diagnostic = true,
        .enabled = true,
    },
    {
        .name = "alarm",
        .label = "Alarm",
        .description =
            "One per alarm, named alarm_NAME: its condition holds; null while it is unknown",
        .source = SOURCE_ALARM,
        .scope = PROPERTY_ALARM,
        .platform = PLATFORM_BINARY_SENSOR,
        .device_class = "problem",
        .enabled = true,
    },
    {
        .name = "energy_today",
        .label = "Energy today",
        .description = "Energy drawn since local midnight",
        .source = SOURCE_ENERGY_TODAY,
        .scope = PROPERTY_CHANNEL_AND_SUM,
        .unit = "kWh",
        .decimals = 3,
        .deadband_micro = PROPERTY_NO_REASON,
        .sum_apart = true,
        .last_reset = "day_start",
        .device_class = "energy",
        .state_class = "total",
    },
    {
        .name = "energy_month",
        .label = "Energy this month",
        .description = "Energy drawn since the first of the month",
        .source = SOURCE_ENERGY_MONTH,
        .scope = PROPERTY_CHANNEL_AND_SUM,
        .unit = "kWh",
        .decimals = 3,
        .deadband_micro = PROPERTY_NO_REASON,
        .sum_apart = true,
        .last_reset = "month_start",
        .device_class = "energy",
        .state_class = "total",
    },
    {
        .name = "energy_produced_today",
        .label = "Produced energy today",
        .description = "Energy fed back since local midnight",
        .source = SOURCE_PRODUCED_TODAY,
        .scope = PROPERTY_CHANNEL_AND_SUM,
        .unit = "kWh",
        .decimals = 3,
        .deadband_micro = PROPERTY_NO_REASON,
        .sum_apart = true,
        .last_reset = "day_start",
        .device_class = "energy",
        .state_class = "total",
    },
    {
        .name = "energy_produced_month",
        .label = "Produced energy this month",
        .description = "Energy fed back since the first of the month",
        .source = SOURCE_PRODUCED_MONTH,
        .scope = PROPERTY_CHANNEL_AND_SUM,
        .unit = "kWh",
        .decimals = 3,
        .deadband_micro = PROPERTY_NO_REASON,
        .sum_apart = true,
        .last_reset = "month_start",
        .device_class = "energy",
        .state_class = "total",
    },
    {
        .name = "cost_today",
        .label = "Cost today",
        .description = "What was drawn costs, less what was fed back, with the standing charge; "
                       "with a tariff only",
        .source = SOURCE_COST_TODAY,
        .scope = PROPERTY_CHANNEL_AND_SUM,
        .decimals = 4,
        .deadband_micro = PROPERTY_NO_REASON,
        .sum_apart = true,
        .last_reset = "day_start",
        .device_class = "monetary",
        .state_class = "total",
        .enabled = true,
    },
    {
        .name = "cost_month",
        .label = "Cost this month",
        .description = "The same since the first of the month",
        .source = SOURCE_COST_MONTH,
        .scope = PROPERTY_CHANNEL_AND_SUM,
        .decimals = 4,
        .deadband_micro = PROPERTY_NO_REASON,
        .sum_apart = true,
        .last_reset = "month_start",
        .device_class = "monetary",
        .state_class = "total",
    },
    {
        .name = "demand",
        .label = "Demand",
        .description = "Mean power of what was measured in the running quarter of an hour",
        .source = SOURCE_DEMAND,
        .scope = PROPERTY_CHANNEL_AND_SUM,
        .unit = "W",
        .deadband_micro = PROPERTY_NO_REASON,
        .sum_apart = true,
        .device_class = "power",
        .state_class = "measurement",
    },
    {
        .name = "demand_max_month",
        .label = "Highest demand this month",
        .description = "Highest mean power of a quarter of an hour that ended this month",
        .source = SOURCE_DEMAND_MAX,
        .scope = PROPERTY_CHANNEL_AND_SUM,
        .unit = "W",
        .deadband_micro = PROPERTY_NO_REASON,
        .sum_apart = true,
        .device_class = "power",
        .state_class = "measurement",
    },
    {
        .name = "demand_max_month_time",
        .label = "Time of the highest demand",
        .description = "When that quarter of an hour ended",
        .source = SOURCE_DEMAND_MAX_TIME,
        .scope = PROPERTY_CHANNEL_AND_SUM,
        .sum_apart = true,
        .device_class = "timestamp",
        .diagnostic = true,
    },
    {
        .name = "day_start",
        .label = "Day since",
        .description = "Begin of the running local day",
        .source = SOURCE_DAY_START,
        .scope = PROPERTY_DEVICE,
        .device_class = "timestamp",
        .diagnostic = true,
    },
    {
        .name = "month_start",
        .label = "Month since",
        .description = "Begin of the running local month",
        .source = SOURCE_MONTH_START,
        .scope = PROPERTY_DEVICE,
        .device_class = "timestamp",
        .diagnostic = true,
    },
    {
        .name = "report_interval",
        .label = "Report interval",
        .description = "The state is published at this pace; null: when values move",
        .source = SOURCE_REPORT_INTERVAL,
        .scope = PROPERTY_DEVICE,
        .platform = PLATFORM_NUMBER,
        .unit = "s",
        .device_class = "duration",
        .enabled = true,
        .settable = true,
        .low_milli = 100,
        .high_milli = 3600000,
        .step_milli = 100,
    },
    {
        .name = "min_interval",
        .label = "Minimum interval",
        .description = "Between two states of changed values",
        .source = SOURCE_MIN_INTERVAL,
        .scope = PROPERTY_DEVICE,
        .platform = PLATFORM_NUMBER,
        .unit = "s",
        .device_class = "duration",
        .settable = true,
        .low_milli = 100,
        .high_milli = 3600000,
        .step_milli = 100,
    },
    {
        .name = "max_interval",
        .label = "Maximum interval",
        .description = "After so long a state is published though nothing changed",
        .source = SOURCE_MAX_INTERVAL,
        .scope = PROPERTY_DEVICE,
        .platform = PLATFORM_NUMBER,
        .unit = "s",
        .device_class = "duration",
        .settable = true,
        .low_milli = 1000,
        .high_milli = 86400000,
        .step_milli = 1000,
    },
    {
        .name = "output",
        .label = "Output",
        .description = "The state as one JSON object, each value on a topic of its own, or both",
        .source = SOURCE_OUTPUT,
        .scope = PROPERTY_DEVICE,
        .platform = PLATFORM_SELECT,
        .icon = "mdi:code-json",
        .settable = true,
        .options = {"json", "both", "attributes"},
        .options_offered = 2, /* with the last one Home Assistant would lose the device */
    },
    {
        .name = "retain",
        .label = "Retain",
        .description = "The broker keeps the last state",
        .source = SOURCE_RETAIN,
        .scope = PROPERTY_DEVICE,
        .platform = PLATFORM_SWITCH,
        .icon = "mdi:content-save-outline",
        .settable = true,
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
        [PLATFORM_SENSOR] = "sensor", [PLATFORM_BINARY_SENSOR] = "binary_sensor",
        [PLATFORM_NUMBER] = "number", [PLATFORM_SELECT] = "select",
        [PLATFORM_SWITCH] = "switch", [PLATFORM_UPDATE] = "update",
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

static bool suffixed(const struct device_description *device)
{
    return device->channel_count > 1 || device->keeps_suffixes;
}

static bool has_suffix(const struct device_description *device, int channel)
{
    return channel >= 0 && suffixed(device);
}

const char *property_unit(const struct property *property, const struct device_description *device)
{
    bool money = property->source == SOURCE_COST_TODAY || property->source == SOURCE_COST_MONTH;
    return money ? device->currency : property->unit;
}

unsigned property_decimals(const struct property *property, const struct device_description *device)
{
    int wanted = device->publishing == NULL ? -1 : device->publishing->decimals[property->source];
    return wanted < 0 ? property->decimals : (unsigned)wanted;
}

bool property_key(const struct property *property, const struct device_description *device,
                  int channel, char *key, size_t size)
{
    struct text text;
    text_init(&text, key, size);
    text_append(&text, "%s", property->name);
    if (property->scope == PROPERTY_ALARM)
        text_append(&text, "_%s", device->alarm_names[channel]);
    else if (has_suffix(device, channel))
        text_append(&text, "_%s", device->channel_names[channel]);
    return !text.cut;
}

static void append_channel_label(struct text *text, const struct device_description *device,
                                 int channel)
{
    const char *label = device->channel_labels == NULL ? NULL : device->channel_labels[channel];
    text_append(text, " ");
    if (label != NULL && label[0] != '\0') {
        text_append(text, "%s", label);
        return;
    }
    for (const char *c = device->channel_names[channel]; *c != '\0'; c++)
        text_append(text, "%c", *c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
}

void property_label(const struct property *property, const struct device_description *device,
                    int channel, char *label, size_t size)
{
    struct text text;
    text_init(&text, label, size);
    text_append(&text, "%s", property->label);
    if (property->scope == PROPERTY_ALARM)
        text_append(&text, " %s", device->alarm_names[channel]);
    else if (has_suffix(device, channel))
        append_channel_label(&text, device, channel);
    else if (property->scope == PROPERTY_CHANNEL_AND_SUM && suffixed(device))
        text_append(&text, " total");
}

static void visit_one(const struct device_description *device, const struct property *property,
                      int channel, property_visitor visit, void *context)
{
    char key[PROPERTY_KEY_SIZE];
    if (property_key(property, device, channel, key, sizeof key))
        visit(context, property, channel, key);
}

/** Whether the device has the property at all. */
static bool offered(const struct device_description *device, const struct property *property)
{
    switch (property->source) {
    case SOURCE_UPDATE:
        return device->updatable;
    case SOURCE_COST_TODAY:
    case SOURCE_COST_MONTH:
        return device->currency != NULL && device->currency[0] != '\0';
    default:
        return true;
    }
}

void properties_visit(const struct device_description *device, property_visitor visit,
                      void *context)
{
    for (size_t i = 0; i < property_count; i++) {
        const struct property *property = &properties[i];
        if (!offered(device, property))
            continue;
        if (property->scope == PROPERTY_DEVICE) {
            visit_one(device, property, -1, visit, context);
            continue;
        }
        size_t count =
            property->scope == PROPERTY_ALARM ? device->alarm_count : device->channel_count;
        for (size_t channel = 0; channel < count; channel++)
            visit_one(device, property, (int)channel, visit, context);
        if (property->scope == PROPERTY_CHANNEL_AND_SUM && suffixed(device))
            visit_one(device, property, -1, visit, context);
    }
}

/* Whether a list with commas has the word. */
static bool list_has(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list; at != NULL && *at != '\0';) {
        size_t part = strcspn(at, ",");
        if (part == length && strncmp(at, word, length) == 0)
            return true;
        at += part + (at[part] == ',' ? 1 : 0);
    }
    return false;
}

struct entity_visit {
    const struct device_description *device;
    property_visitor visit;
    void *context;
};

static void visit_entity(void *context, const struct property *property, int channel,
                         const char *key)
{
    const struct entity_visit *entities = context;
    if (!list_has(entities->device->excluded, key))
        entities->visit(entities->context, property, channel, key);
}

void entities_visit(const struct device_description *device, property_visitor visit, void *context)
{
    struct entity_visit entities = {.device = device, .visit = visit, .context = context};
    properties_visit(device, visit_entity, &entities);
}

void buttons_visit(const struct device_description *device, property_visitor visit, void *context)
{
    static const struct property reset = {
        .name = "reset_energy",
        .label = "Reset energy",
        .scope = PROPERTY_CHANNEL,
        .icon = "mdi:counter",
    };
    struct entity_visit buttons = {.device = device, .visit = visit, .context = context};
    for (size_t channel = 0; channel < device->channel_count; channel++)
        visit_one(device, &reset, (int)channel, visit_entity, &buttons);
}

const struct device_entity *device_entity_find(const struct device_description *device,
                                               const char *key)
{
    for (size_t i = 0; i < device->entity_count; i++)
        if (strcmp(device->entities[i].key, key) == 0)
            return &device->entities[i];
    return NULL;
}
