/* SPDX-License-Identifier: MIT */
/* drivers/beken/frame: commands to bytes and replies from bytes, by the frames that were seen
 * between public flashers and real bootloaders. */
#include "drivers/beken/bytes.h"
#include "drivers/beken/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void check_command(const struct beken_command *command, size_t length, const uint8_t *start,
                          size_t start_length)
{
    assert_int_equal(command->length, length);
    assert_memory_equal(command->bytes, start, start_length);
}

#define CHECK_COMMAND(length, ...)                                                                 \
    do {                                                                                           \
        static const uint8_t wanted[] = {__VA_ARGS__};                                             \
        check_command(&command, (length), wanted, sizeof wanted);                                  \
    } while (0)

static void test_short_commands(void **unused)
{
    (void)unused;
    struct beken_command command;
    beken_command_link_check(&command);
    CHECK_COMMAND(5, 0x01, 0xE0, 0xFC, 0x01, 0x00);
    beken_command_set_baud(&command, 921600, 20);
    CHECK_COMMAND(10, 0x01, 0xE0, 0xFC, 0x06, 0x0F, 0x00, 0x10, 0x0E, 0x00, 0x14);
    beken_command_set_baud(&command, 2000000, 100);
    CHECK_COMMAND(10, 0x01, 0xE0, 0xFC, 0x06, 0x0F, 0x80, 0x84, 0x1E, 0x00, 0x64);
    beken_command_read_boot_version(&command);
    CHECK_COMMAND(5, 0x01, 0xE0, 0xFC, 0x01, 0x11);
    beken_command_read_register(&command, 0x00800000);
    CHECK_COMMAND(9, 0x01, 0xE0, 0xFC, 0x05, 0x03, 0x00, 0x00, 0x80, 0x00);
    beken_command_write_register(&command, 0x00800074, 1);
    CHECK_COMMAND(13, 0x01, 0xE0, 0xFC, 0x09, 0x01, 0x74, 0x00, 0x80, 0x00, 0x01, 0x00, 0x00, 0x00);
    beken_command_check_crc(&command, 0x11000, 0x11FFF);
    CHECK_COMMAND(13, 0x01, 0xE0, 0xFC, 0x09, 0x10, 0x00, 0x10, 0x01, 0x00, 0xFF, 0x1F, 0x01, 0x00);
    beken_command_reboot(&command);
    CHECK_COMMAND(6, 0x01, 0xE0, 0xFC, 0x02, 0x0E, 0xA5);
    beken_command_stay_rom(&command);
    CHECK_COMMAND(6, 0x01, 0xE0, 0xFC, 0x02, 0xAA, 0x55);
}

static void test_flash_commands(void **unused)
{
    (void)unused;
    struct beken_command command;
    uint8_t sector[BEKEN_SECTOR_SIZE];
    for (size_t i = 0; i < sizeof sector; i++)
        sector[i] = (uint8_t)i;
    beken_command_get_flash_id(&command);
    CHECK_COMMAND(12, 0x01, 0xE0, 0xFC, 0xFF, 0xF4, 0x05, 0x00, 0x0E, 0x9F, 0x00, 0x00, 0x00);
    beken_command_read_sr(&command, 0x35);
    CHECK_COMMAND(9, 0x01, 0xE0, 0xFC, 0xFF, 0xF4, 0x02, 0x00, 0x0C, 0x35);
    beken_command_write_sr(&command, 0x01, 0, 2);
    CHECK_COMMAND(11, 0x01, 0xE0, 0xFC, 0xFF, 0xF4, 0x04, 0x00, 0x0D, 0x01, 0x00, 0x00);
    beken_command_write_sr(&command, 0x01, 0, 1);
    CHECK_COMMAND(10, 0x01, 0xE0, 0xFC, 0xFF, 0xF4, 0x03, 0x00, 0x0D, 0x01, 0x00);
    beken_command_read_4k(&command, 0x11000);
    CHECK_COMMAND(12, 0x01, 0xE0, 0xFC, 0xFF, 0xF4, 0x05, 0x00, 0x09, 0x00, 0x10, 0x01, 0x00);
    beken_command_erase(&command, BEKEN_ERASE_4K, 0x11000);
    CHECK_COMMAND(13, 0x01, 0xE0, 0xFC, 0xFF, 0xF4, 0x06, 0x00, 0x0F, 0x20, 0x00, 0x10, 0x01, 0x00);
    beken_command_erase(&command, BEKEN_ERASE_64K, 0x20000);
    CHECK_COMMAND(13, 0x01, 0xE0, 0xFC, 0xFF, 0xF4, 0x06, 0x00, 0x0F, 0xD8, 0x00, 0x00, 0x02, 0x00);
    beken_command_erase_4k(&command, 0x11000);
    CHECK_COMMAND(12, 0x01, 0xE0, 0xFC, 0xFF, 0xF4, 0x05, 0x00, 0x0B, 0x00, 0x10, 0x01, 0x00);
    beken_command_write_4k(&command, 0x11000, sector);
    CHECK_COMMAND(4108, 0x01, 0xE0, 0xFC, 0xFF, 0xF4, 0x05, 0x10, 0x07, 0x00, 0x10, 0x01, 0x00,
                  0x00, 0x01, 0x02);
    assert_memory_equal(command.bytes + 12, sector, sizeof sector);
    assert_true(beken_command_write_page(&command, 0x11000, sector, 256));
    CHECK_COMMAND(268, 0x01, 0xE0, 0xFC, 0xFF, 0xF4, 0x05, 0x01, 0x06, 0x00, 0x10, 0x01, 0x00, 0x00,
                  0x01);
    assert_false(beken_command_write_page(&command, 0x11000, sector, 257));
    assert_false(beken_command_write_page(&command, 0x11000, sector, 0));
}

