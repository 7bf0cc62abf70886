/* SPDX-License-Identifier: MIT */
#include "bridge/sinks/sink.h"

#include "bridge/history/query/points.h"
#include "bridge/history/query/readings.h"
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
 * block those behind it forever. */
#define TRIES_MAX 30
#define GZIP_WINDOW (15 + 16) /* the maximum window, and gzip's header: zlib.h, deflateInit2 */

/* A batch: lines one after another in the body, `at` where each begins and, last, where all end. */
struct batch {
    struct text body;
    size_t *at;
    size_t count;
    int64_t oldest_ms, newest_ms; /* when what the first and the last line tell of was over */
};

/* A level that the sink gets: where it is read, how far it has got, and its own failures. */
struct lane {
    enum outbox_level level;
    unsigned number;               /* of its outbox */
    struct history_stream *stream; /* of readings ... */
    struct history_points *points; /* ... or of others */
    unsigned file;                 /* that they read */
    int64_t due_ms;                /* boot clock */
    unsigned failures;             /* in a row, that are not the engine's as such */
    unsigned blocked;              /* tries of a batch of which nothing was taken */
    int64_t behind_ms;             /* age of the oldest that is not delivered; 0: all is */
    char problem[200];
};

struct sink {
    const struct config_sink *config;
    const char *bridge;
    char *path;
    struct history *history;
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
    struct lane lanes[OUTBOX_LEVELS];
    size_t lane_count;
    size_t current; /* lane */
    struct http_client *client;
    struct batch batch;
    Bytef *packed;
    unsigned failures;   /* of the engine, in a row */
    char problem[200];   /* with it */
    int64_t refused_now; /* of the batch */
    int64_t taken_now;
    int code;               /* of the last answer, 0: there was none */
    int64_t retry_after_ms; /* that it asked for */
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

static enum status open_lanes(struct sink *sink, struct error *error)
{
    static const int64_t wanted[OUTBOX_LEVELS] = {
        [OUTBOX_READINGS] = CONFIG_SEND_READINGS,
        [OUTBOX_MINUTES] = CONFIG_SEND_MINUTES,
        [OUTBOX_QUARTERS] = CONFIG_SEND_QUARTERS,
        [OUTBOX_DAYS] = CONFIG_SEND_DAYS,
    };
    enum status status = STATUS_OK;
    for (int level = 0; level < OUTBOX_LEVELS && status == STATUS_OK; level++) {
        if ((sink->config->send & wanted[level]) == 0)
            continue;
        struct lane *lane = &sink->lanes[sink->lane_count++];
        lane->level = (enum outbox_level)level;
        status = history_outbox(sink->history, sink->config->id, lane->level,
                                sink->config->from_now, &lane->number, error);
    }
    return status;
}

enum status sink_create(const struct sinks_options *options, const struct config_sink *config,
                        struct sink **created, struct error *error)
{
    struct sink *sink = memory_new(1, sizeof *sink);
    sink->config = config;
    sink->bridge = options->config->bridge.id;
    sink->path = memory_copy_text(options->history_path);
    sink->history = options->history;
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
    enum status status = open_lanes(sink, error);
    if (status == STATUS_OK)
        *created = sink;
    else
        sink_close(sink);
    return status;
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
    sink->code = answer.code;
    sink->retry_after_ms = answer.retry_after_ms;
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
        return all && sink->lanes[sink->current].blocked < TRIES_MAX ? DELIVERY_SETTING
                                                                     : DELIVERY_DONE;
    }
    size_t middle = first + (end - first) / 2; /* halves: no deeper than 11 for 2000 lines */
    delivery = deliver(sink, first, middle, sentence, size);
    return delivery == DELIVERY_DONE ? deliver(sink, middle, end, sentence, size) : delivery;
}

static void end_line(struct batch *batch, int64_t over_ms)
{
    if (batch->count == 0)
        batch->oldest_ms = over_ms;
    batch->newest_ms = over_ms;
    batch->at[++batch->count] = batch->body.length;
}

static bool take_reading(void *context, const struct history_reading *reading)
{
    struct sink *sink = context;
    if (!line_append(&sink->batch.body, sink->bridge, reading))
        return false;
    end_line(&sink->batch, reading->reading.wall_ms);
    return true;
}

