/* SPDX-License-Identifier: MIT */
/** What is known about the module at the other end of the line. */
#ifndef DRIVERS_BEKEN_MODULE_H
#define DRIVERS_BEKEN_MODULE_H

#include "drivers/beken/chip.h"
#include "drivers/beken/flash_table.h"

#include <stdbool.h>
#include <stdint.h>

enum beken_answer { BEKEN_NOT_KNOWN, BEKEN_NO, BEKEN_YES };

/** The key in the chip's fuses, which decides whose images it can run. */
enum beken_key { BEKEN_KEY_UNKNOWN, BEKEN_KEY_NONE, BEKEN_KEY_TUYA, BEKEN_KEY_OTHER };

enum beken_application {
    BEKEN_APP_UNKNOWN,
    BEKEN_APP_OPENBEKEN,
    BEKEN_APP_TUYA,
    BEKEN_APP_LIBRETINY, /**< ESPHome's base */
    BEKEN_APP_BLANK,
};

struct beken_module {
    enum beken_chip chip;
    enum beken_protocol protocol;
    char bootloader[32]; /**< version, or what it is instead ("erased"); "" if unknown */
    bool has_flash_id;   /**< only boot ROMs tell it */
    struct flash_chip flash;
    bool flash_is_silent; /**< it answers nothing: its id, and all that is read, is 00 or FF */
    uint32_t flash_size;  /**< told by the flash, else found by its wrap, else 2 MiB */
    enum beken_answer is_protected;
    enum beken_key key;
    bool has_mac;
    uint8_t mac[6];
    enum beken_application application;
};

const char *beken_application_name(enum beken_application application);

#endif
