/* SPDX-License-Identifier: MIT */
/**
 * Believable loads for a simulated meter. Pure: what flows is a function of profile, seed and wall
 * time alone, so the same evening can be looked at twice, and a meter that was away comes back into
 * the day that went on meanwhile.
 *
 *   constant   exactly what is asked for
 *   idle       voltage, but nothing switched on
 *   household  base load, fridge, kettle, cooking, lights in the evening, a washing machine on some
 * days solar      an inverter: exports by day, more or less according to season and clouds; a few
 * watts of its own consumption at night
 *
 * Except in "constant" the voltage wanders within 2.2 % around 1.0043 times the nominal one (226 to
 * 236 V at 230 V) and the frequency within 0.05 Hz. Powers are those of a real home: at 120 V the
 * currents are higher, and heaters are the smaller ones that a 120 V socket can feed.
 */
#ifndef DRIVERS_SIMULATOR_LOAD_H
#define DRIVERS_SIMULATOR_LOAD_H

#include "drivers/simulator/chip.h"

#include <stdbool.h>
#include <stdint.h>

enum load_profile { LOAD_CONSTANT, LOAD_IDLE, LOAD_HOUSEHOLD, LOAD_SOLAR };

struct load_options {
    enum load_profile profile;
    uint64_t seed;
    double nominal_voltage_v;    /**< 90..300 */
    double nominal_frequency_hz; /**< 50 or 60 */
    int64_t utc_offset_s;        /**< of the place's clock: when its evening is */
    struct chip_load constant;   /**< LOAD_CONSTANT only */
};

/** NULL after the last one. */
const char *load_profile_name(enum load_profile profile);
/** False if there is no profile of that name. */
bool load_profile_parse(const char *name, enum load_profile *profile);

/** wall_ms: since 1970. */
void load_at(const struct load_options *options, int64_t wall_ms, struct chip_load *load);

#endif
