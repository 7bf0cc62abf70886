/* SPDX-License-Identifier: MIT */
/* bl2mqtt history verify: whether the history, or a backup of it, is sound. See
 * bl2mqtt-history-verify(1). */
#include "bridge/commands/history_options.h"
#include "bridge/history/query/time_text.h"
#include "bridge/history/safety/verify.h"
#include "drivers/base/memory.h"

#include <inttypes.h>
#include <stdio.h>

#define NAME "history verify"

struct options {
    struct history_asked asked;
    const char *file;
};

struct verify_answer {
    bool json;
    json_t *problems;
    json_t *channels;
};

static void take_problem(void *context, const char *sentence)
{
    struct verify_answer *answer = context;
    json_t *text = json_string(sentence); /* NULL if damage makes it no UTF-8 */
    (void)json_array_append_new(answer->problems,
                                text == NULL ? json_string("The file is damaged.") : text);
    if (!answer->json)
        (void)printf("%s\n", sentence);
}

static double kwh(int64_t uwh)
{
    return (double)uwh / 1e9;
}

static json_t *time_or_null(const struct history_verified_channel *channel, int64_t wall_ms)
{
    char time[64];
    struct text text;
    text_init(&text, time, sizeof time);
    time_text_append(&text, wall_ms);
    return channel->readings > 0 ? json_string(time) : json_null();
}

static void take_channel(void *context, const struct history_verified_channel *channel)
{
    struct verify_answer *answer = context;
    if (!answer->json) {
        (void)printf("%s %s: %" PRId64 " %s, %.6f kWh of %.6f,\n  produced %.6f of %.6f  %s\n",
                     channel->device, channel->channel, channel->readings,
                     COMMAND_PLURAL(channel->readings, "reading", "readings"),
                     kwh(channel->imported_uwh), kwh(channel->total_imported_uwh),
                     kwh(channel->exported_uwh), kwh(channel->total_exported_uwh),
                     channel->set_by_user ? "(set)"
                     : channel->agrees    ? "ok"
                                          : "TOO SMALL");
        return;
    }
    json_t *object = json_pack(
        "{s:s, s:s, s:I, s:o, s:o, s:f, s:f, s:f, s:f, s:b, s:b}", "device", channel->device,
        "channel", channel->channel, "readings", (json_int_t)channel->readings, "first",
        time_or_null(channel, channel->first_ms), "last", time_or_null(channel, channel->last_ms),
        "energy_kwh", kwh(channel->imported_uwh), "energy_produced_kwh", kwh(channel->exported_uwh),
        "total_kwh", kwh(channel->total_imported_uwh), "total_produced_kwh",
        kwh(channel->total_exported_uwh), "set_by_user", (int)channel->set_by_user, "agrees",
        (int)channel->agrees);
    if (object != NULL)
        (void)json_array_append_new(answer->channels, object);
}

static enum status verify(const char *path, bool json, struct error *error)
{
    struct verify_answer answer = {
        .json = json, .problems = json_array(), .channels = json_array()};
    const struct history_verify_sink sink = {&answer, take_problem, take_channel};
    int version = 0;
    enum status status = history_verify(path, &sink, &version, error);
    bool judged = status == STATUS_OK || status == STATUS_MISMATCH;
    if (judged && json) {
        json_t *document = json_pack("{s:s, s:b, s:i, s:O, s:O}", "file", path, "sound",
                                     (int)(status == STATUS_OK), "version", version, "problems",
                                     answer.problems, "channels", answer.channels);
        (void)json_dumpf(document, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
        (void)putchar('\n');
        json_decref(document);
    } else if (status == STATUS_OK) {
        (void)printf("%s is sound (format %d).\n", path, version);
    }
    json_decref(answer.problems);
    json_decref(answer.channels);
    struct error unwritten;
    if (judged && command_flush(&unwritten) != STATUS_OK) {
        *error = unwritten;
        return STATUS_FAILED;
    }
    return status;
}

static enum status run(const struct command_context *context, void *own)
{
    const struct options *options = own;
    const char *named = options->file != NULL ? options->file : options->asked.database;
    struct error error = {""};
    char *path memory_auto = NULL;
    enum status status = command_history_path(context, named, &path, &error);
    if (status == STATUS_OK)
        status = verify(path, options->asked.json, &error);
    return command_end(NAME, status, &error);
}

static const struct option_row rows[] = {
    {.name = "FILE",
     .kind = OPTION_OPERAND,
     .at = offsetof(struct options, file),
     .file = true,
     .help = "the history or a backup of it (default: history.path of the configuration)"},
    {.name = NULL},
};

const struct command command_history_verify = {
    .line = {.name = NAME,
             .summary = "check the history or a backup of it",
             .purpose =
                 "Checks the history, or a backup of it: the database as such, its tables against "
                 "each other, and each total against what the readings add up to. Reads all of "
                 "it. The service may run.",
             .tables = {rows, history_json_rows, history_database_rows},
             .size = sizeof(struct options)},
    .run = run,
};
