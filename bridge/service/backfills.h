/* SPDX-License-Identifier: MIT */
/**
 * When Home Assistant gets the hours that it missed (homeassistant.backfill): some seconds after it or this service has
 * begun, once more when the hour of its return is over, and on request. What was missing and what went wrong become
 * events and a sentence for bridge/health. Loop thread only.
 */
#ifndef BRIDGE_SERVICE_BACKFILLS_H
#define BRIDGE_SERVICE_BACKFILLS_H

#include "bridge/hub/hub.h"
#include "bridge/requests/requests.h"
#include "bridge/service/notices.h"

#include <uv.h>

struct backfills;

/** Texts are copied, the rest is borrowed. */
struct backfills_options {
    uv_loop_t *loop;
    const char *url, *token, *history_path, *bridge_id;
    struct hub *hub;
    struct notices *notices;
};

struct backfills *backfills_create(const struct backfills_options *options);
/** Breaks off what runs. The loop must run once more. NULL is allowed, here and below. */
void backfills_close(struct backfills *backfills);

/** Home Assistant is there (its birth message), or this service begins. */
void backfills_soon(struct backfills *backfills);

/** Handler of homeassistant/backfill; backfills may be NULL: it is not configured. */
enum status backfills_request(struct backfills *backfills, struct pending *pending,
                              struct error *error);

/** Why the last run failed; NULL: it did not. */
const char *backfills_problem(const struct backfills *backfills);

#endif
