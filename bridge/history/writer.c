/* SPDX-License-Identifier: MIT */
#include "bridge/history/writer.h"

#include "bridge/history/safety/totals_file.h"
#include "bridge/history/stamping.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define COMMIT_INTERVAL_MS 5000
#define COMMIT_INTERVAL_MIN_MS 200
#define COMMIT_INTERVAL_MAX_MS 60000
#define QUEUE_LIMIT 65536
#define TURN_MS 5000
#define HELD_TURN_MS 1000 /* how often the clock is looked at until it is set */
#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 30000
#define TOTALS_FILE_INTERVAL_MS 600000
#define DELETE_INTERVAL_MS 86400000
#define DELETE_FIRST_MS 3600000 /* by then a clock that was wrong at boot is right */
#define DELETE_AGAIN_MS 600000  /* after a failure */
#define DELETE_WAIT_MS 3600000  /* until the clock is looked at again */
#define DELETE_UNSURE_MS (INT64_C(2) * DELETE_INTERVAL_MS)
#define STEP_PAUSE_MS 50 /* between steps of what is done beside: readers and disk get their turn */

/* A recalibration that is asked for. */
struct job {
    enum { NO_JOB, WANTED, DONE } stage;
    struct history_recalibration request;
    struct history_recalibrated done;
    enum status status;
    struct error error;
};

struct writer {
    int64_t commit_interval_ms;
    int64_t clock_wait_ms;
    int64_t newest_ms; /* the newest reading when the file was opened */
    struct moment opened;
    char *totals_path;
    pthread_t thread;
    bool started;

    /* The voice is taken away when close gives up on a thread that the disk holds: the log and the
     * loop may then be gone before it wakes. */
    pthread_mutex_t voice;
    struct log *log;
    void (*wake)(void *context);
    void *wake_context;

    pthread_mutex_t mutex; /* guards what follows, up to the thread's own */
    pthread_cond_t changed;
    struct queue queue;
    struct outboxes outboxes;
    unsigned files;           /* begun since the start in place of damaged ones */
    struct channels channels; /* one may be added at any time; a name once there never moves */
    struct history_health health;
    size_t in_flight; /* readings the thread has taken and not yet settled */
    int64_t due_ms;   /* boot clock: next commit, or next try */
    bool urgent;
    struct job job;
    bool held;       /* the wall clock is not set: everything waits for its stamp */
    bool totals_due; /* what the totals file has of a channel must not stay until its next turn */
    bool stopping;
    int64_t stop_deadline_ms;
    bool finished;
    bool abandoned;      /* the thread frees the writer */
    atomic_bool give_up; /* the stop is near: no copy is to be restored any more */

    /* The thread's own. */
    struct database *database;
    struct batch batch;
    struct channels unstored; /* copies of those that the next transaction adds; texts are shared */
    int64_t keep_ms[3];       /* 0: for ever */
    int64_t delete_due_ms;    /* boot clock */
    bool deleting;            /* the day's deleting is under way */
    struct rows_limits limits; /* ... up to here */
    bool tending;              /* a step is wanted soon */
    int64_t retry_delay_ms;    /* 0: the last commit worked */
    unsigned renewals;         /* such files since the last commit that worked */
    int64_t totals_written_ms;
    bool totals_failing;
    uint64_t dropped_before; /* the outage began */
    bool drops_reported;
};

/* What a turn has to say, collected under the lock and said after it. */
struct report {
    bool wake;
    char fault[ERROR_TEXT_SIZE];
    char recovery[300];
    bool clock; /* health.clock_message is new */
    const char *drops;
};

static int64_t bounded(int64_t value, int64_t standard, int64_t low, int64_t high)
{
    if (value == 0)
        return standard;
    return value < low ? low : value > high ? high : value;
}

/* With the mutex held. */
static void queue_event(struct writer *writer, const char *kind, const char *message)
{
    struct queued_event event = {.wall_ms = clock_wall_ms(), .boot_ms = clock_boot_ms()};
    (void)snprintf(event.kind, sizeof event.kind, "%s", kind);
    (void)snprintf(event.message, sizeof event.message, "%.*s", (int)sizeof event.message - 1,
                   message);
    queue_put_event(&writer->queue, &event);
}

