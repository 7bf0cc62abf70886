/* SPDX-License-Identifier: MIT */
#include "bridge/commands/history_print.h"

#include "bridge/history/query/time_text.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

bool history_print_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = getenv(names[i]);
        if (value != NULL && value[0] != '\0')
            return strcasestr(value, "utf-8") != NULL || strcasestr(value, "utf8") != NULL;
    }
    return false;
}

const char *history_print_time(int64_t wall_ms, char buffer[HISTORY_PRINT_SIZE])
{
    struct text text;
    text_init(&text, buffer, HISTORY_PRINT_SIZE);
    time_text_append(&text, wall_ms);
    return buffer;
}

const char *history_print_start(enum history_bucket bucket, int64_t wall_ms,
                                char buffer[HISTORY_PRINT_SIZE])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm local = {0};
    (void)localtime_r(&seconds, &local); /* years up to 9999 exist */
    size_t length = 0;
    if (bucket == BUCKET_HOUR)
        length = strftime(buffer, HISTORY_PRINT_SIZE, "%Y-%m-%d %H:%M %Z", &local);
    else if (bucket == BUCKET_DAY)
        length = strftime(buffer, HISTORY_PRINT_SIZE, "%Y-%m-%d %a", &local);
    else if (bucket == BUCKET_MONTH)
        length = strftime(buffer, HISTORY_PRINT_SIZE, "%Y-%m", &local);
    else
        length = strftime(buffer, HISTORY_PRINT_SIZE, "%Y", &local);
    return length == 0 ? "?" : buffer;
}

void history_print_column(struct text *text, int width, bool known, int64_t value, unsigned scale,
                          unsigned decimals)
{
    char buffer[64];
    struct text number;
    text_init(&number, buffer, sizeof buffer);
    if (known)
        text_append_decimal(&number, value, scale, decimals, false);
    else
        text_append(&number, "-");
    text_append(text, " %*s", width, buffer);
}
