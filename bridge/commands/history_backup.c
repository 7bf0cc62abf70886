/* SPDX-License-Identifier: MIT */
/* bl2mqtt history backup, bl2mqtt history verify: a copy of the history, and whether one is sound. */
#include "bridge/commands/command.h"
#include "bridge/commands/history_options.h"
#include "bridge/history/query/time_text.h"
#include "bridge/history/safety/backup.h"
#include "bridge/history/safety/verify.h"
#include "drivers/base/file.h"
#include "drivers/base/memory.h"
#include "drivers/base/number.h"

#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define KEEP 7
#define BACKUP "history backup"
#define VERIFY "history verify"

/* ---- backup ---- */

struct backup_options {
    const char *output;
    int64_t keep; /* 0: not given */
    bool json;
    const char *database;
    bool help;
};

static void print_backup_help(void)
{
    (void)printf(
        "Usage: bl2mqtt history backup [OPTION...]\n\n"
        "Backs the history up, checked and complete, while the service writes it.\n\n"
        "  --output F       the backup; replaced if it exists (default:\n"
        "                   history.db.backup-requested-TIME in history.backup.folder, which is\n"
        "                   beside the history if not set)\n"
        "  --keep N         of the backups with default names, the daily ones included, keep N "
        "and\n"
        "                   delete older ones (default: keep history.backup.keep requested ones, "
        "%d\n"
        "                   with --database, and leave the daily ones alone)\n"
        "  --json           one JSON document on stdout\n"
        "  --database FILE  the history file (default: history.path of the "
        "configuration)\n\n"
        "The service makes daily backups itself, at history.backup.time. To put one in\n"
        "place: bl2mqtt-history-restore(1).\n",
        KEEP);
}

static enum status parse_backup(int argc, char **argv, struct backup_options *options)
{
    static const struct option known[] = {
        {"output", required_argument, NULL, 'o'}, {"keep", required_argument, NULL, 'k'},
        {"json", no_argument, NULL, 'j'},         {"database", required_argument, NULL, 'D'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "h", known, NULL)) != -1) {
        switch (option) {
        case 'o':
            options->output = optarg;
            break;
        case 'k':
            if (!number_parse_int(optarg, strlen(optarg), 1, 100000, &options->keep))
                return command_bad_value(BACKUP, "keep", optarg, "a number from 1 to 100000");
            break;
        case 'j':
            options->json = true;
            break;
        case 'D':
            options->database = optarg;
            break;
        case 'h':
            options->help = true;
            return STATUS_OK;
        default:
            return command_bad_option(BACKUP);
        }
    }
    if (optind < argc)
        return command_extra_word(BACKUP, argv[optind]);
    if (options->output != NULL && options->keep != 0)
        return command_fail(BACKUP, STATUS_USAGE,
                            &(struct error){"--keep is about backups with the default name; leave "
                                            "out --output, or --keep."});
    return STATUS_OK;
}

/* Where the history is, and where its copies go. */
struct places {
    char *path;
    char *base; /* of the copies */
    int64_t keep;
};

static enum status find_places(const struct command_context *context,
                               const struct backup_options *options, struct places *places,
                               struct error *error)
{
    if (options->database != NULL) {
        *places = (struct places){memory_copy_text(options->database),
                                  memory_copy_text(options->database), KEEP};
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

static enum status back_up(const struct places *places, const struct backup_options *options,
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
    const struct history_backup_options copy = {.path = places->path, .output = output};
    if (status == STATUS_OK)
        status = history_backup(&copy, &bytes, error);
    if (status == STATUS_OK && options->output == NULL)
        status = options->keep == 0
                     ? history_backup_prune(places->base, HISTORY_BACKUP_REQUESTED,
                                            (unsigned)places->keep, &deleted, error)
                     : history_backup_prune(places->base, HISTORY_BACKUP_ALL,
                                            (unsigned)options->keep, &deleted, error);
    if (status != STATUS_OK)
        return status;
    if (options->json) {
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

enum status command_history_backup(const struct command_context *context, int argc, char **argv)
{
    struct backup_options options = {.output = NULL};
    enum status status = parse_backup(argc, argv, &options);
    if (status != STATUS_OK)
        return status;
    if (options.help) {
        print_backup_help();
        return STATUS_OK;
    }
    struct error error = {""};
    struct places places = {NULL, NULL, 0};
    status = find_places(context, &options, &places, &error);
    if (status == STATUS_OK)
        status = back_up(&places, &options, &error);
    free(places.path);
    free(places.base);
    return status == STATUS_OK ? STATUS_OK : command_fail(BACKUP, status, &error);
}

/* ---- verify ---- */

static void print_verify_help(void)
{
    (void)printf("Usage: bl2mqtt history verify [FILE] [--json]\n\n"
                 "Checks the history, or a copy of it: the database as such, its tables against\n"
                 "each other, and each total against what the readings add up to. Reads all of\n"
                 "it; the service may run.\n\n"
                 "  FILE             the file (default: history.path of the configuration)\n"
                 "  --json           one JSON document on stdout\n");
}

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
        (void)printf("%-14s %-8s %12" PRId64 " readings  %13.6f kWh of %13.6f, produced %13.6f of "
                     "%13.6f  %s\n",
                     channel->device, channel->channel, channel->readings,
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

enum status command_history_verify(const struct command_context *context, int argc, char **argv)
{
    static const struct option known[] = {
        {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    bool json = false;
    int option;
    while ((option = getopt_long(argc, argv, "h", known, NULL)) != -1) {
        if (option == 'h') {
            print_verify_help();
            return STATUS_OK;
        }
        if (option != 'j')
            return command_bad_option(VERIFY);
        json = true;
    }
    if (argc - optind > 1)
        return command_extra_word(VERIFY, argv[optind + 1]);
    struct error error = {""};
    char *path memory_auto = NULL;
    enum status status =
        command_history_path(context, optind < argc ? argv[optind] : NULL, &path, &error);
    if (status == STATUS_OK)
        status = verify(path, json, &error);
    return status == STATUS_OK ? STATUS_OK : command_fail(VERIFY, status, &error);
}
