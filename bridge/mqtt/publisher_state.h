/* SPDX-License-Identifier: MIT */
/*
 * What publisher.c, which callers see, and publisher_thread.c, which talks to the broker, have in common.
 * What is shared with callers and with Paho's threads is guarded by `lock`.
 */
#ifndef BRIDGE_MQTT_PUBLISHER_STATE_H
#define BRIDGE_MQTT_PUBLISHER_STATE_H

#include "bridge/mqtt/broker_limits.h"
#include "bridge/mqtt/connection.h"
#include "bridge/mqtt/inbox.h"
#include "bridge/mqtt/latest.h"
#include "bridge/mqtt/publisher.h"
#include "bridge/mqtt/server_address.h"

#include <pthread.h>

#define RETRY_FIRST_MS 1000
#define EVENT_BYTES_MAX (4U << 20)

struct event {
    struct event *next;
    char *topic;
    struct payload *payload;
    int qos;
};

struct event_queue {
    struct event *first, *last;
    size_t count;
    size_t bytes;
};

struct filter {
    char *text;
    uint32_t hash;
    int qos;
    bool again; /* was sent, and is to be once more */
};

enum slot_kind { SLOT_FREE, SLOT_BIRTH, SLOT_FILTER, SLOT_VALUE, SLOT_EVENT, SLOT_GOODBYE };

struct slot {
    enum slot_kind kind;
    struct latest_message value; /* SLOT_VALUE */
    struct event *event;         /* SLOT_EVENT */
    size_t filter;               /* SLOT_FILTER: index */
};

enum phase { PHASE_OFFLINE, PHASE_CONNECTING, PHASE_ONLINE };

/* Copies of the options. */
struct settings_copy {
    char *client_id, *user, *password;
    char *ca, *cert, *key;
    char *will_topic, *will_payload, *birth_payload;
    int64_t retry_ms;
    int keepalive_s;
    int version;
    bool insecure;
};

struct publisher {
    struct server_address address;
    struct settings_copy settings;
    struct log *log;
    void (*wake)(void *context);
    void *wake_context;

    pthread_mutex_t log_guard; /* held while logging; taken before lock, never after it */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* for the thread */
    pthread_cond_t over;    /* for publisher_close */
    pthread_t thread;
    bool started;
    bool abandoned; /* publisher_close gave up waiting; written with both mutexes held */
    bool finished;  /* the thread is past everything */

    /* Guarded by lock. */
    struct latest *latest;
    struct event_queue events;
    struct filter *filters;
    size_t filter_count, filter_room;
    size_t filters_again; /* so many have `again` */
    struct inbox inbox;
    struct slot slots[CONNECTION_SLOTS];
    unsigned on_the_way;  /* slots in use */
    bool connected_event; /* noted by callbacks, consumed by the thread */
    bool ended_event;
    struct connection_end end;
    bool is_online;
    bool closing;
    int64_t close_by_ms;
    struct publisher_health health;
    struct broker_limits limits;
    struct connection_limits announced; /* noted by a callback with connected_event */
    uint64_t complaints_dropped;        /* messages lost since last said */
    uint64_t denied;                    /* messages or subscriptions refused on this connection */
    uint64_t denied_said;               /* of these, how many were reported */
    int64_t denied_since_ms;            /* the first one that was not */
    int denied_reason;
    char denied_name[128];

    /* The caller's of publisher_poll. */
    struct inbox_item *taken; /* not handed over yet */

    /* The thread's own. */
    struct connection *connection;
    enum phase phase;
    int64_t phase_since_ms;
    int64_t retry_at_ms;
    unsigned failures; /* attempts without success in a row */
    bool ever_connected;
    bool said_trying;
    bool said_limits; /* on this connection */
    bool birth_sent;  /* written under lock: a caller may ask for it again */
    bool goodbye_sent, goodbye_done, disconnect_sent;
    bool event_turn;
    size_t filters_sent;
    int64_t progress_ms;             /* last acknowledgement or connect; written under lock */
    char complaint[ERROR_TEXT_SIZE]; /* last one logged */
    int64_t complained_ms;
    int64_t drops_said_ms;
};

/** The thread; takes the publisher. */
void *publisher_run(void *context);

/* ---- with lock held ---- */

/** The sentence about what was denied on this connection. */
void publisher_describe_denied(const struct publisher *publisher, char *sentence, size_t size);

/** Waits at most ms for a condition. */
void publisher_wait(struct publisher *publisher, pthread_cond_t *condition, int64_t ms);
/** Drops the oldest for a new one when there is no room. */
void publisher_push_event(struct publisher *publisher, const char *topic, const char *payload,
                          size_t length, int qos);
struct event *publisher_pop_event(struct event_queue *queue);
void publisher_drop_oldest_event(struct publisher *publisher);
struct event *publisher_pop_event(struct event_queue *queue);
void publisher_drop_oldest_event(struct publisher *publisher);
/** The sentence about what was denied on this connection. */
void publisher_describe_denied(const struct publisher *publisher, char *sentence, size_t size);

/** What was lost, refused or held back, each at most once in a while; lets go of lock while it logs. */
void publisher_say_troubles(struct publisher *publisher);

/* ---- without ---- */

/** To the log, unless the publisher was abandoned. */
void publisher_say(struct publisher *publisher, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/** A warning. The same one as the last is only repeated after a while. */
void publisher_complain(struct publisher *publisher, const char *sentence);
/** The reason of a failed attempt or a lost connection, in words. It may take seconds. refused: the size of the
 *  packet that packet_guard refused, 0 none. */
void publisher_describe_end(struct publisher *publisher, const struct connection_end *end,
                            bool was_online, int64_t stood_ms, size_t refused, struct text *text);

void publisher_free_event(struct event *event);
/** By whoever is the last: the thread if it was abandoned, or else publisher_close. */
void publisher_free(struct publisher *publisher);

#endif
