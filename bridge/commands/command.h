/* SPDX-License-Identifier: MIT */
/**
 * A subcommand: one file, which describes its command line by rows (bridge/options/options.h), calls a
 * module and prints what that answers. Work that is worth testing by itself lives in a module, so a
 * command file stays short. A new command is one file here and one line in commands.def.
 *
 * Text for people and progress go to stderr, answers to stdout; with --json exactly one JSON document
 * goes to stdout. The status that a command returns is the program's exit status.
 */
#ifndef BRIDGE_COMMANDS_COMMAND_H
#define BRIDGE_COMMANDS_COMMAND_H

#include "bridge/options/options.h"
#include "drivers/base/status.h"

#include <jansson.h>

struct command_context {
    const char *config_path; /**< the configuration: --config, or where it was found */
    bool config_named;       /**< somebody said which: --config or BL2MQTT_CONFIG */
};

struct command {
    struct command_line line;
    /** options: line.size bytes, filled from the command line and complete. */
    enum status (*run)(const struct command_context *context, void *options);
};

/** All commands in the order in which `bl2mqtt --help` lists them, ended by NULL. */
extern const struct command *const commands[];

/** "sector" or "sectors". */
#define COMMAND_PLURAL(count, one, many) ((count) == 1 ? (one) : (many))

/** Prints "bl2mqtt <command>: <error->text>" to stderr; returns status. */
enum status command_fail(const char *command, enum status status, const struct error *error);

/** The end of a command: like command_fail() unless status is STATUS_OK or error has no text. */
enum status command_end(const char *command, enum status status, const struct error *error);

/* What is wrong with a command line, on stderr; each returns STATUS_USAGE. */
/** "--baud 17: give 4800 or 9600." */
enum status command_bad_value(const char *command, const char *option, const char *value,
                              const char *wanted);
/** "Say <what>; ...": the rest of a sentence, such as "which file". */
enum status command_missing(const char *command, const char *what);

/** Prints a document on a line, or lines, of its own and frees it. layout: JSON_COMPACT or
 *  JSON_INDENT(2). STATUS_FAILED, and the reason on stderr, if standard output is gone. */
enum status command_print_json(const char *command, json_t *document, size_t layout);

/** For an answer that was printed: STATUS_FAILED if it did not reach standard output. */
enum status command_flush(struct error *error);

#define COMMAND(id) extern const struct command command_##id;
#include "bridge/commands/commands.def"
#undef COMMAND

#endif
