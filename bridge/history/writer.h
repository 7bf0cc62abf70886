/* SPDX-License-Identifier: MIT */
/**
 * The thread that writes the history: everything queued in one transaction per commit interval,
 * tried again after 1 to 30 s when the disk is not writable. The lock around the queue is never
 * held while the disk is used, so putting never waits for it.
 */
#ifndef BRIDGE_HISTORY_WRITER_H
#define BRIDGE_HISTORY_WRITER_H

#include "bridge/history/history.h"
#include "bridge/history/store/channels.h"
#include "bridge/history/store/database.h"

struct writer;

/** Takes over the database and what channels holds. */
struct writer *writer_create(const struct history_options *options, struct database *database,
                             const struct channels *channels);

/** For a moment, at any time: what is added goes into the next transaction. The disk is never used
 *  while they are locked. Borrowed until writer_unlock_channels. */
struct channels *writer_lock_channels(struct writer *writer);
void writer_unlock_channels(struct writer *writer);

enum status writer_start(struct writer *writer, struct error *error);

/** As the functions of history.h with the same names. */
void writer_put_reading(struct writer *writer, const struct queued_reading *item,
                        const struct energy_state *state);
void writer_put_state(struct writer *writer, unsigned number, const struct energy_state *state);
/** False if the former one is not stored yet. */
bool writer_put_calibration(struct writer *writer, unsigned number,
                            const struct calibration *factors, int64_t wall_ms);
/** Before writer_start: at once. After it: by the thread, see history.h. */
enum status writer_recalibrate(struct writer *writer, const struct history_recalibration *request,
                               struct history_recalibrated *done, struct error *error);
bool writer_recalibration_begin(struct writer *writer, const struct history_recalibration *request);
bool writer_recalibration_end(struct writer *writer, enum status *status,
                              struct history_recalibrated *done, struct error *error);
void writer_put_event(struct writer *writer, const struct queued_event *event);
/** False if there is no room for another. To be used only before writer_start. */
bool writer_outbox(struct writer *writer, const char *id, enum outbox_level level, bool from_now,
                   unsigned *number);
int64_t writer_outbox_begin(struct writer *writer, unsigned number, unsigned *file);
void writer_outbox_done(struct writer *writer, unsigned number, int64_t cursor, int64_t refused);
void writer_stored_totals(struct writer *writer, unsigned number, int64_t *imported_uwh,
                          int64_t *exported_uwh);
void writer_health(struct writer *writer, struct history_health *health);
void writer_close(struct writer *writer, int64_t timeout_ms);

#endif
