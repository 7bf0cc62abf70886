/* SPDX-License-Identifier: MIT */
#include "bridge/service/device_alarms.h"

#include "bridge/device/state.h"
#include "bridge/meter/alarm.h"
#include "drivers/base/memory.h"
#include "drivers/base/text.h"

#include <string.h>

#define STORED_KEY "alarms"

struct entry {
    struct alarm_rule rule;
    struct alarm alarm;
    bool usable;
    bool unknown_reported; /* that the device has no such property */
};

struct device_alarms {
    const struct config_device *config;
    struct preferences *preferences;
    struct log *log;
    size_t count;
    const char *names[DEVICE_ALARMS_MAX];
    struct entry entries[DEVICE_ALARMS_MAX];
};

static bool was_on(const struct device_alarms *alarms, const char *name)
{
    const json_t *stored = preferences_get(alarms->preferences, alarms->config->id, STORED_KEY);
    size_t index;
    const json_t *on;
    json_array_foreach((json_t *)stored, index, on)
    {
        const char *text = json_string_value(on);
        if (text != NULL && strcmp(text, name) == 0)
            return true;
    }
    return false;
}

static void store(const struct device_alarms *alarms)
{
    json_t *list = json_array();
    for (size_t i = 0; i < alarms->count; i++)
        if (alarms->entries[i].alarm.on)
            json_array_append_new(list, json_string(alarms->names[i]));
    struct error error;
    if (preferences_put(alarms->preferences, alarms->config->id, STORED_KEY, list, &error) !=
        STATUS_OK)
        log_warning(alarms->log, "Alarms that are on are forgotten by a restart: %s", error.text);
}

static void read_rule(const struct device_alarms *alarms, const struct config_alarm *config,
                      struct entry *entry)
{
    struct error error;
    entry->usable = alarm_rule_parse(config->when, config->until, config->for_ms, &entry->rule,
                                     &error) == STATUS_OK;
    if (!entry->usable)
        log_error(alarms->log, "The alarm %s of %s cannot be evaluated: %s", config->name,
                  alarms->config->id, error.text);
}

struct device_alarms *device_alarms_create(const struct config_device *config,
                                           struct preferences *preferences, struct log *log)
{
    struct device_alarms *alarms = memory_new(1, sizeof *alarms);
    alarms->config = config;
    alarms->preferences = preferences;
    alarms->log = log;
    alarms->count =
        config->alarm_count < DEVICE_ALARMS_MAX ? config->alarm_count : DEVICE_ALARMS_MAX;
    for (size_t i = 0; i < alarms->count; i++) {
        alarms->names[i] = config->alarms[i].name;
        read_rule(alarms, &config->alarms[i], &alarms->entries[i]);
        alarms->entries[i].alarm.on = was_on(alarms, alarms->names[i]);
    }
    return alarms;
}

void device_alarms_free(struct device_alarms *alarms)
{
    free(alarms);
}

const char *const *device_alarms_names(const struct device_alarms *alarms, size_t *count)
{
    *count = alarms->count;
    return alarms->names;
}

static void describe(const struct alarm_rule *rule, const char *name, bool began, int64_t micro,
                     char *message, size_t size)
{
    struct text text;
    text_init(&text, message, size);
    text_append(&text, "The alarm %s %s: %s is ", name, began ? "began" : "ended",
                rule->when.property);
    text_append_decimal(&text, micro, 6, 3, false);
    text_append(&text, ".");
}

/* A property that the device does not have is reported once: a channel may have been removed. */
static bool value_of(const struct device_alarms *alarms,
                     const struct device_description *description, const struct device_state *state,
                     size_t index, struct entry *entry, int64_t *micro)
{
    bool exists;
    const char *key = entry->rule.when.property;
    bool known = device_state_number(description, state, key, &exists, micro);
    if (!exists && !entry->unknown_reported)
        log_warning(alarms->log, "The alarm %s watches %s, but %s has no such number.",
                    alarms->names[index], key, description->id);
    entry->unknown_reported = !exists;
    return known;
}

bool device_alarms_update(struct device_alarms *alarms,
                          const struct device_description *description, struct device_state *state,
                          int64_t boot_ms, device_alarm_report report, void *context)
{
    bool changed = false, edge = false;
    for (size_t i = 0; i < alarms->count; i++) {
        struct entry *entry = &alarms->entries[i];
        if (!entry->usable)
            continue;
        int64_t micro = 0;
        bool before_known = entry->alarm.known;
        bool known = value_of(alarms, description, state, i, entry, &micro);
        bool turned =
            alarm_update(&entry->alarm, &entry->rule, known, micro, boot_ms) != ALARM_NO_EDGE;
        if (turned) {
            char message[200];
            describe(&entry->rule, alarms->names[i], entry->alarm.on, micro, message,
                     sizeof message);
            report(context, alarms->names[i], entry->alarm.on, message);
        }
        edge = edge || turned;
        changed = changed || turned || before_known != entry->alarm.known;
        if (entry->alarm.known)
            state->alarms[i] = entry->alarm.on ? ALARM_ON : ALARM_OFF;
    }
    if (edge)
        store(alarms);
    return changed;
}

bool device_alarms_due(const struct device_alarms *alarms, int64_t boot_ms)
{
    for (size_t i = 0; i < alarms->count; i++) {
        const struct entry *entry = &alarms->entries[i];
        if (entry->alarm.holding && boot_ms - entry->alarm.since_ms >= entry->rule.for_ms)
            return true;
    }
    return false;
}
