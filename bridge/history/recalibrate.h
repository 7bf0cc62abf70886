/* SPDX-License-Identifier: MIT */
/** Carries out what recalibration.h describes, on the writer's connection. */
#ifndef BRIDGE_HISTORY_RECALIBRATE_H
#define BRIDGE_HISTORY_RECALIBRATE_H

#include "bridge/history/recalibration.h"
#include "bridge/history/store/rollup_writer.h"
#include "drivers/base/status.h"

#include <sqlite3.h>

/** One transaction on the writer's connection, with the event `recalibrated`. STATUS_USAGE: no such
 *  channel, span, calibration, nothing to undo; STATUS_FAILED: disk. */
enum status recalibrate(sqlite3 *db, struct rollup_writer *rollups, const char *path,
                        const struct history_recalibration *request,
                        struct history_recalibrated *done, struct error *error);

/** What that would do to the file at path, which stays as it is. STATUS_FAILED also: in use. */
enum status recalibrate_try(const char *path, const struct history_recalibration *request,
                            struct history_recalibrated *done, struct error *error);

#endif
