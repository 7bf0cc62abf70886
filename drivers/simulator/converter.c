/* SPDX-License-Identifier: MIT */
#include "drivers/simulator/converter.h"

#include "drivers/base/wide.h"
#include "drivers/simulator/dice.h"

#include <math.h>

#define FREQUENCY_STEP 8
#define FREQUENCY_AT_POWER_ON 20000
#define RMS_MAX 0xFFFFFF
#define WATT_MAX 0x7FFFFF

/* In raw power times microseconds. */
#define ENERGY_PER_COUNT INT64_C(419430400000)
/* I_FAST_RMS is about that part of I_RMS for large alternating currents. */
#define FAST_PART 0.363
/* Raw RMS at the input limits 30 mV and 70 mV rms, where the 20-bit samples reach their ends. */
#define CURRENT_FULL_SCALE 7536404.0
#define VOLTAGE_FULL_SCALE 4252241.0
#define SAMPLE_MAX 524287.0

/* Raw values are cut off, not rounded (the application note's example shows it); the tiny addition
 * makes up for what sums of floating point numbers lose. */
static double cut_raw(double value, double limit)
{
    double magnitude = floor(fmin(fabs(value), limit) + 1e-6);
    return value < 0 ? -magnitude : magnitude;
}

static void update_raw(struct converter *converter)
{
    const struct chip_load *load = &converter->load;
    double gain = converter->settings.gain;
    converter->voltage_raw = fabs(load->voltage_v) * converter->counts_per_volt;
    converter->current_raw = fabs(load->current_a) * converter->counts_per_ampere * gain;
    double watt = load->power_w * converter->counts_per_watt * gain;
    converter->watt_raw = (int32_t)cut_raw(watt, WATT_MAX);
}

/* Below the no-load threshold power, current and energy stand still. */
static bool in_creep(const struct converter *converter)
{
    return fabs((double)converter->watt_raw) < converter->settings.creep;
}

static void count_pulses(struct converter *converter, uint64_t pulses, bool exported)
{
    if (pulses == 0)
        return;
    uint32_t step = (uint32_t)(pulses & CONVERTER_RAW_MASK);
    bool down = exported && !converter->settings.absolute;
    uint32_t counter = down ? converter->counter - step : converter->counter + step;
    converter->counter = counter & CONVERTER_RAW_MASK;
    converter->last_pulse_exported = exported;
    if (exported)
        converter->counts_exported += pulses;
    else
        converter->counts_imported += pulses;
}

static void accumulate_energy(struct converter *converter, int64_t elapsed_us)
{
    if (!converter->settings.counting || in_creep(converter))
        return;
    bool absolute = converter->settings.absolute;
    /* 128 bits: a year at full scale is more than 2^63 raw power microseconds. */
    struct wide energy = wide_multiply(converter->watt_raw, elapsed_us);
    if (absolute && wide_is_negative(energy))
        energy = wide_negate(energy);
    energy = wide_add(energy, wide_from(converter->energy));
    bool negative = wide_is_negative(energy);
    int64_t counts = wide_divide(energy, ENERGY_PER_COUNT, &converter->energy);
    uint64_t pulses = (uint64_t)(negative ? -counts : counts);
    count_pulses(converter, pulses, absolute ? converter->watt_raw < 0 : negative);
}

static void integrate(struct converter *converter, int64_t until_us)
{
    int64_t elapsed_us = until_us - converter->now_us;
    if (elapsed_us <= 0)
        return;
    converter->now_us = until_us;
    double elapsed = (double)elapsed_us;
    converter->voltage_sum += converter->voltage_raw * elapsed;
    converter->fast_sum += converter->current_raw * elapsed;
    if (!in_creep(converter)) {
        converter->current_sum += converter->current_raw * elapsed;
        converter->watt_sum += (double)converter->watt_raw * elapsed;
    }
    accumulate_energy(converter, elapsed_us);
}

static void start_window(struct converter *converter)
{
    converter->window_start_us = converter->now_us;
    converter->voltage_sum = converter->current_sum = 0;
    converter->fast_sum = converter->watt_sum = 0;
}

