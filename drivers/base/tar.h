/* SPDX-License-Identifier: MIT */
/** The headers of a tar archive (POSIX ustar), for plain files only. Pure: bytes and their meaning. */
#ifndef DRIVERS_BASE_TAR_H
#define DRIVERS_BASE_TAR_H

#include "drivers/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Headers, and what pads files, come in blocks of so many bytes; two blocks of zeros end an archive. */
#define TAR_BLOCK 512
/** Bytes of a file: eleven octal digits. */
#define TAR_FILE_MAX ((INT64_C(1) << 33) - 1)
#define TAR_NAME_SIZE 101

struct tar_entry {
    char name[TAR_NAME_SIZE];
    int64_t size;
    int64_t modified_s; /**< since 1970 */
};

/** Bytes that follow a file of that size, up to the next header. */
size_t tar_padding(int64_t size);

/** Writes the header of a file of mode 0600. False if name or size do not fit. */
bool tar_write(const struct tar_entry *entry, char block[TAR_BLOCK]);

/**
 * Reads a header. *end: the block ends the archive. STATUS_USAGE: it is no header of a plain file: its
 * checksum, its numbers or its type is not what it must be.
 */
enum status tar_read(const char block[TAR_BLOCK], struct tar_entry *entry, bool *end,
                     struct error *error);

#endif
