/* SPDX-License-Identifier: MIT */
/**
 * A subcommand: one file each, thin. It parses its options with getopt_long, calls a module,
 * prints. People's text and progress go to stderr, answers to stdout; with --json exactly one JSON
 * document goes to stdout. The return value is an enum status and becomes the exit status.
 */
#ifndef BRIDGE_COMMANDS_COMMAND_H
#define BRIDGE_COMMANDS_COMMAND_H

#include "drivers/base/status.h"

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

/** Prints error->text to stderr as one sentence starting with the command's name; returns status.
 */
enum status command_fail(const char *command, enum status status, const struct error *error);

/* What the table is made of: one function per file of this folder. */
enum status command_run(const struct command_context *context, int argc, char **argv);
enum status command_check(const struct command_context *context, int argc, char **argv);
enum status command_ports(const struct command_context *context, int argc, char **argv);
enum status command_scan(const struct command_context *context, int argc, char **argv);
enum status command_calibrate(const struct command_context *context, int argc, char **argv);
enum status command_history_energy(const struct command_context *context, int argc, char **argv);
enum status command_history_gaps(const struct command_context *context, int argc, char **argv);
enum status command_history_events(const struct command_context *context, int argc, char **argv);
enum status command_history_export(const struct command_context *context, int argc, char **argv);
enum status command_history_backup(const struct command_context *context, int argc, char **argv);
enum status command_history_verify(const struct command_context *context, int argc, char **argv);
enum status command_simulate_meter(const struct command_context *context, int argc, char **argv);
enum status command_simulate_module(const struct command_context *context, int argc, char **argv);

#endif
