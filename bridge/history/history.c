/* SPDX-License-Identifier: MIT */
#include "bridge/history/history.h"

#include "bridge/history/recalibrate.h"
#include "bridge/history/safety/totals_file.h"
#include "bridge/history/store/lock.h"
#include "bridge/history/writer.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define COMMIT_INTERVAL_MS 60000
#define COMMIT_INTERVAL_MIN_MS 200
#define TOTALS_INTERVAL_MS 9500 /* totals are shown within 10 s; the rest is for the disk */
#define COMMIT_INTERVAL_MAX_MS 60000
#define QUEUE_LIMIT 65536
#define ABSENCE_MIN_MS 60000 /* shorter ones are not worth an estimate */

/* ---- opening ---- */

static int64_t commit_interval(int64_t wanted_ms)
{
    if (wanted_ms == 0)
        return COMMIT_INTERVAL_MS;
    return wanted_ms < COMMIT_INTERVAL_MIN_MS   ? COMMIT_INTERVAL_MIN_MS
           : wanted_ms > COMMIT_INTERVAL_MAX_MS ? COMMIT_INTERVAL_MAX_MS
                                                : wanted_ms;
}

static void init_threads(struct history *history)
{
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&history->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    (void)pthread_mutex_init(&history->mutex, NULL);
    (void)pthread_mutex_init(&history->voice, NULL);
}

static void credit(void *context, unsigned number, int64_t imported, int64_t exported)
{
    queue_credit(context, number, imported, exported);
}

static void begin_health(struct history *history)
{
    struct history_health *health = &history->health;
    health->writing = true;
    health->may_lag = database_may_lag(history->database);
    (void)snprintf(health->quarantined, sizeof health->quarantined, "%s",
                   database_quarantine(history->database));
    (void)snprintf(health->restored, sizeof health->restored, "%s",
                   database_restored_from(history->database));
    if (health->quarantined[0] == '\0')
        return;
    char message[640];
    history_quarantine_sentence(health, message, sizeof message);
    notice_queue_put(&history->notices, "history_renewed", message);
    writer_put_event(history, "history_renewed", message);
}

static struct history *create(const struct history_options *options, struct database *database,
                              const struct channels *channels)
{
    struct history *history = memory_new(1, sizeof *history);
    const struct moment now = {.wall_ms = clock_wall_ms(), .boot_ms = clock_boot_ms()};
    const int64_t keep_ms[RETENTION_LEVELS] = {options->keep_raw_ms, options->keep_minute_ms,
                                               options->keep_hour_ms};
    history->commit_interval_ms = commit_interval(options->commit_interval_ms);
    history->interim_pause_ms = writer_interim_pause_ms(
        history->commit_interval_ms,
        options->totals_interval_ms == 0 ? TOTALS_INTERVAL_MS : options->totals_interval_ms);
    history->interim = interim_create(options->path);
    history->newest_ms = database_newest_ms(database);
    clock_hold_init(&history->clock, options->clock_wait_ms, history->newest_ms, &now);
    retention_init(&history->retention, keep_ms, now.boot_ms);
    history->totals_path = totals_file_path(options->path);
    history->log = options->log;
    history->wake = options->wake;
    history->wake_context = options->wake_context;
    history->database = database;
    history->channels = *channels;
    queue_init(&history->queue, options->queue_limit == 0 ? QUEUE_LIMIT : options->queue_limit);
    database_outboxes(database, &history->outboxes);
    database_uncredited(database, credit, &history->queue);
    begin_health(history);
    init_threads(history);
    return history;
}

enum status history_open(const struct history_options *options, struct history **history,
                         struct error *error)
{
    struct channels channels = {0};
    struct database *database;
    enum status status = database_open(options->path, options->backup_folder, &channels,
                                       options->log, &database, error);
    if (status == STATUS_OK)
        *history = create(options, database, &channels);
    return status;
}

enum status history_start(struct history *history, struct error *error)
{
    return writer_start(history, error);
}

bool history_in_use(const char *path)
{
    return lock_is_held(path);
}

/* ---- channels ---- */

static struct known_channel *lock_channel(struct history *history, unsigned number)
{
    (void)pthread_mutex_lock(&history->mutex);
    return channels_find(&history->channels, number);
}

static void unlock(struct history *history)
{
    (void)pthread_mutex_unlock(&history->mutex);
}

/* With the mutex held: the next commit does not wait for its interval. */
static void flush(struct history *history)
{
    history->urgent = true;
    (void)pthread_cond_broadcast(&history->changed);
}

