/* SPDX-License-Identifier: MIT */
#include "bridge/sinks/sink.h"

#include "bridge/history/readings.h"
#include "bridge/http/client.h"
#include "bridge/sinks/delivery.h"
#include "bridge/sinks/line_protocol.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <zlib.h>

#define TIMEOUT_MS 30000
#define ANSWER_MAX 16384
#define BODY_SIZE ((size_t)512 * 1024)
#define URL_SIZE 4096
#define LAG_MS 300000
/* When so many single readings of a batch were refused and none taken, it is not about readings. */
#define REFUSED_ALONE 16
/* ... and after so many tries (some two hours) they are given up all the same: a batch must not
 * block those behind it for ever. */
#define TRIES_MAX 30
#define GZIP_WINDOW (15 + 16) /* the greatest window, and gzip's header: zlib.h, deflateInit2 */

/* A batch: lines one after another in the body, `at` where each begins and, last, where all end. */
struct batch {
    struct text body;
    size_t *at;
    size_t count;
    int64_t newest_ms; /* stamp of the last line */
};

struct sink {
    const struct config_sink *config;
    const char *bridge;
    char *path;
    struct history *history;
    unsigned number;
    char *url;
    char *authorization; /* header, or NULL */
    char *credentials;   /* or NULL */

    pthread_t thread;
    bool started;
    pthread_mutex_t mutex; /* guards what follows, up to the thread's own */
    pthread_cond_t changed;
    bool stopping;
    struct sink_health health;

    /* The thread's own. */
    struct http_client *client;
    struct history_stream *stream;
    unsigned file; /* of the stream */
    struct batch batch;
    Bytef *packed;
    unsigned failures; /* in a row */
    unsigned blocked;  /* tries of a batch of which nothing was taken */
    int64_t
        reached_ms; /* stamp of the newest reading that was delivered; 0: none since the start */
    int64_t refused_now; /* of the batch */
    int64_t taken_now;
    char refusal[256];
};

/* ---- before the thread ---- */

static char *make_url(const struct config_sink *config)
{
    char *url = memory_new(URL_SIZE, 1);
    struct text text;
    text_init(&text, url, URL_SIZE);
    text_append(&text, "%s%s?precision=ms", config->url,
                config->bucket[0] != '\0' ? "/api/v2/write" : "/write");
    const struct {
        const char *key, *value;
    } pairs[] = {{"db", config->database}, {"org", config->org}, {"bucket", config->bucket}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        if (pairs[i].value[0] == '\0')
            continue;
        text_append(&text, "&%s=", pairs[i].key);
        line_append_query(&text, pairs[i].value);
    }
    return url;
}

static char *joined(const char *first, const char *second, const char *between)
{
    size_t size = strlen(first) + strlen(second) + strlen(between) + 1;
    char *result = memory_new(size, 1);
    (void)snprintf(result, size, "%s%s%s", first, between, second);
    return result;
}

struct sink *sink_create(const struct sinks_options *options, const struct config_sink *config,
                         unsigned number)
{
    struct sink *sink = memory_new(1, sizeof *sink);
    sink->config = config;
    sink->bridge = options->config->bridge.id;
    sink->path = memory_copy_text(options->history_path);
    sink->history = options->history;
    sink->number = number;
    sink->url = make_url(config);
    if (config->token[0] != '\0')
        sink->authorization = joined("Authorization: Token ", config->token, "");
    if (config->user[0] != '\0')
        sink->credentials = joined(config->user, config->password, ":");
    sink->health.id = config->id;
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&sink->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    (void)pthread_mutex_init(&sink->mutex, NULL);
    return sink;
}

/* ---- one request ---- */

static bool is_stopping(struct sink *sink)
{
    (void)pthread_mutex_lock(&sink->mutex);
    bool stopping = sink->stopping;
    (void)pthread_mutex_unlock(&sink->mutex);
    return stopping;
}

static bool go_on(void *context, uint64_t sent, uint64_t total)
{
    (void)sent;
    (void)total;
    return !is_stopping(context);
}

