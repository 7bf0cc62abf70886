/* SPDX-License-Identifier: MIT */
/**
 * Modules with OpenBeken firmware as sources of readings: a state machine over messages and time. It
 * knows no MQTT library and no clock; whoever drives it hands it what arrives and calls
 * openbeken_source_tick() about four times a second.
 *
 *  - The single messages of one second become one reading of their chip. Values that the module did
 *    not send again, because they changed too little, are part of it until they are stale:
 *    OPENBEKEN_STALE_MS without a message. READING_ENERGY is set only when the counter came anew.
 *  - Values that the broker retained are ignored: nobody knows how old they are. `connected` and
 *    announcements are retained by design and count.
 *  - After each connect, and 1.2 s after each `online`, a module is asked for its values (`Status 8`),
 *    or the first would come only after up to 61 s. A module with flag 30 would take its own answer for
 *    the next request, forever, so first comes a probe that is harmless to any: an empty message to
 *    CLIENT/0/get, upon which a module publishes its channel 0, and with flag 30, before that, what it
 *    has on tele/ (firmware: MQTT_ChannelPublish; a broker keeps the order). So whoever answers two
 *    probes without a word on tele/ may be asked, and nobody else is; with flag 30 the values have
 *    come by then.
 *  - The answer keeps the last values forever even if the chip is silent, so it counts as a sign of
 *    life only where it changed.
 *  - `offline` counts after OPENBEKEN_OFFLINE_MS without an `online` or a value: each reconnect of a
 *    module makes the broker say it.
 *  - A chip whose topics stay away for OPENBEKEN_STALE_MS is silent if the module spoke lately; it is
 *    asked before (again CLIENT/0/get). If it did not, the module is gone, whatever the broker says.
 *  - Messages are found by a hash of the client id in the topic; no message allocates memory.
 */
#ifndef DRIVERS_OPENBEKEN_SOURCE_H
#define DRIVERS_OPENBEKEN_SOURCE_H

#include "drivers/driver.h"
#include "drivers/messages/message.h"
#include "drivers/openbeken/discovery.h"

#define OPENBEKEN_STALE_MS 122000  /**< twice the 61 s within which a module repeats each value */
#define OPENBEKEN_WINDOW_MS 1000   /**< messages this close belong to one reading */
#define OPENBEKEN_OFFLINE_MS 30000 /**< a module is back within 3..20 s when it only reconnects */

struct openbeken_module {
    const char *client;       /**< 1..OPENBEKEN_CLIENT_MAX characters, each once */
    enum openbeken_unit unit; /**< as configured; OPENBEKEN_UNIT_UNKNOWN: find out */
    bool used[OPENBEKEN_CHIPS];
    unsigned channels[OPENBEKEN_CHIPS]; /**< the number of each used chip towards the sink */
};

struct openbeken_source_options {
    const struct openbeken_module *modules; /**< copied */
    size_t module_count;
    const char *discovery_prefix; /**< copied */
    /** QoS 0, not retained. Called from message and tick functions only. */
    void (*publish)(void *context, const char *topic, const char *payload);
    void *publish_context;
};

struct openbeken_source;

/** The sink is copied; its context must outlive the source. boot_ms: now. */
struct openbeken_source *openbeken_source_create(const struct openbeken_source_options *options,
                                                 const struct driver_sink *sink, int64_t boot_ms);
void openbeken_source_free(struct openbeken_source *source);

/** Calls subscribe for each topic filter that the modules need. Modules that share the part of their
 *  client id before the last slash share filters when there are many. */
void openbeken_source_filters(const struct openbeken_source *source,
                              void (*subscribe)(void *context, const char *filter), void *context);

/** One more module, while the source is at work; subscribe as above. */
void openbeken_source_add(struct openbeken_source *source, const struct openbeken_module *module,
                          int64_t boot_ms, void (*subscribe)(void *context, const char *filter),
                          void *context);

/** Takes a module out; its channels are not reported any more. Not inside a callback of the source. */
void openbeken_source_remove(struct openbeken_source *source, const char *client);

/** The broker is there, or not any more. */
void openbeken_source_connection(struct openbeken_source *source, bool connected, int64_t boot_ms);

/** True if the message was about one of the modules. */
bool openbeken_source_message(struct openbeken_source *source, const struct message *message);

void openbeken_source_tick(struct openbeken_source *source, int64_t boot_ms);

/** Of the module that has the channel; frame_errors are payloads that could not be. */
bool openbeken_source_statistics(const struct openbeken_source *source, unsigned channel,
                                 struct driver_statistics *statistics);

#endif
