/* SPDX-License-Identifier: MIT */
#include "bridge/service/notices.h"

#include "bridge/service/clock_watch.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct notices {
    struct notices_options options;
    bool sink_failing[CONFIG_SINKS_MAX]; /* as last reported; likewise below */
    uint64_t sink_refused[CONFIG_SINKS_MAX];
    struct clock_watch clocks;
};

struct notices *notices_create(const struct notices_options *options)
{
    struct notices *notices = memory_new(1, sizeof *notices);
    notices->options = *options;
    return notices;
}

void notices_free(struct notices *notices)
{
    free(notices);
}

static void publish(struct notices *notices, const char *kind, const char *message)
{
    const struct message_event event = {
        .type = kind, .wall_ms = clock_wall_ms(), .message = message};
    hub_event(notices->options.hub, &event);
}

static void put_on_record(struct notices *notices, int64_t wall_ms, const char *kind,
                          const char *message)
{
    history_put_event(notices->options.history, 0, wall_ms, kind, message);
    publish(notices, kind, message);
}

void notices_event(struct notices *notices, enum log_level level, const char *kind,
                   const char *message)
{
    char passed[512];
    struct log *log = notices->options.log;
    if (!event_gate_pass(notices->options.events, kind, NULL, NULL, message, clock_boot_ms(),
                         passed, sizeof passed))
        return;
    if (level == LOG_LEVEL_WARNING)
        log_warning(log, "%s", passed);
    else if (level == LOG_LEVEL_INFO)
        log_info(log, "%s", passed);
    put_on_record(notices, clock_wall_ms(), kind, passed);
}

/* ---- the history ---- */

void notices_history(struct notices *notices)
{
    struct history_notice notice;
    while (history_next_notice(notices->options.history, &notice))
        publish(notices, notice.kind, notice.message);
}

/* ---- sinks ---- */

static void look_at_sink(struct notices *notices, size_t number)
{
    struct sink_health sink;
    sinks_health(notices->options.sinks, number, &sink);
    char message[256];
    bool failing = sink.problem[0] != '\0';
    if (failing != notices->sink_failing[number]) {
        notices->sink_failing[number] = failing;
        (void)snprintf(message, sizeof message,
                       "Sink %s accepts lines again; %" PRIu64 " lines since the start.", sink.id,
                       sink.delivered);
        if (failing)
            notices_event(notices, LOG_LEVEL_WARNING, "sink_problem", sink.problem);
        else
            notices_event(notices, LOG_LEVEL_INFO, "sink_recovered", message);
    }
    if (sink.refused != notices->sink_refused[number]) {
        (void)snprintf(message, sizeof message,
                       "Sink %s refused %" PRIu64 " lines, the last: %.180s", sink.id,
                       sink.refused - notices->sink_refused[number], sink.refusal);
        notices->sink_refused[number] = sink.refused;
        notices_event(notices, LOG_LEVEL_WARNING, "sink_refused", message);
    }
}

void notices_sinks(struct notices *notices)
{
    for (size_t i = 0; i < sinks_count(notices->options.sinks); i++)
        look_at_sink(notices, i);
}

/* ---- the clock ---- */

void notices_clock(struct notices *notices)
{
    const struct clocks now = {clock_wall_ms(), clock_boot_ms(), clock_awake_ms()};
    const struct clocks last = notices->clocks.last;
    int64_t by_ms;
    enum clock_change change = clock_watch_note(&notices->clocks, &now, &by_ms);
    if (change == CLOCK_UNCHANGED)
        return;
    struct history_health history;
    history_health(notices->options.history, &history);
    bool was_awaited = history.clock_released_boot_ms >= last.boot_ms;
    if (change == CLOCK_STEPPED && (history.clock_awaited || was_awaited))
        return; /* it is reported when the readings get their stamps */
    char message[200];
    struct text text;
    text_init(&text, message, sizeof message);
    if (change == CLOCK_STEPPED)
        text_append(&text, "The clock of this machine was set %s by ",
                    by_ms < 0 ? "back" : "forward");
    else
        text_append(&text, "The machine was suspended for ");
    clock_watch_append_span(&text, by_ms);
    text_append(&text, ".");
    const char *kind = change == CLOCK_STEPPED ? "clock_stepped" : "suspended";
    log_warning(notices->options.log, "%s", message);
    /* The first moment at which it can have happened. */
    put_on_record(notices, now.wall_ms - (now.awake_ms - last.awake_ms), kind, message);
}
