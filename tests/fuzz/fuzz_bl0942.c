/* SPDX-License-Identifier: MIT */
/*
 * The BL0942 receiver on arbitrary bytes. First byte: the address in bits 0..1. The rest comes from
 * the line, and behind it comes a valid frame. The receiver, which sees one byte at a time and
 * keeps 23, must find exactly what a plain search over the whole stream finds. From that follows
 * that the valid frame is found, unless the bytes before happen to make a packet that reaches into
 * it.
 */
#include "drivers/bl0942/codec.h"
#include "drivers/bl0942/registers.h"

#include <stdlib.h>
#include <string.h>

#define STREAM_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* A valid packet of that address whose data bytes are taken from seed, which may be short. */
static void make_packet(const uint8_t *seed, size_t size, unsigned address, uint8_t *bytes)
{
    memset(bytes, 0, BL0942_PACKET_SIZE);
    memcpy(bytes, seed, size < 21 ? size : 21);
    bytes[0] = 0x55;
    bytes[18] = 0;
    bytes[20] &= 0x03;
    unsigned sum = 0x58 + address;
    for (size_t i = 0; i < 22; i++)
        sum += bytes[i];
    bytes[22] = (uint8_t)~sum;
}

static void check_packets(const uint8_t *stream, size_t length, unsigned address)
{
    struct bl0942_receiver receiver = {.wanted = 0};
    bl0942_receiver_expect_packet(&receiver, address);
    size_t fed = 0, found = 0, at = 0;
    while (at + BL0942_PACKET_SIZE <= length) {
        struct bl0942_packet packet;
        if (!bl0942_decode_packet(stream + at, address, &packet)) {
            at++;
            continue;
        }
        for (size_t end = at + BL0942_PACKET_SIZE; fed < end; fed++)
            require(bl0942_receiver_push(&receiver, stream[fed]) == (fed == end - 1));
        require(memcmp(&packet, &receiver.packet, sizeof packet) == 0);
        require(packet.watt >= -0x800000 && packet.watt <= 0x7FFFFF);
        at += BL0942_PACKET_SIZE;
        found++;
    }
    for (; fed < length; fed++)
        require(!bl0942_receiver_push(&receiver, stream[fed]));
    require(receiver.length < BL0942_PACKET_SIZE);
    bl0942_receiver_expect_nothing(&receiver);
    require(receiver.junk_bytes == length - found * BL0942_PACKET_SIZE);
}

static void check_replies(const uint8_t *stream, size_t length, unsigned address, unsigned reg)
{
    struct bl0942_receiver receiver = {.wanted = 0};
    bl0942_receiver_expect_reply(&receiver, address, reg);
    size_t held = 0; /* bytes since the last reply */
    for (size_t i = 0; i < length; i++) {
        held++;
        uint32_t value = 0;
        bool wanted = held >= BL0942_REPLY_SIZE &&
                      bl0942_decode_reply(stream + i + 1 - BL0942_REPLY_SIZE, address, reg, &value);
        require(bl0942_receiver_push(&receiver, stream[i]) == wanted);
        if (wanted) {
            require(receiver.value == value);
            held = 0;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > STREAM_MAX)
        return 0;
    unsigned address = data[0] & 3;
    uint8_t stream[STREAM_MAX + BL0942_PACKET_SIZE];
    memcpy(stream, data + 1, size - 1);
    make_packet(data, size, address, stream + size - 1);
    size_t length = size - 1 + BL0942_PACKET_SIZE;
    check_packets(stream, length, address);
    check_replies(stream, length, address, data[0] >> 2 & 1 ? BL0942_MODE : BL0942_WATT);
    return 0;
}
