/* SPDX-License-Identifier: MIT */
#include "drivers/base/tar.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_what_is_written_is_read(void **state)
{
    (void)state;
    static const int64_t sizes[] = {0, 1, 511, 512, 513, TAR_FILE_MAX};
    static const size_t paddings[] = {0, 511, 1, 0, 511, 1};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const struct tar_entry entry = {"history.db", sizes[i], 1790000000};
        struct tar_entry read;
        struct error error = {""};
        char block[TAR_BLOCK];
        bool end = true;
        assert_true(tar_write(&entry, block));
        assert_int_equal(tar_read(block, &read, &end, &error), STATUS_OK);
        assert_false(end);
        assert_string_equal(read.name, "history.db");
        assert_true(read.size == sizes[i] && read.modified_s == 1790000000);
        assert_int_equal(tar_padding(sizes[i]), paddings[i]);
    }
}

static void test_what_does_not_fit_is_not_written(void **state)
{
    (void)state;
    char block[TAR_BLOCK];
    struct tar_entry entry = {"", 1, 0};
    assert_false(tar_write(&entry, block));
    memset(entry.name, 'x', 100);
    assert_false(tar_write(&entry, block));
    entry.name[99] = '\0';
    assert_true(tar_write(&entry, block));
    entry.size = TAR_FILE_MAX + 1;
    assert_false(tar_write(&entry, block));
    entry.size = -1;
    assert_false(tar_write(&entry, block));
}

static void expect_refused(const char block[TAR_BLOCK])
{
    struct tar_entry entry;
    struct error error = {""};
    bool end;
    assert_int_equal(tar_read(block, &entry, &end, &error), STATUS_USAGE);
    assert_true(error.text[0] != '\0');
}

/* Any changed byte is noticed by the checksum; a link or a long name by what it is. */
static void test_damage_is_refused(void **state)
{
    (void)state;
    const struct tar_entry entry = {"bridge.yaml", 77, 5};
    struct tar_entry read;
    struct error error = {""};
    bool end = false;
    char block[TAR_BLOCK];
    for (size_t i = 0; i < TAR_BLOCK; i++) {
        assert_true(tar_write(&entry, block));
        if (i >= 154 && i < 156) /* what ends the sum's digits may be either */
            continue;
        block[i] = (char)(block[i] ^ 0x11);
        expect_refused(block);
    }
    memset(block, 0, sizeof block);
    assert_int_equal(tar_read(block, &read, &end, &error), STATUS_OK);
    assert_true(end);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_is_read),
        cmocka_unit_test(test_what_does_not_fit_is_not_written),
        cmocka_unit_test(test_damage_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
