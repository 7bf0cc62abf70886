/* SPDX-License-Identifier: MIT */
#include "bridge/history/history.h"

#include "bridge/history/queue.h"
#include "bridge/history/store/channels.h"
#include "bridge/history/store/database.h"
#include "bridge/history/writer.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"

#include <string.h>

struct history {
    struct writer *writer;
};

enum status history_open(const struct history_options *options, struct history **history,
                         struct error *error)
{
    struct channels channels = {0};
    struct database *database;
    enum status status = database_open(options->path, options->backup_folder, &channels,
                                       options->log, &database, error);
    if (status != STATUS_OK)
        return status;
    struct history *made = memory_new(1, sizeof *made);
    made->writer = writer_create(options, database, &channels);
    *history = made;
    return STATUS_OK;
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
    struct channels *channels = writer_lock_channels(history->writer);
    struct known_channel *known = channels_find_name(channels, device, channel, kind);
    if (known == NULL)
        known = channels_add(channels, 0, device, channel, kind);
    if (known != NULL) {
        channels_take_over(channels, known);
        *number = known->number;
        *state = known->state;
    }
    writer_unlock_channels(history->writer);
    if (known == NULL)
        return error_set(error, STATUS_FAILED,
                         "The history has no number left for channel %s of device %s; it can hold "
                         "%d channels. Begin another history file.",
                         channel, device, CHANNEL_NUMBER_MAX);
    return STATUS_OK;
}

enum status history_calibration(struct history *history, unsigned number,
                                const struct calibration *calibration, bool invert, int64_t wall_ms,
                                struct calibration *previous, bool *changed, struct error *error)
{
    enum status status = calibration_check(calibration, error);
    if (status != STATUS_OK)
        return status;
    struct channels *channels = writer_lock_channels(history->writer);
    struct known_channel *known = channels_find(channels, number);
    channels_configure(channels, known, calibration, invert, wall_ms);
    *changed = known->has_state && known->counted.id != 0 &&
               !calibration_equal(&known->counted.factors, &known->recorded.factors);
    if (*changed && previous != NULL)
        *previous = known->counted.factors;
    writer_unlock_channels(history->writer);
    return STATUS_OK;
}

void history_calibration_in_use(struct history *history, unsigned number,
                                struct calibration *calibration, bool *measured,
                                int64_t *valid_from_ms)
{
    const struct known_calibration *recorded =
        &channels_find(writer_lock_channels(history->writer), number)->recorded;
    *calibration = recorded->factors;
    *measured = recorded->origin == CALIBRATION_MEASURED;
    *valid_from_ms = recorded->valid_from_ms;
    writer_unlock_channels(history->writer);
}

enum status history_measured(struct history *history, unsigned number,
                             const struct calibration *calibration, int64_t wall_ms,
                             struct error *error)
{
    enum status status = calibration_check(calibration, error);
    if (status != STATUS_OK)
        return status;
    if (writer_put_calibration(history->writer, number, calibration, wall_ms))
        return STATUS_OK;
    return error_set(error, STATUS_FAILED,
                     "The disk has not yet taken the calibration before this one. Try again when "
                     "the history is written again.");
}

enum status history_recalibrate(struct history *history,
                                const struct history_recalibration *request,
                                struct history_recalibrated *done, struct error *error)
{
    return writer_recalibrate(history->writer, request, done, error);
}

bool history_recalibration_begin(struct history *history,
                                 const struct history_recalibration *request)
{
    return writer_recalibration_begin(history->writer, request);
}

bool history_recalibration_end(struct history *history, enum status *status,
                               struct history_recalibrated *done, struct error *error)
{
    return writer_recalibration_end(history->writer, status, done, error);
}

bool history_in_use(const char *path)
{
    return database_in_use(path);
}

enum status history_start(struct history *history, struct error *error)
{
    return writer_start(history->writer, error);
}

void history_put_reading(struct history *history, unsigned number, const struct reading *reading,
                         int64_t imported, int64_t exported, const struct energy_state *state)
{
    const struct queued_reading item = {
        .reading = *reading,
        .imported = imported,
        .exported = exported,
        .number = number,
    };
    writer_put_reading(history->writer, &item, state);
}

void history_put_state(struct history *history, unsigned number, const struct energy_state *state)
{
    writer_put_state(history->writer, number, state);
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
    writer_put_event(history->writer, &event);
}

enum status history_outbox(struct history *history, const char *id, enum outbox_level level,
                           bool from_now, unsigned *number, struct error *error)
{
    if (writer_outbox(history->writer, id, level, from_now, number))
        return STATUS_OK;
    return error_set(
        error, STATUS_FAILED,
        "The history knows too many sinks to add %s. Those that are no longer "
        "configured can be deleted from its table `sink` while the service is stopped.",
        id);
}

int64_t history_outbox_begin(struct history *history, unsigned number, unsigned *file)
{
    return writer_outbox_begin(history->writer, number, file);
}

void history_outbox_done(struct history *history, unsigned number, int64_t cursor, int64_t refused)
{
    writer_outbox_done(history->writer, number, cursor, refused);
}

void history_stored_totals(struct history *history, unsigned number, int64_t *imported_uwh,
                           int64_t *exported_uwh)
{
    writer_stored_totals(history->writer, number, imported_uwh, exported_uwh);
}

void history_health(struct history *history, struct history_health *health)
{
    writer_health(history->writer, health);
}

void history_close(struct history *history, int64_t timeout_ms)
{
    if (history == NULL)
        return;
    writer_close(history->writer, timeout_ms);
    free(history);
}
