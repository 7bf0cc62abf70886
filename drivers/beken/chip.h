/* SPDX-License-Identifier: MIT */
/**
 * The Beken chips that the flasher can distinguish, what each one's flash holds where, and the
 * fingerprints of their bootloaders. Pure.
 */
#ifndef DRIVERS_BEKEN_CHIP_H
#define DRIVERS_BEKEN_CHIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum beken_chip {
    BEKEN_CHIP_UNKNOWN,
    BEKEN_CHIP_BK7231T,
    BEKEN_CHIP_BK7231N,
    BEKEN_CHIP_BK7231M, /**< an N without an encryption key (also sold as BL2028N) */
    BEKEN_CHIP_BK7231U,
    BEKEN_CHIP_BK7231Q,
    BEKEN_CHIP_BK7238,
    BEKEN_CHIP_BK7252,
    BEKEN_CHIP_BK7252N,
};

/** Who answers on UART1, which decides what commands there are and what can be lost. */
enum beken_protocol {
    BEKEN_PROTOCOL_UNKNOWN,
    BEKEN_PROTOCOL_BOOT_ROM,   /**< N, M, 7238, 7252N: in mask ROM, survives any write */
    BEKEN_PROTOCOL_BOOTLOADER, /**< T: in flash; without it the module is lost to UART */
    BEKEN_PROTOCOL_OTHER,      /**< U, Q, 7252: in flash, another vendor's bootloader */
};

/** Flash below this holds the bootloader. */
#define BEKEN_CODE_ADDRESS 0x11000u
/** The vendor's (Tuya's) key block. */
#define BEKEN_TUYA_KEY_ADDRESS 0x1EE000u

struct beken_layout {
    enum beken_protocol protocol;
    uint32_t guarded_below;  /**< writes below this would lose the module; 0 = none */
    uint32_t rf_address;     /**< 4 KiB of RF calibration and MAC, never erased */
    uint32_t config_address; /**< OpenBeken's configuration, 4 KiB */
};

const char *beken_chip_name(enum beken_chip chip);
/** "BK7231N" and so on, in any case; false for others. */
bool beken_chip_parse(const char *name, enum beken_chip *chip);
/** The unknown chip has the T's caution: everything that could be lost is guarded. */
const struct beken_layout *beken_chip_layout(enum beken_chip chip);
/** True where an image for `image` runs on `module`: the same chip family and the same key. */
bool beken_chip_runs(enum beken_chip module, enum beken_chip image);

/** What CheckCRC(0, FF), as zlib spells it, says about the first 256 bytes of flash. */
struct beken_fingerprint {
    uint32_t crc;
    enum beken_chip chip;
    const char *bootloader; /**< version or what it means */
};

/** NULL if unknown. */
const struct beken_fingerprint *beken_fingerprint_find(uint32_t crc);

#endif
