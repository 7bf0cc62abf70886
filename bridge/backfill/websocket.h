/* SPDX-License-Identifier: MIT */
/**
 * One conversation over a WebSocket, as the client, on the calling thread, with bounds on time and size. The only place
 * for libwebsockets, which is loaded when it is first needed (drivers/base/dynamic.h).
 *
 * With https:// and wss:// the server's certificate is checked against those of the system. Proxies from the
 * environment are not used: a token is sent.
 */
#ifndef BRIDGE_BACKFILL_WEBSOCKET_H
#define BRIDGE_BACKFILL_WEBSOCKET_H

#include "drivers/base/status.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct websocket_options {
    const char *url;    /**< http, https, ws or wss; a path of its own is kept */
    const char *path;   /**< appended to it: "/api/websocket" */
    int64_t silence_ms; /**< without a message for so long it is given up; connecting included */
    size_t message_max; /**< bytes; a longer one ends the conversation */
    const atomic_bool *stop; /**< set by another thread: it ends within half a second, but for
                                  a name that is being looked up */
};

/** Takes a message. *reply: what to send now, NUL-terminated, NULL: nothing; borrowed until the next call. False ends the
 *  conversation in good order. */
typedef bool (*websocket_take)(void *context, const char *message, size_t length,
                               const char **reply);

/** STATUS_OK: take ended it. STATUS_USAGE: the url is none. STATUS_FAILED: no connection, silence, too long a message,
 *  stopped; the error has a sentence. */
enum status websocket_talk(const struct websocket_options *options, websocket_take take,
                           void *context, struct error *error);

/** The parts of such a url. Pure. */
struct websocket_address {
    char host[256];
    int port;
    bool tls;
    char path[512]; /**< with options->path */
};
bool websocket_address_parse(const char *url, const char *path, struct websocket_address *address);

#endif
