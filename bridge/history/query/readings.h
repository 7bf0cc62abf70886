/* SPDX-License-Identifier: MIT */
/**
 * The stored readings one by one, in order of time, each with the calibration that held then.
 * Read-only, usable while the service writes; each transaction is short, so that the writer's log does
 * not grow, and memory is the same for a year as for a day.
 */
#ifndef BRIDGE_HISTORY_QUERY_READINGS_H
#define BRIDGE_HISTORY_QUERY_READINGS_H

#include "bridge/meter/calibration.h"
#include "drivers/base/status.h"
#include "drivers/reading.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct history_reading {
    const char *device; /**< borrowed while the callback runs */
    const char *channel;
    enum reading_kind kind;
    struct reading reading; /**< as measured; boot_ms is not kept and 0 */
    struct calibration factors;
    bool invert;
    int64_t imported_counts; /**< credited by this reading */
    int64_t exported_counts;
    int64_t imported_uwh; /**< these counts converted as in query.h: sums of them are exact */
    int64_t exported_uwh;
    int64_t
        counted_for_ms; /**< over this time they were counted, if nobody read meanwhile; 0: since
                                 the reading before */
};

/** Return false to stop. */
typedef bool (*history_reading_callback)(void *context, const struct history_reading *reading);

/** device NULL: all; channel NULL: all of the device. from_ms <= time < to_ms. STATUS_USAGE: no
 *  such file, device or channel, or an empty span. */
enum status history_readings(const char *path, const char *device, const char *channel,
                             int64_t from_ms, int64_t to_ms, history_reading_callback callback,
                             void *context, struct error *error);

/** Reading on where one has left off, by the keys of the table. For one thread at a time. */
struct history_stream;

/** STATUS_USAGE: no such file, not a history, or of another version. */
enum status history_stream_open(const char *path, struct history_stream **stream,
                                struct error *error);
void history_stream_close(struct history_stream *stream);

#define HISTORY_STREAM_MAX 2048 /**< rows read at once */

/**
 * At most `most` (up to HISTORY_STREAM_MAX) readings of all channels in order of key, those after
 * `after`, in one short transaction. Each is converted by itself, so it is the same whenever it is
 * read: energies are rounded down to the microwatt hour. *last: the key of the last reading that the
 * callback took (returned true for), `after` if there was none. *more: there may be further ones.
 */
enum status history_stream_read(struct history_stream *stream, int64_t after, size_t most,
                                history_reading_callback callback, void *context, int64_t *last,
                                bool *more, struct error *error);

/** Return false to stop. The names are borrowed while the callback runs. */
typedef bool (*history_channel_callback)(void *context, const char *device, const char *channel);

/** Each channel of the device (NULL: of all) once, or only the one named. STATUS_USAGE as above. */
enum status history_channels(const char *path, const char *device, const char *channel,
                             history_channel_callback callback, void *context, struct error *error);

#endif
