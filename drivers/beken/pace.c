/* SPDX-License-Identifier: MIT */
#include "drivers/beken/pace.h"

enum {
    PAGE_BYTES = 256,
    PAGES = 16,
    FIRST_SPARE_US = 6000, /* before anything is known: more than slow flash needs for a page */
    BUFFERED_US = 12000,   /* no page takes longer: the chip took the whole sector first */
    EXTRA_STEP_US = 1000,
    EXTRA_MAX_US = 20000,
    GOOD_TO_SPEED_UP = 16,
};

int64_t pace_period_us(const struct pace *pace, uint32_t baud)
{
    int64_t line_us = (int64_t)PAGE_BYTES * 10 * 1000000 / baud;
    int64_t need_us = pace->known ? pace->page_us + pace->page_us / 8 : line_us + FIRST_SPARE_US;
    need_us += pace->extra_us;
    return need_us > line_us ? need_us : 0;
}

void pace_success(struct pace *pace, int64_t tail_us)
{
    if (tail_us < 0)
        tail_us = 0;
    int64_t page_us = tail_us > BUFFERED_US ? tail_us / PAGES : tail_us;
    /* Later tails contain what the chip lags behind, so they move the figure slowly. */
    pace->page_us = pace->known ? pace->page_us + (page_us - pace->page_us) / 8 : page_us;
    pace->known = true;
    if (++pace->good < GOOD_TO_SPEED_UP)
        return;
    pace->good = 0;
    pace->extra_us = pace->extra_us > 100 ? pace->extra_us * 3 / 4 : 0;
}

void pace_failure(struct pace *pace)
{
    pace->good = 0;
    pace->extra_us += EXTRA_STEP_US + pace->extra_us / 2;
    if (pace->extra_us > EXTRA_MAX_US)
        pace->extra_us = EXTRA_MAX_US;
}
