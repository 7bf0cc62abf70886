/* SPDX-License-Identifier: MIT */
/**
 * One HTTP request at a time, blocking, with bounds on time and size: to modules, and to time-series
 * engines. The only place for libcurl.
 *
 * libcurl and what it brings along are some 4 MB of memory that a bridge without HTTP has no use
 * for, so the library is loaded when the first client is opened and not before.
 *
 * Redirects are not followed and proxies from the environment not used: what is sent may change
 * settings or carry passwords, and must not wander off to another machine.
 */
#ifndef BRIDGE_HTTP_CLIENT_H
#define BRIDGE_HTTP_CLIENT_H

#include "drivers/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_client;

/** For use by one thread at a time. STATUS_FAILED: libcurl is not installed. */
enum status http_client_open(struct http_client **client, struct error *error);
void http_client_close(struct http_client *client);

/** Return false to break the request off. total is 0 while there is nothing to send. */
typedef bool (*http_progress)(void *context, uint64_t sent, uint64_t total);

/** All borrowed for the time of the request. */
struct http_client_request {
    const char *url;
    bool tls_allowed;           /**< false: https:// is refused */
    bool bare_answer;           /**< one without any header is taken too (HTTP/0.9) */
    const char *credentials;    /**< "user:password", or NULL */
    const char *const *headers; /**< ended by NULL, or NULL; "Name:" takes a usual one away */
    const void *body;           /**< NULL: GET, otherwise POST */
    size_t body_length;
    int64_t timeout_ms; /**< from looking the host up to the last byte; 5 s of it for connecting */
    size_t answer_max;  /**< longer ones are given up: HTTP_TOO_LONG */
    http_progress progress; /**< or NULL */
    void *progress_context;
};

enum http_outcome {
    HTTP_ANSWERED,
    HTTP_HOST_UNKNOWN,
    HTTP_NOT_REACHED,
    HTTP_TIMED_OUT,
    HTTP_BROKEN, /**< the connection was lost after it stood */
    HTTP_NOT_HTTP,
    HTTP_TOO_LONG,
    HTTP_FAILED, /**< whatever else, TLS and breaking off included; the words tell */
};

/** Owned by the caller; body is NUL-terminated. http_answer_free({0}) is allowed. */
struct http_answer {
    int code;               /**< HTTP status; 0 for an answer without a header */
    int64_t retry_after_ms; /**< Retry-After, as seconds or a date; 0: none, or that is over */
    char *body;
    size_t length;
};
void http_answer_free(struct http_answer *answer);

/** answer is set if HTTP_ANSWERED, whatever its code; otherwise http_client_words tells more. */
enum http_outcome http_client_ask(struct http_client *client,
                                  const struct http_client_request *request,
                                  struct http_answer *answer);

/** What libcurl says of the last request that failed; not a sentence. Never empty. */
const char *http_client_words(const struct http_client *client);

/** Loads libcurl; "libcurl/7.88.1 OpenSSL/3.0.17 ...". NULL: it is not installed. */
const char *http_library_version(void);

#endif