static bool take_point(void *context, const struct history_point *point)
{
    struct sink *sink = context;
    if (!line_append_point(&sink->batch.body, sink->bridge, sink->lanes[sink->current].level,
                           point))
        return false;
    end_line(&sink->batch, point->end_ms);
    return true;
}

static void close_lane(struct lane *lane)
{
    history_stream_close(lane->stream);
    history_points_close(lane->points);
    lane->stream = NULL;
    lane->points = NULL;
}

static enum status open_lane(const struct sink *sink, struct lane *lane, struct error *error)
{
    if (lane->stream != NULL || lane->points != NULL)
        return STATUS_OK;
    return lane->level == OUTBOX_READINGS
               ? history_stream_open(sink->path, &lane->stream, error)
               : history_points_open(sink->path, lane->level, &lane->points, error);
}

static enum status fill(struct sink *sink, struct lane *lane, int64_t *cursor, bool *more,
                        struct error *error)
{
    unsigned file;
    struct batch *batch = &sink->batch;
    size_t most = (size_t)sink->config->batch;
    int64_t after = history_outbox_begin(sink->history, lane->number, &file);
    text_init(&batch->body, batch->body.buffer, BODY_SIZE);
    batch->count = 0;
    if (file != lane->file)
        close_lane(lane);
    lane->file = file;
    enum status status = open_lane(sink, lane, error);
    if (status == STATUS_OK && lane->level == OUTBOX_READINGS)
        status =
            history_stream_read(lane->stream, after, most, take_reading, sink, cursor, more, error);
    else if (status == STATUS_OK)
        status =
            history_points_read(lane->points, after, most, take_point, sink, cursor, more, error);
    if (status != STATUS_OK)
        close_lane(lane);
    return status;
}

/* ---- what others see ---- */

static int64_t age_ms(int64_t since_ms)
{
    int64_t age = clock_wall_ms() - since_ms;
    return age < 0 ? 0 : age;
}

/* The engine's problem goes before a level's. */
static const char *worst_problem(const struct sink *sink)
{
    const char *problem = sink->problem;
    for (size_t i = 0; i < sink->lane_count && problem[0] == '\0'; i++)
        problem = sink->lanes[i].problem;
    return problem;
}

/* What has changed becomes visible, but for what was delivered. With the mutex held. */
static void show(struct sink *sink)
{
    struct sink_health *health = &sink->health;
    const char *problem = worst_problem(sink);
    bool failing = sink->failures > 0;
    health->behind_ms = 0;
    for (size_t i = 0; i < sink->lane_count; i++) {
        const struct lane *lane = &sink->lanes[i];
        failing = failing || lane->failures > 0;
        if (lane->behind_ms > health->behind_ms)
            health->behind_ms = lane->behind_ms;
    }
    /* While it catches up after an outage the problem is not over, only smaller. */
    if (problem[0] == '\0' && !failing && health->behind_ms >= LAG_MS + sink->config->interval_ms)
        problem = "it gets what was measured in the past at the moment.";
    if (problem[0] != '\0')
        (void)snprintf(health->problem, sizeof health->problem, "Sink %s: %s", sink->config->id,
                       problem);
    else if (!failing)
        health->problem[0] = '\0';
}

static void note_failure(struct sink *sink, struct lane *lane)
{
    lane->behind_ms = sink->batch.count > 0 ? age_ms(sink->batch.oldest_ms) : 0;
    (void)pthread_mutex_lock(&sink->mutex);
    show(sink);
    (void)pthread_mutex_unlock(&sink->mutex);
}

