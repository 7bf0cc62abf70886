/* SPDX-License-Identifier: MIT */
/**
 * The port half of talking to a module: one HTTP request at a time, blocking, with bounds on time and
 * size.
 *
 * A module speaks plain HTTP, closes after each answer, ends its status line with a bare LF and sends
 * no Content-Length, so an answer that breaks off cleanly cannot be distinguished from a whole one here; the
 * parsers have to notice.
 */
#ifndef BRIDGE_PROVISION_HTTP_H
#define BRIDGE_PROVISION_HTTP_H

#include "bridge/http/client.h"
#include "bridge/provision/obk_request.h"
#include "drivers/base/status.h"

#include <stddef.h>
#include <stdint.h>

struct http;

struct http_options {
    const char *host;         /**< host, host:port or http://host[:port][/]; IPv6 in brackets */
    const char *web_password; /**< of the user "admin" on the module; "" none */
    int64_t timeout_ms;       /**< for one request, from looking the host up to the last byte */
};

/** Checks host (STATUS_USAGE). Nothing is sent yet. For use by one thread at a time. */
enum status http_open(const struct http_options *options, struct http **http, struct error *error);
void http_close(struct http *http);

/** As in messages: "192.168.1.20" or "192.168.1.20:8080". */
const char *http_host(const struct http *http);

/**
 * STATUS_OK if any answer came except a redirect or 401, whatever its code. STATUS_NO_ANSWER: host
 * not known, not reachable, or silent for too long. STATUS_FAILED: the connection broke, or the answer
 * is a redirect, too long, or not HTTP. STATUS_REFUSED: the web password is missing or wrong.
 * broken (may be NULL) is set if the connection was lost after it stood, so that what only reads may
 * be tried again.
 */
enum status http_ask(struct http *http, const struct obk_request *request,
                     struct http_answer *answer, bool *broken, struct error *error);

/**
 * POSTs many bytes, as firmware is, with bounds and judgement as above. progress may be NULL; false from
 * it breaks the request off (STATUS_FAILED).
 */
enum status http_upload(struct http *http, const char *path, const uint8_t *bytes, size_t length,
                        int64_t timeout_ms, http_progress progress, void *context,
                        struct http_answer *answer, struct error *error);

#endif
