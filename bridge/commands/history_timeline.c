/* SPDX-License-Identifier: MIT */
/* bl2mqtt history gaps, bl2mqtt history events: when nothing was measured, and what happened. */
#include "bridge/commands/command.h"
#include "bridge/commands/history_options.h"
#include "bridge/history/time_text.h"
#include "bridge/history/timeline.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"
#include "drivers/base/number.h"

#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define DAY_MS 86400000LL

struct options {
    const char *name; /* of the command */
    const char *device;
    const char *channel;
    const char *from;
    const char *to;
    int64_t min_ms;
    bool json;
    const char *database;
    bool help;
};

static const char times_help[] =
    "T is a date (2026-10-01, its beginning), a time (2026-10-01T14:30, with an offset if need\n"
    "be), now, today, yesterday or tomorrow.\n";

static void print_gaps_help(void)
{
    (void)printf("Usage: bl2mqtt history gaps [OPTION...]\n\n"
                 "When nothing was measured, and why; the service may run.\n\n"
                 "  --device D       the device's id in bridge.yaml (default: all)\n"
                 "  --channel C      one channel of it\n"
                 "  --from T         begin (default: 7 days before the end)\n"
                 "  --to T           end, at most now, which is the default\n"
                 "  --min TIME       only gaps longer than this, as 60s (default), 5m, 1h\n"
                 "  --json           one JSON list on stdout\n"
                 "  --database FILE  the history file (default: history.path of the "
                 "configuration)\n\n%s",
                 times_help);
}

static void print_events_help(void)
{
    (void)printf("Usage: bl2mqtt history events [OPTION...]\n\n"
                 "What happened to the bridge and its channels; the service may run.\n\n"
                 "  --device D       only of this device (default: all, and the bridge itself)\n"
                 "  --channel C      only of this channel\n"
                 "  --from T         begin (default: 7 days before the end)\n"
                 "  --to T           end (default: now)\n"
                 "  --json           one JSON list on stdout\n"
                 "  --database FILE  the history file (default: history.path of the "
                 "configuration)\n\n%s",
                 times_help);
}

static enum status take_option(int option, struct options *options)
{
    switch (option) {
    case 'd':
        options->device = optarg;
        return STATUS_OK;
    case 'c':
        options->channel = optarg;
        return STATUS_OK;
    case 'f':
        options->from = optarg;
        return STATUS_OK;
    case 't':
        options->to = optarg;
        return STATUS_OK;
    case 'j':
        options->json = true;
        return STATUS_OK;
    case 'D':
        options->database = optarg;
        return STATUS_OK;
    case 'h':
        options->help = true;
        return STATUS_OK;
    case 'm':
        if (number_parse_duration(optarg, strlen(optarg), 1000, 3650 * DAY_MS, &options->min_ms))
            return STATUS_OK;
        return command_bad_value(options->name, "min", optarg,
                                 "a time with its unit, from 1s on, such as 60s or 5m");
    default:
        return command_bad_option(options->name);
    }
}

static enum status parse(int argc, char **argv, const struct option *known, struct options *options)
{
    int option;
    while (!options->help && (option = getopt_long(argc, argv, "h", known, NULL)) != -1) {
        enum status status = take_option(option, options);
        if (status != STATUS_OK)
            return status;
    }
    if (!options->help && optind < argc)
        return command_extra_word(options->name, argv[optind]);
    return STATUS_OK;
}

static enum status parse_span(const struct options *options, int64_t *from_ms, int64_t *to_ms,
                              struct error *error)
{
    enum status status = STATUS_OK;
    *to_ms = clock_wall_ms() + 1; /* what has just happened is in */
    if (options->to != NULL)
        status = command_history_time("--to", options->to, to_ms, error);
    if (status != STATUS_OK)
        return status;
    *from_ms = *to_ms - 7 * DAY_MS < 0 ? 0 : *to_ms - 7 * DAY_MS;
    if (options->from != NULL)
        status = command_history_time("--from", options->from, from_ms, error);
    return status;
}

