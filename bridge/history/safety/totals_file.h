/* SPDX-License-Identifier: MIT */
/**
 * The totals once more, in a small JSON file beside the database (PATH.totals.json), replaced as a
 * whole (new file, fsync, rename) every ten minutes and at a clean stop. It is only read when the
 * database was damaged or is missing: energy since the channel was first seen must not begin anew
 * because a disk lost a page. Delete it together with the database to begin at zero.
 */
#ifndef BRIDGE_HISTORY_SAFETY_TOTALS_FILE_H
#define BRIDGE_HISTORY_SAFETY_TOTALS_FILE_H

#include "bridge/history/store/channels.h"
#include "drivers/base/status.h"

/** Path of the file that belongs to a database; to be freed. */
char *totals_file_path(const char *database_path);

/** Writes every channel that has a state. */
enum status totals_file_write(const char *path, const struct channels *channels,
                              struct error *error);

/**
 * Adds what the file has and channels has not, and takes the file's state of a channel where it
 * shows more energy; *taken counts the states that were. STATUS_OK without a file; STATUS_FAILED
 * if it cannot be read or is not what totals_file_write writes (what stood before the first fault
 * is taken).
 */
enum status totals_file_merge(const char *path, struct channels *channels, unsigned *taken,
                              struct error *error);

/** The same with the file's text; STATUS_FAILED if it is not what totals_file_write writes. */
enum status totals_text_merge(const char *text, size_t length, struct channels *channels,
                              unsigned *taken);

#endif
