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
    struct waiting *first; /* the one that is being read, if busy */
    bool busy, closing;
};

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

static void free_reader(struct past_reader *reader)
{
    while (reader->first != NULL) {
        struct waiting *waiting = reader->first;
        reader->first = waiting->next;
        free_waiting(waiting);
    }
    free(reader->path);
    free(reader);
}

/* On a worker thread. */
static void read_past(uv_work_t *work)
{
    const struct past_reader *reader = work->data;
    struct waiting *waiting = reader->first;
    size_t count = waiting->channel_count > 1 ? waiting->channel_count + 1 : 1;
    waiting->status =
        history_query_past(reader->path, &waiting->question, waiting->pasts, count, NULL);
    if (count == 1)
        waiting->pasts[1] = waiting->pasts[0];
}

static void begin(struct past_reader *reader);

static void after(uv_work_t *work, int cancelled)
{
    (void)cancelled; /* never asked for */
    struct past_reader *reader = work->data;
    reader->busy = false;
    if (reader->closing) {
        free_reader(reader);
        return;
    }
    struct waiting *waiting = reader->first;
    reader->first = waiting->next;
    if (waiting->done != NULL)
        waiting->done(waiting->context, waiting->status, &waiting->question, waiting->pasts);
    free_waiting(waiting);
    begin(reader);
}

/* What nobody waits for any more is not read. */
static void begin(struct past_reader *reader)
{
    while (!reader->busy && reader->first != NULL && reader->first->done == NULL) {
        struct waiting *waiting = reader->first;
        reader->first = waiting->next;
        free_waiting(waiting);
    }
    if (reader->busy || reader->first == NULL)
        return;
    reader->busy = true;
    (void)uv_queue_work(reader->loop, &reader->work, read_past, after);
}

struct past_reader *past_reader_create(uv_loop_t *loop, const char *history_path)
{
    struct past_reader *reader = memory_new(1, sizeof *reader);
    reader->loop = loop;
    reader->path = memory_copy_text(history_path);
    reader->work.data = reader;
    return reader;
}

void past_reader_close(struct past_reader *reader)
{
    if (reader == NULL)
        return;
    reader->closing = true;
    if (!reader->busy)
        free_reader(reader);
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
    struct waiting **last = &reader->first;
    while (*last != NULL)
        last = &(*last)->next;
    *last = waiting;
    begin(reader);
}

void past_reader_cancel(struct past_reader *reader, const void *context)
{
    for (struct waiting *waiting = reader->first; waiting != NULL; waiting = waiting->next)
        if (waiting->context == context)
            waiting->done = NULL;
}
