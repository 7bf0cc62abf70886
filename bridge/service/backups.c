/* SPDX-License-Identifier: MIT */
#include "bridge/service/backups.h"

#include "bridge/history/safety/backup.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"
#include "drivers/base/number.h"

#include <inttypes.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define DAY_S 86400
#define MISSED_AFTER_MS (10LL * 60 * 1000) /* a start has more urgent things to do */
#define RETRY_MS (60LL * 60 * 1000)
#define PAUSE_MS 20 /* after 4 MiB: at most 200 MB/s, and the writer's fsync gets its turn */
#define NICE 10

struct waiter {
    backups_answer answer;
    void *context;
};

struct backups {
    char *path;
    char *base;
    int minutes; /* after midnight; -1: not daily */
    unsigned keep;
    struct log *log;
    void (*event)(void *context, const char *kind, const char *message);
    void *context;

    int64_t created_boot_ms;
    int64_t retry_boot_ms;
    struct backups_last last;
    char last_file[PATH_MAX];
    int64_t daily_ms; /* the newest daily one, wall clock */
    char problem[ERROR_TEXT_SIZE];

    struct waiter waiting[BACKUPS_WAITING_MAX]; /* for the backup that is being made */
    size_t waiting_count;
    uv_async_t ended;
    uv_thread_t thread;
    bool running;
    atomic_bool stop;
    enum history_backup_kind kind; /* of the one that is being made */
    /* The thread's, until it has sent `ended`. */
    char output[PATH_MAX];
    enum status status;
    struct error error;
    int64_t bytes;
    unsigned deleted;
};

static int minutes_of(const char *time)
{
    int64_t hours;
    int64_t minutes;
    if (strlen(time) != 5 || !number_parse_int(time, 2, 0, 23, &hours) ||
        !number_parse_int(time + 3, 2, 0, 59, &minutes))
        return -1;
    return (int)(hours * 60 + minutes);
}

/* A time of day that the clock skips comes as much later; one that it shows twice comes once. */
int64_t backups_scheduled_ms(int minutes, int64_t wall_ms)
{
    time_t now = (time_t)(wall_ms / 1000);
    struct tm today = {0};
    (void)localtime_r(&now, &today);
    int64_t found = 0;
    for (int back = 0; back < 3; back++) {
        struct tm due = {.tm_year = today.tm_year,
                         .tm_mon = today.tm_mon,
                         .tm_mday = today.tm_mday - back,
                         .tm_hour = minutes / 60,
                         .tm_min = minutes % 60,
                         .tm_isdst = -1};
        found = (int64_t)mktime(&due) * 1000;
        if (found <= wall_ms)
            break;
    }
    return found;
}

static void look_for_last(struct backups *backups)
{
    struct history_backups files;
    struct error error = {""};
    if (history_backups(backups->base, &files, &error) != STATUS_OK)
        log_warning(backups->log, "%s",
                    error.text); /* the first backup will fail and report, too */
    for (size_t i = 0; i < files.count; i++) {
        const struct history_backup_file *file = &files.list[i];
        if (file->ahead)
            continue;
        (void)snprintf(backups->last_file, sizeof backups->last_file, "%s", file->path);
        backups->last.made_ms = file->made_ms;
        backups->last.bytes = file->bytes;
        if (file->kind == HISTORY_BACKUP_DAILY)
            backups->daily_ms = file->made_ms;
    }
    history_backups_free(&files);
}

/* ---- the thread ---- */

static void make_backup(void *argument)
{
    struct backups *backups = argument;
    /* On Linux a thread has a niceness of its own. Readings matter more than a backup of them. */
    (void)setpriority(PRIO_PROCESS, 0, NICE);
    const struct history_backup_options options = {.path = backups->path,
                                                   .output = backups->output,
                                                   .pause_ms = PAUSE_MS,
                                                   .stop = &backups->stop};
    struct error *error = &backups->error;
    backups->status = history_backup_name(backups->base, backups->kind, backups->output,
                                          sizeof backups->output, error);
    if (backups->status == STATUS_OK)
        backups->status = history_backup(&options, &backups->bytes, error);
    if (backups->status == STATUS_OK)
        backups->status = history_backup_prune(backups->base, backups->kind, backups->keep,
                                               &backups->deleted, error);
    (void)uv_async_send(&backups->ended);
}

/* ---- the loop ---- */

static void note_success(struct backups *backups)
{
    char message[512];
    backups->last.made_ms = clock_wall_ms();
    backups->last.bytes = backups->bytes;
    if (backups->kind == HISTORY_BACKUP_DAILY)
        backups->daily_ms = backups->last.made_ms;
    backups->retry_boot_ms = 0;
    backups->problem[0] = '\0';
    (void)snprintf(backups->last_file, sizeof backups->last_file, "%s", backups->output);
    (void)snprintf(message, sizeof message,
                   "The history was backed up to %.300s (%" PRId64 " kB, checked).",
                   backups->output, (backups->bytes + 999) / 1000);
    log_info(backups->log, "%s", message);
    backups->event(backups->context, "backup_made", message);
}

