/* SPDX-License-Identifier: MIT */
#include "bridge/history/query/conversion.h"

#include "bridge/history/store/sql.h"

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
                           "SELECT voltage, current, power FROM recalibration WHERE channel = ?1 "
                           "AND since_ms <= ?2 AND until_ms > ?2 AND undone_ms IS NULL ORDER BY id",
                           &conversion->corrections);
    if (code == SQLITE_OK)
        code = sql_prepare(
            db,
            "SELECT max(time) FROM (SELECT valid_from_ms AS time FROM calibration "
            "WHERE channel = ?1 AND valid_from_ms > (SELECT min(valid_from_ms) FROM calibration "
            "WHERE channel = ?1) UNION ALL SELECT since_ms FROM recalibration WHERE channel = ?1 "
            "AND undone_ms IS NULL UNION ALL SELECT until_ms FROM recalibration "
            "WHERE channel = ?1 AND undone_ms IS NULL) WHERE time <= ?2",
            &conversion->since);
    if (code == SQLITE_OK)
        code = sql_prepare(
            db,
            "SELECT min(time) FROM (SELECT valid_from_ms AS time FROM calibration "
            "WHERE channel = ?1 UNION ALL SELECT since_ms FROM recalibration WHERE channel = ?1 "
            "AND undone_ms IS NULL UNION ALL SELECT until_ms FROM recalibration "
            "WHERE channel = ?1 AND undone_ms IS NULL) WHERE time > ?2",
            &conversion->next);
    if (code == SQLITE_OK)
        code = sql_prepare(db,
                           "SELECT min(number), count(DISTINCT channel) FROM channel WHERE device "
                           "= (SELECT device FROM channel WHERE number = ?1)",
                           &conversion->device);
    return code;
}

void conversion_close(struct conversion *conversion)
{
    (void)sqlite3_finalize(conversion->at);
    (void)sqlite3_finalize(conversion->corrections);
    (void)sqlite3_finalize(conversion->since);
    (void)sqlite3_finalize(conversion->next);
    (void)sqlite3_finalize(conversion->device);
    *conversion = (struct conversion){0};
}

static void bind(sqlite3_stmt *statement, unsigned number, int64_t wall_ms)
{
    (void)sqlite3_bind_int64(statement, 1, number);
    (void)sqlite3_bind_int64(statement, 2, wall_ms);
}

static int read_calibration(struct conversion *conversion, const struct converted *converted,
                            int64_t wall_ms, struct known_calibration *found)
{
    *found = (struct known_calibration){.factors = calibration_default(converted->kind)};
    sqlite3_stmt *statement = conversion->at;
    bind(statement, converted->number, wall_ms);
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

static void correct(sqlite3_stmt *statement, int column, double *factor)
{
    if (sqlite3_column_type(statement, column) != SQLITE_NULL)
        *factor = sqlite3_column_double(statement, column);
}

static int read_corrections(struct conversion *conversion, const struct converted *converted,
                            int64_t wall_ms, struct calibration *factors)
{
    sqlite3_stmt *statement = conversion->corrections;
    bind(statement, converted->number, wall_ms);
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        correct(statement, 0, &factors->voltage);
        correct(statement, 1, &factors->current);
        correct(statement, 2, &factors->power);
    }
    (void)sqlite3_reset(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int read_factors(struct conversion *conversion, const struct converted *converted,
                        int64_t wall_ms, struct known_calibration *found)
{
    int code = read_calibration(conversion, converted, wall_ms, found);
    if (code == SQLITE_OK)
        code = read_corrections(conversion, converted, wall_ms, &found->factors);
    return code;
}

/* An end of the time that holds wall_ms, or `none`. */
static int read_end(sqlite3_stmt *statement, unsigned number, int64_t wall_ms, int64_t none,
                    int64_t *end_ms)
{
    bind(statement, number, wall_ms);
    *end_ms = none;
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW && sqlite3_column_type(statement, 0) != SQLITE_NULL)
        *end_ms = sqlite3_column_int64(statement, 0);
    (void)sqlite3_reset(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

int conversion_at(struct conversion *conversion, struct converted *converted, int64_t wall_ms)
{
    if (converted->calibrated && wall_ms >= converted->since_ms &&
        wall_ms < converted->recalibrated_ms)
        return SQLITE_OK;
    struct known_calibration found;
    int code = read_factors(conversion, converted, wall_ms, &found);
    if (code == SQLITE_OK)
        code = read_end(conversion->since, converted->number, wall_ms, INT64_MIN,
                        &converted->since_ms);
    if (code == SQLITE_OK)
        code = read_end(conversion->next, converted->number, wall_ms, INT64_MAX,
                        &converted->recalibrated_ms);
    if (code != SQLITE_OK)
        return code;
    if (!converted->calibrated ||
        !calibration_equal(&found.factors, &converted->calibration.factors)) {
        converted->imported = 0;
        converted->exported = 0;
    }
    converted->calibration = found;
    converted->calibrated = true;
    return SQLITE_OK;
}

int conversion_device(struct conversion *conversion, unsigned number, unsigned *device,
                      unsigned *channels)
{
    sqlite3_stmt *statement = conversion->device;
    (void)sqlite3_bind_int64(statement, 1, number);
    *device = number;
    *channels = 1;
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW && sqlite3_column_type(statement, 0) != SQLITE_NULL) {
        int64_t first = sqlite3_column_int64(statement, 0);
        *device = first >= 1 && first <= CHANNEL_NUMBER_MAX ? (unsigned)first : number;
        *channels = (unsigned)sqlite3_column_int(statement, 1);
    }
    (void)sqlite3_reset(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

double conversion_mw_per_raw(const struct known_calibration *calibration)
{
    double mw = 1000.0 / calibration->factors.power;
    return calibration->invert ? -mw : mw;
}

int conversion_anchor(struct conversion *conversion, const struct converted *converted,
                      int64_t wall_ms, int64_t *anchor_ms)
{
    struct known_calibration at;
    int code = read_factors(conversion, converted, wall_ms, &at);
    struct known_calibration before = at;
    int64_t since_ms = wall_ms + 1;
    while (code == SQLITE_OK && calibration_equal(&before.factors, &at.factors)) {
        code = read_end(conversion->since, converted->number, since_ms - 1, INT64_MIN, &since_ms);
        if (since_ms <= 0)
            break;
        if (code == SQLITE_OK)
            code = read_factors(conversion, converted, since_ms - 1, &before);
    }
    *anchor_ms = since_ms < 0 ? 0 : since_ms;
    return code;
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
