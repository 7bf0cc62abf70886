/* SPDX-License-Identifier: MIT */
#include "bridge/provision/http.h"

#include "bridge/provision/obk_answer.h"
#include "drivers/base/memory.h"
#include "drivers/base/number.h"
#include "drivers/base/text.h"

#include <string.h>

#define HOST_SIZE 300
#define URL_SIZE (HOST_SIZE + OBK_PATH_SIZE + 16)

struct http {
    struct http_client *client;
    char host[HOST_SIZE];
    char *credentials; /* "admin:...", NULL none */
    int64_t timeout_ms;
};

/* A module does not know "Expect: 100-continue"; the type keeps libcurl from calling a script a form. */
static const char *const headers[] = {"Expect:", "Content-Type: text/plain", NULL};

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
    opened->timeout_ms = options->timeout_ms;
    status = http_client_open(&opened->client, error);
    if (status != STATUS_OK) {
        http_close(opened);
        return status;
    }
    *http = opened;
    return STATUS_OK;
}

void http_close(struct http *http)
{
    if (http == NULL)
        return;
    http_client_close(http->client);
    free(http->credentials);
    free(http);
}

const char *http_host(const struct http *http)
{
    return http->host;
}

static enum status explain(const struct http *http, enum http_outcome outcome, int64_t timeout_ms,
                           struct error *error)
{
    switch (outcome) {
    case HTTP_HOST_UNKNOWN:
        return error_set(error, STATUS_NO_ANSWER,
                         "The host name %s is not known; give the module's address, which the "
                         "router or OpenBeken's own page shows.",
                         http->host);
    case HTTP_NOT_REACHED:
        return error_set(error, STATUS_NO_ANSWER,
                         "Nobody answers at %s. Is the module powered and on the network, and is "
                         "this its address? The router shows it; `ping` says whether it is up.",
                         http->host);
    case HTTP_TIMED_OUT:
        return error_set(
            error, STATUS_NO_ANSWER,
            "No whole answer came from %s within %.1f s. Is the module powered, and in "
            "reach of its Wi-Fi? --timeout waits longer.",
            http->host, (double)timeout_ms / 1000);
    case HTTP_BROKEN:
        return error_set(error, STATUS_FAILED,
                         "The connection to %s broke before the answer was complete (%s).",
                         http->host, http_client_words(http->client));
    case HTTP_TOO_LONG:
        return error_set(error, STATUS_FAILED,
                         "The answer from %s is longer than the %d bytes that are read: that is "
                         "not what OpenBeken answers.",
                         http->host, OBK_ANSWER_MAX);
    case HTTP_NOT_HTTP:
        return error_set(error, STATUS_FAILED,
                         "What answers at %s does not speak HTTP: that is not an OpenBeken module, "
                         "or not its web port.",
                         http->host);
    case HTTP_ANSWERED:
        return STATUS_OK;
    case HTTP_FAILED:
    default:
        return error_set(error, STATUS_FAILED, "Asking %s failed: %s.", http->host,
                         http_client_words(http->client));
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

/* url and answer_max are filled in here. */
static enum status send_request(struct http *http, const char *path,
                                struct http_client_request *asked, struct http_answer *answer,
                                bool *broken, struct error *error)
{
    char *url memory_auto = memory_new(URL_SIZE, 1);
    struct text text;
    text_init(&text, url, URL_SIZE);
    text_append(&text, "http://%s%s", http->host, path);
    asked->url = url;
    asked->credentials = http->credentials;
    asked->headers = headers;
    asked->answer_max = OBK_ANSWER_MAX;
    struct http_answer got = {.code = 0};
    enum http_outcome outcome = http_client_ask(http->client, asked, &got);
    if (broken != NULL)
        *broken = outcome == HTTP_BROKEN;
    enum status status = explain(http, outcome, asked->timeout_ms, error);
    if (status == STATUS_OK)
        status = judge_code(http, got.code, error);
    if (status == STATUS_OK)
        *answer = got;
    else
        http_answer_free(&got);
    return status;
}

enum status http_ask(struct http *http, const struct obk_request *request,
                     struct http_answer *answer, bool *broken, struct error *error)
{
    struct http_client_request asked = {
        .bare_answer = request->bare_answer,
        .body = request->post ? request->body : NULL,
        .body_length = request->body_length,
        .timeout_ms = http->timeout_ms,
    };
    return send_request(http, request->path, &asked, answer, broken, error);
}

enum status http_upload(struct http *http, const char *path, const uint8_t *bytes, size_t length,
                        int64_t timeout_ms, http_progress progress, void *context,
                        struct http_answer *answer, struct error *error)
{
    struct http_client_request asked = {
        .body = bytes,
        .body_length = length,
        .timeout_ms = timeout_ms,
        .progress = progress,
        .progress_context = context,
    };
    return send_request(http, path, &asked, answer, NULL, error);
}