struct writer *writer_create(const struct history_options *options, struct database *database,
                             const struct channels *channels)
{
    struct writer *writer = memory_new(1, sizeof *writer);
    writer->commit_interval_ms = bounded(options->commit_interval_ms, COMMIT_INTERVAL_MS,
                                         COMMIT_INTERVAL_MIN_MS, COMMIT_INTERVAL_MAX_MS);
    writer->clock_wait_ms = options->clock_wait_ms;
    writer->newest_ms = database_newest_ms(database);
    database_outboxes(database, &writer->outboxes);
    writer->opened = (struct moment){.wall_ms = clock_wall_ms(), .boot_ms = clock_boot_ms()};
    writer->held = options->clock_wait_ms > 0;
    writer->totals_path = totals_file_path(options->path);
    writer->keep_ms[0] = options->keep_raw_ms;
    writer->keep_ms[1] = options->keep_minute_ms;
    writer->keep_ms[2] = options->keep_hour_ms;
    writer->delete_due_ms = clock_boot_ms() + DELETE_FIRST_MS;
    writer->log = options->log;
    writer->wake = options->wake;
    writer->wake_context = options->wake_context;
    writer->database = database;
    writer->channels = *channels;
    writer->health.writing = true;
    (void)snprintf(writer->health.quarantined, sizeof writer->health.quarantined, "%s",
                   database_quarantine(database));
    (void)snprintf(writer->health.restored, sizeof writer->health.restored, "%s",
                   database_restored_from(database));
    writer->health.may_lag = database_may_lag(database);
    queue_init(&writer->queue, options->queue_limit == 0 ? QUEUE_LIMIT : options->queue_limit);

    if (writer->health.quarantined[0] != '\0') {
        char message[EVENT_MESSAGE_SIZE];
        (void)snprintf(message, sizeof message, "The history was damaged and set aside as %.200s.",
                       writer->health.quarantined);
        queue_event(writer, "history_renewed", message);
    }

    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&writer->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    (void)pthread_mutex_init(&writer->mutex, NULL);
    (void)pthread_mutex_init(&writer->voice, NULL);
    return writer;
}

struct channels *writer_lock_channels(struct writer *writer)
{
    (void)pthread_mutex_lock(&writer->mutex);
    return &writer->channels;
}

void writer_unlock_channels(struct writer *writer)
{
    (void)pthread_mutex_unlock(&writer->mutex);
}

static void writer_free(struct writer *writer)
{
    free(writer->batch.readings.items);
    free(writer->batch.events.items);
    free(writer->batch.totals);
    free(writer->batch.calibrations);
    free(writer->unstored.list);
    queue_free(&writer->queue);
    channels_free(&writer->channels);
    (void)pthread_cond_destroy(&writer->changed);
    (void)pthread_mutex_destroy(&writer->mutex);
    (void)pthread_mutex_destroy(&writer->voice);
    free(writer->totals_path);
    free(writer);
}

static void say(struct writer *writer, enum log_level level, const char *text)
{
    (void)pthread_mutex_lock(&writer->voice);
    if (level == LOG_LEVEL_ERROR)
        log_error(writer->log, "%s", text);
    else if (level == LOG_LEVEL_WARNING)
        log_warning(writer->log, "%s", text);
    else
        log_info(writer->log, "%s", text);
    (void)pthread_mutex_unlock(&writer->voice);
}

static void wake_owner(struct writer *writer)
{
    (void)pthread_mutex_lock(&writer->voice);
    if (writer->wake != NULL)
        writer->wake(writer->wake_context);
    (void)pthread_mutex_unlock(&writer->voice);
}

/* Waits for a change, at most for_ms. With the mutex held. */
static void wait_for(struct writer *writer, int64_t for_ms)
{
    struct timespec until = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &until); /* cannot fail for this clock */
    int64_t ms = (int64_t)until.tv_sec * 1000 + until.tv_nsec / 1000000 + for_ms;
    until.tv_sec = (time_t)(ms / 1000);
    until.tv_nsec = (long)(ms % 1000) * 1000000;
    (void)pthread_cond_timedwait(&writer->changed, &writer->mutex, &until);
}

/* Until it is time to write, or (false) for a step of what is done beside. With the mutex held. A stop and a total set by the user do not wait
 * for the interval; but neither does the latter flush a disk that has just refused. */
static bool wait_until_due(struct writer *writer)
{
    for (;;) {
        writer->health.progress++;
        int64_t left = writer->due_ms - clock_boot_ms();
        bool flush = writer->urgent && writer->retry_delay_ms == 0 && !writer->held;
        if (writer->stopping || left <= 0 || flush)
            return true;
        if (writer->tending) {
            wait_for(writer, STEP_PAUSE_MS);
            return false;
        }
        wait_for(writer, left < TURN_MS ? left : TURN_MS);
    }
}

/* ---- the clock ---- */

