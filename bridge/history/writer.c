/* SPDX-License-Identifier: MIT */
#include "bridge/history/writer.h"

#include "drivers/base/clock.h"
#include "drivers/base/memory.h"
#include "drivers/base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define TURN_MS 5000
#define HELD_TURN_MS 1000 /* how often the clock is looked at until it is set */
#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 30000
#define LATE_INTERVALS 3
#define LATE_MIN_MS 5000
#define LATE_MAX_MS 15000 /* an import of years or a recalibration may hold the file for 12 s */
#define TOTALS_FILE_INTERVAL_MS 600000
#define FAST_INTERVAL_MS 60000
#define STEP_PAUSE_MS 50 /* between steps of maintenance: readers and disk get their turn */

/* What a turn has to say: noted under the mutex, logged after it. */
struct report {
    bool wake;
    size_t count;
    struct {
        enum log_level level;
        char text[640];
    } lines[4];
};

/* ---- saying ---- */

void writer_log(struct history *history, enum log_level level, const char *text)
{
    (void)pthread_mutex_lock(&history->voice);
    if (level == LOG_LEVEL_ERROR)
        log_error(history->log, "%s", text);
    else if (level == LOG_LEVEL_WARNING)
        log_warning(history->log, "%s", text);
    else
        log_info(history->log, "%s", text);
    (void)pthread_mutex_unlock(&history->voice);
}

void writer_wake_owner(struct history *history)
{
    (void)pthread_mutex_lock(&history->voice);
    if (history->wake != NULL)
        history->wake(history->wake_context);
    (void)pthread_mutex_unlock(&history->voice);
}

static void publish(struct history *history, const struct report *report)
{
    for (size_t i = 0; i < report->count; i++)
        writer_log(history, report->lines[i].level, report->lines[i].text);
    if (report->wake)
        writer_wake_owner(history);
}

void writer_put_event(struct history *history, const char *kind, const char *message)
{
    struct queued_event event = {.wall_ms = clock_wall_ms(), .boot_ms = clock_boot_ms()};
    (void)snprintf(event.kind, sizeof event.kind, "%s", kind);
    (void)snprintf(event.message, sizeof event.message, "%.*s", (int)sizeof event.message - 1,
                   message);
    queue_put_event(&history->queue, &event);
}

static void add_line(struct report *report, enum log_level level, const char *text)
{
    if (report->count == sizeof report->lines / sizeof report->lines[0])
        return;
    report->lines[report->count].level = level;
    (void)snprintf(report->lines[report->count].text, sizeof report->lines[0].text, "%s", text);
    report->count++;
}

/* With the mutex held: for the owner, the log and, if recorded, the file. */
static void note(struct history *history, struct report *report, enum log_level level,
                 const char *kind, const char *message, bool recorded)
{
    notice_queue_put(&history->notices, kind, message);
    if (recorded)
        writer_put_event(history, kind, message);
    add_line(report, level, message);
    report->wake = true;
}

/* ---- waiting ---- */

void writer_wait(struct history *history, int64_t for_ms)
{
    struct timespec until = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &until); /* cannot fail for this clock */
    int64_t ms = (int64_t)until.tv_sec * 1000 + until.tv_nsec / 1000000 + for_ms;
    until.tv_sec = (time_t)(ms / 1000);
    until.tv_nsec = (long)(ms % 1000) * 1000000;
    (void)pthread_cond_timedwait(&history->changed, &history->mutex, &until);
}

/* A stop, a total set by the user and a full batch do not wait for the interval; but neither of the last
 * two flushes to a disk that has just refused. */
static bool is_due(const struct history *history)
{
    if (history->stopping || clock_boot_ms() >= history->due_ms)
        return true;
    bool flush = history->urgent || history->queue.readings.count >= WRITER_BATCH_MAX;
    return flush && history->retry_delay_ms == 0 && !history->clock.held;
}

enum occasion { A_COMMIT, A_STEP, TOTALS_ALONE };

/* Until it is time for something. With the mutex held. */
static enum occasion wait_until_due(struct history *history)
{
    for (;;) {
        history->health.progress++;
        if (is_due(history))
            return A_COMMIT;
        int64_t left = history->due_ms - clock_boot_ms();
        int64_t interim_left;
        if (writer_interim_wanted(history, &interim_left)) {
            if (interim_left <= 0)
                return writer_interim_suffices(history) ? TOTALS_ALONE : A_COMMIT;
            left = interim_left < left ? interim_left : left;
        }
        if (history->maintaining) {
            writer_wait(history, STEP_PAUSE_MS);
            return is_due(history) ? A_COMMIT : A_STEP;
        }
        writer_wait(history, left < TURN_MS ? left : TURN_MS);
    }
}

