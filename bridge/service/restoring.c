/* SPDX-License-Identifier: MIT */
#include "bridge/service/restoring.h"

#include "bridge/history/safety/restore.h"
#include "bridge/history/safety/verify.h"
#include "bridge/service/watchdog.h"
#include "drivers/base/clock.h"
#include "drivers/base/file.h"
#include "drivers/base/memory.h"
#include "drivers/base/tar.h"
#include "drivers/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_MAX (INT64_C(1) << 20)
#define PIECE 65536
#define CHANNELS_SHOWN 200

enum part { PART_HISTORY, PART_CONFIG, PART_SECRETS, PARTS };
static const char *const part_names[PARTS] = {"history.db", "bridge.yaml", "secrets.yaml"};

static void path_of(char path[PATH_MAX], const char *folder, const char *name)
{
    (void)snprintf(path, PATH_MAX, "%.*s/%s", PATH_MAX - 60, folder, name);
}

static void staged(char path[PATH_MAX], const char *folder, enum part part)
{
    char name[40];
    (void)snprintf(name, sizeof name, "restore/%s", part_names[part]);
    path_of(path, folder, name);
}

static bool is_there(const char *folder, enum part part)
{
    char path[PATH_MAX];
    staged(path, folder, part);
    return access(path, F_OK) == 0;
}

static void clear(const char *folder)
{
    char path[PATH_MAX];
    path_of(path, folder, "restore/plan.json");
    (void)unlink(path);
    for (size_t i = 0; i < PARTS; i++) {
        staged(path, folder, (enum part)i);
        (void)unlink(path);
    }
}

static void append_time(json_t *object, const char *key, int64_t wall_ms)
{
    char time[64];
    struct text text;
    text_init(&text, time, sizeof time);
    text_append_time(&text, wall_ms, true);
    (void)json_object_set_new(object, key, json_string(time));
}

/* ---- unpacking ---- */

