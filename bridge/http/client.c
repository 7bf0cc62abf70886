/* SPDX-License-Identifier: MIT */
#include "bridge/http/client.h"

#include "bridge/http/library.h"
#include "drivers/base/memory.h"

#include <string.h>

#define CONNECT_TIMEOUT_MS 5000
#define RETRY_AFTER_MAX_S (1000LL * 86400) /* so that milliseconds are a number, too */

struct http_client {
    struct library library;
    CURL *curl;
    char words[CURL_ERROR_SIZE];
};

struct body {
    char *bytes; /* room for one more than the longest, the NUL */
    size_t length, longest;
    bool too_long;
};

enum status http_client_open(struct http_client **client, struct error *error)
{
    struct http_client *opened = memory_new(1, sizeof *opened);
    enum status status = library_load(&opened->library, error);
    if (status == STATUS_OK) {
        opened->curl = opened->library.easy_init();
        if (opened->curl == NULL)
            status = error_set(error, STATUS_FAILED, "There is no memory for an HTTP request.");
    }
    if (status != STATUS_OK) {
        http_client_close(opened);
        return status;
    }
    *client = opened;
    return STATUS_OK;
}

void http_client_close(struct http_client *client)
{
    if (client == NULL)
        return;
    if (client->curl != NULL)
        client->library.easy_cleanup(client->curl);
    free(client);
}

void http_answer_free(struct http_answer *answer)
{
    free(answer->body);
    *answer = (struct http_answer){.code = 0};
}

static size_t take_body(char *bytes, size_t size, size_t count, void *context)
{
    struct body *body = context;
    size_t length = size * count;
    if (length > body->longest - body->length) {
        body->too_long = true;
        return 0; /* makes libcurl stop */
    }
    memcpy(body->bytes + body->length, bytes, length);
    body->length += length;
    return length;
}

static int tell_progress(void *context, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                         curl_off_t up)
{
    const struct http_client_request *request = context;
    (void)down_total;
    (void)down;
    return request->progress(request->progress_context, (uint64_t)up, (uint64_t)up_total) ? 0 : 1;
}

#define SET(option, value)                                                                         \
    (good = good && client->library.easy_setopt(client->curl, option, value) == CURLE_OK)

static bool prepare(struct http_client *client, const struct http_client_request *request,
                    struct curl_slist *headers, struct body *body)
{
    bool good = true;
    client->library.easy_reset(client->curl);
    SET(CURLOPT_ERRORBUFFER, client->words);
    SET(CURLOPT_URL, request->url);
    SET(CURLOPT_PROTOCOLS_STR, request->tls_allowed ? "http,https" : "http");
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_FORBID_REUSE, 1L);
    SET(CURLOPT_CONNECTTIMEOUT_MS, request->timeout_ms < CONNECT_TIMEOUT_MS
                                       ? (long)request->timeout_ms
                                       : (long)CONNECT_TIMEOUT_MS);
    SET(CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
    SET(CURLOPT_WRITEFUNCTION, take_body);
    SET(CURLOPT_WRITEDATA, body);
    SET(CURLOPT_HTTPHEADER, headers);
    SET(CURLOPT_HTTP09_ALLOWED, request->bare_answer ? 1L : 0L);
    if (request->credentials != NULL)
        SET(CURLOPT_USERPWD, request->credentials);
    if (request->progress != NULL) {
        SET(CURLOPT_NOPROGRESS, 0L);
        SET(CURLOPT_XFERINFOFUNCTION, tell_progress);
        SET(CURLOPT_XFERINFODATA, request);
    }
    if (request->body != NULL) {
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_length);
        SET(CURLOPT_POSTFIELDS, request->body);
    }
    return good;
}

static enum http_outcome outcome_of(CURLcode code)
{
    switch (code) {
    case CURLE_OK:
        return HTTP_ANSWERED;
    case CURLE_COULDNT_RESOLVE_HOST:
        return HTTP_HOST_UNKNOWN;
    case CURLE_COULDNT_CONNECT:
        return HTTP_NOT_REACHED;
    case CURLE_OPERATION_TIMEDOUT:
        return HTTP_TIMED_OUT;
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
        return HTTP_BROKEN;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
        return HTTP_NOT_HTTP;
    default:
        return HTTP_FAILED;
    }
}

static void say(struct http_client *client, const char *words)
{
    client->words[0] = '\0';
    strncat(client->words, words, sizeof client->words - 1);
}

static bool make_headers(const struct http_client *client, const char *const *wanted,
                         struct curl_slist **headers)
{
    for (; wanted != NULL && *wanted != NULL; wanted++) {
        struct curl_slist *longer = client->library.slist_append(*headers, *wanted);
        if (longer == NULL)
            return false;
        *headers = longer;
    }
    return true;
}

/* libcurl reads both forms, seconds and a date; the latter by the wall clock. */
static int64_t retry_after_ms(const struct http_client *client)
{
    curl_off_t seconds = 0;
    if (client->library.easy_getinfo(client->curl, CURLINFO_RETRY_AFTER, &seconds) != CURLE_OK ||
        seconds <= 0)
        return 0;
    return (seconds < RETRY_AFTER_MAX_S ? seconds : RETRY_AFTER_MAX_S) * 1000;
}

enum http_outcome http_client_ask(struct http_client *client,
                                  const struct http_client_request *request,
                                  struct http_answer *answer)
{
    struct body body = {
        .bytes = memory_new(request->answer_max + 1, 1),
        .longest = request->answer_max,
    };
    struct curl_slist *headers = NULL;
    client->words[0] = '\0';
    enum http_outcome outcome = HTTP_FAILED;
    long code = 0;
    if (make_headers(client, request->headers, &headers) &&
        prepare(client, request, headers, &body)) {
        CURLcode result = client->library.easy_perform(client->curl);
        (void)client->library.easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &code);
        outcome = body.too_long ? HTTP_TOO_LONG : outcome_of(result);
        if (outcome != HTTP_ANSWERED && client->words[0] == '\0')
            say(client, client->library.easy_strerror(result));
    } else {
        say(client, "the HTTP library does not take the request");
    }
    client->library.slist_free_all(headers);
    if (outcome == HTTP_ANSWERED) {
        body.bytes[body.length] = '\0';
        *answer = (struct http_answer){.code = (int)code,
                                       .retry_after_ms = retry_after_ms(client),
                                       .body = body.bytes,
                                       .length = body.length};
    } else {
        free(body.bytes);
    }
    return outcome;
}

const char *http_client_words(const struct http_client *client)
{
    return client->words[0] != '\0' ? client->words : "no reason given";
}

const char *http_library_version(void)
{
    struct library library;
    struct error error;
    return library_load(&library, &error) == STATUS_OK ? library.version() : NULL;
}