/* With the mutex held. */
static void note_clock(struct writer *writer, struct report *report, const char *kind,
                       const char *message)
{
    struct history_health *health = &writer->health;
    (void)snprintf(health->clock_event, sizeof health->clock_event, "%s", kind);
    (void)snprintf(health->clock_message, sizeof health->clock_message, "%s", message);
    queue_event(writer, kind, message);
    report->clock = true;
}

/* With the mutex held. */
static void release(struct writer *writer, enum stamping stamping, const struct moment *now,
                    struct report *report)
{
    struct history_health *health = &writer->health;
    char message[EVENT_MESSAGE_SIZE];
    size_t waiting = writer->queue.readings.count;
    double seconds = (double)(now->boot_ms - writer->opened.boot_ms) / 1000;
    if (health->clock_awaited) {
        int64_t wall_ms = now->wall_ms - (now->boot_ms - writer->opened.boot_ms);
        double shift_s = (double)(wall_ms - writer->opened.wall_ms) / 1000;
        stamping_apply(&writer->queue, &writer->channels, &writer->opened, now);
        (void)snprintf(message, sizeof message,
                       "%s; %zu readings of the last %.0f s are stamped by it. It was corrected by "
                       "%.3f s.",
                       stamping == STAMPING_SURE ? "The clock of this machine is set"
                                                 : "The clock of this machine was not set in time",
                       waiting, seconds, shift_s);
        note_clock(writer, report, stamping == STAMPING_SURE ? "clock_set" : "clock_unsynchronised",
                   message);
    } else if (stamping == STAMPING_GUESS) {
        note_clock(writer, report, "clock_unsynchronised",
                   "The clock of this machine is not synchronised; readings are stamped with it as "
                   "it stands.");
    }
    if (health->clock_awaited)
        health->clock_released_boot_ms = now->boot_ms;
    writer->held = health->clock_awaited = false;
}

/* Whether the readings must wait for their stamps; a stop, or memory that is half full, ends the
 * waiting. With the mutex held. */
static void consider_clock(struct writer *writer, struct report *report)
{
    if (!writer->held)
        return;
    const struct moment now = {.wall_ms = clock_wall_ms(), .boot_ms = clock_boot_ms()};
    enum stamping stamping = stamping_judge(writer->clock_wait_ms, writer->newest_ms, now.wall_ms,
                                            now.boot_ms, clock_sync());
    bool must = writer->stopping || writer->queue.readings.count >= writer->queue.limit / 2;
    if (stamping == STAMPING_WAITS && must)
        stamping = STAMPING_GUESS;
    if (stamping != STAMPING_WAITS) {
        release(writer, stamping, &now, report);
    } else if (!writer->health.clock_awaited) {
        writer->health.clock_awaited = true;
        note_clock(writer, report, "clock_awaited",
                   "The clock of this machine is not set yet; readings wait in memory for their "
                   "stamps.");
    }
}

/* With the mutex held: cursors go back to what the last transaction has changed before them. */
static void follow_changes(struct writer *writer)
{
    struct outbox_changes changes;
    database_take_changes(writer->database, &changes);
    outboxes_changed(&writer->outboxes, &changes);
}

/* With the mutex held, after the readings were taken. */
static void take_outboxes(struct writer *writer)
{
    struct batch *batch = &writer->batch;
    struct outboxes *outboxes = &writer->outboxes;
    outboxes_writing(outboxes, batch_least_key(batch));
    batch->outbox_count = 0;
    for (size_t i = 0; i < outboxes->count; i++) {
        if (!outboxes->list[i].dirty)
            continue;
        outboxes->list[i].dirty = false;
        batch->outboxes[batch->outbox_count++] = outboxes->list[i];
    }
}

/* With the mutex held. The list itself may move while the disk is at work. */
static void take_unstored(struct writer *writer)
{
    struct channels *unstored = &writer->unstored;
    unstored->count = 0;
    for (size_t i = 0; i < writer->channels.count; i++) {
        if (writer->channels.list[i].stored)
            continue;
        unstored->list = memory_grow(unstored->list, unstored->count, &unstored->capacity,
                                     sizeof *unstored->list);
        unstored->list[unstored->count++] = writer->channels.list[i];
    }
}

/* With the mutex held. */
static void take(struct writer *writer)
{
    struct batch *batch = &writer->batch;
    take_unstored(writer);
    queue_take(&writer->queue, &batch->readings, &batch->events);
    writer->in_flight = batch->readings.count;
    writer->urgent = false;
    batch_take_calibrations(batch, &writer->channels);
    take_outboxes(writer);
    batch->total_count = 0;
    free(batch->totals);
    batch->totals = memory_new(writer->channels.count, sizeof *batch->totals);
    for (size_t i = 0; i < writer->channels.count; i++) {
        struct known_channel *channel = &writer->channels.list[i];
        if (!channel->dirty)
            continue;
        channel->dirty = false;
        batch->totals[batch->total_count++] = (struct total_row){
            .number = channel->number,
            .state = channel->state,
            .counted = channel->counted,
        };
    }
}

