/* SPDX-License-Identifier: MIT */
/* bridge/commands/flash_progress: the bar fits into any terminal, and keeps what matters most. */
#include "bridge/commands/flash_progress.h"
#include "bridge/options/layout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_width(void **state)
{
    (void)state;
    static const char *const stages[] = {"write", "verify", "a-stage-with-a-long-name"};
    for (int columns = LAYOUT_WIDTH_MIN; columns <= 200; columns++)
        for (size_t i = 0; i < sizeof stages / sizeof stages[0]; i++)
            for (uint64_t done = 0; done <= 2097152; done += 2097152 / 8) {
                char line[400];
                const struct flasher_step step = {.stage = stages[i],
                                                  .done = done,
                                                  .total = 2097152,
                                                  .address = 0x1D1000,
                                                  .retries = 12345,
                                                  .baud = 1500000};
                flash_progress_format(&step, 7654321, done, columns, line, sizeof line);
                if (layout_columns(line) > columns)
                    fail_msg("%d columns: %s", columns, line);
                assert_non_null(strstr(line, " %"));
            }
}

static void test_what_is_left_out(void **state)
{
    (void)state;
    char line[400];
    const struct flasher_step step = {.stage = "write",
                                      .done = 1048576,
                                      .total = 2097152,
                                      .address = 0x80000,
                                      .retries = 1,
                                      .baud = 115200};
    flash_progress_format(&step, 100000, 1048576, 120, line, sizeof line);
    assert_string_equal(
        line, "write        [############............]  50 %  0x080000  10.5 kB/s  1:39 left  "
              "115200 baud  1 retry");
    flash_progress_format(&step, 100000, 1048576, 79, line, sizeof line);
    assert_null(strstr(line, "0x080000"));
    assert_non_null(strstr(line, "10.5 kB/s  1:39 left  115200 baud  1 retry"));
    flash_progress_format(&step, 100000, 1048576, 40, line, sizeof line);
    assert_non_null(strstr(line, " 50 %"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_width),
        cmocka_unit_test(test_what_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
