/* SPDX-License-Identifier: MIT */
/**
 * Energy that others counted, imported from their files (foreign_import.h): microwatt hours per quarter
 * of an hour, beside what was measured and never mixed with it in the file. Questions add it to
 * their answers and say how much of them it is. Totals do not know of it.
 */
#ifndef BRIDGE_HISTORY_IMPORT_FOREIGN_H
#define BRIDGE_HISTORY_IMPORT_FOREIGN_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#define FOREIGN_QUARTER_MS 900000LL

/** A look-up of one device, or one channel of it. */
struct foreign {
    sqlite3_stmt *sum;
    bool any; /**< there is something for it */
};

/** channel NULL: all of the device. The texts must outlive the look-up. SQLite's code; foreign_close
 *  is right after a failure, too. */
int foreign_open(sqlite3 *db, const char *device, const char *channel, struct foreign *foreign);
void foreign_close(struct foreign *foreign);

/** What the quarters that begin in from_ms..to_ms have. SQLite's code. */
int foreign_sum(struct foreign *foreign, int64_t from_ms, int64_t to_ms, int64_t *imported_uwh,
                int64_t *exported_uwh);

#endif
