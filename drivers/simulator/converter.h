/* SPDX-License-Identifier: MIT */
/**
 * The measuring half of a simulated BL0942 (chip.c is the other: registers and line). It turns a
 * load into raw values, averages them over the refresh window, and counts energy pulses. Pure.
 * Private to the simulated chip, which reads the fields below directly, but changes none except
 * `counter`, its CF_CNT.
 *
 * Energy is exact: raw power is an integer, time is in whole microseconds, and one count is
 * 419430.4 raw power seconds, that is 419,430,400,000 raw power microseconds (datasheet: tCF =
 * 1638.4 * 256 / WATT). Nothing is rounded, so nothing gets lost in a year.
 */
#ifndef DRIVERS_SIMULATOR_CONVERTER_H
#define DRIVERS_SIMULATOR_CONVERTER_H

#include "drivers/simulator/chip.h"

#define CONVERTER_RAW_MASK 0xFFFFFFu         /* registers have 24 bits */
#define CONVERTER_CURRENT_LOW_BELOW 0x40000u /* I_RMS too small for zero crossings */
#define CONVERTER_VOLTAGE_LOW_BELOW 0x80000u /* the same for V_RMS; also no frequency then */

/* What the chip's registers tell the converter to do. */
struct converter_settings {
    int64_t window_us; /**< MODE: 400 or 800 ms */
    bool counting;     /**< MODE: CF_EN */
    bool absolute;     /**< MODE: both directions count up */
    double gain;       /**< GAIN_CR, 1 at its default */
    double creep;      /**< raw power below which nothing is counted */
};

struct converter {
    struct converter_settings settings;
    struct chip_load load;
    double counts_per_volt, counts_per_ampere, counts_per_watt;
    double noise;
    uint64_t seed;
    int64_t now_us;

    /** The load in raw units, at this instant and without noise. */
    double current_raw, voltage_raw;
    int32_t watt_raw;

    /** The registers, as the last full window left them. */
    uint32_t i_rms, v_rms, i_fast_rms, frequency;
    int32_t watt;
    bool creep;
    bool undocumented; /**< STATUS bit 5 comes and goes, nobody knows why */

    uint32_t counter; /**< CF_CNT */
    bool last_pulse_exported;
    uint64_t counts_imported, counts_exported; /**< since creation */

    /** Used by converter.c only. */
    int64_t window_start_us;
    double current_sum, fast_sum, voltage_sum, watt_sum;
    int64_t energy; /**< less than one count; signed in algebraic mode */
};

/** Starts from nothing: all registers and CF_CNT 0, first values after one window. The load, the
 *  factors, the settings and counts_imported/exported stay. */
void converter_power_on(struct converter *converter, int64_t now_us);
void converter_configure(struct converter *converter, const struct converter_settings *settings);
void converter_set_load(struct converter *converter, const struct chip_load *load);
/** Measures until until_us, which is not before the last call's. */
void converter_advance(struct converter *converter, int64_t until_us);

/** Samples of the sines now (I_WAVE, V_WAVE): 20 bits signed. */
int32_t converter_current_sample(const struct converter *converter);
int32_t converter_voltage_sample(const struct converter *converter);

#endif
