/* SPDX-License-Identifier: MIT */
/**
 * The BL0942's SPI: mode 1, at most 800 kHz, every exchange six bytes with the chip selected
 * throughout. Pure, but for the transfer that the caller supplies: a test puts a simulated chip there.
 *
 *   read    host 58 REG 00 00 00 00    chip, in bytes 2..5: H M L CK
 *   write   host A8 REG H M L CK
 *   reset   six FF put a chip that lost a clock back in step
 *
 * CK = ~(first byte + REG + H + M + L). There are no addresses and no packet: registers are read one
 * by one, and whether they belong together is checked.
 */
#ifndef DRIVERS_BL0942_SPI_H
#define DRIVERS_BL0942_SPI_H

#include "drivers/base/status.h"
#include "drivers/bl0942/codec.h"

#define BL0942_SPI_FRAME 6

struct bl0942_spi {
    void *context;
    /** Six bytes out, six in, at the same time. */
    enum status (*transfer)(void *context, const uint8_t out[BL0942_SPI_FRAME],
                            uint8_t in[BL0942_SPI_FRAME], struct error *error);
    uint64_t damaged; /**< answers that failed their checksum; only grows */
};

void bl0942_spi_encode_read(unsigned reg, uint8_t out[BL0942_SPI_FRAME]);
void bl0942_spi_encode_write(unsigned reg, uint32_t value, uint8_t out[BL0942_SPI_FRAME]);
/** False unless the checksum agrees. All zeros and all ones never do. */
bool bl0942_spi_decode(unsigned reg, const uint8_t in[BL0942_SPI_FRAME], uint32_t *value);

/** Six FF. */
enum status bl0942_spi_resynchronise(struct bl0942_spi *spi, struct error *error);

/** Reads a register, with up to three attempts and a resynchronisation between them. STATUS_NO_ANSWER if
 *  none passes. */
enum status bl0942_spi_read(struct bl0942_spi *spi, unsigned reg, uint32_t *value,
                            struct error *error);

/** Unlocks, writes MODE (and WA_CREEP if creep >= 0), locks, and reads back. STATUS_MISMATCH if the chip does
 *  not keep it. */
enum status bl0942_spi_set_up(struct bl0942_spi *spi, uint32_t mode, int creep,
                              struct error *error);

/**
 * All measuring registers as if they were one packet: CF_CNT and I_RMS are read first and last. If I_RMS
 * changed meanwhile, or CF_CNT by more than one, all of it is read again, up to three times. Takes about
 * a millisecond.
 */
enum status bl0942_spi_measure(struct bl0942_spi *spi, struct bl0942_packet *packet,
                               struct error *error);

#endif
