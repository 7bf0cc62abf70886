/* SPDX-License-Identifier: MIT */
/** The proof that a module measures: it is on the broker, and what each channel publishes can be. Blocking;
 *  shared by whatever set the module up. */
#ifndef BRIDGE_PROVISION_PROOF_H
#define BRIDGE_PROVISION_PROOF_H

#include "bridge/provision/broker_watch.h"
#include "bridge/provision/profile.h"

#define PROOF_WAIT_DEFAULT_S 150 /**< a module needs up to a minute and a half */

struct proof {
    const char *server, *client_id; /**< for messages */
    const struct profile *profile;  /**< NULL: any current can be */
    size_t channels;                /**< to wait for without a profile */
    int64_t wait_ms;                /**< for messages */
    void *context;
    void (*say)(void *context, const char *sentence);
    bool (*stopped)(void *context); /**< asked about once a second; may be NULL */
};

/**
 * Waits for `connected` and plausible voltage, current and power of each channel. *waited is set once
 * observation is valid. STATUS_NO_ANSWER: not online, or a channel silent, by the deadline.
 * STATUS_MISMATCH: what it publishes cannot be. STATUS_FAILED: the broker was lost, or it was stopped.
 */
enum status proof_wait(const struct proof *proof, struct broker_watch *watch,
                       int64_t deadline_boot_ms, bool *waited,
                       struct broker_observation *observation, struct error *error);

/** Voltage, current and power of this channel were seen. */
bool proof_channel_seen(const struct broker_observation *observation, size_t channel);

#endif