/* *bytes and *length: as they are, or packed if that is wanted and works. */
static bool pack(struct sink *sink, const void **bytes, size_t *length)
{
    z_stream stream = {.zalloc = Z_NULL};
    if (!sink->config->gzip || deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW,
                                            8, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    stream.next_in = (z_const Bytef *)*bytes;
    stream.avail_in = (uInt)*length;
    stream.next_out = sink->packed;
    stream.avail_out = BODY_SIZE;
    bool good = deflate(&stream, Z_FINISH) == Z_STREAM_END;
    if (good) {
        *bytes = sink->packed;
        *length = stream.total_out;
    }
    (void)deflateEnd(&stream);
    return good;
}

/* Sends the lines first..end-1; what came of it is in `sentence` unless all were taken. */
static enum delivery post(struct sink *sink, size_t first, size_t end, int64_t *refused,
                          char *sentence, size_t size)
{
    const struct batch *batch = &sink->batch;
    const void *bytes = batch->body.buffer + batch->at[first];
    size_t length = batch->at[end] - batch->at[first];
    const char *headers[5] = {"Expect:", "Content-Type: text/plain; charset=utf-8"};
    size_t header_count = 2;
    if (pack(sink, &bytes, &length))
        headers[header_count++] = "Content-Encoding: gzip";
    if (sink->authorization != NULL)
        headers[header_count++] = sink->authorization;
    const struct http_client_request request = {
        .url = sink->url,
        .tls_allowed = true,
        .credentials = sink->credentials,
        .headers = headers,
        .body = bytes,
        .body_length = length,
        .timeout_ms = TIMEOUT_MS,
        .answer_max = ANSWER_MAX,
        .progress = go_on,
        .progress_context = sink,
    };
    struct http_answer answer = {.code = 0};
    enum http_outcome outcome = http_client_ask(sink->client, &request, &answer);
    const char *body = answer.body == NULL ? "" : answer.body;
    enum delivery delivery = delivery_judge(outcome, answer.code, body, refused);
    if (delivery != DELIVERY_DONE)
        delivery_explain(outcome, answer.code, body, http_client_words(sink->client), sentence,
                         size);
    http_answer_free(&answer);
    return delivery;
}

/* ---- a batch ---- */

static void note_refusal(struct sink *sink, size_t line, const char *sentence)
{
    const struct batch *batch = &sink->batch;
    size_t length = batch->at[line + 1] - batch->at[line] - 1; /* without its end */
    (void)snprintf(sink->refusal, sizeof sink->refusal, "%.100s \"%.*s\"", sentence,
                   length < 140 ? (int)length : 140, batch->body.buffer + batch->at[line]);
}

/* The engine itself says how many of these lines it did not take. */
static void count_refused(struct sink *sink, size_t first, size_t end, int64_t refused,
                          const char *sentence)
{
    int64_t lines = (int64_t)(end - first);
    refused = refused < lines ? refused : lines;
    sink->refused_now += refused;
    sink->taken_now += lines - refused;
    note_refusal(sink, first, sentence);
}

/* The lines first..end-1, in ever smaller parts where that is needed to find those that are refused.
 * DELIVERY_DONE: each was taken or counted as refused. */
static enum delivery deliver(struct sink *sink, size_t first, size_t end, char *sentence,
                             size_t size)
{
    int64_t refused;
    enum delivery delivery = post(sink, first, end, &refused, sentence, size);
    switch (delivery) {
    case DELIVERY_DONE:
        sink->taken_now += (int64_t)(end - first);
        return DELIVERY_DONE;
    case DELIVERY_PARTLY:
        count_refused(sink, first, end, refused, sentence);
        return DELIVERY_DONE;
    case DELIVERY_DIVIDE:
        break;
    default:
        return delivery;
    }
    if (end - first == 1) {
        count_refused(sink, first, end, 1, sentence);
        bool all = sink->taken_now == 0 && sink->refused_now >= REFUSED_ALONE;
        return all && sink->blocked < TRIES_MAX ? DELIVERY_SETTING : DELIVERY_DONE;
    }
    size_t middle = first + (end - first) / 2; /* halves: no deeper than 11 for 2000 lines */
    delivery = deliver(sink, first, middle, sentence, size);
    return delivery == DELIVERY_DONE ? deliver(sink, middle, end, sentence, size) : delivery;
}

static bool take_line(void *context, const struct history_reading *reading)
{
    struct sink *sink = context;
    struct batch *batch = &sink->batch;
    if (!line_append(&batch->body, sink->bridge, reading))
        return false;
    batch->at[++batch->count] = batch->body.length;
    batch->newest_ms = reading->reading.wall_ms;
    return true;
}

static enum status fill(struct sink *sink, int64_t *cursor, bool *more, struct error *error)
{
    unsigned file;
    struct batch *batch = &sink->batch;
    int64_t after = history_outbox_begin(sink->history, sink->number, &file);
    text_init(&batch->body, batch->body.buffer, BODY_SIZE);
    batch->count = 0;
    if (sink->stream != NULL && file != sink->file) {
        history_stream_close(sink->stream);
        sink->stream = NULL;
    }
    sink->file = file;
    enum status status = STATUS_OK;
    if (sink->stream == NULL)
        status = history_stream_open(sink->path, &sink->stream, error);
    if (status == STATUS_OK)
        status = history_stream_read(sink->stream, after, (size_t)sink->config->batch, take_line,
                                     sink, cursor, more, error);
    if (status != STATUS_OK) {
        history_stream_close(sink->stream);
        sink->stream = NULL;
    }
    return status;
}

/* ---- what others see ---- */

static void set_problem(struct sink *sink, const char *sentence)
{
    (void)pthread_mutex_lock(&sink->mutex);
    struct sink_health *health = &sink->health;
    int64_t behind_ms = sink->reached_ms == 0 ? 0 : clock_wall_ms() - sink->reached_ms;
    health->behind_ms = behind_ms < 0 ? 0 : behind_ms;
    (void)snprintf(health->problem, sizeof health->problem, "Sink %s: %.200s", sink->config->id,
                   sentence);
    (void)pthread_mutex_unlock(&sink->mutex);
}

static void note_delivered(struct sink *sink, bool more)
{
    (void)pthread_mutex_lock(&sink->mutex);
    struct sink_health *health = &sink->health;
    int64_t behind_ms = more ? clock_wall_ms() - sink->reached_ms : 0;
    health->delivered += (uint64_t)sink->taken_now;
    health->refused += (uint64_t)sink->refused_now;
    health->behind_ms = behind_ms < 0 ? 0 : behind_ms;
    if (sink->refused_now > 0)
        (void)snprintf(health->refusal, sizeof health->refusal, "%s", sink->refusal);
    /* While it catches up after an outage the problem is not over, only smaller. */
    if (health->behind_ms < LAG_MS + sink->config->interval_ms)
        health->problem[0] = '\0';
    else
        (void)snprintf(health->problem, sizeof health->problem,
                       "Sink %s: it gets the readings of the past at the moment.",
                       sink->config->id);
    (void)pthread_mutex_unlock(&sink->mutex);
}

/* ---- the thread ---- */

static void wait_for(struct sink *sink, int64_t for_ms)
{
    struct timespec until = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &until); /* cannot fail for this clock */
    int64_t ms = (int64_t)until.tv_sec * 1000 + until.tv_nsec / 1000000 + for_ms;
    until.tv_sec = (time_t)(ms / 1000);
    until.tv_nsec = (long)(ms % 1000) * 1000000;
    (void)pthread_mutex_lock(&sink->mutex);
    int result = 0;
    while (!sink->stopping && result != ETIMEDOUT)
        result = pthread_cond_timedwait(&sink->changed, &sink->mutex, &until);
    (void)pthread_mutex_unlock(&sink->mutex);
}