static void note_failure(struct backups *backups)
{
    (void)snprintf(backups->problem, sizeof backups->problem,
                   "There is no new backup of the history: %.*s", (int)sizeof backups->problem - 64,
                   backups->error.text);
    backups->retry_boot_ms = clock_boot_ms() + RETRY_MS;
    log_error(backups->log, "%s", backups->problem);
    backups->event(backups->context, "backup_failed", backups->problem);
}

static void answer_all(struct backups *backups, enum status status, const struct error *error)
{
    size_t count = backups->waiting_count;
    backups->waiting_count = 0;
    for (size_t i = 0; i < count; i++)
        backups->waiting[i].answer(backups->waiting[i].context, status, backups->output,
                                   backups->bytes, error);
}

static void on_ended(uv_async_t *async)
{
    struct backups *backups = async->data;
    if (!backups->running)
        return;
    (void)uv_thread_join(&backups->thread);
    backups->running = false;
    if (backups->status == STATUS_OK)
        note_success(backups);
    else
        note_failure(backups);
    answer_all(backups, backups->status, &backups->error);
}

enum status backups_create(uv_loop_t *loop, const struct backups_options *options,
                           struct backups **backups, struct error *error)
{
    struct backups *made = memory_new(1, sizeof *made);
    made->path = memory_copy_text(options->path);
    made->base = history_backup_base(options->path, options->folder);
    made->minutes = minutes_of(options->time);
    made->keep = (unsigned)options->keep;
    made->log = options->log;
    made->event = options->event;
    made->context = options->context;
    made->created_boot_ms = clock_boot_ms();
    atomic_init(&made->stop, false);
    int result = uv_async_init(loop, &made->ended, on_ended);
    if (result != 0) {
        free(made->path);
        free(made->base);
        free(made);
        return error_set(error, STATUS_FAILED, "Backups of the history cannot be made: %s.",
                         uv_strerror(result));
    }
    made->ended.data = made;
    history_backup_clean(made->base);
    look_for_last(made);
    *backups = made;
    return STATUS_OK;
}

static enum status begin(struct backups *backups, enum history_backup_kind kind,
                         struct error *error)
{
    backups->error = (struct error){""};
    backups->deleted = 0;
    backups->bytes = 0;
    backups->kind = kind;
    int result = uv_thread_create(&backups->thread, make_backup, backups);
    if (result != 0)
        return error_set(error, STATUS_FAILED,
                         "The thread for the backup could not be started: %s.",
                         uv_strerror(result));
    backups->running = true;
    return STATUS_OK;
}

enum status backups_request(struct backups *backups, backups_answer answer, void *context,
                            struct error *error)
{
    if (backups->waiting_count == BACKUPS_WAITING_MAX)
        return error_set(error, STATUS_FAILED,
                         "A backup of the history is being made, and %d requests wait for it. Try "
                         "again in a while.",
                         BACKUPS_WAITING_MAX);
    enum status status = STATUS_OK;
    if (!backups->running)
        status = begin(backups, HISTORY_BACKUP_REQUESTED, error);
    if (status == STATUS_OK)
        backups->waiting[backups->waiting_count++] = (struct waiter){answer, context};
    return status;
}

static bool is_due(const struct backups *backups, int64_t boot_ms)
{
    if (backups->minutes < 0 || backups->running || boot_ms < backups->retry_boot_ms)
        return false;
    int64_t scheduled_ms = backups_scheduled_ms(backups->minutes, clock_wall_ms());
    if (backups->daily_ms >= scheduled_ms)
        return false;
    /* It came while the service ran, or was missed before. */
    int64_t running_ms = boot_ms - backups->created_boot_ms;
    return clock_wall_ms() - scheduled_ms < running_ms || running_ms >= MISSED_AFTER_MS;
}

void backups_tick(struct backups *backups, int64_t boot_ms)
{
    if (!is_due(backups, boot_ms) ||
        begin(backups, HISTORY_BACKUP_DAILY, &backups->error) == STATUS_OK)
        return;
    note_failure(backups);
}

void backups_last(const struct backups *backups, struct backups_last *last)
{
    *last = backups->last;
    last->file = backups->last_file;
    last->problem = backups->problem;
}

static void on_closed(uv_handle_t *handle)
{
    struct backups *backups = handle->data;
    free(backups->path);
    free(backups->base);
    free(backups);
}

void backups_close(struct backups *backups)
{
    if (backups == NULL)
        return;
    atomic_store(&backups->stop, true);
    if (backups->running)
        (void)uv_thread_join(&backups->thread);
    struct error error;
    (void)error_set(&error, STATUS_FAILED, "The service is stopping; the backup was given up.");
    answer_all(backups, STATUS_FAILED, &error);
    uv_close((uv_handle_t *)&backups->ended, on_closed);
}
