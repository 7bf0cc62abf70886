/* SPDX-License-Identifier: MIT */
/**
 * The key of a row: its time and its channel in one integer, (milliseconds << 15) | channel number.
 * Bounds of time are bounds of the key: time t begins at key_make(t, 0). schema/history.sql says why.
 */
#ifndef BRIDGE_HISTORY_STORE_KEY_H
#define BRIDGE_HISTORY_STORE_KEY_H

#include <stdint.h>

/** Channel numbers are 1..CHANNEL_NUMBER_MAX; 0 is the bridge itself. */
#define CHANNEL_NUMBER_BITS 15
#define CHANNEL_NUMBER_MAX 32767

/** Times outside 0..2^48 ms are brought into that range. */
int64_t key_make(int64_t wall_ms, unsigned number);

static inline int64_t key_time_ms(int64_t key)
{
    return key >> CHANNEL_NUMBER_BITS;
}

static inline unsigned key_number(int64_t key)
{
    return (unsigned)(key & CHANNEL_NUMBER_MAX);
}

#endif
