/* SPDX-License-Identifier: MIT */
#include "bridge/web/upload.h"

#include "drivers/base/file.h"
#include "drivers/base/memory.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* What an upload leaves of the disk to the history. */
#define SPARE_BYTES (INT64_C(64) << 20)

struct upload {
    struct upload_options options;
    struct upload *next;
    char path[PATH_MAX], part[PATH_MAX];
    int fd; /* -1: not open yet, or no longer */
    char *bytes;
    size_t length, capacity;
    int64_t taken;
    uv_work_t work;
    bool working, last, ended, closed;
    enum status status;
    struct error error;
};

/* Those that are not over; one that was closed while a piece is being written outlives its connection. */
static struct upload *open_uploads;

bool upload_busy(const char *path)
{
    for (const struct upload *upload = open_uploads; upload != NULL; upload = upload->next)
        if (strcmp(upload->path, path) == 0)
            return true;
    return false;
}

struct upload *upload_open(const struct upload_options *options)
{
    struct upload *upload = memory_new(1, sizeof *upload);
    upload->options = *options;
    upload->fd = -1;
    upload->work.data = upload;
    if (snprintf(upload->path, PATH_MAX, "%s", options->path) >= PATH_MAX ||
        snprintf(upload->part, PATH_MAX, "%s.part", options->path) >= PATH_MAX)
        upload->status = error_set(&upload->error, STATUS_FAILED, "The path is too long.");
    upload->next = open_uploads;
    open_uploads = upload;
    return upload;
}

/* ---- on a worker thread ---- */

static enum status begin(struct upload *upload)
{
    struct statvfs disk;
    upload->fd = file_create(upload->part, 0600);
    if (upload->fd < 0)
        return error_set(&upload->error, STATUS_FAILED, "%s cannot be written: %s.", upload->part,
                         strerror(errno));
    if (fstatvfs(upload->fd, &disk) == 0 &&
        (int64_t)disk.f_bavail * (int64_t)disk.f_frsize < upload->options.length + SPARE_BYTES)
        return error_set(&upload->error, STATUS_FAILED,
                         "The disk has too little room for this file; nothing was kept.");
    return STATUS_OK;
}

static enum status write_all(struct upload *upload)
{
    for (size_t done = 0; done < upload->length;) {
        ssize_t written = write(upload->fd, upload->bytes + done, upload->length - done);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return error_set(&upload->error, STATUS_FAILED, "%s cannot be written: %s.",
                             upload->part, strerror(errno));
        done += (size_t)written;
    }
    return STATUS_OK;
}

static enum status keep(struct upload *upload)
{
    if (upload->taken != upload->options.length)
        return error_set(&upload->error, STATUS_FAILED,
                         "The file did not arrive whole; nothing was kept.");
    if (fsync(upload->fd) == 0 && rename(upload->part, upload->path) == 0)
        return STATUS_OK;
    return error_set(&upload->error, STATUS_FAILED, "%s cannot be written: %s.", upload->path,
                     strerror(errno));
}

static void release(struct upload *upload)
{
    if (upload->fd < 0)
        return;
    (void)close(upload->fd);
    upload->fd = -1;
    (void)unlink(upload->part); /* it is gone if it was kept */
}

static void work(uv_work_t *request)
{
    struct upload *upload = request->data;
    if (upload->status == STATUS_OK && upload->fd < 0)
        upload->status = begin(upload);
    if (upload->status == STATUS_OK)
        upload->status = write_all(upload);
    if (upload->status == STATUS_OK && upload->last)
        upload->status = keep(upload);
    if (upload->status != STATUS_OK || upload->last)
        release(upload);
}

/* ---- on the loop ---- */

static void finish(struct upload *upload)
{
    struct upload **link = &open_uploads;
    while (*link != upload)
        link = &(*link)->next;
    *link = upload->next;
    release(upload);
    free(upload->bytes);
    free(upload);
}

static void after(uv_work_t *request, int cancelled)
{
    (void)cancelled; /* never asked for */
    struct upload *upload = request->data;
    upload->working = false;
    upload->length = 0;
    upload->ended = upload->last;
    if (upload->closed)
        finish(upload);
    else
        upload->options.ready(upload->options.context);
}

static bool start(struct upload *upload)
{
    upload->working = true;
    (void)uv_queue_work(upload->options.loop, &upload->work, work, after);
    return false;
}

bool upload_take(struct upload *upload, const char *bytes, size_t length)
{
    upload->taken += (int64_t)length;
    if (upload->status != STATUS_OK || upload->taken > upload->options.length)
        return true; /* read and forgotten, so that the peer gets the answer */
    if (upload->length + length > upload->capacity) {
        size_t capacity = upload->length + length + UPLOAD_PIECE;
        char *grown = memory_new(capacity, 1);
        if (upload->length > 0)
            memcpy(grown, upload->bytes, upload->length);
        free(upload->bytes);
        upload->bytes = grown;
        upload->capacity = capacity;
    }
    memcpy(upload->bytes + upload->length, bytes, length);
    upload->length += length;
    return upload->length < UPLOAD_PIECE || start(upload);
}

bool upload_end(struct upload *upload)
{
    if (upload->ended)
        return true;
    upload->last = true;
    return start(upload);
}

enum status upload_status(const struct upload *upload, struct error *error)
{
    *error = upload->error;
    return upload->status;
}

void upload_close(struct upload *upload)
{
    if (upload == NULL)
        return;
    upload->closed = true;
    if (!upload->working)
        finish(upload);
}