enum status history_channel(struct history *history, const char *device, const char *channel,
                            enum reading_kind kind, unsigned *number, struct energy_state *state,
                            struct error *error)
{
    if (strlen(device) >= CHANNEL_TEXT_MAX || strlen(channel) >= CHANNEL_TEXT_MAX)
        return error_set(error, STATUS_USAGE,
                         "The name of channel %s of device %s is too long for the history (%d "
                         "bytes at most).",
                         channel, device, CHANNEL_TEXT_MAX - 1);
    (void)pthread_mutex_lock(&history->mutex);
    struct channels *channels = &history->channels;
    struct known_channel *known = channels_find_name(channels, device, channel, kind);
    if (known == NULL)
        known = channels_add(channels, 0, device, channel, kind);
    if (known != NULL) {
        channels_take_over(channels, known);
        *number = known->number;
        *state = known->state;
    }
    unlock(history);
    if (known == NULL)
        return error_set(error, STATUS_FAILED,
                         "The history has no number left for channel %s of device %s; it can hold "
                         "%d channels. Begin another history file.",
                         channel, device, CHANNEL_NUMBER_MAX);
    return STATUS_OK;
}

bool history_has_device(struct history *history, const char *device)
{
    (void)pthread_mutex_lock(&history->mutex);
    bool has = channels_have_device(&history->channels, device);
    unlock(history);
    return has;
}

enum status history_rename_device(struct history *history, const char *from, const char *to,
                                  struct error *error)
{
    if (strlen(to) >= CHANNEL_TEXT_MAX)
        return error_set(error, STATUS_USAGE, "The id %s is too long for the history.", to);
    (void)pthread_mutex_lock(&history->mutex);
    bool taken = channels_have_device(&history->channels, to);
    if (!taken)
        channels_rename_device(&history->channels, from, to);
    if (!taken)
        flush(history);
    unlock(history);
    return taken ? error_set(error, STATUS_USAGE,
                             "The history has a device \"%s\" already; choose another id.", to)
                 : STATUS_OK;
}

enum status history_calibration(struct history *history, unsigned number,
                                const struct calibration *calibration, bool invert, int64_t wall_ms,
                                struct calibration *previous, bool *changed, struct error *error)
{
    enum status status = calibration_check(calibration, error);
    if (status != STATUS_OK)
        return status;
    struct known_channel *known = lock_channel(history, number);
    channels_configure(&history->channels, known, calibration, invert, wall_ms);
    *changed = known->has_state && known->counted.id != 0 &&
               !calibration_equal(&known->counted.factors, &known->recorded.factors);
    if (*changed && previous != NULL)
        *previous = known->counted.factors;
    unlock(history);
    return STATUS_OK;
}

void history_calibration_in_use(struct history *history, unsigned number,
                                struct calibration *calibration, bool *measured,
                                int64_t *valid_from_ms)
{
    const struct known_calibration *recorded = &lock_channel(history, number)->recorded;
    *calibration = recorded->factors;
    *measured = recorded->origin == CALIBRATION_MEASURED;
    *valid_from_ms = recorded->valid_from_ms;
    unlock(history);
}

enum status history_measured(struct history *history, unsigned number,
                             const struct calibration *calibration, int64_t wall_ms,
                             struct error *error)
{
    enum status status = calibration_check(calibration, error);
    if (status != STATUS_OK)
        return status;
    struct known_channel *channel = lock_channel(history, number);
    bool can = !channels_record_waits(channel);
    if (can) {
        (void)channels_record(&history->channels, channel, calibration, channel->recorded.invert,
                              CALIBRATION_MEASURED, wall_ms);
        flush(history);
    }
    unlock(history);
    if (can)
        return STATUS_OK;
    return error_set(error, STATUS_FAILED,
                     "The disk has not yet taken the calibration before this one. Try again when "
                     "the history is written again.");
}

/* ---- corrections of the past ---- */

enum status history_recalibrate(struct history *history,
                                const struct history_recalibration *request,
                                struct history_recalibrated *done, struct error *error)
{
    enum status status = database_recalibrate(history->database, request, done, error);
    writer_follow_changes(history);
    return status;
}

enum status history_recalibrate_try(const char *path, const struct history_recalibration *request,
                                    struct history_recalibrated *done, struct error *error)
{
    return recalibrate_try(path, request, done, error);
}

bool history_recalibration_begin(struct history *history,
                                 const struct history_recalibration *request)
{
    (void)pthread_mutex_lock(&history->mutex);
    bool can = history->job.stage == NO_JOB;
    if (can) {
        history->job.stage = WANTED;
        history->job.request = *request;
        flush(history);
    }
    unlock(history);
    return can;
}

