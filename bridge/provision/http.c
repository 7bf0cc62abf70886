/* SPDX-License-Identifier: MIT */
#include "bridge/provision/http.h"

#include "bridge/provision/obk_answer.h"
#include "drivers/base/memory.h"
#include "drivers/base/number.h"
#include "drivers/base/text.h"

#include <curl/curl.h>
#include <string.h>

#define CONNECT_TIMEOUT_MS 5000
#define HOST_SIZE 300
#define URL_SIZE (HOST_SIZE + OBK_PATH_SIZE + 16)

struct http {
    CURL *curl;
    struct curl_slist *headers;
    char host[HOST_SIZE];
    char *credentials; /* "admin:...", NULL none */
    long timeout_ms;
    char words[CURL_ERROR_SIZE];
};

struct body {
    char *bytes; /* OBK_ANSWER_MAX + 1 */
    size_t length;
    bool too_long;
};

static bool host_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           strchr(".-_", c) != NULL;
}

static bool good_port(const char *port)
{
    int64_t number;
    return *port == '\0' ||
           (*port == ':' && number_parse_int(port + 1, strlen(port + 1), 1, 65535, &number));
}

static bool good_host(const char *host)
{
    bool bracketed = host[0] == '[';
    const char *at = bracketed ? host + 1 : host;
    size_t length = 0;
    while (at[length] != '\0' &&
           (host_character(at[length]) || (bracketed && strchr(":%", at[length]) != NULL)))
        length++;
    if (length == 0 || (bracketed && at[length] != ']'))
        return false;
    return good_port(at + length + (bracketed ? 1 : 0));
}

static enum status read_host(const char *given, char host[HOST_SIZE], struct error *error)
{
    const char *from = strncmp(given, "http://", 7) == 0 ? given + 7 : given;
    size_t length = strlen(from);
    if (length > 0 && from[length - 1] == '/')
        length--;
    if (length > 0 && length < HOST_SIZE) {
        memcpy(host, from, length);
        host[length] = '\0';
        if (good_host(host))
            return STATUS_OK;
    }
    return error_set(error, STATUS_USAGE,
                     "--host \"%.80s\" is not the address of a module; it must look like "
                     "192.168.1.20, meter.lan or meter.lan:80.",
                     given);
}

static size_t take_body(char *bytes, size_t size, size_t count, void *context)
{
    struct body *body = context;
    size_t length = size * count;
    if (length > OBK_ANSWER_MAX - body->length) {
        body->too_long = true;
        return 0; /* makes libcurl stop */
    }
    memcpy(body->bytes + body->length, bytes, length);
    body->length += length;
    return length;
}

static char *make_credentials(const char *password)
{
    if (password[0] == '\0')
        return NULL;
    size_t size = strlen(password) + sizeof "admin:";
    char *credentials = memory_new(size, 1);
    struct text text;
    text_init(&text, credentials, size);
    text_append(&text, "admin:%s", password);
    return credentials;
}

enum status http_open(const struct http_options *options, struct http **http, struct error *error)
{
    struct http *opened = memory_new(1, sizeof *opened);
    enum status status = read_host(options->host, opened->host, error);
    if (status != STATUS_OK) {
        free(opened);
        return status;
    }
    opened->credentials = make_credentials(options->web_password);
    opened->timeout_ms = (long)options->timeout_ms;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
        opened->curl = curl_easy_init();
    /* A module does not know "Expect: 100-continue"; the type keeps libcurl from calling a script a
     * form. */
    opened->headers = curl_slist_append(NULL, "Expect:");
    if (opened->curl != NULL && opened->headers != NULL &&
        curl_slist_append(opened->headers, "Content-Type: text/plain") != NULL) {
        *http = opened;
        return STATUS_OK;
    }
    http_close(opened);
    return error_set(error, STATUS_FAILED, "The HTTP library could not be started.");
}

void http_close(struct http *http)
{
    if (http == NULL)
        return;
    curl_easy_cleanup(http->curl);
    curl_slist_free_all(http->headers);
    curl_global_cleanup();
    free(http->credentials);
    free(http);
}

const char *http_host(const struct http *http)
{
    return http->host;
}

void http_answer_free(struct http_answer *answer)
{
    free(answer->body);
    *answer = (struct http_answer){.code = 0};
}

