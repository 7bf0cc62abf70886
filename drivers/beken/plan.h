/* SPDX-License-Identifier: MIT */
/**
 * What a write may touch, and what it has to. First the guards, which say no in one sentence before
 * anything is erased; then a list of sectors with what to do about each. Pure.
 */
#ifndef DRIVERS_BEKEN_PLAN_H
#define DRIVERS_BEKEN_PLAN_H

#include "drivers/base/status.h"
#include "drivers/beken/frame.h"
#include "drivers/beken/image.h"
#include "drivers/beken/module.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct plan_rules {
    bool has_address; /**< the user named a place */
    uint32_t address;
    bool force;       /**< the user wants a file that is not recognised or has problems */
    bool open_guards; /**< the user typed the confirmation of --force-bootloader */
};

/** Which part of the file goes where. */
struct plan_place {
    uint32_t address; /**< in flash */
    size_t skip;      /**< leading bytes of the file that stay out */
};

/** The part of plan_check_image() that needs no module: an over-the-air package, a damaged or
 * unknown file. */
enum status plan_check_content(const struct image_info *image, bool force, struct error *error);

/**
 * May this file go onto this module? STATUS_REFUSED with one sentence for: the wrong chip, the
 * wrong key, a package that only a running module takes, a damaged or unknown file, the wrong
 * place, the bootloader area of a T, the end of the flash.
 */
enum status plan_check_image(const struct beken_module *module, const struct image_info *image,
                             const struct plan_rules *rules, struct plan_place *place,
                             struct error *error);

/** May these bytes of flash be erased or written? Also refuses addresses that wrap around. The RF
 *  sector counts as forbidden. */
enum status plan_check_range(const struct beken_module *module, uint32_t address, size_t length,
                             bool open_guards, struct error *error);

enum plan_action {
    PLAN_UNKNOWN, /**< nobody has compared yet: treated like PLAN_WRITE */
    PLAN_LEAVE,   /**< guarded: neither touched nor compared */
    PLAN_EQUAL,   /**< already as wanted */
    PLAN_WRITE,   /**< differs */
};

struct plan_sector {
    uint32_t address;
    const uint8_t *wanted; /**< 4096 bytes, owned by the plan */
    bool wants_blank;      /**< wanted is all FF: erase, do not send */
    bool is_blank;         /**< the flash is known to be all FF here */
    bool is_done;          /**< written (or blanked) by now */
    enum plan_action action;
};

struct plan;

/**
 * Cuts length bytes for address (a multiple of 4096) into sectors; the last one is filled up with
 * FF. Sectors that plan_check_range() would refuse become PLAN_LEAVE; with_rf makes an exception
 * for the RF sector. bytes == NULL wants FF everywhere (an erase).
 */
struct plan *plan_create(const struct beken_module *module, uint32_t address, const uint8_t *bytes,
                         size_t length, bool with_rf, bool open_guards);
void plan_free(struct plan *plan);

size_t plan_count(const struct plan *plan);
/** Borrowed; the caller may change action and is_blank. */
struct plan_sector *plan_sector(struct plan *plan, size_t index);
/** Compares with the whole flash's contents (flash_size bytes). Also leaves RF data alone that
 *  stands at another place than usual. */
void plan_compare(struct plan *plan, const uint8_t *flash, size_t flash_size);
size_t plan_count_action(const struct plan *plan, enum plan_action action);
/** Sectors of one 64 KiB block of flash: [first, end). */
struct plan_block {
    size_t first, end;
    uint32_t address; /**< of first */
    uint32_t length;  /**< bytes from first to end */
};
/** The block that sector index first begins; iterate with first = block.end. */
struct plan_block plan_block_at(const struct plan *plan, size_t first);

/** Typical costs, for choosing between one 64 KiB erase and several of 4 KiB. */
struct plan_costs {
    int64_t erase_4k_us, erase_64k_us;
};
/** True if the block is complete, nothing in it is guarded or right already (blank sectors may be),
 *  and erasing it at once is cheaper. */
bool plan_erase_whole_block(const struct plan *plan, const struct plan_block *block,
                            const struct plan_costs *costs);

#endif
