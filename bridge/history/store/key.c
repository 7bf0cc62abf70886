/* SPDX-License-Identifier: MIT */
#include "bridge/history/store/key.h"

int64_t key_make(int64_t wall_ms, unsigned number)
{
    const int64_t last = ((int64_t)1 << (63 - CHANNEL_NUMBER_BITS)) - 1;
    int64_t ms = wall_ms < 0 ? 0 : wall_ms > last ? last : wall_ms;
    return (int64_t)((uint64_t)ms << CHANNEL_NUMBER_BITS) | (int64_t)number;
}
