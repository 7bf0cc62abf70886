/* SPDX-License-Identifier: MIT */
#include "bridge/meter/values.h"

#include "drivers/base/text.h"

#include <math.h>

static const double no_voltage_v = 10.0;
static const double lowest_hz = 40.0;
static const double highest_hz = 70.0;
static const double least_apparent_va = 1.0;
static const int64_t hidden_least_ma = 200;

/* The chip measures both at the same time, so active can only exceed apparent power by the error of
 * small currents (sheet: 6 % at the low end) and of factors that do not quite fit. */
static const double active_over_apparent = 1.25;
static const double active_over_apparent_w = 20.0;

struct quantity {
    bool known;
    double value;
};

struct quantities {
    struct quantity voltage_v, current_a, power_w, frequency_hz;
};

/** What the source can send: 24 bit, or milli-units of a billion. Nothing else is a measurement. */
static bool raw_possible(enum reading_kind kind, enum reading_field field, int64_t raw)
{
    int64_t most = kind == READING_BL0942 ? INT64_C(0xFFFFFF) : INT64_C(1000000000000);
    int64_t minimum = field == READING_POWER ? -most : 0;
    return raw >= minimum && raw <= most;
}

static struct quantity calibrated(const struct meter_options *options,
                                  const struct reading *reading, enum reading_field field,
                                  int64_t raw, double factor)
{
    if ((reading->present & (unsigned)field) == 0 || !raw_possible(options->kind, field, raw))
        return (struct quantity){0};
    return (struct quantity){.known = true, .value = (double)raw / factor};
}

static struct quantity frequency_of(enum reading_kind kind, const struct reading *reading)
{
    bool present = (reading->present & READING_FREQUENCY) != 0 && reading->frequency > 0 &&
                   raw_possible(kind, READING_FREQUENCY, reading->frequency);
    if (!present)
        return (struct quantity){0};
    double raw = (double)reading->frequency;
    return (struct quantity){.known = true,
                             .value = kind == READING_BL0942 ? 1e6 / raw : raw / 1e3};
}

static struct quantities measure(const struct meter_options *options, const struct reading *reading)
{
    const struct calibration *factor = &options->calibration;
    struct quantities measured = {
        .voltage_v =
            calibrated(options, reading, READING_VOLTAGE, reading->voltage, factor->voltage),
        .current_a =
            calibrated(options, reading, READING_CURRENT, reading->current, factor->current),
        .power_w = calibrated(options, reading, READING_POWER, reading->power, factor->power),
        .frequency_hz = frequency_of(options->kind, reading),
    };
    if (options->invert)
        measured.power_w.value = -measured.power_w.value;
    return measured;
}

static bool voltage_missing(const struct reading *reading, const struct quantity *voltage_v)
{
    if ((reading->flags & READING_VOLTAGE_LOW) != 0)
        return true;
    return voltage_v->known && voltage_v->value < no_voltage_v;
}

static bool outside(const struct quantity *quantity, double low, double high)
{
    return quantity->known && !(quantity->value >= low && quantity->value <= high);
}

static bool absurd(const struct meter_options *options, const struct quantities *measured)
{
    double maximum_power_w = 1.2 * options->max_current_a * options->mains_voltage_v;
    return outside(&measured->voltage_v, 0, 1.5 * options->mains_voltage_v) ||
           outside(&measured->current_a, 0, 1.5 * options->max_current_a) ||
           outside(&measured->power_w, -maximum_power_w, maximum_power_w) ||
           outside(&measured->frequency_hz, lowest_hz, highest_hz);
}

static bool more_active_than_apparent(const struct quantities *measured)
{
    if (!measured->voltage_v.known || !measured->current_a.known || !measured->power_w.known)
        return false;
    double apparent_va = measured->voltage_v.value * measured->current_a.value;
    double limit_w = active_over_apparent * apparent_va + active_over_apparent_w;
    return fabs(measured->power_w.value) > limit_w;
}

/** In creep the chip itself counts nothing; its averages may still show the last of the load. */
static void silence_noise(const struct meter_options *options, unsigned flags,
                          struct quantities *measured)
{
    bool creep = (flags & READING_CREEP) != 0;
    if (creep)
        measured->current_a.value = 0;
    if (creep || fabs(measured->power_w.value) * 1e3 < (double)options->noise_floor_mw)
        measured->power_w.value = 0;
}

