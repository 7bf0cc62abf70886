/* SPDX-License-Identifier: MIT */
#include "bridge/meter/voltage.h"

#define NEVER_TIMES 2 /* the nominal voltage: no mains has that */

const char *voltage_event_name(enum voltage_event event)
{
    static const char *const names[] = {
        [VOLTAGE_NONE] = "",
        [VOLTAGE_SAG] = "sag",
        [VOLTAGE_SWELL] = "swell",
        [VOLTAGE_INTERRUPTION] = "interruption",
    };
    return names[event];
}

static void end_event(struct voltage_watch *watch, int64_t end_ms, bool cut,
                      struct voltage_change *change)
{
    change->ended = watch->event;
    change->start_ms = watch->start_ms;
    change->duration_ms = end_ms - watch->start_ms;
    change->extreme_mv = watch->extreme_mv;
    change->cut = cut;
    watch->event = VOLTAGE_NONE;
}

static void end_with_readings(struct voltage_watch *watch, struct voltage_change *change)
{
    if (watch->event != VOLTAGE_NONE)
        end_event(watch, watch->last_ms, true, change);
    watch->has_last = false;
}

static int64_t at(const struct voltage_limits *limits, int64_t permille)
{
    return limits->nominal_mv * permille / 1000;
}

/* low, high: the last two readings; what both are beyond is sure. */
static void begin(struct voltage_watch *watch, const struct voltage_limits *limits, int64_t low,
                  int64_t high, struct voltage_change *change)
{
    if (high < at(limits, limits->interruption))
        watch->event = VOLTAGE_INTERRUPTION;
    else if (high < at(limits, limits->sag))
        watch->event = VOLTAGE_SAG;
    else if (low > at(limits, limits->swell))
        watch->event = VOLTAGE_SWELL;
    else
        return;
    watch->start_ms = watch->last_ms;
    watch->extreme_mv = watch->event == VOLTAGE_SWELL ? low : high;
    change->began = watch->event;
}

static void go_on(struct voltage_watch *watch, const struct voltage_limits *limits, int64_t low,
                  int64_t high, struct voltage_change *change)
{
    if (watch->event == VOLTAGE_SWELL) {
        watch->extreme_mv = low > watch->extreme_mv ? low : watch->extreme_mv;
        if (high <= at(limits, limits->swell - VOLTAGE_HYSTERESIS_PERMILLE))
            end_event(watch, watch->last_ms, false, change);
        return;
    }
    watch->extreme_mv = high < watch->extreme_mv ? high : watch->extreme_mv;
    if (watch->extreme_mv < at(limits, limits->interruption))
        watch->event = VOLTAGE_INTERRUPTION;
    if (low >= at(limits, limits->sag + VOLTAGE_HYSTERESIS_PERMILLE))
        end_event(watch, watch->last_ms, false, change);
}

void voltage_watch_reading(struct voltage_watch *watch, const struct voltage_limits *limits,
                           bool known, int64_t voltage_mv, int64_t boot_ms,
                           struct voltage_change *change)
{
    *change = (struct voltage_change){.began = VOLTAGE_NONE};
    if (watch->has_last && boot_ms - watch->last_ms > VOLTAGE_GAP_MS)
        end_with_readings(watch, change);
    if (boot_ms < watch->paused_until_ms || !known || voltage_mv < 0 ||
        voltage_mv > NEVER_TIMES * limits->nominal_mv)
        return;
    if (watch->has_last) {
        int64_t low = voltage_mv < watch->last_mv ? voltage_mv : watch->last_mv;
        int64_t high = voltage_mv < watch->last_mv ? watch->last_mv : voltage_mv;
        if (watch->event == VOLTAGE_NONE)
            begin(watch, limits, low, high, change);
        else
            go_on(watch, limits, low, high, change);
    }
    watch->has_last = true;
    watch->last_ms = boot_ms;
    watch->last_mv = voltage_mv;
}

void voltage_watch_pause(struct voltage_watch *watch, int64_t boot_ms,
                         struct voltage_change *change)
{
    *change = (struct voltage_change){.began = VOLTAGE_NONE};
    end_with_readings(watch, change);
    watch->paused_until_ms = boot_ms + VOLTAGE_PAUSE_MS;
}
