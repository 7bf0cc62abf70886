/* SPDX-License-Identifier: MIT */
/* Questions to the history: answered on a worker thread, as they read the disk. */
#include "bridge/service/handlers_shared.h"

#include "bridge/history/answer/answer.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define QUESTIONS_MAX 16
#define OPTIONS_MAX 8
#define ANSWER_MAX 16777216 /* bytes; a door may want less */

/* One question on its way. */
struct question {
    struct question *next;
    struct handlers *handlers; /* NULL: the service is stopping */
    struct pending *pending;
    uv_work_t work;
    /* The worker's, until it is done. */
    struct history_question asked;
    struct history_option options[OPTIONS_MAX];
    char values[OPTIONS_MAX][256];
    char *path;
    struct tariffs *tariffs; /* held */
    char *bytes;
    size_t length, room;
    enum status status;
    struct error error;
};

static bool take_bytes(void *context, const char *bytes, size_t length)
{
    struct question *question = context;
    if (question->length + length > ANSWER_MAX)
        return false;
    while (question->room < question->length + length)
        question->bytes =
            memory_grow(question->bytes, question->room, &question->room, sizeof *question->bytes);
    memcpy(question->bytes + question->length, bytes, length);
    question->length += length;
    return true;
}

static void ask(uv_work_t *work)
{
    struct question *question = work->data;
    question->status = history_answer(&question->asked, take_bytes, question, &question->error);
}

static void free_question(struct question *question)
{
    tariffs_release(question->tariffs);
    free(question->path);
    free(question->bytes);
    free(question);
}

static void after(uv_work_t *work, int cancelled)
{
    (void)cancelled; /* never asked for */
    struct question *question = work->data;
    if (question->handlers == NULL) {
        free_question(question);
        return;
    }
    struct question **link = &question->handlers->questions;
    while (*link != question)
        link = &(*link)->next;
    *link = question->next;
    if (question->status == STATUS_NO_ANSWER)
        pending_unknown(question->pending);
    if (question->status == STATUS_OK)
        pending_answer_text(question->pending, question->bytes, question->length);
    else
        pending_refuse(question->pending, question->status, &question->error);
    free_question(question);
}

/* The options of the command are the keys of the request. */
static void take_options(struct question *question, const struct pending *pending)
{
    const struct history_option_row *rows = history_kind_options(question->asked.kind);
    for (; rows->name != NULL && question->asked.option_count < OPTIONS_MAX; rows++) {
        const json_t *value = pending_argument(pending, rows->name);
        size_t count = question->asked.option_count;
        if (value == NULL)
            continue;
        if (json_is_integer(value))
            (void)snprintf(question->values[count], sizeof question->values[count],
                           "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        else
            (void)snprintf(question->values[count], sizeof question->values[count], "%s",
                           json_string_value(value));
        question->options[count] =
            (struct history_option){.name = rows->name, .value = question->values[count]};
        question->asked.option_count++;
    }
    question->asked.options = question->options;
}

enum status handle_history(void *context, struct pending *pending, struct error *error)
{
    struct handlers *handlers = context;
    size_t running = 0;
    for (const struct question *other = handlers->questions; other != NULL; other = other->next)
        running++;
    if (running >= QUESTIONS_MAX)
        return error_set(error, STATUS_FAILED,
                         "%d questions to the history are being answered already; ask again later.",
                         QUESTIONS_MAX);
    struct question *question = memory_new(1, sizeof *question);
    question->handlers = handlers;
    question->pending = pending;
    question->path = memory_copy_text(handlers->history_path);
    question->tariffs = tariffs_hold(*handlers->options.tariffs);
    question->asked = (struct history_question){
        .format = HISTORY_JSON,
        .path = question->path,
        .tariffs = question->tariffs->list,
        .tariff_count = question->tariffs->count,
        .co2 = question->tariffs->co2,
        .now_ms = clock_wall_ms(),
    };
    (void)history_kind_find(pending_name(pending) + strlen("history/"), &question->asked.kind);
    take_options(question, pending);
    question->asked.nominal_mv =
        hub_nominal_mv(handlers->options.hub, pending_text(pending, "device"));
    question->next = handlers->questions;
    handlers->questions = question;
    question->work.data = question;
    (void)uv_queue_work(handlers->options.loop, &question->work, ask, after);
    return STATUS_OK;
}

void handlers_end_questions(struct handlers *handlers)
{
    for (struct question *question = handlers->questions; question != NULL;
         question = question->next)
        question->handlers = NULL;
    handlers->questions = NULL;
}