bool history_recalibration_end(struct history *history, enum status *status,
                               struct history_recalibrated *done, struct error *error)
{
    (void)pthread_mutex_lock(&history->mutex);
    struct recalibration_job *job = &history->job;
    bool ended = job->stage == DONE;
    if (ended) {
        *status = job->status;
        *done = job->done;
        *error = job->error;
        job->stage = NO_JOB;
        struct known_channel *channel = channels_find(&history->channels, done->number);
        if (channel != NULL)
            channels_adjusted(channel);
    }
    unlock(history);
    return ended;
}

/* ---- putting ---- */

/* Since when the counts of a reading were counted, if that is much longer than its source's cadence: since
 * the previous one, by the boot clock if that is of the same boot. */
static void note_absence(struct known_channel *channel, struct queued_reading *item,
                         const struct energy_state *state)
{
    const struct energy_state *before = &channel->state;
    bool same_boot = before->boot_id[0] != '\0' && strcmp(before->boot_id, state->boot_id) == 0;
    int64_t interval_ms = same_boot ? state->counter_boot_ms - before->counter_boot_ms
                                    : state->counter_wall_ms - before->counter_wall_ms;
    int64_t usual_ms = 2 * cadence_reach_ms(&channel->cadence);
    bool unknown = channel->read && channel->cadence.count < CADENCE_KNOWN;
    bool was_known = before->known;
    if (channel->read && was_known && interval_ms > 0)
        cadence_note(&channel->cadence, interval_ms);
    channel->read = true;
    if (!was_known || unknown || (item->imported == 0 && item->exported == 0) ||
        interval_ms < ABSENCE_MIN_MS || interval_ms < usual_ms)
        return;
    if (same_boot)
        item->counted_for_ms = interval_ms;
    else
        item->counted_since_ms = before->counter_wall_ms;
}

void history_put_reading(struct history *history, unsigned number, const struct reading *reading,
                         int64_t imported, int64_t exported, const struct energy_state *state)
{
    struct known_channel *channel = lock_channel(history, number);
    struct queued_reading item = {
        .reading = *reading,
        .imported = imported,
        .exported = exported,
        .number = number,
        .kind = channel->kind,
    };
    note_absence(channel, &item, state);
    queue_put_reading(&history->queue, &item);
    /* Of a channel that the totals file does not know, nobody could tell what was counted since. */
    history->totals_due = history->totals_due || (state->known && !channel->state.known);
    channels_put_state(channel, state);
    if (history->queue.readings.count == WRITER_BATCH_MAX)
        (void)pthread_cond_broadcast(&history->changed);
    unlock(history);
}

void history_put_state(struct history *history, unsigned number, const struct energy_state *state)
{
    channels_put_state(lock_channel(history, number), state);
    history->totals_due = true; /* or the old, higher totals would come back after a damage */
    flush(history);
    unlock(history);
}

/* Cuts between characters of UTF-8, not within one. */
static void copy_cut(char *target, size_t size, const char *text)
{
    size_t length = strnlen(text, size);
    if (length == size) {
        length = size - 1;
        while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80)
            length--;
    }
    memcpy(target, text, length);
    target[length] = '\0';
}

void history_put_event(struct history *history, unsigned number, int64_t wall_ms, const char *kind,
                       const char *message)
{
    struct queued_event event = {.wall_ms = wall_ms, .boot_ms = clock_boot_ms(), .number = number};
    copy_cut(event.kind, sizeof event.kind, kind);
    copy_cut(event.message, sizeof event.message, message);
    (void)pthread_mutex_lock(&history->mutex);
    queue_put_event(&history->queue, &event);
    unlock(history);
}

/* ---- sinks ---- */

enum status history_outbox(struct history *history, const char *id, enum outbox_level level,
                           bool from_now, unsigned *number, struct error *error)
{
    /* A key of the newest reading's millisecond and the maximum number. */
    int64_t newest = key_make(history->newest_ms, CHANNEL_NUMBER_MAX);
    const struct outbox *outbox =
        outboxes_open(&history->outboxes, id, level, from_now ? newest : 0);
    if (outbox == NULL)
        return error_set(error, STATUS_FAILED,
                         "The history knows too many sinks to add %s. Those that are no longer "
                         "configured can be deleted from its table `sink` while the service is "
                         "stopped.",
                         id);
    *number = (unsigned)(outbox - history->outboxes.list);
    return STATUS_OK;
}

int64_t history_outbox_begin(struct history *history, unsigned number, unsigned *file)
{
    (void)pthread_mutex_lock(&history->mutex);
    int64_t cursor = outbox_begin(&history->outboxes, &history->outboxes.list[number]);
    *file = history->files;
    unlock(history);
    return cursor;
}