static bool read_block(int fd, char *bytes, size_t length)
{
    for (size_t done = 0; done < length;) {
        ssize_t got = read(fd, bytes + done, length - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        done += (size_t)got;
    }
    return true;
}

static enum status copy_bytes(int from, const char *path, int64_t length, struct error *error)
{
    char *bytes memory_auto = memory_new(PIECE, 1);
    int to = file_create(path, 0600);
    bool good = to >= 0, whole = true;
    while (good && whole && length > 0) {
        size_t piece = length < PIECE ? (size_t)length : PIECE;
        whole = read_block(from, bytes, piece);
        good = !whole || write(to, bytes, piece) == (ssize_t)piece;
        length -= (int64_t)piece;
    }
    int reason = errno;
    if (to >= 0)
        (void)close(to);
    if (!good)
        return error_set(error, STATUS_FAILED, "%s cannot be written: %s.", path, strerror(reason));
    return whole ? STATUS_OK : error_set(error, STATUS_USAGE, "The archive ends too early.");
}

static enum status unpack_entry(int fd, const char *folder, const struct tar_entry *entry,
                                struct error *error)
{
    char path[PATH_MAX], rest[TAR_BLOCK];
    enum part part = PART_HISTORY;
    while (part < PARTS && strcmp(entry->name, part_names[part]) != 0)
        part++;
    if (part == PARTS)
        return error_set(error, STATUS_USAGE,
                         "The archive holds \"%.40s\", which no backup of bl2mqtt has.",
                         entry->name);
    if (part != PART_HISTORY && entry->size > CONFIG_MAX)
        return error_set(error, STATUS_USAGE, "%s of the archive is too long.", part_names[part]);
    staged(path, folder, part);
    enum status status = copy_bytes(fd, path, entry->size, error);
    if (status == STATUS_OK && !read_block(fd, rest, tar_padding(entry->size)))
        status = error_set(error, STATUS_USAGE, "The archive ends too early.");
    return status;
}

static enum status unpack_all(int fd, const char *folder, struct error *error)
{
    static const char sqlite[] = "SQLite format 3";
    char block[TAR_BLOCK], path[PATH_MAX];
    struct tar_entry entry;
    bool end = false;
    if (!read_block(fd, block, sizeof block))
        return error_set(error, STATUS_USAGE, "The file is too short for a backup.");
    if (memcmp(block, sqlite, sizeof sqlite) == 0) { /* a history alone */
        struct stat file;
        staged(path, folder, PART_HISTORY);
        if (fstat(fd, &file) != 0 || lseek(fd, 0, SEEK_SET) != 0)
            return error_set(error, STATUS_FAILED, "The file cannot be read.");
        return copy_bytes(fd, path, file.st_size, error);
    }
    for (;;) {
        enum status status = tar_read(block, &entry, &end, error);
        if (status != STATUS_OK || end)
            return status;
        status = unpack_entry(fd, folder, &entry, error);
        if (status != STATUS_OK)
            return status;
        if (!read_block(fd, block, sizeof block))
            return error_set(error, STATUS_USAGE, "The archive ends too early.");
    }
}

static enum status unpack(const char *folder, struct error *error)
{
    char path[PATH_MAX];
    path_of(path, folder, "restore");
    enum status status = file_make_folder(path, error);
    if (status != STATUS_OK)
        return status;
    clear(folder);
    path_of(path, folder, "upload-backup");
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return error_set(error, STATUS_REFUSED,
                         "No backup was uploaded (PUT /api/v1/upload/backup).");
    status = unpack_all(fd, folder, error);
    (void)close(fd);
    (void)unlink(path);
    if (status == STATUS_OK && !is_there(folder, PART_HISTORY) && !is_there(folder, PART_CONFIG))
        status = error_set(error, STATUS_USAGE, "The archive is empty.");
    if (status != STATUS_OK)
        clear(folder);
    return status;
}

/* ---- looking at it ---- */

struct looking {
    json_t *channels;
    char problem[ERROR_TEXT_SIZE];
};

static void on_problem(void *context, const char *sentence)
{
    struct looking *looking = context;
    if (looking->problem[0] == '\0')
        (void)snprintf(looking->problem, sizeof looking->problem, "%s", sentence);
}

static void on_channel(void *context, const struct history_verified_channel *channel)
{
    const struct looking *looking = context;
    if (json_array_size(looking->channels) >= CHANNELS_SHOWN)
        return;
    json_t *entry = json_pack("{s:s, s:s, s:I}", "device", channel->device, "channel",
                              channel->channel, "readings", (json_int_t)channel->readings);
    if (channel->readings > 0) {
        append_time(entry, "first", channel->first_ms);
        append_time(entry, "last", channel->last_ms);
    }
    (void)json_array_append_new(looking->channels, entry);
}

static json_t *sentence_or_null(const char *sentence)
{
    return sentence[0] == '\0' ? json_null() : json_string(sentence);
}

static json_t *look_at_history(const char *folder)
{
    char path[PATH_MAX];
    struct stat file = {.st_size = 0};
    struct looking looking = {.channels = json_array()};
    const struct history_verify_sink sink = {&looking, on_problem, on_channel};
    struct error error = {""};
    int version = 0;
    if (!is_there(folder, PART_HISTORY)) {
        json_decref(looking.channels);
        return json_null();
    }
    staged(path, folder, PART_HISTORY);
    (void)stat(path, &file);
    if (history_verify(path, &sink, &version, &error) != STATUS_OK)
        on_problem(&looking, error.text);
    return json_pack("{s:I, s:o, s:o}", "bytes", (json_int_t)file.st_size, "channels",
                     looking.channels, "problem", sentence_or_null(looking.problem));
}

static json_t *look_at_config(const char *folder)
{
    char path[PATH_MAX];
    if (!is_there(folder, PART_CONFIG))
        return json_null();
    struct config_problems *problems memory_auto = memory_new(1, sizeof *problems);
    staged(path, folder, PART_CONFIG);
    struct config *config = config_load(path, environ, problems);
    json_t *devices = json_array();
    for (size_t i = 0; config != NULL && i < config->device_count && i < CHANNELS_SHOWN; i++)
        (void)json_array_append_new(devices, json_string(config->devices[i].name));
    const char *problem = "";
    for (size_t i = 0; config == NULL && i < problems->count; i++)
        if (problems->list[i].severity == CONFIG_ERROR) {
            problem = problems->list[i].message;
            break;
        }
    json_t *answer =
        json_pack("{s:o, s:b, s:o}", "devices", devices, "secrets", is_there(folder, PART_SECRETS),
                  "problem", sentence_or_null(problem));
    config_free(config);
    return answer;
}

enum status restoring_check(const char *folder, json_t **summary, struct error *error)
{
    enum status status = unpack(folder, error);
    if (status == STATUS_OK)
        *summary = json_pack("{s:o, s:o}", "history", look_at_history(folder), "config",
                             look_at_config(folder));
    return status;
}

/* ---- the plan ---- */

static bool put_json(const char *path, json_t *document)
{
    char *text = json_dumps(document, JSON_COMPACT);
    int fd = file_create(path, 0600);
    bool good = text != NULL && fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        (void)close(fd);
    free(text);
    json_decref(document);
    return good;
}

static json_t *get_json(const char *path)
{
    char *bytes memory_auto = NULL;
    size_t length = 0;
    if (file_read(path, 65536, &bytes, &length, &(struct error){""}) != STATUS_OK)
        return NULL;
    return json_loadb(bytes, length, 0, NULL);
}

enum status restoring_plan(const char *folder, bool history, bool config, struct error *error)
{
    char path[PATH_MAX];
    if ((history && !is_there(folder, PART_HISTORY)) || (config && !is_there(folder, PART_CONFIG)))
        return error_set(error, STATUS_REFUSED,
                         "There is no checked backup with that; upload one and check it first.");
    path_of(path, folder, "restore/plan.json");
    if (put_json(path, json_pack("{s:b, s:b}", "history", history, "config", config)))
        return STATUS_OK;
    return error_set(error, STATUS_FAILED, "%s cannot be written.", path);
}

/* ---- carrying it out ---- */

static void folder_of(char folder[PATH_MAX], const struct config *config)
{
    path_of(folder, config->bridge.data_dir, "web");
}

static enum status put_config_file(const char *from, const char *to, struct error *error)
{
    char *bytes memory_auto = NULL, *old memory_auto = NULL;
    size_t length = 0, old_length = 0;
    char kept[PATH_MAX];
    enum status status = file_read(from, CONFIG_MAX, &bytes, &length, error);
    if (status != STATUS_OK)
        return status;
    (void)snprintf(kept, sizeof kept, "%.*s.replaced", PATH_MAX - 20, to);
    if (file_read(to, CONFIG_MAX, &old, &old_length, &(struct error){""}) == STATUS_OK)
        status = file_replace(kept, old, old_length, 0600, error);
    return status == STATUS_OK ? config_save(to, bytes, error) : status;
}

static enum status put_config(const char *folder, const char *config_path, struct error *error)
{
    char from[PATH_MAX], secrets[PATH_MAX];
    const char *slash = strrchr(config_path, '/');
    (void)snprintf(secrets, sizeof secrets, "%.*ssecrets.yaml",
                   slash == NULL ? 0 : (int)(slash - config_path) + 1, config_path);
    staged(from, folder, PART_SECRETS);
    enum status status =
        is_there(folder, PART_SECRETS) ? put_config_file(from, secrets, error) : STATUS_OK;
    staged(from, folder, PART_CONFIG);
    return status == STATUS_OK ? put_config_file(from, config_path, error) : status;
}

static enum status put_history(const char *folder, const struct config *config, char *sentence,
                               size_t size, struct error *error)
{
    char from[PATH_MAX], to[PATH_MAX];
    struct history_restored restored;
    staged(from, folder, PART_HISTORY);
    if (config->history.path[0] == '/')
        (void)snprintf(to, sizeof to, "%s", config->history.path);
    else
        path_of(to, config->bridge.data_dir, config->history.path);
    enum status status = history_restore(to, from, &restored, error);
    if (status == STATUS_OK)
        (void)snprintf(sentence, size,
                       "The history is restored; the previous one is kept as %.200s.",
                       restored.kept);
    return status;
}

/* The configuration goes last: until then everything is as it was. */
static enum status carry_out(const char *folder, const struct config *config,
                             const char *config_path, const json_t *plan, char *sentence,
                             size_t size, struct error *error)
{
    bool with_config = json_is_true(json_object_get(plan, "config"));
    struct config *restored = NULL;
    enum status status = STATUS_OK;
    if (with_config) {
        char path[PATH_MAX];
        struct config_problems *problems memory_auto = memory_new(1, sizeof *problems);
        staged(path, folder, PART_CONFIG);
        restored = config_load(path, environ, problems);
        if (restored == NULL)
            status = error_set(error, STATUS_USAGE, "The restored bridge.yaml has errors.");
    }
    if (status == STATUS_OK && json_is_true(json_object_get(plan, "history")))
        status = put_history(folder, restored != NULL ? restored : config, sentence, size, error);
    if (status == STATUS_OK && with_config) {
        status = put_config(folder, config_path, error);
        size_t length = strlen(sentence);
        (void)snprintf(
            sentence + length, size - length,
            "%sThe configuration is restored; the previous one is kept as %.200s.replaced.",
            length > 0 ? " " : "", config_path);
    }
    config_free(restored);
    return status;
}

void restoring_apply(const struct config *config, const char *config_path, struct log *log)
{
    char folder[PATH_MAX], path[PATH_MAX], sentence[700] = "";
    struct error error = {""};
    folder_of(folder, config);
    path_of(path, folder, "restore/plan.json");
    json_t *plan = get_json(path);
    if (plan == NULL)
        return;
    (void)unlink(
        path); /* it is tried once: a service that cannot start is worse than an old history */
    watchdog_patience(true);
    enum status status =
        carry_out(folder, config, config_path, plan, sentence, sizeof sentence, &error);
    watchdog_patience(false);
    json_decref(plan);
    clear(folder);
    if (status == STATUS_OK)
        log_info(log, "%s", sentence);
    else
        log_error(log, "The backup was not restored: %s", error.text);
    json_t *result = json_pack("{s:b, s:s}", "ok", status == STATUS_OK, "sentence",
                               status == STATUS_OK ? sentence : error.text);
    append_time(result, "time", clock_wall_ms());
    path_of(path, folder, "restored.json");
    (void)put_json(path, result);
}

void restoring_discard(const struct config *config)
{
    char folder[PATH_MAX];
    folder_of(folder, config);
    clear(folder);
}

json_t *restoring_result(const char *folder)
{
    char path[PATH_MAX];
    path_of(path, folder, "restored.json");
    json_t *result = get_json(path);
    return result != NULL ? result : json_null();
}
