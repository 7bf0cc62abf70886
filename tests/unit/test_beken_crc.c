/* SPDX-License-Identifier: MIT */
/* drivers/beken: checksums, code framing and key stream, by published vectors. */
#include "drivers/beken/bytes.h"
#include "drivers/beken/code.h"
#include "drivers/beken/crc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NINE ((const uint8_t *)"123456789")

static uint8_t *filled(size_t length, int value)
{
    uint8_t *bytes = malloc(length + 1);
    assert_non_null(bytes);
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)(value < 0 ? i : (size_t)value);
    return bytes;
}

static void test_wire_crc32(void **unused)
{
    (void)unused;
    static const struct {
        size_t length;
        int value; /* -1: counting up */
        uint32_t wire, zlib;
    } table[] = {
        {0, 0, 0xFFFFFFFF, 0x00000000},          {1, 0x00, 0x2DFD1072, 0xD202EF8D},
        {1, 0xFF, 0x00FFFFFF, 0xFF000000},       {256, 0xFF, 0x015757DE, 0xFEA8A821},
        {256, 0x00, 0xF2697AA7, 0x0D968558},     {256, -1, 0xD6FA738C, 0x29058C73},
        {257, 0x00, 0x48405F31, 0xB7BFA0CE},     {4096, 0xFF, 0x0EAB98F5, 0xF154670A},
        {4096, 0x00, 0x38E3FFEE, 0xC71C0011},    {4096, -1, 0x5D6EDF7D, 0xA2912082},
        {65536, 0xFF, 0x215481B1, 0xDEAB7E4E},   {65536, -1, 0x4EE2195E, 0xB11DE6A1},
        {2097152, 0xFF, 0x65BEF61A, 0x9A4109E5}, {2097152, 0x00, 0x72767881, 0x8D89877E},
        {0x11000, 0xFF, 0x7D45EEEB, 0x82BA1114},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        uint8_t *bytes = filled(table[i].length, table[i].value);
        assert_int_equal(beken_crc32_wire(bytes, table[i].length), table[i].wire);
        assert_int_equal(beken_crc32(bytes, table[i].length), table[i].zlib);
        free(bytes);
    }
    assert_int_equal(beken_crc32_wire(NINE, 9), 0x340BC6D9);
}

static void test_framing_crc16(void **unused)
{
    (void)unused;
    uint8_t *ones = filled(32, 0xFF);
    uint8_t *zeros = filled(32, 0);
    assert_int_equal(beken_crc16(ones, 32), 0x000C);
    assert_int_equal(beken_crc16(zeros, 32), 0x8029);
    assert_int_equal(beken_crc16(NINE, 9), 0xAEE7);
    free(ones);
    free(zeros);
}

static void test_config_crc8(void **unused)
{
    (void)unused;
    static const uint8_t one = 0x01;
    static const uint8_t last = 0xFF;
    uint8_t *all = filled(256, -1);
    uint8_t *ones = filled(3580, 0xFF);
    assert_int_equal(beken_crc8_config(&one, 1), 0x30);
    assert_int_equal(beken_crc8_config(&last, 1), 0xEF);
    assert_int_equal(beken_crc8_config(NINE, 9), 0x63);
    assert_int_equal(beken_crc8_config(all, 256), 0xDB);
    assert_int_equal(beken_crc8_config(ones, 3580), 0x31);
    free(all);
    free(ones);
}

static void test_key_stream(void **unused)
{
    (void)unused;
    assert_int_equal(code_key_stream(0), 0x7CB50721);
    assert_int_equal(code_key_stream(4), 0x7CB50F21);
    assert_int_equal(code_key_stream(0x94), 0x7CB42F21);
    assert_int_equal(code_key_stream(0x10000), 0x7EB50721);
    assert_int_equal(code_key_stream(0x10004), 0x7EB50F21);
}

static void check_block(uint32_t logical, const uint8_t wanted[CODE_BLOCK_FLASH])
{
    uint8_t block[CODE_BLOCK_FLASH];
    for (unsigned i = 0; i < CODE_BLOCK_LOGICAL; i++)
        block[i] = (uint8_t)i;
    code_crypt(block, CODE_BLOCK_LOGICAL, logical);
    assert_memory_equal(block, wanted, CODE_BLOCK_LOGICAL);
    assert_int_equal(code_check_block(wanted), CODE_BLOCK_GOOD);
    code_crypt(block, CODE_BLOCK_LOGICAL, logical);
    assert_int_equal(block[31], 31);
}

static void test_worked_blocks(void **unused)
{
    (void)unused;
    static const uint8_t bootloader[] = {0x21, 0x06, 0xB7, 0x7F, 0x25, 0x0A, 0xB3, 0x7B, 0x29,
                                         0x1E, 0xBF, 0x77, 0x2D, 0x12, 0xBB, 0x73, 0x31, 0x36,
                                         0xA7, 0x6F, 0x35, 0x3A, 0xA3, 0x6B, 0x39, 0x2E, 0xAF,
                                         0x67, 0x3D, 0x22, 0xAB, 0x63, 0xA2, 0xD3};
    static const uint8_t app[] = {0x21, 0x06, 0xB7, 0x7D, 0x25, 0x0A, 0xB3, 0x79, 0x29,
                                  0x1E, 0xBF, 0x75, 0x2D, 0x12, 0xBB, 0x71, 0x31, 0x36,
                                  0xA7, 0x6D, 0x35, 0x3A, 0xA3, 0x69, 0x39, 0x2E, 0xAF,
                                  0x65, 0x3D, 0x22, 0xAB, 0x61, 0xC5, 0x42};
    check_block(0, bootloader);
    check_block(CODE_APP_LOGICAL, app);
    uint8_t bad[sizeof app];
    memcpy(bad, app, sizeof app);
    bad[7] ^= 1;
    assert_int_equal(code_check_block(bad), CODE_BLOCK_BAD);
    memset(bad, 0xFF, sizeof bad);
    assert_int_equal(code_check_block(bad), CODE_BLOCK_UNUSED);
}

static void test_deframe(void **unused)
{
    (void)unused;
    uint8_t *flash = filled(80, -1);
    uint8_t logical[100];
    memset(logical, 0xEE, sizeof logical);
    assert_int_equal(code_deframe(flash, 80, logical, sizeof logical), 76);
    assert_int_equal(logical[31], 31);
    assert_int_equal(logical[32], 34);
    assert_int_equal(logical[64], 68);
    assert_int_equal(logical[76], 0xEE);
    assert_int_equal(code_deframe(flash, 80, logical, 40), 40);
    free(flash);
}

static void test_fnv1a(void **unused)
{
    (void)unused;
    assert_int_equal(beken_fnv1a(BEKEN_FNV1A_START, NINE, 0), 0x811C9DC5);
    assert_int_equal(beken_fnv1a(BEKEN_FNV1A_START, (const uint8_t *)"a", 1), 0xE40C292C);
    assert_int_equal(beken_fnv1a(BEKEN_FNV1A_START, (const uint8_t *)"foobar", 6), 0xBF9CF968);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wire_crc32),    cmocka_unit_test(test_framing_crc16),
        cmocka_unit_test(test_config_crc8),   cmocka_unit_test(test_key_stream),
        cmocka_unit_test(test_worked_blocks), cmocka_unit_test(test_deframe),
        cmocka_unit_test(test_fnv1a),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
