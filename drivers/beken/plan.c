/* SPDX-License-Identifier: MIT */
#include "drivers/beken/plan.h"

#include "drivers/base/memory.h"
#include "drivers/beken/bytes.h"

#include <inttypes.h>
#include <string.h>

/* ------------------------------------------------------------------ guards */

static bool is_rf(const struct beken_module *module, uint32_t address, size_t length)
{
    uint32_t rf = beken_chip_layout(module->chip)->rf_address;
    return address < rf + BEKEN_SECTOR_SIZE && (uint64_t)address + length > rf;
}

enum status plan_check_range(const struct beken_module *module, uint32_t address, size_t length,
                             bool open_guards, struct error *error)
{
    uint32_t guarded = beken_chip_layout(module->chip)->guarded_below;
    uint64_t end = (uint64_t)address + length;
    if (end > module->flash_size)
        return error_set(error, STATUS_REFUSED,
                         "0x%" PRIX32 " to 0x%" PRIX64 " lies beyond the flash's %" PRIu32
                         " KiB, where addresses wrap around to the bootloader.",
                         address, end, module->flash_size / 1024);
    if (open_guards)
        return STATUS_OK;
    if (address < guarded)
        return error_set(error, STATUS_REFUSED,
                         "0x%" PRIX32 " is below 0x%" PRIX32
                         ", where a %s keeps its bootloader; without "
                         "it the module is lost to the serial line.",
                         address, guarded, beken_chip_name(module->chip));
    if (is_rf(module, address, length))
        return error_set(error, STATUS_REFUSED,
                         "0x%" PRIX32 " to 0x%" PRIX64
                         " covers the RF calibration and the MAC address "
                         "at 0x%" PRIX32 ", which cannot be made again.",
                         address, end, beken_chip_layout(module->chip)->rf_address);
    return STATUS_OK;
}

static enum status check_key(const struct beken_module *module, const struct image_info *image,
                             struct error *error)
{
    if (module->key == BEKEN_KEY_NONE && image->encryption == IMAGE_TUYA_KEY)
        return error_set(
            error, STATUS_REFUSED,
            "The image is encrypted with Tuya's key but this chip has no key, so it could "
            "not run it; it needs an unencrypted (BK7231M) image.");
    if (module->key == BEKEN_KEY_TUYA && image->encryption == IMAGE_PLAIN)
        return error_set(
            error, STATUS_REFUSED,
            "The image is unencrypted but this chip decrypts with Tuya's key, so it could "
            "not run it; it needs an encrypted (BK7231N) image.");
    if (module->key == BEKEN_KEY_OTHER)
        return error_set(error, STATUS_REFUSED,
                         "This chip has a key of its own, so it can run only images made for it.");
    return STATUS_OK;
}

static enum status check_chip(const struct beken_module *module, const struct image_info *image,
                              struct error *error)
{
    if (image->kind == IMAGE_OBK_CONFIG)
        return STATUS_OK;
    if (module->chip == BEKEN_CHIP_UNKNOWN)
        return error_set(
            error, STATUS_REFUSED,
            "The module does not tell which chip it is; if you know it, name it with --chip.");
    bool boot_rom_pair =
        (module->chip == BEKEN_CHIP_BK7231N || module->chip == BEKEN_CHIP_BK7231M) &&
        (image->chip == BEKEN_CHIP_BK7231N || image->chip == BEKEN_CHIP_BK7231M);
    if (boot_rom_pair)
        return check_key(module, image, error);
    if (image->chip == BEKEN_CHIP_UNKNOWN)
        return error_set(error, STATUS_REFUSED,
                         "The file does not tell which chip it is for, and the module is a %s.",
                         beken_chip_name(module->chip));
    if (!beken_chip_runs(module->chip, image->chip))
        return error_set(error, STATUS_REFUSED,
                         "The image is for a %s, but the module is a %s; it would not start.",
                         beken_chip_name(image->chip), beken_chip_name(module->chip));
    return STATUS_OK;
}

enum status plan_check_content(const struct image_info *image, bool force, struct error *error)
{
    if (image->ota_only)
        return error_set(
            error, STATUS_REFUSED,
            "This is an over-the-air package (%s), which only a running module can unpack; "
            "use the QIO or UA file of the same release.",
            image_kind_name(image->kind));
    if (image->valid || force)
        return STATUS_OK;
    return error_set(error, STATUS_REFUSED, "%s",
                     image->problem_count > 0 ? image->problems[0] : "The file is not recognised.");
}

/* Where the file belongs, and whether the user's own idea agrees. */
static enum status choose_place(const struct beken_module *module, const struct image_info *image,
                                const struct plan_rules *rules, struct plan_place *place,
                                struct error *error)
{
    bool known = image->has_write_at || image->kind == IMAGE_OBK_CONFIG;
    *place = (struct plan_place){.address = image->write_at, .skip = image->skip};
    if (image->kind == IMAGE_OBK_CONFIG)
        place->address = beken_chip_layout(module->chip)->config_address;
    if (rules->open_guards && image->kind == IMAGE_QIO)
        *place = (struct plan_place){0}; /* the whole file: that is what was confirmed */
    if (!rules->has_address) {
        if (known)
            return STATUS_OK;
        return error_set(error, STATUS_REFUSED,
                         "Nobody knows where this file belongs; name the place with --address.");
    }
    if (rules->address % BEKEN_SECTOR_SIZE != 0)
        return error_set(error, STATUS_REFUSED,
                         "0x%" PRIX32 " is not the start of a sector (a multiple of 0x1000).",
                         rules->address);
    if (!known || rules->address == place->address || rules->force) {
        if (rules->address != place->address)
            *place = (struct plan_place){.address = rules->address};
        return STATUS_OK;
    }
    return error_set(error, STATUS_REFUSED,
                     "This %s file belongs at 0x%" PRIX32 ", not at 0x%" PRIX32 ".",
                     image_kind_name(image->kind), place->address, rules->address);
}

