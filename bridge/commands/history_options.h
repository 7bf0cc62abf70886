/* SPDX-License-Identifier: MIT */
/** What the commands about the history share: finding the file, and times on the command line. */
#ifndef BRIDGE_COMMANDS_HISTORY_OPTIONS_H
#define BRIDGE_COMMANDS_HISTORY_OPTIONS_H

#include "bridge/commands/command.h"
#include "bridge/config/config.h"

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

/** For an answer that went to stdout: STATUS_FAILED if it did not get there. */
enum status command_flush(struct error *error);

#endif
