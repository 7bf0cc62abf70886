/* SPDX-License-Identifier: MIT */
/* `bl2mqtt flash write`: firmware onto a module, so that it cannot be lost. See
 * bl2mqtt-flash-write(1). */
#include "bridge/commands/command.h"
#include "bridge/commands/flash_session.h"

#include "drivers/base/clock.h"
#include "drivers/beken/backup_file.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const struct flash_command self = {
    .name = "flash write",
    .operand = "IMAGE",
    .accepts = FLASH_ACCEPTS_MODULE | FLASH_ACCEPTS_ADDRESS | FLASH_ACCEPTS_BACKUP |
               FLASH_ACCEPTS_FORCE | FLASH_ACCEPTS_FORCE_BOOTLOADER,
    .purpose =
        "Writes firmware (a QIO or UA file, or OpenBeken's configuration) onto a module: refuses "
        "what\n"
        "cannot run there, makes a backup first, erases and writes only what differs, verifies "
        "all,\n"
        "and starts the module. After an interruption the same command goes on where it stopped.",
};

struct task {
    struct flash_options options;
    struct flash_session *session;
    struct flasher *flasher;
    uint8_t *image;
    size_t image_length;
    struct image_info info;
    struct plan_place place;
    char backup_path[PATH_MAX]; /* "" = none */
    uint8_t *backup;            /* NULL = none */
    bool backup_is_fresh;       /* made just now, so it says what is in the flash */
    struct flasher_result result;
};

/* "bl2mqtt-BK7231N-c8478c000018-20261124-121922.bin" */
static void name_backup(struct task *task)
{
    const struct beken_module *module = flasher_module(task->flasher);
    char mac[13] = "unknown";
    char stamp[20] = "";
    time_t now = (time_t)(clock_wall_ms() / 1000);
    struct tm local;
    if (module->has_mac)
        (void)snprintf(mac, sizeof mac, "%02x%02x%02x%02x%02x%02x", module->mac[0], module->mac[1],
                       module->mac[2], module->mac[3], module->mac[4], module->mac[5]);
    if (localtime_r(&now, &local) != NULL)
        (void)strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", &local);
    (void)snprintf(task->backup_path, sizeof task->backup_path, "bl2mqtt-%s-%s-%s.bin",
                   beken_chip_name(module->chip), mac, stamp);
}

/* A backup that is already there belongs to an interrupted run of this command, or it is in the
 * way. */
static enum status keep_backup(struct task *task, struct error *error)
{
    struct backup_facts facts;
    uint8_t *bytes = NULL;
    size_t length = 0;
    enum status status = backup_file_load(task->backup_path, &bytes, &length, &facts, error);
    if (status == STATUS_OK && (!backup_file_is_of(&facts, flasher_module(task->flasher)) ||
                                length != flasher_module(task->flasher)->flash_size))
        status =
            error_set(error, STATUS_REFUSED,
                      "%s is already there and is no backup of this module; name another file.",
                      task->backup_path);
    if (status != STATUS_OK) {
        free(bytes);
        return status == STATUS_USAGE ? STATUS_REFUSED : status;
    }
    task->backup = bytes;
    flash_session_say(task->session, "%s is this module's backup of %s and is kept.",
                      task->backup_path, facts.time);
    return STATUS_OK;
}

static enum status make_backup(struct task *task, struct error *error)
{
    if (task->options.no_backup)
        return STATUS_OK;
    if (task->options.backup != NULL)
        (void)snprintf(task->backup_path, sizeof task->backup_path, "%s", task->options.backup);
    else
        name_backup(task);
    if (access(task->backup_path, F_OK) == 0)
        return keep_backup(task, error);
    size_t length = 0;
    enum status status =
        flash_take_backup(task->session, task->backup_path, &task->backup, &length, error);
    task->backup_is_fresh = status == STATUS_OK;
    if (status == STATUS_OK)
        flash_session_say(task->session, "The flash's old contents are in %s.", task->backup_path);
    return status;
}

