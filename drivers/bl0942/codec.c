/* SPDX-License-Identifier: MIT */
#include "drivers/bl0942/codec.h"

#include "drivers/bl0942/registers.h"

#include <string.h>

#define READ_COMMAND 0x58u
#define WRITE_COMMAND 0xA8u
#define PACKET_HEADER 0x55u

static uint8_t checksum(unsigned start, const uint8_t *bytes, size_t length)
{
    unsigned sum = start;
    for (size_t i = 0; i < length; i++)
        sum += bytes[i];
    return (uint8_t)~sum;
}

size_t bl0942_encode_read(unsigned address, unsigned reg, uint8_t bytes[BL0942_REQUEST_SIZE])
{
    bytes[0] = (uint8_t)(READ_COMMAND | (address & 3));
    bytes[1] = (uint8_t)reg;
    return BL0942_REQUEST_SIZE;
}

size_t bl0942_encode_packet_request(unsigned address, uint8_t bytes[BL0942_REQUEST_SIZE])
{
    return bl0942_encode_read(address, BL0942_PACKET, bytes);
}

size_t bl0942_encode_write(unsigned address, unsigned reg, uint32_t value,
                           uint8_t bytes[BL0942_WRITE_SIZE])
{
    bytes[0] = (uint8_t)(WRITE_COMMAND | (address & 3));
    bytes[1] = (uint8_t)reg;
    bytes[2] = (uint8_t)value;
    bytes[3] = (uint8_t)(value >> 8);
    bytes[4] = (uint8_t)(value >> 16);
    bytes[5] = checksum(0, bytes, 5);
    return BL0942_WRITE_SIZE;
}

static uint32_t unsigned24(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16;
}

static int32_t signed24(const uint8_t *bytes)
{
    uint32_t value = unsigned24(bytes);
    return (value & 0x800000) != 0 ? (int32_t)value - 0x1000000 : (int32_t)value;
}

bool bl0942_decode_packet(const uint8_t bytes[BL0942_PACKET_SIZE], unsigned address,
                          struct bl0942_packet *packet)
{
    if (bytes[0] != PACKET_HEADER || bytes[18] != 0 || (bytes[20] & 0xFC) != 0 || bytes[21] != 0 ||
        bytes[22] != checksum(READ_COMMAND | (address & 3), bytes, 22))
        return false;
    *packet = (struct bl0942_packet){
        .i_rms = unsigned24(bytes + 1),
        .v_rms = unsigned24(bytes + 4),
        .i_fast_rms = unsigned24(bytes + 7),
        .watt = signed24(bytes + 10),
        .cf_cnt = unsigned24(bytes + 13),
        .freq = unsigned24(bytes + 16),
        .status = unsigned24(bytes + 19),
    };
    return true;
}

/* Registers narrower than 24 bits come zero-padded. */
static uint32_t maximum_value(unsigned reg)
{
    switch (reg) {
    case BL0942_WA_CREEP:
    case BL0942_USR_WRPROT:
        return 0xFF;
    case BL0942_MODE:
        return 0x3FF;
    case BL0942_FREQ:
        return 0xFFFF;
    default:
        return 0xFFFFFF;
    }
}

bool bl0942_decode_reply(const uint8_t bytes[BL0942_REPLY_SIZE], unsigned address, unsigned reg,
                         uint32_t *value)
{
    unsigned start = (READ_COMMAND | (address & 3)) + reg;
    if (bytes[3] != checksum(start, bytes, 3) || unsigned24(bytes) > maximum_value(reg))
        return false;
    *value = unsigned24(bytes);
    return true;
}

void bl0942_packet_to_reading(const struct bl0942_packet *packet, struct reading *reading)
{
    static const struct {
        uint32_t status;
        unsigned flag;
    } bits[] = {
        {BL0942_STATUS_REVERSE, READING_REVERSE},
        {BL0942_STATUS_CREEP, READING_CREEP},
        {BL0942_STATUS_CURRENT_LOW, READING_CURRENT_LOW},
        {BL0942_STATUS_VOLTAGE_LOW, READING_VOLTAGE_LOW},
    };
    *reading = (struct reading){
        .present = READING_ALL,
        .voltage = packet->v_rms,
        .current = packet->i_rms,
        .power = packet->watt,
        .energy = packet->cf_cnt,
        .frequency = packet->freq,
    };
    for (size_t i = 0; i < sizeof bits / sizeof bits[0]; i++)
        if ((packet->status & bits[i].status) != 0)
            reading->flags |= bits[i].flag;
}

static void expect(struct bl0942_receiver *receiver, size_t wanted, unsigned address, unsigned reg)
{
    receiver->junk_bytes += receiver->length;
    receiver->length = 0;
    receiver->wanted = wanted;
    receiver->address = address;
    receiver->reg = reg;
}

void bl0942_receiver_expect_packet(struct bl0942_receiver *receiver, unsigned address)
{
    expect(receiver, BL0942_PACKET_SIZE, address, BL0942_PACKET);
}

void bl0942_receiver_expect_reply(struct bl0942_receiver *receiver, unsigned address, unsigned reg)
{
    expect(receiver, BL0942_REPLY_SIZE, address, reg);
}

void bl0942_receiver_expect_nothing(struct bl0942_receiver *receiver)
{
    expect(receiver, 0, 0, 0);
}

/* Drops the first byte and, for a packet, all up to the next that could be its header. */
static void drop_candidate(struct bl0942_receiver *receiver)
{
    size_t keep = 1;
    if (receiver->reg == BL0942_PACKET)
        while (keep < receiver->length && receiver->window[keep] != PACKET_HEADER)
            keep++;
    receiver->length -= keep;
    receiver->junk_bytes += keep;
    memmove(receiver->window, receiver->window + keep, receiver->length);
}

bool bl0942_receiver_push(struct bl0942_receiver *receiver, uint8_t byte)
{
    bool packet = receiver->reg == BL0942_PACKET;
    if (receiver->wanted == 0 || (packet && receiver->length == 0 && byte != PACKET_HEADER)) {
        receiver->junk_bytes++;
        return false;
    }
    receiver->window[receiver->length++] = byte;
    if (receiver->length < receiver->wanted)
        return false;
    bool good = packet
                    ? bl0942_decode_packet(receiver->window, receiver->address, &receiver->packet)
                    : bl0942_decode_reply(receiver->window, receiver->address, receiver->reg,
                                          &receiver->value);
    if (good)
        receiver->length = 0;
    else
        drop_candidate(receiver);
    return good;
}
