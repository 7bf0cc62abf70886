/* SPDX-License-Identifier: MIT */
#include "bridge/commands/history_print.h"

#include "bridge/history/query/time_text.h"

#include <time.h>

static struct tm local_time(int64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm local = {0};
    (void)localtime_r(&seconds, &local); /* years up to 9999 exist */
    return local;
}

const char *history_print_time(int64_t wall_ms, char buffer[HISTORY_PRINT_SIZE])
{
    struct text text;
    text_init(&text, buffer, HISTORY_PRINT_SIZE);
    time_text_append(&text, wall_ms);
    return buffer;
}

const char *history_print_local(int64_t wall_ms, char buffer[HISTORY_PRINT_SIZE])
{
    const struct tm local = local_time(wall_ms);
    return strftime(buffer, HISTORY_PRINT_SIZE, "%Y-%m-%d %H:%M:%S", &local) == 0 ? "?" : buffer;
}

const char *history_print_start(enum history_bucket bucket, int64_t wall_ms,
                                char buffer[HISTORY_PRINT_SIZE])
{
    const struct tm local = local_time(wall_ms);
    size_t length = 0;
    if (bucket == BUCKET_HOUR || bucket == BUCKET_QUARTER)
        length = strftime(buffer, HISTORY_PRINT_SIZE, "%Y-%m-%d %H:%M %Z", &local);
    else if (bucket == BUCKET_DAY)
        length = strftime(buffer, HISTORY_PRINT_SIZE, "%Y-%m-%d %a", &local);
    else if (bucket == BUCKET_WEEK)
        length = strftime(buffer, HISTORY_PRINT_SIZE, "%G-W%V", &local);
    else if (bucket == BUCKET_MONTH)
        length = strftime(buffer, HISTORY_PRINT_SIZE, "%Y-%m", &local);
    else
        length = strftime(buffer, HISTORY_PRINT_SIZE, "%Y", &local);
    return length == 0 ? "?" : buffer;
}
