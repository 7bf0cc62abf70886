/* SPDX-License-Identifier: MIT */
/**
 * The history: every reading as measured, energy totals, calibrations and events in one SQLite
 * file. This folder is the only one that includes sqlite3.h.
 *
 * A thread of its own writes, in one transaction per commit interval (synchronous=FULL), behind a
 * bounded queue; callers never wait for the disk. Energy totals and the readings they belong to are in
 * the same transaction; between transactions that are further apart, totals are written alone at least every
 * 10 s (safety/interim.h), and readings that a kill then costs leave their counts to the next ones. When the disk is full or the file is damaged, metering goes on: the queue keeps
 * the newest readings, totals are kept in memory, the fault is reported, and writing resumes by itself;
 * after damage in the newest sound backup or a fresh file, and the damaged one is quarantined. Until the
 * wall clock is set, readings wait in memory for their stamps, and totals are stored without them.
 */
#ifndef BRIDGE_HISTORY_HISTORY_H
#define BRIDGE_HISTORY_HISTORY_H

#include "bridge/history/health.h"
#include "bridge/history/notice.h"
#include "bridge/history/outbox.h"
#include "bridge/history/recalibration.h"
#include "bridge/meter/calibration.h"
#include "bridge/meter/energy.h"
#include "drivers/base/log.h"
#include "drivers/base/status.h"
#include "drivers/reading.h"

#include <stddef.h>
#include <stdint.h>

struct history_options {
    const char *path;           /**< the database file; its folder must exist */
    const char *backup_folder;  /**< where backups of it are looked for after damage; NULL or "":
                                     beside it */
    int64_t commit_interval_ms; /**< 200..60000; 0: the default, 60000 */
    int64_t totals_interval_ms; /**< totals are written at least so often; 0: the default, 9500 */
    int64_t clock_wait_ms;      /**< so long after boot, readings wait for a clock that is not set
                                     (stamping.h); 0: never */
    size_t queue_limit;         /**< readings held in memory at most, 0: the default, 65536; while a
                                     transaction is under way as many again may arrive. When
                                     they do not fit the oldest go, and the energy they had
                                     credited is credited to the reading that follows them */
    /** How long readings, minutes and 15-minute buckets are kept; 0: unlimited. Once a day what is older
     *  is deleted, but only when the clock is trustworthy (retention.h). Days are kept without limit. */
    int64_t keep_raw_ms, keep_minute_ms, keep_hour_ms;
    struct log *log;
    /** Called on the writer thread when the health below changes for the worse or better. Must only
     *  wake the caller's loop (uv_async_send). */
    void (*wake)(void *context);
    void *wake_context;
};

struct history;

/**
 * Opens (creating, migrating, checking after an unclean stop) on the calling thread, before any
 * thread is started. A damaged file is quarantined as PATH.damaged-<UTC time> (with -wal and
 * -shm). The newest sound backup (backup.h) takes its place; without one, what can still be read of channels
 * and totals is carried over into a fresh file. Totals are the maximum that any of these and
 * PATH.totals.json have; history_health tells. Fails only when no database can be had at all:
 * STATUS_USAGE, with what to do (folder missing or not writable, file of a newer version), or
 * STATUS_FAILED, with which trying again may help (another process has it, a service that a hanging
 * disk does not let go included).
 *
 * Beside the file stand PATH.lock, which keeps a second service off, and PATH.totals.json, a copy of
 * the totals for the case that the file is lost (totals_file.h). A full disk is no obstacle unless
 * the file has yet to be made or brought up to date, nor is a read-only one if the file is sound and of
 * this version: then it is read, and writing begins when the disk takes it.
 */
enum status history_open(const struct history_options *options, struct history **history,
                         struct error *error);

/** Number of a channel in this file, created when first seen (also while the writer runs: it is in
 *  the next transaction); what is known of it is loaded. state->known is false if it was never
 *  seen. When the channel was read by another kind of source before, its total so far comes as the
 *  base of a state that is not known, so that totals go on although the new source's counter begins
 *  elsewhere. */
enum status history_channel(struct history *history, const char *device, const char *channel,
                            enum reading_kind kind, unsigned *number, struct energy_state *state,
                            struct error *error);

/** Whether the history has a channel of a device with that id, also one that is no longer read. */
bool history_has_device(struct history *history, const char *device);
/** All that is known of a device is known under another id from now on; stored at once. No channel of it may
 *  be read meanwhile. STATUS_USAGE: the history has a device with that id. */
enum status history_rename_device(struct history *history, const char *from, const char *to,
                                  struct error *error);