int64_t writer_late_ms(const struct history *history)
{
    if (!history->started || history->clock.held || history->stopping || !history->health.writing)
        return 0;
    int64_t late_ms = clock_boot_ms() - history->due_ms;
    int64_t allowed_ms = LATE_INTERVALS * history->commit_interval_ms;
    allowed_ms = allowed_ms < LATE_MIN_MS   ? LATE_MIN_MS
                 : allowed_ms > LATE_MAX_MS ? LATE_MAX_MS
                                            : allowed_ms;
    return late_ms > allowed_ms ? late_ms : 0;
}

/* ---- taking ---- */

/* With the mutex held. */
static void check_clock(struct history *history, struct report *report)
{
    const struct moment now = {.wall_ms = clock_wall_ms(), .boot_ms = clock_boot_ms()};
    struct clock_notice notice;
    bool must_end = history->stopping || history->queue.readings.count >= history->queue.limit / 2;
    clock_hold_check(&history->clock, &history->queue, &history->channels, &now, clock_sync(),
                     must_end, &notice);
    history->health.clock_awaited = history->clock.awaited;
    history->health.clock_released_boot_ms = history->clock.released_boot_ms;
    if (notice.kind[0] == '\0')
        return;
    (void)snprintf(history->health.clock_message, sizeof history->health.clock_message, "%s",
                   notice.message);
    note(history, report, history->clock.awaited ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, notice.kind,
         notice.message, true);
}

void writer_follow_changes(struct history *history)
{
    struct outbox_changes changes;
    database_take_changes(history->database, &changes);
    outboxes_changed(&history->outboxes, &changes);
}

/* With the mutex held, after the readings were taken. */
static void take_outboxes(struct history *history)
{
    struct batch *batch = &history->batch;
    struct outboxes *outboxes = &history->outboxes;
    outboxes_writing(outboxes, batch_least_key(batch));
    for (size_t i = 0; i < outboxes->count; i++) {
        if (!outboxes->list[i].dirty)
            continue;
        outboxes->list[i].dirty = false;
        batch->outboxes[batch->outbox_count++] = outboxes->list[i];
    }
}

/* With the mutex held. The list itself may move while the disk is at work. */
static void take_unstored(struct history *history)
{
    struct channels *unstored = &history->unstored;
    unstored->count = 0;
    for (size_t i = 0; i < history->channels.count; i++) {
        if (history->channels.list[i].stored)
            continue;
        unstored->list = memory_grow(unstored->list, unstored->count, &unstored->capacity,
                                     sizeof *unstored->list);
        unstored->list[unstored->count++] = history->channels.list[i];
    }
}

static bool is_counted_with_stored(const struct known_channel *channel)
{
    int64_t id = channel->counted.id;
    return (channel->recorded_stored || id != channel->recorded.id) &&
           (channel->configured_stored || id != channel->configured.id);
}

/* A calibration waits for the clock as readings do. What was counted with one that is not stored yet
 * becomes the base of the stored total. */
static struct total_row total_of(const struct known_channel *channel)
{
    struct total_row row = {
        .number = channel->number, .state = channel->state, .counted = channel->counted};
    if (channel->counted.id == 0 || is_counted_with_stored(channel))
        return row;
    channels_totals_uwh(&channel->state, &channel->counted, channel->kind,
                        &row.state.base_imported_uwh, &row.state.base_exported_uwh);
    row.state.imported = row.state.exported = 0;
    row.counted = (struct known_calibration){0};
    return row;
}

/* With the mutex held. A total is stored together with its last reading: not while readings of that
 * channel stay in the queue for the next batch, unless they wait for the clock. */
