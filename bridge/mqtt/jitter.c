/* SPDX-License-Identifier: MIT */
#include "bridge/mqtt/jitter.h"

#include "drivers/base/clock.h"

#include <sys/random.h>
#include <sys/types.h>

int64_t jitter_between(int64_t low, int64_t high)
{
    uint32_t value = 0;
    if (getrandom(&value, sizeof value, GRND_NONBLOCK) != (ssize_t)sizeof value)
        value = (uint32_t)clock_boot_ms() * 2654435761U; /* early boot: any spread will do */
    return high > low ? low + (int64_t)value % (high - low + 1) : low;
}
