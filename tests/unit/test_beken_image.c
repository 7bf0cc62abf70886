/* SPDX-License-Identifier: MIT */
/* drivers/beken/image: files are built here from the rules, recognised, and then damaged. */
#include "drivers/beken/bytes.h"
#include "drivers/beken/code.h"
#include "drivers/beken/crc.h"
#include "drivers/beken/image.h"
#include "drivers/beken/obk_config.h"
#include "drivers/beken/startup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    N_QIO_SIZE = 0x129F70,
    T_QIO_SIZE = 0x100000,
    DUMP_SIZE = 0x200000,
    APP = 0x11000,
    APP_CODE = 0x4000, /* logical bytes of made-up code */
    COPY_LITERALS = 0x694,
    APP_END =
        APP_CODE - 39, /* the last byte that means anything stands in the last block but one */
    BUILT = 1785699515,
};

enum flavour { FLAVOUR_N, FLAVOUR_M, FLAVOUR_T };

static const uint8_t bootloader_start[][8] = {
    [FLAVOUR_N] = {0x69, 0x0C, 0xB5, 0x96, 0x35, 0xFF, 0x2A, 0x99},
    [FLAVOUR_M] = {0x48, 0x0B, 0x00, 0xEA, 0x14, 0xF0, 0x9F, 0xE5},
    [FLAVOUR_T] = {0x43, 0x09, 0xB5, 0x96, 0x35, 0xFF, 0x2A, 0x99},
};
static const uint8_t keyed_app_start[8] = {0x2F, 0x07, 0xB5, 0x94, 0x35, 0xFF, 0x2A, 0x9B};
static const uint8_t plain_app_start[8] = {0x0E, 0x00, 0x00, 0xEA, 0x14, 0xF0, 0x9F, 0xE5};
static const uint8_t t_app_mark[8] = {0x21, 0x17, 0x36, 0x9E, 0x20, 0xDF, 0x17, 0x9F};

static void frame(uint8_t *flash, const uint8_t *logical, size_t count)
{
    for (size_t i = 0; i < count / CODE_BLOCK_LOGICAL; i++) {
        uint8_t *block = flash + i * CODE_BLOCK_FLASH;
        memcpy(block, logical + i * CODE_BLOCK_LOGICAL, CODE_BLOCK_LOGICAL);
        uint16_t crc = beken_crc16(block, CODE_BLOCK_LOGICAL);
        block[32] = (uint8_t)(crc >> 8);
        block[33] = (uint8_t)crc;
    }
}

/* The start-up code's three addresses of the initialised variables, which end the app. */
static void put_copy_of_data(uint8_t *literals, uint32_t end)
{
    const uint32_t size = 0x55;
    bytes_put_le32(literals, end - size);
    bytes_put_le32(literals + 4, 0x400100);
    bytes_put_le32(literals + 8, 0x400100 + size);
}

/* Code with text at a logical offset; start replaces the first bytes after encryption. */
static void put_code(uint8_t *flash, uint32_t logical_base, bool keyed, const uint8_t start[8],
                     const char *version, size_t version_at, const uint8_t mark[8],
                     uint8_t *logical)
{
    for (size_t i = 0; i < APP_CODE; i++)
        logical[i] = (uint8_t)(i * 31 + i / 256);
    memcpy(logical + version_at, version, strlen(version) + 1);
    memcpy(logical + 0x100, "BK7231\0", 8);
    if (logical_base == CODE_APP_LOGICAL)
        put_copy_of_data(logical + COPY_LITERALS, CODE_APP_LOGICAL + APP_END);
    if (keyed)
        code_crypt(logical, APP_CODE, logical_base);
    memcpy(logical, start, 8);
    if (mark != NULL)
        memcpy(logical + 0x100, mark, 8);
    frame(flash, logical, APP_CODE);
}

