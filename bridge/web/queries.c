/* SPDX-License-Identifier: MIT */
#include "bridge/web/queries.h"

#include "drivers/base/clock.h"
#include "drivers/base/memory.h"

#include <string.h>

#define BLOCK 16384
/* What a query may be ahead of its reader. */
#define AHEAD_MAX 262144
/* A reader that takes nothing for so long is given up. */
#define STALL_MS 15000
#define STACK_SIZE (1024 * 1024)

enum query_phase {
    QUERY_WAITING,
    QUERY_RUNNING,
    QUERY_STREAMING, /* the first bytes went to the exchange */
    QUERY_ENDED,     /* the exchange is over; waits for its thread */
};

/* Owned by the loop; what the thread shares is under the lock. */
struct query {
    struct queries *queries;
    struct query *next;
    struct exchange *exchange;
    enum query_phase phase;
    uv_thread_t thread;
    bool has_thread;

    struct queries_work work; /* make NULL: the question to the history */
    struct history_question question;
    struct tariffs *tariffs; /* held */
    struct history_option options[SERVER_PARAMETERS_MAX];
    char *texts; /* of the options */

    uv_mutex_t lock;
    uv_cond_t taken; /* there is room again, or nobody wants the rest */
    char *bytes;
    size_t length;
    bool finished;
    bool cancelled;
    enum status status;
    struct error error;
};

struct queries {
    struct queries_settings settings;
    struct query *list;
    size_t running, waiting;
    uv_async_t *wake;
    bool closing;
};

/* ---- on the query's thread ---- */

static bool take_bytes(void *context, const char *bytes, size_t length)
{
    struct query *query = context;
    uv_mutex_lock(&query->lock);
    while (!query->cancelled && query->length + length > AHEAD_MAX) {
        size_t before = query->length;
        if (uv_cond_timedwait(&query->taken, &query->lock, STALL_MS * UINT64_C(1000000)) != 0 &&
            query->length == before)
            query->cancelled = true;
    }
    bool good = !query->cancelled;
    bool wake = false;
    if (good) {
        if (query->bytes == NULL)
            query->bytes = memory_new(AHEAD_MAX, 1);
        memcpy(query->bytes + query->length, bytes, length);
        wake = query->length < BLOCK && query->length + length >= BLOCK;
        query->length += length;
    }
    uv_mutex_unlock(&query->lock);
    if (wake)
        (void)uv_async_send(query->queries->wake);
    return good;
}

static void run_query(void *context)
{
    struct query *query = context;
    struct error error = {""};
    enum status status = query->work.make != NULL
                             ? query->work.make(query->work.own, take_bytes, query, &error)
                             : history_answer(&query->question, take_bytes, query, &error);
    uv_mutex_lock(&query->lock);
    query->status = status;
    query->error = error;
    query->finished = true;
    uv_mutex_unlock(&query->lock);
    (void)uv_async_send(query->queries->wake);
}

/* ---- on the loop ---- */

static ssize_t read_answer(void *context, char *bytes, size_t size)
{
    struct query *query = context;
    uv_mutex_lock(&query->lock);
    size_t taken = query->length < size ? query->length : size;
    if (taken > 0) {
        memcpy(bytes, query->bytes, taken);
        query->length -= taken;
        memmove(query->bytes, query->bytes + taken, query->length);
        uv_cond_signal(&query->taken);
    }
    bool finished = query->finished;
    bool broken = query->cancelled || (finished && query->status != STATUS_OK);
    uv_mutex_unlock(&query->lock);
    if (taken > 0)
        return (ssize_t)taken;
    if (broken || query->queries->closing)
        return EXCHANGE_FAIL;
    return finished ? EXCHANGE_END : EXCHANGE_WAIT;
}

static void cancel(struct query *query)
{
    uv_mutex_lock(&query->lock);
    query->cancelled = true;
    uv_cond_signal(&query->taken);
    uv_mutex_unlock(&query->lock);
}

static void end_answer(void *context)
{
    struct query *query = context;
    query->phase = QUERY_ENDED;
    cancel(query);
    (void)uv_async_send(query->queries->wake);
}

static void free_query(struct query *query)
{
    uv_mutex_destroy(&query->lock);
    uv_cond_destroy(&query->taken);
    free(query->bytes);
    free(query->texts);
    free(query->work.own);
    tariffs_release(query->tariffs);
    free(query);
}

static unsigned http_status(enum status status)
{
    if (status == STATUS_NO_ANSWER)
        return 404;
    return status == STATUS_USAGE ? 400 : 500;
}

/* The first bytes are there, or the end: now it is known whether it is an answer or an error. */
static void begin_answer(struct query *query, size_t length, bool finished)
{
    if (finished && query->status != STATUS_OK && length == 0) {
        exchange_reply_error(query->exchange, http_status(query->status), query->error.text);
        query->phase = QUERY_ENDED;
        return;
    }
    const char *type =
        query->question.format == HISTORY_CSV ? "text/csv; charset=utf-8" : "application/json";
    query->phase = QUERY_STREAMING;
    exchange_reply_stream(
        query->exchange, 200, query->work.make != NULL ? query->work.type : type, BLOCK,
        &(struct exchange_source){.read = read_answer, .end = end_answer, .context = query});
}

static void advance(struct query *query)
{
    uv_mutex_lock(&query->lock);
    bool finished = query->finished;
    size_t length = query->length;
    uv_mutex_unlock(&query->lock);
    if (query->phase == QUERY_RUNNING && (finished || length >= BLOCK))
        begin_answer(query, length, finished);
    else if (query->phase == QUERY_STREAMING)
        exchange_stream_ready(query->exchange);
}