static bool nothing_to_write(const struct writer *writer)
{
    const struct batch *batch = &writer->batch;
    if (batch->readings.count > 0 || batch->events.count > 0 || batch->total_count > 0 ||
        batch->calibration_count > 0 || batch->outbox_count > 0)
        return false;
    return writer->unstored.count == 0;
}

static void settle_done(struct writer *writer, int64_t began_ms)
{
    struct batch *batch = &writer->batch;
    writer->health.committed_rows += batch->readings.count + batch->events.count;
    writer->health.last_commit_boot_ms = clock_boot_ms();
    writer->health.writing = true;
    writer->health.problem[0] = '\0';
    for (size_t i = 0; i < batch->total_count; i++) {
        const struct total_row *total = &batch->totals[i];
        struct known_channel *channel = channels_find(&writer->channels, total->number);
        channels_totals_uwh(&total->state, &total->counted, channel->kind,
                            &channel->stored_imported_uwh, &channel->stored_exported_uwh);
    }
    batch_calibrations_stored(batch, &writer->channels);
    for (size_t i = 0; i < writer->unstored.count; i++)
        channels_find(&writer->channels, writer->unstored.list[i].number)->stored = true;
    free(writer->unstored.list); /* at the start it may hold thousands, later hardly ever one */
    writer->unstored = (struct channels){0};
    ring_clear(&batch->readings);
    events_clear(&batch->events);
    writer->retry_delay_ms = 0;
    writer->renewals = 0;
    writer->due_ms = began_ms + writer->commit_interval_ms;
}

static void try_later(struct writer *writer, const struct error *error)
{
    if (error->text[0] != '\0') /* else it was said before */
        (void)snprintf(writer->health.problem, sizeof writer->health.problem, "%.*s",
                       (int)sizeof writer->health.problem - 1, error->text);
    writer->retry_delay_ms =
        bounded(writer->retry_delay_ms * 2, RETRY_MIN_MS, RETRY_MIN_MS, RETRY_MAX_MS);
    writer->due_ms = clock_boot_ms() + writer->retry_delay_ms;
}

/* What was taken goes back; a total that changed meanwhile is dirty anyway, in its later state. */
static void settle_kept(struct writer *writer, const struct error *error)
{
    struct batch *batch = &writer->batch;
    queue_return(&writer->queue, &batch->readings, &batch->events);
    for (size_t i = 0; i < batch->outbox_count; i++)
        outboxes_open(&writer->outboxes, batch->outboxes[i].id, batch->outboxes[i].level, 0)
            ->dirty = true;
    for (size_t i = 0; i < batch->total_count; i++)
        channels_find(&writer->channels, batch->totals[i].number)->dirty = true;
    writer->health.writing = false;
    try_later(writer, error);
}

static void describe_recovery(struct writer *writer, size_t rows, struct report *report)
{
    uint64_t lost = writer->queue.dropped - writer->dropped_before;
    (void)snprintf(report->recovery, sizeof report->recovery,
                   "The history is written again; %zu readings that waited in memory are stored, "
                   "%llu did not fit and are lost (their energy is counted).",
                   rows, (unsigned long long)lost);
    queue_event(writer, "history_resumed", report->recovery);
}

/* With the mutex held. Both edges of an outage are told, with what they mean for the data. */
static void settle(struct writer *writer, enum database_result result, const struct error *error,
                   int64_t began_ms, struct report *report)
{
    bool was_writing = writer->health.writing;
    size_t rows = writer->batch.readings.count;
    writer->in_flight = 0;
    outboxes_written(&writer->outboxes);
    follow_changes(writer);
    if (result == DATABASE_DONE)
        settle_done(writer, began_ms);
    else
        settle_kept(writer, error);

    bool writing = writer->health.writing;
    report->wake = was_writing != writing;
    if (report->wake && !writing)
        (void)snprintf(report->fault, sizeof report->fault, "%s", error->text);
    if (writing && !was_writing)
        describe_recovery(writer, rows, report);
    if (writing) {
        writer->dropped_before = writer->queue.dropped;
        writer->drops_reported = false;
    } else if (!writer->drops_reported && writer->queue.dropped != writer->dropped_before) {
        writer->drops_reported = true;
        report->drops = "Memory for readings is full while the history cannot be written; the "
                        "oldest are now lost, their energy stays counted.";
    }
}

