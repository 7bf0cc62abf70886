/* SPDX-License-Identifier: MIT */
/**
 * What a history file is: its application id, its versions, and the migrations between them
 * (migrations/NNNN_*.sql, built into the binary, forward only).
 */
#ifndef BRIDGE_HISTORY_STORE_SCHEMA_H
#define BRIDGE_HISTORY_STORE_SCHEMA_H

#include "drivers/base/status.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** 'BL09' in the file's header; the same number stands in migrations/0001. */
#define SCHEMA_APPLICATION_ID 1112289337

struct migration {
    int version;      /**< user_version after it: 1, 2, 3 ... */
    const char *name; /**< file name without ending, for messages */
    const char *sql;
};

/** All migrations, ascending. */
const struct migration *schema_migrations(size_t *count);

/** user_version of a file that this program writes. */
int schema_newest(void);

struct schema_identity {
    int64_t application;
    int64_t version; /**< user_version */
    int64_t objects; /**< tables and indexes */
};

/** SQLite's code. */
int schema_identify(sqlite3 *db, struct schema_identity *identity);

/** A file that nothing was ever written to. */
bool schema_is_blank(const struct schema_identity *identity);

/** STATUS_USAGE: the file at path belongs to another program, or a newer version wrote it. */
enum status schema_check(const struct schema_identity *identity, const char *path,
                         struct error *error);

#endif
