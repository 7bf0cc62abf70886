/* SPDX-License-Identifier: MIT */
#include "bridge/backfill/backfill.h"

#include "bridge/backfill/websocket.h"
#include "drivers/base/memory.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_MS INT64_C(3600000)
/* So far back: a longer absence than that is left as it is. */
#define LOOK_BACK_MS (90 * 24 * HOUR_MS)
/* Home Assistant makes its row of an hour some seconds after the hour; it must not find one there. */
#define FINISHED_MS INT64_C(600000)
#define SILENCE_MS 60000
/* The list of all entities of a large house has some megabytes. */
#define MESSAGE_MAX ((size_t)32 << 20)

enum run { RUN_NONE, RUN_GOES_ON, RUN_OVER };

struct backfill {
    char *url, *token, *history_path;
    void (*finished)(void *context);
    void *context;
    atomic_bool stop;
    _Atomic enum run run;
    pthread_t thread;

    /* Of the run; the thread's until it is over. */
    struct backfill_statistic *statistics;
    size_t count;
    bool dry_run;
    int64_t from_ms, to_ms;
    struct conversation *conversation;
    enum conversation_state state;
    struct error error;
};

struct backfill *backfill_create(const struct backfill_options *options)
{
    struct backfill *made = memory_new(1, sizeof *made);
    made->url = memory_copy_text(options->url);
    made->token = memory_copy_text(options->token);
    made->history_path = memory_copy_text(options->history_path);
    made->finished = options->finished;
    made->context = options->context;
    return made;
}

static void free_run(struct backfill *backfill)
{
    conversation_free(backfill->conversation);
    backfill->conversation = NULL;
    for (size_t i = 0; i < backfill->count; i++) {
        free((char *)backfill->statistics[i].unique_id);
        free((char *)backfill->statistics[i].device);
        free((char *)backfill->statistics[i].channel);
    }
    free(backfill->statistics);
    backfill->statistics = NULL;
    backfill->count = 0;
}

void backfill_close(struct backfill *backfill)
{
    if (backfill == NULL)
        return;
    atomic_store(&backfill->stop, true);
    if (atomic_load(&backfill->run) != RUN_NONE)
        (void)pthread_join(backfill->thread, NULL);
    free_run(backfill);
    free(backfill->url);
    free(backfill->token);
    free(backfill->history_path);
    free(backfill);
}

/* ---- on the thread ---- */

static enum status look(void *context, const struct backfill_statistic *statistic,
                        const char *entity, bool has_mean, const json_t *rows,
                        struct statistics_missing *missing, struct error *error)
{
    const struct backfill *backfill = context;
    const struct statistics_question question = {
        .path = backfill->history_path,
        .device = statistic->device,
        .channel = statistic->channel,
        .produced = statistic->produced,
        .to_ms = backfill->to_ms,
        .entity = entity,
        .has_mean = has_mean,
    };
    enum status status = statistics_find_missing(&question, rows, missing, error);
    return status == STATUS_USAGE ? STATUS_OK : status; /* nothing of it was ever measured */
}

static bool take(void *context, const char *message, size_t length, const char **reply)
{
    struct backfill *backfill = context;
    backfill->state =
        conversation_take(backfill->conversation, message, length, reply, &backfill->error);
    return backfill->state == CONVERSATION_GOES_ON;
}

static void *run(void *context)
{
    struct backfill *backfill = context;
    const struct websocket_options options = {
        .url = backfill->url,
        .path = "/api/websocket",
        .silence_ms = SILENCE_MS,
        .message_max = MESSAGE_MAX,
        .stop = &backfill->stop,
    };
    struct error error = {""};
    enum status status = websocket_talk(&options, take, backfill, &error);
    if (status != STATUS_OK) {
        backfill->state = status == STATUS_USAGE ? CONVERSATION_REFUSED : CONVERSATION_FAILED;
        backfill->error = error;
    }
    atomic_store(&backfill->run, RUN_OVER);
    backfill->finished(backfill->context);
    return NULL;
}

/* ---- on the owner's ---- */

bool backfill_begin(struct backfill *backfill, const struct backfill_statistic *statistics,
                    size_t count, bool dry_run, int64_t now_ms)
{
    if (atomic_load(&backfill->run) != RUN_NONE)
        return false;
    free_run(backfill);
    backfill->statistics = memory_new(count, sizeof *backfill->statistics);
    backfill->count = count;
    for (size_t i = 0; i < count; i++)
        backfill->statistics[i] = (struct backfill_statistic){
            .unique_id = memory_copy_text(statistics[i].unique_id),
            .device = memory_copy_text(statistics[i].device),
            .channel =
                statistics[i].channel == NULL ? NULL : memory_copy_text(statistics[i].channel),
            .produced = statistics[i].produced,
        };
    backfill->dry_run = dry_run;
    backfill->to_ms = (now_ms - FINISHED_MS) / HOUR_MS * HOUR_MS;
    backfill->from_ms = backfill->to_ms > LOOK_BACK_MS ? backfill->to_ms - LOOK_BACK_MS : 0;
    backfill->state = CONVERSATION_GOES_ON;
    backfill->error = (struct error){""};
    const struct conversation_options options = {
        .token = backfill->token,
        .statistics = backfill->statistics,
        .count = count,
        .from_ms = backfill->from_ms,
        .to_ms = backfill->to_ms,
        .dry_run = dry_run,
        .look = look,
        .context = backfill,
    };
    backfill->conversation = conversation_create(&options);
    atomic_store(&backfill->run, RUN_GOES_ON);
    if (pthread_create(&backfill->thread, NULL, run, backfill) == 0)
        return true;
    atomic_store(&backfill->run, RUN_NONE);
    return false;
}

bool backfill_take(struct backfill *backfill, struct backfill_result *result)
{
    if (atomic_load(&backfill->run) != RUN_OVER)
        return false;
    (void)pthread_join(backfill->thread, NULL);
    atomic_store(&backfill->run, RUN_NONE);
    *result = (struct backfill_result){.state = backfill->state, .dry_run = backfill->dry_run};
    result->found = conversation_found(backfill->conversation, &result->count);
    result->imported = conversation_imported(backfill->conversation);
    result->problem = backfill->state == CONVERSATION_DONE ? NULL : backfill->error.text;
    return true;
}
