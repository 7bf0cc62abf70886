/* SPDX-License-Identifier: MIT */
#include "drivers/beken/frame.h"

#include "drivers/base/memory.h"
#include "drivers/beken/bytes.h"

#include <string.h>

/* Bytes in front of a long reply's length field: 04 0E FF 01 E0 FC F4. */
enum { LONG_HEADER = 7 };

static uint8_t *start_short(struct beken_command *command, uint8_t code, size_t data_length)
{
    const uint8_t header[] = {0x01, 0xE0, 0xFC, (uint8_t)(1 + data_length), code};
    memcpy(command->bytes, header, sizeof header);
    command->length = sizeof header + data_length;
    return command->bytes + sizeof header;
}

static uint8_t *start_long(struct beken_command *command, uint8_t code, size_t data_length)
{
    const uint8_t header[] = {0x01, 0xE0, 0xFC, 0xFF, 0xF4, 0, 0, code};
    memcpy(command->bytes, header, sizeof header);
    bytes_put_le16(command->bytes + 5, (uint32_t)(1 + data_length));
    command->length = sizeof header + data_length;
    return command->bytes + sizeof header;
}

void beken_command_link_check(struct beken_command *command)
{
    (void)start_short(command, BEKEN_LINK_CHECK, 0);
}

void beken_command_set_baud(struct beken_command *command, uint32_t baud, uint8_t delay)
{
    uint8_t *data = start_short(command, BEKEN_SET_BAUD, 5);
    bytes_put_le32(data, baud);
    data[4] = delay;
}

void beken_command_read_boot_version(struct beken_command *command)
{
    (void)start_short(command, BEKEN_READ_BOOT_VERSION, 0);
}

void beken_command_read_register(struct beken_command *command, uint32_t address)
{
    bytes_put_le32(start_short(command, BEKEN_READ_REGISTER, 4), address);
}

void beken_command_write_register(struct beken_command *command, uint32_t address, uint32_t value)
{
    uint8_t *data = start_short(command, BEKEN_WRITE_REGISTER, 8);
    bytes_put_le32(data, address);
    bytes_put_le32(data + 4, value);
}

void beken_command_check_crc(struct beken_command *command, uint32_t first, uint32_t last)
{
    uint8_t *data = start_short(command, BEKEN_CHECK_CRC, 8);
    bytes_put_le32(data, first);
    bytes_put_le32(data + 4, last);
}

void beken_command_reboot(struct beken_command *command)
{
    *start_short(command, BEKEN_REBOOT, 1) = 0xA5;
}

void beken_command_stay_rom(struct beken_command *command)
{
    *start_short(command, BEKEN_STAY_ROM, 1) = 0x55;
}

void beken_command_get_flash_id(struct beken_command *command)
{
    bytes_put_le32(start_long(command, BEKEN_FLASH_GET_ID, 4), 0x9F);
}

void beken_command_read_sr(struct beken_command *command, uint8_t opcode)
{
    *start_long(command, BEKEN_FLASH_READ_SR, 1) = opcode;
}

void beken_command_write_sr(struct beken_command *command, uint8_t opcode, uint16_t value,
                            unsigned size)
{
    uint8_t *data = start_long(command, BEKEN_FLASH_WRITE_SR, size == 1 ? 2 : 3);
    data[0] = opcode;
    data[1] = (uint8_t)value;
    if (size != 1)
        data[2] = (uint8_t)(value >> 8);
}

void beken_command_read_4k(struct beken_command *command, uint32_t address)
{
    bytes_put_le32(start_long(command, BEKEN_FLASH_READ_4K, 4), address);
}

void beken_command_write_4k(struct beken_command *command, uint32_t address,
                            const uint8_t bytes[BEKEN_SECTOR_SIZE])
{
    uint8_t *data = start_long(command, BEKEN_FLASH_WRITE_4K, 4 + BEKEN_SECTOR_SIZE);
    bytes_put_le32(data, address);
    memcpy(data + 4, bytes, BEKEN_SECTOR_SIZE);
}

