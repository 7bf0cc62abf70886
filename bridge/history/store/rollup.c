/* SPDX-License-Identifier: MIT */
#include "bridge/history/store/rollup.h"

#include "bridge/history/query/conversion.h"
#include "bridge/history/store/key.h"
#include "bridge/history/store/sql.h"

#include <stdio.h>

enum column {
    KEY,
    IMPORTED,
    EXPORTED,
    COVERED_MS,
    POWER_COVERED_MS,
    POWER_MS,
    POWER_MIN,
    POWER_MAX,
    DEVICE_MIN,
    DEVICE_MAX,
    SAMPLES,
    VOLTAGE,
    CURRENT = VOLTAGE + 4,
    FREQUENCY = CURRENT + 4,
    COLUMNS = FREQUENCY + 4,
};

const char *rollup_table(enum rollup_level level)
{
    static const char *const names[ROLLUP_LEVELS] = {"rollup_minute", "rollup_quarter",
                                                     "rollup_day"};
    return names[level];
}

static void read_quantity(sqlite3_stmt *statement, int column, int64_t samples,
                          struct rollup_quantity *quantity)
{
    *quantity = (struct rollup_quantity){
        .count = sqlite3_column_type(statement, column) == SQLITE_NULL
                     ? samples
                     : sqlite3_column_int64(statement, column),
        .sum = sqlite3_column_int64(statement, column + 1),
        .min = sqlite3_column_int64(statement, column + 2),
        .max = sqlite3_column_int64(statement, column + 3),
    };
}

void rollup_read(sqlite3_stmt *statement, bool whole, struct rollup_row *row)
{
    int64_t key = sqlite3_column_int64(statement, KEY);
    row->start_ms = key_time_ms(key);
    row->number = key_number(key);
    row->imported = sqlite3_column_int64(statement, IMPORTED);
    row->exported = sqlite3_column_int64(statement, EXPORTED);
    row->covered_ms = sqlite3_column_int64(statement, COVERED_MS);
    row->power_covered_ms = sqlite3_column_type(statement, POWER_COVERED_MS) == SQLITE_NULL
                                ? row->covered_ms
                                : sqlite3_column_int64(statement, POWER_COVERED_MS);
    row->power_ms = sqlite3_column_int64(statement, POWER_MS);
    row->power_min = sqlite3_column_int64(statement, POWER_MIN);
    row->power_max = sqlite3_column_int64(statement, POWER_MAX);
    row->device_known = sqlite3_column_type(statement, DEVICE_MIN) != SQLITE_NULL;
    row->device_min = sqlite3_column_int64(statement, DEVICE_MIN);
    row->device_max = sqlite3_column_int64(statement, DEVICE_MAX);
    if (!whole)
        return;
    row->samples = sqlite3_column_int64(statement, SAMPLES);
    read_quantity(statement, VOLTAGE, row->samples, &row->voltage);
    read_quantity(statement, CURRENT, row->samples, &row->current);
    read_quantity(statement, FREQUENCY, row->samples, &row->frequency);
}

static void merge_range(bool first, int64_t *min, int64_t *max, int64_t more_min, int64_t more_max)
{
    *min = first || more_min < *min ? more_min : *min;
    *max = first || more_max > *max ? more_max : *max;
}

static void merge_quantity(struct rollup_quantity *quantity, const struct rollup_quantity *more)
{
    if (more->count <= 0)
        return;
    merge_range(quantity->count == 0, &quantity->min, &quantity->max, more->min, more->max);
    conversion_add(&quantity->sum, more->sum);
    quantity->count += more->count;
}

void rollup_merge(struct rollup_row *row, const struct rollup_row *more)
{
    conversion_add(&row->imported, more->imported);
    conversion_add(&row->exported, more->exported);
    conversion_add(&row->covered_ms, more->covered_ms);
    conversion_add(&row->samples, more->samples);
    if (more->power_covered_ms > 0) {
        merge_range(row->power_covered_ms == 0, &row->power_min, &row->power_max, more->power_min,
                    more->power_max);
        conversion_add(&row->power_ms, more->power_ms);
        conversion_add(&row->power_covered_ms, more->power_covered_ms);
    }
    merge_quantity(&row->voltage, &more->voltage);
    merge_quantity(&row->current, &more->current);
    merge_quantity(&row->frequency, &more->frequency);
}

int rollup_prepare_put(sqlite3 *db, enum rollup_level level, sqlite3_stmt **statement)
{
    char sql[512];
    (void)snprintf(sql, sizeof sql,
                   "INSERT OR REPLACE INTO %s (" ROLLUP_COLUMNS
                   ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, "
                   "?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23)",
                   rollup_table(level));
    return sql_prepare(db, sql, statement);
}

static void bind(sqlite3_stmt *statement, int column, bool known, int64_t value)
{
    if (known)
        (void)sqlite3_bind_int64(statement, column + 1, value);
    else
        (void)sqlite3_bind_null(statement, column + 1);
}

static void bind_quantity(sqlite3_stmt *statement, int column, int64_t samples,
                          const struct rollup_quantity *quantity)
{
    bool any = quantity->count > 0;
    bind(statement, column, quantity->count != samples, quantity->count);
    bind(statement, column + 1, any, quantity->sum);
    bind(statement, column + 2, any, quantity->min);
    bind(statement, column + 3, any, quantity->max);
}

int rollup_put(sqlite3_stmt *statement, const struct rollup_row *row)
{
    bool power = row->power_covered_ms > 0;
    bind(statement, KEY, true, key_make(row->start_ms, row->number));
    bind(statement, IMPORTED, true, row->imported);
    bind(statement, EXPORTED, true, row->exported);
    bind(statement, COVERED_MS, true, row->covered_ms);
    bind(statement, POWER_COVERED_MS, row->power_covered_ms != row->covered_ms,
         row->power_covered_ms);
    bind(statement, POWER_MS, power, row->power_ms);
    bind(statement, POWER_MIN, power, row->power_min);
    bind(statement, POWER_MAX, power, row->power_max);
    bind(statement, DEVICE_MIN, row->device_known, row->device_min);
    bind(statement, DEVICE_MAX, row->device_known, row->device_max);
    bind(statement, SAMPLES, true, row->samples);
    bind_quantity(statement, VOLTAGE, row->samples, &row->voltage);
    bind_quantity(statement, CURRENT, row->samples, &row->current);
    bind_quantity(statement, FREQUENCY, row->samples, &row->frequency);
    int code = sqlite3_step(statement);
    (void)sqlite3_reset(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}
