/* SPDX-License-Identifier: MIT */
/* bl2mqtt history restore: a copy takes the place of the history. */
#include "bridge/commands/command.h"
#include "bridge/commands/history_options.h"
#include "bridge/history/safety/restore.h"
#include "drivers/base/memory.h"

#include <getopt.h>
#include <stdio.h>

#define NAME "history restore"

static void print_help(void)
{
    (void)printf(
        "Usage: bl2mqtt history restore FILE [OPTION...]\n\n"
        "Puts a copy of the history in its place. Stop the service first. The copy is checked and\n"
        "stays as it is; the history that was there is kept beside it. Totals do not fall: each\n"
        "channel's is the maximum of the copy's, that of the history that was there, and that of\n"
        "history.db.totals.json.\n\n"
        "  --json           one JSON document on stdout\n"
        "  --database FILE  the history file (default: history.path of the configuration)\n");
}

static enum status print_answer(const char *path, const char *copy,
                                const struct history_restored *restored, bool json,
                                struct error *error)
{
    if (json)
        return command_print_json(NAME,
                                  json_pack("{s:s, s:s, s:s?, s:i}", "file", path, "restored_from",
                                            copy, "kept",
                                            restored->kept[0] == '\0' ? NULL : restored->kept,
                                            "later_totals", (int)restored->raised),
                                  JSON_INDENT(2));
    (void)printf("%s is restored from %s.\n", path, copy);
    if (restored->kept[0] != '\0')
        (void)printf("The history that was there is kept as %s.\n", restored->kept);
    if (restored->raised > 0)
        (void)printf("The totals of %u channels are later ones than the copy's.\n",
                     restored->raised);
    return command_flush(error);
}

enum status command_history_restore(const struct command_context *context, int argc, char **argv)
{
    static const struct option known[] = {{"json", no_argument, NULL, 'j'},
                                          {"database", required_argument, NULL, 'D'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    bool json = false;
    const char *database = NULL;
    int option;
    while ((option = getopt_long(argc, argv, "h", known, NULL)) != -1) {
        switch (option) {
        case 'j':
            json = true;
            break;
        case 'D':
            database = optarg;
            break;
        case 'h':
            print_help();
            return STATUS_OK;
        default:
            return command_bad_option(NAME);
        }
    }
    if (argc - optind > 1)
        return command_extra_word(NAME, argv[optind + 1]);
    if (optind == argc)
        return command_fail(NAME, STATUS_USAGE,
                            &(struct error){"Say which copy: bl2mqtt history restore FILE."});
    const char *copy = argv[optind];
    struct error error = {""};
    struct history_restored restored;
    char *path memory_auto = NULL;
    enum status status = command_history_path(context, database, &path, &error);
    if (status == STATUS_OK)
        status = history_restore(path, copy, &restored, &error);
    if (status == STATUS_OK)
        status = print_answer(path, copy, &restored, json, &error);
    return status == STATUS_OK ? STATUS_OK : command_fail(NAME, status, &error);
}