static enum status check_image(struct task *task, struct error *error)
{
    const struct plan_rules rules = {
        .has_address = task->options.has_address,
        .address = task->options.address,
        .force = task->options.force,
        .open_guards = task->options.force_bootloader,
    };
    return plan_check_image(flasher_module(task->flasher), &task->info, &rules, &task->place,
                            error);
}

static enum status write_image(struct task *task, struct error *error)
{
    const struct flasher_job job = {
        .address = task->place.address,
        .bytes = task->image + task->place.skip,
        .length = task->image_length - task->place.skip,
        .current = task->backup_is_fresh ? task->backup : NULL,
        .reference = task->backup,
    };
    return flasher_write(task->flasher, &job, &task->result, error);
}

static enum status confirm(struct task *task, struct error *error)
{
    if (!task->options.force_bootloader)
        return STATUS_OK;
    char with[300];
    (void)snprintf(with, sizeof with, "%s (kind %s, for chip %s)", task->options.operand,
                   image_kind_name(task->info.kind), beken_chip_name(task->info.chip));
    return flash_session_confirm(task->session, task->place.address,
                                 task->image_length - task->place.skip, with, error);
}

static enum status run(struct task *task, struct error *error)
{
    enum status status = flash_session_open(&self, &task->options, &task->session, error);
    if (status != STATUS_OK)
        return status;
    task->flasher = flash_session_flasher(task->session);
    if (task->info.warning[0] != '\0')
        flash_session_say(task->session, "%s", task->info.warning);
    status = check_image(task, error);
    if (status == STATUS_OK)
        status = confirm(task, error);
    if (status == STATUS_OK)
        status = flasher_choose_baud(task->flasher, true, error);
    if (status == STATUS_OK)
        status = flasher_identify_contents(task->flasher, error);
    if (status == STATUS_OK)
        status = check_image(task, error); /* the contents may have told the chip's key */
    if (status == STATUS_OK)
        status = make_backup(task, error);
    if (status == STATUS_OK)
        status = write_image(task, error);
    return status == STATUS_OK ? flasher_reboot(task->flasher, error) : status;
}

static json_t *describe(const struct task *task)
{
    json_t *answer = flash_json_result(task->flasher, &task->result);
    (void)json_object_set_new(answer, "address", json_integer((json_int_t)task->place.address));
    (void)json_object_set_new(answer, "bytes",
                              json_integer((json_int_t)(task->image_length - task->place.skip)));
    (void)json_object_set_new(answer, "backup", flash_json_text(task->backup_path));
    return answer;
}

static enum status load(struct task *task, struct error *error)
{
    const char *path = task->options.operand;
    enum status status =
        flash_load_image(path, &task->image, &task->image_length, &task->info, error);
    if (status == STATUS_OK)
        status = plan_check_content(&task->info, task->options.force, error);
    if (status == STATUS_OK && task->info.kind == IMAGE_DUMP)
        return error_set(error, STATUS_REFUSED,
                         "%s is a dump of a whole flash; put it back with `bl2mqtt flash restore`.",
                         path);
    return status;
}

enum status command_flash_write(const struct command_context *context, int argc, char **argv)
{
    (void)context;
    struct task task = {.image = NULL};
    struct error error = {""};
    bool done = false;
    enum status status = flash_options_parse(&self, argc, argv, &task.options, &done);
    if (status != STATUS_OK || done)
        return status;
    task.session = flash_session_create(&self, &task.options);
    status = load(&task, &error);
    if (status == STATUS_OK)
        status = run(&task, &error);
    json_t *answer = NULL;
    if (status != STATUS_OK) {
        status = flash_fail(&self, task.session, status, &error);
    } else if (task.options.json) {
        answer = describe(&task);
    } else {
        flash_print_result("Verified", task.flasher, &task.result);
        (void)puts(" The module starts now.");
    }
    flash_session_close(task.session);
    free(task.image);
    free(task.backup);
    return answer == NULL ? status : command_print_json(self.name, answer, JSON_INDENT(2));
}
