/* SPDX-License-Identifier: MIT */
/**
 * Server-sent events: what changes in the hub, to everybody who has GET /api/v1/stream open. A viewer
 * that does not keep up is disconnected; the browser connects again and gets the present state.
 */
#ifndef BRIDGE_WEB_STREAM_H
#define BRIDGE_WEB_STREAM_H

#include "bridge/hub/hub.h"
#include "bridge/web/server.h"

#include <uv.h>

/** Viewers at a time; further ones get 503. */
#define STREAM_VIEWERS_MAX 64
/** Milliseconds: at most so often is a device's state sent, and at least so often anything. */
#define STREAM_PACE_MS 200
#define STREAM_ALIVE_MS 15000
/** Bytes that may wait for one viewer. */
#define STREAM_BACKLOG_MAX 262144
/** Lines of the log that a new viewer gets. */
#define STREAM_LOG_LINES 200

struct stream_hub;

/** Subscribes to the hub. */
struct stream_hub *stream_open(uv_loop_t *loop, struct hub *hub);
/** Ends all streams; to be called before server_close, which lets go of them. */
void stream_end(struct stream_hub *streams);
/** After server_close. */
void stream_free(struct stream_hub *streams);

/** Answers the exchange with a stream. Parameters: device (one device only), events (a list of kinds,
 *  such as "state,log"; all if it is left out). */
void stream_begin(struct stream_hub *streams, struct exchange *exchange);

#endif
