/* SPDX-License-Identifier: MIT */
/**
 * A long job on a module: a `flash` or `openbeken` command of this program as a process of its own, which goes on whoever looks
 * on. How it goes is a JSON document, handed to the owner with each change worth showing. Loop thread only.
 */
#ifndef BRIDGE_SERVICE_JOB_H
#define BRIDGE_SERVICE_JOB_H

#include "drivers/base/status.h"

#include <jansson.h>
#include <uv.h>

/** Milliseconds between two documents that differ only in how far a stage is. */
#define JOB_PACE_MS 200
/** Sentences that a document holds, the latest. */
#define JOB_NOTES_MAX 60

struct job;

struct job_options {
    uv_loop_t *loop;
    const char *kind, *port;      /**< for the document; port: or the module's address; copied */
    const char *const *arguments; /**< of the command, NULL-terminated; copied */
    /** The document changed: {"job", "port", "state": "running|done|failed|cancelled", "started", "stage",
     *  "done", "total", "bytes_per_s", "remaining_s", "retries", "baud", "changing": whether the module's flash
     *  or settings were changed, "notes": [...], "answer": the command's document or null, "error": sentence or null}.
     *  ended: it is over, and the job is freed behind this call. */
    void (*changed)(void *context, const char *json, bool ended);
    void *context;
};

enum status job_start(const struct job_options *options, struct job **job, struct error *error);
/** Asks it to end; changed follows when it has. */
void job_cancel(struct job *job);
/** Lets go of it: it is asked to end, and changed is not called any more. NULL is allowed. */
void job_leave(struct job *job);

#endif
