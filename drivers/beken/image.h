/* SPDX-License-Identifier: MIT */
/**
 * What a firmware file is, by its content and never by its name: the kind, the chip it runs on,
 * where it belongs, and what is wrong with it. Pure. The marks were checked on the public images
 * and dumps of OpenBeken's and BekenEmulator's repositories.
 */
#ifndef DRIVERS_BEKEN_IMAGE_H
#define DRIVERS_BEKEN_IMAGE_H

#include "drivers/beken/chip.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IMAGE_PROBLEMS_MAX 8u
#define IMAGE_PROBLEM_SIZE 256u
/** Bytes in front of the package in a file of the kind UG. */
#define IMAGE_UG_HEADER_SIZE 32u
/** Larger files are refused before they are read. */
#define IMAGE_SIZE_MAX (64u << 20)

enum image_kind {
    IMAGE_UNKNOWN,
    IMAGE_QIO,        /**< bootloader and app, from flash address 0 */
    IMAGE_UA,         /**< app only, for 0x11000 */
    IMAGE_RBL,        /**< over-the-air package: not for a serial line */
    IMAGE_UG,         /**< the same in a vendor's wrapper */
    IMAGE_DUMP,       /**< a whole flash */
    IMAGE_OBK_CONFIG, /**< OpenBeken's configuration */
};

enum image_encryption {
    IMAGE_ENCRYPTION_UNKNOWN,
    IMAGE_PLAIN,
    IMAGE_TUYA_KEY, /**< with the key that all of Tuya's T and N modules have */
};

struct image_info {
    enum image_kind kind;
    enum beken_chip chip;
    enum image_encryption encryption;
    size_t size;
    bool has_write_at;
    uint32_t write_at; /**< flash address of the first byte to write, which is file offset skip */
    uint32_t skip; /**< leading bytes never to be written over a serial line (a T's bootloader) */
    bool rotated;  /**< an old T dump that starts at 0x11000 and wraps: image_unrotate() */
    bool ota_only; /**< a good package, but only a running module can take it */
    bool cut_dump; /**< the beginning of a dump, whose end is missing */
    bool blank;    /**< nothing but 00 or nothing but FF */
    char version[40];     /**< "" if unknown */
    char bootloader[20];  /**< "BK7231N_1.0.1", "" if unknown */
    int64_t build_time_s; /**< seconds since 1970; 0 if unknown */
    bool valid;           /**< recognised, and no problems */
    size_t problem_count;
    char problems[IMAGE_PROBLEMS_MAX][IMAGE_PROBLEM_SIZE];
    char warning[IMAGE_PROBLEM_SIZE]; /**< what the file leaves open, though valid; "" = nothing */
};

/** Any bytes; what is wrong with them is reported in *info. A rotated dump is reported as such, and what is
 * said of it holds for it in flash order. */
void image_examine(const uint8_t *bytes, size_t length, struct image_info *info);

/** Likewise for an app of which it is known that it is for `chip`, as from a UF2 file. */
void image_examine_app(const uint8_t *bytes, size_t length, enum beken_chip chip,
                       struct image_info *info);

/** Puts a rotated dump of `length` bytes into flash order, in place. */
void image_unrotate(uint8_t *bytes, size_t length);

/** "QIO", "UA", ... as `flash image` prints them. */
const char *image_kind_name(enum image_kind kind);

/** MAC address in an RF sector (4 KiB); false if there is none. */
bool image_rf_mac(const uint8_t *sector, size_t length, uint8_t mac[6]);

/** Whether these bytes (3584 or more) are an OpenBeken configuration with a good checksum. */
bool image_is_obk_config(const uint8_t *bytes, size_t length);

/** Whether a vendor (Tuya) key block stands here, 4 KiB. */
bool image_is_tuya_key_block(const uint8_t *sector, size_t length);

#endif
