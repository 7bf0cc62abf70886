/* SPDX-License-Identifier: MIT */
/**
 * OpenBeken's configuration, the 3584 bytes at beken_chip_layout()->config_address: Wi-Fi, MQTT, names,
 * pins, flags, startup command. Pure.
 *
 * One table (obk_config_field()) says what is where; what people see (`flash obk-config show`, its
 * options, JSON, the table in docs/provisioning.md) is made from it. Setting a field changes its bytes
 * and the checksum and nothing else, so pins and all that is not known here stay as they were.
 *
 * Source: OpenBK7231T_App, src/new_pins.h (mainConfig_t), src/new_cfg.c, src/tiny_crc8.c. The
 * checksum is that of a signed char, which BK7231 firmware really computes (beken_crc8_config()).
 */
#ifndef DRIVERS_BEKEN_OBK_CONFIG_H
#define DRIVERS_BEKEN_OBK_CONFIG_H

#include "drivers/base/status.h"
#include "drivers/beken/chip.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OBK_CONFIG_SIZE 3584u
#define OBK_CONFIG_PINS 32u
/** Room for any field as text. */
#define OBK_CONFIG_TEXT_SIZE 2048u

/** A copy of the block: always with a good checksum, unless obk_config_read() said otherwise. */
struct obk_config {
    uint8_t bytes[OBK_CONFIG_SIZE];
};

/* ------------------------------------------------------------------ whole blocks */

enum obk_config_state {
    OBK_CONFIG_GOOD,
    OBK_CONFIG_BLANK,   /**< nothing there: all FF or all 00 */
    OBK_CONFIG_DAMAGED, /**< a configuration, but its checksum is wrong: the firmware ignores it */
    OBK_CONFIG_FOREIGN, /**< something else, or cut short */
};

/** Copies the block out of bytes, unless it is blank or foreign. */
enum obk_config_state obk_config_read(const uint8_t *bytes, size_t length,
                                      struct obk_config *config);

/**
 * Where a configuration stands in a file: at its start, or in a dump at the places where chips keep
 * it, or else at any sector. A good one is preferred to a damaged one. False if there is none.
 */
bool obk_config_find(const uint8_t *bytes, size_t length, size_t *offset);

/**
 * The firmware's factory settings, version 5. mac: that of the module, for the names that the firmware
 * makes from it ("obkC8478C18"), or NULL: no names. Wi-Fi is empty: such a module opens an access
 * point.
 */
void obk_config_init(struct obk_config *config, enum beken_chip chip, const uint8_t *mac);

/** The checksum as it must be; every function that changes a configuration has stored it. */
uint8_t obk_config_checksum(const struct obk_config *config);
uint32_t obk_config_version(const struct obk_config *config);

/* ------------------------------------------------------------------ fields */

enum obk_config_type {
    OBK_CONFIG_TEXT, /**< NUL-padded */
    OBK_CONFIG_U8,   /**< count of them, as are the next ones */
    OBK_CONFIG_U16,
    OBK_CONFIG_I16,
    OBK_CONFIG_U32,
    OBK_CONFIG_I32,
    OBK_CONFIG_BITS, /**< 32 flags, hexadecimal for people */
    OBK_CONFIG_FLOAT,
    OBK_CONFIG_IPV4,
    OBK_CONFIG_HEX, /**< bytes without a known meaning; "" stands for all zero */
};

struct obk_config_field {
    const char *name;     /**< "wifi_ssid": the key in JSON; the option is --wifi-ssid */
    const char *firmware; /**< its name in the firmware's source */
    uint16_t offset;
    uint16_t size; /**< bytes in all */
    enum obk_config_type type;
    uint16_t count;          /**< of elements; 1 but for lists */
    uint16_t longest;        /**< of a text, bytes */
    int64_t low, high;       /**< of whole numbers */
    const char *environment; /**< secrets: the variable that may hold it; NULL: no secret */
    const char *help;
};

/** NULL behind the last; ordered by offset; together they cover all bytes from 8 on. */
const struct obk_config_field *obk_config_field(size_t index);
/** NULL if there is none. */
const struct obk_config_field *obk_config_find_field(const char *name);

/**
 * Sets a field from text: a text as it is; numbers in decimal or 0x; lists either whole
 * ("3,10,5") or some elements ("6=1,26=3"); IPv4 as "192.168.1.2"; bytes in hexadecimal.
 * STATUS_USAGE, with the field and what it takes, if it does not fit; then nothing is changed.
 * Secrets are never repeated in the sentence.
 */
enum status obk_config_set(struct obk_config *config, const char *name, const char *text,
                           struct error *error);

/**
 * The same for the fields of an object as obk_config_to_json() makes it; all of them or, if one does not
 * fit, none. What is not in it stays.
 */
enum status obk_config_set_json(struct obk_config *config, const json_t *fields,
                                struct error *error);

/** The field as obk_config_set() takes it; unprintable bytes of texts as '?'. The name must exist. */
void obk_config_get(const struct obk_config *config, const char *name,
                    char text[OBK_CONFIG_TEXT_SIZE]);

/**
 * All fields in an object, by name: texts, numbers, lists of numbers. What JSON cannot hold (text that is
 * not UTF-8, a number that is none) is {"hex": "..."}. Without show_secrets a secret that is not empty
 * is OBK_CONFIG_MASK.
 */
json_t *obk_config_to_json(const struct obk_config *config, bool show_secrets);
#define OBK_CONFIG_MASK "********"

/* ------------------------------------------------------------------ flags and pins */

bool obk_config_flag(const struct obk_config *config, unsigned flag);
/** flag: 0 to 63. */
void obk_config_set_flag(struct obk_config *config, unsigned flag, bool on);
/** What the flag does, in a few words; NULL if it is not known here. */
const char *obk_config_flag_help(unsigned flag);

struct obk_config_pin {
    uint8_t role, channel, channel2;
};
/** pin: 0 to 31, the number behind P. */
struct obk_config_pin obk_config_pin(const struct obk_config *config, unsigned pin);
void obk_config_set_pin(struct obk_config *config, unsigned pin, struct obk_config_pin what);

#endif
