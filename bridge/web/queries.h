/* SPDX-License-Identifier: MIT */
/**
 * Questions to the history over HTTP. Each runs on a thread of its own and its answer is streamed while
 * it is made; a viewer that does not take it in time stops the query. These are not libuv's worker
 * threads: a slow reader must not hold up what else waits there, such as the look-up of a meter's name.
 */
#ifndef BRIDGE_WEB_QUERIES_H
#define BRIDGE_WEB_QUERIES_H

#include "bridge/history/answer/answer.h"
#include "bridge/hub/hub.h"
#include "bridge/web/server.h"

#include <uv.h>

/** Queries that run, and that wait for their turn; further ones are answered with 503. */
#define QUERIES_RUNNING 3
#define QUERIES_WAITING 24

struct queries_settings {
    uv_loop_t *loop;
    const struct hub *hub;          /**< of queries_ask, as the next */
    const char *history_path;       /**< borrowed, as the next */
    struct tariffs *const *tariffs; /**< where those in force are kept; a query holds its own */
};

struct queries;

struct queries *queries_open(const struct queries_settings *settings);
/** Stops what runs and answers what waits; blocks for as long as a query takes to notice. */
void queries_end(struct queries *queries);
/** After server_close. */
void queries_free(struct queries *queries);

/** Bytes for the reader; false: nobody wants the rest. */
typedef bool (*queries_take)(void *context, const char *bytes, size_t length);

/** Another answer that is made on a thread of its own. */
struct queries_work {
    /** Makes it. STATUS_USAGE is 400, STATUS_NO_ANSWER 404, others 500, while nothing was taken. */
    enum status (*make)(void *own, queries_take take, void *context, struct error *error);
    void *own; /**< freed with free() when it is over */
    const char *type;
};
void queries_run(struct queries *queries, const struct queries_work *work,
                 struct exchange *exchange);

/** Answers GET /api/v1/history/<kind>: JSON, or CSV if the exchange accepts text/csv. */
void queries_ask(struct queries *queries, enum history_kind kind, struct exchange *exchange);

#endif
