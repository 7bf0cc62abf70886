/* SPDX-License-Identifier: MIT */
#include "bridge/device/state.h"

#include "bridge/device/publish_policy.h"
#include "drivers/base/wide.h"

#include <inttypes.h>
#include <string.h>

/* A value in the meter's own integer unit, and how many decimal digits that is below the published
 * unit: millivolts to volts is 3. */
struct quantity {
    struct amount amount;
    unsigned scale;
    bool round_down;
};

static struct quantity derived_quantity(const struct derived_values *derived,
                                        enum property_source source)
{
    switch (source) {
    case SOURCE_ENERGY_TODAY:
        return (struct quantity){derived->energy_today_uwh, 9, true};
    case SOURCE_ENERGY_MONTH:
        return (struct quantity){derived->energy_month_uwh, 9, true};
    case SOURCE_PRODUCED_TODAY:
        return (struct quantity){derived->produced_today_uwh, 9, true};
    case SOURCE_PRODUCED_MONTH:
        return (struct quantity){derived->produced_month_uwh, 9, true};
    case SOURCE_COST_TODAY:
        return (struct quantity){derived->cost_today_micro, 6, false};
    case SOURCE_COST_MONTH:
        return (struct quantity){derived->cost_month_micro, 6, false};
    case SOURCE_DEMAND:
        return (struct quantity){derived->demand_mw, 3, false};
    case SOURCE_DEMAND_MAX:
        return (struct quantity){derived->demand_max_mw, 3, false};
    default:
        return (struct quantity){.amount = {false, 0}};
    }
}

/* What Home Assistant's energy dashboard wants of a solar source: never negative. */
static struct amount produced(const struct amount *power_mw)
{
    int64_t back = power_mw->value < 0 ? -power_mw->value : 0;
    return (struct amount){power_mw->known, back};
}

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
    case SOURCE_POWER_PRODUCED:
        return (struct quantity){produced(&values->power_mw), 3, false};
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
        return derived_quantity(&values->derived, source);
    }
}

