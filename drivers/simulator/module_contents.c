/* SPDX-License-Identifier: MIT */
#include "drivers/simulator/module_contents.h"

#include "drivers/base/memory.h"

#include <string.h>

#define BLOCK_DATA 32U
#define BLOCK_STORED 34U
#define BOOTLOADER_CODE 0xE000U /* logical bytes; FF from there to the trailer */
#define BOOTLOADER_TRAILER 0x10F9AU
#define APPLICATION 0x11000U
#define APPLICATION_LOGICAL 0x10000U
#define APPLICATION_CODE 0xB0000U
#define APPLICATION_TRAILER 0x129F0AU
#define MARKER 0x110U /* stored offset, in bootloader and application */
#define MARKER_LOGICAL 0x100U
#define VERSION_LOGICAL 0x94U
#define KEY_LOGICAL 0x48U
#define FREE_LOGICAL 0x20U /* 8 bytes that are bent until the CRC fits */
#define STRINGS_LOGICAL 0x1000U
#define CHECKED_BLOCKS 100U

/* What differs between chips. */
struct family {
    uint8_t first[8];       /* of the bootloader, as stored */
    const char *version;    /* in the bootloader */
    uint32_t crc256;        /* zlib's CRC-32 of the first 256 bytes, 0 if not known */
    uint32_t crc257;        /* and of one more, 0 if not to be met */
    bool encrypted, marked; /* with Tuya's key; with a plain chip marker in the bootloader */
    uint8_t app_marker[8];  /* at application + 0x110, as stored */
    const char *vendor_text, *openbeken_text, *group;
    uint32_t rf_address, rf_length, config_address;
};

static const char bk7231_marker[8] = "BK7231\0";

/* M as sold; families[MODULE_BK7231M] is OpenBeken's own image, which brings another bootloader. */
#define FAMILY_STOCK_M (MODULE_BK7231M + 1)

static const struct family families[] =
    {
        [MODULE_BK7231N] =
            {
                .first = {0x69, 0x0C, 0xB5, 0x96, 0x35, 0xFF, 0x2A, 0x99},
                .version = "BK7231N_1.0.1",
                .crc256 = 0x4063D299,
                .crc257 = 0xE14191BA,
                .encrypted = true,
                .marked = true,
                .app_marker = {0x63, 0x4C, 0x80, 0x4C, 0x12, 0x3E, 0xB7, 0x7E},
                .vendor_text = "bk7231n_common_iot 1.3.21",
                .openbeken_text = "OpenBK7231N 1.18.300 Aug 01 2026 12:00:00",
                .group = "bekens_n",
                .rf_address = 0x1D0000,
                .rf_length = 0x1F6,
                .config_address = 0x1D1000,
            },
        [MODULE_BK7231T] =
            {
                .first = {0x43, 0x09, 0xB5, 0x96, 0x35, 0xFF, 0x2A, 0x99},
                .version = "BK7231S_1.0.5",
                .crc256 = 0xBA54C1B8,
                .encrypted = true,
                .app_marker = {0x21, 0x17, 0x36, 0x9E, 0x20, 0xDF, 0x17, 0x9F},
                .vendor_text = "bk7231t_common_iot 1.0.8",
                .openbeken_text = "OpenBK7231T 1.18.300 Aug 01 2026 12:00:00",
                .group = "bekens_t",
                .rf_address = 0x1E0000,
                .rf_length = 0x1E0,
                .config_address = 0x1E1000,
            },
        [MODULE_BK7231M] =
            {
                .first = {0x48, 0x0B, 0x00, 0xEA, 0x14, 0xF0, 0x9F, 0xE5},
                .version = "BK7231N_1.0.1",
                .crc256 = 0xFFE952FB,
                .crc257 = 0x8E4E6CDB,
                .marked = true,
                .app_marker = "BK7231\0",
                .vendor_text = "bk7231n_common_iot 1.3.21",
                .openbeken_text = "OpenBK7231N 1.18.300 Aug 01 2026 12:00:00",
                .group = "bekens_n",
                .rf_address = 0x1D0000,
                .rf_length = 0x1F6,
                .config_address = 0x1D1000,
            },
        [FAMILY_STOCK_M] =
            {
                .first = {0xAA, 0x00, 0x00, 0xEA, 0x14, 0xF0, 0x9F, 0xE5},
                .version = "BK7231N_1.0.1",
                .crc256 = 0x87A9C4B5,
                .marked = true,
                .app_marker = "BK7231\0",
                .vendor_text = "bk7231n_common_iot 1.3.21",
                .openbeken_text = "OpenBK7231N 1.18.300 Aug 01 2026 12:00:00",
                .group = "bekens_n",
                .rf_address = 0x1D0000,
                .rf_length = 0x1F6,
                .config_address = 0x1D1000,
            },
};

