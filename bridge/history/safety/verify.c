/* SPDX-License-Identifier: MIT */
#include "bridge/history/safety/verify.h"

#include "bridge/history/query/readings.h"
#include "bridge/history/store/channels.h"
#include "bridge/history/store/migrate.h"
#include "bridge/history/store/rows.h"
#include "bridge/history/store/sql.h"
#include "drivers/base/memory.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A clock that was set back puts readings under another calibration than they were counted with. */
#define TOLERANCE_PERMILLE 1
#define TOLERANCE_UWH 1000

struct sum {
    const char *device; /* of the channels below */
    const char *channel;
    struct history_verified_channel found;
};

struct verification {
    const char *path;
    const struct history_verify_sink *sink;
    sqlite3 *db;
    unsigned problems;
    struct channels channels;
    struct sum *sums;
    size_t sum_count;
};

static void report(struct verification *verification, const char *sentence)
{
    verification->problems++;
    verification->sink->problem(verification->sink->context, sentence);
}

/* ---- the database ---- */

/* Each row of the check but "ok" is a problem. */
static int run_check(struct verification *verification, const char *query, int column,
                     const char *what)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(verification->db, query, -1, &statement, NULL);
    while (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(statement, column);
        code = SQLITE_OK;
        if (text != NULL && strcmp(text, "ok") == 0)
            continue;
        char sentence[512];
        (void)snprintf(sentence, sizeof sentence, "%s: %.400s.", what, text == NULL ? "?" : text);
        report(verification, sentence);
    }
    (void)sqlite3_finalize(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int check_database(struct verification *verification)
{
    int code = run_check(verification, "PRAGMA integrity_check(20)", 0, "The file is damaged");
    if (code == SQLITE_OK && verification->problems == 0)
        code = run_check(verification, "PRAGMA foreign_key_check", 0,
                         "A row refers to one that is missing, in the table");
    int64_t strays = 0;
    if (code == SQLITE_OK && verification->problems == 0)
        code = sql_integer(verification->db,
                           "SELECT count(*) FROM reading WHERE key & 32767 NOT IN "
                           "(SELECT number FROM channel)",
                           &strays);
    if (strays > 0)
        report(verification, "There are readings of channels that the file does not have.");
    return code;
}

static enum status check_identity(struct verification *verification, int *version,
                                  struct error *error)
{
    struct schema_identity identity = {0};
    int code = schema_identify(verification->db, &identity);
    if (code != SQLITE_OK && !sql_is_damage(code))
        return sql_explain(code, verification->db, verification->path, error);
    if (code != SQLITE_OK) {
        report(verification, "The file is not a database, or its beginning is damaged.");
        return STATUS_OK;
    }
    enum status status = schema_check(&identity, verification->path, error);
    if (status != STATUS_OK)
        return status;
    *version = (int)identity.version;
    return STATUS_OK;
}

/* ---- rollups ---- */

/* Counts of energy, readings and the sum of voltage per bucket and channel: of the level below, over
 * the time for which its rows are complete, and not in the other table likewise. */
static int compare_level(struct verification *verification, const char *below, const char *samples,
                         const char *level, const char *what, int64_t length_ms)
{
    char sql[1500];
    const char *voltage = strcmp(below, "reading") == 0 ? "voltage" : "voltage_sum";
    /* Its arguments are numbered, which cppcheck does not understand. */
    /* cppcheck-suppress invalidPrintfArgType_sint */
    (void)snprintf(
        sql, sizeof sql,
        "WITH span (first, end) AS (SELECT ((SELECT min(key) FROM %1$s) >> 15) / %5$lld + 1, "
        "((SELECT max(key) FROM %3$s) >> 15) / %5$lld + 1), "
        "fine AS (SELECT (key >> 15) / %5$lld AS bucket, key & 32767 AS number, sum(%2$s) AS n, "
        "sum(imported) AS i, sum(exported) AS e, sum(%4$s) AS v FROM %1$s, span "
        "WHERE key >= (first * %5$lld) << 15 AND key < (end * %5$lld) << 15 GROUP BY 1, 2), "
        "coarse AS (SELECT (key >> 15) / %5$lld AS bucket, key & 32767 AS number, sum(samples) AS "
        "n, sum(imported) AS i, sum(exported) AS e, sum(voltage_sum) AS v FROM %3$s, span "
        "WHERE key >= (first * %5$lld) << 15 AND key < (end * %5$lld) << 15 GROUP BY 1, 2) "
        "SELECT count(*) FROM (SELECT * FROM fine WHERE n > 0 EXCEPT SELECT * FROM coarse)",
        below, samples, level, voltage, (long long)length_ms);
    int64_t differing = 0;
    int code = sql_integer(verification->db, sql, &differing);
    if (code != SQLITE_OK || differing == 0)
        return code;
    char sentence[160];
    (void)snprintf(sentence, sizeof sentence, "%lld %s do not agree with what they were made of.",
                   (long long)differing, what);
    report(verification, sentence);
    return code;
}

/* Days in another zone than the process's have other bounds: only their sum is compared. */
static int compare_days(struct verification *verification)
{
    int64_t difference = 0;
    int code = sql_integer(
        verification->db,
        "WITH span (first, end) AS (SELECT (SELECT min(key) FROM rollup_day WHERE key >= (SELECT "
        "min(key) FROM rollup_quarter)), (SELECT max(key) >> 15 << 15 FROM rollup_day)) "
        "SELECT coalesce((SELECT sum(imported) + sum(exported) FROM rollup_day, span WHERE key >= "
        "first >> 15 << 15 AND key < end), 0) - coalesce((SELECT sum(imported) + sum(exported) "
        "FROM rollup_quarter, span WHERE key >= first >> 15 << 15 AND key < end), 0)",
        &difference);
    if (code == SQLITE_OK && difference != 0)
        report(verification, "Days do not agree with the quarters of an hour they were made of.");
    return code;
}

static int check_rollups(struct verification *verification)
{
    int code = compare_level(verification, "reading", "1", "rollup_minute", "minutes", 60000);
    if (code == SQLITE_OK)
        code = compare_level(verification, "rollup_minute", "samples", "rollup_quarter",
                             "quarters of an hour", 900000);
    if (code == SQLITE_OK)
        code = compare_days(verification);
    return code;
}

/* ---- the sums ---- */

static struct sum *sum_of(struct verification *verification, const char *device,
                          const char *channel)
{
    for (size_t i = 0; i < verification->sum_count; i++)
        if (strcmp(verification->sums[i].device, device) == 0 &&
            strcmp(verification->sums[i].channel, channel) == 0)
            return &verification->sums[i];
    return NULL;
}

static bool add_reading(void *context, const struct history_reading *reading)
{
    struct sum *sum = sum_of(context, reading->device, reading->channel);
    if (sum == NULL)
        return true; /* a channel that came while this runs */
    struct history_verified_channel *found = &sum->found;
    if (found->readings++ == 0)
        found->first_ms = reading->reading.wall_ms;
    found->last_ms = reading->reading.wall_ms;
    if (__builtin_add_overflow(found->imported_uwh, reading->imported_uwh, &found->imported_uwh))
        found->imported_uwh = INT64_MAX;
    if (__builtin_add_overflow(found->exported_uwh, reading->exported_uwh, &found->exported_uwh))
        found->exported_uwh = INT64_MAX;
    return true;
}

/* A channel that was read by several kinds of source has one sum: each took over the total of the one
 * before, so the maximum is the latest. */
static void make_sums(struct verification *verification)
{
    const struct channels *channels = &verification->channels;
    verification->sums = memory_new(channels->count, sizeof *verification->sums);
    for (size_t i = 0; i < channels->count; i++) {
        const struct known_channel *channel = &channels->list[i];
        if (sum_of(verification, channel->device, channel->channel) == NULL)
            verification->sums[verification->sum_count++] =
                (struct sum){.device = channel->device,
                             .channel = channel->channel,
                             .found = {.device = channel->device, .channel = channel->channel}};
    }
}

static void take_totals(struct verification *verification, const struct channels *totals)
{
    for (size_t i = 0; i < totals->count; i++) {
        const struct known_channel *channel = &totals->list[i];
        struct sum *sum = sum_of(verification, channel->device, channel->channel);
        if (sum == NULL)
            continue;
        struct history_verified_channel *found = &sum->found;
        if (channel->stored_imported_uwh > found->total_imported_uwh)
            found->total_imported_uwh = channel->stored_imported_uwh;
        if (channel->stored_exported_uwh > found->total_exported_uwh)
            found->total_exported_uwh = channel->stored_exported_uwh;
    }
}

static int note_set_totals(struct verification *verification)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(verification->db,
                                  "SELECT DISTINCT device, channel FROM event JOIN channel "
                                  "ON number = key & 32767 WHERE event.kind = 'totals_set'",
                                  -1, &statement, NULL);
    while (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        const char *device = (const char *)sqlite3_column_text(statement, 0);
        const char *channel = (const char *)sqlite3_column_text(statement, 1);
        struct sum *sum =
            device == NULL || channel == NULL ? NULL : sum_of(verification, device, channel);
        if (sum != NULL)
            sum->found.set_by_user = true;
        code = SQLITE_OK;
    }
    (void)sqlite3_finalize(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static bool covers(int64_t total_uwh, int64_t readings_uwh)
{
    return total_uwh >= readings_uwh - readings_uwh / 1000 * TOLERANCE_PERMILLE - TOLERANCE_UWH;
}

static void judge(struct verification *verification, struct sum *sum)
{
    struct history_verified_channel *found = &sum->found;
    found->agrees = found->set_by_user || (covers(found->total_imported_uwh, found->imported_uwh) &&
                                           covers(found->total_exported_uwh, found->exported_uwh));
    if (!found->agrees) {
        char sentence[512];
        (void)snprintf(sentence, sizeof sentence,
                       "The total of %.120s %.120s is less than what its readings add up to.",
                       found->device, found->channel);
        report(verification, sentence);
    }
    verification->sink->channel(verification->sink->context, found);
}

/* Totals last: what the service writes meanwhile must not make them look too small. */
static enum status check_sums(struct verification *verification, struct error *error)
{
    int code = rows_load(verification->db, &verification->channels);
    if (code != SQLITE_OK)
        return sql_explain(code, verification->db, verification->path, error);
    make_sums(verification);
    enum status status = history_readings(verification->path, NULL, NULL, 0, INT64_MAX, add_reading,
                                          verification, error);
    if (status != STATUS_OK)
        return status;
    struct channels totals = {0};
    code = rows_load(verification->db, &totals);
    if (code == SQLITE_OK)
        take_totals(verification, &totals);
    channels_free(&totals);
    if (code == SQLITE_OK)
        code = note_set_totals(verification);
    if (code != SQLITE_OK)
        return sql_explain(code, verification->db, verification->path, error);
    for (size_t i = 0; i < verification->sum_count; i++)
        judge(verification, &verification->sums[i]);
    return STATUS_OK;
}

static enum status verify(struct verification *verification, int *version, struct error *error)
{
    enum status status = check_identity(verification, version, error);
    if (status != STATUS_OK || verification->problems > 0)
        return status;
    int code = check_database(verification);
    if (code != SQLITE_OK && sql_is_damage(code))
        report(verification, "The file is damaged; it could not be read to its end.");
    else if (code != SQLITE_OK)
        return sql_explain(code, verification->db, verification->path, error);
    if (verification->problems > 0 || *version != schema_newest())
        return STATUS_OK;
    code = check_rollups(verification);
    if (code != SQLITE_OK)
        return sql_explain(code, verification->db, verification->path, error);
    return check_sums(verification, error);
}

enum status history_verify(const char *path, const struct history_verify_sink *sink, int *version,
                           struct error *error)
{
    *version = 0;
    if (access(path, F_OK) != 0)
        return error_set(error, STATUS_USAGE, "There is no history at %s.", path);
    struct verification verification = {.path = path, .sink = sink};
    enum status status = STATUS_OK;
    int code = sql_open(path, SQLITE_OPEN_READONLY, false, &verification.db);
    if (code == SQLITE_OK || sql_is_damage(code))
        status = verify(&verification, version, error);
    else
        status = sql_explain(code, verification.db, path, error);
    (void)sqlite3_close(verification.db);
    channels_free(&verification.channels);
    free(verification.sums);
    if (status == STATUS_OK && verification.problems > 0)
        return error_set(error, STATUS_MISMATCH, "%s is not as it should be: %u problem(s).", path,
                         verification.problems);
    return status;
}
