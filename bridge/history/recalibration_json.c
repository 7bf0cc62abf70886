/* SPDX-License-Identifier: MIT */
#include "bridge/history/recalibration_json.h"

#include "bridge/history/query/time_text.h"
#include "drivers/base/clock.h"
#include "drivers/base/text.h"

#include <stdio.h>
#include <string.h>

#define KWH 1e9 /* microwatt hours */

/* ---- the request ---- */

static enum status read_name(const json_t *body, const char *key, char *name, struct error *error)
{
    const char *value = json_string_value(json_object_get(body, key));
    if (value == NULL || value[0] == '\0' || strlen(value) >= CHANNEL_TEXT_MAX)
        return error_set(error, STATUS_USAGE, "The key \"%s\" must be a text.", key);
    (void)snprintf(name, CHANNEL_TEXT_MAX, "%s", value);
    return STATUS_OK;
}

static enum status read_time(const json_t *body, const char *key, int64_t *ms, struct error *error)
{
    const json_t *value = json_object_get(body, key);
    if (value == NULL)
        return STATUS_OK;
    if (!json_is_string(value))
        return error_set(error, STATUS_USAGE, "The key \"%s\" must be a time, as a text.", key);
    enum status status = time_text_parse(json_string_value(value), clock_wall_ms(), ms, error);
    return status == STATUS_OK ? status : error_prefix(error, status, "%s: ", key);
}

static enum status read_factor(const json_t *body, const char *key, double *factor,
                               struct error *error)
{
    const json_t *value = json_object_get(body, key);
    *factor = json_number_value(value);
    if (value == NULL || (json_is_number(value) && *factor >= 1.0 && *factor <= 1e8))
        return STATUS_OK;
    return error_set(error, STATUS_USAGE,
                     "The key \"%s\" must be a factor, in raw units per unit: 1 to 1e8.", key);
}

static enum status read_flag(const json_t *body, const char *key, bool *flag, struct error *error)
{
    const json_t *value = json_object_get(body, key);
    *flag = json_is_true(value);
    if (value == NULL || json_is_boolean(value))
        return STATUS_OK;
    return error_set(error, STATUS_USAGE, "The key \"%s\" must be true or false.", key);
}

static enum status read_factors(const json_t *body, struct history_recalibration *correction,
                                struct error *error)
{
    enum status status = read_factor(body, "voltage", &correction->factors.voltage, error);
    if (status == STATUS_OK)
        status = read_factor(body, "current", &correction->factors.current, error);
    if (status == STATUS_OK)
        status = read_factor(body, "power", &correction->factors.power, error);
    if (status != STATUS_OK)
        return status;
    const json_t *id = json_object_get(body, "calibration");
    correction->calibration_id = json_integer_value(id);
    if (id != NULL && correction->calibration_id < 1)
        return error_set(error, STATUS_USAGE,
                         "The key \"calibration\" must be the number of a calibration.");
    const struct calibration *factors = &correction->factors;
    bool any = factors->voltage > 0 || factors->current > 0 || factors->power > 0;
    if (any == (id != NULL))
        return error_set(error, STATUS_USAGE,
                         "Say the right factors: voltage, current or power, or else calibration, "
                         "the number of one that the history has.");
    return STATUS_OK;
}

enum status recalibration_parse(const json_t *body, struct history_recalibration *correction,
                                struct error *error)
{
    *correction = (struct history_recalibration){.since_ms = -1, .until_ms = INT64_MAX};
    enum status status = read_name(body, "device", correction->device, error);
    if (status == STATUS_OK)
        status = read_name(body, "channel", correction->channel, error);
    if (status == STATUS_OK)
        status = read_flag(body, "undo", &correction->undo, error);
    if (status == STATUS_OK)
        status = read_flag(body, "dry_run", &correction->dry_run, error);
    if (status == STATUS_OK)
        status = read_time(body, "since", &correction->since_ms, error);
    if (status == STATUS_OK)
        status = read_time(body, "until", &correction->until_ms, error);
    if (status != STATUS_OK)
        return status;
    if (correction->undo) {
        if (correction->since_ms != -1 || correction->until_ms != INT64_MAX)
            return error_set(
                error, STATUS_USAGE,
                "undo takes back the last correction whole; leave out since and until.");
        return STATUS_OK;
    }
    if (correction->since_ms < 0)
        return error_set(error, STATUS_USAGE, "Say from which time on the factors hold: since.");
    return read_factors(body, correction, error);
}

static void set_time(json_t *object, const char *key, int64_t ms)
{
    char buffer[64];
    struct text text;
    text_init(&text, buffer, sizeof buffer);
    time_text_append(&text, ms);
    (void)json_object_set_new(object, key, json_string(buffer));
}

static void set_factor(json_t *object, const char *key, double factor)
{
    if (factor > 0)
        (void)json_object_set_new(object, key, json_real(factor));
}

json_t *recalibration_request(const struct history_recalibration *correction)
{
    json_t *body =
        json_pack("{s:s, s:s}", "device", correction->device, "channel", correction->channel);
    if (correction->undo)
        (void)json_object_set_new(body, "undo", json_true());
    if (correction->dry_run)
        (void)json_object_set_new(body, "dry_run", json_true());
    if (correction->undo)
        return body;
    set_time(body, "since", correction->since_ms);
    if (correction->until_ms != INT64_MAX)
        set_time(body, "until", correction->until_ms);
    set_factor(body, "voltage", correction->factors.voltage);
    set_factor(body, "current", correction->factors.current);
    set_factor(body, "power", correction->factors.power);
    if (correction->calibration_id != 0)
        (void)json_object_set_new(body, "calibration", json_integer(correction->calibration_id));
    return body;
}

