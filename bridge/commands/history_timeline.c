/* SPDX-License-Identifier: MIT */
/* bl2mqtt history gaps, bl2mqtt history events: when nothing was measured, and what happened. See
 * bl2mqtt-history-gaps(1), bl2mqtt-history-events(1). */
#include "bridge/commands/history_ask.h"
#include "bridge/commands/history_print.h"
#include "bridge/options/layout.h"
#include "drivers/base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define GAPS "history gaps"
#define EVENTS "history events"
#define DAY_MS 86400000LL

struct options {
    struct history_asked asked;
    const char *min; /* a duration, as it was written */
};

struct work {
    int width;
    size_t count;
};

/* "house a", or "bridge" where there is no device. */
static const char *name_of(const struct answer_cell *device, const struct answer_cell *channel,
                           char *buffer, size_t size)
{
    (void)snprintf(buffer, size, "%s%s%s", device->known ? device->text : "bridge",
                   channel->known ? " " : "", channel->known ? channel->text : "");
    return buffer;
}

static enum status finish(const char *command, enum status status, const struct work *work,
                          const struct history_asked *asked, const char *nothing)
{
    struct error error = {""};
    if (status != STATUS_OK)
        return status;
    if (work->count == 0 && !asked->json)
        (void)puts(nothing);
    return command_end(command, command_flush(&error), &error);
}

/* ---- gaps ---- */

enum { GAP_START, GAP_END, GAP_DEVICE, GAP_CHANNEL, GAP_REASON }; /* answer_gap_cells() */

static void format_length(int64_t ms, char *buffer, size_t size)
{
    int64_t seconds = ms / 1000;
    if (seconds >= 86400)
        (void)snprintf(buffer, size, "%" PRId64 "d %02dh", seconds / 86400,
                       (int)(seconds % 86400 / 3600));
    else
        (void)snprintf(buffer, size, "%02d:%02d:%02d", (int)(seconds / 3600),
                       (int)(seconds % 3600 / 60), (int)(seconds % 60));
}

static bool print_gap(void *context, const struct answer_cell *cells, size_t count)
{
    struct work *work = context;
    char start[HISTORY_PRINT_SIZE], end[HISTORY_PRINT_SIZE], length[40], name[160];
    (void)count;
    if (work->count++ == 0)
        (void)printf("%-19s  %-19s  %8s  %-7s  %s\n", "from", "to", "length", "channel", "reason");
    format_length(cells[GAP_END].value - cells[GAP_START].value, length, sizeof length);
    (void)printf("%-19s  %-19s  %8s  %-7s  ", history_print_local(cells[GAP_START].value, start),
                 history_print_local(cells[GAP_END].value, end), length,
                 name_of(&cells[GAP_DEVICE], &cells[GAP_CHANNEL], name, sizeof name));
    int column =
        19 + 2 + 19 + 2 + 8 + 2 + (layout_columns(name) > 7 ? layout_columns(name) : 7) + 2;
    layout_wrap(stdout, cells[GAP_REASON].text, column, 4, work->width);
    return ferror(stdout) == 0;
}

static enum status run_gaps(const struct command_context *context, void *own)
{
    const struct options *options = own;
    char nothing[80];
    struct work work = {.width = layout_terminal_width(STDOUT_FILENO)};
    const struct history_ask ask = {.command = GAPS,
                                    .kind = HISTORY_GAPS,
                                    .asked = &options->asked,
                                    .min = options->min,
                                    .row = print_gap,
                                    .context = &work};
    (void)snprintf(nothing, sizeof nothing, "There is no gap longer than %.20s.", options->min);
    return finish(GAPS, history_ask(context, NULL, &ask), &work, &options->asked, nothing);
}

static const struct option_row gaps_rows[] = {
    HISTORY_DEVICE_ROW(NULL, "the device's id in bridge.yaml (default: all)"),
    HISTORY_CHANNEL_ROW(NULL, "one channel of it (default: all)"),
    HISTORY_FROM_ROW("beginning (default: 7 days before the end)"),
    HISTORY_TO_ROW("end, at most now, which is the default"),
    {.name = "min",
     .argument = "TIME",
     .at = offsetof(struct options, min),
     .preset = "60s",
     .help = "only gaps longer than this, such as 5m or 1h"},
    {.name = NULL},
};

const struct command command_history_gaps = {
    .line = {.name = GAPS,
             .summary = "when nothing was measured, and why",
             .purpose = "When nothing was measured, and why. The service may run.",
             .notes = HISTORY_TIMES,
             .tables = {gaps_rows, history_json_rows, history_csv_rows, history_database_rows},
             .size = sizeof(struct options)},
    .run = run_gaps,
};

/* ---- events ---- */

enum {
    EVENT_TIME,
    EVENT_DEVICE,
    EVENT_CHANNEL,
    EVENT_KIND,
    EVENT_MESSAGE
}; /* answer_event_cells() */

/* The messages stand in one column, below what is too long to leave it free, and further left on a narrow terminal. */
static bool print_event(void *context, const struct answer_cell *cells, size_t count)
{
    enum { COLUMN = 46, ROOM_MIN = 24, NARROW = 21 };
    struct work *work = context;
    char time[HISTORY_PRINT_SIZE], name[160], head[400];
    struct text text;
    (void)count;
    work->count++;
    text_init(&text, head, sizeof head);
    text_append(&text, "%-19s  %-7s  %-14s", history_print_local(cells[EVENT_TIME].value, time),
                name_of(&cells[EVENT_DEVICE], &cells[EVENT_CHANNEL], name, sizeof name),
                cells[EVENT_KIND].text);
    int indent = work->width - COLUMN < ROOM_MIN ? NARROW : COLUMN;
    bool below = layout_columns(head) + 2 > indent;
    (void)printf("%s%s", head, below ? "\n" : "  ");
    layout_wrap(stdout, cells[EVENT_MESSAGE].text, below ? 0 : indent, indent, work->width);
    return ferror(stdout) == 0;
}

static enum status run_events(const struct command_context *context, void *own)
{
    const struct options *options = own;
    struct work work = {.width = layout_terminal_width(STDOUT_FILENO)};
    const struct history_ask ask = {.command = EVENTS,
                                    .kind = HISTORY_EVENTS,
                                    .asked = &options->asked,
                                    .row = print_event,
                                    .context = &work};
    return finish(EVENTS, history_ask(context, NULL, &ask), &work, &options->asked,
                  "Nothing happened.");
}

static const struct option_row events_rows[] = {
    HISTORY_DEVICE_ROW(NULL, "only of this device (default: all, and the bridge itself)"),
    HISTORY_CHANNEL_ROW(NULL, "only of this channel"),
    HISTORY_FROM_ROW("beginning (default: 7 days before the end)"),
    HISTORY_TO_ROW("end (default: now)"),
    {.name = NULL},
};

const struct command command_history_events = {
    .line = {.name = EVENTS,
             .summary = "what happened to the bridge and its channels",
             .purpose = "What happened to the bridge and its channels. The service may run.",
             .notes = HISTORY_TIMES,
             .tables = {events_rows, history_json_rows, history_csv_rows, history_database_rows},
             .size = sizeof(struct options)},
    .run = run_events,
};
