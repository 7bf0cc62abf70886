/* SPDX-License-Identifier: MIT */
#include "drivers/beken/backup_file.h"

#include "drivers/base/memory.h"
#include "drivers/base/text.h"
#include "drivers/beken/bytes.h"
#include "drivers/beken/image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <libgen.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SHA256_SIZE = 32, SHA256_TEXT = 2 * SHA256_SIZE + 1, FACTS_SIZE_MAX = 65536 };

void backup_file_format_mac(const uint8_t mac[6], char text[18])
{
    (void)snprintf(text, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
                   mac[4], mac[5]);
}

static bool hash(const uint8_t *bytes, size_t length, char text[SHA256_TEXT])
{
    uint8_t digest[SHA256_SIZE];
    unsigned size = sizeof digest;
    if (EVP_Digest(bytes, length, digest, &size, EVP_sha256(), NULL) != 1)
        return false;
    for (size_t i = 0; i < sizeof digest; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", digest[i]);
    return true;
}

static enum status facts_path(const char *path, char *text, size_t size, struct error *error)
{
    int length = snprintf(text, size, "%s.json", path);
    if (length < 0 || (size_t)length >= size)
        return error_set(error, STATUS_USAGE, "The file name %s is too long.", path);
    return STATUS_OK;
}

enum status backup_file_check(const char *path, struct error *error)
{
    if (access(path, F_OK) != 0)
        return STATUS_OK;
    return error_set(error, STATUS_REFUSED,
                     "%s is already there, and a backup is never written over; name another file.",
                     path);
}

/* ------------------------------------------------------------------ writing */

static enum status write_fully(int file, const char *path, const void *bytes, size_t length,
                               struct error *error)
{
    const uint8_t *at = bytes;
    while (length > 0) {
        ssize_t count = write(file, at, length);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return error_set(error, STATUS_FAILED, "%s cannot be written: %s.", path,
                             strerror(errno));
        at += count;
        length -= (size_t)count;
    }
    if (fsync(file) != 0)
        return error_set(error, STATUS_FAILED, "%s cannot be stored safely: %s.", path,
                         strerror(errno));
    return STATUS_OK;
}

/* The rename must survive a power cut, too. */
static void sync_folder(const char *path)
{
    char copy[PATH_MAX];
    (void)snprintf(copy, sizeof copy, "%s", path);
    int folder = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return; /* some file systems have no such thing */
    (void)fsync(folder);
    (void)close(folder);
}

static enum status save_whole(const char *path, const void *bytes, size_t length,
                              struct error *error)
{
    char temporary[PATH_MAX];
    int named = snprintf(temporary, sizeof temporary, "%s.part", path);
    if (named < 0 || (size_t)named >= sizeof temporary)
        return error_set(error, STATUS_USAGE, "The file name %s is too long.", path);
    int file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file < 0)
        return error_set(error, STATUS_FAILED, "%s cannot be written: %s.", temporary,
                         strerror(errno));
    enum status status = write_fully(file, temporary, bytes, length, error);
    if (close(file) != 0 && status == STATUS_OK)
        status = error_set(error, STATUS_FAILED, "%s cannot be written: %s.", temporary,
                           strerror(errno));
    if (status == STATUS_OK && rename(temporary, path) != 0)
        status = error_set(error, STATUS_FAILED, "%s cannot be made: %s.", path, strerror(errno));
    if (status != STATUS_OK)
        (void)unlink(temporary);
    else
        sync_folder(path);
    return status;
}

static void set_text(json_t *object, const char *key, const char *text)
{
    (void)json_object_set_new(object, key, text[0] == '\0' ? json_null() : json_string(text));
}

static json_t *make_facts(const struct beken_module *module, size_t length, const char *sha256,
                          int64_t wall_ms)
{
    json_t *facts = json_object();
    char id[16] = "";
    char mac[18] = "";
    char stamp[40];
    struct text time;
    text_init(&time, stamp, sizeof stamp);
    text_append_time(&time, wall_ms, false);
    if (module->has_flash_id)
        (void)snprintf(id, sizeof id, "0x%06" PRIX32, module->flash.id);
    if (module->has_mac)
        backup_file_format_mac(module->mac, mac);
    set_text(facts, "chip", beken_chip_name(module->chip));
    set_text(facts, "bootloader", module->bootloader);
    set_text(facts, "flash_id", id);
    set_text(facts, "flash_name", module->has_flash_id ? module->flash.name : "");
    (void)json_object_set_new(facts, "flash_size", json_integer((json_int_t)length));
    set_text(facts, "mac", mac);
    set_text(facts, "application", beken_application_name(module->application));
    set_text(facts, "sha256", sha256);
    set_text(facts, "time", stamp);
    return facts;
}

