/* SPDX-License-Identifier: MIT */
/**
 * Times as people and other programs write them, in the process's time zone (TZ).
 */
#ifndef BRIDGE_HISTORY_QUERY_TIME_TEXT_H
#define BRIDGE_HISTORY_QUERY_TIME_TEXT_H

#include "drivers/base/status.h"
#include "drivers/base/text.h"

#include <stdint.h>

/**
 * "now", "today", "yesterday", "tomorrow" (their first moments), "2026-10-01" (its first moment),
 * "2026-10-01T14:30", "2026-10-01 14:30:05.250", and those with an offset: "...Z", "...+02:00",
 * "...+0200". Years 1970 to 9999. Without an offset the local clock counts: a time that occurs
 * twice is the earlier one, a time that summer time skips is as much later as the clock skips.
 * STATUS_USAGE with what is accepted otherwise.
 */
enum status time_text_parse(const char *text, int64_t now_ms, int64_t *wall_ms,
                            struct error *error);

/** Appends ISO 8601 with the local offset: "2026-10-25T00:00:00+02:00"; milliseconds if any. */
void time_text_append(struct text *text, int64_t wall_ms);

#endif