static void tell(struct writer *writer, const struct report *report)
{
    if (report->clock) /* only this thread writes it */
        say(writer, writer->health.clock_awaited ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
            writer->health.clock_message);
    if (report->fault[0] != '\0')
        say(writer, LOG_LEVEL_ERROR, report->fault);
    if (report->drops != NULL)
        say(writer, LOG_LEVEL_WARNING, report->drops);
    if (report->recovery[0] != '\0')
        say(writer, LOG_LEVEL_INFO, report->recovery);
    if (report->wake || report->clock)
        wake_owner(writer);
}

/* A copy of the list, so that the disk is used without the lock; the texts are shared. Only the list is
 * to be freed. With the mutex held. */
static struct channels snapshot_of(const struct writer *writer)
{
    struct channels snapshot = writer->channels;
    snapshot.list = memory_new(snapshot.count, sizeof *snapshot.list);
    if (snapshot.count > 0)
        memcpy(snapshot.list, writer->channels.list, snapshot.count * sizeof *snapshot.list);
    return snapshot;
}

static void write_totals(struct writer *writer)
{
    (void)pthread_mutex_lock(&writer->mutex);
    struct channels snapshot = snapshot_of(writer);
    writer->totals_due = false;
    (void)pthread_mutex_unlock(&writer->mutex);

    struct error error = {""};
    bool good = totals_file_write(writer->totals_path, &snapshot, &error) == STATUS_OK;
    free(snapshot.list);
    if (!good && !writer->totals_failing)
        say(writer, LOG_LEVEL_WARNING, error.text);
    writer->totals_failing = !good;
    writer->totals_written_ms = clock_boot_ms();
}

/* With the mutex held. The other file is written at once. If that is damaged too, the disk is broken: then
 * not one file after another is set aside, but ever fewer. */
static void settle_renewed(struct writer *writer, const struct outboxes *found,
                           const struct error *error)
{
    struct history_health *health = &writer->health;
    channels_forget_stored(&writer->channels);
    outboxes_restart(&writer->outboxes, found);
    queue_event(writer, "history_renewed", error->text);
    writer->renewals++;
    writer->files++;
    int64_t delay_ms = writer->renewals == 1 ? 0 : bounded(writer->renewals, 1, 1, 60) * 60000;
    writer->retry_delay_ms = delay_ms;
    writer->due_ms = clock_boot_ms() + delay_ms;
    (void)snprintf(health->problem, sizeof health->problem, "%.*s", (int)sizeof health->problem - 1,
                   error->text);
    (void)snprintf(health->quarantined, sizeof health->quarantined, "%s",
                   database_quarantine(writer->database));
    (void)snprintf(health->restored, sizeof health->restored, "%s",
                   database_restored_from(writer->database));
}

static void show_life(void *context)
{
    struct writer *writer = context;
    (void)pthread_mutex_lock(&writer->mutex);
    writer->health.progress++;
    (void)pthread_mutex_unlock(&writer->mutex);
}

/* The file is damaged or gone: another one, from a copy where there is one. Readings wait in the queue
 * meanwhile. A copy that turned out damaged as soon as it was written to is not taken again. */
static void renew(struct writer *writer)
{
    const struct history_backup_options hooks = {
        .stop = &writer->give_up, .alive = show_life, .alive_context = writer};
    struct report report = {0};
    struct error error = {""};
    struct outboxes found = {.writing = INT64_MAX};
    write_totals(writer); /* a kill before the end must not cost any */
    (void)pthread_mutex_lock(&writer->mutex);
    struct channels memory = snapshot_of(writer);
    bool again = writer->renewals > 0;
    (void)pthread_mutex_unlock(&writer->mutex);
    enum database_result result =
        database_renew(writer->database, again ? NULL : &memory, &hooks, &error);
    free(memory.list);
    if (result == DATABASE_RENEWED)
        database_outboxes(writer->database, &found);

    (void)pthread_mutex_lock(&writer->mutex);
    report.wake = result == DATABASE_RENEWED || strncmp(writer->health.problem, error.text,
                                                        sizeof writer->health.problem - 1) != 0;
    if (report.wake)
        (void)snprintf(report.fault, sizeof report.fault, "%s", error.text);
    if (result == DATABASE_RENEWED)
        settle_renewed(writer, &found, &error);
    else
        try_later(writer, &error);
    (void)pthread_mutex_unlock(&writer->mutex);
    tell(writer, &report);
}

/* With the mutex held: whether another turn is wanted, and if a refusing disk is to be asked again
 * before a stop, the pause before that. */