void history_outbox_done(struct history *history, unsigned number, int64_t cursor, int64_t refused)
{
    (void)pthread_mutex_lock(&history->mutex);
    outbox_done(&history->outboxes.list[number], cursor, refused);
    unlock(history);
}

/* ---- asking ---- */

void history_stored_totals(struct history *history, unsigned number, int64_t *imported_uwh,
                           int64_t *exported_uwh)
{
    const struct known_channel *channel = lock_channel(history, number);
    *imported_uwh = channel->stored_imported_uwh;
    *exported_uwh = channel->stored_exported_uwh;
    unlock(history);
}

void history_quarantine_sentence(const struct history_health *health, char *text, size_t size)
{
    bool restored = health->restored[0] != '\0';
    text[0] = '\0';
    if (health->quarantined[0] == '\0')
        return;
    (void)snprintf(text, size, "The history was damaged and quarantined as %s.%s%s%s",
                   health->quarantined, restored ? " It continues from the backup " : "",
                   health->restored, restored ? "." : "");
}

static void late_sentence(int64_t late_ms, char *text, size_t size)
{
    (void)snprintf(text, size,
                   "The disk does not take the history in time: a commit is %" PRId64 " s late. "
                   "Readings wait in memory. Check the disk, and what else uses it.",
                   late_ms / 1000);
}

/* With the mutex held. The thread cannot report it: it waits for the disk. */
static void check_late(struct history *history)
{
    char text[EVENT_MESSAGE_SIZE];
    int64_t late_ms = writer_late_ms(history);
    if (late_ms == 0 || history->late)
        return;
    history->late = true;
    late_sentence(late_ms, text, sizeof text);
    notice_queue_put(&history->notices, "history_late", text);
    writer_put_event(history, "history_late", text);
}

void history_health(struct history *history, struct history_health *health)
{
    (void)pthread_mutex_lock(&history->mutex);
    check_late(history);
    *health = history->health;
    health->queued = history->queue.readings.count + history->in_flight;
    health->dropped_rows = history->queue.dropped;
    health->late_ms = writer_late_ms(history);
    unlock(history);
    if (health->late_ms > 0 && health->problem[0] == '\0')
        late_sentence(health->late_ms, health->problem, sizeof health->problem);
}

bool history_next_notice(struct history *history, struct history_notice *notice)
{
    (void)pthread_mutex_lock(&history->mutex);
    check_late(history);
    bool any = notice_queue_take(&history->notices, notice);
    unlock(history);
    return any;
}

/* ---- closing ---- */

static void silence(struct history *history)
{
    (void)pthread_mutex_lock(&history->voice);
    history->log = NULL;
    history->wake = NULL;
    (void)pthread_mutex_unlock(&history->voice);
}

/* The thread keeps to the deadline by itself; this waits a little longer for its last words. */
static bool wait_until_finished(struct history *history, int64_t timeout_ms)
{
    atomic_store(&history->give_up, true);
    (void)pthread_mutex_lock(&history->mutex);
    history->stopping = true;
    history->stop_deadline_ms = clock_boot_ms() + timeout_ms;
    int64_t give_up_ms = history->stop_deadline_ms + 500;
    (void)pthread_cond_broadcast(&history->changed);
    int64_t left;
    while (!history->finished && (left = give_up_ms - clock_boot_ms()) > 0)
        writer_wait(history, left);
    bool finished = history->finished;
    (void)pthread_mutex_unlock(&history->mutex);
    return finished;
}

/* Once `abandoned` is set and the mutex is unlocked, the history belongs to its thread. */
static bool abandon(struct history *history)
{
    silence(history);
    (void)pthread_mutex_lock(&history->mutex);
    bool finished = history->finished;
    history->abandoned = !finished;
    if (!finished)
        (void)pthread_detach(history->thread);
    (void)pthread_mutex_unlock(&history->mutex);
    return !finished;
}

void history_close(struct history *history, int64_t timeout_ms)
{
    if (history == NULL)
        return;
    if (!history->started) {
        database_close(history->database, false); /* as clean or not as it was found */
        writer_free(history);
        return;
    }
    if (!wait_until_finished(history, timeout_ms)) {
        writer_log(
            history, LOG_LEVEL_ERROR,
            "The disk did not take the last readings in time; they are lost (their energy is "
            "counted by the next start), and the history will be checked then.");
        if (abandon(history))
            return;
    }
    (void)pthread_join(history->thread, NULL);
    writer_free(history);
}
