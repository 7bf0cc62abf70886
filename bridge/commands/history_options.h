/* SPDX-License-Identifier: MIT */
/** What the commands about the history share: the configuration, the file, and their options. */
#ifndef BRIDGE_COMMANDS_HISTORY_OPTIONS_H
#define BRIDGE_COMMANDS_HISTORY_OPTIONS_H

#include "bridge/commands/command.h"
#include "bridge/config/config.h"

#include <stddef.h>
#include <stdint.h>

/** The configuration, or NULL with its problems printed and a sentence in *error that says that
 *  `what` needs it. */
struct config *command_config(const struct command_context *context, const char *what,
                              struct error *error);

/** Absolute path of the history of that configuration; to be freed. */
char *command_history_of(const struct config *config);

/** Folder for backups of it, "" for beside it; to be freed. */
char *command_backup_folder_of(const struct config *config);

/** The file that was named with --database, or, if named is NULL, that of the configuration, whose time
 *  zone is then the process's. *path is to be freed. */
enum status command_history_path(const struct command_context *context, const char *named,
                                 char **path, struct error *error);

/** A time as in time_text.h; an error begins with the option's name. */
enum status command_history_time(const char *option, const char *text, int64_t *wall_ms,
                                 struct error *error);

/* ---- commands that ask about a span of time ---- */

/** The options of such a command begin with this; what was not given is NULL. */
struct history_asked {
    const char *device, *channel, *from, *to, *database;
    bool json, csv;
};

#define HISTORY_DEVICE_ROW(needed, text)                                                           \
    {                                                                                              \
        .name = "device", .argument = "D", .at = offsetof(struct history_asked, device),           \
        .required = (needed), .help = (text)                                                       \
    }
#define HISTORY_CHANNEL_ROW(needed, text)                                                          \
    {                                                                                              \
        .name = "channel", .argument = "C", .at = offsetof(struct history_asked, channel),         \
        .required = (needed), .help = (text)                                                       \
    }
#define HISTORY_FROM_ROW(text)                                                                     \
    {                                                                                              \
        .name = "from", .kind = OPTION_TIME, .argument = "T",                                      \
        .at = offsetof(struct history_asked, from), .help = (text)                                 \
    }
#define HISTORY_TO_ROW(text)                                                                       \
    {                                                                                              \
        .name = "to", .kind = OPTION_TIME, .argument = "T",                                        \
        .at = offsetof(struct history_asked, to), .help = (text)                                   \
    }

extern const struct option_row history_json_rows[];     /**< json */
extern const struct option_row history_csv_rows[];      /**< csv */
extern const struct option_row history_database_rows[]; /**< database */

#define HISTORY_NEEDS_DEVICE "which device with --device"
#define HISTORY_NEEDS_CHANNEL "which device and channel, with --device and --channel"
/** What a time may be, behind the options. */
#define HISTORY_TIMES                                                                              \
    "T is a date (2026-10-01, its beginning), a time (2026-10-01T14:30, with an offset if "        \
    "needed), "                                                                                    \
    "now, today, yesterday or tomorrow."

/** The span asked for. *to_ms is what holds without --to, length_ms what does without --from. */
enum status command_history_span(const struct history_asked *asked, int64_t length_ms,
                                 int64_t *from_ms, int64_t *to_ms, struct error *error);

#endif
