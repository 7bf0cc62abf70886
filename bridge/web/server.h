/* SPDX-License-Identifier: MIT */
/**
 * HTTP on the event loop: libmicrohttpd behind a small interface, with the limits that keep a hostile
 * peer from disturbing the metering. Nothing here knows what is served.
 *
 * A handler gets each whole request as an exchange and answers it with one of the exchange_reply
 * functions, at once or later on the loop thread. An exchange that is answered is not touched again.
 */
#ifndef BRIDGE_WEB_SERVER_H
#define BRIDGE_WEB_SERVER_H

#include "drivers/base/log.h"
#include "drivers/base/status.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

/** Bytes of a request's body; more is answered with 413. */
#define SERVER_BODY_MAX 65536
/** Connections that are served; further ones are answered with 503, then made to wait. */
#define SERVER_CONNECTIONS 192
/** Parameters of a URL; more is answered with 400. */
#define SERVER_PARAMETERS_MAX 32
/** Milliseconds: for a new connection's first request, between two requests, and for a body. */
#define SERVER_FIRST_MS 10000
#define SERVER_IDLE_MS 60000
#define SERVER_BODY_MS 20000
/** Milliseconds without progress while an answer is sent. */
#define SERVER_STALL_S 30

struct server;
struct exchange;

struct server_settings {
    const char *host; /**< without brackets */
    uint16_t port;
    uv_loop_t *loop;
    struct log *log;
    void (*handle)(void *context, struct exchange *exchange);
    /** Asked when the headers are complete: whether the body may be larger than SERVER_BODY_MAX, and goes into
     *  a file. Answers with its path and the most bytes it may have, or refuses by a reply; else leaves limit
     *  at 0. handle comes when the file is complete. */
    void (*upload)(void *context, struct exchange *exchange, char path[PATH_MAX], int64_t *limit);
    void *context;
};

/** STATUS_FAILED with a sentence if the address cannot be listened on. */
enum status server_open(const struct server_settings *settings, struct server **server,
                        struct error *error);
/** Exchanges that wait for an answer must have been answered or dropped before. NULL is allowed. The
 *  loop must run once more for the handles to close. */
void server_close(struct server *server);

/* ---- the request; texts are borrowed while the exchange is not answered ---- */

const char *exchange_method(const struct exchange *exchange);
/** The path, percent-decoded, beginning with '/'. */
const char *exchange_path(const struct exchange *exchange);
/** NULL if there is no such header. */
const char *exchange_header(const struct exchange *exchange, const char *name);
/** Whether the header Accept or Accept-Encoding lists that word with a weight above 0. */
bool exchange_accepts(const struct exchange *exchange, const char *header, const char *word);
/** Of an upload: bytes of its file; -1: it is none. */
int64_t exchange_uploaded(const struct exchange *exchange);
/** The body, NUL-terminated. */
const char *exchange_body(const struct exchange *exchange, size_t *length);

/** The URL's parameters in their order; value is "" for one without. */
struct exchange_parameter {
    const char *name;
    const char *value;
};
const struct exchange_parameter *exchange_parameters(const struct exchange *exchange,
                                                     size_t *count);

/* ---- the answer ---- */

/** A header of the answer, to be called before the reply; texts are copied. At most 6. */
void exchange_set_header(struct exchange *exchange, const char *name, const char *value);

/** Bytes that live as long as the program. */
void exchange_reply_static(struct exchange *exchange, unsigned status, const char *type,
                           const void *bytes, size_t length);
/** Bytes that are freed with free() when they are sent. */
void exchange_reply_owned(struct exchange *exchange, unsigned status, const char *type, char *bytes,
                          size_t length);
/** Bytes that are copied. */
void exchange_reply_copy(struct exchange *exchange, unsigned status, const char *type,
                         const char *bytes, size_t length);
/** {"error": sentence}, and the header Allow if allow is not NULL. */
void exchange_reply_error(struct exchange *exchange, unsigned status, const char *sentence);

/** What a source of bytes answers when it is asked for more. */
#define EXCHANGE_WAIT 0    /**< nothing now: asked again after exchange_stream_ready */
#define EXCHANGE_END (-1)  /**< all was sent */
#define EXCHANGE_FAIL (-2) /**< it broke off: the connection is closed, so that the peer notices */

struct exchange_source {
    /** Fills bytes, at most size, and returns how many; or one of the above. */
    ssize_t (*read)(void *context, char *bytes, size_t size);
    /** The exchange is over; called once, also when the peer went away. */
    void (*end)(void *context);
    void *context;
};

/** An answer of unknown length. block: bytes that are asked for at once. */
void exchange_reply_stream(struct exchange *exchange, unsigned status, const char *type,
                           size_t block, const struct exchange_source *source);
/** The source of that exchange has something to say again. Only between reply and end. */
void exchange_stream_ready(struct exchange *exchange);

/** The version of the libmicrohttpd that runs. */
const char *server_library_version(void);

#endif
