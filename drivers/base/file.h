/* SPDX-License-Identifier: MIT */
/** Small files, read with a bound and replaced so that a crash leaves the old or the new one. */
#ifndef DRIVERS_BASE_FILE_H
#define DRIVERS_BASE_FILE_H

#include "drivers/base/status.h"

#include <limits.h>
#include <stddef.h>

/** The whole file as a new NUL-terminated buffer (free()). STATUS_NO_ANSWER if there is none,
 *  STATUS_USAGE if it is longer than limit. */
enum status file_read(const char *path, size_t limit, char **bytes, size_t *length,
                      struct error *error);

/**
 * Whether a new file may take that name, which whoever renames one over another asks first: only where
 * there is nothing, or a file. A device, a pipe or a socket would be gone for all programs (/dev/null!).
 * A symbolic link is followed, so that the file it leads to is replaced and not the link; target
 * receives the name to use. STATUS_USAGE if it may not, with what to do.
 */
enum status file_target(const char *path, char target[PATH_MAX], struct error *error);

/** As mode: whatever the user's umask leaves of 0666; for files that a person asked for by name. */
#define FILE_MODE_UMASK 0U

/**
 * Creates a file anew for reading and writing. Whatever has that name is removed first: a symbolic link
 * is never followed, and a file that somebody else made is never written to. The file has exactly that
 * mode before its first byte is written. Returns the descriptor, or -1 with errno.
 */
int file_create(const char *path, unsigned mode);

/** Writes path.new (file_create), syncs it, renames it over path, syncs the folder. As file_target. */
enum status file_replace(const char *path, const void *bytes, size_t length, unsigned mode,
                         struct error *error);

/** Creates the folder (one level) if it is missing. */
enum status file_make_folder(const char *path, struct error *error);

#endif
