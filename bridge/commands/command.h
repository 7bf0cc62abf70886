/* SPDX-License-Identifier: MIT */
/**
 * A subcommand: one file each, thin. It parses its options with getopt_long, calls a module,
 * prints. People's text and progress go to stderr, answers to stdout; with --json exactly one JSON
 * document goes to stdout. The return value is an enum status and becomes the exit status.
 */
#ifndef BRIDGE_COMMANDS_COMMAND_H
#define BRIDGE_COMMANDS_COMMAND_H

#include "drivers/base/status.h"

#include <jansson.h>

struct command_context {
    const char *config_path; /**< --config, default bridge.yaml */
};

struct command {
    const char *name;    /**< "scan", or "simulate meter" for a second-level one */
    const char *summary; /**< one line for `bl2mqtt --help` */
    enum status (*run)(const struct command_context *context, int argc, char **argv);
};

/** The table of all commands, ended by a NULL name. */
extern const struct command commands[];

/** "sector" or "sectors". */
#define COMMAND_PLURAL(count, one, many) ((count) == 1 ? (one) : (many))

/** Prints "bl2mqtt <command>: <error->text>" to stderr; returns status. */
enum status command_fail(const char *command, enum status status, const struct error *error);

/* What is wrong with a command line, said on stderr; each returns STATUS_USAGE. */
/** "--baud 17: give 4800 or 9600." */
enum status command_bad_value(const char *command, const char *option, const char *value,
                              const char *wanted);
/** "Say <what>; ...": a whole sentence's rest, like "which file". */
enum status command_missing(const char *command, const char *what);
/** To be added to what getopt_long has said by itself. */
enum status command_bad_option(const char *command);
enum status command_extra_word(const char *command, const char *word);

/** Prints a document on a line, or lines, of its own and frees it. layout: JSON_COMPACT or
 *  JSON_INDENT(2). STATUS_FAILED, and the reason on stderr, if standard output is gone. */
enum status command_print_json(const char *command, json_t *document, size_t layout);

/* What the table is made of: one function per file of this folder. */
enum status command_run(const struct command_context *context, int argc, char **argv);
enum status command_check(const struct command_context *context, int argc, char **argv);
enum status command_ports(const struct command_context *context, int argc, char **argv);
enum status command_scan(const struct command_context *context, int argc, char **argv);
enum status command_calibrate(const struct command_context *context, int argc, char **argv);
enum status command_history_energy(const struct command_context *context, int argc, char **argv);
enum status command_history_cost(const struct command_context *context, int argc, char **argv);
enum status command_history_gaps(const struct command_context *context, int argc, char **argv);
enum status command_history_events(const struct command_context *context, int argc, char **argv);
enum status command_history_export(const struct command_context *context, int argc, char **argv);
enum status command_history_backup(const struct command_context *context, int argc, char **argv);
enum status command_history_import(const struct command_context *context, int argc, char **argv);
enum status command_history_power(const struct command_context *context, int argc, char **argv);
enum status command_history_restore(const struct command_context *context, int argc, char **argv);
enum status command_history_verify(const struct command_context *context, int argc, char **argv);
enum status command_history_recalibrate(const struct command_context *context, int argc,
                                        char **argv);
enum status command_flash_backup(const struct command_context *context, int argc, char **argv);
enum status command_flash_erase(const struct command_context *context, int argc, char **argv);
enum status command_flash_image(const struct command_context *context, int argc, char **argv);
enum status command_flash_link_test(const struct command_context *context, int argc, char **argv);
enum status command_flash_obk_config(const struct command_context *context, int argc, char **argv);
enum status command_flash_probe(const struct command_context *context, int argc, char **argv);
enum status command_flash_provision(const struct command_context *context, int argc, char **argv);
enum status command_flash_restore(const struct command_context *context, int argc, char **argv);
enum status command_flash_tuya(const struct command_context *context, int argc, char **argv);
enum status command_flash_verify(const struct command_context *context, int argc, char **argv);
enum status command_flash_write(const struct command_context *context, int argc, char **argv);
enum status command_openbeken_info(const struct command_context *context, int argc, char **argv);
enum status command_openbeken_provision(const struct command_context *context, int argc,
                                        char **argv);
enum status command_openbeken_calibrate(const struct command_context *context, int argc,
                                        char **argv);
enum status command_openbeken_update(const struct command_context *context, int argc, char **argv);
enum status command_openbeken_find(const struct command_context *context, int argc, char **argv);
enum status command_profiles(const struct command_context *context, int argc, char **argv);
enum status command_simulate_meter(const struct command_context *context, int argc, char **argv);
enum status command_simulate_module(const struct command_context *context, int argc, char **argv);

#endif