static void note_delivered(struct sink *sink, struct lane *lane, bool more)
{
    lane->behind_ms = more && sink->batch.count > 0 ? age_ms(sink->batch.newest_ms) : 0;
    (void)pthread_mutex_lock(&sink->mutex);
    struct sink_health *health = &sink->health;
    health->delivered += (uint64_t)sink->taken_now;
    health->refused += (uint64_t)sink->refused_now;
    if (sink->refused_now > 0)
        (void)snprintf(health->refusal, sizeof health->refusal, "%s", sink->refusal);
    show(sink);
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

/* A single failure is not worth a word: the next try may do. */
static void set_problem(char *problem, size_t size, unsigned failures, bool at_once,
                        const char *sentence)
{
    if (at_once || failures > 1)
        (void)snprintf(problem, size, "%.*s", (int)size - 1, sentence);
}

/* The engine is away, busy or refuses us: no level needs to try before this. */
static void fail_engine(struct sink *sink, struct lane *lane, bool at_once, const char *sentence)
{
    sink->failures++;
    set_problem(sink->problem, sizeof sink->problem, sink->failures, at_once, sentence);
    int64_t due_ms = clock_boot_ms() +
                     delivery_wait_ms(sink->failures, chance(), sink->code, sink->retry_after_ms);
    for (size_t i = 0; i < sink->lane_count; i++)
        if (sink->lanes[i].due_ms < due_ms)
            sink->lanes[i].due_ms = due_ms;
    note_failure(sink, lane);
}

/* It is about this level: the others go on. */
static void fail_lane(struct sink *sink, struct lane *lane, bool at_once, const char *sentence)
{
    lane->failures++;
    set_problem(lane->problem, sizeof lane->problem, lane->failures, at_once, sentence);
    lane->due_ms = clock_boot_ms() + delivery_delay_ms(lane->failures, chance());
    note_failure(sink, lane);
}

static void confirm(struct sink *sink, struct lane *lane, int64_t cursor, bool more)
{
    if (sink->batch.count > 0) { /* else nobody was asked */
        sink->failures = 0;
        sink->problem[0] = '\0';
    }
    lane->failures = lane->blocked = 0;
    lane->problem[0] = '\0';
    lane->due_ms = clock_boot_ms() + (more ? 0 : sink->config->interval_ms);
    history_outbox_done(sink->history, lane->number, cursor, sink->refused_now);
    note_delivered(sink, lane, more);
}

static void serve(struct sink *sink, struct lane *lane)
{
    struct error error = {""};
    char sentence[320] = "";
    int64_t cursor = 0;
    bool more = false;
    sink->refused_now = sink->taken_now = sink->retry_after_ms = sink->code = 0;
    sink->batch.count = 0;
    if (sink->client == NULL && http_client_open(&sink->client, &error) != STATUS_OK) {
        fail_engine(sink, lane, true, error.text);
        return;
    }
    if (fill(sink, lane, &cursor, &more, &error) != STATUS_OK) {
        fail_lane(sink, lane, false, error.text);
        return;
    }
    enum delivery delivery = DELIVERY_DONE;
    if (sink->batch.count > 0)
        delivery = deliver(sink, 0, sink->batch.count, sentence, sizeof sentence);
    if (delivery == DELIVERY_DONE) {
        confirm(sink, lane, cursor, more);
    } else if (is_stopping(sink)) { /* it was broken off */
        return;
    } else if (delivery == DELIVERY_SETTING && sink->refused_now > 0) {
        lane->blocked++;
        fail_lane(sink, lane, true, sentence);
    } else {
        fail_engine(sink, lane, delivery == DELIVERY_SETTING, sentence);
    }
}

/* The one that is due first; of several, one after the other. */
static size_t next_lane(const struct sink *sink)
{
    size_t best = (sink->current + 1) % sink->lane_count;
    for (size_t i = 2; i <= sink->lane_count; i++) {
        size_t lane = (sink->current + i) % sink->lane_count;
        if (sink->lanes[lane].due_ms < sink->lanes[best].due_ms)
            best = lane;
    }
    return best;
}

static void turn(struct sink *sink)
{
    size_t next = next_lane(sink);
    int64_t wait_ms = sink->lanes[next].due_ms - clock_boot_ms();
    if (wait_ms > 0) {
        wait_for(sink, wait_ms);
        return;
    }
    sink->current = next;
    serve(sink, &sink->lanes[next]);
}

static void *run(void *argument)
{
    struct sink *sink = argument;
    sink->batch.body.buffer = memory_new(BODY_SIZE, 1);
    sink->batch.at = memory_new((size_t)sink->config->batch + 1, sizeof *sink->batch.at);
    sink->packed = memory_new(BODY_SIZE, 1);
    while (!is_stopping(sink))
        turn(sink);
    for (size_t i = 0; i < sink->lane_count; i++)
        close_lane(&sink->lanes[i]);
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