static void take_totals(struct history *history)
{
    struct batch *batch = &history->batch;
    bool held = history->clock.held;
    const struct reading_ring *left = &history->queue.readings;
    bool *waits memory_auto = NULL;
    if (left->count > 0 && !held) {
        waits = memory_new(CHANNEL_NUMBER_MAX + 1, sizeof *waits);
        for (size_t i = 0; i < left->count; i++)
            waits[ring_at(left, i)->number] = true;
    }
    batch->totals = memory_new(history->channels.count, sizeof *batch->totals);
    for (size_t i = 0; i < history->channels.count; i++) {
        struct known_channel *channel = &history->channels.list[i];
        if (!channel->dirty || (waits != NULL && waits[channel->number]))
            continue;
        channel->dirty = false;
        batch->totals[batch->total_count++] = held
                                                  ? total_of(channel)
                                                  : (struct total_row){.number = channel->number,
                                                                       .state = channel->state,
                                                                       .counted = channel->counted};
    }
}

/* With the mutex held: what the stored totals know and the stored readings do not. */
static void take_uncredited(struct history *history)
{
    free(history->uncredited);
    history->uncredited = queue_uncredited(&history->queue, history->clock.held);
    history->batch.uncredited = history->uncredited;
    history->batch.clock_awaited = history->clock.held;
    history->batch.word[0] = '\0';
    if (history->interim_pause_ms > 0 && !history->clock.held)
        interim_word(history->batch.word);
}

/* With the mutex held. */
static void take(struct history *history)
{
    struct batch *batch = &history->batch;
    free(batch->totals);
    batch->totals = NULL;
    batch->total_count = batch->calibration_count = batch->outbox_count = 0;
    take_unstored(history);
    if (!history->clock.held) {
        queue_take(&history->queue, WRITER_BATCH_MAX, &batch->readings, &batch->events);
        history->urgent = history->queue.readings.count > 0 && history->urgent;
        batch_take_calibrations(batch, &history->channels);
        take_outboxes(history);
    }
    history->in_flight = batch->readings.count;
    take_totals(history);
    take_uncredited(history);
}

static bool nothing_to_write(const struct history *history)
{
    const struct batch *batch = &history->batch;
    if (batch->readings.count > 0 || batch->events.count > 0 || batch->total_count > 0 ||
        batch->calibration_count > 0 || batch->outbox_count > 0)
        return false;
    return history->unstored.count == 0;
}

/* ---- settling ---- */

static int64_t next_due_ms(const struct history *history, int64_t began_ms)
{
    int64_t due_ms = began_ms + (history->clock.held ? HELD_TURN_MS : history->commit_interval_ms);
    int64_t now_ms = clock_boot_ms(); /* a slow commit is not late anew */
    return due_ms < now_ms ? now_ms : due_ms;
}

static void settle_done(struct history *history, int64_t began_ms)
{
    struct batch *batch = &history->batch;
    history->health.committed_rows += batch->readings.count + batch->events.count;
    history->health.last_commit_boot_ms = clock_boot_ms();
    history->health.writing = true;
    history->health.problem[0] = '\0';
    for (size_t i = 0; i < batch->total_count; i++) {
        const struct total_row *total = &batch->totals[i];
        channels_stored(channels_find(&history->channels, total->number), &total->state,
                        &total->counted);
    }
    writer_interim_begin(history, began_ms);
    batch_calibrations_stored(batch, &history->channels);
    for (size_t i = 0; i < history->unstored.count; i++)
        channels_find(&history->channels, history->unstored.list[i].number)->stored = true;
    free(history->unstored.list); /* at the start it may hold thousands, later hardly ever one */
    history->unstored = (struct channels){0};
    ring_clear(&batch->readings);
    events_clear(&batch->events);
    history->retry_delay_ms = 0;
    history->renewals = 0;
    history->held_commit_ms = began_ms;
    history->due_ms = next_due_ms(history, began_ms);
}

static void try_later(struct history *history, const struct error *error)
{
    if (error->text[0] != '\0') /* else it was reported before */
        (void)snprintf(history->health.problem, sizeof history->health.problem, "%.*s",
                       (int)sizeof history->health.problem - 1, error->text);
    int64_t delay_ms = history->retry_delay_ms * 2;
    history->retry_delay_ms = delay_ms < RETRY_MIN_MS   ? RETRY_MIN_MS
                              : delay_ms > RETRY_MAX_MS ? RETRY_MAX_MS
                                                        : delay_ms;
    history->due_ms = clock_boot_ms() + history->retry_delay_ms;
}

