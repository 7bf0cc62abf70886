/* SPDX-License-Identifier: MIT */
/* Files of energy that people import: the first byte chooses format and unit, the rest is the file. */
#include "bridge/history/import/foreign_parse.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool check(void *context, int64_t from_ms, int64_t to_ms, int64_t imported_uwh,
                  int64_t exported_uwh)
{
    (void)context;
    if (from_ms < 0 || to_ms < from_ms || imported_uwh < 0 || exported_uwh < 0)
        abort();
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const struct foreign_parse_options options = {
        .format = (enum foreign_format)(data[0] % 4),
        .watt_hours = (data[0] & 4) != 0,
        .source = (data[0] & 8) != 0 ? "a" : NULL,
        .max_power_w = 100000,
        .kind = (enum foreign_kind)(data[0] / 16 % 3),
        .date_order = (enum foreign_date_order)(data[0] / 64),
    };
    struct foreign_parsed parsed;
    struct error error = {""};
    FILE *file = fmemopen((void *)(data + 1), size - 1, "r");
    if (file == NULL)
        abort();
    enum status status = foreign_parse(file, &options, check, NULL, &parsed, &error);
    if ((status == STATUS_OK) == (error.text[0] != '\0') ||
        (status == STATUS_OK && parsed.rows < 1))
        abort();
    (void)fclose(file);
    return 0;
}
