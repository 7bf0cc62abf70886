/* SPDX-License-Identifier: MIT */
#include "bridge/meter/calibration.h"

#include <math.h>

/* Datasheet V1.10 3.2 and application note V1.04. */
static const double current_constant = 305978.0; /* I_RMS per millivolt over Vref */
static const double voltage_constant = 73989.0;  /* V_RMS likewise */
static const double power_constant = 3537.0;     /* WATT per square millivolt over Vref squared */
static const double raw_watt_seconds_per_count = 1638.4 * 256.0;

static const double factor_least = 1.0;
static const double factor_maximum = 1e8;

struct calibration calibration_default(enum reading_kind kind)
{
    if (kind != READING_BL0942)
        return (struct calibration){.voltage = 1000.0, .current = 1000.0, .power = 1000.0};
    struct calibration calibration = {.voltage = 15883.34, .current = 128118.87};
    calibration.power = calibration_power_from(calibration.voltage, calibration.current);
    return calibration;
}

double calibration_power_from(double voltage, double current)
{
    return current * voltage * power_constant / (current_constant * voltage_constant);
}

double calibration_consistency(const struct calibration *calibration)
{
    return calibration->power / calibration_power_from(calibration->voltage, calibration->current);
}

static enum status check_factor(const char *name, double factor, struct error *error)
{
    if (isfinite(factor) && factor >= factor_least && factor <= factor_maximum)
        return STATUS_OK;
    return error_set(error, STATUS_USAGE,
                     "The calibration factor for %s is %g, but it must be between %g and %g. A "
                     "clamp that reads negative is turned round with invert: true, not with a "
                     "negative factor.",
                     name, factor, factor_least, factor_maximum);
}

enum status calibration_check(const struct calibration *calibration, struct error *error)
{
    enum status status = check_factor("voltage", calibration->voltage, error);
    if (status == STATUS_OK)
        status = check_factor("current", calibration->current, error);
    if (status == STATUS_OK)
        status = check_factor("power", calibration->power, error);
    return status;
}

enum status calibration_consistent(const struct calibration *calibration, enum reading_kind kind,
                                   struct error *error)
{
    double consistency = calibration_consistency(calibration);
    if (kind != READING_BL0942 || fabs(consistency - 1) <= CALIBRATION_TOLERANCE)
        return STATUS_OK;
    return error_set(
        error, STATUS_REFUSED,
        "These factors contradict each other: voltage %.7g and current %.7g belong to a "
        "power factor of %.7g, but it is %.7g, %.1f %% off. Calibrate again, or set all "
        "three so that they fit.",
        calibration->voltage, calibration->current,
        calibration_power_from(calibration->voltage, calibration->current), calibration->power,
        100 * (consistency - 1));
}

static double watt_hours_per_count(const struct calibration *calibration, enum reading_kind kind)
{
    if (kind == READING_METERED)
        return 1e-2 * 1000.0 / calibration->power;
    if (kind == READING_OPENBEKEN)
        return 1e-3 * 1000.0 / calibration->power;
    return raw_watt_seconds_per_count / 3600.0 / calibration->power;
}

bool calibration_equal(const struct calibration *one, const struct calibration *other)
{
    return one->voltage == other->voltage && one->current == other->current &&
           one->power == other->power;
}

int64_t calibration_energy_uwh(const struct calibration *calibration, enum reading_kind kind,
                               int64_t counts)
{
    /* One multiplication by a positive constant, then truncation: both keep order, so a total can
     * not go down while its counts go up. */
    double uwh = (double)counts * (watt_hours_per_count(calibration, kind) * 1e6);
    if (uwh >= (double)INT64_MAX)
        return INT64_MAX;
    if (uwh <= (double)INT64_MIN)
        return INT64_MIN;
    return (int64_t)uwh;
}

double calibration_counts_per_second(const struct calibration *calibration, enum reading_kind kind,
                                     double power_w)
{
    return power_w / 3600.0 / watt_hours_per_count(calibration, kind);
}