/* What was taken goes back; a total that changed meanwhile is dirty anyway, in its later state. */
static void settle_kept(struct history *history, const struct error *error)
{
    struct batch *batch = &history->batch;
    queue_return(&history->queue, &batch->readings, &batch->events);
    for (size_t i = 0; i < batch->outbox_count; i++)
        outboxes_open(&history->outboxes, batch->outboxes[i].id, batch->outboxes[i].level, 0)
            ->dirty = true;
    for (size_t i = 0; i < batch->total_count; i++)
        channels_find(&history->channels, batch->totals[i].number)->dirty = true;
    history->health.writing = false;
    try_later(history, error);
}

static void note_recovery(struct history *history, size_t rows, struct report *report)
{
    char text[300];
    (void)snprintf(text, sizeof text,
                   "The history is written again; %zu readings that waited in memory are stored, "
                   "%" PRIu64 " did not fit and are lost (their energy is counted).",
                   rows, history->queue.dropped - history->dropped_before);
    note(history, report, LOG_LEVEL_INFO, "history_resumed", text, true);
}

static void note_drops(struct history *history, struct report *report)
{
    if (history->drops_reported || history->queue.dropped == history->dropped_before)
        return;
    history->drops_reported = true;
    add_line(report, LOG_LEVEL_WARNING,
             "Memory for readings is full while the history cannot be written; the oldest are now "
             "lost, their energy stays counted.");
}

/* At most once a minute, whatever is sent. */
static void note_fast(struct history *history, struct report *report)
{
    int64_t now_ms = clock_boot_ms();
    uint64_t count = history->queue.dropped_by_rate - history->fast_reported;
    if (count == 0 ||
        (history->fast_reported_ms != 0 && now_ms - history->fast_reported_ms < FAST_INTERVAL_MS))
        return;
    const struct known_channel *channel =
        channels_find(&history->channels, history->queue.last_by_rate);
    char text[EVENT_MESSAGE_SIZE];
    (void)snprintf(text, sizeof text,
                   "%" PRIu64 " readings were dropped, because a channel sent more than %d in a "
                   "second (the last one: %.60s %.30s). Their energy is counted.",
                   count, QUEUE_RATE_MAX, channel->device, channel->channel);
    history->fast_reported += count;
    history->fast_reported_ms = now_ms;
    note(history, report, LOG_LEVEL_WARNING, "readings_dropped", text, true);
}

static void note_in_time(struct history *history, int64_t late_ms, struct report *report)
{
    char text[EVENT_MESSAGE_SIZE];
    if (!history->late)
        return;
    history->late = false;
    (void)snprintf(text, sizeof text,
                   "The history is written again; the last commit was %" PRId64 " s late.",
                   late_ms / 1000);
    note(history, report, LOG_LEVEL_INFO, "history_resumed", text, true);
}

/* With the mutex held. Both edges of an outage are reported, with what they mean for the data. */
static void settle(struct history *history, enum database_result result, const struct error *error,
                   int64_t began_ms, struct report *report)
{
    bool was_writing = history->health.writing;
    size_t rows = history->batch.readings.count;
    int64_t late_ms = clock_boot_ms() - history->due_ms;
    history->in_flight = 0;
    outboxes_written(&history->outboxes);
    writer_follow_changes(history);
    if (result == DATABASE_DONE)
        settle_done(history, began_ms);
    else
        settle_kept(history, error);

    bool writing = history->health.writing;
    /* Totals that were stored are published now. */
    report->wake =
        report->wake || was_writing != writing || (writing && history->batch.total_count > 0);
    if (was_writing && !writing)
        note(history, report, LOG_LEVEL_ERROR, "history_problem", error->text, false);
    if (writing && !was_writing)
        note_recovery(history, rows, report);
    else if (writing)
        note_in_time(history, late_ms, report);
    if (writing) {
        history->dropped_before = history->queue.dropped;
        history->drops_reported = history->late = false;
        note_fast(history, report);
    } else {
        note_drops(history, report);
    }
}

/* ---- another file ---- */

/* With the mutex held. The other file is written at once. If that is damaged too, the disk is broken: then
 * not one file after another is quarantined, but ever fewer. */
static void settle_renewed(struct history *history, const struct outboxes *found,
                           const struct error *error, struct report *report)
{
    struct history_health *health = &history->health;
    channels_forget_stored(&history->channels);
    history->word[0] = '\0';
    outboxes_restart(&history->outboxes, found);
    note(history, report, LOG_LEVEL_ERROR, "history_renewed", error->text, true);
    history->renewals++;
    history->files++;
    int64_t minutes = history->renewals < 60 ? history->renewals : 60;
    history->retry_delay_ms = history->renewals == 1 ? 0 : minutes * 60000;
    history->due_ms = clock_boot_ms() + history->retry_delay_ms;
    (void)snprintf(health->problem, sizeof health->problem, "%.*s", (int)sizeof health->problem - 1,
                   error->text);
    (void)snprintf(health->quarantined, sizeof health->quarantined, "%s",
                   database_quarantine(history->database));
    (void)snprintf(health->restored, sizeof health->restored, "%s",
                   database_restored_from(history->database));
}

