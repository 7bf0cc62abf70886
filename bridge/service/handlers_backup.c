/* SPDX-License-Identifier: MIT */
/* The request backup: the history, and on request the configuration beside it. */
#include "bridge/service/handlers_shared.h"

#include "drivers/base/file.h"
#include "drivers/base/memory.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#define FILE_BYTES_MAX ((size_t)1 << 20)

/* The configuration on its way beside a backup that is complete. */
struct config_backup {
    struct config_backup *next;
    struct handlers *handlers; /* NULL: the service is stopping */
    struct pending *pending;
    uv_work_t work;
    char from[PATH_MAX], to[PATH_MAX];
    char secrets_from[PATH_MAX], secrets_to[PATH_MAX];
    char path[PATH_MAX]; /* of the history's backup */
    int64_t bytes;
    enum status status; /* the worker's, until it is done */
    bool has_secrets;
    struct error error;
};

/* Its mode keeps secrets from others, whatever the file's own is. */
static enum status copy_file(const char *from, const char *to, struct error *error)
{
    char *bytes memory_auto = NULL;
    size_t length = 0;
    enum status status = file_read(from, FILE_BYTES_MAX, &bytes, &length, error);
    return status == STATUS_OK ? file_replace(to, bytes, length, 0600, error) : status;
}

static void copy(uv_work_t *work)
{
    struct config_backup *backup = work->data;
    backup->status = copy_file(backup->from, backup->to, &backup->error);
    if (backup->status != STATUS_OK)
        return;
    enum status status = copy_file(backup->secrets_from, backup->secrets_to, &backup->error);
    backup->has_secrets = status == STATUS_OK;
    if (status != STATUS_NO_ANSWER) /* there need not be any */
        backup->status = status;
}

static void answer(const struct config_backup *backup)
{
    if (backup->status != STATUS_OK) {
        pending_refuse(backup->pending, backup->status, &backup->error);
        return;
    }
    json_t *data = json_pack("{s:s, s:I, s:s}", "path", backup->path, "bytes",
                             (json_int_t)backup->bytes, "config", backup->to);
    if (backup->has_secrets)
        (void)json_object_set_new(data, "secrets", json_string(backup->secrets_to));
    pending_answer(backup->pending, data);
}

static void after(uv_work_t *work, int cancelled)
{
    (void)cancelled; /* never asked for */
    struct config_backup *backup = work->data;
    if (backup->handlers != NULL) {
        struct config_backup **link = &backup->handlers->config_backups;
        while (*link != backup)
            link = &(*link)->next;
        *link = backup->next;
        answer(backup);
    }
    free(backup);
}

/* "/etc/bl2mqtt/bridge.yaml" -> "/etc/bl2mqtt/secrets.yaml" */
static bool name_files(struct config_backup *backup, const char *config_path, const char *path)
{
    const char *slash = strrchr(config_path, '/');
    int folder = slash == NULL ? 0 : (int)(slash - config_path) + 1;
    return snprintf(backup->from, PATH_MAX, "%s", config_path) < PATH_MAX &&
           snprintf(backup->to, PATH_MAX, "%s.bridge.yaml", path) < PATH_MAX &&
           snprintf(backup->secrets_from, PATH_MAX, "%.*ssecrets.yaml", folder, config_path) <
               PATH_MAX &&
           snprintf(backup->secrets_to, PATH_MAX, "%s.secrets.yaml", path) < PATH_MAX &&
           snprintf(backup->path, PATH_MAX, "%s", path) < PATH_MAX;
}

static void add_config(struct handlers *handlers, struct pending *pending, const char *path,
                       int64_t bytes)
{
    static const struct error too_long = {"The path of the backup is too long."};
    struct config_backup *backup = memory_new(1, sizeof *backup);
    backup->handlers = handlers;
    backup->pending = pending;
    backup->bytes = bytes;
    if (!name_files(backup, handlers->options.config_path, path)) {
        pending_refuse(pending, STATUS_FAILED, &too_long);
        free(backup);
        return;
    }
    backup->next = handlers->config_backups;
    handlers->config_backups = backup;
    backup->work.data = backup;
    (void)uv_queue_work(handlers->options.loop, &backup->work, copy, after);
}

void handlers_end_backups(struct handlers *handlers)
{
    for (struct config_backup *backup = handlers->config_backups; backup != NULL;
         backup = backup->next)
        backup->handlers = NULL;
    handlers->config_backups = NULL;
}

/* A request that waits for the history's backup. */
struct waiting {
    struct handlers *handlers;
    struct pending *pending;
};

static void on_backup(void *context, enum status status, const char *path, int64_t bytes,
                      const struct error *error)
{
    struct waiting *waiting = context;
    struct pending *pending = waiting->pending;
    if (status != STATUS_OK)
        pending_refuse(pending, status, error);
    else if (pending_flag(pending, "include_config", false))
        add_config(waiting->handlers, pending, path, bytes);
    else
        pending_answer(pending, json_pack("{s:s,s:I}", "path", path, "bytes", (json_int_t)bytes));
    free(waiting);
}

/* Zigbee2MQTT answers with the backup itself; a history is too large for that. */
enum status handle_backup(void *context, struct pending *pending, struct error *error)
{
    struct handlers *handlers = context;
    struct waiting *waiting = memory_new(1, sizeof *waiting);
    *waiting = (struct waiting){handlers, pending};
    enum status status = backups_request(handlers->options.backups, on_backup, waiting, error);
    if (status != STATUS_OK)
        free(waiting);
    return status;
}
