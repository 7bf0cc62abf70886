/* SPDX-License-Identifier: MIT */
/**
 * The writer's connection to a history file: opened, identified, checked after an unclean stop,
 * migrated, its statements prepared. What follows from damage is decided above (database.h).
 */
#ifndef BRIDGE_HISTORY_STORE_HANDLE_H
#define BRIDGE_HISTORY_STORE_HANDLE_H

#include "bridge/history/store/channels.h"
#include "bridge/history/store/rows.h"
#include "drivers/base/log.h"
#include "drivers/base/status.h"

#include <sqlite3.h>
#include <stdbool.h>

/** The path and the log are set by the owner; zero-initialise the rest. */
struct handle {
    const char *path;
    struct log *log;   /**< may be NULL */
    sqlite3 *db;       /**< NULL: not open */
    struct rows *rows; /**< NULL then */
    bool exclusive;    /**< the disk was full: nobody else can read the file; see handle_open */
    bool unclean;      /**< the file that was loaded had not been closed in order */
    bool vanished;     /**< the file that was there before is gone */
};

/** What came of trying to open the file. */
enum verdict {
    SOUND,
    DAMAGED,  /**< error says how */
    UNUSABLE, /**< status and error say why */
};

/** What the file is opened for. */
enum purpose {
    TO_LOAD,   /**< the first time: check it, bring it up to date, load channels */
    TO_RENEW,  /**< it must be blank, as memory knows more than any other file could */
    TO_RESUME, /**< the file that was loaded before */
};

/**
 * Opens the file for writing. channels (may be NULL unless TO_LOAD) is empty before, and filled by
 * TO_LOAD. Readers share an index of the log with the writer, in a file of its own that cannot be
 * created on a full disk. The history can still be opened then: exclusively, with the index in memory,
 * until there is room. After any verdict but SOUND the handle must be closed.
 */
enum verdict handle_open(struct handle *handle, enum purpose purpose, struct channels *channels,
                         struct error *error, enum status *status);

/** Opens and checks a file on a disk that is mounted read-only; rows stays NULL. STATUS_OK: it was
 *  loaded into channels. */
enum status handle_open_unwritable(struct handle *handle, struct channels *channels,
                                   struct error *error);

/** as_found: leave the file and its log as they are, because they are damaged. */
void handle_close(struct handle *handle, bool as_found);

#endif