static void show_life(void *context)
{
    struct history *history = context;
    (void)pthread_mutex_lock(&history->mutex);
    history->health.progress++;
    (void)pthread_mutex_unlock(&history->mutex);
}

/* The file is damaged or gone: another one, from a backup where there is one. Readings wait in the queue
 * meanwhile. A backup that turned out damaged as soon as it was written to is not taken again. */
static void renew(struct history *history)
{
    const struct history_backup_options hooks = {
        .stop = &history->give_up, .alive = show_life, .alive_context = history};
    struct report report = {0};
    struct error error = {""};
    struct outboxes found = {.writing = INT64_MAX};
    writer_totals_file(history); /* a kill before the end must not cost any */
    (void)pthread_mutex_lock(&history->mutex);
    struct channels memory = writer_snapshot(history);
    bool again = history->renewals > 0;
    (void)pthread_mutex_unlock(&history->mutex);
    enum database_result result =
        database_renew(history->database, again ? NULL : &memory, &hooks, &error);
    free(memory.list);
    if (result == DATABASE_RENEWED)
        database_outboxes(history->database, &found);

    (void)pthread_mutex_lock(&history->mutex);
    bool is_new =
        strncmp(history->health.problem, error.text, sizeof history->health.problem - 1) != 0;
    if (result == DATABASE_RENEWED) {
        settle_renewed(history, &found, &error, &report);
    } else {
        if (is_new)
            note(history, &report, LOG_LEVEL_ERROR, "history_problem", error.text, false);
        try_later(history, &error);
    }
    (void)pthread_mutex_unlock(&history->mutex);
    publish(history, &report);
}

/* ---- a turn ---- */

/* With the mutex held: whether another turn is wanted, and if a refusing disk is to be asked again
 * before a stop, the pause before that. */
static bool wants_turn(struct history *history, enum database_result result, bool *clean)
{
    bool empty = history->queue.readings.count == 0 && history->queue.events.count == 0;
    for (size_t i = 0; i < history->channels.count; i++)
        empty = empty && !history->channels.list[i].dirty;
    for (size_t i = 0; i < history->outboxes.count; i++)
        empty = empty && !history->outboxes.list[i].dirty;
    *clean = empty && result == DATABASE_DONE;
    if (!history->stopping)
        return true;
    int64_t left = history->stop_deadline_ms - clock_boot_ms();
    if (*clean || left <= 0)
        return false;
    if (result != DATABASE_DONE)
        writer_wait(history, left < RETRY_MIN_MS ? left : RETRY_MIN_MS);
    return true;
}

/* A step between transactions: aggregates what is over and deletes what is old (retention.h). */
static void maintain(struct history *history)
{
    struct rows *rows = database_rows(history->database);
    history->maintaining = false;
    if (rows == NULL)
        return;
    retention_begin(&history->retention, rows, clock_wall_ms(), clock_boot_ms(), clock_sync());
    if (!history->retention.active && !rows_behind(rows))
        return;
    (void)retention_step(&history->retention, rows, clock_boot_ms(), &history->maintaining);
    (void)pthread_mutex_lock(&history->mutex);
    writer_follow_changes(history);
    (void)pthread_mutex_unlock(&history->mutex);
}

/* After everything that was put before it is written. With the disk refusing, it is refused. */
static void do_job(struct history *history, enum database_result result)
{
    struct history_recalibrated done = {0};
    struct error error = {""};
    (void)pthread_mutex_lock(&history->mutex);
    bool wanted = history->job.stage == WANTED && !history->urgent;
    struct history_recalibration request = history->job.request;
    (void)pthread_mutex_unlock(&history->mutex);
    if (!wanted)
        return;
    enum status status = STATUS_FAILED;
    if (result == DATABASE_DONE)
        status = database_recalibrate(history->database, &request, &done, &error);
    else
        (void)error_set(&error, status,
                        "The history cannot be written at the moment; try again when it can.");
    (void)pthread_mutex_lock(&history->mutex);
    writer_follow_changes(history);
    struct known_channel *channel = channels_find(&history->channels, done.number);
    if (status == STATUS_OK && !request.dry_run && channel != NULL) {
        channels_adjust(channel, &done.adjustment);
        history->word[0] = '\0'; /* the stored total is another one now */
    }
    history->job.stage = DONE;
    history->job.status = status;
    history->job.done = done;
    history->job.error = error;
    (void)pthread_mutex_unlock(&history->mutex);
    writer_wake_owner(history);
}

