/* SPDX-License-Identifier: MIT */
/** What the commands about the history write their tables and plots with. */
#ifndef BRIDGE_COMMANDS_HISTORY_PRINT_H
#define BRIDGE_COMMANDS_HISTORY_PRINT_H

#include "bridge/history/query/energy.h"
#include "drivers/base/text.h"

#include <stdbool.h>
#include <stdint.h>

/** Whether the locale says that block characters can be shown. */
bool history_print_utf8(void);

enum { HISTORY_PRINT_SIZE = 64 };

/** A moment as ISO 8601 with offset; returns buffer. */
const char *history_print_time(int64_t wall_ms, char buffer[HISTORY_PRINT_SIZE]);

/** The begin of a bucket, no longer than it takes to tell: "2026-10-01 14:00 CEST", "2026-10-01 Thu",
 *  "2026-10", "2026". wall_ms is within 1970 to 9999. Returns buffer. */
const char *history_print_start(enum history_bucket bucket, int64_t wall_ms,
                                char buffer[HISTORY_PRINT_SIZE]);

/** A space and a number of 10^-scale, right-aligned; "-" if it is not known. */
void history_print_column(struct text *text, int width, bool known, int64_t value, unsigned scale,
                          unsigned decimals);

#endif
