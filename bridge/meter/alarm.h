/* SPDX-License-Identifier: MIT */
/**
 * Watches one property of a device: over or under a limit, with a hold time and hysteresis. Pure.
 *
 * A condition is a property key, one of < <= > >= and a number in the property's unit:
 * "power_a > 7000", "voltage < 207.5". An alarm is on when `when` has held for `for` without an
 * interruption; an interruption begins the hold time anew. It is off when `until` holds, or, without
 * `until`, when `when` no longer holds. While the property is unknown the alarm is unknown; what it was
 * before comes back with the value, so that an outage of the meter neither ends nor begins an alarm.
 *
 * Configuration keys: alarms: [{name, when, for, until}] of a device.
 */
#ifndef BRIDGE_METER_ALARM_H
#define BRIDGE_METER_ALARM_H

#include "drivers/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ALARM_PROPERTY_SIZE 48

enum alarm_comparison { ALARM_BELOW, ALARM_AT_MOST, ALARM_ABOVE, ALARM_AT_LEAST };

struct alarm_condition {
    char property[ALARM_PROPERTY_SIZE];
    enum alarm_comparison comparison;
    int64_t limit_micro; /**< millionths of the property's unit */
};

/** STATUS_USAGE with a sentence that says what is wrong and how a condition looks. */
enum status alarm_parse(const char *text, struct alarm_condition *condition, struct error *error);

struct alarm_rule {
    struct alarm_condition when;
    bool has_until;
    struct alarm_condition until; /**< of the same property as `when` */
    int64_t for_ms;
};

/** Parses both; until NULL or "": none. STATUS_USAGE also if they watch different properties. */
enum status alarm_rule_parse(const char *when, const char *until, int64_t for_ms,
                             struct alarm_rule *rule, struct error *error);

/** Zero-initialise it, or set `on` from what was stored before a restart. */
struct alarm {
    bool on;          /**< to be stored; as of the last known value */
    bool known;       /**< the value is known now */
    bool holding;     /**< `when` holds since: */
    int64_t since_ms; /**< boot clock */
};

enum alarm_edge { ALARM_NO_EDGE, ALARM_BEGAN, ALARM_ENDED };

/** A value, or that it is unknown. value_micro: millionths of the unit. now_ms: boot clock. */
enum alarm_edge alarm_update(struct alarm *alarm, const struct alarm_rule *rule, bool known,
                             int64_t value_micro, int64_t now_ms);

#endif