static const uint8_t tuya_key[16] = {0x93, 0xB0, 0x0F, 0x51, 0xDC, 0xEA, 0xCB, 0xA3,
                                     0x7E, 0xA1, 0x93, 0x59, 0x03, 0xEB, 0xAD, 0xC7};
/* The application's first instruction words, in the clear. */
static const uint8_t app_first[8] = {0x0E, 0x00, 0x00, 0xEA, 0x14, 0xF0, 0x9F, 0xE5};

bool module_contents_parse(const char *name, enum module_contents_kind *kind)
{
    static const char *const names[] = {
        [MODULE_CONTENTS_VENDOR] = "vendor",
        [MODULE_CONTENTS_OPENBEKEN] = "openbeken",
        [MODULE_CONTENTS_BLANK] = "blank",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) != 0)
            continue;
        *kind = (enum module_contents_kind)i;
        return true;
    }
    return false;
}

/* Sums and ciphers ----------------------------------------------------------------------------- */

uint16_t module_contents_crc16(const uint8_t *bytes, size_t length)
{
    unsigned crc = 0xFFFF;
    for (size_t i = 0; i < length; i++) {
        crc ^= (unsigned)bytes[i] << 8;
        for (unsigned bit = 0; bit < 8; bit++)
            crc = (crc & 0x8000U) != 0 ? crc << 1 ^ 0x8005U : crc << 1;
        crc &= 0xFFFFU;
    }
    return (uint16_t)crc;
}

/* zlib's CRC-32. */
static uint32_t crc32_of(const uint8_t *bytes, size_t length)
{
    uint32_t crc = 0xFFFFFFFF;
    for (size_t i = 0; i < length; i++) {
        crc ^= bytes[i];
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0xEDB88320U & (0U - (crc & 1U)));
    }
    return ~crc;
}

static uint32_t ror32(uint32_t value, unsigned bits)
{
    return value >> bits | value << (32 - bits);
}

uint32_t module_contents_keystream(uint32_t address)
{
    uint32_t x = ror32(address, 8) ^ 0x510FB093U;
    return ror32(x, 15) ^ (0xE519A4F1U & ((x >> 2 & 15U) * 0x11111111U)) ^ 0x5993A17EU;
}

/* OpenBeken's configuration sum as its ARM build computes it: with a signed char, so that the shift
 * keeps bit 7. */
static uint8_t config_crc8(const uint8_t *bytes, size_t length)
{
    unsigned crc = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned byte = bytes[i];
        for (unsigned bit = 0; bit < 8; bit++) {
            unsigned low = (crc ^ byte) & 1U;
            crc = crc >> 1 | (crc & 0x80U);
            if (low != 0)
                crc ^= 0x8CU;
            byte >>= 1;
        }
    }
    return (uint8_t)crc;
}

static void put32(uint8_t *bytes, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
}

/* Code regions --------------------------------------------------------------------------------- */

static size_t stored_at(uint32_t logical)
{
    return logical / BLOCK_DATA * BLOCK_STORED + logical % BLOCK_DATA;
}

static void frame_block(uint8_t *block)
{
    uint16_t crc = module_contents_crc16(block, BLOCK_DATA);
    block[BLOCK_DATA] = (uint8_t)(crc >> 8);
    block[BLOCK_DATA + 1] = (uint8_t)crc;
}

/* logical: of code[0], a multiple of 32, as is length. Programs what is stored, with sums. */
static void store_code(uint8_t *stored, const uint8_t *code, uint32_t length, uint32_t logical,
                       bool encrypted)
{
    for (uint32_t i = 0; i < length; i += BLOCK_DATA) {
        uint8_t *block = stored + stored_at(i);
        memcpy(block, code + i, BLOCK_DATA);
        for (uint32_t word = 0; encrypted && word < BLOCK_DATA; word += 4) {
            uint32_t key = module_contents_keystream(logical + i + word);
            for (unsigned byte = 0; byte < 4; byte++)
                block[word + byte] ^= (uint8_t)(key >> (8 * byte));
        }
        frame_block(block);
    }
}

/* Overwrites stored bytes of a block as they are, and makes its sum right again. */
static void store_raw(uint8_t *stored, uint32_t logical, const uint8_t *bytes, size_t length)
{
    memcpy(stored + stored_at(logical), bytes, length);
    frame_block(stored + (size_t)(logical / BLOCK_DATA) * BLOCK_STORED);
}

/* An RBL block as it stands behind code in the flash. Its sums are over the code as it is stored,
 * encrypted, without the CRC16s; neither packed nor encrypted as a whole, so the algorithm is 0. */