enum status plan_check_image(const struct beken_module *module, const struct image_info *image,
                             const struct plan_rules *rules, struct plan_place *place,
                             struct error *error)
{
    enum status status = plan_check_content(image, rules->force, error);
    if (status == STATUS_OK && !rules->open_guards &&
        !(rules->force && image->kind == IMAGE_UNKNOWN))
        status = check_chip(module, image, error);
    if (status == STATUS_OK)
        status = choose_place(module, image, rules, place, error);
    if (status != STATUS_OK)
        return status;
    if (image->size <= place->skip)
        return error_set(error, STATUS_REFUSED, "The file holds nothing behind its bootloader.");
    size_t length = image->size - place->skip;
    if (rules->open_guards || (image->kind != IMAGE_DUMP && image->kind != IMAGE_QIO))
        return plan_check_range(module, place->address, length, rules->open_guards, error);
    /* Dumps and long QIO files cover the RF sector; plan_create() leaves it out, and a dump's
     * bootloader on a T as well. */
    if ((uint64_t)place->address + length > module->flash_size)
        return plan_check_range(module, place->address, length, true, error);
    if (image->kind == IMAGE_DUMP)
        return STATUS_OK;
    return plan_check_range(module, place->address, 1, false, error);
}

/* ------------------------------------------------------------------ sectors */

struct plan {
    bool with_rf;
    uint8_t *wanted;
    size_t count;
    struct plan_sector *sectors;
};

struct plan *plan_create(const struct beken_module *module, uint32_t address, const uint8_t *bytes,
                         size_t length, bool with_rf, bool open_guards)
{
    struct plan *plan = memory_new(1, sizeof *plan);
    plan->with_rf = with_rf || open_guards;
    plan->count = (length + BEKEN_SECTOR_SIZE - 1) / BEKEN_SECTOR_SIZE;
    plan->wanted = memory_new(plan->count, BEKEN_SECTOR_SIZE);
    plan->sectors = memory_new(plan->count, sizeof *plan->sectors);
    memset(plan->wanted, 0xFF, plan->count * BEKEN_SECTOR_SIZE);
    if (bytes != NULL)
        memcpy(plan->wanted, bytes, length);
    for (size_t i = 0; i < plan->count; i++) {
        struct plan_sector *sector = &plan->sectors[i];
        sector->address = address + (uint32_t)(i * BEKEN_SECTOR_SIZE);
        sector->wanted = plan->wanted + i * BEKEN_SECTOR_SIZE;
        sector->wants_blank = bytes_are_all(sector->wanted, BEKEN_SECTOR_SIZE, 0xFF);
        bool rf = with_rf && is_rf(module, sector->address, BEKEN_SECTOR_SIZE);
        if (!rf && plan_check_range(module, sector->address, BEKEN_SECTOR_SIZE, open_guards,
                                    NULL) != STATUS_OK)
            sector->action = PLAN_LEAVE;
    }
    return plan;
}

void plan_free(struct plan *plan)
{
    if (plan == NULL)
        return;
    free(plan->wanted);
    free(plan->sectors);
    free(plan);
}

size_t plan_count(const struct plan *plan)
{
    return plan->count;
}

struct plan_sector *plan_sector(struct plan *plan, size_t index)
{
    return &plan->sectors[index];
}

void plan_compare(struct plan *plan, const uint8_t *flash, size_t flash_size)
{
    for (size_t i = 0; i < plan->count; i++) {
        struct plan_sector *sector = &plan->sectors[i];
        if (sector->action == PLAN_LEAVE || sector->address + BEKEN_SECTOR_SIZE > flash_size)
            continue;
        const uint8_t *now = flash + sector->address;
        uint8_t mac[6];
        bool equal = memcmp(now, sector->wanted, BEKEN_SECTOR_SIZE) == 0;
        /* A few makers keep it elsewhere. */
        bool rf = !plan->with_rf && image_rf_mac(now, BEKEN_SECTOR_SIZE, mac);
        sector->action = rf ? PLAN_LEAVE : equal ? PLAN_EQUAL : PLAN_WRITE;
        sector->is_blank = bytes_are_all(now, BEKEN_SECTOR_SIZE, 0xFF);
    }
}

size_t plan_count_action(const struct plan *plan, enum plan_action action)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->count; i++)
        count += plan->sectors[i].action == action;
    return count;
}

struct plan_block plan_block_at(const struct plan *plan, size_t first)
{
    uint32_t address = plan->sectors[first].address;
    size_t room = (BEKEN_BLOCK_SIZE - address % BEKEN_BLOCK_SIZE) / BEKEN_SECTOR_SIZE;
    size_t end = first + room < plan->count ? first + room : plan->count;
    return (struct plan_block){first, end, address, (uint32_t)((end - first) * BEKEN_SECTOR_SIZE)};
}

bool plan_erase_whole_block(const struct plan *plan, const struct plan_block *block,
                            const struct plan_costs *costs)
{
    if (block->length != BEKEN_BLOCK_SIZE)
        return false;
    int64_t single_us = 0;
    for (size_t i = block->first; i < block->end; i++) {
        const struct plan_sector *sector = &plan->sectors[i];
        bool equal = sector->action == PLAN_EQUAL;
        if (sector->action == PLAN_LEAVE || (equal && !sector->wants_blank))
            return false;
        if (!equal && !sector->is_blank)
            single_us += costs->erase_4k_us;
    }
    return single_us > costs->erase_64k_us;
}