static bool wants_turn(struct writer *writer, enum database_result result, bool *clean)
{
    bool empty = writer->queue.readings.count == 0 && writer->queue.events.count == 0;
    for (size_t i = 0; i < writer->channels.count; i++)
        empty = empty && !writer->channels.list[i].dirty;
    for (size_t i = 0; i < writer->outboxes.count; i++)
        empty = empty && !writer->outboxes.list[i].dirty;
    *clean = empty && result == DATABASE_DONE;
    if (!writer->stopping)
        return true;
    int64_t left = writer->stop_deadline_ms - clock_boot_ms();
    if (*clean || left <= 0)
        return false;
    if (result != DATABASE_DONE)
        wait_for(writer, left < RETRY_MIN_MS ? left : RETRY_MIN_MS);
    return true;
}

/* A clock that nobody sets may be wrong for days on end, and the file then bears it out. So by such a
 * one a day's deleting takes two days' worth at most: that keeps up with what is recorded, and a clock
 * that is months ahead costs days, not everything. */
static bool limits_hold(struct writer *writer)
{
    return clock_sync() == CLOCK_SYNCHRONISED ||
           database_bound(writer->database, &writer->limits, DELETE_UNSURE_MS);
}

static void begin_deleting(struct writer *writer)
{
    int64_t now_ms = clock_wall_ms();
    writer->deleting = false;
    if (!database_may_delete(writer->database, now_ms, writer->keep_ms[2])) {
        writer->delete_due_ms = clock_boot_ms() + DELETE_WAIT_MS;
        return;
    }
    writer->delete_due_ms = clock_boot_ms() + DELETE_INTERVAL_MS;
    for (size_t i = 0; i < 3; i++) {
        int64_t keep_ms = writer->keep_ms[i];
        writer->limits.before_ms[i] = keep_ms > 0 && keep_ms < now_ms ? now_ms - keep_ms : 0;
        writer->deleting = writer->deleting || writer->limits.before_ms[i] > 0;
    }
    writer->deleting = writer->deleting && limits_hold(writer);
}

/* Putting together what is over, and deleting what is old, in steps between transactions. */
static void tend(struct writer *writer)
{
    if (clock_boot_ms() >= writer->delete_due_ms)
        begin_deleting(writer);
    if (!writer->tending && !writer->deleting && !database_behind(writer->database))
        return;
    bool more;
    bool good = database_tend(writer->database, writer->deleting ? &writer->limits : NULL, &more);
    (void)pthread_mutex_lock(&writer->mutex);
    follow_changes(writer);
    (void)pthread_mutex_unlock(&writer->mutex);
    if (!good && writer->deleting)
        writer->delete_due_ms = clock_boot_ms() + DELETE_AGAIN_MS;
    writer->tending = more;
    writer->deleting = writer->deleting && more;
}

/* Everything that was put before it is written. With the disk refusing, it is refused. */
static void do_job(struct writer *writer, enum database_result result)
{
    struct history_recalibrated done = {0};
    struct error error = {""};
    (void)pthread_mutex_lock(&writer->mutex);
    bool wanted = writer->job.stage == WANTED && !writer->urgent;
    struct history_recalibration request = writer->job.request;
    (void)pthread_mutex_unlock(&writer->mutex);
    if (!wanted)
        return;
    enum status status = STATUS_FAILED;
    if (result == DATABASE_DONE)
        status = database_recalibrate(writer->database, &request, &done, &error);
    else
        (void)error_set(&error, status,
                        "The history cannot be written at the moment; try again when it can.");
    (void)pthread_mutex_lock(&writer->mutex);
    follow_changes(writer);
    struct known_channel *channel = channels_find(&writer->channels, done.number);
    if (status == STATUS_OK && !request.dry_run && channel != NULL)
        channels_adjust(channel, &done.adjustment);
    writer->job.stage = DONE;
    writer->job.status = status;
    writer->job.done = done;
    writer->job.error = error;
    (void)pthread_mutex_unlock(&writer->mutex);
    wake_owner(writer);
}