static void put_trailer(uint8_t *flash, const char *name, const uint8_t *logical)
{
    uint8_t header[96] = {'R', 'B', 'L', 0};
    bytes_put_le32(header + 8, BUILT);
    (void)snprintf((char *)header + 12, 16, "%s", name);
    (void)snprintf((char *)header + 28, 24, "1.00");
    bytes_put_le32(header + 80, beken_fnv1a(BEKEN_FNV1A_START, logical, APP_CODE - 5));
    bytes_put_le32(header + 84, APP_CODE - 5);
    bytes_put_le32(header + 88, APP_CODE);
    bytes_put_le32(header + 92, beken_crc32(header, 92));
    frame(flash, header, sizeof header);
}

static void put_app(uint8_t *app, enum flavour flavour, size_t trailer)
{
    static uint8_t logical[APP_CODE];
    static const char *const versions[] = {
        [FLAVOUR_N] = "OpenBK7231N 1.18.300 Aug  2",
        [FLAVOUR_M] = "OpenBK7231N_1.18.300",
        [FLAVOUR_T] = "OpenBK7231T 1.18.302_berry Aug",
    };
    bool keyed = flavour != FLAVOUR_M;
    put_code(app, CODE_APP_LOGICAL, keyed, keyed ? keyed_app_start : plain_app_start,
             versions[flavour], 0x2001, flavour == FLAVOUR_T ? t_app_mark : NULL, logical);
    /* Names of the other chip's firmware are in every image and must not count. */
    if (trailer != 0)
        put_trailer(app + trailer, "app", logical);
}

/* Bootloader and app; app_trailer: file offset. Freed with free(). */
static uint8_t *make_qio(enum flavour flavour, size_t size, size_t app_trailer)
{
    static uint8_t logical[APP_CODE];
    uint8_t *file = malloc(size);
    assert_non_null(file);
    memset(file, 0xFF, size);
    put_code(file, 0, flavour != FLAVOUR_M, bootloader_start[flavour],
             flavour == FLAVOUR_T ? "BK7231S_1.0.5" : "BK7231N_1.0.1", 0x94,
             flavour == FLAVOUR_T ? t_app_mark : NULL, logical);
    put_trailer(file + 0x10F9A, "bootloader", logical);
    put_app(file + APP, flavour, app_trailer - APP);
    return file;
}

static struct image_info examine(const uint8_t *bytes, size_t length)
{
    struct image_info info;
    image_examine(bytes, length, &info);
    return info;
}

static void assert_valid(const struct image_info *info)
{
    if (!info->valid)
        fail_msg("not valid: %s", info->problem_count > 0 ? info->problems[0] : "no reason given");
}

static void test_n_qio(void **unused)
{
    (void)unused;
    uint8_t *file = make_qio(FLAVOUR_N, N_QIO_SIZE, 0x129F0A);
    struct image_info info = examine(file, N_QIO_SIZE);
    assert_valid(&info);
    assert_int_equal(info.kind, IMAGE_QIO);
    assert_int_equal(info.chip, BEKEN_CHIP_BK7231N);
    assert_int_equal(info.encryption, IMAGE_TUYA_KEY);
    assert_true(info.has_write_at);
    assert_int_equal(info.write_at, 0);
    assert_int_equal(info.skip, 0);
    assert_string_equal(info.version, "1.18.300");
    assert_string_equal(info.bootloader, "BK7231N_1.0.1");
    assert_int_equal(info.build_time_s, BUILT);
    free(file);
}

static void test_m_qio(void **unused)
{
    (void)unused;
    uint8_t *file = make_qio(FLAVOUR_M, N_QIO_SIZE, 0x129F0A);
    struct image_info info = examine(file, N_QIO_SIZE);
    assert_valid(&info);
    assert_int_equal(info.chip, BEKEN_CHIP_BK7231M);
    assert_int_equal(info.encryption, IMAGE_PLAIN);
    assert_string_equal(info.version, "1.18.300");
    free(file);
}

static void test_t_qio_leaves_its_bootloader_out(void **unused)
{
    (void)unused;
    uint8_t *file = make_qio(FLAVOUR_T, T_QIO_SIZE, 0xFFF9A);
    struct image_info info = examine(file, T_QIO_SIZE);
    assert_valid(&info);
    assert_int_equal(info.kind, IMAGE_QIO);
    assert_int_equal(info.chip, BEKEN_CHIP_BK7231T);
    assert_int_equal(info.write_at, APP);
    assert_int_equal(info.skip, APP);
    assert_string_equal(info.version, "1.18.302_berry");
    free(file);
}

