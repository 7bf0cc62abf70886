/* SPDX-License-Identifier: MIT */
#include "bridge/commands/history_options.h"

#include "bridge/history/query/buckets.h"
#include "bridge/history/query/time_text.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct config *command_config(const struct command_context *context, const char *what,
                              struct error *error)
{
    struct config_problems *problems memory_auto = memory_new(1, sizeof *problems);
    struct config *config = config_load(context->config_path, environ, problems);
    if (config != NULL)
        return config;
    config_problems_print(problems, stderr);
    (void)error_set(error, STATUS_USAGE, "The configuration %s cannot be used; %s",
                    context->config_path, what);
    return NULL;
}

static char *in_data_dir(const struct config *config, const char *name)
{
    const char *folder = name[0] == '/' ? "" : config->bridge.data_dir;
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = memory_new(size, 1);
    (void)snprintf(path, size, "%s%s%s", folder, folder[0] == '\0' ? "" : "/", name);
    return path;
}

char *command_history_of(const struct config *config)
{
    return in_data_dir(config, config->history.path);
}

char *command_backup_folder_of(const struct config *config)
{
    const char *folder = config->history.backup_folder;
    return folder[0] == '\0' ? memory_copy_text("") : in_data_dir(config, folder);
}

enum status command_history_path(const struct command_context *context, const char *named,
                                 char **path, struct error *error)
{
    if (named != NULL) {
        *path = memory_copy_text(named);
        return STATUS_OK;
    }
    struct config *config = command_config(
        context, "it says where the history is. Correct it, or name the file with --database.",
        error);
    if (config == NULL)
        return STATUS_USAGE;
    *path = command_history_of(config);
    bucket_use_zone(config->history.time_zone, getenv("TZ"));
    config_free(config);
    return STATUS_OK;
}

enum status command_history_time(const char *option, const char *text, int64_t *wall_ms,
                                 struct error *error)
{
    enum status status = time_text_parse(text, clock_wall_ms() / 1000 * 1000, wall_ms, error);
    return status == STATUS_OK ? status : error_prefix(error, status, "%s: ", option);
}

enum status command_history_parse(struct history_asked *options, const struct words_row *own,
                                  int argc, char **argv)
{
    const struct words_row shared[] = {
        {"device", &options->device, NULL},     {"channel", &options->channel, NULL},
        {"from", &options->from, NULL},         {"to", &options->to, NULL},
        {"database", &options->database, NULL}, {NULL, NULL, NULL},
    };
    int operand = 0;
    enum status status =
        option_rows_parse(options->command, shared, own, argc, argv, &options->help, &operand);
    if (status != STATUS_OK)
        return status;
    if (options->help) {
        options->print_help();
        return STATUS_OK;
    }
    if (operand < argc)
        return command_extra_word(options->command, argv[operand]);
    const char *wrong = NULL;
    if (options->json && options->csv)
        wrong = "Choose one of --json and --csv, not both.";
    else if (options->needs == HISTORY_NEEDS_DEVICE && options->device == NULL)
        wrong = "Say which device with --device.";
    else if (options->needs == HISTORY_NEEDS_CHANNEL &&
             (options->device == NULL || options->channel == NULL))
        wrong = "Say which device and channel, with --device and --channel.";
    if (wrong == NULL)
        return STATUS_OK;
    struct error error;
    return command_fail(options->command, error_set(&error, STATUS_USAGE, "%s", wrong), &error);
}

enum status command_history_span(const struct history_asked *options, int64_t length_ms,
                                 int64_t *from_ms, int64_t *to_ms, struct error *error)
{
    enum status status = STATUS_OK;
    if (options->to != NULL)
        status = command_history_time("--to", options->to, to_ms, error);
    if (status != STATUS_OK)
        return status;
    *from_ms = *to_ms < length_ms ? 0 : *to_ms - length_ms;
    if (options->from != NULL)
        status = command_history_time("--from", options->from, from_ms, error);
    return status;
}

enum status command_history_span_of(const struct history_asked *options, enum history_bucket bucket,
                                    int count, int64_t *from_ms, int64_t *to_ms,
                                    struct error *error)
{
    enum status status = command_history_span(options, 0, from_ms, to_ms, error);
    if (status != STATUS_OK || options->from != NULL)
        return status;
    for (int i = 0; i < count; i++)
        *from_ms = bucket_start(bucket, *from_ms - 1);
    *from_ms = *from_ms < 0 ? 0 : *from_ms;
    return STATUS_OK;
}

enum status command_history_answer(
    const struct command_context *context, const struct history_asked *options,
    enum status (*answer)(const char *path, const void *own, struct error *error), const void *own)
{
    struct error error = {""};
    char *path memory_auto = NULL;
    enum status status = command_history_path(context, options->database, &path, &error);
    if (status == STATUS_OK)
        status = answer(path, own, &error);
    return status == STATUS_OK ? STATUS_OK : command_fail(options->command, status, &error);
}
