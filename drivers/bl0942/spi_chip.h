/* SPDX-License-Identifier: MIT */
/**
 * The course of one BL0942 on an SPI bus, with time as a parameter: looks for it, sets it up, measures,
 * and reports to a sink. The rules about restarts are those of session.h: MODE is read with every
 * measurement, a restart is reported half a second before MODE is overwritten, and the next reading
 * carries READING_CHIP_RESET.
 */
#ifndef DRIVERS_BL0942_SPI_CHIP_H
#define DRIVERS_BL0942_SPI_CHIP_H

#include "drivers/bl0942/session.h"
#include "drivers/bl0942/spi.h"

struct bl0942_spi_chip;

/** All arguments are copied. options.address is not used: SPI has none. */
struct bl0942_spi_chip *bl0942_spi_chip_create(const struct bl0942_chip_options *options,
                                               const char *name, const struct bl0942_spi *spi,
                                               const struct driver_sink *sink);
void bl0942_spi_chip_free(struct bl0942_spi_chip *chip);

/** Returns in how many milliseconds to poll again. */
int64_t bl0942_spi_chip_poll(struct bl0942_spi_chip *chip, int64_t now_ms, int64_t wall_ms);

/** The bus cannot be opened. */
void bl0942_spi_chip_gone(struct bl0942_spi_chip *chip, const char *reason);

void bl0942_spi_chip_statistics(const struct bl0942_spi_chip *chip,
                                struct driver_statistics *statistics);

#endif
