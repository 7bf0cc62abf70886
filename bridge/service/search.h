/* SPDX-License-Identifier: MIT */
/**
 * Looks for OpenBeken modules and other meters on the configured broker, over a connection of its own that leaves no
 * trace there, on a thread of its own. All functions are for the loop thread, and none of them waits while
 * the search has ended by itself.
 */
#ifndef BRIDGE_SERVICE_SEARCH_H
#define BRIDGE_SERVICE_SEARCH_H

#include "bridge/config/config.h"
#include "drivers/base/log.h"

#include <jansson.h>
#include <uv.h>

#define SEARCH_ANSWER_MODULES 250      /**< in an answer that goes over MQTT: some 200 kB */
#define SEARCH_MODULE_REPEATS_MS 75000 /**< a module repeats each value within 61 s */

struct search_options {
    const struct config *config; /**< broker, discovery prefix, and the modules known already; only
                                      used by search_start */
    int64_t duration_ms;         /**< from when the broker is there; 10 s are waited for that */
    const char
        *clear_client;  /**< NULL, or the module whose announcements are to be removed; copied */
    size_t modules_max; /**< listed in the result at most; 0: all */
    struct log *log;
    /** Called once, on the loop, when the time is over. The search is to be closed then or later. */
    void (*done)(void *context);
    void *context;
};

struct search;

enum status search_start(uv_loop_t *loop, const struct search_options *options,
                         struct search **search, struct error *error);

/**
 * Once done was called, a new reference: {"connected": bool, "modules": [...], "cleared": n}, and "left_out"
 * if there were more than modules_max; docs/openbeken.md says what is in a module. Else NULL. With
 * clear_client its announcements have been removed.
 */
json_t *search_result(const struct search *search);

/** Ends the search before its time: done is called soon, with what was found until then. */
void search_stop(struct search *search);

/** Ends the search if it is still running, which takes up to a second. NULL is allowed. The loop must run
 *  once more. */
void search_close(struct search *search);

#endif
