/* SPDX-License-Identifier: MIT */
#include "bridge/commands/calibrate.h"

#include "drivers/base/text.h"

#include <jansson.h>
#include <stdio.h>

static void append_line(struct text *text, const struct calibration *factors)
{
    text_append(text, "calibration: {voltage: %.7g, current: %.7g, power: %.7g}", factors->voltage,
                factors->current, factors->power);
}

static void print_quantity(const char *name, double shown, double reference, const char *unit,
                           double old, double new)
{
    (void)printf("%-8s %11.4f %s", name, shown, unit);
    if (reference > 0)
        (void)printf(" %11.4f %s", reference, unit);
    else
        (void)printf(" %13s", "-");
    (void)printf(" %13.7g %13.7g %+8.2f %%\n", old, new, (new / old - 1) * 100);
}

void calibrate_print_text(const struct calibrate_work *work)
{
    const struct reference *reference = &work->options->reference;
    const struct reference_result *result = &work->result;
    char line[256];
    struct text text;
    text_init(&text, line, sizeof line);
    append_line(&text, &result->factors);
    (void)printf("%zu readings of %s %s in %lld s\n\n%-8s %13s %13s %13s %13s %10s\n",
                 work->samples.count, work->device->id, work->channel->name,
                 (long long)work->options->seconds, "", "shown", "true", "old factor", "new factor",
                 "change");
    print_quantity("voltage", result->shown.voltage_v, reference->voltage_v, "V", work->old.voltage,
                   result->factors.voltage);
    print_quantity("current", result->shown.current_a, reference->current_a, "A", work->old.current,
                   result->factors.current);
    print_quantity("power", result->shown.power_w, reference->power_w, "W", work->old.power,
                   result->factors.power);
    (void)printf("\nThe line for bridge.yaml, if you want the factors to stand there:\n  %s\n\n",
                 line);
}

void calibrate_warn(const struct calibrate_work *work)
{
    const struct calibration *factors = &work->result.factors;
    if (!work->result.consistent)
        (void)fprintf(
            stderr,
            "bl2mqtt calibrate: warning: The three factors do not agree: power should be "
            "%.7g by voltage and current, and is %.1f %% off. Give all three true values, "
            "with a load that has a power factor of 1; if it stays, one of them is "
            "wrong.\n",
            calibration_power_from(factors->voltage, factors->current),
            (work->result.consistency - 1) * 100);
    if (work->result.reversed)
        (void)fprintf(stderr, "bl2mqtt calibrate: warning: The power counts as fed back. If the "
                              "load consumes, the clamp sits the other way round: set invert on "
                              "the channel, or turn it.\n");
}

static json_t *triple(const char *v, double a, const char *c, double b, const char *p, double w)
{
    json_t *object = json_object();
    (void)json_object_set_new(object, v, a != 0 ? json_real(a) : json_null());
    (void)json_object_set_new(object, c, b != 0 ? json_real(b) : json_null());
    (void)json_object_set_new(object, p, w != 0 ? json_real(w) : json_null());
    return object;
}

void calibrate_print_json(const struct calibrate_work *work)
{
    const struct reference *reference = &work->options->reference;
    const struct reference_result *result = &work->result;
    char line[256], time[64];
    struct text text;
    text_init(&text, line, sizeof line);
    append_line(&text, &result->factors);
    text_init(&text, time, sizeof time);
    text_append_time(&text, work->valid_from_ms, true);
    json_t *answer = json_pack(
        "{s:s, s:s, s:I, s:o, s:o, s:o, s:o, s:f, s:b, s:b, s:s, s:b}", "device", work->device->id,
        "channel", work->channel->name, "readings", (json_int_t)work->samples.count, "shown",
        triple("voltage_v", result->shown.voltage_v, "current_a", result->shown.current_a,
               "power_w", result->shown.power_w),
        "true",
        triple("voltage_v", reference->voltage_v, "current_a", reference->current_a, "power_w",
               reference->power_w),
        "old",
        triple("voltage", work->old.voltage, "current", work->old.current, "power",
               work->old.power),
        "new",
        triple("voltage", result->factors.voltage, "current", result->factors.current, "power",
               result->factors.power),
        "consistency", result->consistency, "consistent", (int)result->consistent, "reversed",
        (int)result->reversed, "config", line, "stored", (int)work->stored);
    (void)json_object_set_new(answer, "valid_from", work->stored ? json_string(time) : json_null());
    (void)json_dumpf(answer, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    (void)putchar('\n');
    json_decref(answer);
}
