/* SPDX-License-Identifier: MIT */
/**
 * A BL0942 on an SPI bus of this machine, `spi:/dev/spidev0.0`: the port half of spi_chip.h. It polls on
 * the event loop; a poll is some ten exchanges of 60 us each.
 *
 * Tested against a simulated chip behind the transfer; never seen on real hardware.
 */
#ifndef DRIVERS_BL0942_SPI_LINE_H
#define DRIVERS_BL0942_SPI_LINE_H

#include "drivers/base/log.h"
#include "drivers/bl0942/session.h"
#include "drivers/bl0942/spi_chip.h"

#include <uv.h>

struct bl0942_spi_line;

/** True for names of SPI devices. */
bool bl0942_is_spi(const char *port);

struct bl0942_spi_line *bl0942_spi_line_create(uv_loop_t *loop, const char *port,
                                               const struct bl0942_chip_options *options,
                                               const struct driver_sink *sink, struct log *log);
/** Stops and frees; the loop must run once more. NULL is allowed. */
void bl0942_spi_line_close(struct bl0942_spi_line *line);
void bl0942_spi_line_statistics(const struct bl0942_spi_line *line,
                                struct driver_statistics *statistics);

#endif
