/* SPDX-License-Identifier: MIT */
/**
 * The only caller of Paho: one thread that keeps the latest payload per topic and sends it when the
 * broker is there. Old states are never queued up; events have a small queue of their own that
 * drops the oldest. This folder is the only one that includes Paho's headers.
 *
 * publish/event/subscribe may be called from any thread and never block on the network. Incoming
 * messages and connection edges wait in a bounded queue until publisher_poll takes them out; wake
 * (uv_async_send) is called when there is something to take.
 */
#ifndef BRIDGE_MQTT_PUBLISHER_H
#define BRIDGE_MQTT_PUBLISHER_H

#include "drivers/base/log.h"
#include "drivers/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct publisher_options {
    const char *server; /**< mqtt://host:port, mqtts://host:port */
    const char *client_id;
    const char *user; /**< "" none */
    const char *password;
    int64_t keepalive_ms;
    int version; /**< 4 or 5 */
    const char *ca, *cert, *key;
    bool insecure;
    const char *will_topic; /**< retained, QoS 1 */
    const char *will_payload;
    const char *birth_payload; /**< published to will_topic, retained, after each connect */
    struct log *log;
    void (*wake)(void *context);
    void *wake_context;
};

enum publisher_incoming_kind { PUBLISHER_CONNECTED, PUBLISHER_DISCONNECTED, PUBLISHER_MESSAGE };

/** Borrowed while the callback runs. payload is not NUL-terminated. */
struct publisher_incoming {
    enum publisher_incoming_kind kind;
    const char *topic;
    const char *payload;
    size_t payload_length;
    bool retained;
};

#define PUBLISHER_PAYLOAD_MAX 65536 /**< longer incoming messages are dropped and counted */

struct publisher;

/** Copies the options; checks the server's spelling and TLS files (STATUS_USAGE). No thread yet. */
enum status publisher_create(const struct publisher_options *options, struct publisher **publisher,
                             struct error *error);
enum status publisher_start(struct publisher *publisher, struct error *error);

/** Kept as the topic's latest value and sent when possible, also again after a reconnect if it was
 *  retained. length 0 with retained clears the topic on the broker. */
void publisher_publish(struct publisher *publisher, const char *topic, const char *payload,
                       size_t length, bool retained, int qos);
/** Sent once if connected now, else dropped. For events, log lines, responses. */
void publisher_event(struct publisher *publisher, const char *topic, const char *payload,
                     size_t length, int qos);
/** Kept and subscribed after every connect. */
void publisher_subscribe(struct publisher *publisher, const char *filter, int qos);

/** Loop thread: hands over everything that came in since the last call. */
void publisher_poll(struct publisher *publisher,
                    void (*callback)(void *context, const struct publisher_incoming *incoming),
                    void *context);

struct publisher_health {
    bool connected;
    uint64_t published, received, dropped, reconnects;
    uint64_t progress; /**< grows with each turn of the thread: the watchdog's witness */
};
void publisher_health(struct publisher *publisher, struct publisher_health *health);

/** Publishes will_payload, disconnects, joins the thread, frees; waits at most timeout_ms. */
void publisher_close(struct publisher *publisher, int64_t timeout_ms);

#endif