/* A field that is full has no terminator. */
static void fill_text(uint8_t *field, size_t size, const char *text)
{
    for (size_t i = 0; i < size && text[i] != '\0'; i++)
        field[i] = (uint8_t)text[i];
}

static void store_trailer(uint8_t *stored, const char *name, const char *version,
                          const uint8_t *stored_code, uint32_t length)
{
    uint8_t *code memory_auto = memory_new(length, 1);
    uint32_t hash = 0x811C9DC5U; /* FNV-1a */
    for (uint32_t i = 0; i < length; i++) {
        code[i] = stored_code[stored_at(i)];
        hash = (hash ^ code[i]) * 0x01000193U;
    }
    uint8_t rbl[96] = {'R', 'B', 'L', 0};
    put32(rbl + 8, 1767225600); /* 2026-01-01 */
    static const char serial[20] = "00010203040506070809";
    fill_text(rbl + 12, 16, name);
    fill_text(rbl + 28, 24, version);
    memcpy(rbl + 52, serial, sizeof serial);
    put32(rbl + 76, crc32_of(code, length));
    put32(rbl + 80, hash);
    put32(rbl + 84, length);
    put32(rbl + 88, length);
    put32(rbl + 92, crc32_of(rbl, 92));
    store_code(stored, rbl, sizeof rbl, 0, false);
}

static uint8_t *make_code(struct chance *chance, uint32_t length)
{
    uint8_t *code = memory_new(length, 1);
    for (uint32_t i = 0; i < length; i += 8) {
        uint64_t value = chance_next(chance);
        memcpy(code + i, &value, 8);
    }
    return code;
}

/* The CRC-32 is linear over the bits: which of the 64 free ones have to be flipped is a system of
 * 32 equations. The CRC16 of their block, which is inside the sum as well, is linear too. */
