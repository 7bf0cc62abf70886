/* SPDX-License-Identifier: MIT */
#include "bridge/service/clock_watch.h"

#define STEP_MS 2000

enum clock_change clock_watch_note(struct clock_watch *watch, const struct clocks *now,
                                   int64_t *by_ms)
{
    *by_ms = 0;
    if (!watch->begun) {
        *watch = (struct clock_watch){.begun = true, .last = *now};
        return CLOCK_UNCHANGED;
    }
    struct clocks *last = &watch->last;
    int64_t passed_ms = now->boot_ms - last->boot_ms;
    int64_t asleep_ms = passed_ms - (now->awake_ms - last->awake_ms);
    int64_t stepped_ms = now->wall_ms - last->wall_ms - passed_ms;
    if (asleep_ms >= STEP_MS) {
        *by_ms = asleep_ms;
        /* The wall clock goes on while the machine sleeps; what is left is a step. */
        *last = (struct clocks){now->wall_ms - stepped_ms, now->boot_ms, now->awake_ms};
        return CLOCK_SUSPENDED;
    }
    *last = *now;
    if (stepped_ms > -STEP_MS && stepped_ms < STEP_MS)
        return CLOCK_UNCHANGED;
    *by_ms = stepped_ms;
    return CLOCK_STEPPED;
}

void clock_watch_append_span(struct text *out, int64_t ms)
{
    static const struct {
        int64_t ms;
        const char *unit;
    } parts[] = {{86400000, "d"}, {3600000, "h"}, {60000, "min"}};
    const char *separator = "";
    int64_t left = ms < 0 ? -ms : ms;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (left < parts[i].ms)
            continue;
        text_append(out, "%s%lld %s", separator, (long long)(left / parts[i].ms), parts[i].unit);
        left %= parts[i].ms;
        separator = " ";
    }
    if (left > 0 || separator[0] == '\0')
        text_append(out, "%s%.1f s", separator, (double)left / 1000);
}
