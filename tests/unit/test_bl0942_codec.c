/* SPDX-License-Identifier: MIT */
/* drivers/bl0942/codec: every capture from the field that we know of, ready-made request frames,
 * and the answers' way through junk. */
#include "drivers/bl0942/codec.h"
#include "drivers/bl0942/registers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* "55 00 4A" to bytes; returns how many. */
static size_t from_hex(const char *text, uint8_t *bytes, size_t size)
{
    size_t length = 0;
    for (char *end; *text != '\0'; text = end) {
        unsigned long value = strtoul(text, &end, 16);
        assert_true(end != text && value <= 0xFF && length < size);
        bytes[length++] = (uint8_t)value;
    }
    return length;
}

struct capture {
    const char *name, *bytes;
    uint32_t current, voltage, fast;
    int32_t power;
    uint32_t energy, period, status;
};

/* L, B, E, D: captured with checksum (libretiny-eu/libretiny#153, esphome/esphome#10136 and
 * #15280); T8: arendst/Tasmota#23775; T1..T7: Tasmota's source comments, there without the last
 * byte, which is computed; B4: its tail is reconstructed from the values logged beside it. */
static const struct capture captures[] = {
    {"L1", "55 00 00 00 4A 5A 38 50 B9 00 00 00 00 00 00 00 26 4E 00 22 01 00 D6", 0, 3693130,
     47440, 0, 0, 20006, 0x0122},
    {"L2", "55 21 00 00 6D 42 38 60 B9 00 FC FF FF 00 00 00 1E 4E 00 02 01 00 C8", 33, 3687021,
     47456, -4, 0, 19998, 0x0102},
    {"B1", "55 F4 91 00 86 E4 33 B5 7D 00 82 06 00 A4 1A 00 36 4E 00 00 01 00 33", 37364, 3400838,
     32181, 1666, 6820, 20022, 0x0100},
    {"B2", "55 C3 91 00 DD E8 33 E7 7E 00 6B 06 00 A4 1A 00 2E 4E 00 00 01 00 F5", 37315, 3401949,
     32487, 1643, 6820, 20014, 0x0100},
    {"B3", "55 D9 91 00 43 DD 33 AD 7D 00 79 06 00 A4 1A 00 36 4E 00 00 01 00 A9", 37337, 3398979,
     32173, 1657, 6820, 20022, 0x0100},
    {"B4", "55 DB 91 00 D6 DB 33 99 7C 00 61 06 00 A4 1A 00 2E 4E 00 00 01 00 4B", 37339, 3398614,
     31897, 1633, 6820, 20014, 0x0100},
    {"E1", "55 00 00 00 B7 DB 33 AC 29 01 00 00 00 00 00 00 36 4E 00 22 01 00 10", 0, 3398583,
     76204, 0, 0, 20022, 0x0122},
    {"E2", "55 00 00 00 4A DC 33 D6 27 01 00 00 00 00 00 00 2E 4E 00 22 01 00 5C", 0, 3398730,
     75734, 0, 0, 20014, 0x0122},
    {"D1", "55 00 00 00 6E 89 37 3F 39 00 00 00 00 4C 0A 00 3E 4E 00 22 01 00 A7", 0, 3639662,
     14655, 0, 2636, 20030, 0x0122},
    {"T8", "55 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 20 4E 00 00 03 00 E1", 0, 0, 0, 0, 0,
     20000, 0x0300},
    {"T1", "55 A3 B9 00 9E 4C 36 93 43 00 F4 98 FF 99 00 00 16 4E 00 01 01 00 76", 47523, 3558558,
     17299, -26380, 153, 19990, 0x0101},
    {"T2", "55 AC B9 00 79 4D 36 C4 43 00 EF 98 FF 99 00 00 16 4E 00 01 01 00 65", 47532, 3558777,
     17348, -26385, 153, 19990, 0x0101},
    {"T3", "55 40 BA 00 2D 50 36 FE 43 00 96 98 FF 99 00 00 16 4E 00 01 01 00 38", 47680, 3559469,
     17406, -26474, 153, 19990, 0x0101},
    {"T4", "55 91 B9 00 33 4C 36 FB 43 00 FC 98 FF 99 00 00 1E 4E 00 21 01 00 5B", 47505, 3558451,
     17403, -26372, 153, 19998, 0x0121},
    {"T5", "55 AF B9 00 05 51 36 D1 43 00 E4 98 FF 99 00 00 1E 4E 00 21 01 00 A8", 47535, 3559685,
     17361, -26396, 153, 19998, 0x0121},
    {"T6", "55 21 BA 00 3A 5E 36 10 44 00 8B 98 FF 99 00 00 16 4E 00 01 01 00 34", 47649, 3563066,
     17424, -26485, 153, 19990, 0x0101},
    {"T7", "55 BE B9 00 B2 55 36 9D 42 00 D7 98 FF 99 00 00 1E 4E 00 21 01 00 2A", 47550, 3560882,
     17053, -26409, 153, 19998, 0x0121},
    /* Computed: datasheet example, export, wrap, 60 Hz, 0x55 everywhere, OpenBeken's self test. */
    {"220 V 1 A", "55 4D D5 03 BF 51 35 36 64 01 BA 17 02 B0 04 00 20 4E 00 00 00 00 58", 251213,
     3494335, 91190, 137146, 1200, 20000, 0},
    {"export", "55 4D D5 03 BF 51 35 36 64 01 46 E8 FD FF FF FF 20 4E 00 01 00 00 B6", 251213,
     3494335, 91190, -137146, 0xFFFFFF, 20000, 0x0001},
    {"wrap 1", "55 4D D5 03 BF 51 35 36 64 01 BA 17 02 FE FF FF 20 4E 00 00 00 00 10", 251213,
     3494335, 91190, 137146, 0xFFFFFE, 20000, 0},
    {"wrap 2", "55 4D D5 03 BF 51 35 36 64 01 BA 17 02 03 00 00 20 4E 00 00 00 00 09", 251213,
     3494335, 91190, 137146, 3, 20000, 0},
    {"60 Hz", "55 4D D5 03 C8 14 1D 36 64 01 31 24 01 B1 04 00 1B 41 00 00 00 00 32", 251213,
     1905864, 91190, 74801, 1201, 16667, 0},
    {"fifty-fives", "55 55 55 55 55 55 35 55 FC 1E 55 55 00 55 55 00 20 4E 00 00 00 00 43", 5592405,
     3495253, 2030677, 21845, 21845, 20000, 0},
    {"self test 1", "55 22 FF 00 78 4D 35 00 00 00 28 8C 00 00 00 00 00 00 00 00 00 00 83", 65314,
     3493240, 0, 35880, 0, 0, 0},
    {"self test 2", "55 91 7F 00 78 4D 35 00 00 00 14 46 00 00 00 00 00 00 00 00 00 00 EE", 32657,
     3493240, 0, 17940, 0, 0, 0},
    {"self test 3", "55 91 7F 00 78 4D 35 00 00 00 28 8C 00 00 00 00 00 00 00 00 00 00 94", 32657,
     3493240, 0, 35880, 0, 0, 0},
};
#define CAPTURES (sizeof captures / sizeof captures[0])

