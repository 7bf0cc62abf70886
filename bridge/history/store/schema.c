/* SPDX-License-Identifier: MIT */
#include "bridge/history/store/schema.h"

#include "bridge/history/store/sql.h"

#include <inttypes.h>

extern const unsigned char migration_0001_first[];
extern const unsigned char migration_0002_calibration_origin[];
extern const unsigned char migration_0003_rollups[];
extern const unsigned char migration_0004_foreign_energy[];
extern const unsigned char migration_0005_sinks[];
extern const unsigned char migration_0006_compact_readings[];
extern const unsigned char migration_0007_sink_levels[];
extern const unsigned char migration_0008_estimates[];
extern const unsigned char migration_0009_device_power[];
extern const unsigned char migration_0010_intervals[];

const struct migration *schema_migrations(size_t *count)
{
    static const struct migration list[] = {
        {1, "0001_first", (const char *)migration_0001_first},
        {2, "0002_calibration_origin", (const char *)migration_0002_calibration_origin},
        {3, "0003_rollups", (const char *)migration_0003_rollups},
        {4, "0004_foreign_energy", (const char *)migration_0004_foreign_energy},
        {5, "0005_sinks", (const char *)migration_0005_sinks},
        {6, "0006_compact_readings", (const char *)migration_0006_compact_readings},
        {7, "0007_sink_levels", (const char *)migration_0007_sink_levels},
        {8, "0008_estimates", (const char *)migration_0008_estimates},
        {9, "0009_device_power", (const char *)migration_0009_device_power},
        {10, "0010_intervals", (const char *)migration_0010_intervals},
    };
    *count = sizeof list / sizeof list[0];
    return list;
}

int schema_newest(void)
{
    size_t count;
    const struct migration *list = schema_migrations(&count);
    return list[count - 1].version;
}

int schema_identify(sqlite3 *db, struct schema_identity *identity)
{
    int code = sql_integer(db, "PRAGMA application_id", &identity->application);
    if (code == SQLITE_OK)
        code = sql_integer(db, "PRAGMA user_version", &identity->version);
    if (code == SQLITE_OK)
        code = sql_integer(db, "SELECT count(*) FROM sqlite_schema", &identity->objects);
    return code;
}

bool schema_is_blank(const struct schema_identity *identity)
{
    return identity->version == 0 && identity->objects == 0;
}

enum status schema_check(const struct schema_identity *identity, const char *path,
                         struct error *error)
{
    if (identity->application != SCHEMA_APPLICATION_ID)
        return error_set(error, STATUS_USAGE, "%s is not a history of bl2mqtt. Name another file.",
                         path);
    if (identity->version <= schema_newest())
        return STATUS_OK;
    return error_set(error, STATUS_USAGE,
                     "The history %s was written by a newer bl2mqtt (its format is %" PRId64
                     ", this program knows up to %d). Use that version, or name another file.",
                     path, identity->version, schema_newest());
}
