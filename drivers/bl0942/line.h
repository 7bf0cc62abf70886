/* SPDX-License-Identifier: MIT */
/**
 * A serial line with one to four BL0942 chips on it (or one chip on an SPI bus, spi_line.h): the port half of the driver. It opens the port
 * by its stable name, runs the protocol session (session.h) on the event loop, and reports to the
 * sink. Chips on one line are asked one after another, never overlapping; lines run side by side.
 *
 * Everything happens on the loop thread and nothing blocks. When the port goes away, all its chips
 * are reported offline and the same name is tried again after 1, 2, 4 ... 30 s. A port over the network
 * is tried again after 0.5, 1, 2 ... 5 s; it also counts as gone when three requests in a row got no
 * valid answer, since "connected" alone proves nothing.
 */
#ifndef DRIVERS_BL0942_LINE_H
#define DRIVERS_BL0942_LINE_H

#include "drivers/base/log.h"
#include "drivers/bl0942/session.h"
#include "drivers/driver.h"

#include <stddef.h>
#include <uv.h>

struct bl0942_line_options {
    const char *port;  /**< as serial_address_read() takes it; copied */
    uint32_t baud;     /**< probed first; then 4800, 9600, 19200, 38400 */
    size_t chip_count; /**< 1..BL0942_CHIPS_PER_LINE, addresses distinct */
    struct bl0942_chip_options chips[BL0942_CHIPS_PER_LINE];
};

struct bl0942_line;

/** Starts working when the loop runs. The sink and log must outlive the line. Never fails: a port
 *  that is missing is simply not there yet. */
struct bl0942_line *bl0942_line_create(uv_loop_t *loop, const struct bl0942_line_options *options,
                                       const struct driver_sink *sink, struct log *log);

/** Stops and frees the line; the loop must run once more for libuv to let go of its handles. */
void bl0942_line_close(struct bl0942_line *line);

/** False if no chip of this line has that channel number. */
bool bl0942_line_statistics(const struct bl0942_line *line, unsigned channel,
                            struct driver_statistics *statistics);

#endif
