/* SPDX-License-Identifier: MIT */
#include "drivers/esphome/codec.h"

#include "drivers/base/number.h"

#include <math.h>
#include <string.h>

#define REGISTER_MAX 16777215.0 /* 24 bit */
#define POWER_MAX 8388608.0     /* 24 bit with its sign */
#define COUNTER_RANGE 16777216.0
#define MAINS_V_MAX 2000.0    /* no mains has more; a register of 1 V already is */
#define PERIOD_MAX_US 65535.0 /* FREQ has 16 bits */
#define WATT_SECONDS 419430.4 /* of one count, with 1 count per watt */
#define NUMBER_MAX 1e9

static const char *const names[ESPHOME_QUANTITY_COUNT] = {
    [ESPHOME_VOLTAGE] = "voltage",     [ESPHOME_CURRENT] = "current", [ESPHOME_POWER] = "power",
    [ESPHOME_FREQUENCY] = "frequency", [ESPHOME_COUNTER] = "cf",      [ESPHOME_ENERGY] = "energy",
};

const char *esphome_quantity_name(enum esphome_quantity quantity)
{
    return names[quantity];
}

bool esphome_object_read(const char *object, size_t length, enum esphome_quantity *quantity,
                         const char **suffix, size_t *suffix_length)
{
    for (unsigned i = 0; i < ESPHOME_QUANTITY_COUNT; i++) {
        size_t size = strlen(names[i]);
        if (length < size || memcmp(object, names[i], size) != 0)
            continue;
        if (length > size && object[size] != '_')
            continue;
        *quantity = (enum esphome_quantity)i;
        *suffix = length > size ? object + size + 1 : object + size;
        *suffix_length = length > size ? length - size - 1 : 0;
        return true;
    }
    return false;
}

static bool is(const char *payload, size_t length, const char *word)
{
    return length == strlen(word) && memcmp(payload, word, length) == 0;
}

enum esphome_verdict esphome_value(enum esphome_quantity quantity, const char *payload,
                                   size_t length, double *value)
{
    if (length == 0 || is(payload, length, "nan") || is(payload, length, "None"))
        return ESPHOME_UNKNOWN;
    double low = quantity == ESPHOME_POWER ? -NUMBER_MAX : 0;
    return number_parse_double(payload, length, low, NUMBER_MAX, value) ? ESPHOME_GOOD
                                                                        : ESPHOME_BAD;
}

bool esphome_status(const char *payload, size_t length, bool *online)
{
    *online = is(payload, length, "online");
    return *online || is(payload, length, "offline");
}

static bool has(const struct esphome_values *values, enum esphome_quantity quantity)
{
    return (values->present & (1U << quantity)) != 0;
}

bool esphome_are_registers(const struct esphome_values *values, bool before)
{
    if (has(values, ESPHOME_COUNTER))
        return true;
    if (has(values, ESPHOME_ENERGY))
        return false;
    if (has(values, ESPHOME_VOLTAGE) && values->value[ESPHOME_VOLTAGE] > 0)
        return values->value[ESPHOME_VOLTAGE] > MAINS_V_MAX;
    return before;
}

/* Rounded; what fits no register is no reading of a BL0942. */
static bool put(const struct esphome_values *values, enum esphome_quantity quantity, double factor,
                double low, double high, enum reading_field field, unsigned *present,
                int64_t *target)
{
    if (!has(values, quantity))
        return true;
    double raw = round(values->value[quantity] * factor);
    if (!(raw >= low && raw <= high))
        return false;
    *target = (int64_t)raw;
    *present |= (unsigned)field;
    return true;
}

/* FREQ is the period in microseconds. A chip without mains shows 0, which ESPHome publishes as nan. */
static void put_frequency(const struct esphome_values *values, struct reading *reading)
{
    double hz = values->value[ESPHOME_FREQUENCY];
    if (!has(values, ESPHOME_FREQUENCY) || !(hz >= 1e6 / PERIOD_MAX_US))
        return;
    reading->frequency = (int64_t)round(1e6 / hz);
    reading->present |= READING_FREQUENCY;
}

static bool fill(const struct esphome_values *values, const struct esphome_factors *factors,
                 struct reading *reading)
{
    *reading = (struct reading){0};
    unsigned *present = &reading->present;
    if (!put(values, ESPHOME_VOLTAGE, factors->voltage, 0, REGISTER_MAX, READING_VOLTAGE, present,
             &reading->voltage) ||
        !put(values, ESPHOME_CURRENT, factors->current, 0, REGISTER_MAX, READING_CURRENT, present,
             &reading->current) ||
        !put(values, ESPHOME_POWER, factors->power, -POWER_MAX, POWER_MAX - 1, READING_POWER,
             present, &reading->power))
        return false;
    put_frequency(values, reading);
    /* STATUS is not published. Which way the last pulse went is the sign of the power, if any. */
    if (reading->power < 0)
        reading->flags |= READING_REVERSE;
    return true;
}

bool esphome_registers_to_reading(const struct esphome_values *values, struct reading *reading)
{
    static const struct esphome_factors registers = {1, 1, 1};
    return fill(values, &registers, reading) &&
           put(values, ESPHOME_COUNTER, 1, 0, REGISTER_MAX, READING_ENERGY, &reading->present,
               &reading->energy);
}

bool esphome_units_to_reading(const struct esphome_values *values,
                              const struct esphome_factors *factors, struct reading *reading)
{
    if (!fill(values, factors, reading))
        return false;
    if (!has(values, ESPHOME_ENERGY))
        return true;
    double counts = values->value[ESPHOME_ENERGY] * 3.6e6 * factors->power / WATT_SECONDS;
    reading->energy = (int64_t)fmod(round(counts), COUNTER_RANGE);
    reading->present |= READING_ENERGY;
    return true;
}
