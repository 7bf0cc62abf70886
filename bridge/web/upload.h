/* SPDX-License-Identifier: MIT */
/**
 * The body of a request on its way into a file, for what is too large for memory. Bytes are collected, and
 * written by libuv's worker threads, so that a slow disk never holds the loop up. The file appears under its
 * name when it is complete; a broken transfer leaves nothing. Loop thread only.
 */
#ifndef BRIDGE_WEB_UPLOAD_H
#define BRIDGE_WEB_UPLOAD_H

#include "drivers/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

/** Bytes that are collected before they are written. */
#define UPLOAD_PIECE 131072

struct upload;

struct upload_options {
    uv_loop_t *loop;
    const char *path; /**< copied; the file is made as path.part, mode 0600 */
    int64_t length;   /**< what the peer announced */
    /** What upload_take or upload_end began is done. Not called after upload_close. */
    void (*ready)(void *context);
    void *context;
};

/** Whether an upload to that path is not over yet. */
bool upload_busy(const char *path);
struct upload *upload_open(const struct upload_options *options);
/** The next bytes. False: wait for ready before the next ones. */
bool upload_take(struct upload *upload, const char *bytes, size_t length);
/** All has arrived: writes the rest and gives the file its name. False: wait for ready, then ask again. */
bool upload_end(struct upload *upload);
/** Of a complete upload: STATUS_OK, or what went wrong. */
enum status upload_status(const struct upload *upload, struct error *error);
/** Lets go of it; a file that is not complete is removed. NULL is allowed. */
void upload_close(struct upload *upload);

#endif
