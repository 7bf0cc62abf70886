/* SPDX-License-Identifier: MIT */
/* bl2mqtt history backup: a backup of the history while it is in use. See bl2mqtt-history-backup(1). */
#include "bridge/commands/history_options.h"
#include "bridge/history/safety/backup.h"
#include "drivers/base/file.h"
#include "drivers/base/memory.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME "history backup"
#define KEEP 7

struct options {
    struct history_asked asked;
    const char *output;
    int64_t keep; /* 0: not given */
};

/* Where the history is, and where its backups go. */
struct places {
    char *path;
    char *base; /* of the backups */
    int64_t keep;
};

static enum status find_places(const struct command_context *context, const struct options *options,
                               struct places *places, struct error *error)
{
    if (options->asked.database != NULL) {
        *places = (struct places){memory_copy_text(options->asked.database),
                                  memory_copy_text(options->asked.database), KEEP};
        return STATUS_OK;
    }
    struct config *config = command_config(
        context, "it says where the history is. Correct it, or name the file with --database.",
        error);
    if (config == NULL)
        return STATUS_USAGE;
    char *folder memory_auto = command_backup_folder_of(config);
    places->path = command_history_of(config);
    places->base = history_backup_base(places->path, folder);
    places->keep = config->history.backup_keep;
    config_free(config);
    return STATUS_OK;
}

static enum status make_folder_of(const char *base, struct error *error)
{
    const char *slash = strrchr(base, '/');
    if (slash == NULL || slash == base)
        return STATUS_OK;
    char *folder memory_auto = memory_copy_text(base);
    folder[slash - base] = '\0';
    return file_make_folder(folder, error);
}

static enum status back_up(const struct places *places, const struct options *options,
                           struct error *error)
{
    char name[PATH_MAX];
    const char *output = options->output == NULL ? name : options->output;
    int64_t bytes = 0;
    unsigned deleted = 0;
    enum status status = STATUS_OK;
    if (options->output == NULL)
        status = make_folder_of(places->base, error);
    if (status == STATUS_OK && options->output == NULL)
        status =
            history_backup_name(places->base, HISTORY_BACKUP_REQUESTED, name, sizeof name, error);
    const struct history_backup_options making = {.path = places->path, .output = output};
    if (status == STATUS_OK)
        status = history_backup(&making, &bytes, error);
    if (status == STATUS_OK && options->output == NULL)
        status = options->keep == 0
                     ? history_backup_prune(places->base, HISTORY_BACKUP_REQUESTED,
                                            (unsigned)places->keep, &deleted, error)
                     : history_backup_prune(places->base, HISTORY_BACKUP_ALL,
                                            (unsigned)options->keep, &deleted, error);
    if (status != STATUS_OK)
        return status;
    if (options->asked.json) {
        json_t *answer = json_pack("{s:s, s:I, s:I}", "file", output, "bytes", (json_int_t)bytes,
                                   "deleted", (json_int_t)deleted);
        int failed = answer == NULL ? 1 : json_dumpf(answer, stdout, JSON_INDENT(2));
        json_decref(answer);
        if (failed != 0)
            return error_set(error, STATUS_FAILED, "The answer could not be written.");
        (void)putchar('\n');
    } else {
        (void)printf("%s: %" PRId64 " bytes, checked", output, bytes);
        (void)printf(deleted > 0 ? "; %u older deleted\n" : "\n", deleted);
    }
    return command_flush(error);
}

static enum status run(const struct command_context *context, void *own)
{
    const struct options *options = own;
    struct error error = {""};
    struct places places = {NULL, NULL, 0};
    if (options->output != NULL && options->keep != 0)
        return command_fail(NAME, STATUS_USAGE,
                            &(struct error){"--keep is about backups with the default name; leave "
                                            "out --output, or --keep."});
    enum status status = find_places(context, options, &places, &error);
    if (status == STATUS_OK)
        status = back_up(&places, options, &error);
    free(places.path);
    free(places.base);
    return command_end(NAME, status, &error);
}

static const struct option_row rows[] = {
    {.name = "output",
     .argument = "F",
     .at = offsetof(struct options, output),
     .file = true,
     .help = "the backup; replaced if it exists (default: history.db.backup-requested-TIME in "
             "history.backup.folder, which is beside the history if not set)"},
    {.name = "keep",
     .kind = OPTION_INTEGER,
     .argument = "N",
     .at = offsetof(struct options, keep),
     .low = 1,
     .high = 100000,
     .help =
         "of the backups with default names, the daily ones included, keep N and delete older ones "
         "(default: keep history.backup.keep requested ones, 7 with --database, and leave the "
         "daily "
         "ones alone)"},
    {.name = NULL},
};

const struct command command_history_backup = {
    .line = {.name = NAME,
             .summary = "back the history up while it is in use",
             .purpose = "Backs the history up, checked and complete, while the service writes it.",
             .notes =
                 "The service makes daily backups itself, at history.backup.time. To put one in "
                 "place: bl2mqtt-history-restore(1).",
             .tables = {rows, history_json_rows, history_database_rows},
             .size = sizeof(struct options)},
    .run = run,
};