static bool feed(struct beken_parser *parser, const uint8_t *bytes, size_t length,
                 struct beken_reply *reply)
{
    assert_int_equal(beken_parser_push(parser, bytes, length), length);
    return beken_parser_next(parser, reply);
}

#define FEED(...)                                                                                  \
    do {                                                                                           \
        const uint8_t bytes[] = {__VA_ARGS__};                                                     \
        assert_true(feed(parser, bytes, sizeof bytes, &reply));                                    \
        assert_true(reply.well_formed);                                                            \
        assert_int_equal(reply.frame_length, sizeof bytes);                                        \
        assert_int_equal(beken_parser_pending(parser), 0);                                         \
    } while (0)

static void test_short_replies(void **unused)
{
    (void)unused;
    struct beken_parser *parser = beken_parser_create();
    struct beken_reply reply;
    FEED(0x04, 0x0E, 0x05, 0x01, 0xE0, 0xFC, 0x01, 0x00);
    assert_false(reply.flash);
    assert_int_equal(reply.command, 1);
    FEED(0x04, 0x0E, 0x09, 0x01, 0xE0, 0xFC, 0x0F, 0x00, 0x10, 0x0E, 0x00, 0x14);
    assert_int_equal(reply.command, BEKEN_SET_BAUD);
    assert_int_equal(reply.value, 921600);
    FEED(0x04, 0x0E, 0x14, 0x01, 0xE0, 0xFC, 0x11, 'B', 'K', '7', '2', '3', '1', 'S', '_', '1', '.',
         '0', '.', '5', 0, 0, 0);
    assert_memory_equal(reply.data, "BK7231S_1.0.5", 13);
    FEED(0x04, 0x0E, 0x0C, 0x01, 0xE0, 0xFC, 0x03, 0x00, 0x00, 0x80, 0x00, 0x1C, 0x23, 0x07, 0x00);
    assert_int_equal(reply.address, 0x800000);
    assert_int_equal(reply.value, 0x7231C);
    FEED(0x04, 0x0E, 0x0C, 0x01, 0xE0, 0xFC, 0x01, 0x74, 0x00, 0x80, 0x00, 0x01, 0x00, 0x00, 0x00);
    assert_int_equal(reply.address, 0x800074);
    FEED(0x04, 0x0E, 0x08, 0x01, 0xE0, 0xFC, 0x10, 0xF5, 0x98, 0xAB, 0x0E);
    assert_int_equal(reply.value, 0x0EAB98F5);
    beken_parser_free(parser);
}