static void prepare(struct http *http, const struct obk_request *request, const char *url,
                    struct body *body)
{
    CURL *curl = http->curl;
    curl_easy_reset(curl);
    http->words[0] = '\0';
    (void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, http->words);
    (void)curl_easy_setopt(curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
    (void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
                           http->timeout_ms < CONNECT_TIMEOUT_MS ? http->timeout_ms
                                                                 : CONNECT_TIMEOUT_MS);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, http->timeout_ms);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, http->headers);
    (void)curl_easy_setopt(curl, CURLOPT_HTTP09_ALLOWED, request->bare_answer ? 1L : 0L);
    if (http->credentials != NULL)
        (void)curl_easy_setopt(curl, CURLOPT_USERPWD, http->credentials);
    if (!request->post)
        return;
    (void)curl_easy_setopt(curl, CURLOPT_POST, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)request->body_length);
    (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body);
}

static enum status explain(const struct http *http, CURLcode code, bool *broken,
                           struct error *error)
{
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return error_set(error, STATUS_NO_ANSWER,
                         "The host name %s is not known; give the module's address, which the "
                         "router or OpenBeken's own page shows.",
                         http->host);
    case CURLE_COULDNT_CONNECT:
        return error_set(error, STATUS_NO_ANSWER,
                         "Nobody answers at %s. Is the module powered and on the network, and is "
                         "this its address? The router shows it; `ping` tells whether it is up.",
                         http->host);
    case CURLE_OPERATION_TIMEDOUT:
        return error_set(
            error, STATUS_NO_ANSWER,
            "No whole answer came from %s within %.1f s. Is the module powered, and in "
            "reach of its Wi-Fi? --timeout waits longer.",
            http->host, (double)http->timeout_ms / 1000);
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
        *broken = true;
        return error_set(error, STATUS_FAILED,
                         "The connection to %s broke before the answer was complete (%s).",
                         http->host, http->words[0] != '\0' ? http->words : "no reason given");
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
        return error_set(error, STATUS_FAILED,
                         "What answers at %s does not speak HTTP: that is not an OpenBeken module, "
                         "or not its web port.",
                         http->host);
    default:
        return error_set(error, STATUS_FAILED, "Asking %s failed: %s.", http->host,
                         http->words[0] != '\0' ? http->words : curl_easy_strerror(code));
    }
}

static enum status judge_code(const struct http *http, int code, struct error *error)
{
    if (code == 401)
        return error_set(error, STATUS_REFUSED,
                         "The module at %s asks for its web password, and %s; give it with "
                         "--web-password-file.",
                         http->host,
                         http->credentials == NULL ? "none was given" : "the given one is wrong");
    if (code >= 300 && code < 400)
        return error_set(error, STATUS_FAILED,
                         "%s sends us on to another address (HTTP %d), which an OpenBeken module "
                         "never does: something else answers there, perhaps a proxy or a router.",
                         http->host, code);
    return STATUS_OK;
}

enum status http_ask(struct http *http, const struct obk_request *request,
                     struct http_answer *answer, bool *broken, struct error *error)
{
    bool lost = false;
    char *url memory_auto = memory_new(URL_SIZE, 1);
    struct text text;
    text_init(&text, url, URL_SIZE);
    text_append(&text, "http://%s%s", http->host, request->path);
    struct body body = {.bytes = memory_new(OBK_ANSWER_MAX + 1, 1)};
    prepare(http, request, url, &body);
    CURLcode result = curl_easy_perform(http->curl);
    long code = 0;
    (void)curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &code);
    enum status status;
    if (body.too_long)
        status = error_set(error, STATUS_FAILED,
                           "The answer from %s is longer than the %d bytes that are read: that is "
                           "not what OpenBeken answers.",
                           http->host, OBK_ANSWER_MAX);
    else
        status = result == CURLE_OK ? judge_code(http, (int)code, error)
                                    : explain(http, result, &lost, error);
    if (broken != NULL)
        *broken = lost;
    if (status != STATUS_OK) {
        free(body.bytes);
        return status;
    }
    *answer = (struct http_answer){.code = (int)code, .body = body.bytes, .length = body.length};
    return STATUS_OK;
}
