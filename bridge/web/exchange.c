/* SPDX-License-Identifier: MIT */
#include "bridge/web/exchange.h"

#include "bridge/web/upload.h"
#include "drivers/base/memory.h"
#include "drivers/base/number.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define HEADERS_MAX 6
/* How much of a body that is too long is read before the connection is given up. */
#define BODY_PATIENCE (4 * SERVER_BODY_MAX)

struct header {
    const char *name; /* static */
    char *value;
};

struct exchange {
    struct server *server;
    struct MHD_Connection *connection;
    const char *method; /* libmicrohttpd's, as long as the request */
    char *path;
    bool begun;
    bool suspended;
    bool queued;
    struct exchange_parameter parameters[SERVER_PARAMETERS_MAX];
    size_t parameter_count;
    bool too_many_parameters;
    struct upload *upload; /* NULL: the body is in memory */
    struct exchange *next_upload;
    int64_t file_length;
    bool sleeps; /* until the upload is ready */
    char *body;
    size_t body_length, body_capacity;
    struct header headers[HEADERS_MAX];
    size_t header_count;
    unsigned status;
    struct MHD_Response *response;
};

/* Lives as long as the response, which libmicrohttpd lets go of after the exchange. */
struct stream {
    struct exchange *exchange;
    struct exchange_source source;
};

struct exchange *exchange_new(struct server *server, struct MHD_Connection *connection,
                              const char *method, const char *path)
{
    struct exchange *exchange = memory_new(1, sizeof *exchange);
    exchange->server = server;
    exchange->connection = connection;
    exchange->method = method;
    exchange->path = memory_copy_text(path);
    return exchange;
}

void exchange_free(struct exchange *exchange)
{
    for (size_t i = 0; i < exchange->header_count; i++)
        free(exchange->headers[i].value);
    if (exchange->response != NULL)
        httpd.destroy_response(exchange->response);
    upload_close(exchange->upload);
    free(exchange->path);
    free(exchange->body);
    free(exchange);
}

/* ---- the request ---- */

const char *exchange_method(const struct exchange *exchange)
{
    return exchange->method;
}

const char *exchange_path(const struct exchange *exchange)
{
    return exchange->path;
}

const char *exchange_header(const struct exchange *exchange, const char *name)
{
    return httpd.lookup_connection_value(exchange->connection, MHD_HEADER_KIND, name);
}

/* "gzip;q=0" lists gzip only to exclude it. */
static bool weight_above_0(const char *options, size_t length)
{
    const char *weight = memmem(options, length, "q=", 2);
    if (weight == NULL)
        return true;
    weight += 2;
    return strspn(weight, "0.") < strcspn(weight, ",; ");
}

bool exchange_accepts(const struct exchange *exchange, const char *header, const char *word)
{
    const char *list = exchange_header(exchange, header);
    size_t length = strlen(word);
    while (list != NULL && *list != '\0') {
        list += strspn(list, ", \t");
        size_t item = strcspn(list, ",");
        if (strncasecmp(list, word, length) == 0 && strchr(",; ", list[length]) != NULL)
            return weight_above_0(list, item);
        list += item;
    }
    return false;
}

const char *exchange_body(const struct exchange *exchange, size_t *length)
{
    *length = exchange->body_length;
    return exchange->body == NULL ? "" : exchange->body;
}

const struct exchange_parameter *exchange_parameters(const struct exchange *exchange, size_t *count)
{
    *count = exchange->parameter_count;
    return exchange->parameters;
}

bool exchange_announces_too_much(const struct exchange *exchange)
{
    const char *text = exchange_header(exchange, "Content-Length");
    int64_t length = 0;
    return text != NULL && !number_parse_int(text, strlen(text), 0, SERVER_BODY_MAX, &length);
}

static void fall_asleep(struct exchange *exchange)
{
    exchange->sleeps = true;
    httpd.suspend_connection(exchange->connection);
}

static void on_upload_ready(void *context)
{
    struct exchange *exchange = context;
    if (!exchange->sleeps)
        return;
    exchange->sleeps = false;
    httpd.resume_connection(exchange->connection);
    server_resumed(exchange->server);
}

