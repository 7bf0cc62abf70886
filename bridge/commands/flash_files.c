/* SPDX-License-Identifier: MIT */
/* The backup that a write falls back on. */
#include "bridge/commands/flash_session.h"

#include "drivers/base/clock.h"
#include "drivers/base/memory.h"
#include "drivers/beken/backup_file.h"
#include "drivers/beken/bytes.h"

#include <unistd.h>

struct saving {
    const char *path;
    const uint8_t *bytes;
    size_t length;
    const struct beken_module *module;
    enum status status;
    struct error *error;
};

static void save(void *context)
{
    struct saving *saving = context;
    saving->status = backup_file_save(saving->path, saving->bytes, saving->length, saving->module,
                                      clock_wall_ms(), saving->error);
}

/* Nothing but FF is an empty flash; nothing but 00 is hardly anything but wires. */
static enum status check_backup(const struct flash_session *session, const uint8_t *bytes,
                                size_t length, struct error *error)
{
    bool can_do_without = flash_session_takes(session, "no-backup");
    if (bytes_are_all(bytes, length, 0xFF))
        return error_set(error, STATUS_REFUSED,
                         "The whole flash reads as FF: it is empty, so there is nothing to back "
                         "up%s.",
                         can_do_without ? "; say --no-backup" : "");
    if (bytes_are_all(bytes, length, 0))
        return error_set(
            error, STATUS_REFUSED,
            "The whole flash reads as 00, which is no backup of anything: most likely it cannot "
            "be read. Disconnect what is on P20 to P24, or hold P24 low while the module is reset, "
            "and try again.");
    return STATUS_OK;
}

enum status flash_take_backup(struct flash_session *session, const char *path, uint8_t **bytes,
                              size_t *length, struct error *error)
{
    enum status status = backup_file_check(path, error);
    if (status == STATUS_OK &&
        flasher_check_flash(flash_session_flasher(session), error) != STATUS_OK)
        status = STATUS_REFUSED; /* what would be kept is not what is in the flash */
    if (status != STATUS_OK)
        return status;
    const struct beken_module *module = flasher_module(flash_session_flasher(session));
    size_t size = module->flash_size;
    uint8_t *flash = memory_new(size, 1);
    status = flasher_read(flash_session_flasher(session), 0, flash, size, error);
    if (status == STATUS_OK)
        status = check_backup(session, flash, size, error);
    if (status == STATUS_OK) {
        struct saving saving = {path, flash, size, module, STATUS_FAILED, error};
        flasher_while(flash_session_flasher(session), save, &saving);
        status = saving.status;
    }
    if (status != STATUS_OK) {
        free(flash);
        return status;
    }
    *bytes = flash;
    *length = size;
    return STATUS_OK;
}

/* A backup that is already there belongs to an interrupted run of this command, or it is in the
 * way. */
static enum status take_old_backup(struct flash_session *session, const char *path, uint8_t **bytes,
                                   struct error *error)
{
    const struct beken_module *module = flasher_module(flash_session_flasher(session));
    struct backup_facts facts;
    uint8_t *loaded = NULL;
    size_t length = 0;
    enum status status = backup_file_load(path, &loaded, &length, &facts, error);
    if (status == STATUS_OK && (!backup_file_is_of(&facts, module) || length != module->flash_size))
        status = error_set(
            error, STATUS_REFUSED,
            "%s is already there and is no backup of this module; name another file.", path);
    if (status != STATUS_OK) {
        free(loaded);
        return status == STATUS_USAGE ? STATUS_REFUSED : status;
    }
    *bytes = loaded;
    flash_session_say(session, "%s is this module's backup of %s and is kept.", path, facts.time);
    return STATUS_OK;
}

enum status flash_keep_backup(struct flash_session *session, const char *path, uint8_t **bytes,
                              bool *fresh, struct error *error)
{
    *fresh = false;
    if (access(path, F_OK) == 0)
        return take_old_backup(session, path, bytes, error);
    size_t length = 0;
    enum status status = flash_take_backup(session, path, bytes, &length, error);
    *fresh = status == STATUS_OK;
    if (status == STATUS_OK)
        flash_session_say(session, "The flash's old contents are in %s.", path);
    return status;
}
