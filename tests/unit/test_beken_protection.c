/* SPDX-License-Identifier: MIT */
/* drivers/beken: the flash table and what to do about protection bits. */
#include "drivers/beken/flash_table.h"
#include "drivers/beken/protection.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_table_is_whole(void **unused)
{
    (void)unused;
    struct flash_chip chip;
    size_t rows = 0;
    while (flash_table_row(rows, &chip)) {
        struct flash_chip found;
        assert_true(flash_table_find(chip.id, &found));
        assert_string_equal(found.name, chip.name);
        assert_true(chip.size >= 65536 && (chip.size & (chip.size - 1)) == 0);
        assert_true(chip.sr_count == 0 || chip.read_opcodes[0] == 0x05);
        assert_true(chip.sr_count == 0 || chip.write_opcode == 0x01);
        assert_int_equal(chip.unprotected, 0);
        assert_false(chip.generic);
        rows++;
    }
    assert_int_equal(rows, 84);
}

static void test_known_rows(void **unused)
{
    (void)unused;
    struct flash_chip chip;
    assert_true(flash_table_find(0x1560EB, &chip));
    assert_string_equal(chip.name, "TH25Q16HB");
    assert_string_equal(chip.manufacturer, "TH");
    assert_int_equal(chip.size, 2 << 20);
    assert_int_equal(chip.sr_count, 2);
    assert_int_equal(chip.read_opcodes[1], 0x35);
    assert_int_equal(chip.protect_mask, 0x407C);
    assert_true(flash_table_find(0x1523C2, &chip));
    assert_int_equal(chip.read_opcodes[1], 0x15);
    assert_int_equal(chip.protect_mask, 0x103C);
    assert_true(flash_table_find(0x15701C, &chip));
    assert_int_equal(chip.sr_count, 1);
    assert_int_equal(chip.protect_mask, 0x003C);
    assert_true(flash_table_find(0x424B01, &chip));
    assert_int_equal(chip.sr_count, 0);
    assert_false(flash_table_find(0x123456, &chip));
}

static void test_unknown_and_silent(void **unused)
{
    (void)unused;
    struct flash_chip chip;
    flash_table_generic(0x15AABB, &chip);
    assert_true(chip.generic);
    assert_int_equal(chip.size, 2 << 20);
    assert_int_equal(chip.protect_mask, 0x407C);
    flash_table_generic(0x00AABB, &chip);
    assert_int_equal(chip.size, 0);
    flash_table_generic(0xFFAABB, &chip);
    assert_int_equal(chip.size, 0);
    assert_true(flash_id_is_silent(0));
    assert_true(flash_id_is_silent(0xFFFFFF));
    assert_false(flash_id_is_silent(0x1560EB));
}

static struct protection_advice advise(uint32_t id, uint32_t registers, unsigned writes)
{
    struct flash_chip chip;
    if (!flash_table_find(id, &chip))
        flash_table_generic(id, &chip);
    return protection_advise(&chip, registers, writes, false);
}

static void test_worked_example(void **unused)
{
    (void)unused;
    struct protection_advice advice = advise(0x1560EB, 0x007C, 0);
    assert_int_equal(advice.step, PROTECTION_WRITE);
    assert_int_equal(advice.value, 0);
    assert_int_equal(advice.value_size, 2);
    assert_int_equal(advise(0x1560EB, 0x0000, 1).step, PROTECTION_OPEN);
    /* Seen on real modules: nothing to do, so nothing is written. */
    assert_int_equal(advise(0x1560EB, 0x0080, 0).step, PROTECTION_OPEN);
    assert_int_equal(advise(0x1560EB, 0x0680, 0).step, PROTECTION_OPEN);
    assert_int_equal(advise(0x15701C, 0x40, 0).step, PROTECTION_OPEN);
}

static void test_other_bits_are_kept(void **unused)
{
    (void)unused;
    /* QE (bit 9), lock bits (11 to 13) and SRP stay; CMP (bit 14) goes. */
    struct protection_advice advice = advise(0x1560EB, 0x7AFC, 0);
    assert_int_equal(advice.step, PROTECTION_WRITE);
    assert_int_equal(advice.value, 0x3A80);
    /* CMP alone protects everything. */
    assert_int_equal(advise(0x1560EB, 0x4000, 0).step, PROTECTION_WRITE);
    advice = advise(0x15701C, 0xBC, 0);
    assert_int_equal(advice.value, 0x80);
    assert_int_equal(advice.value_size, 1);
}

static void test_busy_locked_and_unsure(void **unused)
{
    (void)unused;
    assert_int_equal(advise(0x1560EB, 0x0001, 1).step, PROTECTION_WAIT);
    assert_int_equal(advise(0x1560EB, 0x00FC, 3).step, PROTECTION_LOCKED);
    assert_int_equal(advise(0x15AABB, 0x007C, 0).step, PROTECTION_UNSURE);
    assert_int_equal(advise(0x15AABB, 0x0200, 0).step, PROTECTION_OPEN);
    assert_int_equal(advise(0x424B01, 0xFFFF, 0).step, PROTECTION_OPEN);
    struct flash_chip chip;
    flash_table_generic(0x15AABB, &chip);
    assert_int_equal(protection_advise(&chip, 0x7C, 0, true).step, PROTECTION_WRITE);
}

static void test_the_way_back(void **unused)
{
    (void)unused;
    struct flash_chip chip;
    assert_true(flash_table_find(0x1560EB, &chip));
    /* Found with 0x40FC; QE (bit 9) came on and SRP0 (bit 7) went off meanwhile: both stay so. */
    struct protection_advice advice = protection_advise_back(&chip, 0x0200, 0x40FC, 0);
    assert_int_equal(advice.step, PROTECTION_WRITE);
    assert_int_equal(advice.value, 0x427C);
    assert_int_equal(advice.value_size, 2);
    assert_int_equal(protection_advise_back(&chip, 0x427C, 0x40FC, 1).step, PROTECTION_RESTORED);
    assert_int_equal(protection_advise_back(&chip, 0x0201, 0x40FC, 1).step, PROTECTION_WAIT);
    assert_int_equal(protection_advise_back(&chip, 0x0200, 0x40FC, 3).step, PROTECTION_LOCKED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_is_whole),      cmocka_unit_test(test_known_rows),
        cmocka_unit_test(test_unknown_and_silent),  cmocka_unit_test(test_worked_example),
        cmocka_unit_test(test_other_bits_are_kept), cmocka_unit_test(test_busy_locked_and_unsure),
        cmocka_unit_test(test_the_way_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
