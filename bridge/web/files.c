/* SPDX-License-Identifier: MIT */
#include "bridge/web/files.h"

#include "bridge/history/safety/backup.h"
#include "drivers/base/file.h"
#include "drivers/base/memory.h"
#include "drivers/base/tar.h"
#include "drivers/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE 65536

bool files_allowed(const struct api *api)
{
    return api->maintenance && (api->maintenance_open || guard_is_protected(api->guard));
}

bool files_refused(const struct api *api, struct exchange *exchange)
{
    if (files_allowed(api))
        return false;
    exchange_reply_error(
        exchange, 403,
        api->maintenance ? "Everybody on the network reaches this address without a login, so "
                           "backups and firmware are not "
                           "handled here; give web.password, or say web.maintenance: always."
                         : "web.maintenance is off: backups and firmware are not handled here.");
    return true;
}

/* ---- files as bytes ---- */

static enum status send_bytes(int fd, int64_t length, queries_take take, void *context,
                              const char *path, struct error *error)
{
    char *bytes memory_auto = memory_new(PIECE, 1);
    while (length > 0) {
        ssize_t got = read(fd, bytes, length < PIECE ? (size_t)length : PIECE);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return error_set(error, STATUS_FAILED, "%s cannot be read to its end.", path);
        if (!take(context, bytes, (size_t)got))
            return error_set(error, STATUS_FAILED, "Nobody takes the file any more.");
        length -= got;
    }
    return STATUS_OK;
}

/* One file of the archive. */
static enum status send_entry(const char *path, const char *name, queries_take take, void *context,
                              struct error *error)
{
    char block[TAR_BLOCK] = {0};
    struct tar_entry entry = {.size = 0};
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return error_set(error, errno == ENOENT ? STATUS_NO_ANSWER : STATUS_FAILED,
                         "%s cannot be read: %s.", path, strerror(errno));
    if (fstat(fd, &status) == 0) {
        entry.size = status.st_size;
        entry.modified_s = status.st_mtime;
    }
    (void)snprintf(entry.name, sizeof entry.name, "%s", name);
    enum status result = STATUS_OK;
    if (!tar_write(&entry, block))
        result = error_set(error, STATUS_USAGE,
                           "The backup is larger than 8 GiB; fetch it from its folder.");
    else if (!take(context, block, sizeof block))
        result = error_set(error, STATUS_FAILED, "Nobody takes the file any more.");
    if (result == STATUS_OK)
        result = send_bytes(fd, entry.size, take, context, path, error);
    (void)close(fd);
    memset(block, 0, sizeof block);
    if (result == STATUS_OK && !take(context, block, tar_padding(entry.size)))
        result = STATUS_FAILED;
    return result;
}

/* ---- backups ---- */

struct backup_work {
    char base[PATH_MAX], name[256];
};

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

static bool has_config(const char *path)
{
    char config[PATH_MAX];
    return snprintf(config, sizeof config, "%s.bridge.yaml", path) < PATH_MAX &&
           access(config, R_OK) == 0;
}

static json_t *describe(const struct history_backup_file *file)
{
    char time[64];
    struct text text;
    text_init(&text, time, sizeof time);
    text_append_time(&text, file->made_ms, true);
    return json_pack("{s:s, s:s, s:s, s:I, s:b}", "name", name_of(file->path), "kind",
                     file->kind == HISTORY_BACKUP_DAILY ? "daily" : "requested", "made", time,
                     "bytes", (json_int_t)file->bytes, "config", has_config(file->path));
}

static enum status make_list(void *own, queries_take take, void *context, struct error *error)
{
    const struct backup_work *work = own;
    struct history_backups backups;
    enum status status = history_backups(work->base, &backups, error);
    json_t *list = json_array();
    for (size_t i = backups.count; i > 0; i--)
        (void)json_array_append_new(list, describe(&backups.list[i - 1]));
    history_backups_free(&backups);
    char *text memory_auto = json_dumps(list, JSON_COMPACT);
    json_decref(list);
    if (status == STATUS_OK && (text == NULL || !take(context, text, strlen(text))))
        status = error_set(error, STATUS_FAILED, "The list could not be made.");
    return status;
}

static enum status send_archive(const char *path, queries_take take, void *context,
                                struct error *error)
{
    static const struct {
        const char *suffix, *name;
    } parts[] = {
        {"", "history.db"}, {".bridge.yaml", "bridge.yaml"}, {".secrets.yaml", "secrets.yaml"}};
    static const char end[2 * TAR_BLOCK];
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        char part[PATH_MAX];
        (void)snprintf(part, sizeof part, "%.*s%s", PATH_MAX - 20, path, parts[i].suffix);
        enum status status = send_entry(part, parts[i].name, take, context, error);
        if (status != STATUS_OK && (i == 0 || status != STATUS_NO_ANSWER))
            return status;
    }
    return take(context, end, sizeof end) ? STATUS_OK : STATUS_FAILED;
}

