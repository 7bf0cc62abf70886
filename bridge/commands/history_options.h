/* SPDX-License-Identifier: MIT */
/** What the commands about the history share: their options, the file, and times on the command line. */
#ifndef BRIDGE_COMMANDS_HISTORY_OPTIONS_H
#define BRIDGE_COMMANDS_HISTORY_OPTIONS_H

#include "bridge/commands/command.h"
#include "bridge/commands/option_rows.h"
#include "bridge/config/config.h"
#include "bridge/history/query/energy.h"

#include <stdint.h>

/** The configuration, or NULL with its problems printed and a sentence in *error that says that
 *  `what` needs it. */
struct config *command_config(const struct command_context *context, const char *what,
                              struct error *error);

/** Path of the history of that configuration; to be freed. */
char *command_history_of(const struct config *config);

/** Folder for copies of it, "" for beside it; to be freed. */
char *command_backup_folder_of(const struct config *config);

/** The file that was named with --database, or, if named is NULL, that of the configuration. *path is
 *  to be freed. */
enum status command_history_path(const struct command_context *context, const char *named,
                                 char **path, struct error *error);

/** A time as in time_text.h; a fault is told with the option's name. */
enum status command_history_time(const char *option, const char *text, int64_t *wall_ms,
                                 struct error *error);

/* ---- commands that ask about a span of time ---- */

enum history_needs {
    HISTORY_NEEDS_NOTHING,
    HISTORY_NEEDS_DEVICE,
    HISTORY_NEEDS_CHANNEL, /**< and the device */
};

/** The options that they all have; what was not given is NULL, or what it was before. */
struct history_asked {
    const char *command; /**< set by the command, as the next two */
    enum history_needs needs;
    void (*print_help)(void);
    const char *device;
    const char *channel;
    const char *from;
    const char *to;
    const char *database;
    bool json, csv; /**< for those that have such rows among their own; never both */
    bool help;      /**< was asked for, and given: nothing is left to do */
};

/** The ends of their help. */
#define HISTORY_DATABASE_HELP                                                                      \
    "  --database FILE  the history file (default: history.path of the configuration)\n\n"
#define HISTORY_TIMES_HELP                                                                         \
    "T is a date (2026-10-01, its beginning), a time (2026-10-01T14:30, with an offset if need\n"  \
    "be), now, today, yesterday or tomorrow.\n"

/** Takes the shared options and the command's own ones. What does not fit is said on stderr. */
enum status command_history_parse(struct history_asked *options, const struct words_row *own,
                                  int argc, char **argv);

/** The span asked for. *to_ms is what holds without --to, length_ms what does without --from. */
enum status command_history_span(const struct history_asked *options, int64_t length_ms,
                                 int64_t *from_ms, int64_t *to_ms, struct error *error);

/** Likewise up to now, for so many buckets without --from: the one that is not over is the last. */
enum status command_history_span_of(const struct history_asked *options, enum history_bucket bucket,
                                    int count, int64_t *from_ms, int64_t *to_ms,
                                    struct error *error);

/** Finds the file, has the command answer from it, and tells what went wrong. */
enum status command_history_answer(
    const struct command_context *context, const struct history_asked *options,
    enum status (*answer)(const char *path, const void *own, struct error *error), const void *own);

#endif
