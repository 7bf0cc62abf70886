/* SPDX-License-Identifier: MIT */
/**
 * A BL0942 that speaks bytes: register map, packet and register frames, addresses, write
 * protection, energy counter, STATUS, timing, and faults on demand. Written from the datasheet
 * (V1.10) and the field's captures, not from the driver: it shares no code with drivers/bl0942.
 * Pure: time is a parameter in microseconds of whatever clock the caller likes, and only moves
 * forward (an earlier time than the latest one is taken for the latest one).
 *
 * Where the datasheet is silent, the chip does this:
 *   - A packet or register answer of 0 V, 0 A, 0 W is what it gives in the first 400 ms after power
 *     on, as the captures show; STATUS is then 0x300.
 *   - A read of an address without a register answers 0; GAIN_CR scales current and power.
 *   - A change of the baud rate by MODE takes effect right after the frame's last bit.
 *   - In algebraic mode CF_CNT rolls over below zero.
 *   - FREQ moves in steps of 8, as observed, and keeps its value while the voltage is too low.
 *   - CREEP_F needs voltage: captures of unconnected chips show it clear.
 */
#ifndef DRIVERS_SIMULATOR_CHIP_H
#define DRIVERS_SIMULATOR_CHIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct chip_options {
    unsigned address;  /**< 0..3 */
    uint32_t pin_baud; /**< 4800 or 9600: what SCLK_BPS selects */
    double counts_per_volt, counts_per_ampere, counts_per_watt; /**< with GAIN_CR at its default */
    uint32_t first_count; /**< CF_CNT at power-on (to meet a wrap soon) */
    bool soft_reset_clears_energy;
    double noise;             /**< maximum relative error of V, I and W, 0..0.0005; 0: none */
    int64_t frame_timeout_us; /**< id byte to the frame's last; 0: 16 ms as in V1.10 */
    uint64_t seed;            /**< of noise and faults */
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
    double wrong_address; /**< answers, as itself, although another address was asked */
};

struct chip;

struct chip *chip_create(const struct chip_options *options, int64_t now_us);
void chip_free(struct chip *chip);

void chip_set_load(struct chip *chip, int64_t now_us, const struct chip_load *load);
void chip_set_faults(struct chip *chip, const struct chip_faults *faults);
/** Puts value (modulo 2^24) into CF_CNT, so that a test can stand right before a wrap. The truth's
 *  imported and exported counts stay as they are. */
void chip_set_counter(struct chip *chip, int64_t now_us, uint32_t value);
/** Power cut and back: registers to defaults, CF_CNT 0. */
void chip_reset(struct chip *chip, int64_t now_us);

/** Bytes that the host's UART begins to send now, back to back, at the baud rate the host uses
 *  (another than the chip's: garbage). They reach the chip byte by byte as time goes on. */
void chip_receive(struct chip *chip, int64_t now_us, uint32_t baud, const uint8_t *bytes,
                  size_t length);
/** The host held the line low for more than 32 bit times. */
void chip_break(struct chip *chip, int64_t now_us);
/** Bytes that have left the chip by now; returns how many were put into bytes. */
size_t chip_transmit(struct chip *chip, int64_t now_us, uint8_t *bytes, size_t size);
/** When chip_transmit should be called next: the next byte of an answer will be ready, or a byte of
 *  a request will have arrived (and may start an answer); INT64_MAX if neither is on its way. */
int64_t chip_next_us(const struct chip *chip);
uint32_t chip_baud(const struct chip *chip);
/** Whether a UART at one rate understands one at the other (3 % off is the usual limit). */
bool chip_same_baud(uint32_t one, uint32_t other);
unsigned chip_address(const struct chip *chip);

/** What really happened, for tests to compare with. */
struct chip_truth {
    struct chip_load load;
    uint64_t counts_imported, counts_exported; /**< whole pulses since creation, over all resets */
    uint32_t counter;                          /**< CF_CNT now */
    /** Whole pulses and CF_CNT when the answer was assembled whose byte left the chip last: what
     *  that answer said, or would have without a fault (CF_CNT: unless reading it clears it). */
    uint64_t answer_counts;
    uint32_t answer_counter;
    unsigned resets;  /**< power cuts: chip_reset and the fault; not soft resets */
    unsigned answers; /**< answers due, whether a fault then swallowed them or not */
    unsigned faults;  /**< answers with at least one fault */
    uint32_t mode;    /**< MODE register now */
    /** The measuring registers now, with their averaging and noise. */
    uint32_t i_rms, v_rms, i_fast_rms, frequency, status;
    int32_t watt;
};
void chip_truth(struct chip *chip, int64_t now_us, struct chip_truth *truth);

#endif
