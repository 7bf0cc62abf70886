/* SPDX-License-Identifier: MIT */
/**
 * Runs a command of this program (`bl2mqtt scan ... --json`) as a process of its own and hands its JSON document
 * back: what blocks on a port or looks for minutes never holds the loop up, and the answer is the command's to
 * the letter. Loop thread only.
 */
#ifndef BRIDGE_SERVICE_CHILD_H
#define BRIDGE_SERVICE_CHILD_H

#include "drivers/base/status.h"

#include <uv.h>

#define CHILD_ARGUMENTS_MAX 48

struct child;

/** status: the command's exit status; json is NUL-terminated and borrowed, "" if it printed none; error has
 *  the command's last sentence if status is not STATUS_OK. */
typedef void (*child_done)(void *context, enum status status, const char *json,
                           const struct error *error);

/** arguments: NULL-terminated, without the program; copied. done is called once, later. */
enum status child_start(uv_loop_t *loop, const char *const *arguments, child_done done,
                        void *context, struct child **child, struct error *error);

/** Each line of its stderr, without its end, cut at CHILD_LINE_MAX bytes; right after child_start. */
#define CHILD_LINE_MAX 4096
typedef void (*child_line)(void *context, const char *line);
void child_watch(struct child *child, child_line line);

/** Asks it to end (SIGTERM); done is called when it has. */
void child_ask_to_end(struct child *child);
/** Asks it to end, and nobody waits for that: for work that must not be torn off in its middle. done is not
 *  called. The loop must run until its handles are closed. NULL is allowed. */
void child_leave(struct child *child);

/** Ends it without calling done. The loop must run until its handles are closed. NULL is allowed. */
void child_stop(struct child *child);

#endif
