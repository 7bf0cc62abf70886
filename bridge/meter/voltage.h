/* SPDX-License-Identifier: MIT */
/**
 * Sags, swells and interruptions of the mains voltage, as EN 50160 names them, as far as readings can show: a
 * BL0942 has a new RMS value every 0.4 to 0.8 s, so what is shorter than two readings is not seen, and what
 * is seen is an average over that time. Pure.
 *
 * What begins or ends an event must be seen twice in a row, and the lesser of two neighbours counts as its depth: one
 * damaged reading neither makes an event nor deepens one. Readings that are more than VOLTAGE_GAP_MS apart are no
 * neighbours; an event that is under way then ends with the last reading before the gap. After
 * voltage_watch_pause(), readings do not count for a while: a chip that has just started shows 0 V.
 */
#ifndef BRIDGE_METER_VOLTAGE_H
#define BRIDGE_METER_VOLTAGE_H

#include <stdbool.h>
#include <stdint.h>

#define VOLTAGE_GAP_MS 5000
#define VOLTAGE_PAUSE_MS 3000
#define VOLTAGE_HYSTERESIS_PERMILLE 20

enum voltage_event { VOLTAGE_NONE, VOLTAGE_SAG, VOLTAGE_SWELL, VOLTAGE_INTERRUPTION };

/** In permille of the nominal voltage. */
struct voltage_limits {
    int64_t nominal_mv;
    int64_t sag, swell, interruption;
};

/** Zero-initialise it. */
struct voltage_watch {
    enum voltage_event
        event; /**< under way; a sag becomes an interruption when it is deep enough */
    int64_t start_ms, extreme_mv;
    bool has_last; /**< the reading before: */
    int64_t last_ms, last_mv;
    int64_t paused_until_ms;
};

/** What follows from a reading. */
struct voltage_change {
    enum voltage_event began; /**< VOLTAGE_NONE: nothing */
    enum voltage_event ended;
    int64_t start_ms, duration_ms; /**< of what ended */
    int64_t extreme_mv;
    bool cut; /**< it ended with the readings: its true end is not known */
};

/** A reading; known false: it has no voltage. boot_ms: boot clock, not before that of the last call. More than twice the
 *  nominal voltage is no measurement and counts as unknown. */
void voltage_watch_reading(struct voltage_watch *watch, const struct voltage_limits *limits,
                           bool known, int64_t voltage_mv, int64_t boot_ms,
                           struct voltage_change *change);

/** The chip has restarted, or answers again. Ends what is under way, as a gap does. */
void voltage_watch_pause(struct voltage_watch *watch, int64_t boot_ms,
                         struct voltage_change *change);

/** "sag", "swell", "interruption". */
const char *voltage_event_name(enum voltage_event event);

#endif
