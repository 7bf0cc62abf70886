/* SPDX-License-Identifier: MIT */
/**
 * When the state of a device is published. A state machine over offered values and time; pure.
 *
 *  - With a report interval the state is published at that pace, changed or not.
 *  - Without one it is published when a value has moved by more than its deadband since it was last
 *    published, but not sooner than min_interval_ms (5 s) after that, and at the latest after
 *    max_interval_ms (60 s).
 *  - A change within the deadbands is held back. When the values have come to rest for
 *    PUBLISH_REST_MS, it is published, once: the last value always stands. At rest means that no value
 *    changed at all, or none by more than its deadband since the last movement.
 *  - What is urgent (availability, a problem, an alarm, a setting) is published at once.
 *
 * Every interval is that of the boot clock, in milliseconds. Offer each reading; ask also about once a
 * second whether publishing is due, as time alone can make it so.
 *
 * Configuration keys: report_interval (absent: none), publish: {min_interval, max_interval, deadband: {...}}.
 */
#ifndef BRIDGE_DEVICE_PUBLISH_POLICY_H
#define BRIDGE_DEVICE_PUBLISH_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PUBLISH_MIN_INTERVAL_MS 5000
#define PUBLISH_MAX_INTERVAL_MS 60000
#define PUBLISH_REST_MS 10000

struct publish_rules {
    int64_t report_interval_ms; /**< 0: none, the rules about changes hold */
    int64_t min_interval_ms;    /**< 0: PUBLISH_MIN_INTERVAL_MS */
    int64_t max_interval_ms;    /**< 0: PUBLISH_MAX_INTERVAL_MS */
    int64_t reading_ms; /**< between two readings: a report interval may end half of it early, so
                                     that a pace of 5 s with readings of 1 s stays 5 s; 0: exact */
};

/** One number of a state. */
struct publish_value {
    bool known;
    int64_t value;
    int64_t deadband; /**< in the same unit, >= 0; INT64_MAX: its changes are no reason */
};

struct publish_policy;

/** count: how many values a state has. Nothing was published yet, so the first offer is due. */
struct publish_policy *publish_policy_create(const struct publish_rules *rules, size_t count);
void publish_policy_free(struct publish_policy *policy);

/** From now on by these rules. */
void publish_policy_set_rules(struct publish_policy *policy, const struct publish_rules *rules);

/** The present state: count values, copied. urgent: it is due at once. */
void publish_policy_offer(struct publish_policy *policy, int64_t now_ms,
                          const struct publish_value *values, bool urgent);

/** Whether the state that was offered last is to be published now. False before the first offer. */
bool publish_policy_due(const struct publish_policy *policy, int64_t now_ms);

/** It was. */
void publish_policy_published(struct publish_policy *policy, int64_t now_ms);

#endif
