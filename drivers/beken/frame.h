/* SPDX-License-Identifier: MIT */
/**
 * The frames that a BK7231's boot ROM (N family) and flash bootloader (T family) speak on UART1.
 * Pure: bytes to meaning and back. All integers are little-endian; frames carry no checksum and no
 * sequence number.
 *
 * Command: 01 E0 FC, then a short command (length8, command, data) or a long one for the flash
 * (FF F4, length16, command, data). Reply: 04 0E, then length8 01 E0 FC command data, or
 * FF 01 E0 FC F4 length16 command status data. The parser hunts for 04 0E and trusts the length
 * field alone, because refused replies are longer or shorter than good ones and stray bytes and
 * late replies stand in front of them.
 *
 * Facts from the public sources of bk7231tools, BK7231GUIFlashTool and hid_download_py.
 */
#ifndef DRIVERS_BEKEN_FRAME_H
#define DRIVERS_BEKEN_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BEKEN_SECTOR_SIZE 4096u
#define BEKEN_BLOCK_SIZE 65536u
#define BEKEN_PAGE_SIZE 256u

/** The longest command: FlashWrite4K. */
#define BEKEN_COMMAND_MAX 4108u
/** The longest reply that is understood: FlashRead4K. */
#define BEKEN_REPLY_MAX 4111u
#define BEKEN_BOOT_VERSION_SIZE 16u

/** Short commands; a reply to LinkCheck names command 01. */
enum beken_short_command {
    BEKEN_LINK_CHECK = 0x00,
    BEKEN_WRITE_REGISTER = 0x01,
    BEKEN_READ_REGISTER = 0x03,
    BEKEN_REBOOT = 0x0E,
    BEKEN_SET_BAUD = 0x0F,
    BEKEN_CHECK_CRC = 0x10,
    BEKEN_READ_BOOT_VERSION = 0x11,
    BEKEN_STAY_ROM = 0xAA,
};

/** Long commands. */
enum beken_flash_command {
    BEKEN_FLASH_WRITE = 0x06,
    BEKEN_FLASH_WRITE_4K = 0x07,
    BEKEN_FLASH_READ_4K = 0x09,
    BEKEN_FLASH_ERASE_4K = 0x0B,
    BEKEN_FLASH_READ_SR = 0x0C,
    BEKEN_FLASH_WRITE_SR = 0x0D,
    BEKEN_FLASH_GET_ID = 0x0E,
    BEKEN_FLASH_ERASE = 0x0F,
};

enum beken_erase_size { BEKEN_ERASE_4K = 0x20, BEKEN_ERASE_64K = 0xD8 };

/** Status byte of long replies. */
enum beken_flash_status { BEKEN_FLASH_OK = 0, BEKEN_FLASH_ADDRESS_REFUSED = 6 };

/** A command, ready to send. */
struct beken_command {
    size_t length;
    uint8_t bytes[BEKEN_COMMAND_MAX];
};

void beken_command_link_check(struct beken_command *command);
/** The chip waits about 2 ms x (delay + 1) after switching before it answers at the new rate. */
void beken_command_set_baud(struct beken_command *command, uint32_t baud, uint8_t delay);
void beken_command_read_boot_version(struct beken_command *command);
void beken_command_read_register(struct beken_command *command, uint32_t address);
void beken_command_write_register(struct beken_command *command, uint32_t address, uint32_t value);
/**
 * last is inclusive, and last - first + 1 must be a multiple of 256: the one spelling that the N
 * (which counts to an inclusive end) and the T (which counts whole 256-byte pages) agree on.
 */
void beken_command_check_crc(struct beken_command *command, uint32_t first, uint32_t last);
/** No reply. */
void beken_command_reboot(struct beken_command *command);
void beken_command_stay_rom(struct beken_command *command);
void beken_command_get_flash_id(struct beken_command *command);
/** opcode 05, 35 or 15. */
void beken_command_read_sr(struct beken_command *command, uint8_t opcode);
/** size 1 or 2 bytes of value. */
void beken_command_write_sr(struct beken_command *command, uint8_t opcode, uint16_t value,
                            unsigned size);
void beken_command_read_4k(struct beken_command *command, uint32_t address);
void beken_command_write_4k(struct beken_command *command, uint32_t address,
                            const uint8_t bytes[BEKEN_SECTOR_SIZE]);
/** 1 to 256 bytes; false otherwise. */
bool beken_command_write_page(struct beken_command *command, uint32_t address, const uint8_t *bytes,
                              size_t count);
void beken_command_erase(struct beken_command *command, enum beken_erase_size size,
                         uint32_t address);
/** The other spelling of a 4 KiB erase; boot ROMs only. */
void beken_command_erase_4k(struct beken_command *command, uint32_t address);

/** A reply, decoded. Fields that the command does not use are 0. */
struct beken_reply {
    bool flash;          /**< long reply: command is a beken_flash_command and status is meant */
    uint8_t command;     /**< as the chip names it: LinkCheck answers 01; EE and FE are errors */
    bool well_formed;    /**< length and data fit the command */
    uint8_t status;      /**< of a long reply; 0 = done */
    uint32_t address;    /**< flash address, register address or status register opcode */
    uint32_t value;      /**< register, CRC, baud, flash id (0x1560EB), SR, erase size, count */
    const uint8_t *data; /**< everything after command (and status); valid until the next push */
    size_t length;       /**< of data */
    size_t frame_length; /**< whole reply on the wire */
};

struct beken_parser;

struct beken_parser *beken_parser_create(void);
void beken_parser_free(struct beken_parser *parser);
/** Forgets everything that was pushed and not yet taken; the junk count stays. */
void beken_parser_reset(struct beken_parser *parser);
/**
 * Takes bytes as they arrive; returns how many it took, fewer than length only when replies wait to
 * be taken with beken_parser_next. Call next until it answers false, then push the rest.
 */
size_t beken_parser_push(struct beken_parser *parser, const uint8_t *bytes, size_t length);
/** The next whole reply; false if there is none yet. */
bool beken_parser_next(struct beken_parser *parser, struct beken_reply *reply);
/** Bytes of an unfinished reply that wait for more. */
size_t beken_parser_pending(const struct beken_parser *parser);
/** Bytes that belonged to no reply, since creation. */
uint64_t beken_parser_junk(const struct beken_parser *parser);

#endif
