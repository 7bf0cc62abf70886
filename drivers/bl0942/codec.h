/* SPDX-License-Identifier: MIT */
/**
 * Bytes of the BL0942's UART protocol and what they mean. Pure: no I/O, no clock, no allocation.
 * Source: BL0942 datasheet V1.10, section 3.2, and captures from the field.
 *
 *   frame           host sends             chip answers
 *   register read   0x58|a reg             d0 d1 d2 ck   ck = ~(0x58|a + reg + d0 + d1 + d2)
 *   register write  0xA8|a reg d0 d1 d2 ck nothing       ck = ~(0xA8|a + reg + d0 + d1 + d2)
 *   packet          0x58|a 0xAA            0x55 ... ck   ck = ~(0x58|a + bytes 0..21); 23 bytes
 *
 * a is the chip's address 0..3, data is little-endian. As the command byte is part of every
 * checksum, an answer of a chip at another address never passes.
 */
#ifndef DRIVERS_BL0942_CODEC_H
#define DRIVERS_BL0942_CODEC_H

#include "drivers/reading.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BL0942_ADDRESSES 4
#define BL0942_PACKET_SIZE 23
#define BL0942_REPLY_SIZE 4
#define BL0942_REQUEST_SIZE 2
#define BL0942_WRITE_SIZE 6

/** Each returns the number of bytes written. address 0..3, value below 2^24. */
size_t bl0942_encode_packet_request(unsigned address, uint8_t bytes[BL0942_REQUEST_SIZE]);
size_t bl0942_encode_read(unsigned address, unsigned reg, uint8_t bytes[BL0942_REQUEST_SIZE]);
size_t bl0942_encode_write(unsigned address, unsigned reg, uint32_t value,
                           uint8_t bytes[BL0942_WRITE_SIZE]);

/** The packet's fields in the chip's own units. */
struct bl0942_packet {
    uint32_t i_rms, v_rms, i_fast_rms; /**< 24 bit */
    int32_t watt;                      /**< 24 bit, signed */
    uint32_t cf_cnt;                   /**< 24 bit */
    uint32_t freq;                     /**< line period in us */
    uint32_t status; /**< enum bl0942_status_bit; other bits toggle undocumented */
};

/** False unless header, checksum (for that address) and the bits that are always 0 agree: FREQ has
 *  16 bits and STATUS 10. Without the latter one wrong candidate in 256 would pass. */
bool bl0942_decode_packet(const uint8_t bytes[BL0942_PACKET_SIZE], unsigned address,
                          struct bl0942_packet *packet);

/** False unless the checksum agrees and the value has no bits that the register does not have. */
bool bl0942_decode_reply(const uint8_t bytes[BL0942_REPLY_SIZE], unsigned address, unsigned reg,
                         uint32_t *value);

/** A reading of all five values and the known STATUS bits; the stamps are left at 0. */
void bl0942_packet_to_reading(const struct bl0942_packet *packet, struct reading *reading);

/**
 * Finds the awaited answer in whatever the line delivers: hunts for header and checksum, and when a
 * candidate fails goes on from the byte behind its header, so that junk, a truncated answer or 0x55
 * inside of data never costs the good frame that follows. A register reply has no header; it is the
 * first four bytes in a row that pass bl0942_decode_reply().
 */
struct bl0942_receiver {
    uint8_t window[BL0942_PACKET_SIZE]; /**< the last bytes that may belong to the answer */
    size_t length;
    size_t wanted; /**< size of the awaited answer; 0: none, all bytes are junk */
    unsigned address, reg;
    uint32_t value;              /**< the register, once found */
    struct bl0942_packet packet; /**< the packet, once found */
    uint64_t junk_bytes;         /**< bytes that belonged to no awaited frame; only grows */
};

/** Zero-initialised, a receiver awaits nothing. Each of these forgets what was in the window. */
void bl0942_receiver_expect_packet(struct bl0942_receiver *receiver, unsigned address);
void bl0942_receiver_expect_reply(struct bl0942_receiver *receiver, unsigned address, unsigned reg);
void bl0942_receiver_expect_nothing(struct bl0942_receiver *receiver);

/** Takes one byte. True: it completed the awaited answer, which is in packet or value; the
 *  receiver goes on awaiting one of the same kind. */
bool bl0942_receiver_push(struct bl0942_receiver *receiver, uint8_t byte);

#endif