static struct amount milli(const struct quantity *quantity)
{
    if (!quantity->known)
        return (struct amount){0};
    return (struct amount){.known = true, .value = llround(quantity->value * 1e3)};
}

static void derive(const struct meter_options *options, const struct quantities *measured,
                   struct channel_values *values)
{
    if (!measured->voltage_v.known || !measured->current_a.known)
        return;
    double apparent = measured->voltage_v.value * measured->current_a.value;
    values->power_apparent_mva = milli(&(struct quantity){.known = true, .value = apparent});
    if (!measured->power_w.known)
        return;
    double active = measured->power_w.value;
    double reactive = sqrt(fmax(0.0, apparent * apparent - active * active));
    values->power_reactive_mvar = milli(&(struct quantity){.known = true, .value = reactive});
    if (apparent < least_apparent_va || apparent * 1e3 < (double)options->noise_floor_mw)
        return;
    double factor = fmax(-1.0, fmin(1.0, active / apparent));
    values->power_factor_permille = milli(&(struct quantity){.known = true, .value = factor});
}

enum values_verdict values_measure(const struct meter_options *options,
                                   const struct reading *reading, struct channel_values *values)
{
    struct quantities measured = measure(options, reading);
    bool no_voltage = voltage_missing(reading, &measured.voltage_v);
    if (no_voltage)
        measured.frequency_hz.known = false;
    bool beyond = absurd(options, &measured);
    bool unlikely = options->kind == READING_BL0942 && more_active_than_apparent(&measured);

    silence_noise(options, reading->flags, &measured);
    values->voltage_mv = milli(&measured.voltage_v);
    values->current_ma = milli(&measured.current_a);
    values->power_mw = milli(&measured.power_w);
    values->frequency_mhz = milli(&measured.frequency_hz);
    values->power_apparent_mva = (struct amount){0};
    values->power_reactive_mvar = (struct amount){0};
    values->power_factor_permille = (struct amount){0};
    derive(options, &measured, values);
    if (beyond)
        return VALUES_ABSURD;
    if (no_voltage)
        return VALUES_NO_VOLTAGE;
    return unlikely ? VALUES_UNLIKELY : VALUES_GOOD;
}

struct limit {
    const char *name, *unit;
    double low, high; /* of what the installation can have */
    const struct quantity *measured;
};

void values_describe_excess(const struct meter_options *options, const struct reading *reading,
                            char *sentence, size_t size)
{
    struct quantities measured = measure(options, reading);
    double power_w = 1.2 * options->max_current_a * options->mains_voltage_v;
    const struct limit limits[] = {
        {"voltage", "V", 0, 1.5 * options->mains_voltage_v, &measured.voltage_v},
        {"current", "A", 0, 1.5 * options->max_current_a, &measured.current_a},
        {"power", "W", -power_w, power_w, &measured.power_w},
        {"frequency", "Hz", lowest_hz, highest_hz, &measured.frequency_hz},
    };
    struct text text;
    text_init(&text, sentence, size);
    for (size_t i = 0; i < sizeof limits / sizeof limits[0] && text.length == 0; i++) {
        const struct limit *limit = &limits[i];
        if (!outside(limit->measured, limit->low, limit->high))
            continue;
        text_append(&text, "A %s of ", limit->name);
        text_append_decimal(&text, llround(limit->measured->value * 1e3), 3, 1, false);
        text_append(&text,
                    " %s is more than the installation can have by mains.voltage and "
                    "mains.max_current. If it is real, correct these; if not, check the "
                    "calibration.",
                    limit->unit);
    }
}

bool values_power_mw(const struct meter_options *options, const struct reading *reading,
                     double *power_mw)
{
    struct quantities measured = measure(options, reading);
    *power_mw = measured.power_w.value * 1e3;
    return measured.power_w.known;
}

bool values_load_mw(const struct meter_options *options, const struct reading *reading,
                    double *load_mw)
{
    struct quantities measured = measure(options, reading);
    double apparent = measured.voltage_v.value * measured.current_a.value;
    *load_mw = fmax(fabs(measured.power_w.value), apparent) * 1e3;
    return measured.voltage_v.known && measured.current_a.known && measured.power_w.known;
}

bool values_power_hidden(const struct reading *reading)
{
    static const unsigned both = READING_POWER | READING_CURRENT;
    return (reading->present & both) == both && reading->power == 0 &&
           reading->current >= hidden_least_ma;
}
