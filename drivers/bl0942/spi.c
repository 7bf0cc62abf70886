/* SPDX-License-Identifier: MIT */
#include "drivers/bl0942/spi.h"

#include "drivers/bl0942/registers.h"

#include <string.h>

#define READ 0x58
#define WRITE 0xA8
#define ATTEMPTS 3

static uint8_t checksum(unsigned first, unsigned reg, const uint8_t *data)
{
    return (uint8_t) ~(first + reg + data[0] + data[1] + data[2]);
}

void bl0942_spi_encode_read(unsigned reg, uint8_t out[BL0942_SPI_FRAME])
{
    memset(out, 0, BL0942_SPI_FRAME);
    out[0] = READ;
    out[1] = (uint8_t)reg;
}

void bl0942_spi_encode_write(unsigned reg, uint32_t value, uint8_t out[BL0942_SPI_FRAME])
{
    out[0] = WRITE;
    out[1] = (uint8_t)reg;
    out[2] = (uint8_t)(value >> 16);
    out[3] = (uint8_t)(value >> 8);
    out[4] = (uint8_t)value;
    out[5] = checksum(WRITE, reg, out + 2);
}

bool bl0942_spi_decode(unsigned reg, const uint8_t in[BL0942_SPI_FRAME], uint32_t *value)
{
    if (in[5] != checksum(READ, reg, in + 2))
        return false;
    *value = (uint32_t)in[2] << 16 | (uint32_t)in[3] << 8 | in[4];
    return true;
}

enum status bl0942_spi_resynchronise(struct bl0942_spi *spi, struct error *error)
{
    uint8_t out[BL0942_SPI_FRAME], in[BL0942_SPI_FRAME];
    memset(out, 0xFF, sizeof out);
    return spi->transfer(spi->context, out, in, error);
}

enum status bl0942_spi_read(struct bl0942_spi *spi, unsigned reg, uint32_t *value,
                            struct error *error)
{
    uint8_t out[BL0942_SPI_FRAME], in[BL0942_SPI_FRAME];
    bl0942_spi_encode_read(reg, out);
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        enum status status = spi->transfer(spi->context, out, in, error);
        if (status != STATUS_OK)
            return status;
        if (bl0942_spi_decode(reg, in, value))
            return STATUS_OK;
        spi->damaged++;
        status = bl0942_spi_resynchronise(spi, error);
        if (status != STATUS_OK)
            return status;
    }
    return error_set(error, STATUS_NO_ANSWER,
                     "No BL0942 answers on this SPI bus: check its supply, SEL (high for SPI), the "
                     "wires, mode 1, and the isolator between mains and this machine.");
}

static enum status write_register(struct bl0942_spi *spi, unsigned reg, uint32_t value,
                                  struct error *error)
{
    uint8_t out[BL0942_SPI_FRAME], in[BL0942_SPI_FRAME];
    bl0942_spi_encode_write(reg, value, out);
    return spi->transfer(spi->context, out, in, error);
}

static enum status check_register(struct bl0942_spi *spi, unsigned reg, uint32_t wanted,
                                  struct error *error)
{
    uint32_t value = 0;
    enum status status = bl0942_spi_read(spi, reg, &value, error);
    if (status != STATUS_OK || value == wanted)
        return status;
    return error_set(error, STATUS_MISMATCH,
                     "The chip does not keep its settings: register 0x%02X reads 0x%X instead of "
                     "0x%X.",
                     reg, value, wanted);
}

enum status bl0942_spi_set_up(struct bl0942_spi *spi, uint32_t mode, int creep, struct error *error)
{
    enum status status = write_register(spi, BL0942_USR_WRPROT, BL0942_UNLOCK, error);
    if (status == STATUS_OK)
        status = write_register(spi, BL0942_MODE, mode, error);
    if (status == STATUS_OK && creep >= 0)
        status = write_register(spi, BL0942_WA_CREEP, (uint32_t)creep, error);
    if (status == STATUS_OK)
        status = write_register(spi, BL0942_USR_WRPROT, BL0942_LOCK, error);
    if (status == STATUS_OK)
        status = check_register(spi, BL0942_MODE, mode, error);
    if (status == STATUS_OK && creep >= 0)
        status = check_register(spi, BL0942_WA_CREEP, (uint32_t)creep, error);
    return status;
}

/* *together: the registers are of one moment. */
static enum status read_all(struct bl0942_spi *spi, struct bl0942_packet *packet, bool *together,
                            struct error *error)
{
    enum { CF_FIRST, I_FIRST, V, WATT, FREQ, STATUS, I_LAST, CF_LAST, COUNT };
    static const unsigned registers[COUNT] = {
        [CF_FIRST] = BL0942_CF_CNT, [I_FIRST] = BL0942_I_RMS,  [V] = BL0942_V_RMS,
        [WATT] = BL0942_WATT,       [FREQ] = BL0942_FREQ,      [STATUS] = BL0942_STATUS,
        [I_LAST] = BL0942_I_RMS,    [CF_LAST] = BL0942_CF_CNT,
    };
    uint32_t values[COUNT];
    for (int i = 0; i < COUNT; i++) {
        enum status status = bl0942_spi_read(spi, registers[i], &values[i], error);
        if (status != STATUS_OK)
            return status;
    }
    uint32_t counted = (values[CF_LAST] - values[CF_FIRST]) & (BL0942_COUNTER_RANGE - 1);
    *together = values[I_FIRST] == values[I_LAST] && counted <= 1;
    *packet = (struct bl0942_packet){
        .i_rms = values[I_LAST],
        .v_rms = values[V],
        .watt = (int32_t)(values[WATT] << 8) / 256, /* 24 bit with its sign */
        .cf_cnt = values[CF_LAST],
        .freq = values[FREQ],
        .status = values[STATUS],
    };
    return STATUS_OK;
}

enum status bl0942_spi_measure(struct bl0942_spi *spi, struct bl0942_packet *packet,
                               struct error *error)
{
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        bool together = false;
        enum status status = read_all(spi, packet, &together, error);
        if (status != STATUS_OK || together)
            return status;
    }
    return error_set(
        error, STATUS_FAILED,
        "The chip's registers change while they are read; is the SPI clock far too low?");
}
