/* SPDX-License-Identifier: MIT */
/**
 * One connection to the broker, from the attempt to its end: the only file that knows Paho. Used by
 * the publisher's thread alone, which holds no lock while it calls in here; the events come on Paho's
 * threads, with Paho's own lock held, so they may only note what happened and must not call back.
 *
 * A connection is made once and destroyed when it ended; the next attempt is a new one. So nothing of
 * an earlier attempt (a message still queued inside Paho, a callback called twice) can reach a later
 * one, and "online" really is the first message of each.
 */
#ifndef BRIDGE_MQTT_CONNECTION_H
#define BRIDGE_MQTT_CONNECTION_H

#include "drivers/base/status.h"

#include <stdbool.h>
#include <stddef.h>

/** Keeps Paho's two threads and its state between attempts. Holding it costs nothing; letting it go
 *  waits up to about a second for the threads. NULL with *error filled if Paho fails. tls: for connections by
 *  mqtts:// (paho.h). */
struct connection_library;
struct connection_library *connection_library_open(bool tls, struct error *error);
void connection_library_close(struct connection_library *library);

enum connection_end_kind {
    CONNECTION_LOST,        /**< it stood, and broke or was closed by the broker */
    CONNECTION_CLOSED,      /**< by connection_disconnect */
    CONNECTION_UNREACHABLE, /**< no TCP connection, or none that got as far as MQTT */
    CONNECTION_SILENT,      /**< the broker did not answer in time */
    CONNECTION_DROPPED,     /**< it closed the connection instead of answering */
    CONNECTION_TLS_FAILED,  /**< words say why */
    CONNECTION_REFUSED,     /**< by the broker; code is MQTT's return or reason code */
};

struct connection_end {
    enum connection_end_kind kind;
    int code;
    char words[200]; /**< from the TLS library, or "" */
};

enum connection_outcome {
    CONNECTION_DELIVERED,
    CONNECTION_INCOMPLETE, /**< the connection ended first */
    CONNECTION_DENIED,     /**< the broker said no */
};

/** What the broker says that it accepts (MQTT 5 only; with 3.1.1 it says nothing). */
struct connection_limits {
    size_t packet_max; /**< bytes of a packet; 0: it names no limit */
    int qos_max;       /**< 2: all */
    bool retain;       /**< it keeps retained messages */
};
#define CONNECTION_NO_LIMITS ((struct connection_limits){.qos_max = 2, .retain = true})

struct connection_events {
    void *context;
    void (*connected)(void *context, const struct connection_limits *limits);
    /** At most once; nothing more happens on this connection. */
    void (*ended)(void *context, const struct connection_end *end);
    /** topic is NUL-terminated. */
    void (*message)(void *context, const char *topic, const char *payload, size_t length,
                    bool retained);
    /** What connection_send or connection_subscribe accepted under this slot came to its end. reason: with
     *  CONNECTION_DENIED, the code that the broker gave (reason.h). */
    void (*done)(void *context, unsigned slot, enum connection_outcome outcome, int reason);
};

#define CONNECTION_SLOTS 32

struct connection_options {
    const char *uri; /**< mqtt:// or mqtts://, host and port */
    const char *client_id;
    const char *user, *password; /**< "" none */
    int keepalive_s;
    int version;                 /**< 4 or 5 */
    const char *ca, *cert, *key; /**< "" none; ca "": the system's */
    bool insecure;
    const char *will_topic, *will_payload; /**< NULL: none */
    int will_qos;
    bool will_retained;
    size_t packet_max; /**< bytes the broker is asked not to exceed (MQTT 5 only) */
};

/** Starts the attempt; its outcome comes as an event. NULL if it could not even be started. */
struct connection *connection_open(const struct connection_options *options,
                                   const struct connection_events *events, struct error *error);

enum connection_sent {
    CONNECTION_ACCEPTED, /**< done will be called for the slot */
    CONNECTION_LATER,    /**< not now: ended, or Paho has no room */
    CONNECTION_NEVER,    /**< the topic is not valid in MQTT */
};
enum connection_sent connection_send(struct connection *connection, unsigned slot,
                                     const char *topic, const char *payload, size_t length, int qos,
                                     bool retained);
enum connection_sent connection_subscribe(struct connection *connection, unsigned slot,
                                          const char *filter, int qos);

/** Says goodbye; ended follows. False if there is nothing to say goodbye to. */
bool connection_disconnect(struct connection *connection);

/** Calls done for every open slot; afterwards no event comes any more. Blocks while Paho's sender is
 *  inside a name lookup, so it is called after ended, or when nothing is left to lose. */
void connection_destroy(struct connection *connection);

/** The largest packet of a PUBLISH with this topic and payload, in bytes. */
size_t connection_packet_size(size_t topic_length, size_t payload_length);

/** The version of the Paho library that runs. */
const char *connection_library_version(void);

#endif
