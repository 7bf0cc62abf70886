/* SPDX-License-Identifier: MIT */
/* drivers/base/file: bounded reading, atomic replacing. */
#include "drivers/base/file.h"
#include "drivers/base/memory.h"

#include <fcntl.h>
#include <limits.h>
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

/* A name that can be foreseen may have been taken by somebody else. */
static void test_a_planted_file_is_not_used(void **unused)
{
    (void)unused;
    char path[96], planted[112], elsewhere[96];
    struct error error = {""};
    struct stat status;
    (void)snprintf(path, sizeof path, "%s/z", folder);
    (void)snprintf(planted, sizeof planted, "%s.new", path);
    (void)snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", folder);
    const mode_t masks[] = {0, 0022, 0077};
    for (size_t i = 0; i < sizeof masks / sizeof masks[0]; i++) {
        const mode_t before = umask(masks[i]);
        /* a link: what it leads to keeps its contents */
        assert_int_equal(file_replace(elsewhere, "mine", 4, 0644, &error), STATUS_OK);
        assert_int_equal(symlink(elsewhere, planted), 0);
        assert_int_equal(file_replace(path, "secret", 6, 0640, &error), STATUS_OK);
        assert_true(stat(elsewhere, &status) == 0 && status.st_size == 4);
        assert_true(lstat(path, &status) == 0 && S_ISREG(status.st_mode) && status.st_size == 6);
        assert_int_equal(status.st_mode & 07777, 0640);

        /* a file for everybody, held open by who planted it */
        int fd = open(planted, O_RDWR | O_CREAT, 0666);
        assert_true(fd >= 0 && fchmod(fd, 0666) == 0);
        assert_int_equal(file_replace(path, "hidden", 6, 0600, &error), STATUS_OK);
        assert_true(stat(path, &status) == 0 && (status.st_mode & 07777) == 0600);
        assert_true(fstat(fd, &status) == 0 && status.st_size == 0);
        assert_int_equal(close(fd), 0);

        fd = file_create(path, FILE_MODE_UMASK);
        assert_true(fd >= 0 && fstat(fd, &status) == 0 && close(fd) == 0);
        assert_int_equal(status.st_mode & 07777, 0666 & ~masks[i]);
        (void)umask(before);
    }
    assert_int_equal(unlink(path) + unlink(elsewhere), 0);
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

/* A rename would take them away from everybody. */
static void test_only_files_are_replaced(void **unused)
{
    (void)unused;
    char fifo[96], file[96], link[96], dangling[96], target[PATH_MAX], real[PATH_MAX];
    struct stat status;
    struct error error = {""};
    (void)snprintf(fifo, sizeof fifo, "%s/fifo", folder);
    (void)snprintf(file, sizeof file, "%s/file", folder);
    (void)snprintf(link, sizeof link, "%s/link", folder);
    (void)snprintf(dangling, sizeof dangling, "%s/dangling", folder);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(symlink("fifo", link), 0);
    assert_int_equal(symlink("nothing", dangling), 0);
    const char *const refused[] = {fifo, link, dangling, folder};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        error.text[0] = '\0';
        assert_int_equal(file_replace(refused[i], "x", 1, 0600, &error), STATUS_USAGE);
        assert_non_null(strstr(error.text, refused[i]));
    }
    assert_true(stat(fifo, &status) == 0 && S_ISFIFO(status.st_mode));
    assert_true(lstat(link, &status) == 0 && S_ISLNK(status.st_mode));
    assert_true(lstat(dangling, &status) == 0 && S_ISLNK(status.st_mode));

    /* what a link leads to is replaced, and the link stays */
    assert_int_equal(unlink(link), 0);
    assert_int_equal(symlink("file", link), 0);
    assert_int_equal(file_replace(file, "old", 3, 0600, &error), STATUS_OK);
    assert_int_equal(file_replace(link, "newer", 5, 0600, &error), STATUS_OK);
    assert_true(lstat(link, &status) == 0 && S_ISLNK(status.st_mode));
    assert_true(lstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_size == 5);
    assert_int_equal(file_target(link, target, &error), STATUS_OK);
    assert_string_equal(target, realpath(file, real));

    /* a name that is free, and one that does not fit */
    assert_int_equal(unlink(link), 0);
    assert_int_equal(file_target(link, target, &error), STATUS_OK);
    assert_string_equal(target, link);
    char long_name[PATH_MAX + 10];
    memset(long_name, 'x', sizeof long_name);
    long_name[sizeof long_name - 1] = '\0';
    assert_int_equal(file_target(long_name, target, &error), STATUS_USAGE);
    assert_int_equal(unlink(fifo) + unlink(file) + unlink(dangling), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replace_and_read),
        cmocka_unit_test(test_a_failed_replace_leaves_the_old_file),
        cmocka_unit_test(test_only_files_are_replaced),
        cmocka_unit_test(test_a_planted_file_is_not_used),
        cmocka_unit_test(test_make_folder),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