static struct quantity added_up(const struct device_description *device,
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

/** Of the device: its own accumulator where it has one. */
static struct quantity sum_quantity(const struct device_description *device,
                                    const struct device_state *state,
                                    const struct property *property)
{
    if (property->source == SOURCE_ENERGY && state->energy_uwh.known)
        return (struct quantity){state->energy_uwh, 9, true};
    if (property->source == SOURCE_ENERGY_PRODUCED && state->energy_produced_uwh.known)
        return (struct quantity){state->energy_produced_uwh, 9, true};
    bool added = !property->sum_apart || property->source == SOURCE_ENERGY ||
                 property->source == SOURCE_ENERGY_PRODUCED;
    return added ? added_up(device, state, property->source)
                 : derived_quantity(&state->derived, property->source);
}

static struct quantity quantity_of(const struct device_description *device,
                                   const struct device_state *state,
                                   const struct property *property, int channel)
{
    if (channel < 0)
        return sum_quantity(device, state, property);
    return channel_quantity(&state->channels[channel], property->source);
}

static void append_quantity(struct text *text, unsigned decimals, const struct quantity *quantity)
{
    if (quantity->amount.known)
        text_append_decimal(text, quantity->amount.value, quantity->scale, decimals,
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

static void append_time(struct text *text, int64_t wall_ms)
{
    if (wall_ms <= 0) {
        text_append(text, "null");
        return;
    }
    text_append(text, "\"");
    text_append_time(text, wall_ms, false);
    text_append(text, "\"");
}

static void append_sentence(struct text *text, const char *sentence)
{
    if (sentence[0] == '\0') {
        text_append(text, "null");
        return;
    }
    text_append(text, "\"");
    for (const char *c = sentence; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\')
            text_append(text, "\\");
        text_append(text, "%c", (unsigned char)*c < 0x20 ? ' ' : *c);
    }
    text_append(text, "\"");
}

static void append_alarm(struct text *text, enum alarm_state alarm)
{
    static const char *const words[] = {
        [ALARM_UNKNOWN] = "null", [ALARM_OFF] = "false", [ALARM_ON] = "true"};
    text_append(text, "%s", words[alarm]);
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

/* Whole seconds without decimals: 5, but 0.5. */
static void append_interval(struct text *text, int64_t interval_ms)
{
    unsigned decimals = 0;
    for (int64_t rest = interval_ms % 1000; rest != 0; rest = rest * 10 % 1000)
        decimals++;
    text_append_decimal(text, interval_ms, 3, decimals, false);
}

/* What can be set of a device, as it is now. */
static void append_setting(struct text *text, const struct property *property,
                           const struct device_description *device,
                           const struct device_state *state)
{
    int64_t min_ms = device->min_interval_ms;
    int64_t max_ms = device->max_interval_ms;
    switch (property->source) {
    case SOURCE_MIN_INTERVAL:
        append_interval(text, min_ms > 0 ? min_ms : PUBLISH_MIN_INTERVAL_MS);
        return;
    case SOURCE_MAX_INTERVAL:
        append_interval(text, max_ms > 0 ? max_ms : PUBLISH_MAX_INTERVAL_MS);
        return;
    case SOURCE_OUTPUT:
        text_append(text, "\"%s\"",
                    !device->state_as_json   ? "attributes"
                    : device->state_by_value ? "both"
                                             : "json");
        return;
    case SOURCE_RETAIN:
        text_append(text, "%s", device->retain_set ? "true" : "false");
        return;
    default: /* the report interval */
        if (state->report_interval_ms > 0)
            append_interval(text, state->report_interval_ms);
        else
            text_append(text, "null"); /* there is none: changes decide */
    }
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
    if (property->settable) {
        append_setting(text, property, writer->device, state);
        return;
    }
    switch (property->source) {
    case SOURCE_ENERGY_FLOW:
        append_flow(text, property, state->channels[channel].flow);
        return;
    case SOURCE_LAST_SEEN:
        append_time(text, state->last_seen_wall_ms);
        return;
    case SOURCE_FRAME_ERRORS:
        text_append(text, "%" PRIu64, state->frame_errors);
        return;
    case SOURCE_PROBLEMS:
        text_append(text, "%s", state->problems != 0 ? "true" : "false");
        return;
    case SOURCE_PROBLEM_TEXT:
        append_sentence(text, state->problem_text);
        return;
    case SOURCE_ALARM:
        append_alarm(text, state->alarms[channel]);
        return;
    case SOURCE_DEMAND_MAX_TIME:
        append_time(text, channel < 0 ? state->derived.demand_max_wall_ms
                                      : state->channels[channel].derived.demand_max_wall_ms);
        return;
    case SOURCE_DAY_START:
        append_time(text, state->day_start_wall_ms);
        return;
    case SOURCE_MONTH_START:
        append_time(text, state->month_start_wall_ms);
        return;
    case SOURCE_UPDATE:
        append_update(text, &state->update);
        return;
    default:
        break;
    }
    struct quantity quantity = quantity_of(writer->device, state, property, channel);
    append_quantity(text, property_decimals(property, writer->device), &quantity);
}

void device_state_json(const struct device_description *device, const struct device_state *state,
                       struct text *text)
{
    struct state_writer writer = {.device = device, .state = state, .text = text};
    text_append(text, "{");
    properties_visit(device, append_property, &writer);
    text_append(text, "}");
}

/* ---- Values ---- */

static int64_t power_of_ten(unsigned exponent)
{
    int64_t power = 1;
    while (exponent-- > 0)
        power *= 10;
    return power;
}

struct number_search {
    const struct device_description *device;
    const struct device_state *state;
    const char *key;
    bool exists, known;
    int64_t micro;
};

static void find_number(void *context, const struct property *property, int channel,
                        const char *key)
{
    struct number_search *search = context;
    if (search->exists || property->unit == NULL || property->settable ||
        strcmp(key, search->key) != 0)
        return;
    struct quantity quantity = quantity_of(search->device, search->state, property, channel);
    search->exists = true;
    search->known = quantity.amount.known;
    search->micro = quantity.scale >= 6
                        ? quantity.amount.value / power_of_ten(quantity.scale - 6)
                        : wide_scale(quantity.amount.value, power_of_ten(6 - quantity.scale), 1);
}

bool device_state_number(const struct device_description *device, const struct device_state *state,
                         const char *key, bool *exists, int64_t *micro)
{
    struct number_search search = {.device = device, .state = state, .key = key};
    properties_visit(device, find_number, &search);
    *exists = search.exists;
    *micro = search.micro;
    return search.known;
}

struct value_list {
    const struct device_description *device;
    const struct device_state *state; /* NULL: only counts */
    struct publish_value *values;
    size_t count;
};

/* The configured deadband, or the table's, in the quantity's own unit. */
static int64_t deadband_of(const struct device_description *device, const struct property *property,
                           const struct quantity *quantity)
{
    const struct device_publishing *publishing = device->publishing;
    int64_t wanted = publishing == NULL ? -1 : publishing->deadband_micro[property->source];
    int64_t micro = wanted >= 0 ? wanted : property->deadband_micro;
    if (micro == PROPERTY_NO_REASON)
        return micro;
    int64_t absolute = quantity->scale >= 6 ? micro * power_of_ten(quantity->scale - 6)
                                            : micro / power_of_ten(6 - quantity->scale);
    int64_t size = quantity->amount.value < 0 ? -quantity->amount.value : quantity->amount.value;
    int64_t relative = wanted >= 0 ? 0 : size / 1000 * (int64_t)property->deadband_permille;
    return absolute > relative ? absolute : relative;
}

static void add_value(void *context, const struct property *property, int channel, const char *key)
{
    (void)key;
    struct value_list *list = context;
    if (property->unit == NULL || property->settable)
        return;
    if (list->state != NULL) {
        struct quantity quantity = quantity_of(list->device, list->state, property, channel);
        list->values[list->count] = (struct publish_value){
            .known = quantity.amount.known,
            .value = quantity.amount.value,
            .deadband = deadband_of(list->device, property, &quantity),
        };
    }
    list->count++;
}

size_t device_state_value_count(const struct device_description *device)
{
    struct value_list list = {.device = device};
    properties_visit(device, add_value, &list);
    return list.count;
}

void device_state_values(const struct device_description *device, const struct device_state *state,
                         struct publish_value *values)
{
    struct value_list list = {.device = device, .state = state, .values = values};
    properties_visit(device, add_value, &list);
}
