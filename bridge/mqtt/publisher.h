/* SPDX-License-Identifier: MIT */
/**
 * The only caller of Paho: one thread that keeps the latest payload per topic and sends it when the
 * broker is there. Old states are never queued up; events have a small queue of their own that
 * drops the oldest. This folder is the only one that includes Paho's headers.
 *
 * publish/event/subscribe may be called from any thread and never block on the network. Incoming
 * messages and connection edges wait in a bounded queue until publisher_poll takes them out; wake
 * (uv_async_send) is called when there is something to take.
 *
 * After every connect the broker gets, in this order: birth_payload on will_topic, the subscriptions,
 * then every retained value again and every other value that did not get through. A broken connection
 * is tried again after 1 s, later up to 30 s, with jitter, without end. What the broker does not accept is
 * held back (broker_limits.h).
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
    int64_t keepalive_ms;        /**< a dead link is noticed after at most 2.5 of these */
    int version;                 /**< 4 or 5 */
    const char *ca, *cert, *key; /**< "" none; ca "": the system's certificates */
    bool no_retain;              /**< publish nothing retained, as the broker keeps nothing */
    bool insecure;               /**< mqtts without checking the certificate and its host name */
    const char *will_topic;      /**< retained, QoS 1; NULL: no will, no birth, no last word */
    const char *will_payload;
    const char *birth_payload; /**< published to will_topic, retained, after each connect */
    int64_t retry_ms; /**< first wait after a loss; 0: 1000. It doubles with each failure */
    struct log *log;
    /** Called with a lock held, from several threads, until publisher_close returns: may only signal,
     *  not call in here. */
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

#define PUBLISHER_PAYLOAD_MAX (512 << 10) /**< longer incoming messages are dropped and counted */
#define PUBLISHER_TOPICS_MAX 65536 /**< topics remembered; values for more are dropped, counted */
#define PUBLISHER_BYTES_MAX (64U << 20) /**< bytes of topics and values remembered */
#define PUBLISHER_EVENTS_MAX 256        /**< events waiting; the oldest is dropped for a new one */
#define PUBLISHER_FILTERS_MAX 65536

struct publisher;

/**
 * Copies the options; checks the server's spelling and that the TLS files can be read (STATUS_USAGE).
 * No thread yet. Removes http_proxy and https_proxy from this process's environment, which the MQTT
 * library would obey, so it belongs to the start of the program.
 */
enum status publisher_create(const struct publisher_options *options, struct publisher **publisher,
                             struct error *error);
enum status publisher_start(struct publisher *publisher, struct error *error);

/** Kept as the topic's latest value and sent when possible, also again after a reconnect if it was
 *  retained. length 0 with retained clears the topic on the broker. */
void publisher_publish(struct publisher *publisher, const char *topic, const char *payload,
                       size_t length, bool retained, int qos);
/** Retained, QoS 1, but forgotten here as soon as it has arrived: for whoever can make it again after a
 *  reconnect, and has too much of it to keep. */
void publisher_publish_once(struct publisher *publisher, const char *topic, const char *payload,
                            size_t length);
/** Sent once if connected now, else dropped. For events, log lines, responses. */
void publisher_event(struct publisher *publisher, const char *topic, const char *payload,
                     size_t length, int qos);
/** Kept and subscribed after every connect. */
void publisher_subscribe(struct publisher *publisher, const char *filter, int qos);
/** Likewise; if it is subscribed already, it is once more, so that what is retained comes again. */
void publisher_subscribe_again(struct publisher *publisher, const char *filter, int qos);

/** True unless the topic's latest value still waits to be sent or acknowledged. */
bool publisher_settled(struct publisher *publisher, const char *topic);

enum publisher_own {
    PUBLISHER_NOT_OWN, /**< nothing is retained under this topic here */
    PUBLISHER_SAME,    /**< it is what was published last */
    PUBLISHER_EARLIER, /**< it is what was published before, and had not come back when it was replaced */
    PUBLISHER_DIFFERENT, /**< it is not */
};
/** Compares what came in on a topic with what was published there, retained. */
enum publisher_own publisher_own(struct publisher *publisher, const char *topic,
                                 const char *payload, size_t length);
/** Publishes the retained value of a topic once more; will_topic's is birth_payload. */
void publisher_repeat(struct publisher *publisher, const char *topic);
/** Calls visit for each topic that has a retained value which was not refused, will_topic included. visit must not call in here. */
void publisher_visit_retained(struct publisher *publisher,
                              void (*visit)(void *context, const char *topic, size_t length),
                              void *context);

/** Always the same thread: hands over what came in, oldest first, for some milliseconds at most. If something
 *  is left, wake is called once more, so that other work gets its turn. */
void publisher_poll(struct publisher *publisher,
                    void (*callback)(void *context, const struct publisher_incoming *incoming),
                    void *context);

struct publisher_health {
    bool connected;
    uint64_t published, received, dropped, reconnects;
    uint64_t progress; /**< grows with each turn of the thread, at least every 5 s: the watchdog's
                            evidence. A hanging name lookup does not stop it. */
};
void publisher_health(struct publisher *publisher, struct publisher_health *health);

#define PUBLISHER_PROBLEMS_MAX 4
#define PUBLISHER_PROBLEM_SIZE 400

/** What the broker does not let this client do, a sentence each, for health; returns how many. Any thread. */
size_t publisher_problems(struct publisher *publisher,
                          char sentences[PUBLISHER_PROBLEMS_MAX][PUBLISHER_PROBLEM_SIZE]);

/**
 * Sends what still waits, publishes will_payload, disconnects, joins the thread, frees; waits at most
 * timeout_ms (1.5 s are enough when the broker answers). If the thread cannot end in time, because a
 * name lookup inside the MQTT library cannot be interrupted, it is left behind: it touches neither
 * log nor wake any more, and frees everything if the lookup ever returns. The process may then exit.
 */
void publisher_close(struct publisher *publisher, int64_t timeout_ms);

#endif
