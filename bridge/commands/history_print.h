/* SPDX-License-Identifier: MIT */
/** Points in time as the commands about the history show them. */
#ifndef BRIDGE_COMMANDS_HISTORY_PRINT_H
#define BRIDGE_COMMANDS_HISTORY_PRINT_H

#include "bridge/history/query/energy.h"

#include <stdint.h>

enum { HISTORY_PRINT_SIZE = 64 };

/** ISO 8601 with offset, for programs; returns buffer. */
const char *history_print_time(int64_t wall_ms, char buffer[HISTORY_PRINT_SIZE]);

/** Local time for people, "2026-10-01 14:00:05"; returns buffer. */
const char *history_print_local(int64_t wall_ms, char buffer[HISTORY_PRINT_SIZE]);

/** The beginning of a bucket, as short as it can be: "2026-10-01 14:00 CEST", "2026-10-01 Thu",
 *  "2026-W40",  "2026-10", "2026". wall_ms is within 1970 to 9999. Returns buffer. */
const char *history_print_start(enum history_bucket bucket, int64_t wall_ms,
                                char buffer[HISTORY_PRINT_SIZE]);

#endif