void exchange_expect_file(struct exchange *exchange, uv_loop_t *loop, const char *path,
                          int64_t limit)
{
    const char *text = exchange_header(exchange, "Content-Length");
    char sentence[128];
    int64_t length = 0;
    (void)snprintf(sentence, sizeof sentence,
                   "A file for this address has at most %" PRId64 " bytes.", limit);
    if (text == NULL) {
        exchange_refuse(exchange, 411, "The length of the file must be told (Content-Length).");
    } else if (strcmp(text, "0") == 0) {
        exchange_refuse(exchange, 400, "The file is empty.");
    } else if (!number_parse_int(text, strlen(text), 1, limit, &length)) {
        exchange_refuse(exchange, 413, sentence);
    } else if (upload_busy(path)) {
        exchange_refuse(exchange, 409, "Another file is being sent here; try again later.");
    } else {
        const struct upload_options options = {.loop = loop,
                                               .path = path,
                                               .length = length,
                                               .ready = on_upload_ready,
                                               .context = exchange};
        exchange->upload = upload_open(&options);
    }
}

bool exchange_file_complete(struct exchange *exchange)
{
    if (exchange->upload == NULL)
        return true;
    struct error error = {""};
    if (!upload_end(exchange->upload)) {
        fall_asleep(exchange);
        return false;
    }
    if (upload_status(exchange->upload, &error) != STATUS_OK)
        exchange_refuse(exchange, 500, error.text);
    return true;
}

struct exchange **exchange_next_upload(struct exchange *exchange)
{
    return &exchange->next_upload;
}

void exchange_give_up_file(struct exchange *exchange)
{
    on_upload_ready(exchange);
}

int64_t exchange_uploaded(const struct exchange *exchange)
{
    return exchange->upload == NULL ? -1 : exchange->file_length;
}

bool exchange_take_body(struct exchange *exchange, const char *bytes, size_t length)
{
    if (exchange->upload != NULL) {
        exchange->file_length += (int64_t)length;
        if (!upload_take(exchange->upload, bytes, length))
            fall_asleep(exchange);
        return true;
    }
    if (exchange->body_length + length > BODY_PATIENCE)
        return false;
    if (exchange->body_length + length > SERVER_BODY_MAX) {
        exchange->body_length += length; /* counted, and answered when it ends */
        return true;
    }
    size_t needed = exchange->body_length + length + 1;
    if (needed > exchange->body_capacity) {
        size_t capacity = exchange->body_capacity == 0 ? 1024 : exchange->body_capacity;
        while (capacity < needed)
            capacity *= 2;
        char *grown = memory_new(capacity, 1);
        if (exchange->body != NULL)
            memcpy(grown, exchange->body, exchange->body_length);
        free(exchange->body);
        exchange->body = grown;
        exchange->body_capacity = capacity;
    }
    memcpy(exchange->body + exchange->body_length, bytes, length);
    exchange->body_length += length;
    exchange->body[exchange->body_length] = '\0';
    return true;
}

bool exchange_begun(const struct exchange *exchange)
{
    return exchange->begun;
}

static enum MHD_Result take_parameter(void *context, enum MHD_ValueKind kind, const char *name,
                                      const char *value)
{
    (void)kind;
    struct exchange *exchange = context;
    if (exchange->parameter_count == SERVER_PARAMETERS_MAX) {
        exchange->too_many_parameters = true;
        return MHD_NO;
    }
    exchange->parameters[exchange->parameter_count++] =
        (struct exchange_parameter){.name = name, .value = value == NULL ? "" : value};
    return MHD_YES;
}

bool exchange_ready(struct exchange *exchange)
{
    exchange->begun = true;
    (void)httpd.get_connection_values(exchange->connection, MHD_GET_ARGUMENT_KIND, take_parameter,
                                      exchange);
    if (exchange->body_length > SERVER_BODY_MAX)
        exchange_refuse(exchange, 413, "The body of a request has at most 65536 bytes.");
    else if (exchange->too_many_parameters)
        exchange_refuse(exchange, 400, "The address has more than 32 parameters.");
    return exchange->response == NULL;
}

/* ---- the answer ---- */

void exchange_set_header(struct exchange *exchange, const char *name, const char *value)
{
    if (exchange->header_count == HEADERS_MAX)
        return;
    exchange->headers[exchange->header_count++] =
        (struct header){.name = name, .value = memory_copy_text(value)};
}

