/* SPDX-License-Identifier: MIT */
/** Tables of energy (CSV): which column is what, how its numbers and times are to be read, and the walk
 *  over the rows. The rules stand in foreign_parse.h. */
#ifndef BRIDGE_HISTORY_IMPORT_FOREIGN_TABLE_H
#define BRIDGE_HISTORY_IMPORT_FOREIGN_TABLE_H

#include "bridge/history/import/foreign_counter.h"
#include "bridge/history/import/foreign_source.h"

/** Fills counter->parsed; foreign_counter_end is the caller's. */
enum status foreign_table_read(struct foreign_source *source,
                               const struct foreign_parse_options *options,
                               struct foreign_counter *counter, struct error *error);

/* Shared with the JSON formats. */

/** Notes a source's name for messages. */
void foreign_note_source(struct foreign_parsed *parsed, const char *name);
/** STATUS_USAGE: the file has several sources. */
enum status foreign_choose_source(const struct foreign_parsed *parsed, struct error *error);

#endif
