/* SPDX-License-Identifier: MIT */
/* drivers/base/dynamic: libraries that are there, are missing, or are others than they should be. */
#include "drivers/base/dynamic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct table {
    double (*cosine)(double angle);
    double (*root)(double value);
};

static const struct dynamic_function functions[] = {
    {"cos", offsetof(struct table, cosine)},
    {"sqrt", offsetof(struct table, root)},
    {"no_such_function", offsetof(struct table, root)},
};

static void *load(const char *file, size_t count, struct table *table, struct error *error)
{
    const struct dynamic_library library = {.file = file,
                                            .purpose = "Geometry",
                                            .package = "libc6",
                                            .functions = functions,
                                            .count = count};
    return dynamic_load(&library, table, error);
}

static void test_a_library_is_loaded(void **unused)
{
    (void)unused;
    struct table table = {NULL, NULL};
    struct error error = {""};
    assert_non_null(load("libm.so.6", 2, &table, &error));
    assert_true(table.cosine(0) > 0.99);
    assert_true(table.root(9) > 2.99 && table.root(9) < 3.01);
}

static void test_what_is_missing_is_named(void **unused)
{
    (void)unused;
    struct table table = {NULL, NULL};
    struct error error = {""};
    assert_null(load("libnotthere.so.7", 2, &table, &error));
    assert_non_null(strstr(error.text, "Geometry needs libnotthere.so.7, which cannot be loaded:"));
    assert_non_null(strstr(error.text, "package libc6"));
    assert_null(load("libm.so.6", 3, &table, &error));
    assert_string_equal(error.text, "libm.so.6 is not the library it should be: it has no "
                                    "no_such_function. Install Debian's package libc6 again.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_library_is_loaded),
        cmocka_unit_test(test_what_is_missing_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
