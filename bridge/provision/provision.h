/* SPDX-License-Identifier: MIT */
/**
 * Setting up an OpenBeken module that is on the network: script and flags of a profile, names, MQTT,
 * restart, and the proof on the broker that it measures.
 *
 * First everything is looked at and checked (is it OpenBeken, can this build read two chips, does the
 * broker answer, is the client id free); up to there nothing is changed. Then only what differs is
 * changed, each change is read back, and when one fails, script, flags and MQTT settings are put back
 * as they were. So a second run changes nothing, and a failed run leaves a module that works as before.
 */
#ifndef BRIDGE_PROVISION_PROVISION_H
#define BRIDGE_PROVISION_PROVISION_H

#include "bridge/provision/broker_watch.h"
#include "bridge/provision/module.h"
#include "bridge/provision/obk_advice.h"
#include "bridge/provision/profile.h"

struct provision_options {
    struct obk_mqtt mqtt;          /**< as the module shall have it */
    const char *server;            /**< the same broker as an address, to look at from here */
    const char *name;              /**< "" keeps the module's names */
    const struct profile *profile; /**< NULL: names and MQTT only */
    int64_t wait_ms;               /**< for the restart and the first readings; 0: do not wait */
};

#define PROVISION_STEPS_MAX 8

struct provision_report {
    struct obk_info info; /**< as of the end */
    size_t changed_count;
    const char *changed[PROVISION_STEPS_MAX]; /**< steps that changed something, in order */
    bool kept_old_script; /**< a different autoexec.bat was there and is now autoexec.old */
    bool restarted;
    bool waited; /**< online and observation are valid */
    struct broker_observation observation;
    struct obk_advice advice;
};

/** Progress: one sentence at a time. */
struct provision_listener {
    void *context;
    void (*say)(void *context, const char *sentence);
    /** A stage begins, or goes on: "look", "settings" (the only one that changes the module), "restart",
     *  "readings". May be NULL. */
    void (*stage)(void *context, const char *stage, size_t done, size_t total);
    /** Whether somebody asked for the end: before each change and while waiting. May be NULL. */
    bool (*stopped)(void *context);
};

/**
 * STATUS_NO_ANSWER: the module or the broker does not answer, or the module did not come back or did
 * not publish in time. STATUS_REFUSED: the build cannot do what the profile needs, or the client id is
 * another's. STATUS_MISMATCH: what it publishes is not plausible. STATUS_FAILED: a step failed, or it was
 * stopped; the sentence says so and in what state the module is.
 */
enum status provision_run(const struct provision_options *options, struct module *module,
                          const struct provision_listener *listener,
                          struct provision_report *report, struct error *error);

/** Says each request that would be sent, without sending any: why in words, and the request. Both are
 *  borrowed while show runs. */
enum status provision_show(const struct provision_options *options, void *context,
                           void (*show)(void *context, const char *why,
                                        const struct obk_request *request),
                           struct error *error);

#endif
