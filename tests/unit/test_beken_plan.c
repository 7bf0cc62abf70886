/* SPDX-License-Identifier: MIT */
/* drivers/beken: guards, the list of sectors, and how fast a chip may be fed. */
#include "drivers/beken/pace.h"
#include "drivers/beken/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { FLASH_SIZE = 0x200000 };

static struct beken_module module_of(enum beken_chip chip)
{
    return (struct beken_module){
        .chip = chip,
        .protocol = beken_chip_layout(chip)->protocol,
        .flash_size = FLASH_SIZE,
        .key = chip == BEKEN_CHIP_BK7231M ? BEKEN_KEY_NONE : BEKEN_KEY_TUYA,
    };
}

static struct image_info image_of(enum image_kind kind, enum beken_chip chip, size_t size)
{
    struct image_info info = {
        .kind = kind,
        .chip = chip,
        .encryption = chip == BEKEN_CHIP_BK7231M ? IMAGE_PLAIN : IMAGE_TUYA_KEY,
        .size = size,
        .has_write_at = kind != IMAGE_OBK_CONFIG,
        .valid = true,
    };
    if (kind == IMAGE_UA)
        info.write_at = 0x11000;
    if (kind == IMAGE_QIO)
        info.skip = info.write_at = beken_chip_layout(chip)->guarded_below;
    return info;
}

static enum status check(enum beken_chip module_chip, const struct image_info *image,
                         const struct plan_rules *rules, struct plan_place *place,
                         struct error *error)
{
    struct beken_module module = module_of(module_chip);
    return plan_check_image(&module, image, rules, place, error);
}

