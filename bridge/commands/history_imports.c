/* SPDX-License-Identifier: MIT */
#include "bridge/commands/history_imports.h"

#include "bridge/commands/command.h"
#include "bridge/commands/history_print.h"
#include "bridge/history/import/foreign_import.h"

#include <inttypes.h>
#include <stdio.h>

#define NAME "history import"

static double kwh(int64_t uwh)
{
    return (double)uwh / 1e9;
}

struct listing {
    json_t *list; /* NULL: as text */
    bool any;
};

static bool list_file(void *context, const struct foreign_file *file)
{
    struct listing *listing = context;
    char made[HISTORY_PRINT_SIZE], first[HISTORY_PRINT_SIZE], end[HISTORY_PRINT_SIZE];
    (void)history_print_time(file->made_ms, made);
    (void)history_print_time(file->first_ms, first);
    (void)history_print_time(file->end_ms, end);
    listing->any = true;
    if (listing->list == NULL)
        return printf("%4" PRId64 "  %s  %s %s\n      %s (%s): %.3f kWh, produced %.3f\n"
                      "      %s to %s\n",
                      file->id, made, file->device, file->channel, file->file, file->format,
                      kwh(file->imported_uwh), kwh(file->exported_uwh),
                      file->quarters == 0 ? "-" : first, file->quarters == 0 ? "-" : end) > 0;
    json_t *object = json_pack(
        "{s:I, s:s, s:s, s:s, s:s, s:s, s:I, s:s?, s:s?, s:f, s:f}", "id", (json_int_t)file->id,
        "time", made, "device", file->device, "channel", file->channel, "file", file->file,
        "format", file->format, "quarters", (json_int_t)file->quarters, "from",
        file->quarters == 0 ? NULL : first, "to", file->quarters == 0 ? NULL : end, "energy_kwh",
        kwh(file->imported_uwh), "energy_produced_kwh", kwh(file->exported_uwh));
    return object == NULL || json_array_append_new(listing->list, object) == 0;
}

enum status history_imports_list(const char *path, bool json, struct error *error)
{
    struct listing listing = {json ? json_array() : NULL, false};
    enum status status = foreign_files(path, list_file, &listing, error);
    if (status != STATUS_OK) {
        json_decref(listing.list);
        return status;
    }
    if (json)
        return command_print_json(NAME, listing.list, JSON_INDENT(2));
    if (!listing.any)
        (void)puts("Nothing was imported.");
    return command_flush(error);
}

enum status history_imports_undo(const char *path, int64_t id, bool json, struct error *error)
{
    int64_t quarters = 0;
    enum status status = foreign_undo(path, id, &quarters, error);
    if (status != STATUS_OK)
        return status;
    if (json)
        return command_print_json(
            NAME, json_pack("{s:I, s:I}", "id", (json_int_t)id, "quarters", (json_int_t)quarters),
            JSON_INDENT(2));
    (void)printf("Import %" PRId64 " is taken out: %" PRId64 " 15-minute %s.\n", id, quarters,
                 COMMAND_PLURAL(quarters, "bucket", "buckets"));
    return command_flush(error);
}
