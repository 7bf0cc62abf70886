/* SPDX-License-Identifier: MIT */
#include "bridge/meter/intervals.h"

#include "drivers/base/memory.h"

#include <string.h>

void intervals_free(struct intervals *intervals)
{
    free(intervals->list);
    *intervals = (struct intervals){.list = NULL};
}

/* The index of the first that is not before quarter. Mostly they come in order. */
static size_t place_of(const struct intervals *intervals, int64_t quarter)
{
    size_t low = 0, high = intervals->count;
    if (high > 0 && intervals->list[high - 1].quarter < quarter)
        return high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (intervals->list[middle].quarter < quarter)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool intervals_put(struct intervals *intervals, const struct interval *interval)
{
    size_t place = place_of(intervals, interval->quarter);
    if (place < intervals->count && intervals->list[place].quarter == interval->quarter) {
        bool changed = intervals->list[place].value_micro != interval->value_micro;
        intervals->list[place] = *interval;
        return changed;
    }
    intervals->list =
        memory_grow(intervals->list, intervals->count, &intervals->room, sizeof *intervals->list);
    memmove(&intervals->list[place + 1], &intervals->list[place],
            (intervals->count - place) * sizeof *intervals->list);
    intervals->list[place] = *interval;
    intervals->count++;
    return true;
}

bool intervals_find(const struct intervals *intervals, int64_t quarter, int64_t *value_micro)
{
    size_t place = place_of(intervals, quarter);
    if (place >= intervals->count || intervals->list[place].quarter != quarter)
        return false;
    *value_micro = intervals->list[place].value_micro;
    return true;
}

void intervals_drop(struct intervals *intervals, int64_t quarter)
{
    size_t place = place_of(intervals, quarter);
    if (place == 0)
        return;
    memmove(intervals->list, &intervals->list[place],
            (intervals->count - place) * sizeof *intervals->list);
    intervals->count -= place;
}

int64_t intervals_until(const struct intervals *intervals, int64_t quarter)
{
    int64_t value_micro = 0;
    bool known = intervals_find(intervals, quarter, &value_micro);
    for (int64_t next = quarter + 1; next < quarter + 96; next++) {
        int64_t other_micro = 0;
        bool is_known = intervals_find(intervals, next, &other_micro);
        if (is_known != known || (known && other_micro != value_micro))
            return next;
    }
    return quarter + 96;
}
