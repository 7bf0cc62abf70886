/* SPDX-License-Identifier: MIT */
/**
 * Looks on the broker for what one module publishes: its `connected` and the first readings of each
 * chip. Blocking; for commands, not for the service. Publishes nothing.
 */
#ifndef BRIDGE_PROVISION_BROKER_WATCH_H
#define BRIDGE_PROVISION_BROKER_WATCH_H

#include "drivers/base/status.h"
#include "drivers/esphome/codec.h"
#include "drivers/openbeken/codec.h"

#include <stdbool.h>
#include <stdint.h>

struct broker_watch;

struct broker_watch_options {
    const char *server; /**< mqtt://host[:port] */
    const char *user, *password;
    const char *client_id; /**< the module's: what its topics begin with */
    bool esphome;          /**< its firmware is ESPHome, whose names and values are others */
    struct esphome_factors factors; /**< then: of registers, in counts per volt, ampere and watt */
};

#define BROKER_QUANTITIES 3 /**< the first ones of enum openbeken_quantity: V, A, W */

struct broker_observation {
    bool reported;                      /**< `connected` was seen */
    bool online;                        /**< and this is what it said last */
    bool seen[2][BROKER_QUANTITIES];    /**< since it was offline last */
    double value[2][BROKER_QUANTITIES]; /**< V, A, W: the latest */
    char ip[48];                        /**< as it reported after connecting; "" not yet */
};

/**
 * Connects, subscribes, and waits a moment for what is retained. STATUS_NO_ANSWER if the broker is not
 * there, STATUS_FAILED if it refuses, with the reason, within timeout_ms.
 * Takes http_proxy and https_proxy out of this process's environment, which the MQTT library would
 * obey.
 */
enum status broker_watch_open(const struct broker_watch_options *options, int64_t timeout_ms,
                              struct broker_watch **watch, struct error *error);
/** NULL is allowed. */
void broker_watch_close(struct broker_watch *watch);

/** What was seen before this moment does not count. */
void broker_watch_forget(struct broker_watch *watch, int64_t before_boot_ms);

/** Waits until something new was seen or deadline_boot_ms has come; says what was seen so far.
 *  STATUS_FAILED if the connection to the broker was lost. */
enum status broker_watch_wait(struct broker_watch *watch, int64_t deadline_boot_ms,
                              struct broker_observation *observation, struct error *error);

#endif
