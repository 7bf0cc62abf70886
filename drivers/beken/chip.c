/* SPDX-License-Identifier: MIT */
#include "drivers/beken/chip.h"

#include <strings.h>

static const char *const names[] = {
    [BEKEN_CHIP_UNKNOWN] = "unknown", [BEKEN_CHIP_BK7231T] = "BK7231T",
    [BEKEN_CHIP_BK7231N] = "BK7231N", [BEKEN_CHIP_BK7231M] = "BK7231M",
    [BEKEN_CHIP_BK7231U] = "BK7231U", [BEKEN_CHIP_BK7231Q] = "BK7231Q",
    [BEKEN_CHIP_BK7238] = "BK7238",   [BEKEN_CHIP_BK7252] = "BK7252",
    [BEKEN_CHIP_BK7252N] = "BK7252N",
};

/* From the partition tables of the SDKs and of OpenBeken. */
static const struct beken_layout layouts[] = {
    [BEKEN_CHIP_UNKNOWN] = {BEKEN_PROTOCOL_UNKNOWN, BEKEN_CODE_ADDRESS, 0x1E0000, 0x1E1000},
    [BEKEN_CHIP_BK7231T] = {BEKEN_PROTOCOL_BOOTLOADER, BEKEN_CODE_ADDRESS, 0x1E0000, 0x1E1000},
    [BEKEN_CHIP_BK7231N] = {BEKEN_PROTOCOL_BOOT_ROM, 0, 0x1D0000, 0x1D1000},
    [BEKEN_CHIP_BK7231M] = {BEKEN_PROTOCOL_BOOT_ROM, 0, 0x1D0000, 0x1D1000},
    [BEKEN_CHIP_BK7231U] = {BEKEN_PROTOCOL_OTHER, BEKEN_CODE_ADDRESS, 0x1E0000, 0x1E1000},
    [BEKEN_CHIP_BK7231Q] = {BEKEN_PROTOCOL_OTHER, BEKEN_CODE_ADDRESS, 0x1E0000, 0x1E1000},
    [BEKEN_CHIP_BK7238] = {BEKEN_PROTOCOL_BOOT_ROM, 0, 0x1E0000, 0x1E1000},
    [BEKEN_CHIP_BK7252] = {BEKEN_PROTOCOL_OTHER, BEKEN_CODE_ADDRESS, 0x1E0000, 0x1E1000},
    [BEKEN_CHIP_BK7252N] = {BEKEN_PROTOCOL_BOOT_ROM, 0, 0x1E0000, 0x1E1000},
};

/* CRCs of the first 256 bytes, computed over public images and dumps of these chips. */
static const struct beken_fingerprint fingerprints[] = {
    {0x4063D299, BEKEN_CHIP_BK7231N, "BK7231N_1.0.1"},
    {0xC1ECA871, BEKEN_CHIP_BK7231T, "BK7231S_1.0.1"},
    {0x4B31E44D, BEKEN_CHIP_BK7231T, "BK7231S_1.0.4"},
    {0xBA54C1B8, BEKEN_CHIP_BK7231T, "BK7231S_1.0.5"},
    {0xE5CBC953, BEKEN_CHIP_BK7231T, "BK7231S_1.0.6"},
    {0xFFE952FB, BEKEN_CHIP_BK7231M, "BK7231N_1.0.1 unencrypted"},
    {0x87A9C4B5, BEKEN_CHIP_BK7231M, "BL2028N"},
    {0x8F32A0EC, BEKEN_CHIP_BK7238, "BK7238 1.0.14"},
    {0x8BCEC3B4, BEKEN_CHIP_BK7231U, "BK7231U or BK7252"},
    {0x42C221EA, BEKEN_CHIP_BK7231Q, "BK7231Q"},
    {0xFEA8A821, BEKEN_CHIP_UNKNOWN, "erased"},
    {0x0D968558, BEKEN_CHIP_UNKNOWN, "all zero"},
};

const char *beken_chip_name(enum beken_chip chip)
{
    return names[chip];
}

bool beken_chip_parse(const char *name, enum beken_chip *chip)
{
    for (size_t i = 1; i < sizeof names / sizeof names[0]; i++) {
        if (strcasecmp(name, names[i]) == 0) {
            *chip = (enum beken_chip)i;
            return true;
        }
    }
    return false;
}

const struct beken_layout *beken_chip_layout(enum beken_chip chip)
{
    return &layouts[chip];
}

static enum beken_chip without_siblings(enum beken_chip chip)
{
    /* OpenBeken's U and 7252 images carry the same marks, and so do 7238 and 7252N. */
    if (chip == BEKEN_CHIP_BK7252)
        return BEKEN_CHIP_BK7231U;
    return chip == BEKEN_CHIP_BK7252N ? BEKEN_CHIP_BK7238 : chip;
}

bool beken_chip_runs(enum beken_chip module, enum beken_chip image)
{
    return without_siblings(module) == without_siblings(image);
}

const struct beken_fingerprint *beken_fingerprint_find(uint32_t crc)
{
    for (size_t i = 0; i < sizeof fingerprints / sizeof fingerprints[0]; i++)
        if (fingerprints[i].crc == crc)
            return &fingerprints[i];
    return NULL;
}
