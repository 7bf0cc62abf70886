/* SPDX-License-Identifier: MIT */
#include "bridge/history/query/reader.h"

#include "bridge/history/query/buckets.h"
#include "bridge/history/store/schema.h"
#include "bridge/history/store/sql.h"
#include "drivers/base/memory.h"

#include <string.h>
#include <unistd.h>

static enum status explain_open(const char *path, int code, sqlite3 *db, struct error *error)
{
    if (code == SQLITE_CANTOPEN_ISDIR)
        return sql_explain(code, db, path, error);
    if ((code & 0xff) == SQLITE_CANTOPEN && access(path, F_OK) != 0)
        return error_set(error, STATUS_USAGE,
                         "There is no history at %s. The service makes it when it first runs.",
                         path);
    if ((code & 0xff) == SQLITE_CANTOPEN || (code & 0xff) == SQLITE_READONLY)
        return error_set(error, STATUS_USAGE,
                         "The history %s cannot be read by this user, who must be able to read the "
                         "file and write to its folder. Run this as the service's user.",
                         path);
    return sql_explain(code, db, path, error);
}

static enum status check_version(sqlite3 *db, const char *path, bool older, struct error *error)
{
    struct schema_identity identity = {0};
    int code = schema_identify(db, &identity);
    if (code != SQLITE_OK)
        return explain_open(path, code, db, error);
    enum status status = schema_check(&identity, path, error);
    if (status != STATUS_OK)
        return status;
    if (identity.version < schema_newest() && !(older && identity.version > 0))
        return error_set(error, STATUS_USAGE,
                         "The history %s is of an older version. Start the service once; it brings "
                         "the file up to date.",
                         path);
    return STATUS_OK;
}

static enum status open_reader(const char *path, bool older, sqlite3 **db, struct error *error)
{
    int code = sql_open(path, SQLITE_OPEN_READONLY, false, db);
    if (code != SQLITE_OK)
        return explain_open(path, code, *db, error);
    return check_version(*db, path, older, error);
}

enum status reader_open(const char *path, sqlite3 **db, struct error *error)
{
    return open_reader(path, false, db, error);
}

enum status reader_open_older(const char *path, sqlite3 **db, struct error *error)
{
    return open_reader(path, true, db, error);
}

enum status reader_no_such_channel(sqlite3 *db, const char *device, const char *channel,
                                   struct error *error)
{
    sqlite3_stmt *statement = NULL;
    const char *names = NULL;
    if (sqlite3_prepare_v2(db,
                           "SELECT group_concat(device || ' ' || channel, ', ') FROM "
                           "(SELECT DISTINCT device, channel FROM channel ORDER BY 1, 2 LIMIT 30)",
                           -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        names = (const char *)sqlite3_column_text(statement, 0);
    (void)error_set(error, STATUS_USAGE,
                    "The history has no %s%s%s%.60s. It has these devices and channels: %.700s.",
                    channel == NULL ? "device " : "channel ", channel == NULL ? "" : channel,
                    channel == NULL ? "" : " of device ", device, names == NULL ? "none" : names);
    (void)sqlite3_finalize(statement);
    return STATUS_USAGE;
}

static void take_channel(struct reader_channels *channels, sqlite3_stmt *statement)
{
    int64_t number = sqlite3_column_int64(statement, 0);
    const char *device = (const char *)sqlite3_column_text(statement, 1);
    const char *name = (const char *)sqlite3_column_text(statement, 2);
    if (number < 1 || number > CHANNEL_NUMBER_MAX || device == NULL || name == NULL ||
        strlen(device) >= CHANNEL_TEXT_MAX || strlen(name) >= CHANNEL_TEXT_MAX)
        return; /* no service of ours wrote such a row */
    struct reader_channel *channel = &channels->list[channels->count++];
    channel->number = (unsigned)number;
    memcpy(channel->device, device, strlen(device) + 1);
    memcpy(channel->name, name, strlen(name) + 1);
    channel->kind = (enum reading_kind)sqlite3_column_int(statement, 3);
    channel->since_ms = sqlite3_column_int64(statement, 4); /* NULL gives 0 */
    channels->by_number[number] = channels->count;
}

enum status reader_channels(sqlite3 *db, const char *path, const char *device, const char *channel,
                            struct reader_channels *channels, struct error *error)
{
    *channels = (struct reader_channels){.list = NULL};
    int64_t most;
    int code = sql_integer(db, "SELECT count(*) FROM channel", &most);
    if (code != SQLITE_OK)
        return sql_explain(code, db, path, error);
    channels->list = memory_new((size_t)most, sizeof *channels->list);
    sqlite3_stmt *statement = NULL;
    code = sqlite3_prepare_v2(db,
                              "SELECT number, device, channel.channel, kind, "
                              "(SELECT min(valid_from_ms) FROM calibration "
                              "WHERE calibration.channel = number) FROM channel "
                              "WHERE (?1 IS NULL OR device = ?1) "
                              "AND (?2 IS NULL OR channel.channel = ?2) ORDER BY number LIMIT ?3",
                              -1, &statement, NULL);
    if (code == SQLITE_OK) {
        (void)sqlite3_bind_text(statement, 1, device, -1, SQLITE_STATIC); /* NULL binds NULL */
        (void)sqlite3_bind_text(statement, 2, channel, -1, SQLITE_STATIC);
        (void)sqlite3_bind_int64(statement, 3, most);
        while ((code = sqlite3_step(statement)) == SQLITE_ROW)
            take_channel(channels, statement);
    }
    (void)sqlite3_finalize(statement);
    enum status status = STATUS_OK;
    if (code != SQLITE_DONE)
        status = sql_explain(code, db, path, error);
    else if (channels->count == 0 && (device != NULL || channel != NULL))
        status = reader_no_such_channel(db, device == NULL ? "" : device, channel, error);
    if (status == STATUS_OK)
        return STATUS_OK;
    free(channels->list);
    channels->list = NULL;
    return status;
}

enum status reader_check_order(int64_t from_ms, int64_t to_ms, struct error *error)
{
    if (from_ms >= to_ms)
        return error_set(error, STATUS_USAGE,
                         "The time asked for ends before it begins, or where it begins. A date "
                         "means the beginning of that day.");
    return STATUS_OK;
}

enum status reader_check_span(int64_t from_ms, int64_t to_ms, struct error *error)
{
    if (from_ms < 0 || to_ms > BUCKET_TIME_MAX_MS)
        return error_set(error, STATUS_USAGE, "The time asked for is not within 1970 to 9999.");
    return reader_check_order(from_ms, to_ms, error);
}
