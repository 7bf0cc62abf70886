/* SPDX-License-Identifier: MIT */
/**
 * How fast a 4 KiB write may be sent. The chip programs each 256-byte page while the next ones
 * arrive in a ring of 512 bytes that nobody guards, so a host that is faster than the flash
 * overruns it. The pace learns from the time the chip takes to answer after the last byte, and from
 * failures. Pure; times in microseconds.
 */
#ifndef DRIVERS_BEKEN_PACE_H
#define DRIVERS_BEKEN_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct pace {
    bool known;       /**< page_us was measured */
    int64_t page_us;  /**< what the chip needs to program 256 bytes */
    int64_t extra_us; /**< added per page after failures; shrinks with successes */
    unsigned good;    /**< writes in a row that went well */
};

/** Time from the start of one 256-byte piece to the next; 0 = as fast as the line goes. */
int64_t pace_period_us(const struct pace *pace, uint32_t baud);
/** A sector was taken; tail_us = from its last byte on the wire to the chip's answer, without the
 *  adapter's own latency. */
void pace_success(struct pace *pace, int64_t tail_us);
/** A sector was not answered. */
void pace_failure(struct pace *pace);

#endif