static double chance(void)
{
    uint32_t dice = 0;
    if (getrandom(&dice, sizeof dice, GRND_NONBLOCK) != (ssize_t)sizeof dice)
        return 1; /* no randomness at hand: no spreading */
    return (double)dice / UINT32_MAX;
}

/* How long to wait before the next turn. A single failure is not worth a word: the next try may do. */
static int64_t fail(struct sink *sink, bool at_once, const char *sentence)
{
    sink->failures++;
    if (at_once || sink->failures > 1)
        set_problem(sink, sentence);
    return delivery_delay_ms(sink->failures, chance());
}

static int64_t confirm(struct sink *sink, int64_t cursor, bool more)
{
    sink->failures = sink->blocked = 0;
    if (sink->batch.count > 0)
        sink->reached_ms = sink->batch.newest_ms;
    history_outbox_done(sink->history, sink->number, cursor, sink->refused_now);
    note_delivered(sink, more);
    return more ? 0 : sink->config->interval_ms;
}

/* Returns how long to wait for the next. */
static int64_t turn(struct sink *sink)
{
    struct error error = {""};
    char sentence[320] = "";
    int64_t cursor = 0;
    bool more = false;
    if (sink->client == NULL && http_client_open(&sink->client, &error) != STATUS_OK)
        return fail(sink, true, error.text);
    if (fill(sink, &cursor, &more, &error) != STATUS_OK)
        return fail(sink, false, error.text);
    sink->refused_now = sink->taken_now = 0;
    enum delivery delivery = DELIVERY_DONE;
    if (sink->batch.count > 0)
        delivery = deliver(sink, 0, sink->batch.count, sentence, sizeof sentence);
    if (delivery == DELIVERY_DONE)
        return confirm(sink, cursor, more);
    if (is_stopping(sink)) /* it was broken off */
        return 0;
    if (delivery == DELIVERY_SETTING && sink->refused_now > 0)
        sink->blocked++;
    return fail(sink, delivery == DELIVERY_SETTING, sentence);
}