static void test_ua(void **unused)
{
    (void)unused;
    size_t size = APP_CODE / 32 * 34;
    for (int flavour = FLAVOUR_N; flavour <= FLAVOUR_T; flavour++) {
        uint8_t *file = calloc(1, size);
        put_app(file, (enum flavour)flavour, 0);
        struct image_info info = examine(file, size);
        assert_valid(&info);
        assert_int_equal(info.kind, IMAGE_UA);
        assert_int_equal(info.write_at, APP);
        assert_int_equal(info.chip, flavour == FLAVOUR_N   ? BEKEN_CHIP_BK7231N
                                    : flavour == FLAVOUR_M ? BEKEN_CHIP_BK7231M
                                                           : BEKEN_CHIP_BK7231T);
        assert_string_equal(info.warning, "");
        /* Cut short in mid block; then one flipped bit. */
        info = examine(file, size - 7);
        assert_false(info.valid);
        file[size / 2] ^= 0x10;
        info = examine(file, size);
        assert_false(info.valid);
        assert_non_null(strstr(info.problems[0], "CRC"));
        free(file);
    }
}

/* Cut off where a block ends, every block is good: only the app's own word tells. */
static void test_ua_cut_at_a_block(void **unused)
{
    (void)unused;
    const size_t size = APP_CODE / 32 * 34;
    for (int flavour = FLAVOUR_N; flavour <= FLAVOUR_T; flavour++) {
        uint8_t *file = calloc(1, size);
        put_app(file, (enum flavour)flavour, 0);
        for (size_t blocks = 100; blocks <= APP_CODE / 32; blocks++) {
            struct image_info info = examine(file, blocks * 34);
            bool whole = blocks * 32 >= APP_END;
            if (info.valid != whole)
                fail_msg("%zu of %d blocks: %s", blocks, APP_CODE / 32,
                         info.valid ? "valid" : info.problems[0]);
            if (!whole && strstr(info.problems[0], "cut short") == NULL)
                fail_msg("%zu blocks: %s", blocks, info.problems[0]);
        }
        free(file);
    }
}

/* Nothing says the length: what ends in filler passes with a warning, the rest needs --force. */
static void test_ua_that_does_not_tell_its_length(void **unused)
{
    (void)unused;
    const size_t size = APP_CODE / 32 * 34;
    uint8_t *file = calloc(1, size);
    static uint8_t logical[APP_CODE];
    put_app(file, FLAVOUR_M, 0);
    (void)code_deframe(file, size, logical, sizeof logical);
    memset(logical + COPY_LITERALS, 0, 12);
    frame(file, logical, sizeof logical);
    struct image_info info = examine(file, size);
    assert_false(info.valid);
    assert_non_null(strstr(info.problems[0], "may be cut short"));
    memset(logical + sizeof logical - 16, 0xFF, 16);
    frame(file, logical, sizeof logical);
    info = examine(file, size);
    assert_valid(&info);
    assert_non_null(strstr(info.warning, "filler"));
    /* The same with whole unused blocks behind it. */
    memset(file + size - 34, 0xFF, 34);
    info = examine(file, size);
    assert_valid(&info);
    assert_non_null(strstr(info.warning, "filler"));
    free(file);
}

