/* SPDX-License-Identifier: MIT */
#include "bridge/service/device_totals.h"

#include <string.h>

#define STORED_KEY "channels"

/* {"names": ["a","b"], "suffixes": true, "imported_uwh": 0, "exported_uwh": 0} */
static bool names_hold(const json_t *names, const char *channel)
{
    size_t index;
    const json_t *name;
    json_array_foreach((json_t *)names, index, name)
    {
        const char *text = json_string_value(name);
        if (text != NULL && strcmp(text, channel) == 0)
            return true;
    }
    return false;
}

static bool configured(const struct config_device *config, const char *channel)
{
    for (size_t i = 0; i < config->channel_count; i++)
        if (strcmp(config->channels[i].name, channel) == 0)
            return true;
    return false;
}

struct change {
    struct device_totals *totals;
    device_totals_stored stored;
    void *context;
    bool any;
};

/* The distance is what the file says, which anybody may have edited. */
static void move(int64_t *distance_uwh, int64_t by_uwh)
{
    if (__builtin_add_overflow(*distance_uwh, by_uwh, distance_uwh))
        *distance_uwh = by_uwh < 0 ? INT64_MIN : INT64_MAX;
}

/* What leaves the sum stays in the distance, and what joins it is taken out there. */
static void move_channel(struct change *change, const char *channel, int sign)
{
    int64_t imported_uwh, exported_uwh;
    change->any = true;
    if (!change->stored(change->context, channel, &imported_uwh, &exported_uwh))
        return;
    move(&change->totals->imported_uwh, sign * imported_uwh);
    move(&change->totals->exported_uwh, sign * exported_uwh);
}

static void compare(struct change *change, const struct config_device *config, const json_t *record)
{
    const json_t *names = json_object_get(record, "names");
    size_t index;
    const json_t *name;
    json_array_foreach((json_t *)names, index, name)
    {
        const char *text = json_string_value(name);
        if (text != NULL && !configured(config, text))
            move_channel(change, text, 1);
    }
    for (size_t i = 0; i < config->channel_count; i++)
        if (!names_hold(names, config->channels[i].name))
            move_channel(change, config->channels[i].name, -1);
}

static json_t *record_of(const struct device_totals *totals, const struct config_device *config)
{
    json_t *names = json_array();
    for (size_t i = 0; i < config->channel_count; i++)
        json_array_append_new(names, json_string(config->channels[i].name));
    return json_pack("{s:o, s:b, s:I, s:I}", "names", names, "suffixes", totals->keeps_suffixes,
                     "imported_uwh", (json_int_t)totals->imported_uwh, "exported_uwh",
                     (json_int_t)totals->exported_uwh);
}

void device_totals_begin(struct device_totals *totals, const struct config_device *config,
                         struct preferences *preferences, device_totals_stored stored,
                         void *context, struct log *log)
{
    const json_t *record = preferences_get(preferences, config->id, STORED_KEY);
    bool known = json_is_array(json_object_get(record, "names"));
    *totals = (struct device_totals){
        .keeps_suffixes =
            config->channel_count > 1 || json_is_true(json_object_get(record, "suffixes")),
        .imported_uwh = json_integer_value(json_object_get(record, "imported_uwh")),
        .exported_uwh = json_integer_value(json_object_get(record, "exported_uwh")),
    };
    struct change change = {.totals = totals, .stored = stored, .context = context};
    if (known)
        compare(&change, config, record);
    if (known && !change.any)
        return;
    if (known)
        log_info(log, "The channels of %s changed; its own totals go on from where they are.",
                 config->id);
    struct error error;
    if (preferences_put(preferences, config->id, STORED_KEY, record_of(totals, config), &error) !=
        STATUS_OK)
        log_warning(log, "The channels of %s could not be remembered: %s", config->id, error.text);
}

static struct amount sum_of(const struct device_description *description,
                            const struct device_state *state, bool produced, int64_t distance)
{
    struct amount sum = {.known = true, .value = distance};
    for (size_t i = 0; i < description->channel_count; i++) {
        const struct channel_values *values = &state->channels[i];
        const struct amount *part = produced ? &values->energy_produced_uwh : &values->energy_uwh;
        sum.known = sum.known && part->known;
        sum.known = !__builtin_add_overflow(sum.value, part->value, &sum.value) && sum.known;
    }
    sum.value = sum.value < 0 ? 0 : sum.value;
    return sum;
}

void device_totals_fill(const struct device_totals *totals,
                        const struct device_description *description, struct device_state *state)
{
    state->energy_uwh = sum_of(description, state, false, totals->imported_uwh);
    state->energy_produced_uwh = sum_of(description, state, true, totals->exported_uwh);
}
