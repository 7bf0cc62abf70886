/* SPDX-License-Identifier: MIT */
/**
 * What is said to Home Assistant over its WebSocket API to give it hours of energy that it missed. Pure: messages
 * in, messages out; what the history has comes from a function of the caller's.
 *
 * After the login it asks for the list of entities, and for each statistic: which hours Home Assistant has, which
 * of them are missing, and the import of those. Only hours behind one that it has are imported:
 * what Home Assistant made itself stays, sums continue, and a second run finds nothing.
 */
#ifndef BRIDGE_BACKFILL_CONVERSATION_H
#define BRIDGE_BACKFILL_CONVERSATION_H

#include "bridge/history/export/statistics.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BACKFILL_ENTITY_SIZE 256

/** One sensor of ours that Home Assistant may have statistics of. */
struct backfill_statistic {
    const char *unique_id;
    const char *device, *channel; /**< in the history; channel NULL: the sum */
    bool produced;
};

/** What is missing of one of them. */
struct backfill_found {
    size_t statistic; /**< its number */
    char entity[BACKFILL_ENTITY_SIZE];
    size_t hours;
    int64_t first_ms, last_ms, energy_uwh;
};

/** Finds what is missing, given Home Assistant's rows (statistics_find_missing). */
typedef enum status (*backfill_look)(void *context, const struct backfill_statistic *statistic,
                                     const char *entity, bool has_mean, const json_t *rows,
                                     struct statistics_missing *missing, struct error *error);

struct conversation_options {
    const char *token;
    const struct backfill_statistic *statistics;
    size_t count;
    int64_t from_ms, to_ms; /**< the hours to ask for */
    bool dry_run;           /**< nothing is imported */
    backfill_look look;
    void *context;
};

enum conversation_state {
    CONVERSATION_GOES_ON,
    CONVERSATION_DONE,
    CONVERSATION_FAILED,
    CONVERSATION_REFUSED, /**< the token, or its rights: trying again would change nothing */
};

struct conversation;

/** All of options is borrowed. */
struct conversation *conversation_create(const struct conversation_options *options);
/** NULL is allowed. */
void conversation_free(struct conversation *conversation);

/** Takes a message. *reply: what to send now, NULL: nothing; borrowed until the next call. With FAILED and REFUSED
 *  the error has a sentence. */
enum conversation_state conversation_take(struct conversation *conversation, const char *message,
                                          size_t length, const char **reply, struct error *error);

/** What was missing, one for each statistic that missed anything. Borrowed. */
const struct backfill_found *conversation_found(const struct conversation *conversation,
                                                size_t *count);
/** A time as it is written there. */
json_t *backfill_time(int64_t ms);
/** How many of them were imported, from the first on. */
size_t conversation_imported(const struct conversation *conversation);

#endif