static void *run(void *argument)
{
    struct sink *sink = argument;
    sink->batch.body.buffer = memory_new(BODY_SIZE, 1);
    sink->batch.at = memory_new((size_t)sink->config->batch + 1, sizeof *sink->batch.at);
    sink->packed = memory_new(BODY_SIZE, 1);
    while (!is_stopping(sink)) {
        int64_t wait_ms = turn(sink);
        if (wait_ms > 0)
            wait_for(sink, wait_ms);
    }
    history_stream_close(sink->stream);
    http_client_close(sink->client);
    free(sink->batch.body.buffer);
    free(sink->batch.at);
    free(sink->packed);
    return NULL;
}

enum status sink_start(struct sink *sink, struct error *error)
{
    /* Signals are for the loop's thread. */
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int reason = pthread_create(&sink->thread, NULL, run, sink);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (reason != 0)
        return error_set(error, STATUS_FAILED, "The thread of sink %s could not be started: %s.",
                         sink->config->id, strerror(reason));
    sink->started = true;
    (void)pthread_setname_np(sink->thread, "sink");
    return STATUS_OK;
}

void sink_stop(struct sink *sink)
{
    (void)pthread_mutex_lock(&sink->mutex);
    sink->stopping = true;
    (void)pthread_cond_broadcast(&sink->changed);
    (void)pthread_mutex_unlock(&sink->mutex);
}

void sink_close(struct sink *sink)
{
    sink_stop(sink);
    if (sink->started)
        (void)pthread_join(sink->thread, NULL);
    (void)pthread_cond_destroy(&sink->changed);
    (void)pthread_mutex_destroy(&sink->mutex);
    free(sink->path);
    free(sink->url);
    free(sink->authorization);
    free(sink->credentials);
    free(sink);
}

void sink_health(struct sink *sink, struct sink_health *health)
{
    (void)pthread_mutex_lock(&sink->mutex);
    *health = sink->health;
    (void)pthread_mutex_unlock(&sink->mutex);
}
