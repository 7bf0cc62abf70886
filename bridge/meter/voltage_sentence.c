/* SPDX-License-Identifier: MIT */
#include "bridge/meter/voltage_sentence.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEFT_OUT_MAX 1000000000

void voltage_sentence_append(struct text *text, const struct voltage_change *change,
                             int64_t nominal_mv)
{
    text_append(text, "A voltage %s %s ", voltage_event_name(change->ended),
                change->ended == VOLTAGE_SWELL ? "up to" : "down to");
    text_append_decimal(text, change->extreme_mv, 3, 1, false);
    text_append(text, " V (");
    text_append_decimal(text, change->extreme_mv * 1000 / nominal_mv, 1, 1, false);
    text_append(text, " %%), ");
    text_append_decimal(text, change->duration_ms, 3, 1, false);
    text_append(text, " s long%s.", change->cut ? " until the readings stopped" : "");
}

static bool skip(const char **at, const char *word)
{
    size_t length = strlen(word);
    bool is_there = strncmp(*at, word, length) == 0;
    *at += is_there ? length : 0;
    return is_there;
}

/* "12.3": thousandths. At most twelve digits before the point. */
static bool read_tenths(const char **at, int64_t *thousandths)
{
    const char *digit = *at;
    int64_t value = 0;
    for (; isdigit((unsigned char)*digit) != 0 && digit - *at < 12; digit++)
        value = value * 10 + (*digit - '0');
    if (digit == *at || digit[0] != '.' || isdigit((unsigned char)digit[1]) == 0)
        return false;
    *thousandths = value * 1000 + (digit[1] - '0') * 100;
    *at = digit + 2;
    return true;
}

bool voltage_sentence_read(const char *sentence, struct voltage_change *change, int64_t *left_out)
{
    static const enum voltage_event kinds[] = {VOLTAGE_SAG, VOLTAGE_SWELL, VOLTAGE_INTERRUPTION};
    const char *at = sentence;
    int64_t percent;
    size_t i = 0;
    *change = (struct voltage_change){.ended = VOLTAGE_NONE};
    *left_out = 0;
    if (!skip(&at, "A voltage "))
        return false;
    while (i < 3 && !skip(&at, voltage_event_name(kinds[i])))
        i++;
    if (i == 3 || !skip(&at, kinds[i] == VOLTAGE_SWELL ? " up to " : " down to ") ||
        !read_tenths(&at, &change->extreme_mv) || !skip(&at, " V (") ||
        !read_tenths(&at, &percent) || !skip(&at, " %), ") ||
        !read_tenths(&at, &change->duration_ms) || !skip(&at, " s long"))
        return false;
    change->cut = skip(&at, " until the readings stopped");
    change->ended = kinds[i];
    if (skip(&at, ". (")) {
        long long more = strtoll(at, NULL, 10);
        *left_out = more > 0 && more < LEFT_OUT_MAX ? more : 0;
    }
    return true;
}