static void test_flash_replies(void **unused)
{
    (void)unused;
    struct beken_parser *parser = beken_parser_create();
    struct beken_reply reply;
    /* The real boot ROM's length is one too long; the right one is understood, too. */
    FEED(0x04, 0x0E, 0xFF, 0x01, 0xE0, 0xFC, 0xF4, 0x06, 0x00, 0x0E, 0x00, 0x00, 0xEB, 0x60, 0x15);
    assert_true(reply.flash);
    assert_int_equal(reply.value, 0x1560EB);
    FEED(0x04, 0x0E, 0xFF, 0x01, 0xE0, 0xFC, 0xF4, 0x05, 0x00, 0x0E, 0x00, 0xEB, 0x60, 0x15);
    assert_int_equal(reply.value, 0x1560EB);
    FEED(0x04, 0x0E, 0xFF, 0x01, 0xE0, 0xFC, 0xF4, 0x04, 0x00, 0x0C, 0x00, 0x05, 0x7C);
    assert_int_equal(reply.address, 5);
    assert_int_equal(reply.value, 0x7C);
    FEED(0x04, 0x0E, 0xFF, 0x01, 0xE0, 0xFC, 0xF4, 0x05, 0x00, 0x0D, 0x00, 0x01, 0x34, 0x12);
    assert_int_equal(reply.value, 0x1234);
    FEED(0x04, 0x0E, 0xFF, 0x01, 0xE0, 0xFC, 0xF4, 0x07, 0x00, 0x0F, 0x00, 0xD8, 0x00, 0x00, 0x02,
         0x00);
    assert_int_equal(reply.value, BEKEN_ERASE_64K);
    assert_int_equal(reply.address, 0x20000);
    FEED(0x04, 0x0E, 0xFF, 0x01, 0xE0, 0xFC, 0xF4, 0x06, 0x00, 0x0B, 0x00, 0x00, 0x10, 0x01, 0x00);
    FEED(0x04, 0x0E, 0xFF, 0x01, 0xE0, 0xFC, 0xF4, 0x06, 0x00, 0x07, 0x00, 0x00, 0x10, 0x01, 0x00);
    assert_int_equal(reply.address, 0x11000);
    /* 256 bytes written are counted in one byte. */
    FEED(0x04, 0x0E, 0xFF, 0x01, 0xE0, 0xFC, 0xF4, 0x07, 0x00, 0x06, 0x00, 0x00, 0x10, 0x01, 0x00,
         0x00);
    assert_int_equal(reply.value, 256);
    beken_parser_free(parser);
}

static void test_refusals_have_other_lengths(void **unused)
{
    (void)unused;
    struct beken_parser *parser = beken_parser_create();
    struct beken_reply reply;
    FEED(0x04, 0x0E, 0xFF, 0x01, 0xE0, 0xFC, 0xF4, 0x07, 0x00, 0x09, 0x06, 0x00, 0x00, 0x00, 0x00,
         0x00);
    assert_int_equal(reply.status, BEKEN_FLASH_ADDRESS_REFUSED);
    FEED(0x04, 0x0E, 0xFF, 0x01, 0xE0, 0xFC, 0xF4, 0x07, 0x00, 0x0F, 0x06, 0x20, 0x00, 0x10, 0x00,
         0x00);
    assert_int_equal(reply.status, 6);
    assert_int_equal(reply.address, 0x1000);
    FEED(0x04, 0x0E, 0xFF, 0x01, 0xE0, 0xFC, 0xF4, 0x06, 0x00, 0x07, 0x06, 0xE0, 0x20, 0x00, 0x00);
    assert_int_equal(reply.status, 6);
    assert_int_equal(reply.address, 0x20E0);
    beken_parser_free(parser);
}

static size_t make_read_reply(uint8_t *frame, uint32_t address)
{
    static const uint8_t header[] = {0x04, 0x0E, 0xFF, 0x01, 0xE0, 0xFC,
                                     0xF4, 0x06, 0x10, 0x09, 0x00};
    memcpy(frame, header, sizeof header);
    bytes_put_le32(frame + sizeof header, address);
    for (size_t i = 0; i < BEKEN_SECTOR_SIZE; i++)
        frame[sizeof header + 4 + i] = (uint8_t)(i * 7 + i / 256);
    return sizeof header + 4 + BEKEN_SECTOR_SIZE;
}

/* Byte by byte, with stray bytes, false starts and a late reply in front. */
static void test_read_reply_behind_noise_byte_by_byte(void **unused)
{
    (void)unused;
    static const uint8_t noise[] = {0x55, 0xAA, 0x04, 0x04, 0x0E, 0x05, 0x00,
                                    0x04, 0x0E, 0xFF, 0x01, 0xE0, 0xFD};
    static const uint8_t late[] = {0x04, 0x0E, 0x05, 0x01, 0xE0, 0xFC, 0x01, 0x00};
    uint8_t stream[sizeof noise + sizeof late + BEKEN_REPLY_MAX];
    memcpy(stream, noise, sizeof noise);
    memcpy(stream + sizeof noise, late, sizeof late);
    size_t length = make_read_reply(stream + sizeof noise + sizeof late, 0x11000);
    assert_int_equal(length, BEKEN_REPLY_MAX);
    struct beken_parser *parser = beken_parser_create();
    struct beken_reply reply;
    unsigned found = 0;
    for (size_t i = 0; i < sizeof stream; i++) {
        assert_int_equal(beken_parser_push(parser, &stream[i], 1), 1);
        while (beken_parser_next(parser, &reply)) {
            found++;
            assert_true(reply.well_formed);
            assert_int_equal(reply.flash, found == 2);
        }
    }
    assert_int_equal(found, 2);
    assert_int_equal(reply.address, 0x11000);
    assert_int_equal(reply.length, 4 + BEKEN_SECTOR_SIZE);
    assert_int_equal(reply.data[4 + 300], (uint8_t)(300 * 7 + 1));
    assert_int_equal(beken_parser_junk(parser), sizeof noise);
    beken_parser_free(parser);
}