/* Waits, writes, settles. False when the thread is to end; *clean: nothing is left unwritten. */
static bool turn(struct writer *writer, bool *clean)
{
    struct report report = {0};
    struct error error = {""};
    (void)pthread_mutex_lock(&writer->mutex);
    bool due = wait_until_due(writer);
    if (due)
        consider_clock(writer, &report);
    if (due && !writer->held)
        take(writer);
    (void)pthread_mutex_unlock(&writer->mutex);
    if (!due) {
        tend(writer);
        return true;
    }

    int64_t began_ms = clock_boot_ms();
    bool idle = writer->held || (writer->retry_delay_ms == 0 && nothing_to_write(writer));
    enum database_result result = DATABASE_DONE;
    if (!idle)
        result = database_write(writer->database, &writer->unstored, &writer->batch, &error);

    (void)pthread_mutex_lock(&writer->mutex);
    if (idle)
        writer->due_ms = began_ms + (writer->held ? HELD_TURN_MS : writer->commit_interval_ms);
    else
        settle(writer, result, &error, began_ms, &report);
    bool totals_due = result == DATABASE_DONE && writer->totals_due;
    bool more = wants_turn(writer, result, clean);
    (void)pthread_mutex_unlock(&writer->mutex);

    tell(writer, &report);
    if (result == DATABASE_LOST)
        renew(writer);
    do_job(writer, result);
    /* Not by a clock that is not set: what is old enough to be deleted is not known then. */
    if (more && result == DATABASE_DONE && writer->retry_delay_ms == 0 && !writer->held)
        tend(writer);
    else
        writer->tending = false;
    if (more && (totals_due || writer->totals_written_ms == 0 ||
                 began_ms - writer->totals_written_ms >= TOTALS_FILE_INTERVAL_MS))
        write_totals(writer);
    return more;
}

static void *run(void *argument)
{
    struct writer *writer = argument;
    bool clean = false;
    while (turn(writer, &clean))
        continue;
    database_close(writer->database, clean); /* first: the file below is only its shadow */
    write_totals(writer);

    (void)pthread_mutex_lock(&writer->mutex);
    bool abandoned = writer->abandoned;
    writer->finished = !abandoned;
    (void)pthread_cond_broadcast(&writer->changed);
    (void)pthread_mutex_unlock(&writer->mutex);
    if (abandoned) /* else the one who closes joins and frees, perhaps already */
        writer_free(writer);
    return NULL;
}

enum status writer_start(struct writer *writer, struct error *error)
{
    /* Signals are for the loop's thread. */
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int reason = pthread_create(&writer->thread, NULL, run, writer);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (reason != 0)
        return error_set(error, STATUS_FAILED, "The history's thread could not be started: %s.",
                         strerror(reason));
    writer->started = true;
    (void)pthread_setname_np(writer->thread, "history");
    return STATUS_OK;
}

void writer_put_reading(struct writer *writer, const struct queued_reading *item,
                        const struct energy_state *state)
{
    (void)pthread_mutex_lock(&writer->mutex);
    struct known_channel *channel = channels_find(&writer->channels, item->number);
    struct queued_reading whole = *item;
    whole.kind = channel->kind;
    queue_put_reading(&writer->queue, &whole);
    /* Of a channel that the totals file does not know, nobody could tell what was counted since. */
    writer->totals_due = writer->totals_due || (state->known && !channel->state.known);
    channels_put_state(channel, state);
    (void)pthread_mutex_unlock(&writer->mutex);
}

void writer_put_state(struct writer *writer, unsigned number, const struct energy_state *state)
{
    (void)pthread_mutex_lock(&writer->mutex);
    channels_put_state(channels_find(&writer->channels, number), state);
    writer->urgent = true;
    writer->totals_due = true; /* or the old, higher totals would come back after a damage */
    (void)pthread_cond_broadcast(&writer->changed);
    (void)pthread_mutex_unlock(&writer->mutex);
}

bool writer_put_calibration(struct writer *writer, unsigned number,
                            const struct calibration *factors, int64_t wall_ms)
{
    (void)pthread_mutex_lock(&writer->mutex);
    struct known_channel *channel = channels_find(&writer->channels, number);
    bool can = !channels_record_waits(channel);
    if (can) {
        (void)channels_record(&writer->channels, channel, factors, channel->recorded.invert,
                              CALIBRATION_MEASURED, wall_ms);
        writer->urgent = true;
        (void)pthread_cond_broadcast(&writer->changed);
    }
    (void)pthread_mutex_unlock(&writer->mutex);
    return can;
}

enum status writer_recalibrate(struct writer *writer, const struct history_recalibration *request,
                               struct history_recalibrated *done, struct error *error)
{
    enum status status = database_recalibrate(writer->database, request, done, error);
    follow_changes(writer);
    return status;
}

bool writer_recalibration_begin(struct writer *writer, const struct history_recalibration *request)
{
    (void)pthread_mutex_lock(&writer->mutex);
    bool can = writer->job.stage == NO_JOB;
    if (can) {
        writer->job.stage = WANTED;
        writer->job.request = *request;
        writer->urgent = true;
        (void)pthread_cond_broadcast(&writer->changed);
    }
    (void)pthread_mutex_unlock(&writer->mutex);
    return can;
}

