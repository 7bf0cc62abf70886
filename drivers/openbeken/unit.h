/* SPDX-License-Identifier: MIT */
/**
 * Wh or kWh: the unit of a module's energy topics, which no message carries. Pure.
 *
 * What tells it, in the order of their weight:
 *  1. the configuration;
 *  2. SENSOR and STATUS8, whose total is always in Wh: the topic's number is that or a thousandth.
 *     That is proof;
 *  3. the module's announcement to Home Assistant, which may be older than the last change;
 *  4. Wh, the firmware's default, when nothing else was received for UNIT_WAIT_MS.
 * What contradicts something of more weight changes nothing, but the module is asked for proof again.
 *
 * The unit may change while the module runs (flag 40). Then the number changes 1000 times in one step.
 * So does a reset counter, now and then; a change of unit is believed when JSON shows it, or when three
 * messages in a row are what the load can have counted, read in the other unit.
 */
#ifndef DRIVERS_OPENBEKEN_UNIT_H
#define DRIVERS_OPENBEKEN_UNIT_H

#include "drivers/openbeken/discovery.h"

#define OPENBEKEN_UNIT_WAIT_MS 10000

/** One chip's counter as it was last believed. Zero-initialise it. */
struct openbeken_counter {
    bool known;
    int64_t mwh;
    int64_t boot_ms;
    bool raw_known;
    int64_t raw;       /**< thousandths of the unit on the wire, latest message */
    bool waits;        /**< raw is not believed yet, because the unit is unknown */
    unsigned suspects; /**< messages in a row that look like the other unit */
};

/** Where the unit is known from, in the order of their weight: the numbers of the list above. */
enum openbeken_unit_source {
    OPENBEKEN_UNIT_FROM_NOTHING,
    OPENBEKEN_UNIT_ASSUMED,
    OPENBEKEN_UNIT_RETAINED,  /**< announced, perhaps before the last change */
    OPENBEKEN_UNIT_ANNOUNCED, /**< announced while the module runs */
    OPENBEKEN_UNIT_FOLLOWED,  /**< three messages in a row were in it */
    OPENBEKEN_UNIT_PROVEN,    /**< compared with a total in Wh */
    OPENBEKEN_UNIT_CONFIGURED,
};

/** Milliwatt hours of a number on the wire. Unit must be known. */
int64_t openbeken_mwh(int64_t raw, enum openbeken_unit unit);

/** The unit in which the topic's number is about the total; unknown if neither or both fit. */
enum openbeken_unit openbeken_unit_of_total(int64_t raw, int64_t total_mwh);

enum openbeken_step {
    OPENBEKEN_STEP_PLAIN,   /**< believe it in the unit as it is */
    OPENBEKEN_STEP_SUSPECT, /**< it looks like the other unit: wait */
    OPENBEKEN_STEP_CHANGED, /**< it is the other unit */
};

/**
 * Judges the next number of a counter in a unit that is known. load_mw: what the chip measures now,
 * negative if unknown. Updates suspects only; the caller stores what it believes.
 */
enum openbeken_step openbeken_unit_follow(struct openbeken_counter *counter,
                                          enum openbeken_unit unit, int64_t raw, int64_t boot_ms,
                                          int64_t load_mw);

#endif
