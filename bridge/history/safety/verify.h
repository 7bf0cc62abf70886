/* SPDX-License-Identifier: MIT */
/**
 * Whether a history file, or a copy of one, is what it should be: sound as a database, its tables in
 * agreement with each other, rollups with what they were made of, and no total below what its
 * readings add up to. Read-only.
 */
#ifndef BRIDGE_HISTORY_SAFETY_VERIFY_H
#define BRIDGE_HISTORY_SAFETY_VERIFY_H

#include "drivers/base/status.h"

#include <stdbool.h>
#include <stdint.h>

/** A channel of the file; borrowed while the callback runs. */
struct history_verified_channel {
    const char *device;
    const char *channel;
    int64_t readings;
    int64_t first_ms, last_ms;                      /**< only if there are readings */
    int64_t imported_uwh, exported_uwh;             /**< what the readings add up to */
    int64_t total_imported_uwh, total_exported_uwh; /**< greater, once old readings are deleted */
    bool set_by_user; /**< the total was set, so the two need not agree */
    bool agrees;
};

struct history_verify_sink {
    void *context;
    void (*problem)(void *context, const char *sentence);
    void (*channel)(void *context, const struct history_verified_channel *channel);
};

/**
 * *version: the file's format, 0 if it could not be read. Channels are only looked at when the file
 * is sound and of this program's version. STATUS_MISMATCH: a problem was reported. STATUS_USAGE: there is
 * no such file, it is no history, or it is of a newer version. STATUS_FAILED: the disk.
 */
enum status history_verify(const char *path, const struct history_verify_sink *sink, int *version,
                           struct error *error);

#endif
