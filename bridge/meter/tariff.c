/* SPDX-License-Identifier: MIT */
#include "bridge/meter/tariff.h"

#include "drivers/base/memory.h"
#include "drivers/base/number.h"

#include <string.h>

struct tariffs *tariffs_new(size_t count)
{
    struct tariffs *tariffs = memory_new(1, sizeof *tariffs);
    atomic_init(&tariffs->holders, 1);
    tariffs->count = count;
    tariffs->list = memory_new(count, sizeof *tariffs->list);
    return tariffs;
}

struct tariffs *tariffs_hold(struct tariffs *tariffs)
{
    if (tariffs != NULL)
        (void)atomic_fetch_add(&tariffs->holders, 1);
    return tariffs;
}

void tariffs_release(struct tariffs *tariffs)
{
    if (tariffs == NULL || atomic_fetch_sub(&tariffs->holders, 1) > 1)
        return;
    for (size_t i = 0; i < tariffs->count; i++)
        free(tariffs->list[i].windows);
    free(tariffs->list);
    free(tariffs);
}

static int date_of(const struct tm *local)
{
    return (local->tm_year + 1900) * 10000 + (local->tm_mon + 1) * 100 + local->tm_mday;
}

const struct tariff *tariff_at(const struct tariff *tariffs, size_t count, const struct tm *local)
{
    const struct tariff *found = NULL;
    int date = date_of(local);
    for (size_t i = 0; i < count; i++)
        if (tariffs[i].valid_from <= date &&
            (found == NULL || tariffs[i].valid_from > found->valid_from))
            found = &tariffs[i];
    return found;
}

static bool fits(const struct tariff_window *window, const struct tm *local)
{
    int minute = local->tm_hour * 60 + local->tm_min;
    unsigned day = 1u << (unsigned)((local->tm_wday + 6) % 7);
    unsigned month = 1u << (unsigned)local->tm_mon;
    if ((window->days & day) == 0 || (window->months & month) == 0)
        return false;
    if (window->from_minute < window->to_minute)
        return minute >= window->from_minute && minute < window->to_minute;
    return minute >= window->from_minute || minute < window->to_minute;
}

void tariff_prices(const struct tariff *tariff, const struct tm *local, int64_t *price_micro,
                   int64_t *feed_in_micro)
{
    *price_micro = tariff->price_micro;
    *feed_in_micro = tariff->feed_in_micro;
    for (size_t i = 0; i < tariff->window_count; i++) {
        const struct tariff_window *window = &tariff->windows[i];
        if (!fits(window, local))
            continue;
        if (window->price_micro != TARIFF_ABSENT)
            *price_micro = window->price_micro;
        if (window->feed_in_micro != TARIFF_ABSENT)
            *feed_in_micro = window->feed_in_micro;
        return;
    }
}

bool tariff_add_market(const struct tariff *tariff, const struct intervals *market, int64_t quarter,
                       int64_t *price_micro, int64_t *feed_in_micro)
{
    int64_t value_micro = 0;
    if (!tariff->dynamic && !tariff->dynamic_feed_in)
        return true;
    if (market == NULL || !intervals_find(market, quarter, &value_micro))
        return false;
    if (tariff->dynamic)
        *price_micro += wide_scale(value_micro, tariff->factor_micro, 1000000);
    if (tariff->dynamic_feed_in)
        *feed_in_micro += value_micro;
    return true;
}

bool tariffs_follow_market(const struct tariff *tariffs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (tariffs[i].dynamic || tariffs[i].dynamic_feed_in)
            return true;
    return false;
}

int64_t tariff_money(struct wide sum)
{
    static const int64_t per_micro = 1000000000;
    int64_t half = wide_is_negative(sum) ? -(per_micro / 2) : per_micro / 2;
    int64_t micro = wide_divide(wide_add(sum, wide_from(half)), per_micro, NULL);
    if (micro > INT64_MAX / 4)
        return INT64_MAX / 4;
    if (micro < -(INT64_MAX / 4))
        return -(INT64_MAX / 4);
    return micro;
}

/* ---- texts ---- */

static bool digits(const char *text, size_t count, int64_t low, int64_t high, int64_t *value)
{
    return strspn(text, "0123456789") >= count && number_parse_int(text, count, low, high, value);
}

bool tariff_parse_minute(const char *text, int *minute)
{
    int64_t hours;
    int64_t minutes;
    if (strlen(text) != 5 || text[2] != ':' || !digits(text, 2, 0, 24, &hours) ||
        !digits(text + 3, 2, 0, 45, &minutes) || minutes % 15 != 0 ||
        hours * 60 + minutes > TARIFF_DAY_MINUTES)
        return false;
    *minute = (int)(hours * 60 + minutes);
    return true;
}

static bool name_at(const char *text, const char *const *names, unsigned count, unsigned *index)
{
    for (unsigned i = 0; i < count; i++) {
        if (strncmp(text, names[i], 3) == 0) {
            *index = i;
            return true;
        }
    }
    return false;
}

/* Names of three letters, ranges of them with '-', and lists of those with ','. */
static bool parse_names(const char *text, const char *const *names, unsigned count, unsigned *set)
{
    *set = 0;
    for (;;) {
        unsigned first;
        if (!name_at(text, names, count, &first))
            return false;
        unsigned last = first;
        text += 3;
        if (*text == '-') {
            if (!name_at(text + 1, names, count, &last))
                return false;
            text += 4;
        }
        for (unsigned i = first;; i = (i + 1) % count) {
            *set |= 1u << i;
            if (i == last)
                break;
        }
        if (*text == '\0')
            return true;
        if (*text++ != ',')
            return false;
        if (*text == ' ')
            text++;
    }
}

bool tariff_parse_days(const char *text, unsigned *days)
{
    static const char *const names[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
    return parse_names(text, names, 7, days);
}

bool tariff_parse_months(const char *text, unsigned *months)
{
    static const char *const names[] = {"jan", "feb", "mar", "apr", "may", "jun",
                                        "jul", "aug", "sep", "oct", "nov", "dec"};
    return parse_names(text, names, 12, months);
}

bool tariff_parse_date(const char *text, int *date)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t year;
    int64_t month;
    int64_t day;
    if (strlen(text) != 10 || text[4] != '-' || text[7] != '-' ||
        !digits(text, 4, 1970, 9999, &year) || !digits(text + 5, 2, 1, 12, &month) ||
        !digits(text + 8, 2, 1, 31, &day))
        return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (day > lengths[month - 1] + (month == 2 && leap ? 1 : 0))
        return false;
    *date = (int)(year * 10000 + month * 100 + day);
    return true;
}