/* Only what is in the list, so that no name leads anywhere else. */
static enum status make_archive(void *own, queries_take take, void *context, struct error *error)
{
    const struct backup_work *work = own;
    struct history_backups backups;
    enum status status = history_backups(work->base, &backups, error);
    const char *found = NULL;
    for (size_t i = 0; i < backups.count; i++)
        if (strcmp(name_of(backups.list[i].path), work->name) == 0)
            found = backups.list[i].path;
    if (status == STATUS_OK)
        status = found == NULL
                     ? error_set(error, STATUS_NO_ANSWER, "There is no backup with that name.")
                     : send_archive(found, take, context, error);
    history_backups_free(&backups);
    return status;
}

static struct backup_work *backup_work(const struct api *api, const char *name)
{
    struct backup_work *work = memory_new(1, sizeof *work);
    (void)snprintf(work->base, sizeof work->base, "%s", api->backup_base);
    (void)snprintf(work->name, sizeof work->name, "%s", name);
    return work;
}

void files_list_backups(struct api *api, struct exchange *exchange, const char *rest)
{
    (void)rest;
    const struct queries_work work = {
        .make = make_list, .own = backup_work(api, ""), .type = "application/json"};
    queries_run(api->transfers, &work, exchange);
}

/* Of a name that a header can hold. */
static void save_as(struct exchange *exchange, const char *name, const char *suffix)
{
    char header[400];
    if (name[strspn(name, "-._0123456789abcdefghijklmnopqrstuvwxyz"
                          "ABCDEFGHIJKLMNOPQRSTUVWXYZ")] != '\0')
        name = "file";
    (void)snprintf(header, sizeof header, "attachment; filename=\"%.250s%s\"", name, suffix);
    exchange_set_header(exchange, "Content-Disposition", header);
}

void files_send_backup(struct api *api, struct exchange *exchange, const char *rest)
{
    if (files_refused(api, exchange))
        return;
    save_as(exchange, rest, ".tar");
    const struct queries_work work = {
        .make = make_archive, .own = backup_work(api, rest), .type = "application/x-tar"};
    queries_run(api->transfers, &work, exchange);
}

/* ---- other files ---- */

struct file_work {
    char path[PATH_MAX];
};

static enum status make_file(void *own, queries_take take, void *context, struct error *error)
{
    const struct file_work *work = own;
    struct stat file;
    int fd = open(work->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &file) != 0 || !S_ISREG(file.st_mode)) {
        if (fd >= 0)
            (void)close(fd);
        return error_set(error, STATUS_NO_ANSWER, "There is no such file.");
    }
    enum status status = send_bytes(fd, file.st_size, take, context, work->path, error);
    (void)close(fd);
    return status;
}

void files_send(struct api *api, struct exchange *exchange, const char *rest)
{
    if (files_refused(api, exchange))
        return;
    /* Plain names of finished files only; the folder holds nothing but what is meant for download. */
    if (rest[0] == '.' || rest[0] == '\0' || strchr(rest, '/') != NULL || strlen(rest) > 200) {
        exchange_reply_error(exchange, 404, "There is no such file.");
        return;
    }
    struct file_work *own = memory_new(1, sizeof *own);
    (void)snprintf(own->path, sizeof own->path, "%.*s/files/%s", PATH_MAX - 300, api->folder, rest);
    save_as(exchange, rest, "");
    const struct queries_work work = {
        .make = make_file, .own = own, .type = "application/octet-stream"};
    queries_run(api->transfers, &work, exchange);
}

/* ---- uploads ---- */

static const struct {
    const char *kind;
    int64_t limit;
} uploads[] = {
    {"firmware", INT64_C(8) << 20}, /* a module's flash has 2 MiB or 4 */
    {"backup", INT64_C(8) << 30},
};

bool files_upload_place(const struct api *api, const char *kind, char path[PATH_MAX],
                        int64_t *limit)
{
    for (size_t i = 0; i < sizeof uploads / sizeof uploads[0]; i++) {
        if (strcmp(uploads[i].kind, kind) != 0)
            continue;
        (void)snprintf(path, PATH_MAX, "%.*s/upload-%s", PATH_MAX - 30, api->folder, kind);
        *limit = uploads[i].limit;
        return true;
    }
    return false;
}

void files_uploaded(struct api *api, struct exchange *exchange, const char *rest)
{
    (void)api;
    char answer[128];
    (void)snprintf(answer, sizeof answer, "{\"upload\":\"%s\",\"bytes\":%" PRId64 "}", rest,
                   exchange_uploaded(exchange));
    exchange_reply_copy(exchange, 200, "application/json", answer, strlen(answer));
}