/* Literals that only look alike are no copy of data. */
static void test_start_up_literals(void **unused)
{
    (void)unused;
    static const struct {
        uint32_t words[3];
        uint32_t end; /* 0: none */
    } table[] = {
        {{0xCE06C, 0x400020, 0x403F0D}, 0xD1F59}, /* OpenBK7231T 1.18.300 */
        {{0xD8664, 0x400100, 0x401E0D}, 0xDA371}, /* OpenBK7231N 1.18.300 */
        {{0xC5188, 0x402110, 0x403878}, 0xC68F0}, /* OpenBK7238 1.18.300 */
        {{0xCE06C, 0x403F0D, 0x400020}, 0},       /* wrong order */
        {{0xCE06C, 0x400020, 0x400020}, 0},       /* nothing to copy */
        {{0xCE06E, 0x400020, 0x403F0D}, 0},       /* not aligned */
        {{0x0FFFC, 0x400020, 0x403F0D}, 0},       /* not in the app */
        {{0x1E1000, 0x400020, 0x403F0D}, 0},      /* would end behind the flash */
        {{0xCE06C, 0x3FFFFC, 0x403F0D}, 0},       /* no RAM there */
        {{0xCE06C, 0x400020, 0x900000}, 0},       {{0xFFFFFFFC, 0xFFFFFFFC, 0xFFFFFFFF}, 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        uint8_t code[0x100] = {0};
        uint32_t end = 0;
        for (size_t word = 0; word < 3; word++)
            bytes_put_le32(code + sizeof code - 12 + 4 * word, table[i].words[word]);
        bool found = startup_find_end(code, sizeof code, &end);
        if (found != (table[i].end != 0) || (found && end != table[i].end))
            fail_msg("row %zu: %s 0x%X", i, found ? "found" : "not found", end);
        assert_false(startup_find_end(code, sizeof code - 1, &end));
    }
}

static void test_t_bootloader_with_n_app_is_a_problem(void **unused)
{
    (void)unused;
    uint8_t *file = make_qio(FLAVOUR_T, N_QIO_SIZE, 0x129F0A);
    put_app(file + APP, FLAVOUR_N, 0x129F0A - APP);
    struct image_info info = examine(file, N_QIO_SIZE);
    assert_false(info.valid);
    assert_int_equal(info.chip, BEKEN_CHIP_BK7231N);
    assert_non_null(strstr(info.problems[0], "BK7231T's"));
    free(file);
}

/* Each kind of damage is seen, and each by one problem at least. */
static void test_damage(void **unused)
{
    (void)unused;
    static const size_t places[] = {0x40, 0x3000, APP + 0x200, APP + 0x4000, 0x10FA0, 0x129F20};
    uint8_t *file = make_qio(FLAVOUR_N, N_QIO_SIZE, 0x129F0A);
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        file[places[i]] ^= 0x04;
        if (examine(file, N_QIO_SIZE).valid)
            fail_msg("a flipped bit at 0x%zX was not seen", places[i]);
        file[places[i]] ^= 0x04;
    }
    assert_true(examine(file, N_QIO_SIZE).valid);
    /* A block exchanged for another good one: only the hash tells. */
    memcpy(file + APP + 34 * 100, file + APP + 34 * 101, 34);
    struct image_info info = examine(file, N_QIO_SIZE);
    assert_false(info.valid);
    assert_non_null(strstr(info.problems[0], "hash"));
    free(file);
    /* Downloads that broke off. */
    file = make_qio(FLAVOUR_N, N_QIO_SIZE, 0x129F0A);
    static const size_t lengths[] = {100, 0x5000, 0x11000, 0x11200, 0x80000, 0x129F00};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
        if (examine(file, lengths[i]).valid)
            fail_msg("a file of 0x%zX bytes was taken for whole", lengths[i]);
    free(file);
}

static uint8_t *make_dump(enum flavour flavour)
{
    uint8_t *dump = make_qio(flavour, DUMP_SIZE, 0x129F0A);
    memcpy(dump + (flavour == FLAVOUR_T ? 0x1E0000 : 0x1D0000), "TLV", 4);
    return dump;
}

static void test_dumps(void **unused)
{
    (void)unused;
    uint8_t *dump = make_dump(FLAVOUR_N);
    struct image_info info = examine(dump, DUMP_SIZE);
    assert_valid(&info);
    assert_int_equal(info.kind, IMAGE_DUMP);
    assert_int_equal(info.chip, BEKEN_CHIP_BK7231N);
    assert_int_equal(info.write_at, 0);
    assert_false(info.rotated);
    memset(dump, 0xFF, DUMP_SIZE);
    info = examine(dump, DUMP_SIZE);
    assert_true(info.blank);
    assert_false(info.valid);
    memset(dump, 0, DUMP_SIZE);
    assert_true(examine(dump, DUMP_SIZE).blank);
    free(dump);
}