/** Says what is configured for a channel, and decides what it is run with: that, or what was
 *  measured (history_measured) since the configuration last changed. Records it, valid from
 *  wall_ms, if it differs from the last one recorded. After history_channel, before the first reading.
 *  *changed says whether the counts in the channel's state were counted under other
 *  factors than those; then previous (may be NULL) receives the former: create the meter with
 *  previous and the state, then give it the calibration in use. That stays true after a crash in
 *  between, as each stored total knows the factors it was counted with.
 */
enum status history_calibration(struct history *history, unsigned number,
                                const struct calibration *calibration, bool invert, int64_t wall_ms,
                                struct calibration *previous, bool *changed, struct error *error);

/** What history_calibration decided. */
void history_calibration_in_use(struct history *history, unsigned number,
                                struct calibration *calibration, bool *measured,
                                int64_t *valid_from_ms);

/** Records factors found by measuring, to be used from wall_ms on until the configured ones change;
 *  at any time after history_calibration, committed at once. Then give them to the meter, and its
 *  state to history_put_state. STATUS_USAGE: impossible factors. STATUS_FAILED: the disk has not
 *  taken the ones before yet. */
enum status history_measured(struct history *history, unsigned number,
                             const struct calibration *calibration, int64_t wall_ms,
                             struct error *error);

/** Corrects the past at once; only before history_start. */
enum status history_recalibrate(struct history *history,
                                const struct history_recalibration *request,
                                struct history_recalibrated *done, struct error *error);

/** What that would do to the file at path, which stays as it is whatever its state: it is not opened as
 *  a service would. request->dry_run is taken for granted. STATUS_USAGE also: of an older version. */
enum status history_recalibrate_try(const char *path, const struct history_recalibration *request,
                                    struct history_recalibrated *done, struct error *error);

/** history_recalibrate while the writer runs: it does it after what was put so far, and wakes the owner. False if
 *  another one has not ended yet. */
bool history_recalibration_begin(struct history *history,
                                 const struct history_recalibration *request);

/** True once when it is done. Then give done->adjustment to the meter of channel done->number before
 *  anything else is put (unless it was a dry run or failed). */
bool history_recalibration_end(struct history *history, enum status *status,
                               struct history_recalibrated *done, struct error *error);

/** Whether a service is writing the history at path. */
bool history_in_use(const char *path);

/** Starts the writer; its first transaction stores what is new since history_open. */
enum status history_start(struct history *history, struct error *error);

/** Never blocks. imported/exported: counts credited by this reading. state: totals as of it. */
void history_put_reading(struct history *history, unsigned number, const struct reading *reading,
                         int64_t imported, int64_t exported, const struct energy_state *state);

/** Totals changed without a reading (set by the user), or a chip restarted. Committed at once. */
void history_put_state(struct history *history, unsigned number, const struct energy_state *state);

/** number 0: about the bridge, not a channel. kind: a stable word, at most 31 bytes; message: a
 *  sentence, at most 255 bytes. */
void history_put_event(struct history *history, unsigned number, int64_t wall_ms, const char *kind,
                       const char *message);

/**
 * The outbox of a sink and a level: what stands behind its cursor. Made when first seen, before
 * history_start, with the cursor at the beginning, or behind the newest reading. STATUS_FAILED: there
 * are too many.
 */
enum status history_outbox(struct history *history, const char *id, enum outbox_level level,
                           bool from_now, unsigned *number, struct error *error);

/** On any thread, before reading on (history_stream_read, history_points_read): the key after which to
 *  read. *file changes when another file has taken the place of a damaged one, which is to be opened
 *  then. */
int64_t history_outbox_begin(struct history *history, unsigned number, unsigned *file);

/** The sink has everything up to this key, but for `refused` lines that it will never take. Stored
 *  with the next transaction; a crash before it only makes the sink get something twice. */
void history_outbox_done(struct history *history, unsigned number, int64_t cursor, int64_t refused);

/** Totals as the disk has them, in microwatt hours: what a power cut at this moment would
 * leave. A bridge that publishes these, not the meter's, never has to take a published total back.
 */
void history_stored_totals(struct history *history, unsigned number, int64_t *imported_uwh,
                           int64_t *exported_uwh);

/** The next thing to publish as an event of the bridge (notice.h), oldest first; false if there is
 *  none. They wait until they are taken, the newest 16. */
bool history_next_notice(struct history *history, struct history_notice *notice);

/** What happened to a damaged file: health->quarantined and restored in a sentence; "" if nothing. */
void history_quarantine_sentence(const struct history_health *health, char *text, size_t size);

void history_health(struct history *history, struct history_health *health);

/** Commits what is queued (waiting at most timeout_ms), marks the stop as clean, frees all. If the
 *  disk does not answer in that time, the writer's thread keeps what it holds until the process
 *  ends, says nothing more, and the next opening finds an unclean stop. */
void history_close(struct history *history, int64_t timeout_ms);

#endif
