/* SPDX-License-Identifier: MIT */
#include "drivers/beken/backup_file.h"

#include "drivers/base/file.h"
#include "drivers/base/plain.h"
#include "drivers/base/text.h"
#include "drivers/beken/bytes.h"
#include "drivers/beken/crypto.h"
#include "drivers/beken/image.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
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
    if (crypto_load()->digest(bytes, length, digest, &size, crypto_load()->sha256(), NULL) != 1)
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

/* Of what a flash has at least, and what stands beside it. */
static const uint64_t room_needed = (2u << 20) + FACTS_SIZE_MAX;

/* Reading a flash takes minutes; that its file cannot be made must not come out behind them. */
static enum status check_folder(const char *path, struct error *error)
{
    char folder[PATH_MAX];
    int length = snprintf(folder, sizeof folder, "%s", path);
    if (length < 0 || (size_t)length >= sizeof folder)
        return error_set(error, STATUS_USAGE, "The file name %s is too long.", path);
    char *slash = strrchr(folder, '/');
    if (path[0] == '\0' || (slash != NULL && slash[1] == '\0'))
        return error_set(error, STATUS_USAGE, "\"%s\" is no name of a file.", path);
    if (slash == NULL)
        (void)snprintf(folder, sizeof folder, ".");
    else
        slash[slash == folder ? 1 : 0] = '\0';
    if (access(folder, W_OK | X_OK) != 0)
        return error_set(error, STATUS_FAILED, "The file %s could not be created: %s.", path,
                         strerror(errno));
    struct statvfs room;
    if (statvfs(folder, &room) == 0 && (uint64_t)room.f_bavail * room.f_frsize < room_needed)
        return error_set(error, STATUS_FAILED,
                         "There is no room for %s: a backup takes 2 MiB or more.", path);
    return STATUS_OK;
}

enum status backup_file_check(const char *path, struct error *error)
{
    if (access(path, F_OK) != 0)
        return check_folder(path, error);
    return error_set(error, STATUS_REFUSED,
                     "%s is already there, and a backup is never written over; name another file.",
                     path);
}

/* ------------------------------------------------------------------ writing */

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
        return error_set(error, STATUS_REFUSED,
                         "The whole flash reads as %02X, so this would be no backup of anything.",
                         bytes[0]);
    char facts_name[PATH_MAX];
    char sha256[SHA256_TEXT];
    status = facts_path(path, facts_name, sizeof facts_name, error);
    if (status != STATUS_OK)
        return status;
    if (!hash(bytes, length, sha256))
        return error_set(error, STATUS_FAILED, "The backup's SHA-256 cannot be computed.");
    /* It holds the owner's Wi-Fi password and the keys of the vendor's cloud. */
    status = file_replace(path, bytes, length, 0600, error);
    if (status != STATUS_OK)
        return status;
    json_t *facts = make_facts(module, length, sha256, wall_ms);
    char *text = json_dumps(facts, JSON_INDENT(2));
    json_decref(facts);
    if (text == NULL)
        return error_set(error, STATUS_FAILED, "Out of memory while writing %s.", facts_name);
    status = file_replace(facts_name, text, strlen(text), 0600, error);
    free(text);
    return status;
}

/* ------------------------------------------------------------------ reading */

/* A file that the user named and that cannot be read, be it a folder or too large, is a wrong
 * command line. */
static enum status read_named(const char *path, size_t limit, uint8_t **bytes, size_t *length,
                              struct error *error)
{
    char *content = NULL;
    enum status status = file_read(path, limit, &content, length, error);
    if (status == STATUS_OK)
        *bytes = (uint8_t *)content;
    return status == STATUS_OK ? status : STATUS_USAGE;
}

enum status backup_file_read(const char *path, uint8_t **bytes, size_t *length, struct error *error)
{
    return read_named(path, IMAGE_SIZE_MAX, bytes, length, error);
}

static void get_text(const json_t *object, const char *key, char *text, size_t size)
{
    const char *value = json_string_value(json_object_get(object, key));
    /* It may come from a stranger, with the dump. */
    (void)plain_copy(text, size, value == NULL ? "" : value);
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
    status = read_named(name, FACTS_SIZE_MAX, &text, &length, error);
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
