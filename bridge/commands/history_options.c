/* SPDX-License-Identifier: MIT */
#include "bridge/commands/history_options.h"

#include "bridge/history/query/buckets.h"
#include "bridge/history/query/time_text.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* As it is found from anywhere, for messages. The name itself where that is not known. */
static char *absolute(const char *path)
{
    char folder[PATH_MAX];
    if (path[0] == '/' || getcwd(folder, sizeof folder) == NULL)
        return memory_copy_text(path);
    while (strncmp(path, "./", 2) == 0)
        path += 2;
    size_t size = strlen(folder) + strlen(path) + 2;
    char *whole = memory_new(size, 1);
    (void)snprintf(whole, size, "%s/%s", folder, path);
    return whole;
}

struct config *command_config(const struct command_context *context, const char *what,
                              struct error *error)
{
    struct config_problems *problems memory_auto = memory_new(1, sizeof *problems);
    struct config *config = config_load(context->config_path, environ, problems);
    if (config != NULL)
        return config;
    char *path memory_auto = absolute(context->config_path);
    config_problems_print(problems, stderr);
    (void)error_set(error, STATUS_USAGE, "The configuration %s cannot be used; %s", path, what);
    return NULL;
}

static char *in_data_dir(const struct config *config, const char *name)
{
    char *folder memory_auto = absolute(name[0] == '/' ? "/" : config->bridge.data_dir);
    bool separate = folder[strlen(folder) - 1] != '/' && name[0] != '/';
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = memory_new(size, 1);
    if (name[0] == '/')
        (void)snprintf(path, size, "%s", name);
    else
        (void)snprintf(path, size, "%s%s%s", folder, separate ? "/" : "", name);
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

const struct option_row history_json_rows[] = {
    {.name = "json",
     .kind = OPTION_FLAG,
     .at = offsetof(struct history_asked, json),
     .help = "one JSON document on standard output"},
    {.name = NULL},
};

const struct option_row history_csv_rows[] = {
    {.name = "csv",
     .kind = OPTION_FLAG,
     .at = offsetof(struct history_asked, csv),
     .help = "comma-separated values on standard output"},
    {.name = NULL},
};

const struct option_row history_database_rows[] = {
    {.name = "database",
     .argument = "FILE",
     .at = offsetof(struct history_asked, database),
     .file = true,
     .help = "the history file (default: history.path of the configuration)"},
    {.name = NULL},
};

enum status command_history_span(const struct history_asked *asked, int64_t length_ms,
                                 int64_t *from_ms, int64_t *to_ms, struct error *error)
{
    enum status status = STATUS_OK;
    if (asked->to != NULL)
        status = command_history_time("--to", asked->to, to_ms, error);
    if (status != STATUS_OK)
        return status;
    *from_ms = *to_ms < length_ms ? 0 : *to_ms - length_ms;
    if (asked->from != NULL)
        status = command_history_time("--from", asked->from, from_ms, error);
    return status;
}
