/* SPDX-License-Identifier: MIT */
/**
 * What both `simulate` commands have around their model: an event loop that ends with SIGINT or
 * SIGTERM, commands on standard input, JSON documents as answers. Not a command of its own.
 */
#ifndef BRIDGE_COMMANDS_SIMULATION_H
#define BRIDGE_COMMANDS_SIMULATION_H

#include "drivers/base/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#define SIMULATION_LINE_SIZE 4096 /**< of a command, with its end */

struct simulation {
    uv_loop_t loop;
    enum status status; /**< what the command will return */
    bool stopping;

    const char *name;
    uv_signal_t interrupt, terminate;
    uv_poll_t control;
    int input_flags; /**< of standard input as it was, -1 unknown */
    /** Called with each command, which it may change; NULL: it did not fit into a line. */
    void (*obey)(void *context, char *line);
    void *context;
    char line[SIMULATION_LINE_SIZE];
    size_t line_length;
    bool line_too_long;
};

/** name: the command's, for messages; borrowed. After an error there is nothing to close. Writing to a
 *  reader that has gone fails from now on, instead of killing the process. */
enum status simulation_open(struct simulation *simulation, const char *name, struct error *error);
/** Takes commands from standard input, and stops with its end. A plain file is obeyed at once. */
void simulation_control(struct simulation *simulation, void (*obey)(void *context, char *line),
                        void *context);
/** Until something stops it. */
void simulation_run(struct simulation *simulation);
void simulation_stop(struct simulation *simulation);
/** Closes every handle on the loop, and the loop. */
void simulation_close(struct simulation *simulation);

/** One line on standard output; frees document. If that fails it is said and all stops. */
void simulation_print(struct simulation *simulation, json_t *document);

/** Whole or not at all, so that a reader never sees half of it; not synced. */
enum status simulation_write_file(const char *path, const void *bytes, size_t length,
                                  struct error *error);

#endif