bool beken_command_write_page(struct beken_command *command, uint32_t address, const uint8_t *bytes,
                              size_t count)
{
    if (count == 0 || count > BEKEN_PAGE_SIZE)
        return false;
    uint8_t *data = start_long(command, BEKEN_FLASH_WRITE, 4 + count);
    bytes_put_le32(data, address);
    memcpy(data + 4, bytes, count);
    return true;
}

void beken_command_erase(struct beken_command *command, enum beken_erase_size size,
                         uint32_t address)
{
    uint8_t *data = start_long(command, BEKEN_FLASH_ERASE, 5);
    data[0] = (uint8_t)size;
    bytes_put_le32(data + 1, address);
}

void beken_command_erase_4k(struct beken_command *command, uint32_t address)
{
    bytes_put_le32(start_long(command, BEKEN_FLASH_ERASE_4K, 4), address);
}

/* Two of the longest replies: after all whole ones were taken there is always room for more. */
enum { PARSER_SIZE = 2 * BEKEN_REPLY_MAX };

struct beken_parser {
    size_t start; /* of the first byte not yet taken */
    size_t end;
    uint64_t junk;
    uint8_t buffer[PARSER_SIZE];
};

struct beken_parser *beken_parser_create(void)
{
    return memory_new(1, sizeof(struct beken_parser));
}

void beken_parser_free(struct beken_parser *parser)
{
    free(parser);
}

void beken_parser_reset(struct beken_parser *parser)
{
    parser->start = 0;
    parser->end = 0;
}

size_t beken_parser_push(struct beken_parser *parser, const uint8_t *bytes, size_t length)
{
    if (parser->start > 0) {
        memmove(parser->buffer, parser->buffer + parser->start, parser->end - parser->start);
        parser->end -= parser->start;
        parser->start = 0;
    }
    size_t room = sizeof parser->buffer - parser->end;
    size_t count = length < room ? length : room;
    if (count > 0)
        memcpy(parser->buffer + parser->end, bytes, count);
    parser->end += count;
    return count;
}

size_t beken_parser_pending(const struct beken_parser *parser)
{
    return parser->end - parser->start;
}

uint64_t beken_parser_junk(const struct beken_parser *parser)
{
    return parser->junk;
}

/* Replies to short commands are at most 20 bytes long; a longer length field is line noise. */
enum { SHORT_REPLY_LENGTH_MIN = 4, SHORT_REPLY_LENGTH_MAX = 32, LONG_REPLY_LENGTH_MIN = 2 };

enum fit { FIT_NO, FIT_MORE, FIT_WHOLE };

/* Whether a reply stands at bytes[0]; *total is its length when it does. */
static enum fit measure(const uint8_t *bytes, size_t available, size_t *total)
{
    static const uint8_t short_prefix[] = {0x01, 0xE0, 0xFC};
    static const uint8_t long_prefix[] = {0x01, 0xE0, 0xFC, 0xF4};
    if (bytes[0] != 0x04 || (available > 1 && bytes[1] != 0x0E))
        return FIT_NO;
    if (available < 3)
        return FIT_MORE;
    bool is_long = bytes[2] == 0xFF;
    const uint8_t *prefix = is_long ? long_prefix : short_prefix;
    size_t prefix_length = is_long ? sizeof long_prefix : sizeof short_prefix;
    size_t there = available - 3 < prefix_length ? available - 3 : prefix_length;
    if (memcmp(bytes + 3, prefix, there) != 0)
        return FIT_NO;
    if (!is_long) {
        if (bytes[2] < SHORT_REPLY_LENGTH_MIN || bytes[2] > SHORT_REPLY_LENGTH_MAX)
            return FIT_NO;
        *total = 3 + (size_t)bytes[2];
        return available < *total ? FIT_MORE : FIT_WHOLE;
    }
    if (available < LONG_HEADER + 2)
        return FIT_MORE;
    size_t length = bytes_get_le16(bytes + LONG_HEADER);
    if (length < LONG_REPLY_LENGTH_MIN || LONG_HEADER + 2 + length > BEKEN_REPLY_MAX)
        return FIT_NO;
    *total = LONG_HEADER + 2 + length;
    return available < *total ? FIT_MORE : FIT_WHOLE;
}

