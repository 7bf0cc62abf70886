/* SPDX-License-Identifier: MIT */
#include "bridge/history/stamping.h"

#include <stdio.h>

#define DAY_MS INT64_C(86400000)

int64_t stamping_earliest_ms(void)
{
    return (int64_t)BUILD_TIME_S * 1000 - DAY_MS;
}

enum stamping stamping_judge(int64_t wait_ms, int64_t newest_ms, int64_t wall_ms, int64_t boot_ms,
                             enum clock_sync sync)
{
    bool possible = wall_ms >= stamping_earliest_ms();
    if (possible && sync == CLOCK_SYNCHRONISED)
        return STAMPING_SURE;
    if (possible && sync == CLOCK_SYNC_UNKNOWN && wall_ms >= newest_ms)
        return STAMPING_SURE;
    return boot_ms >= wait_ms ? STAMPING_GUESS : STAMPING_WAITS;
}

/* What was stamped by the clock as it stood then, a little before and after included. */
#define MARGIN_MS 5000

struct correction {
    int64_t first_ms, last_ms; /* stamps that are of the time of waiting */
    int64_t shift_ms;
};

static int64_t corrected(const struct correction *correction, int64_t wall_ms)
{
    if (wall_ms < correction->first_ms || wall_ms > correction->last_ms)
        return wall_ms;
    return wall_ms + correction->shift_ms;
}

static void correct_channel(const struct correction *correction, struct known_channel *channel)
{
    bool same = channel->recorded.id == channel->configured.id;
    if (!channel->recorded_stored)
        channel->recorded.valid_from_ms = corrected(correction, channel->recorded.valid_from_ms);
    if (!channel->configured_stored)
        channel->configured.valid_from_ms =
            same ? channel->recorded.valid_from_ms
                 : corrected(correction, channel->configured.valid_from_ms);
    if (channel->counted.id == channel->recorded.id)
        channel->counted.valid_from_ms = channel->recorded.valid_from_ms;
    int64_t counter_ms = corrected(correction, channel->state.counter_wall_ms);
    channel->dirty =
        channel->dirty || (channel->has_state && counter_ms != channel->state.counter_wall_ms);
    channel->state.counter_wall_ms = counter_ms;
}

void stamping_apply(struct queue *queue, struct channels *channels, const struct moment *began,
                    const struct moment *now)
{
    int64_t offset_ms = now->wall_ms - now->boot_ms;
    int64_t waited_ms = now->boot_ms - began->boot_ms;
    const struct correction correction = {
        .first_ms = began->wall_ms - MARGIN_MS,
        .last_ms = began->wall_ms + waited_ms + MARGIN_MS,
        .shift_ms = offset_ms - (began->wall_ms - began->boot_ms),
    };
    for (size_t i = 0; i < queue->readings.count; i++) {
        struct reading *reading = &ring_at(&queue->readings, i)->reading;
        reading->wall_ms = offset_ms + reading->boot_ms;
    }
    for (size_t i = 0; i < queue->events.count; i++)
        queue->events.items[i].wall_ms = offset_ms + queue->events.items[i].boot_ms;
    for (size_t i = 0; i < channels->count; i++)
        correct_channel(&correction, &channels->list[i]);
}

void clock_hold_init(struct clock_hold *hold, int64_t wait_ms, int64_t newest_ms,
                     const struct moment *now)
{
    *hold = (struct clock_hold){
        .wait_ms = wait_ms, .newest_ms = newest_ms, .opened = *now, .held = wait_ms > 0};
}

static void end_wait(struct clock_hold *hold, struct queue *queue, struct channels *channels,
                     const struct moment *now, bool sure, struct clock_notice *notice)
{
    size_t waiting = queue->readings.count;
    double seconds = (double)(now->boot_ms - hold->opened.boot_ms) / 1000;
    int64_t opened_ms = now->wall_ms - (now->boot_ms - hold->opened.boot_ms);
    double shift_s = (double)(opened_ms - hold->opened.wall_ms) / 1000;
    stamping_apply(queue, channels, &hold->opened, now);
    hold->released_boot_ms = now->boot_ms;
    notice->kind = sure ? "clock_set" : "clock_unsynchronised";
    (void)snprintf(notice->message, sizeof notice->message,
                   "%s; %zu readings of the last %.0f s are stamped by it. It was corrected by "
                   "%.3f s.",
                   sure ? "The clock of this machine is set"
                        : "The clock of this machine was not set in time",
                   waiting, seconds, shift_s);
}

void clock_hold_check(struct clock_hold *hold, struct queue *queue, struct channels *channels,
                      const struct moment *now, enum clock_sync sync, bool must_end,
                      struct clock_notice *notice)
{
    notice->kind = "";
    if (!hold->held)
        return;
    enum stamping stamping =
        stamping_judge(hold->wait_ms, hold->newest_ms, now->wall_ms, now->boot_ms, sync);
    if (stamping == STAMPING_WAITS && !must_end) {
        if (hold->awaited)
            return;
        hold->awaited = true;
        notice->kind = "clock_awaited";
        (void)snprintf(
            notice->message, sizeof notice->message,
            "The clock of this machine is not set yet; readings wait in memory for their "
            "stamps. Totals are stored and published meanwhile.");
        return;
    }
    if (hold->awaited) {
        end_wait(hold, queue, channels, now, stamping == STAMPING_SURE, notice);
    } else if (stamping != STAMPING_SURE) {
        notice->kind = "clock_unsynchronised";
        (void)snprintf(
            notice->message, sizeof notice->message,
            "The clock of this machine is not synchronised; readings are stamped with it "
            "as it stands.");
    }
    hold->held = hold->awaited = false;
}
