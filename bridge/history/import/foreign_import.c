/* SPDX-License-Identifier: MIT */
#include "bridge/history/import/foreign_import.h"

#include "bridge/history/import/foreign.h"
#include "bridge/history/query/reader.h"
#include "bridge/history/store/rows.h"
#include "bridge/history/store/sql.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"
#include "drivers/base/wide.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define QUARTERS_MAX (200LL * 366 * 96)
#define PIECE_MAX_MS (400LL * 86400 * 1000) /* longer is no piece of energy but two of life */

/* ---- the file, by quarters ---- */

struct quarter {
    int64_t number; /* since 1970 */
    int64_t imported_uwh;
    int64_t exported_uwh;
};

/* Ascending; files nearly always are, too. */
struct quarters {
    struct quarter *list;
    size_t count;
    size_t capacity;
    bool produced;
};

static struct quarter *quarter_at(struct quarters *quarters, int64_t number)
{
    size_t low = 0;
    size_t high = quarters->count;
    if (high > 0 && quarters->list[high - 1].number < number)
        low = high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (quarters->list[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < quarters->count && quarters->list[low].number == number)
        return &quarters->list[low];
    if (quarters->count >= QUARTERS_MAX)
        return NULL;
    quarters->list =
        memory_grow(quarters->list, quarters->count, &quarters->capacity, sizeof *quarters->list);
    struct quarter *place = &quarters->list[low];
    memmove(place + 1, place, (quarters->count - low) * sizeof *place);
    quarters->count++;
    *place = (struct quarter){.number = number};
    return place;
}

static bool add(struct quarters *quarters, int64_t number, int64_t imported_uwh,
                int64_t exported_uwh)
{
    struct quarter *quarter = quarter_at(quarters, number);
    if (quarter == NULL)
        return false;
    int64_t *imported = quarters->produced ? &quarter->exported_uwh : &quarter->imported_uwh;
    int64_t *exported = quarters->produced ? &quarter->imported_uwh : &quarter->exported_uwh;
    return !__builtin_add_overflow(*imported, imported_uwh, imported) &&
           !__builtin_add_overflow(*exported, exported_uwh, exported);
}

static int64_t share(int64_t uwh, int64_t part_ms, int64_t length_ms)
{
    return wide_scale(uwh, part_ms, length_ms);
}

/* Each quarter gets the increase of the part that is over, so that the sum is exact. */
static bool take_piece(void *context, int64_t from_ms, int64_t to_ms, int64_t imported_uwh,
                       int64_t exported_uwh)
{
    struct quarters *quarters = context;
    int64_t length_ms = to_ms - from_ms;
    int64_t last = (length_ms > 0 ? to_ms - 1 : to_ms) / FOREIGN_QUARTER_MS;
    int64_t first = from_ms / FOREIGN_QUARTER_MS;
    if (first == last || length_ms > PIECE_MAX_MS)
        return add(quarters, last, imported_uwh, exported_uwh);
    int64_t imported_done = 0;
    int64_t exported_done = 0;
    for (int64_t number = first; number <= last; number++) {
        int64_t end_ms = (number + 1) * FOREIGN_QUARTER_MS;
        int64_t part_ms = (end_ms < to_ms ? end_ms : to_ms) - from_ms;
        int64_t imported = share(imported_uwh, part_ms, length_ms);
        int64_t exported = share(exported_uwh, part_ms, length_ms);
        if (!add(quarters, number, imported - imported_done, exported - exported_done))
            return false;
        imported_done = imported;
        exported_done = exported;
    }
    return true;
}

/* A few rows that repeat others are nothing; a file that begins with the newest would be left out
 * almost whole, and look as if there had been no energy. */
static enum status check_order(const struct foreign_parsed *parsed, struct error *error)
{
    if (parsed->unsorted * 2 <= parsed->rows)
        return STATUS_OK;
    return error_set(error, STATUS_USAGE,
                     "%lld of %lld rows are not later than the row before: the file is not in the "
                     "order of time. Sort it, the oldest row first.",
                     (long long)parsed->unsorted, (long long)parsed->rows);
}

static enum status read_file(const struct foreign_import_options *options,
                             struct quarters *quarters, struct foreign_parsed *parsed,
                             struct error *error)
{
    bool standard = strcmp(options->file, "-") == 0;
    FILE *file = standard ? stdin : fopen(options->file, "re");
    if (file == NULL)
        return error_set(error, STATUS_USAGE, "The file %s cannot be read: %s.", options->file,
                         strerror(errno));
    struct stat kind;
    if (fstat(fileno(file), &kind) == 0 && S_ISDIR(kind.st_mode)) {
        if (!standard)
            (void)fclose(file);
        return error_set(error, STATUS_USAGE, "%s is a folder; name a file.", options->file);
    }
    struct foreign_parse_options parse = options->parse;
    char own[FOREIGN_NAME_SIZE];
    (void)snprintf(own, sizeof own, "%.120s/%.120s", options->device, options->channel);
    quarters->produced = options->produced;
    enum status status = foreign_parse(file, &parse, take_piece, quarters, parsed, error);
    /* An export of all channels holds the one that is meant under the same name. */
    if (status != STATUS_OK && parse.source == NULL && !standard &&
        strstr(parsed->sources, own) != NULL) {
        parse.source = own;
        quarters->count = 0;
        rewind(file);
        status = foreign_parse(file, &parse, take_piece, quarters, parsed, error);
    }
    if (!standard)
        (void)fclose(file);
    if (status == STATUS_OK)
        status = check_order(parsed, error);
    return status == STATUS_OK
               ? status
               : error_prefix(error, status, "%s: ", standard ? "standard input" : options->file);
}

/* ---- what was measured here ---- */

/* A bit for each quarter from `first` on. */
struct measured {
    int64_t first;
    int64_t count;
    unsigned char *bits;
};

static bool is_measured(const struct measured *measured, int64_t number)
{
    int64_t at = number - measured->first;
    return at >= 0 && at < measured->count &&
           (measured->bits[at / 8] & (1u << (unsigned)(at % 8))) != 0;
}

static void mark(struct measured *measured, int64_t number, bool and_all_after)
{
    int64_t at = number - measured->first;
    at = at < 0 ? 0 : at;
    for (; at < measured->count; at++) {
        measured->bits[at / 8] |= (unsigned char)(1u << (unsigned)(at % 8));
        if (!and_all_after)
            return;
    }
}

/* Quarters that are aggregated, and the readings of those that are not yet. */
static const char own_quarters[] =
    "SELECT (key >> 15) / 900000 FROM rollup_quarter WHERE key >= ?2 AND key < ?3 AND "
    "key & 32767 IN (SELECT number FROM channel WHERE device = ?1 AND channel = ?4) "
    "UNION SELECT (key >> 15) / 900000 FROM reading WHERE key >= ?2 AND key < ?3 AND "
    "key >= (SELECT coalesce(max(key), 0) FROM rollup_quarter) AND "
    "key & 32767 IN (SELECT number FROM channel WHERE device = ?1 AND channel = ?4) ORDER BY 1";

static int find_measured(sqlite3 *db, const struct foreign_import_options *options,
                         const struct quarters *quarters, struct measured *measured)
{
    sqlite3_stmt *statement = NULL;
    measured->first = quarters->list[0].number;
    int64_t end = quarters->list[quarters->count - 1].number + 1;
    measured->count = end - measured->first;
    measured->bits = memory_new((size_t)measured->count / 8 + 1, 1);
    /* Of all gaps what comes after the first reading is measured, wherever that is. */
    int64_t from = options->fill_gaps ? measured->first * FOREIGN_QUARTER_MS : 0;
    int code = sqlite3_prepare_v2(db, own_quarters, -1, &statement, NULL);
    if (code == SQLITE_OK) {
        (void)sqlite3_bind_text(statement, 1, options->device, -1, SQLITE_STATIC);
        (void)sqlite3_bind_int64(statement, 2, key_make(from, 0));
        (void)sqlite3_bind_int64(statement, 3, key_make(end * FOREIGN_QUARTER_MS, 0));
        (void)sqlite3_bind_text(statement, 4, options->channel, -1, SQLITE_STATIC);
        while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
            int64_t number = sqlite3_column_int64(statement, 0);
            if (number >= measured->first || !options->fill_gaps)
                mark(measured, number, !options->fill_gaps);
            if (!options->fill_gaps)
                break;
        }
    }
    (void)sqlite3_finalize(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

/* ---- into the history ---- */

struct target {
    sqlite3 *db;
    sqlite3_stmt *find;
    sqlite3_stmt *put;
    int64_t series;
};

static int one_integer(sqlite3 *db, const char *sql, const char *first, const char *second,
                       int64_t *value)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK) {
        (void)sqlite3_bind_text(statement, 1, first, -1, SQLITE_STATIC);
        (void)sqlite3_bind_text(statement, 2, second, -1, SQLITE_STATIC);
        code = sqlite3_step(statement);
    }
    *value = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    (void)sqlite3_finalize(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

static int find_series(struct target *target, const struct foreign_import_options *options)
{
    return one_integer(target->db,
                       "SELECT id FROM foreign_series WHERE device = ?1 AND channel = ?2",
                       options->device, options->channel, &target->series);
}

static int make_series(struct target *target, const struct foreign_import_options *options)
{
    int64_t unused;
    int code = one_integer(target->db,
                           "INSERT INTO foreign_series (device, channel) VALUES (?1, ?2) "
                           "ON CONFLICT (device, channel) DO NOTHING",
                           options->device, options->channel, &unused);
    return code == SQLITE_OK ? find_series(target, options) : code;
}

static int note_file(struct target *target, const struct foreign_import_options *options,
                     struct foreign_import_report *report)
{
    sqlite3_stmt *statement = NULL;
    const char *slash = strrchr(options->file, '/');
    int code = sqlite3_prepare_v2(target->db,
                                  "INSERT INTO foreign_file (series, made_ms, file, format) VALUES "
                                  "(?1, ?2, ?3, ?4)",
                                  -1, &statement, NULL);
    if (code == SQLITE_OK) {
        (void)sqlite3_bind_int64(statement, 1, target->series);
        (void)sqlite3_bind_int64(statement, 2, clock_wall_ms());
        (void)sqlite3_bind_text(statement, 3, slash == NULL ? options->file : slash + 1, -1,
                                SQLITE_STATIC);
        (void)sqlite3_bind_text(statement, 4, foreign_format_name(report->parsed.format), -1,
                                SQLITE_STATIC);
        code = sqlite3_step(statement);
    }
    (void)sqlite3_finalize(statement);
    report->id = sqlite3_last_insert_rowid(target->db);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* *known: what the file has for it. */
static int find_quarter(struct target *target, int64_t number, struct quarter *known, bool *found)
{
    (void)sqlite3_bind_int64(target->find, 1, target->series);
    (void)sqlite3_bind_int64(target->find, 2, number);
    int code = sqlite3_step(target->find);
    *found = code == SQLITE_ROW;
    *known = (struct quarter){.number = number};
    if (*found) {
        known->imported_uwh = sqlite3_column_int64(target->find, 0);
        known->exported_uwh = sqlite3_column_int64(target->find, 1);
    }
    (void)sqlite3_reset(target->find);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

static int put_quarter(struct target *target, const struct quarter *quarter, int64_t file)
{
    (void)sqlite3_bind_int64(target->put, 1, target->series);
    (void)sqlite3_bind_int64(target->put, 2, quarter->number);
    (void)sqlite3_bind_int64(target->put, 3, quarter->imported_uwh);
    (void)sqlite3_bind_int64(target->put, 4, quarter->exported_uwh);
    (void)sqlite3_bind_int64(target->put, 5, file);
    int code = sqlite3_step(target->put);
    (void)sqlite3_reset(target->put);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* Compares with what the history has; a quarter that brings nothing is left out of the list. */
static int compare_quarter(struct target *target, struct quarters *quarters, size_t *kept,
                           const struct quarter *quarter, struct foreign_import_report *report)
{
    struct quarter known;
    bool found;
    int code = find_quarter(target, quarter->number, &known, &found);
    if (code != SQLITE_OK)
        return code;
    struct quarter merged = {quarter->number, larger(quarter->imported_uwh, known.imported_uwh),
                             larger(quarter->exported_uwh, known.exported_uwh)};
    int64_t more_uwh =
        merged.imported_uwh - known.imported_uwh + merged.exported_uwh - known.exported_uwh;
    report->new_uwh += more_uwh;
    report->same_uwh += quarter->imported_uwh + quarter->exported_uwh - more_uwh;
    if (found && more_uwh == 0) {
        report->quarters_same++;
        return SQLITE_OK;
    }
    report->quarters_new += found ? 0 : 1;
    report->quarters_raised += found ? 1 : 0;
    quarters->list[(*kept)++] = merged;
    return SQLITE_OK;
}

static int compare_all(struct target *target, const struct foreign_import_options *options,
                       struct quarters *quarters, struct foreign_import_report *report)
{
    struct measured measured = {0, 0, NULL};
    size_t kept = 0;
    int code = find_measured(target->db, options, quarters, &measured);
    if (code == SQLITE_OK)
        code = find_series(target, options);
    for (size_t i = 0; i < quarters->count && code == SQLITE_OK; i++) {
        struct quarter quarter = quarters->list[i];
        if (!is_measured(&measured, quarter.number)) {
            code = compare_quarter(target, quarters, &kept, &quarter, report);
            continue;
        }
        report->quarters_measured++;
        report->measured_uwh += quarter.imported_uwh + quarter.exported_uwh;
    }
    quarters->count = kept;
    free(measured.bits);
    return code;
}

static int write_all(struct target *target, const struct foreign_import_options *options,
                     const struct quarters *quarters, struct foreign_import_report *report)
{
    int code = sql_run(target->db, "BEGIN IMMEDIATE");
    if (code == SQLITE_OK)
        code = make_series(target, options);
    if (code == SQLITE_OK)
        code = note_file(target, options, report);
    for (size_t i = 0; i < quarters->count && code == SQLITE_OK; i++)
        code = put_quarter(target, &quarters->list[i], report->id);
    if (code == SQLITE_OK)
        code = sql_run(target->db, "COMMIT");
    if (code != SQLITE_OK && !sqlite3_get_autocommit(target->db))
        (void)sql_run(target->db, "ROLLBACK");
    return code;
}

static int prepare(struct target *target)
{
    int code = sql_prepare(target->db,
                           "SELECT imported_uwh, exported_uwh FROM foreign_quarter WHERE "
                           "series = ?1 AND quarter = ?2",
                           &target->find);
    if (code == SQLITE_OK) /* the greater of two, also if another import came in between */
        code = sql_prepare(target->db,
                           "INSERT INTO foreign_quarter (series, quarter, imported_uwh, "
                           "exported_uwh, file) VALUES (?1, ?2, ?3, ?4, ?5) "
                           "ON CONFLICT (series, quarter) DO UPDATE SET "
                           "imported_uwh = max(imported_uwh, excluded.imported_uwh), "
                           "exported_uwh = max(exported_uwh, excluded.exported_uwh), "
                           "file = excluded.file",
                           &target->put);
    return code;
}

/* What must be known is found out before the transaction, in which the service cannot write. */
static int merge(struct target *target, const struct foreign_import_options *options,
                 struct quarters *quarters, struct foreign_import_report *report)
{
    int code = sql_run(target->db, "PRAGMA cache_size = -32768");
    if (code == SQLITE_OK)
        code = prepare(target);
    if (code == SQLITE_OK)
        code = compare_all(target, options, quarters, report);
    if (code == SQLITE_OK && quarters->count > 0 && !options->dry_run)
        code = write_all(target, options, quarters, report);
    (void)sqlite3_finalize(target->find);
    (void)sqlite3_finalize(target->put);
    return code;
}

/* To write beside a service: its version is checked by a reader first. */
static enum status open_to_write(const char *path, sqlite3 **db, struct error *error)
{
    enum status status = reader_open(path, db, error);
    if (status != STATUS_OK)
        return status;
    (void)sqlite3_close(*db);
    int code = sql_open(path, SQLITE_OPEN_READWRITE, false, db);
    return code == SQLITE_OK ? STATUS_OK : sql_explain(code, *db, path, error);
}

enum status foreign_import(const struct foreign_import_options *options,
                           struct foreign_import_report *report, struct error *error)
{
    *report = (struct foreign_import_report){.id = 0};
    if (strlen(options->device) >= CHANNEL_TEXT_MAX || strlen(options->channel) >= CHANNEL_TEXT_MAX)
        return error_set(error, STATUS_USAGE, "The name of the device or channel is too long.");
    struct quarters quarters = {NULL, 0, 0, false};
    struct target target = {.db = NULL};
    enum status status = open_to_write(options->path, &target.db, error);
    if (status == STATUS_OK)
        status = read_file(options, &quarters, &report->parsed, error);
    if (status == STATUS_OK && quarters.count > 0) {
        int code = merge(&target, options, &quarters, report);
        if (code != SQLITE_OK)
            status = sql_explain(code, target.db, options->path, error);
    }
    free(quarters.list);
    (void)sqlite3_close(target.db);
    return status;
}

/* ---- imports that were made ---- */

static int delete_of(sqlite3 *db, const char *sql, int64_t id, int64_t *rows)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK) {
        (void)sqlite3_bind_int64(statement, 1, id);
        code = sqlite3_step(statement);
    }
    (void)sqlite3_finalize(statement);
    *rows = sqlite3_changes64(db);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

enum status foreign_undo(const char *path, int64_t id, int64_t *quarters, struct error *error)
{
    sqlite3 *db = NULL;
    int64_t files = 0;
    *quarters = 0;
    enum status status = open_to_write(path, &db, error);
    if (status == STATUS_OK) {
        int code = sql_run(db, "BEGIN IMMEDIATE");
        if (code == SQLITE_OK)
            code = delete_of(db, "DELETE FROM foreign_quarter WHERE file = ?1", id, quarters);
        if (code == SQLITE_OK)
            code = delete_of(db, "DELETE FROM foreign_file WHERE id = ?1", id, &files);
        if (code == SQLITE_OK)
            code = sql_run(db, "COMMIT");
        if (code != SQLITE_OK)
            status = sql_explain(code, db, path, error);
        else if (files == 0)
            status = error_set(error, STATUS_USAGE,
                               "There is no import %lld; `bl2mqtt history import --list` shows "
                               "those there are.",
                               (long long)id);
    }
    (void)sqlite3_close(db); /* rolls back what was not committed */
    return status;
}

static const char *text_of(sqlite3_stmt *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);
    return text == NULL ? "" : text;
}

enum status foreign_files(const char *path, foreign_file_callback callback, void *context,
                          struct error *error)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    enum status status = reader_open(path, &db, error);
    int code = SQLITE_DONE;
    if (status == STATUS_OK)
        code = sqlite3_prepare_v2(
            db,
            "SELECT foreign_file.id, made_ms, device, channel, foreign_file.file, format, "
            "count(quarter), min(quarter), max(quarter), sum(imported_uwh), sum(exported_uwh) "
            "FROM foreign_file JOIN foreign_series ON foreign_series.id = foreign_file.series "
            "LEFT JOIN foreign_quarter ON foreign_quarter.file = foreign_file.id "
            "GROUP BY foreign_file.id ORDER BY foreign_file.id",
            -1, &statement, NULL);
    bool wanted = true;
    while (status == STATUS_OK && (code == SQLITE_OK || code == SQLITE_ROW) && wanted &&
           (code = sqlite3_step(statement)) == SQLITE_ROW) {
        int64_t quarters = sqlite3_column_int64(statement, 6);
        const struct foreign_file file = {
            .id = sqlite3_column_int64(statement, 0),
            .made_ms = sqlite3_column_int64(statement, 1),
            .device = text_of(statement, 2),
            .channel = text_of(statement, 3),
            .file = text_of(statement, 4),
            .format = text_of(statement, 5),
            .quarters = quarters,
            .first_ms = quarters == 0 ? 0 : sqlite3_column_int64(statement, 7) * FOREIGN_QUARTER_MS,
            .end_ms =
                quarters == 0 ? 0 : (sqlite3_column_int64(statement, 8) + 1) * FOREIGN_QUARTER_MS,
            .imported_uwh = sqlite3_column_int64(statement, 9),
            .exported_uwh = sqlite3_column_int64(statement, 10),
        };
        wanted = callback(context, &file);
    }
    (void)sqlite3_finalize(statement);
    if (status == STATUS_OK && code != SQLITE_DONE && code != SQLITE_ROW)
        status = sql_explain(code, db, path, error);
    (void)sqlite3_close(db);
    return status;
}