/* The page is all there is: nothing is loaded from anywhere else, and no other site frames it. */
static void add_headers(struct exchange *exchange, struct MHD_Response *response, const char *type)
{
    static const char *const always[][2] = {
        {"Content-Security-Policy", "default-src 'self'; img-src 'self' data:; object-src 'none'; "
                                    "base-uri 'none'; form-action 'self'; frame-ancestors 'self'"},
        {"X-Content-Type-Options", "nosniff"},
        {"Referrer-Policy", "same-origin"},
    };
    for (size_t i = 0; i < sizeof always / sizeof always[0]; i++)
        (void)httpd.add_response_header(response, always[i][0], always[i][1]);
    bool cached = false;
    for (size_t i = 0; i < exchange->header_count; i++) {
        cached = cached || strcmp(exchange->headers[i].name, "Cache-Control") == 0;
        (void)httpd.add_response_header(response, exchange->headers[i].name,
                                        exchange->headers[i].value);
    }
    if (!cached)
        (void)httpd.add_response_header(response, "Cache-Control", "no-store");
    if (type != NULL)
        (void)httpd.add_response_header(response, "Content-Type", type);
}

static void resume(struct exchange *exchange)
{
    if (!exchange->suspended)
        return;
    exchange->suspended = false;
    httpd.resume_connection(exchange->connection);
    server_resumed(exchange->server);
}

/* Takes the response. */
static void reply(struct exchange *exchange, unsigned status, const char *type,
                  struct MHD_Response *response)
{
    if (response == NULL)
        return; /* memory is out; the connection is closed */
    add_headers(exchange, response, type);
    exchange->begun = true;
    exchange->status = status;
    exchange->response = response;
    resume(exchange);
}

/* libmicrohttpd takes the bytes without const, and does not write to them. */
static struct MHD_Response *from_bytes(const void *bytes, size_t length,
                                       enum MHD_ResponseMemoryMode mode)
{
    union {
        const void *constant;
        void *plain;
    } buffer = {.constant = bytes};
    return httpd.create_response_from_buffer(length, buffer.plain, mode);
}

void exchange_reply_static(struct exchange *exchange, unsigned status, const char *type,
                           const void *bytes, size_t length)
{
    reply(exchange, status, type, from_bytes(bytes, length, MHD_RESPMEM_PERSISTENT));
}

void exchange_reply_copy(struct exchange *exchange, unsigned status, const char *type,
                         const char *bytes, size_t length)
{
    reply(exchange, status, type, from_bytes(bytes, length, MHD_RESPMEM_MUST_COPY));
}

void exchange_reply_owned(struct exchange *exchange, unsigned status, const char *type, char *bytes,
                          size_t length)
{
    reply(exchange, status, type, from_bytes(bytes, length, MHD_RESPMEM_MUST_FREE));
}

void exchange_reply_error(struct exchange *exchange, unsigned status, const char *sentence)
{
    json_t *body = json_pack("{s:s}", "error", sentence);
    if (body == NULL) /* bytes of the peer in it that are no text */
        body = json_pack("{s:s}", "error", "The request is not valid UTF-8.");
    char *text = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    exchange_reply_owned(exchange, status, "application/json", text,
                         text == NULL ? 0 : strlen(text));
}

void exchange_refuse(struct exchange *exchange, unsigned status, const char *sentence)
{
    exchange_set_header(exchange, "Connection", "close");
    exchange_reply_error(exchange, status, sentence);
}

enum MHD_Result exchange_queue(struct exchange *exchange)
{
    if (exchange->response != NULL && !exchange->queued) {
        exchange->queued = true;
        return httpd.queue_response(exchange->connection, exchange->status, exchange->response);
    }
    if (exchange->queued)
        return MHD_YES;
    if (!exchange->begun)
        return MHD_NO;
    exchange->suspended = true;
    httpd.suspend_connection(exchange->connection);
    return MHD_YES;
}

/* ---- streams ---- */

static ssize_t read_source(void *context, uint64_t position, char *bytes, size_t size)
{
    (void)position;
    struct stream *stream = context;
    ssize_t got = stream->source.read(stream->source.context, bytes, size);
    if (got > 0)
        return got;
    if (got == EXCHANGE_END)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (got == EXCHANGE_FAIL)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    stream->exchange->suspended = true;
    httpd.suspend_connection(stream->exchange->connection);
    return 0;
}

static void end_source(void *context)
{
    struct stream *stream = context;
    stream->source.end(stream->source.context);
    free(stream);
}

void exchange_reply_stream(struct exchange *exchange, unsigned status, const char *type,
                           size_t block, const struct exchange_source *source)
{
    struct stream *stream = memory_new(1, sizeof *stream);
    *stream = (struct stream){.exchange = exchange, .source = *source};
    reply(exchange, status, type,
          httpd.create_response_from_callback(MHD_SIZE_UNKNOWN, block, read_source, stream,
                                              end_source));
}

void exchange_stream_ready(struct exchange *exchange)
{
    resume(exchange);
}
