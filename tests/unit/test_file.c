/* SPDX-License-Identifier: MIT */
/* drivers/base/file: bounded reading, atomic replacing. */
#include "drivers/base/file.h"
#include "drivers/base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

static int make_folder(void **unused)
{
    (void)unused;
    (void)snprintf(folder, sizeof folder, "/tmp/bl2mqtt-file-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **unused)
{
    (void)unused;
    return rmdir(folder);
}

static void test_replace_and_read(void **unused)
{
    (void)unused;
    char path[96];
    (void)snprintf(path, sizeof path, "%s/x.json", folder);
    struct error error = {""};
    char *bytes = NULL;
    size_t length = 0;
    assert_int_equal(file_read(path, 100, &bytes, &length, &error), STATUS_NO_ANSWER);
    assert_non_null(strstr(error.text, path));

    assert_int_equal(file_replace(path, "first", 5, 0600, &error), STATUS_OK);
    assert_int_equal(file_replace(path, "second\0!", 8, 0600, &error), STATUS_OK);
    assert_int_equal(file_read(path, 8, &bytes, &length, &error), STATUS_OK);
    assert_int_equal(length, 8);
    assert_memory_equal(bytes, "second\0!", 9);
    free(bytes);

    assert_int_equal(file_read(path, 7, &bytes, &length, &error), STATUS_USAGE);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(unlink(path), 0);
}

static void test_a_failed_replace_leaves_the_old_file(void **unused)
{
    (void)unused;
    char path[96], blocker[112];
    (void)snprintf(path, sizeof path, "%s/y", folder);
    (void)snprintf(blocker, sizeof blocker, "%s.new", path);
    struct error error = {""};
    assert_int_equal(file_replace(path, "old", 3, 0600, &error), STATUS_OK);
    assert_int_equal(mkdir(blocker, 0700), 0); /* the temporary's name is taken by a folder */
    assert_int_equal(file_replace(path, "new", 3, 0600, &error), STATUS_FAILED);
    assert_true(strlen(error.text) > 20);
    char *bytes = NULL;
    size_t length = 0;
    assert_int_equal(file_read(path, 10, &bytes, &length, &error), STATUS_OK);
    assert_string_equal(bytes, "old");
    free(bytes);
    assert_int_equal(rmdir(blocker), 0);
    assert_int_equal(unlink(path), 0);
}

static void test_make_folder(void **unused)
{
    (void)unused;
    char path[96];
    (void)snprintf(path, sizeof path, "%s/d", folder);
    struct error error = {""};
    assert_int_equal(file_make_folder(path, &error), STATUS_OK);
    assert_int_equal(file_make_folder(path, &error), STATUS_OK);
    assert_int_equal(rmdir(path), 0);
    (void)snprintf(path, sizeof path, "%s/no/such", folder);
    assert_int_equal(file_make_folder(path, &error), STATUS_USAGE);
    assert_non_null(strstr(error.text, "bridge.data_dir"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replace_and_read),
        cmocka_unit_test(test_a_failed_replace_leaves_the_old_file),
        cmocka_unit_test(test_make_folder),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
