/* SPDX-License-Identifier: MIT */
/** Small files, read with a bound and replaced so that a crash leaves the old or the new one. */
#ifndef DRIVERS_BASE_FILE_H
#define DRIVERS_BASE_FILE_H

#include "drivers/base/status.h"

#include <stddef.h>

/** The whole file as a new NUL-terminated buffer (free()). STATUS_NO_ANSWER if there is none,
 *  STATUS_USAGE if it is longer than limit. */
enum status file_read(const char *path, size_t limit, char **bytes, size_t *length,
                      struct error *error);

/** Writes path.new, syncs it, renames it over path, syncs the folder. */
enum status file_replace(const char *path, const void *bytes, size_t length, unsigned mode,
                         struct error *error);

/** Creates the folder (one level) if it is missing. */
enum status file_make_folder(const char *path, struct error *error);

#endif