static bool decode_short(struct beken_reply *reply)
{
    const uint8_t *data = reply->data;
    switch (reply->command) {
    case BEKEN_WRITE_REGISTER: /* LinkCheck's reply wears the same number */
        if (reply->length == 1) {
            reply->value = data[0];
            return true;
        }
        if (reply->length != 8)
            return false;
        reply->address = bytes_get_le32(data);
        reply->value = bytes_get_le32(data + 4);
        return true;
    case BEKEN_READ_REGISTER:
        if (reply->length != 8)
            return false;
        reply->address = bytes_get_le32(data);
        reply->value = bytes_get_le32(data + 4);
        return true;
    case BEKEN_SET_BAUD:
        if (reply->length != 5)
            return false;
        reply->value = bytes_get_le32(data);
        return true;
    case BEKEN_CHECK_CRC:
        if (reply->length != 4)
            return false;
        reply->value = bytes_get_le32(data);
        return true;
    case BEKEN_READ_BOOT_VERSION:
        return reply->length == BEKEN_BOOT_VERSION_SIZE;
    case BEKEN_STAY_ROM:
        return reply->length == 1;
    default:
        return false;
    }
}

/* The id's length field counts one byte too many on real boot ROMs; the three bytes are the last.
 */
static bool decode_flash_id(struct beken_reply *reply)
{
    if (reply->length < 3 || reply->length > 4)
        return false;
    const uint8_t *id = reply->data + reply->length - 3;
    reply->value = (uint32_t)id[0] | (uint32_t)id[1] << 8 | (uint32_t)id[2] << 16;
    return true;
}

static bool decode_long(struct beken_reply *reply)
{
    const uint8_t *data = reply->data;
    size_t length = reply->length;
    switch (reply->command) {
    case BEKEN_FLASH_READ_4K:
    case BEKEN_FLASH_WRITE_4K:
    case BEKEN_FLASH_ERASE_4K:
        if (length < 4)
            return false;
        reply->address = bytes_get_le32(data);
        /* A refused read comes with a byte or nothing instead of 4096. */
        return reply->status != BEKEN_FLASH_OK || reply->command != BEKEN_FLASH_READ_4K ||
               length == 4 + BEKEN_SECTOR_SIZE;
    case BEKEN_FLASH_WRITE:
        if (length != 5)
            return false;
        reply->address = bytes_get_le32(data);
        reply->value = data[4] == 0 ? BEKEN_PAGE_SIZE : data[4]; /* the low byte of the count */
        return true;
    case BEKEN_FLASH_ERASE:
        if (length != 5)
            return false;
        reply->value = data[0];
        reply->address = bytes_get_le32(data + 1);
        return true;
    case BEKEN_FLASH_READ_SR:
    case BEKEN_FLASH_WRITE_SR:
        if (length < 2 || length > 3)
            return false;
        reply->address = data[0];
        reply->value = length == 2 ? data[1] : bytes_get_le16(data + 1);
        return true;
    case BEKEN_FLASH_GET_ID:
        return decode_flash_id(reply);
    default:
        return false;
    }
}

static void decode(const uint8_t *frame, size_t total, struct beken_reply *reply)
{
    *reply = (struct beken_reply){.frame_length = total};
    if (frame[2] == 0xFF) {
        reply->flash = true;
        reply->command = frame[9];
        reply->status = frame[10];
        reply->data = frame + 11;
        reply->length = total - 11;
        reply->well_formed = decode_long(reply);
        return;
    }
    reply->command = frame[6];
    reply->data = frame + 7;
    reply->length = total - 7;
    reply->well_formed = decode_short(reply);
}

bool beken_parser_next(struct beken_parser *parser, struct beken_reply *reply)
{
    while (parser->start < parser->end) {
        const uint8_t *frame = parser->buffer + parser->start;
        size_t total = 0;
        switch (measure(frame, parser->end - parser->start, &total)) {
        case FIT_MORE:
            return false;
        case FIT_WHOLE:
            decode(frame, total, reply);
            parser->start += total;
            return true;
        case FIT_NO:
            parser->start++;
            parser->junk++;
            break;
        }
    }
    return false;
}
