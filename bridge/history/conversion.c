/* SPDX-License-Identifier: MIT */
#include "bridge/history/conversion.h"

#include "bridge/history/sql.h"

int conversion_open(sqlite3 *db, struct conversion *conversion)
{
    /* the one that holds at that time; before the first, the first */
    int code = sql_prepare(db,
                           "SELECT id, valid_from_ms, voltage, current, power, invert, origin "
                           "FROM calibration WHERE channel = ?1 AND valid_from_ms <= max(?2, "
                           "(SELECT min(valid_from_ms) FROM calibration WHERE channel = ?1)) "
                           "ORDER BY valid_from_ms DESC LIMIT 1",
                           &conversion->at);
    if (code == SQLITE_OK)
        code = sql_prepare(db,
                           "SELECT min(valid_from_ms) FROM calibration "
                           "WHERE channel = ?1 AND valid_from_ms > ?2",
                           &conversion->next);
    return code;
}

void conversion_close(struct conversion *conversion)
{
    (void)sqlite3_finalize(conversion->at);
    (void)sqlite3_finalize(conversion->next);
    *conversion = (struct conversion){NULL, NULL};
}

static int read_calibration(struct conversion *conversion, const struct converted *converted,
                            int64_t wall_ms, struct known_calibration *found)
{
    *found = (struct known_calibration){.factors = calibration_default(converted->kind)};
    sqlite3_stmt *statement = conversion->at;
    (void)sqlite3_bind_int64(statement, 1, converted->number);
    (void)sqlite3_bind_int64(statement, 2, wall_ms);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        *found = (struct known_calibration){
            .id = sqlite3_column_int64(statement, 0),
            .valid_from_ms = sqlite3_column_int64(statement, 1),
            .factors = {.voltage = sqlite3_column_double(statement, 2),
                        .current = sqlite3_column_double(statement, 3),
                        .power = sqlite3_column_double(statement, 4)},
            .invert = sqlite3_column_int(statement, 5) != 0,
            .origin = (enum calibration_origin)sqlite3_column_int(statement, 6),
        };
        code = SQLITE_DONE;
    }
    (void)sqlite3_reset(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int read_next(struct conversion *conversion, struct converted *converted, int64_t wall_ms)
{
    sqlite3_stmt *statement = conversion->next;
    (void)sqlite3_bind_int64(statement, 1, converted->number);
    (void)sqlite3_bind_int64(statement, 2, wall_ms);
    converted->recalibrated_ms = INT64_MAX;
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW && sqlite3_column_type(statement, 0) != SQLITE_NULL)
        converted->recalibrated_ms = sqlite3_column_int64(statement, 0);
    (void)sqlite3_reset(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

int conversion_at(struct conversion *conversion, struct converted *converted, int64_t wall_ms)
{
    if (converted->calibrated && wall_ms < converted->recalibrated_ms)
        return SQLITE_OK;
    struct known_calibration found;
    int code = read_calibration(conversion, converted, wall_ms, &found);
    if (code == SQLITE_OK)
        code = read_next(conversion, converted, wall_ms);
    if (code != SQLITE_OK)
        return code;
    if (!converted->calibrated || found.id != converted->calibration.id) {
        converted->calibration = found;
        converted->imported = 0;
        converted->exported = 0;
    }
    converted->calibrated = true;
    return SQLITE_OK;
}

void conversion_add(int64_t *sum, int64_t more)
{
    if (__builtin_add_overflow(*sum, more, sum))
        *sum = more < 0 ? INT64_MIN : INT64_MAX;
}

int64_t conversion_credit(const struct converted *converted, int64_t *running, int64_t counts)
{
    if (counts == 0)
        return 0;
    const struct calibration *factors = &converted->calibration.factors;
    int64_t before = calibration_energy_uwh(factors, converted->kind, *running);
    conversion_add(running, counts);
    return calibration_energy_uwh(factors, converted->kind, *running) - before;
}
