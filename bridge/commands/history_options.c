/* SPDX-License-Identifier: MIT */
#include "bridge/commands/history_options.h"

#include "bridge/history/buckets.h"
#include "bridge/history/time_text.h"
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

enum status command_flush(struct error *error)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return STATUS_OK;
    return error_set(error, STATUS_FAILED, "The answer could not be written to the output.");
}
