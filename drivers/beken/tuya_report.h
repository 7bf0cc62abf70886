/* SPDX-License-Identifier: MIT */
/**
 * All that a dump tells about the vendor's firmware: its settings, what OpenBeken needs for the same
 * board, and where there are no settings, why, and what is known all the same. Pure.
 */
#ifndef DRIVERS_BEKEN_TUYA_REPORT_H
#define DRIVERS_BEKEN_TUYA_REPORT_H

#include "drivers/beken/image.h"
#include "drivers/beken/tuya_pins.h"
#include "drivers/beken/tuya_vault.h"

#include <jansson.h>

enum tuya_pins_source { TUYA_PINS_NONE, TUYA_PINS_VAULT, TUYA_PINS_APP };

/** Whose application is in the flash, by the words in its code. */
enum tuya_firmware {
    TUYA_FIRMWARE_UNKNOWN,
    TUYA_FIRMWARE_BLANK,
    TUYA_FIRMWARE_TUYA,
    TUYA_FIRMWARE_OPENBEKEN,
    TUYA_FIRMWARE_LIBRETINY, /**< ESPHome's base */
};

struct tuya_report {
    bool found;       /**< settings were read from the vault */
    char reason[600]; /**< whole sentences if not found, or if the pins are missing; else "" */
    struct image_info image;
    struct tuya_vault_facts vault;
    enum beken_chip chip; /**< from the code, else from the settings */
    enum tuya_firmware firmware;
    char version[40]; /**< of the application, "" if unknown */
    bool has_mac;
    uint8_t mac[6];
    bool has_obk_config;
    size_t obk_config_offset;
    enum tuya_pins_source pins_source;
    struct tuya_pins pins;
    json_t *settings; /**< of the pins, as the vendor has them; owned; NULL if there are none */
    json_t *keys;     /**< all values by name, secrets in the clear; owned */
    json_t *damaged;  /**< names of values whose checksum is wrong; owned */
};

/** bytes: a dump in flash order (image_unrotate()), or a piece of one. */
void tuya_report_make(const uint8_t *bytes, size_t length, struct tuya_report *report);
void tuya_report_free(struct tuya_report *report);

const char *tuya_firmware_name(enum tuya_firmware firmware);

/**
 * The answer of `flash tuya --json`: {"found", "reason", "pins", "module", "openbeken": {"template",
 * "autoexec", ...}, "keys", ...}. A new object. Without show_secrets, passwords, keys, tokens, names of
 * networks, and values whose meaning is not known are TUYA_MASK.
 */
json_t *tuya_report_json(const struct tuya_report *report, bool show_secrets);
#define TUYA_MASK "********"

#endif