static void test_captures(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < CAPTURES; i++) {
        const struct capture *c = &captures[i];
        uint8_t bytes[BL0942_PACKET_SIZE];
        assert_int_equal(from_hex(c->bytes, bytes, sizeof bytes), sizeof bytes);
        struct bl0942_packet packet;
        if (!bl0942_decode_packet(bytes, 0, &packet))
            fail_msg("%s was refused", c->name);
        if (packet.i_rms != c->current || packet.v_rms != c->voltage ||
            packet.i_fast_rms != c->fast || packet.watt != c->power || packet.cf_cnt != c->energy ||
            packet.freq != c->period || packet.status != c->status)
            fail_msg("%s: I %u V %u fast %u P %d E %u T %u S %#x", c->name, packet.i_rms,
                     packet.v_rms, packet.i_fast_rms, packet.watt, packet.cf_cnt, packet.freq,
                     packet.status);
        struct reading reading;
        bl0942_packet_to_reading(&packet, &reading);
        assert_int_equal(reading.present, READING_ALL);
        assert_int_equal(reading.current, c->current);
        assert_int_equal(reading.voltage, c->voltage);
        assert_int_equal(reading.power, c->power);
        assert_int_equal(reading.energy, c->energy);
        assert_int_equal(reading.frequency, c->period);
        unsigned flags = ((c->status & 0x001) != 0 ? READING_REVERSE : 0) |
                         ((c->status & 0x002) != 0 ? READING_CREEP : 0) |
                         ((c->status & 0x100) != 0 ? READING_CURRENT_LOW : 0) |
                         ((c->status & 0x200) != 0 ? READING_VOLTAGE_LOW : 0);
        assert_int_equal(reading.flags, flags); /* bit 5, which toggles in the field, is not one */
        for (unsigned address = 1; address < BL0942_ADDRESSES; address++)
            assert_false(bl0942_decode_packet(bytes, address, &packet));
    }
}

