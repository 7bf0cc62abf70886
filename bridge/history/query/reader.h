/* SPDX-License-Identifier: MIT */
/**
 * What every question to a history file begins with: opening it read-only, and finding the channels
 * it is about.
 */
#ifndef BRIDGE_HISTORY_QUERY_READER_H
#define BRIDGE_HISTORY_QUERY_READER_H

#include "bridge/history/store/channels.h"
#include "drivers/base/status.h"

#include <sqlite3.h>

/** STATUS_USAGE: no such file, not a history, or of another version. *db is always set (perhaps to
 *  NULL) and must be closed with sqlite3_close. */
enum status reader_open(const char *path, sqlite3 **db, struct error *error);

/** The same, and a history of an older version does as well; what its tables are is not known. */
enum status reader_open_older(const char *path, sqlite3 **db, struct error *error);

/** STATUS_USAGE if the span is empty. */
enum status reader_check_order(int64_t from_ms, int64_t to_ms, struct error *error);
/** The same, and if it is not within what buckets are made for. */
enum status reader_check_span(int64_t from_ms, int64_t to_ms, struct error *error);

/** A row of the table `channel`. */
struct reader_channel {
    unsigned number;
    enum reading_kind kind;
    char device[CHANNEL_TEXT_MAX];
    char name[CHANNEL_TEXT_MAX];
    int64_t since_ms; /**< begin of its first calibration, 0 if it has none */
};

struct reader_channels {
    struct reader_channel *list; /**< free() */
    size_t count;
    size_t by_number[CHANNEL_NUMBER_MAX + 1]; /**< index into list plus 1; 0: not among them */
};

/** The channels of that device (NULL: of all) with that name (NULL: all). STATUS_USAGE if there are
 *  none although a device or a name was given. list is NULL then. */
enum status reader_channels(sqlite3 *db, const char *path, const char *device, const char *channel,
                            struct reader_channels *channels, struct error *error);

/** STATUS_USAGE with a sentence that names those there are. */
enum status reader_no_such_channel(sqlite3 *db, const char *device, const char *channel,
                                   struct error *error);

#endif
