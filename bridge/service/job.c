/* SPDX-License-Identifier: MIT */
#include "bridge/service/job.h"

#include "bridge/service/child.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"
#include "drivers/base/text.h"

#include <string.h>

#define SETTLE_MS 500 /* before that, a speed says nothing */

struct job {
    struct job_options options;
    struct child *child;
    json_t *document;
    bool cancelled;
    int64_t shown_ms;
    char stage[32];
    int64_t stage_ms; /* boot clock */
    json_int_t stage_done, done;
    char failure[ERROR_TEXT_SIZE]; /* of the command's last line; "" */
};

static void show(struct job *job, bool ended)
{
    char *json memory_auto = json_dumps(job->document, JSON_COMPACT);
    job->shown_ms = clock_boot_ms();
    if (json != NULL)
        job->options.changed(job->options.context, json, ended);
}

static void put(struct job *job, const char *key, json_t *value)
{
    (void)json_object_set_new(job->document, key, value);
}

/* ---- what the command says ---- */

static void note(struct job *job, const char *sentence)
{
    json_t *notes = json_object_get(job->document, "notes");
    if (json_array_size(notes) == JOB_NOTES_MAX)
        (void)json_array_remove(notes, 0);
    (void)json_array_append_new(notes, json_string(sentence));
}

/* Since the stage began. */
static void put_speed(struct job *job, json_int_t done, json_int_t total)
{
    int64_t elapsed_ms = clock_boot_ms() - job->stage_ms;
    json_int_t moved = done - job->stage_done;
    bool known = total > 1 && moved > 0 && elapsed_ms >= SETTLE_MS;
    double rate = known ? (double)moved * 1000 / (double)elapsed_ms : 0;
    put(job, "bytes_per_s", known ? json_integer((json_int_t)rate) : json_null());
    put(job, "remaining_s",
        known ? json_integer((json_int_t)((double)(total - done) / rate + 0.5)) : json_null());
}

/* True if there is more to show than how far it is. */
static bool take_step(struct job *job, const json_t *line)
{
    static const char *const changing[] = {"write", "erase", "rewrite", "settings"};
    static const char *const copied[] = {"stage", "done", "total", "retries", "baud"};
    const char *stage = json_string_value(json_object_get(line, "stage"));
    json_int_t done = json_integer_value(json_object_get(line, "done"));
    json_int_t total = json_integer_value(json_object_get(line, "total"));
    bool begins = stage != NULL && (strcmp(stage, job->stage) != 0 || done < job->done);
    for (size_t i = 0; i < sizeof copied / sizeof copied[0]; i++)
        if (json_object_get(line, copied[i]) != NULL)
            (void)json_object_set(job->document, copied[i], json_object_get(line, copied[i]));
    if (begins) {
        struct text text;
        text_init(&text, job->stage, sizeof job->stage);
        text_append(&text, "%s", stage);
        job->stage_ms = clock_boot_ms();
        job->stage_done = done;
        for (size_t i = 0; i < sizeof changing / sizeof changing[0]; i++)
            if (strcmp(stage, changing[i]) == 0)
                put(job, "changing", json_true());
    }
    job->done = done;
    put_speed(job, done, total);
    return begins || done == total;
}

/* A line of --progress json. Others are for nobody. */
static void on_line(void *context, const char *words)
{
    struct job *job = context;
    json_t *line = json_loads(words, 0, NULL);
    if (!json_is_object(line)) {
        if (words[0] != '\0')
            note(job, words);
        json_decref(line);
        return;
    }
    const char *message = json_string_value(json_object_get(line, "message"));
    bool urgent = take_step(job, line) || message != NULL;
    struct text text;
    if (message != NULL && json_object_get(line, "exit_status") != NULL) {
        text_init(&text, job->failure, sizeof job->failure);
        text_append(&text, "%s", message);
    } else if (message != NULL) {
        note(job, message);
    }
    json_decref(line);
    if (urgent || clock_boot_ms() - job->shown_ms >= JOB_PACE_MS)
        show(job, false);
}

/* ---- life ---- */

static void free_job(struct job *job)
{
    json_decref(job->document);
    free(job);
}

static void on_done(void *context, enum status status, const char *json, const struct error *error)
{
    struct job *job = context;
    json_t *answer = json_loads(json, 0, NULL);
    const char *state = status == STATUS_OK ? "done" : job->cancelled ? "cancelled" : "failed";
    put(job, "state", json_string(state));
    put(job, "answer", answer != NULL ? answer : json_null());
    put(job, "error",
        status == STATUS_OK ? json_null()
                            : json_string(job->failure[0] != '\0' ? job->failure : error->text));
    put(job, "remaining_s", json_null());
    show(job, true);
    free_job(job);
}

enum status job_start(const struct job_options *options, struct job **started, struct error *error)
{
    char time[64];
    struct text text;
    struct job *job = memory_new(1, sizeof *job);
    job->options = *options;
    text_init(&text, time, sizeof time);
    text_append_time(&text, clock_wall_ms(), true);
    job->document =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:b, s:[], s:n, s:n}", "job", options->kind,
                  "port", options->port, "state", "running", "started", time, "stage", "start",
                  "done", 0, "total", 1, "changing", 0, "notes", "answer", "error");
    enum status status =
        job->document == NULL
            ? error_set(error, STATUS_USAGE, "The port is not valid UTF-8.")
            : child_start(options->loop, options->arguments, on_done, job, &job->child, error);
    if (status != STATUS_OK) {
        free_job(job);
        return status;
    }
    child_watch(job->child, on_line);
    *started = job;
    show(job, false);
    return STATUS_OK;
}

void job_cancel(struct job *job)
{
    job->cancelled = true;
    child_ask_to_end(job->child);
}

void job_leave(struct job *job)
{
    if (job == NULL)
        return;
    child_leave(job->child);
    free_job(job);
}
