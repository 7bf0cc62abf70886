/* SPDX-License-Identifier: MIT */
/**
 * Questions to the history over HTTP. Each runs on a thread of its own and its answer is streamed while
 * it is made; a viewer that does not take it in time stops the query. These are not libuv's worker
 * threads: a slow reader must not hold up what else waits there, such as the look-up of a meter's name.
 */
#ifndef BRIDGE_WEB_QUERIES_H
#define BRIDGE_WEB_QUERIES_H

#include "bridge/history/answer/answer.h"
#include "bridge/web/server.h"

#include <uv.h>

/** Queries that run, and that wait for their turn; further ones are answered with 503. */
#define QUERIES_RUNNING 3
#define QUERIES_WAITING 24

struct queries_settings {
    uv_loop_t *loop;
    const char *history_path;     /**< borrowed, as the next */
    const struct tariff *tariffs; /**< for what energy cost */
    size_t tariff_count;
};

struct queries;

struct queries *queries_open(const struct queries_settings *settings);
/** Stops what runs and answers what waits; blocks for as long as a query takes to notice. */
void queries_end(struct queries *queries);
/** After server_close. */
void queries_free(struct queries *queries);

/** Answers GET /api/v1/history/<kind>: JSON, or CSV if the exchange accepts text/csv. */
void queries_ask(struct queries *queries, enum history_kind kind, struct exchange *exchange);

#endif
