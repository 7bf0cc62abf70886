/* SPDX-License-Identifier: MIT */
#include "bridge/device/publish_policy.h"

#include "drivers/base/memory.h"

#include <string.h>

struct publish_policy {
    struct publish_rules rules;
    size_t count;
    struct publish_value *offered;   /* the present state */
    struct publish_value *published; /* what readers have */
    struct publish_value *rested;    /* where the values last came from a movement */
    bool any_offered, any_published;
    bool urgent;
    bool held; /* nothing was published since the last movement */
    int64_t published_ms;
    int64_t changed_ms; /* when an offer last differed from the one before */
    int64_t moved_ms;   /* when a value was last further from `rested` than its deadband */
};

struct publish_policy *publish_policy_create(const struct publish_rules *rules, size_t count)
{
    struct publish_policy *policy = memory_new(1, sizeof *policy);
    policy->count = count;
    policy->offered = memory_new(count + 1, sizeof *policy->offered);
    policy->published = memory_new(count + 1, sizeof *policy->published);
    policy->rested = memory_new(count + 1, sizeof *policy->rested);
    publish_policy_set_rules(policy, rules);
    return policy;
}

void publish_policy_free(struct publish_policy *policy)
{
    if (policy == NULL)
        return;
    free(policy->offered);
    free(policy->published);
    free(policy->rested);
    free(policy);
}

void publish_policy_set_rules(struct publish_policy *policy, const struct publish_rules *rules)
{
    policy->rules = *rules;
    if (policy->rules.min_interval_ms <= 0)
        policy->rules.min_interval_ms = PUBLISH_MIN_INTERVAL_MS;
    if (policy->rules.max_interval_ms <= 0)
        policy->rules.max_interval_ms = PUBLISH_MAX_INTERVAL_MS;
}

static bool moved(const struct publish_value *from, const struct publish_value *to)
{
    if (to->deadband == INT64_MAX)
        return false;
    if (from->known != to->known)
        return true;
    int64_t distance;
    if (!to->known)
        return false;
    if (__builtin_sub_overflow(to->value, from->value, &distance) || distance == INT64_MIN)
        return true;
    return (distance < 0 ? -distance : distance) > to->deadband;
}

static bool any_moved(const struct publish_policy *policy, const struct publish_value *from)
{
    for (size_t i = 0; i < policy->count; i++)
        if (moved(&from[i], &policy->offered[i]))
            return true;
    return false;
}

static bool differs(const struct publish_policy *policy, const struct publish_value *from,
                    const struct publish_value *to)
{
    for (size_t i = 0; i < policy->count; i++)
        if (from[i].known != to[i].known || (to[i].known && from[i].value != to[i].value))
            return true;
    return false;
}

void publish_policy_offer(struct publish_policy *policy, int64_t now_ms,
                          const struct publish_value *values, bool urgent)
{
    size_t size = policy->count * sizeof *values;
    if (!policy->any_offered || differs(policy, policy->offered, values))
        policy->changed_ms = now_ms;
    memcpy(policy->offered, values, size);
    if (!policy->any_offered || any_moved(policy, policy->rested)) {
        memcpy(policy->rested, values, size);
        policy->moved_ms = now_ms;
        policy->held = true;
    }
    bool rested = now_ms - policy->moved_ms >= PUBLISH_REST_MS;
    if (rested && policy->any_published && !differs(policy, policy->published, policy->offered))
        policy->held = false; /* the value they rest at is published */
    policy->any_offered = true;
    policy->urgent = policy->urgent || urgent;
}

static bool held_change_due(const struct publish_policy *policy, int64_t now_ms)
{
    bool still = now_ms - policy->changed_ms >= PUBLISH_REST_MS;
    bool at_rest = policy->held && now_ms - policy->moved_ms >= PUBLISH_REST_MS;
    return (still || at_rest) && differs(policy, policy->published, policy->offered);
}

bool publish_policy_due(const struct publish_policy *policy, int64_t now_ms)
{
    const struct publish_rules *rules = &policy->rules;
    if (!policy->any_offered)
        return false;
    if (policy->urgent || !policy->any_published)
        return true;
    int64_t since_ms = now_ms - policy->published_ms;
    int64_t early_ms = rules->reading_ms / 2;
    if (rules->report_interval_ms > 0)
        return since_ms >= rules->report_interval_ms - early_ms;
    if (since_ms >= rules->max_interval_ms - early_ms)
        return true;
    if (since_ms < rules->min_interval_ms)
        return false;
    return any_moved(policy, policy->published) || held_change_due(policy, now_ms);
}

void publish_policy_published(struct publish_policy *policy, int64_t now_ms)
{
    memcpy(policy->published, policy->offered, policy->count * sizeof *policy->offered);
    bool rested = now_ms - policy->moved_ms >= PUBLISH_REST_MS;
    policy->held = policy->held && !rested; /* what moves still is not the last value */
    policy->any_published = true;
    policy->urgent = false;
    policy->published_ms = now_ms;
}