/* ---- the answer ---- */

static json_t *factors_json(const struct calibration *factors)
{
    return json_pack("{s:f, s:f, s:f}", "voltage", factors->voltage, "current", factors->current,
                     "power", factors->power);
}

static json_t *change_json(int64_t before_uwh, int64_t after_uwh)
{
    return json_pack("{s:f, s:f}", "before_kwh", (double)before_uwh / KWH, "after_kwh",
                     (double)after_uwh / KWH);
}

json_t *recalibration_answer(const struct history_recalibration *correction,
                             const struct history_recalibrated *done)
{
    json_t *answer =
        json_pack("{s:s, s:s, s:b, s:b, s:b, s:I}", "id", correction->device, "channel",
                  correction->channel, "stored", (int)!correction->dry_run, "undone",
                  (int)correction->undo, "rounded", (int)done->rounded, "recalibration",
                  (json_int_t)(correction->dry_run && !correction->undo ? 0 : done->id));
    set_time(answer, "since", done->since_ms);
    set_time(answer, "until", done->until_ms);
    (void)json_object_set_new(answer, "old", factors_json(&done->old_factors));
    (void)json_object_set_new(answer, "new", factors_json(&done->new_factors));
    (void)json_object_set_new(answer, "in_use", factors_json(&done->in_use));
    (void)json_object_set_new(answer, "energy",
                              change_json(done->imported_before_uwh, done->imported_after_uwh));
    (void)json_object_set_new(answer, "energy_produced",
                              change_json(done->exported_before_uwh, done->exported_after_uwh));
    (void)json_object_set_new(
        answer, "total",
        change_json(done->total_imported_before_uwh, done->total_imported_after_uwh));
    (void)json_object_set_new(
        answer, "total_produced",
        change_json(done->total_exported_before_uwh, done->total_exported_after_uwh));
    (void)json_object_set_new(answer, "held_kwh", json_real((double)done->held_imported_uwh / KWH));
    (void)json_object_set_new(answer, "held_produced_kwh",
                              json_real((double)done->held_exported_uwh / KWH));
    return answer;
}

/* ---- for people ---- */

static double number_at(const json_t *answer, const char *object, const char *key)
{
    return json_number_value(json_object_get(json_object_get(answer, object), key));
}

static void append_factor(struct text *text, const json_t *answer, const char *name)
{
    double old = number_at(answer, "old", name);
    double new = number_at(answer, "new", name);
    text_append(text, "%-16s %14.7g  -> %14.7g  %+.2f %%\n", name, old, new,
                old > 0 ? (new / old - 1) * 100 : 0.0);
}

static void append_energy(struct text *text, const json_t *answer, const char *key,
                          const char *name)
{
    double before = number_at(answer, key, "before_kwh");
    double after = number_at(answer, key, "after_kwh");
    if (before == 0 && after == 0)
        return;
    text_append(text, "%-16s %10.3f kWh  -> %10.3f kWh  %+.3f kWh\n", name, before, after,
                after - before);
}

static bool differs(const json_t *answer, const char *name)
{
    return number_at(answer, "in_use", name) != number_at(answer, "new", name);
}

void recalibration_text(const json_t *answer, char *buffer, size_t size)
{
    struct text text;
    text_init(&text, buffer, size);
    text_append(&text, "%s %s from %s to %s\n\n", json_string_value(json_object_get(answer, "id")),
                json_string_value(json_object_get(answer, "channel")),
                json_string_value(json_object_get(answer, "since")),
                json_string_value(json_object_get(answer, "until")));
    append_factor(&text, answer, "voltage");
    append_factor(&text, answer, "current");
    append_factor(&text, answer, "power");
    append_energy(&text, answer, "energy", "energy then");
    append_energy(&text, answer, "energy_produced", "produced then");
    append_energy(&text, answer, "total", "total");
    append_energy(&text, answer, "total_produced", "total produced");
    double held = json_number_value(json_object_get(answer, "held_kwh")) +
                  json_number_value(json_object_get(answer, "held_produced_kwh"));
    if (held > 0)
        text_append(&text,
                    "\nPublished totals do not go down: %.3f kWh that are too much are held, and "
                    "the totals go on from where they are. What is asked of the history is "
                    "corrected.\n",
                    held);
    if (json_is_true(json_object_get(answer, "rounded")))
        text_append(&text, "\nThe begin or the end was moved to where a minute, a quarter or a day "
                           "begins: the readings of that time are deleted already.\n");
    if (!json_is_true(json_object_get(answer, "undone")) &&
        (differs(answer, "voltage") || differs(answer, "current") || differs(answer, "power")))
        text_append(&text,
                    "\nThe channel goes on with voltage: %.7g, current: %.7g, power: %.7g; "
                    "`bl2mqtt calibrate` or bridge.yaml change that.\n",
                    number_at(answer, "in_use", "voltage"), number_at(answer, "in_use", "current"),
                    number_at(answer, "in_use", "power"));
}
