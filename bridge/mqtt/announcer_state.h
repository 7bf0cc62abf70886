/* SPDX-License-Identifier: MIT */
/*
 * Every device, and the bridge before them, is a `thing` that takes steps. A round (at connect and at
 * each birth) sets every idle thing on its first step; a timer takes one due step at a time, gap_ms
 * apart. What a thing must do follows from its record in the memory:
 *
 *   as before            ANNOUNCE
 *   components are gone  ANNOUNCE naming them, WITHOUT, CONFIRM (memory without them)
 *   other mode           MIGRATE (old topics), ANNOUNCE, CLEAR (old topics), CLEARED (old record gone)
 *   no longer there      CLEAR, CLEARED
 *
 * The memory is extended before the first message of a round and shortened only after the broker has
 * acknowledged the last one of a removal, so that a stop at any moment leaves nothing unremembered.
 * A lost connection ends all steps; the next round starts over from the memory.
 */
#ifndef BRIDGE_MQTT_ANNOUNCER_STATE_H
#define BRIDGE_MQTT_ANNOUNCER_STATE_H

#include "bridge/mqtt/announcer.h"

#include <jansson.h>

enum step {
    STEP_IDLE,
    STEP_MIGRATE,
    STEP_ANNOUNCE,
    STEP_WITHOUT,
    STEP_CONFIRM,
    STEP_CLEAR,
    STEP_CLEARED,
};

struct thing {
    char *device_id; /* as in its discovery topics */
    char *topic_id;  /* as in its own; NULL: it was not wanted since the start */
    bool wanted;     /* false: only its old record is left to clear */
    const struct device_description *device; /* NULL: the bridge, or not wanted */
    json_t *record;                          /* of what is announced now; in announcer->records */
    json_t *old;                             /* to be cleared; likewise; NULL none */
    enum step step;
    int64_t due_ms;
    uint64_t last_hash; /* of the last messages sent, 0 none */
    int64_t last_ms;    /* when they were sent, by us or by the publisher after a reconnect */
    json_t *last_topics;
    bool removed_by_user;
    json_t *removed_keys; /* component mode: key -> true, removed by the user */
};

struct announcer {
    uv_loop_t *loop;
    struct publisher *publisher;
    struct announcer_options options;
    struct announcer_timing timing;
    struct log *log;

    json_t *records;
    struct thing *things;
    size_t thing_count, thing_room;
    json_t *wanted;    /* device id -> index of its thing */
    json_t *forgotten; /* device id -> true: what the broker still has of it is cleared when seen */
    json_t *old_prefixes; /* prefix -> true: where announcements were before */

    bool connected;
    int64_t next_step_ms;
    uv_timer_t step_timer, birth_timer, refresh_timer;
    bool birth_waits;
    int64_t last_birth_ms; /* when the last birth was answered, or far in the past */
    bool refresh_wanted;   /* once the round is through */

    char *memory_path;
    uv_work_t save;
    bool saving, save_again;
    char *save_text;
    struct error save_error;
    enum status save_status;

    bool closing;
    unsigned open_handles;
};

/* ---- announcer_steps.c ---- */

void announcer_go(struct thing *thing, enum step step, int64_t delay_ms);
void announcer_take_step(struct announcer *announcer, struct thing *thing);
/** True when the broker has acknowledged what was sent for the thing last. */
bool announcer_acknowledged(const struct announcer *announcer, const struct thing *thing);
/** key -> platform of what is to be announced. New reference. */
json_t *announcer_desired_components(const struct announcer *announcer, const struct thing *thing);
/** Adds to the thing's record what it is about to announce; true if that changed it. */
bool announcer_extend_record(struct announcer *announcer, struct thing *thing);
const char *announcer_record_text(const json_t *record, const char *key);
/** The context in which a record's topics were made. */
struct discovery_context announcer_record_context(const struct announcer *announcer,
                                                  const json_t *record);
/** Writes the memory, on a thread of libuv's pool: a disk may take seconds. Steps wait meanwhile. */
void announcer_start_save(struct announcer *announcer);
/** The hash of a message that came in, as it is made of one that goes out. */
uint64_t announcer_hash_message(uint64_t hash, const struct publisher_incoming *incoming);

/* ---- announcer.c ---- */

/** Sets the timer for the next due step, or ends the round. */
void announcer_arm(struct announcer *announcer);
/** When it is closed and nothing is under way any more. */
void announcer_maybe_free(struct announcer *announcer);

/** True if it came from below a former prefix; what is retained there of ours is cleared. */
bool announcer_clear_old_prefix(struct announcer *announcer,
                                const struct publisher_incoming *incoming);

#endif
