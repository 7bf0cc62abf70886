/* SPDX-License-Identifier: MIT */
/** The inner half of an exchange (server.h), for the server only. */
#ifndef BRIDGE_WEB_EXCHANGE_H
#define BRIDGE_WEB_EXCHANGE_H

#include "bridge/web/httpd.h"
#include "bridge/web/server.h"

/** To be called when a connection was resumed. */
void server_resumed(struct server *server);

struct exchange *exchange_new(struct server *server, struct MHD_Connection *connection,
                              const char *method, const char *path);
void exchange_free(struct exchange *exchange);

/** Whether Content-Length says that the body is too long. */
bool exchange_announces_too_much(const struct exchange *exchange);
/** Takes a piece of the body; false if the peer does not stop sending. */
bool exchange_take_body(struct exchange *exchange, const char *bytes, size_t length);

/** The body goes into that file; refuses one that is longer, or of unknown length. */
void exchange_expect_file(struct exchange *exchange, uv_loop_t *loop, const char *path,
                          int64_t limit);
/** Whether the file is complete; else the connection waits for the disk, or was refused. */
bool exchange_file_complete(struct exchange *exchange);
/** The next exchange with an upload; NULL. And the beginning of that list. */
struct exchange **exchange_next_upload(struct exchange *exchange);
/** Before the server stops: the connection must not be asleep. */
void exchange_give_up_file(struct exchange *exchange);

/** Whether the handler has got it, or it was refused before. */
bool exchange_begun(const struct exchange *exchange);
/** The request is complete: reads the parameters. False if it was refused. */
bool exchange_ready(struct exchange *exchange);
/** An error before the handler sees it. */
void exchange_refuse(struct exchange *exchange, unsigned status, const char *sentence);

/** Hands the answer to libmicrohttpd if there is one, or suspends the connection until there is. */
enum MHD_Result exchange_queue(struct exchange *exchange);

#endif