static bool bend_crc(uint8_t *flash, size_t length, uint32_t wanted)
{
    uint8_t *block = flash + (size_t)(FREE_LOGICAL / BLOCK_DATA) * BLOCK_STORED;
    uint32_t now = crc32_of(flash, length);
    uint32_t effect[64];
    for (unsigned bit = 0; bit < 64; bit++) {
        block[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        frame_block(block);
        effect[bit] = crc32_of(flash, length) ^ now;
        block[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
    frame_block(block);

    uint32_t basis[32] = {0};      /* basis[i]: its highest bit is i */
    uint64_t basis_bits[32] = {0}; /* the flips that make it */
    for (unsigned bit = 0; bit < 64; bit++) {
        uint32_t value = effect[bit];
        uint64_t bits = UINT64_C(1) << bit;
        for (int top = 31; top >= 0 && value != 0; top--) {
            if ((value >> top & 1U) == 0)
                continue;
            if (basis[top] == 0) {
                basis[top] = value;
                basis_bits[top] = bits;
                break;
            }
            value ^= basis[top];
            bits ^= basis_bits[top];
        }
    }
    uint32_t rest = now ^ wanted;
    uint64_t flips = 0;
    for (int top = 31; top >= 0; top--) {
        if ((rest >> top & 1U) == 0)
            continue;
        if (basis[top] == 0)
            return false;
        rest ^= basis[top];
        flips ^= basis_bits[top];
    }
    for (unsigned bit = 0; bit < 64; bit++)
        if ((flips >> bit & 1U) != 0)
            block[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    frame_block(block);
    return true;
}

static void meet_fingerprint(uint8_t *flash, const struct family *family)
{
    if (family->crc256 != 0)
        (void)bend_crc(flash, 256, family->crc256);
    if (family->crc257 == 0)
        return;
    /* Only one byte leads from the first sum to the second. */
    for (unsigned byte = 0; byte < 256; byte++) {
        flash[256] = (uint8_t)byte;
        if (crc32_of(flash, 257) == family->crc257)
            break;
    }
    frame_block(flash + (size_t)(256 / BLOCK_STORED) * BLOCK_STORED);
}

static void fill_bootloader(const struct module_contents_options *options,
                            const struct family *family, struct chance *chance, uint8_t *flash)
{
    uint8_t *code memory_auto = make_code(chance, BOOTLOADER_CODE);
    memcpy(code + VERSION_LOGICAL, family->version, strlen(family->version) + 1);
    memset(code + KEY_LOGICAL, 0, sizeof tuya_key);
    if (family->encrypted)
        memcpy(code + KEY_LOGICAL, tuya_key, sizeof tuya_key);
    store_code(flash, code, BOOTLOADER_CODE, 0, family->encrypted);
    store_raw(flash, 0, family->first, sizeof family->first);
    if (family->marked)
        store_raw(flash, MARKER_LOGICAL, (const uint8_t *)bk7231_marker, sizeof bk7231_marker);
    if (!options->unknown_bootloader)
        meet_fingerprint(flash, family);
    store_trailer(flash + BOOTLOADER_TRAILER, "bootloader", family->version, flash,
                  BOOTLOADER_CODE);
}

static void put_text(uint8_t *code, uint32_t at, const char *text)
{
    memcpy(code + at, text, strlen(text) + 1);
}

static void fill_application(const struct module_contents_options *options,
                             const struct family *family, struct chance *chance, uint8_t *flash)
{
    uint8_t *code memory_auto = make_code(chance, APPLICATION_CODE);
    bool openbeken = options->kind == MODULE_CONTENTS_OPENBEKEN;
    memcpy(code, app_first, sizeof app_first);
    put_text(code, STRINGS_LOGICAL, openbeken ? family->openbeken_text : family->vendor_text);
    if (openbeken)
        put_text(code, STRINGS_LOGICAL + 64, family->group);
    store_code(flash + APPLICATION, code, APPLICATION_CODE, APPLICATION_LOGICAL, family->encrypted);
    store_raw(flash + APPLICATION, MARKER_LOGICAL, family->app_marker, sizeof family->app_marker);
    store_trailer(flash + APPLICATION_TRAILER, "app", openbeken ? "1.18.300" : "1.0.0",
                  flash + APPLICATION, APPLICATION_CODE);
}

/* Data regions --------------------------------------------------------------------------------- */

void module_contents_mac(uint64_t seed, uint8_t mac[6])
{
    struct chance chance = {.state = seed ^ UINT64_C(0x4D4143)};
    uint64_t value = chance_next(&chance);
    const uint8_t bytes[6] = {
        0xC8, 0x47, 0x8C, (uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16)};
    memcpy(mac, bytes, sizeof bytes);
}

static void fill_rf(const struct module_contents_options *options, const struct family *family,
                    struct chance *chance, uint8_t *flash)
{
    static const uint8_t item[8] = {0x02, 0x11, 0x11, 0x11, 0x06, 0x00, 0x00, 0x00};
    uint8_t *rf = flash + family->rf_address;
    for (uint32_t i = 8; i < family->rf_length; i++)
        rf[i] = (uint8_t)chance_next(chance);
    memcpy(rf, "TLV", 4);
    put32(rf + 4, family->rf_length);
    memcpy(rf + 0x1C, item, sizeof item);
    module_contents_mac(options->seed, rf + 0x24);
}

/* As OpenBeken's release images bring it: nothing but a startup command. */
static void fill_config(const struct family *family, uint8_t *flash)
{
    uint8_t *config = flash + family->config_address;
    memset(config, 0, 0xE00);
    static const char magic[3] = "CFG";
    memcpy(config, magic, sizeof magic);
    put32(config + 4, 5);
    static const char startup[] = "startDriver BL0942";
    memcpy(config + 0x5E0, startup, sizeof startup);
    config[3] = config_crc8(config + 4, 0xE00 - 4);
}

void module_contents_fill(const struct module_contents_options *options, uint8_t *flash,
                          size_t size)
{
    const struct family *family = &families[options->chip];
    if (options->chip == MODULE_BK7231M && options->kind != MODULE_CONTENTS_OPENBEKEN)
        family = &families[FAMILY_STOCK_M];
    struct chance chance = {.state = options->seed};
    memset(flash, 0xFF, size);
    bool blank = options->kind == MODULE_CONTENTS_BLANK;
    if (blank && options->chip != MODULE_BK7231T)
        return;
    fill_bootloader(options, family, &chance, flash);
    if (!blank)
        fill_application(options, family, &chance, flash);
    fill_rf(options, family, &chance, flash);
    if (options->kind == MODULE_CONTENTS_OPENBEKEN)
        fill_config(family, flash);
}

/* Judging -------------------------------------------------------------------------------------- */

static bool framed(const uint8_t *stored)
{
    bool erased = true;
    for (unsigned block = 0; block < CHECKED_BLOCKS; block++, stored += BLOCK_STORED) {
        uint16_t crc = module_contents_crc16(stored, BLOCK_DATA);
        bool blank = true;
        for (unsigned i = 0; i < BLOCK_STORED && blank; i++)
            blank = stored[i] == 0xFF;
        if (!blank && (stored[BLOCK_DATA] != crc >> 8 || stored[BLOCK_DATA + 1] != (crc & 0xFF)))
            return false;
        erased = erased && blank;
    }
    return !erased;
}

bool module_contents_runs(const uint8_t *flash, size_t size, enum module_chip chip)
{
    const struct family *family = &families[chip];
    if (size < APPLICATION_TRAILER || !framed(flash) || !framed(flash + APPLICATION))
        return false;
    return memcmp(flash + APPLICATION + MARKER, family->app_marker, sizeof family->app_marker) == 0;
}
