/* SPDX-License-Identifier: MIT */
/**
 * What the parts of the source share: source.c (modules, messages, readings), source_counter.c (the energy
 * counter and its unit), source_watch.c (what time brings) and source_filters.c. Nobody else includes it.
 * NEVER stands for a time that has not been.
 */
#ifndef DRIVERS_OPENBEKEN_SOURCE_INTERNAL_H
#define DRIVERS_OPENBEKEN_SOURCE_INTERNAL_H

#include "drivers/openbeken/source.h"
#include "drivers/openbeken/unit.h"

#define NEVER INT64_MIN
#define SENTENCE_SIZE 300

struct source_value {
    int64_t milli; /* of an energy counter: mWh */
    int64_t boot_ms;
};

struct chip {
    struct module *module;
    bool used;
    unsigned index;
    unsigned channel;
    struct source_value values[OPENBEKEN_QUANTITY_COUNT];
    unsigned known; /* bits of reading_field: has a value */
    unsigned fresh; /* came since the last reading; not 0: waits in the queue */
    struct chip *earlier, *later;
    int64_t window_ms;
    int64_t last_ms, last_wall_ms;
    int64_t received_ms; /* last sign that the chip itself works */
    bool online, reported;
    struct openbeken_counter counter;
    int64_t counter_topic_ms; /* last message of the energy topic */
};

/* Events of a kind within some time. */
struct watch {
    int64_t since_ms;
    unsigned count;
};

struct module {
    char client[OPENBEKEN_CLIENT_MAX + 1];
    size_t client_length;
    struct module *next; /* with the same hash */
    enum openbeken_unit unit;
    enum openbeken_unit_source unit_from;
    bool unit_doubted;     /* reported, and not proven since */
    int64_t unit_waits_ms; /* since when a counter waits for its unit */
    bool received;         /* of the module anything that shows that it exists */
    int64_t live_ms;       /* when the module itself last spoke; NEVER */
    int64_t pinged_ms;     /* when it was last asked for a sign of life; NEVER */
    int64_t added_ms;
    bool connected_known, connected;
    int64_t offline_ms; /* since when it is said to be offline */
    bool speaks_tele;   /* flag 30 is on: must not be asked */
    int64_t ask_ms;     /* when to begin to ask, with a probe; NEVER */
    int64_t probed_ms;  /* a probe waits for its answer since; NEVER: none does */
    unsigned probes;    /* in a row without an answer */
    unsigned cleared;   /* probes answered without a word on tele/ */
    int64_t started_ms; /* when it started, by its uptime; NEVER: unknown */
    struct watch offlines, bad, answers;
    struct openbeken_energy json;
    bool json_known;
    struct driver_statistics statistics;
    struct chip chips[OPENBEKEN_CHIPS];
};

struct openbeken_source {
    struct driver_sink sink;
    void (*publish)(void *context, const char *topic, const char *payload);
    void *publish_context;
    char *discovery_prefix;
    struct module **modules;
    size_t module_count, module_room;
    struct module **table;
    size_t table_mask;
    struct chip **by_channel;
    size_t channel_count, channel_room;
    struct chip *first, *last; /* the queue of open windows, oldest first */
    bool connected;
    int64_t connected_ms; /* when it last became so, or was created */
    int64_t slow_tick_boot_ms;
    size_t ask_next;
    unsigned pings; /* in this slow tick */
};

/* source.c */

/** The module with this client id; NULL: none of ours. */
struct module *source_find(const struct openbeken_source *source, const char *client,
                           size_t length);
struct module *source_add_module(struct openbeken_source *source,
                                 const struct openbeken_module *options, int64_t boot_ms);
/** One event for each of the module's channels. */
__attribute__((format(printf, 4, 5))) void source_report(const struct openbeken_source *source,
                                                         const struct module *module,
                                                         enum driver_event event,
                                                         const char *format, ...);
void source_set_offline(const struct openbeken_source *source, struct chip *chip,
                        const char *reason);
/** Takes a chip out of the queue of open windows. */
void source_dequeue(struct openbeken_source *source, struct chip *chip);
/** Closes the chip's window: what is known becomes a reading. */
void source_deliver(struct openbeken_source *source, struct chip *chip);
/** Another value for the chip's window; opens one if none is. */
void source_take_value(struct openbeken_source *source, struct chip *chip,
                       enum openbeken_quantity quantity, int64_t milli,
                       const struct message *message);

/* source_counter.c */

/** Reports the sentence, once until the unit is proven. */
void source_doubt_unit(const struct openbeken_source *source, struct module *module,
                       const char *sentence);
/** Something says what the unit is; `from` is its weight. */
void source_weigh_unit(struct openbeken_source *source, struct module *module,
                       enum openbeken_unit unit, enum openbeken_unit_source from, int64_t boot_ms);
/** The counter in mWh joins the window. */
void source_believe_counter(struct openbeken_source *source, struct chip *chip, int64_t mwh,
                            const struct message *message);
/** Counters that waited for the unit count as received now, if it is known. */
void source_release_counters(struct openbeken_source *source, struct module *module,
                             const struct message *message);
/** raw: the energy topic's number in thousandths of whatever unit. */
void source_take_counter(struct openbeken_source *source, struct chip *chip, int64_t raw,
                         const struct message *message);

/* source_watch.c */

/** The module is to be asked for its values then, unless it must not be or will be anyway. */
void source_ask_at(struct module *module, int64_t boot_ms);
void source_do_not_ask(struct module *module);

#endif
