/* SPDX-License-Identifier: MIT */
/**
 * Looks for OpenBeken modules on the configured broker, over a connection of its own that leaves no
 * trace there. Loop thread only.
 */
#ifndef BRIDGE_SERVICE_SEARCH_H
#define BRIDGE_SERVICE_SEARCH_H

#include "bridge/config/config.h"
#include "drivers/base/log.h"

#include <jansson.h>
#include <uv.h>

#define SEARCH_MODULE_REPEATS_MS 75000 /**< a module repeats each value within 61 s */

struct search_options {
    const struct config
        *config;         /**< borrowed; broker, discovery prefix, and the modules known already */
    int64_t duration_ms; /**< from when the broker is there; 10 s are waited for that */
    const char
        *clear_client; /**< NULL, or the module whose announcements are to be removed; copied */
    struct log *log;
    /** Called once, when the time is over. The search is to be closed then or later. */
    void (*done)(void *context);
    void *context;
};

struct search;

enum status search_start(uv_loop_t *loop, const struct search_options *options,
                         struct search **search, struct error *error);

/**
 * A new reference: {"connected": bool, "modules": [...], "cleared": n}; docs/openbeken.md says what is
 * in a module. With clear_client the announcements found so far are removed by the first call.
 */
json_t *search_result(struct search *search);

/** Sends what still waits, for a second at most. NULL is allowed. The loop must run once more. */
void search_close(struct search *search);

#endif
