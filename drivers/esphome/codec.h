/* SPDX-License-Identifier: MIT */
/**
 * What a module with ESPHome and its `bl0942` component publishes: names and payloads to meaning.
 * Pure; takes any bytes. Source of names and formats: ESPHome 2026.10 (components mqtt and bl0942).
 *
 *   PREFIX/sensor/OBJECT/state   one number as text, or nan; retained, and sent again after each connect
 *   PREFIX/status                online, offline (the broker's last will); retained
 *
 * OBJECT is a quantity, or a quantity and a channel's name: voltage_a, cf_b, frequency.
 * With all references set to 1 the numbers are the chip's registers; FREQ alone comes in hertz.
 */
#ifndef DRIVERS_ESPHOME_CODEC_H
#define DRIVERS_ESPHOME_CODEC_H

#include "drivers/reading.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum esphome_quantity {
    ESPHOME_VOLTAGE,
    ESPHOME_CURRENT,
    ESPHOME_POWER,
    ESPHOME_FREQUENCY, /**< hertz in both modes */
    ESPHOME_COUNTER,   /**< `cf`: the CF_CNT register */
    ESPHOME_ENERGY,    /**< `energy`: kilowatt hours, with ordinary references */
    ESPHOME_QUANTITY_COUNT,
};

/** "voltage", "cf", ... */
const char *esphome_quantity_name(enum esphome_quantity quantity);

/** Splits an object id. *suffix is what stands behind the quantity's underscore, "" without one. False
 *  if it begins with none of the quantities. */
bool esphome_object_read(const char *object, size_t length, enum esphome_quantity *quantity,
                         const char **suffix, size_t *suffix_length);

enum esphome_verdict {
    ESPHOME_GOOD,
    ESPHOME_UNKNOWN, /**< nan, None or empty: the module does not know */
    ESPHOME_BAD,     /**< not a number, or one that no meter can have */
};

/** A state's payload. *value is only set when good; |value| <= 10^9, power alone may be negative. */
enum esphome_verdict esphome_value(enum esphome_quantity quantity, const char *payload,
                                   size_t length, double *value);

/** False if the payload is neither online nor offline. */
bool esphome_status(const char *payload, size_t length, bool *online);

/** Values of one chip, as far as present (bits: 1 << enum esphome_quantity). */
struct esphome_values {
    unsigned present;
    double value[ESPHOME_QUANTITY_COUNT];
};

/** Counts per volt, ampere and watt by which the bridge turns counts back into units. */
struct esphome_factors {
    double voltage, current, power;
};

/** True if the values are registers and not volts and watts: by `cf` or `energy`, else by the size of
 *  the voltage. before: what the last values were, for a set that shows nothing. */
bool esphome_are_registers(const struct esphome_values *values, bool before);

/** A READING_BL0942 of registers; stamps are left at 0. False if a value fits no register. */
bool esphome_registers_to_reading(const struct esphome_values *values, struct reading *reading);

/** The same of volts, amperes, watts and kilowatt hours. The counter is the energy in counts, modulo
 *  2^24 as a chip's. */
bool esphome_units_to_reading(const struct esphome_values *values,
                              const struct esphome_factors *factors, struct reading *reading);

#endif
