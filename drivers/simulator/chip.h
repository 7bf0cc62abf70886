/* SPDX-License-Identifier: MIT */
/**
 * A BL0942 that speaks bytes: register map, packet and register frames, addresses, write
 * protection, energy counter, STATUS, timing, and faults on demand. Written from the datasheet
 * (V1.10) and the field's captures, not from the driver: it shares no code with drivers/bl0942.
 * Pure: time is a parameter in microseconds of whatever clock the caller likes, and only moves
 * forward.
 */
#ifndef DRIVERS_SIMULATOR_CHIP_H
#define DRIVERS_SIMULATOR_CHIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct chip_options {
    unsigned address;  /**< 0..3 */
    uint32_t pin_baud; /**< 4800 or 9600: what SCLK_BPS selects */
    double counts_per_volt, counts_per_ampere, counts_per_watt;
    uint32_t first_count; /**< CF_CNT at power-on (to meet a wrap soon) */
    bool soft_reset_clears_energy;
    uint64_t seed; /**< of noise and faults */
};

/** The electrical truth at the chip's pins. */
struct chip_load {
    double voltage_v, current_a, power_w, frequency_hz; /**< power < 0: exported */
};

/** Probabilities per answer, 0..1; all off by default. */
struct chip_faults {
    double junk_before;   /**< 1..8 junk bytes in front of the answer */
    double bit_flip;      /**< one flipped bit anywhere */
    double double_flip;   /**< two flips that cancel in the checksum: the hardest case */
    double truncate;      /**< the answer stops early */
    double silence;       /**< no answer */
    double late;          /**< answer 300 ms late */
    double reset;         /**< the chip restarts before answering */
    double wrong_address; /**< answers although another address was asked */
};

struct chip;

struct chip *chip_create(const struct chip_options *options, int64_t now_us);
void chip_free(struct chip *chip);

void chip_set_load(struct chip *chip, int64_t now_us, const struct chip_load *load);
void chip_set_faults(struct chip *chip, const struct chip_faults *faults);
/** Power cut and back: registers to defaults, CF_CNT 0. */
void chip_reset(struct chip *chip, int64_t now_us);

/** Bytes from the host, at the baud rate the host uses (another than the chip's: garbage). */
void chip_receive(struct chip *chip, int64_t now_us, uint32_t baud, const uint8_t *bytes,
                  size_t length);
/** The host held the line low for more than 32 bit times. */
void chip_break(struct chip *chip, int64_t now_us);
/** Bytes that have left the chip by now; returns how many were put into bytes. */
size_t chip_transmit(struct chip *chip, int64_t now_us, uint8_t *bytes, size_t size);
/** When the next byte will be ready; INT64_MAX if none. */
int64_t chip_next_us(const struct chip *chip);
uint32_t chip_baud(const struct chip *chip);

/** What really happened, for tests to compare with. */
struct chip_truth {
    struct chip_load load;
    uint64_t counts_imported, counts_exported; /**< whole pulses since creation, over all resets */
    uint32_t counter;                          /**< CF_CNT now */
    unsigned resets, answers, faults;
    uint32_t mode; /**< MODE register now */
};
void chip_truth(struct chip *chip, int64_t now_us, struct chip_truth *truth);

#endif
