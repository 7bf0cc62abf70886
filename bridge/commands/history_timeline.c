/* SPDX-License-Identifier: MIT */
/* bl2mqtt history gaps, bl2mqtt history events: when nothing was measured, and what happened. */
#include "bridge/commands/command.h"
#include "bridge/commands/history_options.h"
#include "bridge/commands/history_print.h"
#include "bridge/history/query/timeline.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"
#include "drivers/base/number.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define DAY_MS 86400000LL

struct options {
    struct history_asked asked;
    int64_t min_ms;
};

static void print_gaps_help(void)
{
    (void)printf(
        "Usage: bl2mqtt history gaps [OPTION...]\n\n"
        "When nothing was measured, and why; the service may run.\n\n"
        "  --device D       the device's id in bridge.yaml (default: all)\n"
        "  --channel C      one channel of it\n"
        "  --from T         begin (default: 7 days before the end)\n"
        "  --to T           end, at most now, which is the default\n"
        "  --min TIME       only gaps longer than this, as 60s (default), 5m, 1h\n"
        "  --json           one JSON list on stdout\n" HISTORY_DATABASE_HELP HISTORY_TIMES_HELP);
}

static void print_events_help(void)
{
    (void)printf(
        "Usage: bl2mqtt history events [OPTION...]\n\n"
        "What happened to the bridge and its channels; the service may run.\n\n"
        "  --device D       only of this device (default: all, and the bridge itself)\n"
        "  --channel C      only of this channel\n"
        "  --from T         begin (default: 7 days before the end)\n"
        "  --to T           end (default: now)\n"
        "  --json           one JSON list on stdout\n" HISTORY_DATABASE_HELP HISTORY_TIMES_HELP);
}

static enum status parse_span(const struct options *options, int64_t *from_ms, int64_t *to_ms,
                              struct error *error)
{
    *to_ms = clock_wall_ms() + 1; /* what has just happened is in */
    return command_history_span(&options->asked, 7 * DAY_MS, from_ms, to_ms, error);
}

/* ---- what both print ---- */

struct list_answer {
    bool json;
    bool first;
};

/* One object of the list; takes it. Rows are written as they come. */
static bool print_object(json_t *object, bool *first)
{
    bool good = fputs(*first ? "[\n" : ",\n", stdout) >= 0;
    *first = false;
    good = good && object != NULL && json_dumpf(object, stdout, JSON_COMPACT) == 0;
    json_decref(object);
    return good;
}

static void end_list(bool first)
{
    (void)puts(first ? "[]" : "\n]");
}

/* ---- gaps ---- */

static void append_duration(struct text *text, int64_t ms)
{
    int64_t seconds = ms / 1000;
    if (seconds >= 86400)
        text_append(text, "%" PRId64 "d ", seconds / 86400);
    text_append(text, "%02" PRId64 ":%02" PRId64 ":%02" PRId64, seconds % 86400 / 3600,
                seconds % 3600 / 60, seconds % 60);
}

static bool print_gap(void *context, const struct history_gap *gap)
{
    struct list_answer *answer = context;
    char start[HISTORY_PRINT_SIZE], end[HISTORY_PRINT_SIZE], duration[32];
    (void)history_print_time(gap->start_ms, start);
    (void)history_print_time(gap->end_ms, end);
    if (answer->json)
        return print_object(json_pack("{s:s, s:s, s:s, s:s, s:s}", "start", start, "end", end,
                                      "device", gap->device, "channel", gap->channel, "reason",
                                      gap->reason),
                            &answer->first);
    struct text text;
    text_init(&text, duration, sizeof duration);
    append_duration(&text, gap->end_ms - gap->start_ms);
    if (answer->first)
        (void)printf("%-29s  %-29s  %13s  %-12s %-8s %s\n", "from", "to", "length", "device",
                     "channel", "reason");
    answer->first = false;
    return printf("%-29s  %-29s  %13s  %-12s %-8s %s\n", start, end, duration, gap->device,
                  gap->channel, gap->reason) > 0;
}