static bool finished(struct query *query)
{
    uv_mutex_lock(&query->lock);
    bool answer = query->finished;
    uv_mutex_unlock(&query->lock);
    return answer;
}

static void start(struct query *query)
{
    struct queries *queries = query->queries;
    const uv_thread_options_t options = {.flags = UV_THREAD_HAS_STACK_SIZE,
                                         .stack_size = STACK_SIZE};
    query->phase = QUERY_RUNNING;
    queries->waiting--;
    if (uv_thread_create_ex(&query->thread, &options, run_query, query) != 0) {
        exchange_reply_error(query->exchange, 503, "No thread could be started for the query.");
        query->phase = QUERY_ENDED;
        query->finished = true;
        return;
    }
    query->has_thread = true;
    queries->running++;
}

/* Those that are over go, the next in line start. */
static void tidy(struct queries *queries)
{
    struct query **place = &queries->list;
    while (*place != NULL) {
        struct query *query = *place;
        if (query->phase != QUERY_ENDED || !finished(query)) {
            place = &query->next;
            continue;
        }
        if (query->has_thread) {
            (void)uv_thread_join(&query->thread);
            queries->running--;
        }
        *place = query->next;
        free_query(query);
    }
    struct query *query = queries->list;
    for (; query != NULL && queries->running < QUERIES_RUNNING; query = query->next)
        if (query->phase == QUERY_WAITING)
            start(query);
}

static void on_wake(uv_async_t *wake)
{
    struct queries *queries = wake->data;
    for (struct query *query = queries->list; query != NULL; query = query->next)
        advance(query);
    tidy(queries);
}

/* Copies, as the exchange's texts last only until it is answered. */
static void copy_options(struct query *query, struct exchange *exchange)
{
    size_t count;
    const struct exchange_parameter *parameters = exchange_parameters(exchange, &count);
    size_t size = 1;
    for (size_t i = 0; i < count; i++)
        size += strlen(parameters[i].name) + strlen(parameters[i].value) + 2;
    char *place = query->texts = memory_new(size, 1);
    for (size_t i = 0; i < count; i++) {
        query->options[i].name = place;
        place = stpcpy(place, parameters[i].name) + 1;
        query->options[i].value = place;
        place = stpcpy(place, parameters[i].value) + 1;
    }
    query->question.options = query->options;
    query->question.option_count = count;
}

/* NULL: it was refused. */
static struct query *admit(struct queries *queries, struct exchange *exchange)
{
    if (queries->waiting >= QUERIES_WAITING || queries->closing) {
        exchange_set_header(exchange, "Retry-After", "2");
        exchange_reply_error(exchange, 503, "Too many queries are waiting; try again later.");
        return NULL;
    }
    struct query *query = memory_new(1, sizeof *query);
    query->queries = queries;
    query->exchange = exchange;
    (void)uv_mutex_init(&query->lock);
    (void)uv_cond_init(&query->taken);
    return query;
}

static void stand_in_line(struct queries *queries, struct query *query)
{
    struct query **last = &queries->list;
    while (*last != NULL)
        last = &(*last)->next;
    *last = query;
    queries->waiting++;
    tidy(queries);
}

void queries_run(struct queries *queries, const struct queries_work *work,
                 struct exchange *exchange)
{
    struct query *query = admit(queries, exchange);
    if (query == NULL) {
        free(work->own);
        return;
    }
    query->work = *work;
    stand_in_line(queries, query);
}

static int64_t nominal_of(const struct hub *hub, const struct history_question *question)
{
    for (size_t i = 0; i < question->option_count; i++)
        if (strcmp(question->options[i].name, "device") == 0)
            return hub_nominal_mv(hub, question->options[i].value);
    return 0;
}

void queries_ask(struct queries *queries, enum history_kind kind, struct exchange *exchange)
{
    struct query *query = admit(queries, exchange);
    if (query == NULL)
        return;
    query->tariffs = tariffs_hold(*queries->settings.tariffs);
    query->question = (struct history_question){
        .kind = kind,
        .format = exchange_accepts(exchange, "Accept", "text/csv") ? HISTORY_CSV : HISTORY_JSON,
        .path = queries->settings.history_path,
        .tariffs = query->tariffs->list,
        .tariff_count = query->tariffs->count,
        .co2 = query->tariffs->co2,
        .now_ms = clock_wall_ms(),
    };
    copy_options(query, exchange);
    query->question.nominal_mv = nominal_of(queries->settings.hub, &query->question);
    stand_in_line(queries, query);
}

struct queries *queries_open(const struct queries_settings *settings)
{
    struct queries *queries = memory_new(1, sizeof *queries);
    queries->settings = *settings;
    queries->wake = memory_new(1, sizeof *queries->wake);
    (void)uv_async_init(settings->loop, queries->wake, on_wake);
    queries->wake->data = queries;
    return queries;
}

void queries_end(struct queries *queries)
{
    queries->closing = true;
    for (struct query *query = queries->list; query != NULL; query = query->next) {
        cancel(query);
        if (query->phase == QUERY_WAITING || query->phase == QUERY_RUNNING)
            exchange_reply_error(query->exchange, 503, "The service is stopping.");
        else if (query->phase == QUERY_STREAMING)
            exchange_stream_ready(query->exchange);
        if (query->phase != QUERY_STREAMING)
            query->phase = QUERY_ENDED;
    }
}

static void free_wake(uv_handle_t *wake)
{
    free(wake);
}

void queries_free(struct queries *queries)
{
    while (queries->list != NULL) {
        struct query *query = queries->list;
        queries->list = query->next;
        if (query->has_thread)
            (void)uv_thread_join(&query->thread);
        free_query(query);
    }
    uv_close((uv_handle_t *)queries->wake, free_wake);
    free(queries);
}