static void refresh_frequency(struct converter *converter)
{
    double hertz = converter->load.frequency_hz;
    if (converter->v_rms < CONVERTER_VOLTAGE_LOW_BELOW || hertz <= 0)
        return;
    double period = round(1e6 / hertz / FREQUENCY_STEP) * FREQUENCY_STEP;
    converter->frequency = (uint32_t)fmin(period, 0xFFF8);
}

/* The window's means become the registers. Noise depends on seed and time alone, so that it does
 * not matter how often anybody looked. Power carries the noise of both, so PF never exceeds 1. */
static void refresh(struct converter *converter)
{
    double window = (double)(converter->now_us - converter->window_start_us);
    uint64_t dice = dice_hash(converter->seed) ^ (uint64_t)converter->now_us;
    double v_noise = 1 + converter->noise * (dice_unit(dice_next(&dice)) - 0.5);
    double i_noise = 1 + converter->noise * (dice_unit(dice_next(&dice)) - 0.5);
    converter->undocumented = (dice_next(&dice) & 1) != 0;

    double voltage = converter->voltage_sum / window * v_noise;
    double current = converter->current_sum / window * i_noise;
    double fast = converter->fast_sum / window * i_noise * FAST_PART;
    double watt = converter->watt_sum / window * v_noise * i_noise;
    converter->v_rms = (uint32_t)cut_raw(voltage, RMS_MAX);
    converter->i_rms = (uint32_t)cut_raw(current, RMS_MAX);
    converter->i_fast_rms = (uint32_t)cut_raw(fast, RMS_MAX);
    converter->watt = (int32_t)cut_raw(watt, WATT_MAX);
    converter->creep = in_creep(converter) && converter->v_rms >= CONVERTER_VOLTAGE_LOW_BELOW;
    refresh_frequency(converter);
    start_window(converter);
}

void converter_power_on(struct converter *converter, int64_t now_us)
{
    converter->now_us = now_us;
    converter->i_rms = converter->v_rms = converter->i_fast_rms = 0;
    converter->watt = 0;
    converter->frequency = FREQUENCY_AT_POWER_ON;
    converter->creep = converter->undocumented = converter->last_pulse_exported = false;
    converter->energy = 0;
    converter->counter = 0;
    start_window(converter);
}

void converter_configure(struct converter *converter, const struct converter_settings *settings)
{
    converter->settings = *settings;
    if (settings->absolute && converter->energy < 0)
        converter->energy = -converter->energy;
    update_raw(converter);
}

void converter_set_load(struct converter *converter, const struct chip_load *load)
{
    converter->load = *load;
    update_raw(converter);
}

void converter_advance(struct converter *converter, int64_t until_us)
{
    int64_t window_us = converter->settings.window_us;
    while (converter->window_start_us + window_us <= until_us) {
        int64_t windows = (until_us - converter->window_start_us) / window_us;
        int64_t last_us = converter->window_start_us + (windows - 1) * window_us;
        if (last_us > converter->now_us) { /* nobody can see any window but the last one */
            integrate(converter, last_us);
            start_window(converter);
        }
        integrate(converter, converter->window_start_us + window_us);
        refresh(converter);
    }
    integrate(converter, until_us);
}

static int32_t sample(const struct converter *converter, double of_full_scale, double phase)
{
    double cycles = (double)converter->now_us * 1e-6 * converter->load.frequency_hz;
    double angle = 2 * M_PI * (cycles - floor(cycles)) + phase;
    double value = of_full_scale * SAMPLE_MAX * sin(angle);
    return (int32_t)fmax(-SAMPLE_MAX, fmin(SAMPLE_MAX, value));
}

int32_t converter_current_sample(const struct converter *converter)
{
    const struct chip_load *load = &converter->load;
    double apparent = fabs(load->voltage_v * load->current_a);
    double factor = apparent > 0 ? fmax(-1, fmin(1, load->power_w / apparent)) : 1;
    return sample(converter, converter->current_raw / CURRENT_FULL_SCALE, acos(factor));
}

int32_t converter_voltage_sample(const struct converter *converter)
{
    return sample(converter, converter->voltage_raw / VOLTAGE_FULL_SCALE, 0);
}