enum status backup_file_save(const char *path, const uint8_t *bytes, size_t length,
                             const struct beken_module *module, int64_t wall_ms,
                             struct error *error)
{
    enum status status = backup_file_check(path, error);
    if (status != STATUS_OK)
        return status;
    if (bytes_are_all(bytes, length, 0x00) || bytes_are_all(bytes, length, 0xFF))
        return error_set(
            error, STATUS_REFUSED,
            "The whole flash reads as %02X, so this is no backup of anything: either the flash "
            "is empty (then say --no-backup), or it cannot be read (then hold P24 low during "
            "reset, or disconnect what is on P20 to P24).",
            bytes[0]);
    char facts_name[PATH_MAX];
    char sha256[SHA256_TEXT];
    status = facts_path(path, facts_name, sizeof facts_name, error);
    if (status != STATUS_OK)
        return status;
    if (!hash(bytes, length, sha256))
        return error_set(error, STATUS_FAILED, "The backup's SHA-256 cannot be computed.");
    status = save_whole(path, bytes, length, error);
    if (status != STATUS_OK)
        return status;
    json_t *facts = make_facts(module, length, sha256, wall_ms);
    char *text = json_dumps(facts, JSON_INDENT(2));
    json_decref(facts);
    if (text == NULL)
        return error_set(error, STATUS_FAILED, "Out of memory while writing %s.", facts_name);
    status = save_whole(facts_name, text, strlen(text), error);
    free(text);
    return status;
}

/* ------------------------------------------------------------------ reading */

static enum status read_open(int file, const char *path, size_t limit, uint8_t **bytes,
                             size_t *length, struct error *error)
{
    struct stat about;
    if (fstat(file, &about) != 0 || !S_ISREG(about.st_mode))
        return error_set(error, STATUS_USAGE, "%s is not a file.", path);
    if (about.st_size < 0 || (uint64_t)about.st_size > limit)
        return error_set(error, STATUS_USAGE,
                         "%s has %" PRIdMAX " bytes, more than the %zu that are sensible.", path,
                         (intmax_t)about.st_size, limit);
    size_t size = (size_t)about.st_size;
    uint8_t *buffer = memory_new(size + 1, 1);
    size_t done = 0;
    while (done < size) {
        ssize_t count = read(file, buffer + done, size - done);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0) {
            free(buffer);
            return error_set(error, STATUS_FAILED, "%s cannot be read to its end.", path);
        }
        done += (size_t)count;
    }
    *bytes = buffer; /* one NUL follows */
    *length = size;
    return STATUS_OK;
}

static enum status read_limited(const char *path, size_t limit, uint8_t **bytes, size_t *length,
                                struct error *error)
{
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return error_set(error, STATUS_USAGE, "%s cannot be opened: %s.", path, strerror(errno));
    enum status status = read_open(file, path, limit, bytes, length, error);
    (void)close(file);
    return status;
}

enum status backup_file_read(const char *path, uint8_t **bytes, size_t *length, struct error *error)
{
    return read_limited(path, IMAGE_SIZE_MAX, bytes, length, error);
}

static void get_text(const json_t *object, const char *key, char *text, size_t size)
{
    const char *value = json_string_value(json_object_get(object, key));
    (void)snprintf(text, size, "%s", value == NULL ? "" : value);
}

static enum status load_facts(const char *path, struct backup_facts *facts, struct error *error)
{
    char name[PATH_MAX];
    *facts = (struct backup_facts){0};
    enum status status = facts_path(path, name, sizeof name, error);
    if (status != STATUS_OK || access(name, F_OK) != 0)
        return status;
    uint8_t *text = NULL;
    size_t length = 0;
    status = read_limited(name, FACTS_SIZE_MAX, &text, &length, error);
    if (status != STATUS_OK)
        return status;
    json_error_t why;
    json_t *object = json_loadb((const char *)text, length, 0, &why);
    free(text);
    if (!json_is_object(object)) {
        json_decref(object);
        return error_set(
            error, STATUS_REFUSED,
            "%s is not what a backup's facts look like (line %d); remove it if the backup is "
            "known to be good.",
            name, why.line);
    }
    facts->known = true;
    get_text(object, "chip", facts->chip, sizeof facts->chip);
    get_text(object, "flash_id", facts->flash_id, sizeof facts->flash_id);
    get_text(object, "mac", facts->mac, sizeof facts->mac);
    get_text(object, "sha256", facts->sha256, sizeof facts->sha256);
    get_text(object, "time", facts->time, sizeof facts->time);
    json_decref(object);
    return STATUS_OK;
}

enum status backup_file_load(const char *path, uint8_t **bytes, size_t *length,
                             struct backup_facts *facts, struct error *error)
{
    enum status status = load_facts(path, facts, error);
    if (status != STATUS_OK)
        return status;
    status = backup_file_read(path, bytes, length, error);
    if (status != STATUS_OK || !facts->known)
        return status;
    char sha256[SHA256_TEXT] = "";
    if (hash(*bytes, *length, sha256) && strcmp(sha256, facts->sha256) == 0)
        return STATUS_OK;
    free(*bytes);
    *bytes = NULL;
    return error_set(
        error, STATUS_REFUSED,
        "%s does not fit the SHA-256 in %s.json: it was changed or damaged since it was made.",
        path, path);
}

bool backup_file_is_of(const struct backup_facts *facts, const struct beken_module *module)
{
    char id[16] = "";
    char mac[18] = "";
    if (module->has_flash_id)
        (void)snprintf(id, sizeof id, "0x%06" PRIX32, module->flash.id);
    if (module->has_mac)
        backup_file_format_mac(module->mac, mac);
    return facts->known && strcmp(facts->chip, beken_chip_name(module->chip)) == 0 &&
           strcmp(facts->flash_id, id) == 0 && strcmp(facts->mac, mac) == 0;
}