/* ---- what both print ---- */

struct list_answer {
    bool json;
    bool first;
};

static char *time_of(int64_t wall_ms, char buffer[64])
{
    struct text text;
    text_init(&text, buffer, 64);
    time_text_append(&text, wall_ms);
    return buffer;
}

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
    char start[64], end[64], duration[32];
    (void)time_of(gap->start_ms, start);
    (void)time_of(gap->end_ms, end);
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

static enum status answer_gaps(const char *path, const struct options *options, struct error *error)
{
    int64_t from_ms = 0;
    int64_t to_ms = 0;
    enum status status = parse_span(options, &from_ms, &to_ms, error);
    if (status != STATUS_OK)
        return status;
    int64_t now_ms = clock_wall_ms();
    to_ms = to_ms > now_ms ? now_ms : to_ms;
    struct list_answer answer = {.json = options->json, .first = true};
    status = history_gaps(path, options->device, options->channel, from_ms, to_ms, options->min_ms,
                          print_gap, &answer, error);
    if (status == STATUS_OK && options->json)
        end_list(answer.first);
    else if (status == STATUS_OK && answer.first)
        (void)puts("There is no gap.");
    return status == STATUS_OK ? command_flush(error) : status;
}

enum status command_history_gaps(const struct command_context *context, int argc, char **argv)
{
    static const struct option known[] = {
        {"device", required_argument, NULL, 'd'},
        {"channel", required_argument, NULL, 'c'},
        {"from", required_argument, NULL, 'f'},
        {"to", required_argument, NULL, 't'},
        {"min", required_argument, NULL, 'm'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {"database", required_argument, NULL, 'D'},
        {NULL, 0, NULL, 0},
    };
    struct options options = {.name = "history gaps", .min_ms = 60000};
    enum status status = parse(argc, argv, known, &options);
    if (status != STATUS_OK)
        return status;
    if (options.help) {
        print_gaps_help();
        return STATUS_OK;
    }
    struct error error = {""};
    char *path memory_auto = NULL;
    status = command_history_path(context, options.database, &path, &error);
    if (status == STATUS_OK)
        status = answer_gaps(path, &options, &error);
    return status == STATUS_OK ? STATUS_OK : command_fail(options.name, status, &error);
}

/* ---- events ---- */

static bool print_event(void *context, const struct history_event *event)
{
    struct list_answer *answer = context;
    char time[64];
    (void)time_of(event->wall_ms, time);
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

static enum status answer_events(const char *path, const struct options *options,
                                 struct error *error)
{
    int64_t from_ms = 0;
    int64_t to_ms = 0;
    enum status status = parse_span(options, &from_ms, &to_ms, error);
    if (status != STATUS_OK)
        return status;
    struct list_answer answer = {.json = options->json, .first = true};
    status = history_events(path, options->device, options->channel, from_ms, to_ms, print_event,
                            &answer, error);
    if (status == STATUS_OK && options->json)
        end_list(answer.first);
    else if (status == STATUS_OK && answer.first)
        (void)puts("Nothing happened.");
    return status == STATUS_OK ? command_flush(error) : status;
}

enum status command_history_events(const struct command_context *context, int argc, char **argv)
{
    static const struct option known[] = {
        {"device", required_argument, NULL, 'd'}, {"channel", required_argument, NULL, 'c'},
        {"from", required_argument, NULL, 'f'},   {"to", required_argument, NULL, 't'},
        {"json", no_argument, NULL, 'j'},         {"database", required_argument, NULL, 'D'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    struct options options = {.name = "history events"};
    enum status status = parse(argc, argv, known, &options);
    if (status != STATUS_OK)
        return status;
    if (options.help) {
        print_events_help();
        return STATUS_OK;
    }
    struct error error = {""};
    char *path memory_auto = NULL;
    status = command_history_path(context, options.database, &path, &error);
    if (status == STATUS_OK)
        status = answer_events(path, &options, &error);
    return status == STATUS_OK ? STATUS_OK : command_fail(options.name, status, &error);
}
