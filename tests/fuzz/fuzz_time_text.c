/* SPDX-License-Identifier: MIT */
/* Times as people write them: what is accepted is written and read again as the same moment. */
#include "bridge/history/query/buckets.h"
#include "bridge/history/query/time_text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const zones[] = {"UTC", "Europe/Berlin", "Australia/Lord_Howe",
                                        "Asia/Kathmandu"};
    char text[128];
    char written[64];
    int64_t wall_ms = 0;
    int64_t again_ms = 0;
    struct error error = {""};
    struct text out;
    if (size < 1 || size > sizeof text)
        return 0;
    (void)setenv("TZ", zones[data[0] % 4], 1);
    tzset();
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    enum status status = time_text_parse(text, 1790000000000, &wall_ms, &error);
    if ((status == STATUS_OK) == (error.text[0] != '\0'))
        abort();
    if (status != STATUS_OK)
        return 0;
    if (wall_ms < -86400000 || wall_ms > BUCKET_TIME_MAX_MS + 86400000)
        abort();
    text_init(&out, written, sizeof written);
    time_text_append(&out, wall_ms);
    if (time_text_parse(written, 0, &again_ms, NULL) != STATUS_OK || again_ms != wall_ms)
        abort();
    return 0;
}