bool writer_recalibration_end(struct writer *writer, enum status *status,
                              struct history_recalibrated *done, struct error *error)
{
    (void)pthread_mutex_lock(&writer->mutex);
    bool ended = writer->job.stage == DONE;
    if (ended) {
        *status = writer->job.status;
        *done = writer->job.done;
        *error = writer->job.error;
        writer->job.stage = NO_JOB;
        struct known_channel *channel = channels_find(&writer->channels, done->number);
        if (channel != NULL)
            channels_adjusted(channel);
    }
    (void)pthread_mutex_unlock(&writer->mutex);
    return ended;
}

void writer_put_event(struct writer *writer, const struct queued_event *event)
{
    (void)pthread_mutex_lock(&writer->mutex);
    queue_put_event(&writer->queue, event);
    (void)pthread_mutex_unlock(&writer->mutex);
}

bool writer_outbox(struct writer *writer, const char *id, enum outbox_level level, bool from_now,
                   unsigned *number)
{
    /* A key of the newest reading's millisecond and the maximum number. */
    int64_t newest = rows_key(writer->newest_ms, CHANNEL_NUMBER_MAX);
    const struct outbox *outbox =
        outboxes_open(&writer->outboxes, id, level, from_now ? newest : 0);
    if (outbox == NULL)
        return false;
    *number = (unsigned)(outbox - writer->outboxes.list);
    return true;
}

int64_t writer_outbox_begin(struct writer *writer, unsigned number, unsigned *file)
{
    (void)pthread_mutex_lock(&writer->mutex);
    int64_t cursor = outbox_begin(&writer->outboxes, &writer->outboxes.list[number]);
    *file = writer->files;
    (void)pthread_mutex_unlock(&writer->mutex);
    return cursor;
}

void writer_outbox_done(struct writer *writer, unsigned number, int64_t cursor, int64_t refused)
{
    (void)pthread_mutex_lock(&writer->mutex);
    outbox_done(&writer->outboxes.list[number], cursor, refused);
    (void)pthread_mutex_unlock(&writer->mutex);
}

void writer_stored_totals(struct writer *writer, unsigned number, int64_t *imported_uwh,
                          int64_t *exported_uwh)
{
    (void)pthread_mutex_lock(&writer->mutex);
    const struct known_channel *channel = channels_find(&writer->channels, number);
    *imported_uwh = channel->stored_imported_uwh;
    *exported_uwh = channel->stored_exported_uwh;
    (void)pthread_mutex_unlock(&writer->mutex);
}

void writer_health(struct writer *writer, struct history_health *health)
{
    (void)pthread_mutex_lock(&writer->mutex);
    *health = writer->health;
    health->queued = writer->queue.readings.count + writer->in_flight;
    health->dropped_rows = writer->queue.dropped;
    (void)pthread_mutex_unlock(&writer->mutex);
}

static void silence(struct writer *writer)
{
    (void)pthread_mutex_lock(&writer->voice);
    writer->log = NULL;
    writer->wake = NULL;
    (void)pthread_mutex_unlock(&writer->voice);
}

/* The thread keeps to the deadline by itself; this waits a little longer for its last words. */
static bool wait_until_finished(struct writer *writer, int64_t timeout_ms)
{
    atomic_store(&writer->give_up, true);
    (void)pthread_mutex_lock(&writer->mutex);
    writer->stopping = true;
    writer->stop_deadline_ms = clock_boot_ms() + timeout_ms;
    int64_t give_up_ms = writer->stop_deadline_ms + 500;
    (void)pthread_cond_broadcast(&writer->changed);
    int64_t left;
    while (!writer->finished && (left = give_up_ms - clock_boot_ms()) > 0)
        wait_for(writer, left);
    bool finished = writer->finished;
    (void)pthread_mutex_unlock(&writer->mutex);
    return finished;
}

/* Once `abandoned` is set and the lock is let go, the writer belongs to its thread. */
static bool abandon(struct writer *writer)
{
    silence(writer);
    (void)pthread_mutex_lock(&writer->mutex);
    bool finished = writer->finished;
    writer->abandoned = !finished;
    if (!finished)
        (void)pthread_detach(writer->thread);
    (void)pthread_mutex_unlock(&writer->mutex);
    return !finished;
}

void writer_close(struct writer *writer, int64_t timeout_ms)
{
    if (!writer->started) {
        database_close(writer->database, false); /* as clean or not as it was found */
        writer_free(writer);
        return;
    }
    if (!wait_until_finished(writer, timeout_ms)) {
        say(writer, LOG_LEVEL_ERROR,
            "The disk did not take the last readings in time; they are lost (their energy is "
            "counted by the next start), and the history will be checked then.");
        if (abandon(writer))
            return;
    }
    (void)pthread_join(writer->thread, NULL);
    writer_free(writer);
}
