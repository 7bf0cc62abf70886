/* SPDX-License-Identifier: MIT */
/**
 * A file of somebody else as lines of UTF-8: UTF-16 with or without a byte order mark is converted, a
 * byte order mark and line ends are taken away. The first lines can be read twice, so that a reader can
 * look at the file before it decides how to understand it.
 */
#ifndef BRIDGE_HISTORY_IMPORT_FOREIGN_SOURCE_H
#define BRIDGE_HISTORY_IMPORT_FOREIGN_SOURCE_H

#include "drivers/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define FOREIGN_LINE_MAX 65536                /**< bytes */
#define FOREIGN_SAMPLE_BYTES ((size_t)262144) /**< of the file that can be read twice */

struct foreign_source;

/** file is borrowed. STATUS_USAGE: UTF-16 that is damaged, or larger than 64 MiB. */
enum status foreign_source_open(FILE *file, struct foreign_source **source, struct error *error);
/** NULL is allowed. */
void foreign_source_close(struct foreign_source *source);

/** The first byte that is no space or line end; EOF if there is none. */
int foreign_source_first(const struct foreign_source *source);

/** The next line, to be changed in place, valid until the next call; NULL at the end or after an error,
 *  which foreign_source_status tells. */
char *foreign_source_line(struct foreign_source *source);
/** 1 for the first line. */
int64_t foreign_source_line_number(const struct foreign_source *source);
enum status foreign_source_status(const struct foreign_source *source, struct error *error);

/** True while the lines read so far can be read again. */
bool foreign_source_in_sample(const struct foreign_source *source);
void foreign_source_rewind(struct foreign_source *source);

/** All of it from the beginning, NUL-terminated and to be freed; STATUS_USAGE if it is longer than limit. */
enum status foreign_source_all(struct foreign_source *source, size_t limit, char **text,
                               size_t *length, struct error *error);

#endif
