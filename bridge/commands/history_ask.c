/* SPDX-License-Identifier: MIT */
#include "bridge/commands/history_ask.h"

#include "drivers/base/clock.h"
#include "drivers/base/memory.h"

#include <stdio.h>

enum { OPTIONS_MAX = 8 };

static bool write_out(void *context, const char *bytes, size_t length)
{
    (void)context;
    return fwrite(bytes, 1, length, stdout) == length;
}

static size_t list_options(const struct history_ask *ask,
                           struct history_option options[OPTIONS_MAX])
{
    const struct history_option all[] = {
        {"device", ask->asked->device},
        {"channel", ask->asked->channel},
        {"from", ask->asked->from},
        {"to", ask->asked->to},
        {"bucket", ask->bucket},
        {"points", ask->points},
        {"min", ask->min},
    };
    size_t count = 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i].value != NULL)
            options[count++] = all[i];
    return count;
}

/* With the names that the options have here. */
static enum status check_times(const struct history_asked *asked, struct error *error)
{
    int64_t unused = 0;
    enum status status = STATUS_OK;
    if (asked->from != NULL)
        status = command_history_time("--from", asked->from, &unused, error);
    if (status == STATUS_OK && asked->to != NULL)
        status = command_history_time("--to", asked->to, &unused, error);
    return status;
}

static enum status check_file(const char *path, struct error *error)
{
    struct history_query *query = NULL;
    enum status status = history_query_open(path, &query, error);
    history_query_close(query);
    return status;
}

static enum status answer(const char *path, const struct history_ask *ask, struct error *error)
{
    bool for_people = !ask->asked->json && !ask->asked->csv;
    struct history_option options[OPTIONS_MAX];
    const struct history_question question = {
        .kind = ask->kind,
        .options = options,
        .option_count = list_options(ask, options),
        .format = ask->asked->csv ? HISTORY_CSV : HISTORY_JSON,
        .path = path,
        .tariffs = ask->tariffs,
        .tariff_count = ask->tariff_count,
        .co2 = ask->co2,
        .nominal_mv = ask->nominal_mv,
        .now_ms = clock_wall_ms(),
        .row = for_people ? ask->row : NULL,
        .total = for_people ? ask->total : NULL,
    };
    enum status status = check_times(ask->asked, error);
    if (status == STATUS_OK)
        status = check_file(path, error);
    if (status == STATUS_OK && history_clock_awaited(path))
        (void)fputs(
            "The clock of this machine is not set yet: readings since the start wait in memory "
            "for their stamps and are not in this answer. Totals are counted.\n",
            stderr);
    if (status == STATUS_OK)
        status = history_answer(&question, write_out, ask->context, error);
    /* A device that there is not is a wrong option here. */
    return status == STATUS_NO_ANSWER ? STATUS_USAGE : status;
}

enum status history_ask_check(const char *command, const struct history_asked *asked)
{
    if (!asked->json || !asked->csv)
        return STATUS_OK;
    return command_fail(command, STATUS_USAGE,
                        &(struct error){"Choose one of --json and --csv, not both."});
}

enum status history_ask(const struct command_context *context, const char *path,
                        const struct history_ask *ask)
{
    struct error error = {""};
    char *found memory_auto = NULL;
    enum status status = history_ask_check(ask->command, ask->asked);
    if (status != STATUS_OK)
        return status;
    if (path == NULL)
        status = command_history_path(context, ask->asked->database, &found, &error);
    if (status == STATUS_OK)
        status = answer(path != NULL ? path : found, ask, &error);
    return command_end(ask->command, status, &error);
}
