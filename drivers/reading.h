/* SPDX-License-Identifier: MIT */
/**
 * A reading: one measurement of one channel at one time, as measured. Drivers make readings, the
 * meter turns them into volts, watts and kilowatt hours, the history stores them unchanged.
 *
 * Raw units depend on the kind of source:
 *
 *   field      READING_BL0942 (datasheet V1.10)      READING_OPENBEKEN
 *   voltage    V_RMS register, 24 bit unsigned       millivolts
 *   current    I_RMS register, 24 bit unsigned       milliamperes
 *   power      WATT register, 24 bit signed          milliwatts, signed
 *   energy     CF_CNT register, 24 bit, wraps        milliwatt hours, the module's own counter
 *   frequency  FREQ register: period in us           millihertz
 */
#ifndef DRIVERS_READING_H
#define DRIVERS_READING_H

#include <stdint.h>

/** METERED: any other meter on MQTT, in the units of OPENBEKEN but for energy: two counters in one
 *  number, see reading_counters(). */
enum reading_kind { READING_BL0942 = 1, READING_OPENBEKEN = 2, READING_METERED = 3 };

/** Counters of a READING_METERED count hundredths of a watt hour modulo this: 21 MWh. */
#define READING_COUNTER_RANGE (INT64_C(1) << 31)

/** What was drawn and what was fed back, >= 0, as one number that fits where others have a counter. */
static inline int64_t reading_counters(int64_t drawn, int64_t fed_back)
{
    return (fed_back & (READING_COUNTER_RANGE - 1)) << 31 | (drawn & (READING_COUNTER_RANGE - 1));
}

static inline int64_t reading_drawn(int64_t counters)
{
    return counters & (READING_COUNTER_RANGE - 1);
}

static inline int64_t reading_fed_back(int64_t counters)
{
    return counters >> 31 & (READING_COUNTER_RANGE - 1);
}

/** Bits of reading.present: which fields were measured. A BL0942 packet always has all five. */
enum reading_field {
    READING_VOLTAGE = 1 << 0,
    READING_CURRENT = 1 << 1,
    READING_POWER = 1 << 2,
    READING_ENERGY = 1 << 3,
    READING_FREQUENCY = 1 << 4,
    READING_ALL = (1 << 5) - 1,
};

/** Bits of reading.flags: the chip's STATUS register, known bits only, packed, plus our own. */
enum reading_flag {
    READING_REVERSE = 1 << 0,     /**< CF_REVP_F: the last energy pulse was exported */
    READING_CREEP = 1 << 1,       /**< CREEP_F: below the no-load threshold, current forced to 0 */
    READING_CURRENT_LOW = 1 << 2, /**< I_ZX_LTH_F: current too small for zero crossings */
    READING_VOLTAGE_LOW = 1 << 3, /**< V_ZX_LTH_F: voltage too small for zero crossings */
    READING_CHIP_RESET = 1 << 4,  /**< the driver knows that the source restarted since the last
                                       reading, so its counter began again at 0 */
};

struct reading {
    int64_t wall_ms; /**< stamp for people: wall clock when its last byte arrived */
    int64_t boot_ms; /**< for intervals: boot clock at the same moment */
    unsigned present;
    unsigned flags;
    int64_t voltage;
    int64_t current;
    int64_t power;
    int64_t energy;
    int64_t frequency;
};

#endif