/* A lost byte leaves the parser waiting; reset makes it ready for the next reply. */
static void test_lost_byte_and_reset(void **unused)
{
    (void)unused;
    static uint8_t frame[BEKEN_REPLY_MAX];
    struct beken_parser *parser = beken_parser_create();
    struct beken_reply reply;
    size_t length = make_read_reply(frame, 0x12000);
    assert_false(feed(parser, frame, length - 1, &reply));
    assert_int_equal(beken_parser_pending(parser), length - 1);
    beken_parser_reset(parser);
    assert_int_equal(beken_parser_pending(parser), 0);
    assert_true(feed(parser, frame, length, &reply));
    assert_int_equal(reply.address, 0x12000);
    beken_parser_free(parser);
}

static void test_push_takes_only_what_fits(void **unused)
{
    (void)unused;
    static uint8_t frames[4 * BEKEN_REPLY_MAX];
    size_t total = 0;
    for (uint32_t i = 0; i < 4; i++)
        total += make_read_reply(frames + total, 0x11000 + i * 0x1000);
    struct beken_parser *parser = beken_parser_create();
    struct beken_reply reply;
    size_t done = 0;
    unsigned found = 0;
    while (done < total) {
        size_t taken = beken_parser_push(parser, frames + done, total - done);
        assert_true(taken > 0);
        done += taken;
        while (beken_parser_next(parser, &reply))
            assert_int_equal(reply.address, 0x11000 + found++ * 0x1000);
    }
    assert_int_equal(found, 4);
    beken_parser_free(parser);
}

static void test_nonsense_lengths_are_junk(void **unused)
{
    (void)unused;
    static const uint8_t too_long[] = {0x04, 0x0E, 0xFF, 0x01, 0xE0, 0xFC,
                                       0xF4, 0xFF, 0xFF, 0x09, 0x00};
    static const uint8_t too_short[] = {0x04, 0x0E, 0x02, 0x01, 0xE0, 0xFC, 0x01};
    static const uint8_t good[] = {0x04, 0x0E, 0x05, 0x01, 0xE0, 0xFC, 0x01, 0x00};
    struct beken_parser *parser = beken_parser_create();
    struct beken_reply reply;
    assert_false(feed(parser, too_long, sizeof too_long, &reply));
    assert_false(feed(parser, too_short, sizeof too_short, &reply));
    assert_true(feed(parser, good, sizeof good, &reply));
    assert_int_equal(beken_parser_junk(parser), sizeof too_long + sizeof too_short);
    /* A length that does not fit its command is a frame, but not a well-formed one. */
    static const uint8_t odd_crc[] = {0x04, 0x0E, 0x06, 0x01, 0xE0, 0xFC, 0x10, 0x01, 0x02};
    assert_true(feed(parser, odd_crc, sizeof odd_crc, &reply));
    assert_false(reply.well_formed);
    /* Error replies of other Beken ROMs. */
    static const uint8_t error[] = {0x04, 0x0E, 0x04, 0x01, 0xE0, 0xFC, 0xEE};
    assert_true(feed(parser, error, sizeof error, &reply));
    assert_false(reply.well_formed);
    assert_int_equal(reply.command, 0xEE);
    beken_parser_free(parser);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_short_commands),
        cmocka_unit_test(test_flash_commands),
        cmocka_unit_test(test_short_replies),
        cmocka_unit_test(test_flash_replies),
        cmocka_unit_test(test_refusals_have_other_lengths),
        cmocka_unit_test(test_read_reply_behind_noise_byte_by_byte),
        cmocka_unit_test(test_lost_byte_and_reset),
        cmocka_unit_test(test_push_takes_only_what_fits),
        cmocka_unit_test(test_nonsense_lengths_are_junk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
