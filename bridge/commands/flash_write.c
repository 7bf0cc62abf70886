/* SPDX-License-Identifier: MIT */
/* `bl2mqtt flash write`: firmware onto a module, so that it cannot be lost. See
 * bl2mqtt-flash-write(1). */
#include "bridge/commands/command.h"
#include "bridge/commands/flash_session.h"
#include "bridge/provision/firmware.h"

#include "drivers/base/clock.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAME "flash write"

struct options {
    struct flash_options flash;
    const char *image, *backup; /* NULL: not given */
    bool no_backup, force;
};

struct task {
    const struct options *options;
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

static enum status make_backup(struct task *task, struct error *error)
{
    if (task->options->no_backup)
        return STATUS_OK;
    if (task->options->backup != NULL)
        (void)snprintf(task->backup_path, sizeof task->backup_path, "%s", task->options->backup);
    else
        name_backup(task);
    return flash_keep_backup(task->session, task->backup_path, &task->backup,
                             &task->backup_is_fresh, error);
}

static enum status check_image(struct task *task, struct error *error)
{
    const struct plan_rules rules = {
        .has_address = task->options->flash.address >= 0,
        .address = (uint32_t)task->options->flash.address,
        .force = task->options->force,
        .open_guards = task->options->flash.force_bootloader,
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
    if (!task->options->flash.force_bootloader)
        return STATUS_OK;
    char with[300];
    (void)snprintf(with, sizeof with, "%s (kind %s, for chip %s)", task->options->image,
                   image_kind_name(task->info.kind), beken_chip_name(task->info.chip));
    return flash_session_confirm(task->session, task->place.address,
                                 task->image_length - task->place.skip, with, error);
}

static enum status write_all(struct task *task, struct error *error)
{
    enum status status =
        flash_session_open(&command_flash_write.line, &task->options->flash, &task->session, error);
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
        status = check_image(task, error); /* the contents may show the chip's key */
    if (status == STATUS_OK)
        status = make_backup(task, error);
    if (status == STATUS_OK)
        status = write_image(task, error);
    return status == STATUS_OK ? flasher_reboot(task->flasher, error) : status;
}

/* Forced to another place than its own, a file can leave the module without what starts it. */
static void what_follows(const struct task *task, char *sentence, size_t size)
{
    const struct image_info *info = &task->info;
    uint32_t address = task->place.address - (uint32_t)task->place.skip;
    uint32_t own = info->write_at - info->skip;
    if (info->has_write_at && address == own)
        (void)snprintf(sentence, size, "The module starts now.");
    else if (info->has_write_at && address < BEKEN_CODE_ADDRESS)
        (void)snprintf(sentence, size,
                       "The module does not start: the file belongs at 0x%" PRIX32
                       ", and it now stands where the bootloader was. Write the QIO file of the "
                       "same build, or restore a backup.",
                       own);
    else if (info->has_write_at)
        (void)snprintf(sentence, size,
                       "The file belongs at 0x%" PRIX32
                       "; the module was reset, but it does not start from there.",
                       own);
    else
        (void)snprintf(sentence, size,
                       "The module was reset; whether it starts with this is not known here.");
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
    const char *path = task->options->image;
    enum status status = firmware_load(path, &task->image, &task->image_length, &task->info, error);
    if (status != STATUS_OK)
        return status;
    status = plan_check_content(&task->info, task->options->force, error);
    if (status != STATUS_OK)
        return error_prefix(error, status, "%s: ", path);
    if (task->info.kind == IMAGE_DUMP)
        return error_set(error, STATUS_REFUSED,
                         "%s is a dump of a whole flash; put it back with `bl2mqtt flash restore`.",
                         path);
    return status;
}

static enum status run(const struct command_context *context, void *own)
{
    (void)context;
    const struct options *options = own;
    const struct command_line *line = &command_flash_write.line;
    struct task task = {.options = options};
    struct error error = {""};
    json_t *answer = NULL;
    if (options->backup != NULL && options->no_backup)
        return command_missing(NAME, "either --backup or --no-backup");
    task.session = flash_session_create(line, &options->flash);
    enum status status = load(&task, &error);
    if (status == STATUS_OK)
        status = write_all(&task, &error);
    if (status != STATUS_OK) {
        status = flash_fail(line, task.session, status, &error);
    } else if (options->flash.json) {
        answer = describe(&task);
    } else {
        char after[300];
        what_follows(&task, after, sizeof after);
        flash_print_result("Verified", task.flasher, &task.result, after);
    }
    flash_session_close(task.session);
    free(task.image);
    free(task.backup);
    return answer == NULL ? status : command_print_json(NAME, answer, JSON_INDENT(2));
}

static const struct option_row rows[] = {
    {.name = "IMAGE",
     .kind = OPTION_OPERAND,
     .at = offsetof(struct options, image),
     .required = "which file",
     .file = true,
     .help = "firmware (QIO or UA), or OpenBeken's configuration"},
    {.name = "backup",
     .argument = "F",
     .at = offsetof(struct options, backup),
     .file = true,
     .help = "where to keep the flash's old contents (default: a name of chip, MAC and time)"},
    {.name = "no-backup",
     .kind = OPTION_FLAG,
     .at = offsetof(struct options, no_backup),
     .help = "do not make a backup first"},
    {.name = "force",
     .kind = OPTION_FLAG,
     .at = offsetof(struct options, force),
     .help = "also a file that is not recognised or damaged, or another place"},
    {.name = NULL},
};

const struct command command_flash_write = {
    .line = {.name = NAME,
             .summary = "firmware onto a module, with a backup first",
             .purpose =
                 "Writes firmware or OpenBeken's configuration onto a module: refuses what cannot "
                 "run there, makes a backup first, erases and writes only what differs, verifies "
                 "everything, and starts the module. After an interruption the same command "
                 "resumes where it stopped.",
             .tables = {rows, flash_module_rows, flash_address_rows, flash_guard_rows,
                        flash_json_rows},
             .size = sizeof(struct options)},
    .run = run,
};