static void assert_refused(enum beken_chip module_chip, const struct image_info *image,
                           const struct plan_rules *rules, const char *word)
{
    struct error error = {""};
    struct plan_place place;
    assert_int_equal(check(module_chip, image, rules, &place, &error), STATUS_REFUSED);
    if (strstr(error.text, word) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", error.text, word);
}

static const struct plan_rules no_rules = {.force = false};

static void test_good_images_find_their_place(void **unused)
{
    (void)unused;
    struct plan_place place;
    struct image_info image = image_of(IMAGE_QIO, BEKEN_CHIP_BK7231N, 0x129F70);
    assert_int_equal(check(BEKEN_CHIP_BK7231N, &image, &no_rules, &place, NULL), STATUS_OK);
    assert_int_equal(place.address, 0);
    image = image_of(IMAGE_QIO, BEKEN_CHIP_BK7231T, 0x100000);
    assert_int_equal(check(BEKEN_CHIP_BK7231T, &image, &no_rules, &place, NULL), STATUS_OK);
    assert_int_equal(place.address, 0x11000);
    assert_int_equal(place.skip, 0x11000);
    image = image_of(IMAGE_UA, BEKEN_CHIP_BK7231T, 0xD0000);
    assert_int_equal(check(BEKEN_CHIP_BK7231T, &image, &no_rules, &place, NULL), STATUS_OK);
    assert_int_equal(place.skip, 0);
    image = image_of(IMAGE_OBK_CONFIG, BEKEN_CHIP_UNKNOWN, 3584);
    assert_int_equal(check(BEKEN_CHIP_BK7231N, &image, &no_rules, &place, NULL), STATUS_OK);
    assert_int_equal(place.address, 0x1D1000);
    assert_int_equal(check(BEKEN_CHIP_BK7231T, &image, &no_rules, &place, NULL), STATUS_OK);
    assert_int_equal(place.address, 0x1E1000);
    /* A whole dump, with the T's bootloader and the RF sector left to plan_create. */
    image = image_of(IMAGE_DUMP, BEKEN_CHIP_BK7231T, FLASH_SIZE);
    assert_int_equal(check(BEKEN_CHIP_BK7231T, &image, &no_rules, &place, NULL), STATUS_OK);
    /* A QIO that was lengthened by a configuration covers the RF sector. */
    image = image_of(IMAGE_QIO, BEKEN_CHIP_BK7231N, 0x1D2000);
    assert_int_equal(check(BEKEN_CHIP_BK7231N, &image, &no_rules, &place, NULL), STATUS_OK);
}

static void test_wrong_chip_key_and_file(void **unused)
{
    (void)unused;
    struct image_info t = image_of(IMAGE_UA, BEKEN_CHIP_BK7231T, 0xD0000);
    struct image_info n = image_of(IMAGE_QIO, BEKEN_CHIP_BK7231N, 0x129F70);
    struct image_info m = image_of(IMAGE_QIO, BEKEN_CHIP_BK7231M, 0x129F70);
    assert_refused(BEKEN_CHIP_BK7231N, &t, &no_rules, "BK7231T");
    assert_refused(BEKEN_CHIP_BK7231T, &n, &no_rules, "BK7231N");
    assert_refused(BEKEN_CHIP_BK7231M, &n, &no_rules, "no key");
    assert_refused(BEKEN_CHIP_BK7231N, &m, &no_rules, "unencrypted");
    assert_refused(BEKEN_CHIP_UNKNOWN, &n, &no_rules, "--chip");
    struct beken_module module = module_of(BEKEN_CHIP_BK7231N);
    module.key = BEKEN_KEY_OTHER;
    struct plan_place place;
    assert_int_equal(plan_check_image(&module, &n, &no_rules, &place, NULL), STATUS_REFUSED);
    /* --force does not open these guards, the confirmation does. */
    const struct plan_rules force = {.force = true};
    const struct plan_rules confirmed = {.open_guards = true};
    assert_refused(BEKEN_CHIP_BK7231N, &t, &force, "BK7231T");
    assert_int_equal(check(BEKEN_CHIP_BK7231N, &t, &confirmed, &place, NULL), STATUS_OK);

    struct image_info bad = n;
    bad.valid = false;
    bad.problem_count = 1;
    memcpy(bad.problems[0], "Broken.", 8);
    assert_refused(BEKEN_CHIP_BK7231N, &bad, &no_rules, "Broken.");
    assert_int_equal(check(BEKEN_CHIP_BK7231N, &bad, &force, &place, NULL), STATUS_OK);
    struct image_info package = {.kind = IMAGE_UG, .ota_only = true, .valid = true, .size = 1000};
    assert_refused(BEKEN_CHIP_BK7231N, &package, &force, "over-the-air");
}

static void test_wrong_place(void **unused)
{
    (void)unused;
    struct image_info ua = image_of(IMAGE_UA, BEKEN_CHIP_BK7231N, 0xD0000);
    struct image_info t = image_of(IMAGE_UA, BEKEN_CHIP_BK7231T, 0xD0000);
    struct plan_rules rules = {.has_address = true, .address = 0};
    assert_refused(BEKEN_CHIP_BK7231N, &ua, &rules, "0x11000");
    rules.address = 0x11080;
    assert_refused(BEKEN_CHIP_BK7231N, &ua, &rules, "sector");
    /* On a T the bootloader is guarded even from --force, and through the wrap as well. */
    rules = (struct plan_rules){.has_address = true, .address = 0, .force = true};
    assert_refused(BEKEN_CHIP_BK7231T, &t, &rules, "bootloader");
    rules.address = 0x10000;
    assert_refused(BEKEN_CHIP_BK7231T, &t, &rules, "bootloader");
    rules.address = FLASH_SIZE;
    assert_refused(BEKEN_CHIP_BK7231T, &t, &rules, "wrap");
    rules.address = 0xFFFFF000;
    assert_refused(BEKEN_CHIP_BK7231T, &t, &rules, "wrap");
    rules.address = 0x150000;
    assert_refused(BEKEN_CHIP_BK7231T, &t, &rules, "wrap");
    struct image_info unknown = {.kind = IMAGE_UNKNOWN, .size = 4096, .problem_count = 1};
    rules = (struct plan_rules){.force = true};
    assert_refused(BEKEN_CHIP_BK7231N, &unknown, &rules, "--address");
    rules = (struct plan_rules){.force = true, .has_address = true, .address = 0x1D0000};
    assert_refused(BEKEN_CHIP_BK7231N, &unknown, &rules, "MAC");
}

static void test_ranges(void **unused)
{
    (void)unused;
    struct beken_module n = module_of(BEKEN_CHIP_BK7231N);
    struct beken_module t = module_of(BEKEN_CHIP_BK7231T);
    struct beken_module u = module_of(BEKEN_CHIP_BK7231U);
    assert_int_equal(plan_check_range(&n, 0, 0x1D0000, false, NULL), STATUS_OK);
    assert_int_equal(plan_check_range(&n, 0, 0x1D0001, false, NULL), STATUS_REFUSED);
    assert_int_equal(plan_check_range(&n, 0x1D1000, 0x1000, false, NULL), STATUS_OK);
    assert_int_equal(plan_check_range(&n, 0x1D0FFF, 1, false, NULL), STATUS_REFUSED);
    assert_int_equal(plan_check_range(&t, 0x11000, 0x1000, false, NULL), STATUS_OK);
    assert_int_equal(plan_check_range(&t, 0x10FFF, 1, false, NULL), STATUS_REFUSED);
    assert_int_equal(plan_check_range(&u, 0x10000, 0x1000, false, NULL), STATUS_REFUSED);
    assert_int_equal(plan_check_range(&t, 0x1E0000, 0x1000, false, NULL), STATUS_REFUSED);
    assert_int_equal(plan_check_range(&t, 0x1D0000, 0x1000, false, NULL), STATUS_OK);
    assert_int_equal(plan_check_range(&n, 0x1FF000, 0x2000, false, NULL), STATUS_REFUSED);
    assert_int_equal(plan_check_range(&n, 0xFFFFF000, 0x2000, true, NULL), STATUS_REFUSED);
    assert_int_equal(plan_check_range(&t, 0, 0x1000, true, NULL), STATUS_OK);
}

static void test_sectors(void **unused)
{
    (void)unused;
    struct beken_module n = module_of(BEKEN_CHIP_BK7231N);
    uint8_t *flash = malloc(FLASH_SIZE);
    uint8_t *file = malloc(0x5100);
    memset(flash, 0x11, FLASH_SIZE);
    memset(file, 0x22, 0x5100);
    memset(file + 0x1000, 0xFF, 0x1000);
    memset(flash + 0x1CF000, 0x22, 0x1000);
    memset(flash + 0x1D2000, 0xFF, 0x1000);
    /* 0x1CE000: differs; 0x1CF000: blank wanted; 0x1D0000: RF; 0x1D2000: flash blank. */
    struct plan *plan = plan_create(&n, 0x1CE000, file, 0x5100, false, false);
    assert_int_equal(plan_count(plan), 6);
    assert_int_equal(plan_sector(plan, 2)->action, PLAN_LEAVE);
    assert_true(plan_sector(plan, 1)->wants_blank);
    assert_int_equal(plan_sector(plan, 5)->wanted[0xFF], 0x22);
    assert_int_equal(plan_sector(plan, 5)->wanted[0x100], 0xFF);
    plan_compare(plan, flash, FLASH_SIZE);
    assert_int_equal(plan_sector(plan, 0)->action, PLAN_WRITE);
    assert_int_equal(plan_sector(plan, 2)->action, PLAN_LEAVE);
    assert_true(plan_sector(plan, 4)->is_blank);
    assert_int_equal(plan_count_action(plan, PLAN_WRITE), 5);
    memset(flash + 0x1CE000, 0x22, 0x6000);
    memset(flash + 0x1CF000, 0xFF, 0x1000);
    memset(flash + 0x1D3100, 0xFF, 0xF00);
    plan_compare(plan, flash, FLASH_SIZE);
    /* RF data that stands elsewhere is found by its content. */
    memcpy(flash + 0x1CE000, "TLV", 4);
    plan_compare(plan, flash, FLASH_SIZE);
    assert_int_equal(plan_sector(plan, 0)->action, PLAN_LEAVE);
    plan_free(plan);
    /* With the RF sector, as restore --full wants it. */
    plan = plan_create(&n, 0x1CE000, file, 0x5100, true, false);
    assert_int_equal(plan_count_action(plan, PLAN_LEAVE), 0);
    plan_free(plan);
    /* A T's dump: 17 bootloader sectors and RF are left. */
    struct beken_module t = module_of(BEKEN_CHIP_BK7231T);
    plan = plan_create(&t, 0, flash, FLASH_SIZE, false, false);
    assert_int_equal(plan_count_action(plan, PLAN_LEAVE), 18);
    plan_free(plan);
    plan = plan_create(&t, 0, flash, FLASH_SIZE, true, false);
    assert_int_equal(plan_count_action(plan, PLAN_LEAVE), 17);
    plan_free(plan);
    free(flash);
    free(file);
}

static void test_blocks_and_whole_erases(void **unused)
{
    (void)unused;
    const struct plan_costs costs = {60000, 300000};
    struct beken_module n = module_of(BEKEN_CHIP_BK7231N);
    uint8_t *file = malloc(0x40000);
    memset(file, 0x22, 0x40000);
    struct plan *plan = plan_create(&n, 0x11000, file, 0x20000, false, false);
    struct plan_block block = plan_block_at(plan, 0);
    assert_int_equal(block.end, 15); /* up to 0x20000 */
    assert_false(plan_erase_whole_block(plan, &block, &costs));
    block = plan_block_at(plan, block.end);
    assert_int_equal(block.address, 0x20000);
    assert_int_equal(block.length, 0x10000);
    assert_true(plan_erase_whole_block(plan, &block, &costs));
    /* What is right already is never erased. */
    plan_sector(plan, block.first + 15)->action = PLAN_EQUAL;
    assert_false(plan_erase_whole_block(plan, &block, &costs));
    /* Unless it is to stay blank: erasing it again does no harm. Five single erases cost as much as
     * one of the block. */
    for (size_t i = block.first; i < block.end; i++) {
        plan_sector(plan, i)->wants_blank = true;
        plan_sector(plan, i)->action = i < block.first + 5 ? PLAN_WRITE : PLAN_EQUAL;
    }
    assert_false(plan_erase_whole_block(plan, &block, &costs));
    plan_sector(plan, block.first + 5)->action = PLAN_WRITE;
    assert_true(plan_erase_whole_block(plan, &block, &costs));
    for (size_t i = block.first; i < block.end; i++)
        plan_sector(plan, i)->action = PLAN_WRITE;
    assert_true(plan_erase_whole_block(plan, &block, &costs));
    plan_sector(plan, block.first + 3)->action = PLAN_LEAVE;
    assert_false(plan_erase_whole_block(plan, &block, &costs));
    block = plan_block_at(plan, block.end);
    assert_int_equal(block.length, 0x1000);
    plan_free(plan);
    /* All blank already: nothing to erase. */
    plan = plan_create(&n, 0x20000, file, 0x10000, false, false);
    for (size_t i = 0; i < 16; i++) {
        plan_sector(plan, i)->action = PLAN_WRITE;
        plan_sector(plan, i)->is_blank = true;
    }
    block = plan_block_at(plan, 0);
    assert_false(plan_erase_whole_block(plan, &block, &costs));
    plan_free(plan);
    free(file);
}

static void test_pace(void **unused)
{
    (void)unused;
    struct pace pace = {.known = false};
    /* Before anything is known: clearly slower than the line. */
    assert_true(pace_period_us(&pace, 921600) > 2778 + 5000);
    /* 8 x 300 us per page: the line at 921600 is slower than that, at 2000000 it is not. */
    pace_success(&pace, 2400);
    assert_int_equal(pace_period_us(&pace, 921600), 0);
    assert_int_equal(pace_period_us(&pace, 2000000), 2700);
    /* A chip that took the whole sector first answers after sixteen pages. */
    struct pace buffered = {.known = false};
    pace_success(&buffered, 16 * 2400);
    assert_int_equal(buffered.page_us, 2400);
    /* Failures slow down, a run of successes speeds up again, all within bounds. */
    pace_failure(&pace);
    int64_t slow = pace_period_us(&pace, 921600);
    assert_true(slow > 2778);
    for (int i = 0; i < 50; i++)
        pace_failure(&pace);
    assert_true(pace_period_us(&pace, 921600) <= 2700 + 20000);
    for (int i = 0; i < 2000; i++)
        pace_success(&pace, 2400);
    assert_int_equal(pace_period_us(&pace, 921600), 0);
    pace_success(&pace, -5);
    assert_true(pace.page_us >= 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_images_find_their_place),
        cmocka_unit_test(test_wrong_chip_key_and_file),
        cmocka_unit_test(test_wrong_place),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_sectors),
        cmocka_unit_test(test_blocks_and_whole_erases),
        cmocka_unit_test(test_pace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