static void test_the_checksum_carries_the_address(void **unused)
{
    (void)unused;
    static const uint8_t last[] = {0x58, 0x57, 0x56, 0x55};
    uint8_t bytes[BL0942_PACKET_SIZE];
    from_hex("55 4D D5 03 BF 51 35 36 64 01 BA 17 02 B0 04 00 20 4E 00 00 00 00 00", bytes,
             sizeof bytes);
    struct bl0942_packet packet;
    for (unsigned sender = 0; sender < BL0942_ADDRESSES; sender++) {
        bytes[22] = last[sender];
        for (unsigned asked = 0; asked < BL0942_ADDRESSES; asked++)
            assert_int_equal(bl0942_decode_packet(bytes, asked, &packet), sender == asked);
    }
}

static void test_every_single_flip_is_noticed(void **unused)
{
    (void)unused;
    uint8_t bytes[BL0942_PACKET_SIZE];
    struct bl0942_packet packet;
    for (size_t i = 0; i < CAPTURES; i++) {
        from_hex(captures[i].bytes, bytes, sizeof bytes);
        for (size_t bit = 0; bit < sizeof bytes * 8; bit++) {
            bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_false(bl0942_decode_packet(bytes, 0, &packet));
            bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
}

static void test_requests(void **unused)
{
    (void)unused;
    static const struct {
        unsigned address, reg;
        uint32_t value;
        const char *frame;
    } writes[] = {
        {0, BL0942_USR_WRPROT, 0x55, "A8 1D 55 00 00 E5"},
        {1, BL0942_USR_WRPROT, 0x55, "A9 1D 55 00 00 E4"},
        {2, BL0942_USR_WRPROT, 0x55, "AA 1D 55 00 00 E3"},
        {3, BL0942_USR_WRPROT, 0x55, "AB 1D 55 00 00 E2"},
        {0, BL0942_USR_WRPROT, 0x00, "A8 1D 00 00 00 3A"},
        {0, 0x1C, 0x5A5A5A, "A8 1C 5A 5A 5A 2D"},
        {0, 0x19, 0x5A5A5A, "A8 19 5A 5A 5A 30"},
        {0, BL0942_MODE, 0x87, "A8 19 87 00 00 B7"},
        {0, BL0942_MODE, 0x8F, "A8 19 8F 00 00 AF"},
        {1, BL0942_MODE, 0x8F, "A9 19 8F 00 00 AE"},
        {2, BL0942_MODE, 0x8F, "AA 19 8F 00 00 AD"},
        {3, BL0942_MODE, 0x8F, "AB 19 8F 00 00 AC"},
        {0, BL0942_MODE, 0xAF, "A8 19 AF 00 00 8F"},
        {0, BL0942_MODE, 0x0F, "A8 19 0F 00 00 2F"},
        {0, BL0942_MODE, 0xCF, "A8 19 CF 00 00 6F"},
        {0, BL0942_MODE, 0x28F, "A8 19 8F 02 00 AD"},
        {0, BL0942_MODE, 0x38F, "A8 19 8F 03 00 AC"},
        {0, BL0942_WA_CREEP, 0x33, "A8 14 33 00 00 10"},
        {0, BL0942_WA_CREEP, 0x00, "A8 14 00 00 00 43"},
    };
    uint8_t wanted[BL0942_WRITE_SIZE], bytes[BL0942_WRITE_SIZE];
    for (size_t i = 0; i < sizeof writes / sizeof writes[0]; i++) {
        from_hex(writes[i].frame, wanted, sizeof wanted);
        assert_int_equal(
            bl0942_encode_write(writes[i].address, writes[i].reg, writes[i].value, bytes),
            sizeof bytes);
        if (memcmp(bytes, wanted, sizeof bytes) != 0)
            fail_msg("the frame for %s ends in %02X", writes[i].frame, bytes[5]);
    }
    for (unsigned address = 0; address < BL0942_ADDRESSES; address++) {
        assert_int_equal(bl0942_encode_packet_request(address, bytes), 2);
        assert_int_equal(bytes[0], 0x58 + address);
        assert_int_equal(bytes[1], 0xAA);
        assert_int_equal(bl0942_encode_read(address, BL0942_MODE, bytes), 2);
        assert_int_equal(bytes[0], 0x58 + address);
        assert_int_equal(bytes[1], 0x19);
    }
}

static void test_register_replies(void **unused)
{
    (void)unused;
    static const struct {
        unsigned address, reg;
        const char *frame;
        uint32_t value;
    } replies[] = {
        {0, BL0942_MODE, "87 00 00 07", 0x87},     {0, BL0942_MODE, "8F 00 00 FF", 0x8F},
        {1, BL0942_MODE, "8F 00 00 FE", 0x8F},     {2, BL0942_MODE, "8F 00 00 FD", 0x8F},
        {3, BL0942_MODE, "8F 00 00 FC", 0x8F},     {0, BL0942_WA_CREEP, "0B 00 00 88", 0x0B},
        {0, BL0942_FREQ, "20 4E 00 31", 0x4E20},   {0, BL0942_STATUS, "00 03 00 9B", 0x300},
        {0, BL0942_WATT, "F4 98 FF 16", 0xFF98F4}, {0, BL0942_USR_WRPROT, "01 00 00 89", 1},
    };
    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        uint8_t bytes[BL0942_REPLY_SIZE];
        from_hex(replies[i].frame, bytes, sizeof bytes);
        uint32_t value = 0;
        assert_true(bl0942_decode_reply(bytes, replies[i].address, replies[i].reg, &value));
        assert_int_equal(value, replies[i].value);
        assert_false(bl0942_decode_reply(bytes, replies[i].address ^ 1, replies[i].reg, &value));
        assert_false(bl0942_decode_reply(bytes, replies[i].address, replies[i].reg + 1, &value));
    }
    uint32_t value = 0; /* the sum is right, but MODE has only ten bits */
    assert_false(
        bl0942_decode_reply((const uint8_t[]){0x8F, 0x08, 0x00, 0xF7}, 0, BL0942_MODE, &value));
}

/* Pushes all bytes; returns how many packets came out, the last one's counter in *energy. */
static unsigned push_all(struct bl0942_receiver *receiver, const uint8_t *bytes, size_t length,
                         uint32_t *energies)
{
    unsigned found = 0;
    for (size_t i = 0; i < length; i++)
        if (bl0942_receiver_push(receiver, bytes[i]))
            energies[found++] = receiver->packet.v_rms;
    return found;
}

static void test_streams_from_the_field(void **unused)
{
    (void)unused;
    /* esphome/esphome#10136: one junk byte before every reply, the last one cut off; and the same
     * thread's second user with three. */
    static const char *const stream =
        "00 55 F4 91 00 86 E4 33 B5 7D 00 82 06 00 A4 1A 00 36 4E 00 00 01 00 33 "
        "00 55 C3 91 00 DD E8 33 E7 7E 00 6B 06 00 A4 1A 00 2E 4E 00 00 01 00 F5 "
        "00 55 D9 91 00 43 DD 33 AD 7D 00 79 06 00 A4 1A 00 36 4E 00 00 01 00 A9 "
        "00 55 DB 91 00 D6 DB 33 99 7C 00 61 06 00 A4 1A 00 "
        "01 F0 00 55 00 00 00 B7 DB 33 AC 29 01 00 00 00 00 00 00 36 4E 00 22 01 00 10 "
        "00 E0 00 55 00 00 00 4A DC 33 D6 27 01 00 00 00 00 00 00 2E 4E 00 22 01 00 5C";
    uint8_t bytes[256];
    size_t length = from_hex(stream, bytes, sizeof bytes);
    uint32_t voltages[8];
    struct bl0942_receiver receiver = {.wanted = 0};
    bl0942_receiver_expect_packet(&receiver, 0);
    assert_int_equal(push_all(&receiver, bytes, length, voltages), 5);
    static const uint32_t wanted[] = {3400838, 3401949, 3398979, 3398583, 3398730};
    assert_memory_equal(voltages, wanted, sizeof wanted);
    assert_int_equal(receiver.junk_bytes, 3 + 1 + 16 + 3 + 3);
}

static bool passes_before(const uint8_t *bytes, size_t end)
{
    struct bl0942_packet packet;
    for (size_t at = 0; at < end; at++)
        if (bl0942_decode_packet(bytes + at, 0, &packet))
            return true;
    return false;
}

/* A good frame behind the first `cut` bytes of another, for all frames and all cuts. The checksum
 * has only 8 bits: now and then the cut frame's bytes with the beginning of the good one make a
 * packet that nobody could tell from a real one. */
static void test_truncated_frame_then_good_one(void **unused)
{
    (void)unused;
    unsigned tries = 0, coincidences = 0;
    for (size_t i = 0; i < CAPTURES; i++) {
        for (size_t j = 0; j < CAPTURES; j++) {
            for (size_t cut = 0; cut < BL0942_PACKET_SIZE; cut++) {
                uint8_t bytes[2 * BL0942_PACKET_SIZE];
                from_hex(captures[i].bytes, bytes, BL0942_PACKET_SIZE);
                from_hex(captures[j].bytes, bytes + cut, BL0942_PACKET_SIZE);
                struct bl0942_receiver receiver = {.wanted = 0};
                bl0942_receiver_expect_packet(&receiver, 0);
                uint32_t voltages[4];
                tries++;
                if (passes_before(bytes, cut)) {
                    coincidences++;
                    continue;
                }
                unsigned found = push_all(&receiver, bytes, cut + BL0942_PACKET_SIZE, voltages);
                if (found != 1 || voltages[0] != captures[j].voltage)
                    fail_msg("%s cut at %zu hid %s", captures[i].name, cut, captures[j].name);
                assert_int_equal(receiver.junk_bytes, cut);
            }
        }
    }
    if (coincidences > tries / 1000)
        fail_msg("%u of %u cuts make a packet of their own", coincidences, tries);
}

static void test_headers_without_end(void **unused)
{
    (void)unused;
    uint8_t bytes[1024];
    memset(bytes, 0x55, sizeof bytes);
    size_t at = 700; /* behind 700 bytes that all look like a header */
    from_hex(captures[0].bytes, bytes + at, BL0942_PACKET_SIZE);
    struct bl0942_receiver receiver = {.wanted = 0};
    bl0942_receiver_expect_packet(&receiver, 0);
    uint32_t voltages[4];
    assert_int_equal(push_all(&receiver, bytes, at + BL0942_PACKET_SIZE, voltages), 1);
    assert_int_equal(voltages[0], captures[0].voltage);
}

static void test_register_reply_behind_junk(void **unused)
{
    (void)unused;
    static const char *const junk[] = {"",   "00",    "01 F0 00", "58 19",
                                       "8F", "8F 00", "8F 00 00", "55 21 00 00 6D 42 38 60 B9"};
    for (size_t i = 0; i < sizeof junk / sizeof junk[0]; i++) {
        uint8_t bytes[32];
        size_t length = from_hex(junk[i], bytes, sizeof bytes);
        length += from_hex("8F 00 00 FE", bytes + length, sizeof bytes - length);
        struct bl0942_receiver receiver = {.wanted = 0};
        bl0942_receiver_expect_reply(&receiver, 1, BL0942_MODE);
        for (size_t at = 0; at < length; at++)
            assert_int_equal(bl0942_receiver_push(&receiver, bytes[at]), at == length - 1);
        assert_int_equal(receiver.value, 0x8F);
        assert_int_equal(receiver.junk_bytes, length - 4);
    }
}

static void test_nothing_is_taken_unasked(void **unused)
{
    (void)unused;
    uint8_t bytes[BL0942_PACKET_SIZE];
    from_hex(captures[0].bytes, bytes, sizeof bytes);
    struct bl0942_receiver receiver = {.wanted = 0};
    uint32_t voltages[4];
    assert_int_equal(push_all(&receiver, bytes, sizeof bytes, voltages), 0);
    assert_int_equal(receiver.junk_bytes, sizeof bytes);
    /* The half of an answer that was awaited before is no part of the next. */
    bl0942_receiver_expect_packet(&receiver, 0);
    assert_int_equal(push_all(&receiver, bytes, 10, voltages), 0);
    bl0942_receiver_expect_packet(&receiver, 0);
    assert_int_equal(push_all(&receiver, bytes + 10, 13, voltages), 0);
    bl0942_receiver_expect_nothing(&receiver);
    assert_int_equal(receiver.junk_bytes, 2 * sizeof bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_captures),
        cmocka_unit_test(test_the_checksum_carries_the_address),
        cmocka_unit_test(test_every_single_flip_is_noticed),
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_register_replies),
        cmocka_unit_test(test_streams_from_the_field),
        cmocka_unit_test(test_truncated_frame_then_good_one),
        cmocka_unit_test(test_headers_without_end),
        cmocka_unit_test(test_register_reply_behind_junk),
        cmocka_unit_test(test_nothing_is_taken_unasked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