/* While the clock is awaited it is looked at more often than there are commits. */
static bool is_early(const struct history *history)
{
    return history->clock.held && history->held_commit_ms != 0 &&
           clock_boot_ms() - history->held_commit_ms < history->commit_interval_ms;
}

/* Waits, writes, settles. False when the thread is to end; *clean: nothing is left unwritten. */
static bool turn(struct history *history, bool *clean)
{
    struct report report = {0};
    struct error error = {""};
    (void)pthread_mutex_lock(&history->mutex);
    enum occasion occasion = wait_until_due(history);
    bool due = occasion == A_COMMIT;
    if (due)
        check_clock(history, &report);
    bool early = due && is_early(history);
    if (due && !early)
        take(history);
    (void)pthread_mutex_unlock(&history->mutex);
    if (occasion == TOTALS_ALONE)
        writer_interim_write(history);
    else if (!due)
        maintain(history);
    if (!due)
        return true;

    int64_t began_ms = clock_boot_ms();
    bool idle = early || (history->retry_delay_ms == 0 && nothing_to_write(history));
    enum database_result result = DATABASE_DONE;
    if (!idle)
        result = database_write(history->database, &history->unstored, &history->batch, &error);

    (void)pthread_mutex_lock(&history->mutex);
    if (idle)
        history->due_ms = next_due_ms(history, began_ms);
    else
        settle(history, result, &error, began_ms, &report);
    bool totals_due = result == DATABASE_DONE && history->totals_due;
    bool more = wants_turn(history, result, clean);
    (void)pthread_mutex_unlock(&history->mutex);

    publish(history, &report);
    if (result == DATABASE_LOST)
        renew(history);
    do_job(history, result);
    /* Not by a clock that is not set: what is old enough to be deleted is not known then. */
    if (more && result == DATABASE_DONE && history->retry_delay_ms == 0 && !history->clock.held)
        maintain(history);
    else
        history->maintaining = false;
    if (more && (totals_due || history->totals_written_ms == 0 ||
                 began_ms - history->totals_written_ms >= TOTALS_FILE_INTERVAL_MS))
        writer_totals_file(history);
    return more;
}

static void *run(void *argument)
{
    struct history *history = argument;
    bool clean = false;
    while (turn(history, &clean))
        continue;
    database_close(history->database, clean); /* first: the file below is only its shadow */
    writer_totals_file(history);

    (void)pthread_mutex_lock(&history->mutex);
    bool abandoned = history->abandoned;
    history->finished = !abandoned;
    (void)pthread_cond_broadcast(&history->changed);
    (void)pthread_mutex_unlock(&history->mutex);
    if (abandoned) /* else the one who closes joins and frees, perhaps already */
        writer_free(history);
    return NULL;
}

enum status writer_start(struct history *history, struct error *error)
{
    /* Signals are for the loop's thread. */
    sigset_t all;
    sigset_t before;
    history->due_ms = clock_boot_ms();
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    history->started = true;
    int reason = pthread_create(&history->thread, NULL, run, history);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    history->started = reason == 0;
    if (reason != 0)
        return error_set(error, STATUS_FAILED, "The history's thread could not be started: %s.",
                         strerror(reason));
    (void)pthread_setname_np(history->thread, "history");
    return STATUS_OK;
}

/* ---- the end ---- */

void writer_free(struct history *history)
{
    free(history->batch.readings.items);
    free(history->batch.events.items);
    free(history->batch.totals);
    free(history->batch.calibrations);
    free(history->uncredited);
    interim_free(history->interim);
    free(history->unstored.list);
    queue_free(&history->queue);
    channels_free(&history->channels);
    (void)pthread_cond_destroy(&history->changed);
    (void)pthread_mutex_destroy(&history->mutex);
    (void)pthread_mutex_destroy(&history->voice);
    free(history->totals_path);
    free(history);
}