static void test_rotated_dump(void **unused)
{
    (void)unused;
    uint8_t *dump = make_dump(FLAVOUR_T);
    uint8_t *rotated = malloc(DUMP_SIZE);
    memcpy(rotated, dump + APP, DUMP_SIZE - APP);
    memcpy(rotated + DUMP_SIZE - APP, dump, APP);
    struct image_info info = examine(rotated, DUMP_SIZE);
    assert_valid(&info);
    assert_int_equal(info.kind, IMAGE_DUMP);
    assert_int_equal(info.chip, BEKEN_CHIP_BK7231T);
    assert_true(info.rotated);
    image_unrotate(rotated, DUMP_SIZE);
    assert_memory_equal(rotated, dump, DUMP_SIZE);
    free(rotated);
    free(dump);
}

/* A package with a body of 500 bytes; returns its length. */
static size_t make_rbl(uint8_t *file, const char *version)
{
    const size_t body = 500;
    memset(file, 0, 96);
    memcpy(file, "RBL", 4);
    bytes_put_le32(file + 4, 0x102);
    bytes_put_le32(file + 8, BUILT);
    memcpy(file + 12, "app", 4);
    (void)snprintf((char *)file + 28, 24, "%s", version);
    for (size_t i = 0; i < body; i++)
        file[96 + i] = (uint8_t)(i * 13);
    bytes_put_le32(file + 76, beken_crc32(file + 96, body));
    bytes_put_le32(file + 88, (uint32_t)body);
    bytes_put_le32(file + 92, beken_crc32(file, 92));
    return 96 + body;
}

static void put_be32(uint8_t *bytes, uint32_t value)
{
    bytes[0] = (uint8_t)(value >> 24);
    bytes[1] = (uint8_t)(value >> 16);
    bytes[2] = (uint8_t)(value >> 8);
    bytes[3] = (uint8_t)value;
}

static uint32_t byte_sum(const uint8_t *bytes, size_t length)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < length; i++)
        sum += bytes[i];
    return sum;
}

static void test_over_the_air_packages(void **unused)
{
    (void)unused;
    uint8_t file[1024];
    size_t length = make_rbl(file, "25.05.28-bk7231n");
    struct image_info info = examine(file, length);
    assert_valid(&info);
    assert_int_equal(info.kind, IMAGE_RBL);
    assert_int_equal(info.chip, BEKEN_CHIP_BK7231N);
    assert_true(info.ota_only);
    assert_false(info.has_write_at);
    assert_string_equal(info.version, "25.05.28-bk7231n");
    file[200] ^= 1;
    assert_false(examine(file, length).valid);
    file[200] ^= 1;
    file[30] ^= 1;
    assert_false(examine(file, length).valid);
    assert_false(examine(file, 300).valid);

    uint8_t wrapped[1024 + 32] = {0x55, 0xAA, 0x55, 0xAA};
    length = make_rbl(wrapped + 32, "1.2.3-bk7231t");
    (void)snprintf((char *)wrapped + 4, 12, "1.18.219");
    put_be32(wrapped + 16, (uint32_t)length);
    put_be32(wrapped + 20, byte_sum(wrapped + 32, length));
    put_be32(wrapped + 24, byte_sum(wrapped, 24));
    static const uint8_t end[] = {0xAA, 0x55, 0xAA, 0x55};
    memcpy(wrapped + 28, end, 4);
    info = examine(wrapped, 32 + length);
    assert_valid(&info);
    assert_int_equal(info.kind, IMAGE_UG);
    assert_int_equal(info.chip, BEKEN_CHIP_BK7231T);
    assert_string_equal(info.version, "1.18.219");
    assert_true(info.ota_only);
    wrapped[500] ^= 1;
    assert_false(examine(wrapped, 32 + length).valid);
    wrapped[500] ^= 1;
    wrapped[9] ^= 1;
    assert_false(examine(wrapped, 32 + length).valid);
    assert_false(examine(wrapped, 40).valid);
}

