/* SPDX-License-Identifier: MIT */
#include "bridge/service/past_reader.h"

#include "drivers/base/memory.h"

struct waiting {
    struct waiting *next;
    struct history_past_question question;
    char *device;
    struct tariffs *tariffs;
    char **channels;
    size_t channel_count;
    struct history_past *pasts; /* of the channels, and of the sum */
    enum status status;
    past_done done; /* NULL: nobody waits any more */
    void *context;
};

struct past_reader {
    uv_loop_t *loop;
    uv_work_t work;
    char *path;
    uv_timer_t timer;        /* between answers that are handed out */
    struct waiting *first;   /* those that wait for the next reading */
    struct waiting **last;   /* their end */
    struct waiting *reading; /* those that are being read, then those whose answers wait */
    bool busy;               /* with those of `reading` ... */
    bool at_work;            /* ... on a worker thread */
    bool closing, timer_closed;
};

/* On the loop, at a time: some milliseconds. */
#define ANSWERS_AT_A_TIME 16

static void free_waiting(struct waiting *waiting)
{
    for (size_t i = 0; i < waiting->channel_count; i++)
        free(waiting->channels[i]);
    free(waiting->channels);
    free(waiting->pasts);
    free(waiting->device);
    tariffs_release(waiting->tariffs);
    free(waiting);
}

static void free_list(struct waiting *list)
{
    while (list != NULL) {
        struct waiting *waiting = list;
        list = waiting->next;
        free_waiting(waiting);
    }
}

static void free_reader(struct past_reader *reader)
{
    free_list(reader->first);
    free_list(reader->reading);
    free(reader->path);
    free(reader);
}

static void on_timer_closed(uv_handle_t *timer)
{
    struct past_reader *reader = timer->data;
    reader->timer_closed = true;
    if (!reader->at_work)
        free_reader(reader);
}

/* On a worker thread. */
static void read_pasts(uv_work_t *work)
{
    const struct past_reader *reader = work->data;
    struct history_query *query;
    enum status status = history_past_begin(reader->path, &query, NULL);
    for (struct waiting *waiting = reader->reading; waiting != NULL; waiting = waiting->next) {
        size_t count = waiting->channel_count > 1 ? waiting->channel_count + 1 : 1;
        waiting->status = status != STATUS_OK ? status
                                              : history_past_ask(query, &waiting->question,
                                                                 waiting->pasts, count, NULL);
        if (count == 1)
            waiting->pasts[1] = waiting->pasts[0];
    }
    history_past_end(query);
}

static void begin(struct past_reader *reader);

/* Whoever receives an answer may close the reader. */
static void hand_out(uv_timer_t *timer)
{
    struct past_reader *reader = timer->data;
    for (int i = 0; i < ANSWERS_AT_A_TIME && reader->reading != NULL && !reader->closing; i++) {
        struct waiting *waiting = reader->reading;
        reader->reading = waiting->next;
        if (waiting->done != NULL)
            waiting->done(waiting->context, waiting->status, &waiting->question, waiting->pasts);
        free_waiting(waiting);
    }
    if (reader->closing)
        return;
    if (reader->reading != NULL) {
        (void)uv_timer_start(timer, hand_out, 1, 0);
        return;
    }
    reader->busy = false;
    begin(reader);
}

static void after(uv_work_t *work, int cancelled)
{
    (void)cancelled; /* never asked for */
    struct past_reader *reader = work->data;
    reader->at_work = false;
    if (!reader->closing)
        hand_out(&reader->timer);
    else if (reader->timer_closed)
        free_reader(reader);
}

/* All that wait, but for what nobody waits for any more. */
static void begin(struct past_reader *reader)
{
    struct waiting **last = &reader->reading;
    if (reader->busy)
        return;
    while (reader->first != NULL) {
        struct waiting *waiting = reader->first;
        reader->first = waiting->next;
        waiting->next = NULL;
        if (waiting->done == NULL) {
            free_waiting(waiting);
            continue;
        }
        *last = waiting;
        last = &waiting->next;
    }
    reader->last = &reader->first;
    if (reader->reading == NULL)
        return;
    reader->busy = reader->at_work = true;
    (void)uv_queue_work(reader->loop, &reader->work, read_pasts, after);
}

struct past_reader *past_reader_create(uv_loop_t *loop, const char *history_path)
{
    struct past_reader *reader = memory_new(1, sizeof *reader);
    reader->loop = loop;
    reader->path = memory_copy_text(history_path);
    reader->last = &reader->first;
    reader->work.data = reader;
    (void)uv_timer_init(loop, &reader->timer);
    reader->timer.data = reader;
    return reader;
}

void past_reader_close(struct past_reader *reader)
{
    if (reader == NULL)
        return;
    reader->closing = true;
    uv_close((uv_handle_t *)&reader->timer, on_timer_closed);
}

void past_reader_ask(struct past_reader *reader, const struct history_past_question *question,
                     struct tariffs *tariffs, const char *const *channels, size_t channel_count,
                     past_done done, void *context)
{
    struct waiting *waiting = memory_new(1, sizeof *waiting);
    waiting->question = *question;
    waiting->device = memory_copy_text(question->device);
    waiting->question.device = waiting->device;
    waiting->tariffs = tariffs_hold(tariffs);
    waiting->question.tariffs = tariffs->list;
    waiting->question.tariff_count = tariffs->count;
    waiting->channels = memory_new(channel_count, sizeof *waiting->channels);
    waiting->pasts = memory_new(channel_count + 1, sizeof *waiting->pasts);
    for (size_t i = 0; i < channel_count; i++)
        waiting->pasts[i].channel = waiting->channels[i] = memory_copy_text(channels[i]);
    waiting->channel_count = channel_count;
    waiting->done = done;
    waiting->context = context;
    *reader->last = waiting;
    reader->last = &waiting->next;
    begin(reader);
}

static void cancel(struct waiting *list, const void *context)
{
    for (struct waiting *waiting = list; waiting != NULL; waiting = waiting->next)
        if (waiting->context == context)
            waiting->done = NULL;
}

void past_reader_cancel(struct past_reader *reader, const void *context)
{
    cancel(reader->first, context);
    cancel(reader->reading, context);
}
