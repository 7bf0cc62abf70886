/* SPDX-License-Identifier: MIT */
#include "bridge/meter/reference.h"

#include "drivers/base/number.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Boards differ from the default factors by up to three times; this is a wrong unit, a clamp that
 * hangs beside the conductor, or the other channel. */
#define FAR_OFF 5.0

static void add(struct reference_mean *mean, int64_t raw)
{
    mean->count++;
    double distance = (double)raw - mean->mean;
    mean->mean += distance / (double)mean->count;
    mean->squares += distance * ((double)raw - mean->mean);
}

void reference_add(struct reference_samples *samples, const struct reading *reading)
{
    samples->count++;
    if ((reading->flags & READING_CREEP) != 0)
        samples->creeping++;
    if ((reading->present & READING_VOLTAGE) != 0)
        add(&samples->voltage, reading->voltage);
    if ((reading->present & READING_CURRENT) != 0)
        add(&samples->current, reading->current);
    if ((reading->present & READING_POWER) != 0)
        add(&samples->power, reading->power);
}

/* One quantity on its way to its factor. */
struct quantity {
    const char *name;
    const char *unit;
    double true_value;
    double spread_max;
    const struct reference_mean *mean;
    double *factor; /* the old one */
};

/* As it will stand in bridge.yaml: what is used and what is written down must be the same number. */
static double seven_digits(double value)
{
    char text[32];
    int length = snprintf(text, sizeof text, "%.7g", value);
    for (char *at = text; *at != '\0'; at++)
        *at = *at == ',' ? '.' : *at; /* whatever the locale */
    double rounded = value;
    (void)number_parse_double(text, (size_t)length, -1e12, 1e12, &rounded);
    return rounded;
}

static enum status check_load(const struct quantity *quantity,
                              const struct reference_samples *samples, struct error *error)
{
    if (quantity->mean->count < REFERENCE_READINGS_MIN)
        return error_set(error, STATUS_NO_ANSWER,
                         "Only %zu readings with a %s came in that time; at least %d are needed. "
                         "Allow more time with --seconds.",
                         quantity->mean->count, quantity->name, REFERENCE_READINGS_MIN);
    if (samples->creeping > 0 && strcmp(quantity->unit, "V") != 0)
        return error_set(
            error, STATUS_REFUSED,
            "The chip sees no load (it is below its no-load threshold). Check that the "
            "clamp is closed around one conductor of the load.");
    return STATUS_OK;
}

static enum status check_steady(const struct quantity *quantity, struct error *error)
{
    const struct reference_mean *mean = quantity->mean;
    double deviation = sqrt(mean->squares / (double)(mean->count - 1));
    double spread = mean->mean == 0 ? INFINITY : deviation / fabs(mean->mean);
    if (spread <= quantity->spread_max)
        return STATUS_OK;
    return error_set(
        error, STATUS_REFUSED,
        "The %s is too unsteady to calibrate with: it varied by %.1f %% where at most "
        "%.1f %% are good. Use a load that does not change, such as a heater or an old "
        "light bulb.",
        quantity->name, spread * 100, quantity->spread_max * 100);
}

static enum status calibrate(const struct quantity *quantity,
                             const struct reference_samples *samples, struct error *error)
{
    if (quantity->true_value == 0)
        return STATUS_OK;
    enum status status = check_load(quantity, samples, error);
    if (status == STATUS_OK)
        status = check_steady(quantity, error);
    if (status != STATUS_OK)
        return status;
    double factor = fabs(quantity->mean->mean) / quantity->true_value;
    double ratio = factor / *quantity->factor;
    if (ratio > FAR_OFF || ratio < 1 / FAR_OFF)
        return error_set(
            error, STATUS_REFUSED,
            "The meter shows %.4g %s where %.4g %s are said to be true; that is too far "
            "off for a calibration. Check the value, that it is about this channel, and "
            "that the clamp is closed around one conductor of the load.",
            fabs(quantity->mean->mean) / *quantity->factor, quantity->unit, quantity->true_value,
            quantity->unit);
    *quantity->factor = seven_digits(factor);
    return STATUS_OK;
}

static enum status check_size(const char *name, const char *unit, double value, double minimum,
                              struct error *error)
{
    if (value == 0 || value >= minimum)
        return STATUS_OK;
    return error_set(error, STATUS_REFUSED,
                     "%g %s is too small to calibrate the %s with; use a load with at least %g %s.",
                     value, unit, name, minimum, unit);
}

enum status reference_check(const struct reference *reference, struct error *error)
{
    if (!(reference->voltage_v > 0 || reference->current_a > 0 || reference->power_w > 0))
        return error_set(error, STATUS_USAGE,
                         "Say at least one true value: the voltage, the current or the power.");
    enum status status =
        check_size("voltage", "V", reference->voltage_v, REFERENCE_VOLTAGE_MIN, error);
    if (status == STATUS_OK)
        status = check_size("current", "A", reference->current_a, REFERENCE_CURRENT_MIN, error);
    if (status == STATUS_OK)
        status = check_size("power", "W", reference->power_w, REFERENCE_POWER_MIN, error);
    return status;
}

enum status reference_calibrate(const struct reference_samples *samples,
                                const struct reference *reference, enum reading_kind kind,
                                const struct calibration *old, bool invert,
                                struct reference_result *result, struct error *error)
{
    enum status status = reference_check(reference, error);
    if (status != STATUS_OK)
        return status;
    double sign = invert ? -1 : 1;
    *result = (struct reference_result){
        .factors = *old,
        .shown = {.voltage_v = samples->voltage.mean / old->voltage,
                  .current_a = samples->current.mean / old->current,
                  .power_w = sign * samples->power.mean / old->power},
        .reversed = sign * samples->power.mean < 0,
    };
    struct calibration *factors = &result->factors;
    const struct quantity quantities[] = {
        {"voltage", "V", reference->voltage_v, REFERENCE_VOLTAGE_SPREAD, &samples->voltage,
         &factors->voltage},
        {"current", "A", reference->current_a, REFERENCE_LOAD_SPREAD, &samples->current,
         &factors->current},
        {"power", "W", reference->power_w, REFERENCE_LOAD_SPREAD, &samples->power, &factors->power},
    };
    for (size_t i = 0; i < sizeof quantities / sizeof quantities[0]; i++) {
        status = calibrate(&quantities[i], samples, error);
        if (status != STATUS_OK)
            return status;
    }
    result->consistency = kind == READING_BL0942 ? calibration_consistency(factors) : 1;
    result->consistent = fabs(result->consistency - 1) <= CALIBRATION_TOLERANCE;
    return calibration_check(factors, error);
}
