/* SPDX-License-Identifier: MIT */
/**
 * Puts energy that others counted into the history (foreign.h), from one file for one channel. All of
 * it or nothing; the service may run. A piece of energy that is longer than a quarter of an hour is
 * spread evenly over its time.
 *
 * What was measured here goes first: a channel's own readings also tell what was counted between
 * them, so from the first one on nothing is imported, unless fill_gaps asks for the quarters without
 * readings.
 *
 * Importing again changes nothing: of two values for the same quarter the greater one stays, so a
 * longer file of the same source completes the last quarter of a shorter one.
 */
#ifndef BRIDGE_HISTORY_IMPORT_FOREIGN_IMPORT_H
#define BRIDGE_HISTORY_IMPORT_FOREIGN_IMPORT_H

#include "bridge/history/import/foreign_parse.h"
#include "drivers/base/status.h"

#include <stdbool.h>
#include <stdint.h>

struct foreign_import_options {
    const char *path;   /**< the history */
    const char *file;   /**< "-" is standard input */
    const char *device; /**< need not be known yet */
    const char *channel;
    bool produced; /**< the counter counts what is fed back */
    bool fill_gaps;
    bool dry_run; /**< only report */
    struct foreign_parse_options parse;
};

struct foreign_import_report {
    struct foreign_parsed parsed;
    int64_t id; /**< of this import; 0: nothing was written */
    int64_t quarters_new, quarters_raised, quarters_same, quarters_measured;
    int64_t new_uwh;      /**< that the history has more now, or would have */
    int64_t same_uwh;     /**< of the file, that it had already */
    int64_t measured_uwh; /**< of the file, left out as it was measured here */
};

/** STATUS_USAGE: no such history, or a file that is not understood. */
enum status foreign_import(const struct foreign_import_options *options,
                           struct foreign_import_report *report, struct error *error);

/** Takes an import out again: the quarters whose values came from it. *quarters counts them.
 *  STATUS_USAGE: there is none with that id. */
enum status foreign_undo(const char *path, int64_t id, int64_t *quarters, struct error *error);

/** Borrowed while the callback runs. */
struct foreign_file {
    int64_t id;
    int64_t made_ms;
    const char *device, *channel, *file, *format;
    int64_t quarters;         /**< whose values came from it */
    int64_t first_ms, end_ms; /**< of these; 0 if there are none */
    int64_t imported_uwh, exported_uwh;
};

/** Return false to stop. */
typedef bool (*foreign_file_callback)(void *context, const struct foreign_file *file);

/** Each import, the oldest first. */
enum status foreign_files(const char *path, foreign_file_callback callback, void *context,
                          struct error *error);

#endif
