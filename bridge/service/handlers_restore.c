/* SPDX-License-Identifier: MIT */
/* Requests that put an uploaded backup back. */
#include "bridge/service/handlers_shared.h"

#include "bridge/service/restoring.h"
#include "drivers/base/memory.h"

#include <stdio.h>

struct restore_check {
    struct handlers *handlers; /* NULL: the service is stopping */
    struct pending *pending;
    uv_work_t work;
    char folder[PATH_MAX];
    json_t *summary;
    enum status status;
    struct error error;
};

static void folder_of(const struct handlers *handlers, char folder[PATH_MAX])
{
    (void)snprintf(folder, PATH_MAX, "%.*s/web", PATH_MAX - 10,
                   (*handlers->options.config)->bridge.data_dir);
}

static void check(uv_work_t *work)
{
    struct restore_check *job = work->data;
    job->status = restoring_check(job->folder, &job->summary, &job->error);
}

static void after(uv_work_t *work, int cancelled)
{
    (void)cancelled; /* never asked for */
    struct restore_check *job = work->data;
    if (job->handlers == NULL) {
        json_decref(job->summary);
    } else {
        job->handlers->restore_check = NULL;
        if (job->status == STATUS_OK)
            pending_answer(job->pending, job->summary);
        else
            pending_refuse(job->pending, job->status, &job->error);
    }
    free(job);
}

enum status handle_restore_check(void *context, struct pending *pending, struct error *error)
{
    struct handlers *handlers = context;
    if (handlers->restore_check != NULL)
        return error_set(error, STATUS_REFUSED, "A backup is being checked already.");
    struct restore_check *job = memory_new(1, sizeof *job);
    job->handlers = handlers;
    job->pending = pending;
    job->work.data = job;
    folder_of(handlers, job->folder);
    handlers->restore_check = job;
    (void)uv_queue_work(handlers->options.loop, &job->work, check, after);
    return STATUS_OK;
}

enum status handle_restore(void *context, struct pending *pending, struct error *error)
{
    const struct handlers *handlers = context;
    bool history = pending_flag(pending, "history", true);
    bool config = pending_flag(pending, "config", false);
    char folder[PATH_MAX];
    folder_of(handlers, folder);
    if (!history && !config)
        return error_set(error, STATUS_USAGE, "There is nothing to restore: history or config.");
    if (handlers->restore_check != NULL)
        return error_set(error, STATUS_REFUSED, "A backup is being checked; wait for that.");
    if (handlers_job_blocks(handlers, error))
        return STATUS_REFUSED;
    enum status status = restoring_plan(folder, history, config, error);
    if (status == STATUS_OK)
        status = handlers->options.reload(handlers->options.context, error);
    if (status == STATUS_OK)
        pending_answer(pending, NULL);
    return status;
}

enum status handle_restore_state(void *context, struct pending *pending, struct error *error)
{
    const struct handlers *handlers = context;
    char folder[PATH_MAX];
    (void)error;
    folder_of(handlers, folder);
    pending_answer(pending, json_pack("{s:b, s:o}", "checking", handlers->restore_check != NULL,
                                      "last", restoring_result(folder)));
    return STATUS_OK;
}

void handlers_end_restore(struct handlers *handlers)
{
    if (handlers->restore_check != NULL)
        handlers->restore_check->handlers = NULL;
    handlers->restore_check = NULL;
}