static void test_configuration(void **unused)
{
    (void)unused;
    uint8_t config[4096];
    memset(config, 0xFF, sizeof config);
    FILE *file = fopen(SOURCE_DIR "/tests/data/obk_config_example.bin", "rb");
    assert_non_null(file);
    assert_int_equal(fread(config, 1, OBK_CONFIG_SIZE, file), OBK_CONFIG_SIZE);
    (void)fclose(file);
    struct image_info info = examine(config, OBK_CONFIG_SIZE);
    assert_valid(&info);
    assert_int_equal(info.kind, IMAGE_OBK_CONFIG);
    assert_false(info.has_write_at);
    assert_string_equal(info.version, "5");
    assert_true(examine(config, 4096).valid);
    assert_false(examine(config, 3000).valid);
    assert_int_equal(beken_crc32_wire(config, 4096), 0xB1A5ADD6);
    config[0x14] ^= 0x20;
    assert_false(examine(config, OBK_CONFIG_SIZE).valid);
}

static void test_what_is_no_firmware(void **unused)
{
    (void)unused;
    static const uint8_t uf2[512] = {'U', 'F', '2', '\n'};
    static const uint8_t tlv[4096] = {'T', 'L', 'V', 0};
    static uint8_t text[40000];
    memset(text, 'x', sizeof text);
    struct image_info info = examine(uf2, sizeof uf2);
    assert_int_equal(info.kind, IMAGE_UNKNOWN);
    assert_non_null(strstr(info.problems[0], "UF2"));
    info = examine(tlv, sizeof tlv);
    assert_int_equal(info.kind, IMAGE_UNKNOWN);
    assert_non_null(strstr(info.problems[0], "MAC"));
    info = examine(text, sizeof text);
    assert_int_equal(info.kind, IMAGE_UNKNOWN);
    assert_int_equal(info.problem_count, 1);
    info = examine(text, 0);
    assert_false(info.valid);
    /* Framed code that no mark fits: another key. */
    static uint8_t logical[4096];
    frame(text, logical, sizeof logical);
    info = examine(text, sizeof logical / 32 * 34);
    assert_int_equal(info.kind, IMAGE_UNKNOWN);
    assert_non_null(strstr(info.problems[0], "key"));
}

static void test_rf_and_key_block(void **unused)
{
    (void)unused;
    uint8_t sector[4096];
    uint8_t mac[6];
    memset(sector, 0xFF, sizeof sector);
    assert_false(image_rf_mac(sector, sizeof sector, mac));
    memcpy(sector, "TLV", 4);
    assert_false(image_rf_mac(sector, sizeof sector, mac)); /* a MAC of FF is none */
    memcpy(sector + 0x24, "\xC8\x47\x8C\x01\x02\x03", 6);
    assert_true(image_rf_mac(sector, sizeof sector, mac));
    assert_int_equal(mac[5], 3);
    static const uint8_t needle[16] = {0x46, 0xDC, 0xED, 0x0E, 0x67, 0x2F, 0x3B, 0x70,
                                       0xAE, 0x12, 0x76, 0xA3, 0xF8, 0x71, 0x2E, 0x03};
    assert_false(image_is_tuya_key_block(sector, sizeof sector));
    memcpy(sector + 32, needle, 16);
    memcpy(sector + 48, needle, 16);
    assert_true(image_is_tuya_key_block(sector, sizeof sector));
    assert_false(image_is_tuya_key_block(sector, 63));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_n_qio),
        cmocka_unit_test(test_m_qio),
        cmocka_unit_test(test_t_qio_leaves_its_bootloader_out),
        cmocka_unit_test(test_ua),
        cmocka_unit_test(test_ua_cut_at_a_block),
        cmocka_unit_test(test_ua_that_does_not_tell_its_length),
        cmocka_unit_test(test_start_up_literals),
        cmocka_unit_test(test_t_bootloader_with_n_app_is_a_problem),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_dumps),
        cmocka_unit_test(test_rotated_dump),
        cmocka_unit_test(test_over_the_air_packages),
        cmocka_unit_test(test_configuration),
        cmocka_unit_test(test_what_is_no_firmware),
        cmocka_unit_test(test_rf_and_key_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
