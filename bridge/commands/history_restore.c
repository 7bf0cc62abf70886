/* SPDX-License-Identifier: MIT */
/* bl2mqtt history restore: a backup takes the place of the history. See bl2mqtt-history-restore(1). */
#include "bridge/commands/command.h"
#include "bridge/commands/history_options.h"
#include "bridge/history/safety/restore.h"
#include "drivers/base/memory.h"

#include <stdio.h>

#define NAME "history restore"

struct options {
    struct history_asked asked;
    const char *backup;
};

static enum status print_answer(const char *path, const char *backup,
                                const struct history_restored *restored, bool json,
                                struct error *error)
{
    if (json)
        return command_print_json(NAME,
                                  json_pack("{s:s, s:s, s:s?, s:i}", "file", path, "restored_from",
                                            backup, "kept",
                                            restored->kept[0] == '\0' ? NULL : restored->kept,
                                            "later_totals", (int)restored->raised),
                                  JSON_INDENT(2));
    (void)printf("%s is restored from %s.\n", path, backup);
    if (restored->kept[0] != '\0')
        (void)printf("The history that was there is kept as %s.\n", restored->kept);
    if (restored->raised > 0)
        (void)printf("The totals of %u %s are later than the backup's.\n", restored->raised,
                     COMMAND_PLURAL(restored->raised, "channel", "channels"));
    return command_flush(error);
}

static enum status run(const struct command_context *context, void *own)
{
    const struct options *options = own;
    struct error error = {""};
    struct history_restored restored;
    char *path memory_auto = NULL;
    enum status status = command_history_path(context, options->asked.database, &path, &error);
    if (status == STATUS_OK)
        status = history_restore(path, options->backup, &restored, &error);
    if (status == STATUS_OK)
        status = print_answer(path, options->backup, &restored, options->asked.json, &error);
    return command_end(NAME, status, &error);
}

static const struct option_row rows[] = {
    {.name = "FILE",
     .kind = OPTION_OPERAND,
     .at = offsetof(struct options, backup),
     .required = "which backup: bl2mqtt history restore FILE",
     .file = true,
     .help = "the backup"},
    {.name = NULL},
};

const struct command command_history_restore = {
    .line =
        {.name = NAME,
         .summary = "put a backup in the history's place",
         .purpose =
             "Puts a backup of the history in its place. Stop the service first. The backup is "
             "checked and stays as it is; the previous history is kept beside it. Totals do not "
             "fall: each channel's total is the maximum of the backup's, the previous "
             "history's, and that of history.db.totals.json.",
         .tables = {rows, history_json_rows, history_database_rows},
         .size = sizeof(struct options)},
    .run = run,
};