static enum status answer_gaps(const char *path, const void *own, struct error *error)
{
    const struct options *options = own;
    int64_t from_ms = 0;
    int64_t to_ms = 0;
    enum status status = parse_span(options, &from_ms, &to_ms, error);
    if (status != STATUS_OK)
        return status;
    int64_t now_ms = clock_wall_ms();
    to_ms = to_ms > now_ms ? now_ms : to_ms;
    struct list_answer answer = {.json = options->asked.json, .first = true};
    status = history_gaps(path, options->asked.device, options->asked.channel, from_ms, to_ms,
                          options->min_ms, print_gap, &answer, error);
    if (status == STATUS_OK && options->asked.json)
        end_list(answer.first);
    else if (status == STATUS_OK && answer.first)
        (void)puts("There is no gap.");
    return status == STATUS_OK ? command_flush(error) : status;
}

static enum status parse_gaps(int argc, char **argv, struct options *options)
{
    const char *min = "60s";
    const struct words_row own[] = {
        {"min", &min, NULL},
        {"json", NULL, &options->asked.json},
        {NULL, NULL, NULL},
    };
    enum status status = command_history_parse(&options->asked, own, argc, argv);
    if (status == STATUS_OK && !options->asked.help &&
        !number_parse_duration(min, strlen(min), 1000, 3650 * DAY_MS, &options->min_ms))
        return command_bad_value(options->asked.command, "min", min,
                                 "a time with its unit, from 1s on, such as 60s or 5m");
    return status;
}

enum status command_history_gaps(const struct command_context *context, int argc, char **argv)
{
    struct options options = {.asked = {.command = "history gaps", .print_help = print_gaps_help}};
    enum status status = parse_gaps(argc, argv, &options);
    if (status != STATUS_OK || options.asked.help)
        return status;
    return command_history_answer(context, &options.asked, answer_gaps, &options);
}

/* ---- events ---- */

static bool print_event(void *context, const struct history_event *event)
{
    struct list_answer *answer = context;
    char time[HISTORY_PRINT_SIZE];
    (void)history_print_time(event->wall_ms, time);
    if (answer->json)
        return print_object(json_pack("{s:s, s:s?, s:s?, s:s, s:s}", "time", time, "device",
                                      event->device, "channel", event->channel, "kind", event->kind,
                                      "message", event->message),
                            &answer->first);
    answer->first = false;
    return printf("%-29s  %-10s %-4s %-18s %s\n", time,
                  event->device == NULL ? "bridge" : event->device,
                  event->channel == NULL ? "" : event->channel, event->kind, event->message) > 0;
}

static enum status answer_events(const char *path, const void *own, struct error *error)
{
    const struct options *options = own;
    int64_t from_ms = 0;
    int64_t to_ms = 0;
    enum status status = parse_span(options, &from_ms, &to_ms, error);
    if (status != STATUS_OK)
        return status;
    struct list_answer answer = {.json = options->asked.json, .first = true};
    status = history_events(path, options->asked.device, options->asked.channel, from_ms, to_ms,
                            print_event, &answer, error);
    if (status == STATUS_OK && options->asked.json)
        end_list(answer.first);
    else if (status == STATUS_OK && answer.first)
        (void)puts("Nothing happened.");
    return status == STATUS_OK ? command_flush(error) : status;
}

enum status command_history_events(const struct command_context *context, int argc, char **argv)
{
    struct options options = {
        .asked = {.command = "history events", .print_help = print_events_help}};
    const struct words_row own[] = {{"json", NULL, &options.asked.json}, {NULL, NULL, NULL}};
    enum status status = command_history_parse(&options.asked, own, argc, argv);
    if (status != STATUS_OK || options.asked.help)
        return status;
    return command_history_answer(context, &options.asked, answer_events, &options);
}
