/* SPDX-License-Identifier: MIT */
/* The command sets of the BootROM and of Tuya's bootloader, and what each command does. */
#include "drivers/simulator/module_internal.h"

#include "drivers/base/memory.h"

#include <string.h>

/* The T refuses these below the limits; what it lets through besides is its danger. */
#define TUYA_ADDRESS_LIMIT 0x10000U
#define TUYA_WRITE4K_LIMIT 0x20E0U
#define STATUS_ADDRESS_REFUSED 6
#define COMMAND_NS 50000LL /* decoding and answering */
#define READ_NS 300000LL   /* 4 KiB from the flash into RAM */
#define CRC_LENGTH_MAX 0x4000000U
#define TUYA_PROTECT_MASK 0x407CU
#define TUYA_PROTECT_WORD 0x1CU /* every block */

enum { /* short commands */
       LINK_CHECK = 0x00,
       WRITE_REG = 0x01,
       READ_REG = 0x03,
       REBOOT = 0x0E,
       SET_BAUD_RATE = 0x0F,
       CHECK_CRC = 0x10,
       READ_BOOT_VERSION = 0x11,
       RESET = 0x70,
       STAY_ROM = 0xAA,
};

enum { /* long commands, the flash's */
       FLASH_WRITE = 0x06,
       FLASH_WRITE_4K = 0x07,
       FLASH_READ = 0x08,
       FLASH_READ_4K = 0x09,
       FLASH_ERASE_ALL = 0x0A,
       FLASH_ERASE_4K = 0x0B,
       FLASH_READ_SR = 0x0C,
       FLASH_WRITE_SR = 0x0D,
       FLASH_GET_MID = 0x0E,
       FLASH_ERASE = 0x0F,
};

enum {
    REG_CHIP_ID = 0x00800000,
    REG_EFUSE_CONTROL = 0x00800074,
    REG_EFUSE_DATA = 0x00800078,
};

static const struct known {
    uint8_t command;
    uint8_t minimum; /* data bytes after the command */
    bool is_long, tuya, bootrom;
} known_commands[] = {
    {LINK_CHECK, 0, false, true, true},         {WRITE_REG, 8, false, false, true},
    {READ_REG, 4, false, false, true},          {REBOOT, 1, false, true, true},
    {SET_BAUD_RATE, 5, false, true, true},      {CHECK_CRC, 8, false, true, true},
    {READ_BOOT_VERSION, 0, false, true, false}, {RESET, 4, false, false, true},
    {STAY_ROM, 1, false, false, true},          {FLASH_WRITE, 4, true, true, true},
    {FLASH_WRITE_4K, 4, true, true, true},      {FLASH_READ, 6, true, false, true},
    {FLASH_READ_4K, 4, true, true, true},       {FLASH_ERASE_ALL, 1, true, false, true},
    {FLASH_ERASE_4K, 4, true, false, true},     {FLASH_READ_SR, 1, true, false, true},
    {FLASH_WRITE_SR, 2, true, false, true},     {FLASH_GET_MID, 0, true, false, true},
    {FLASH_ERASE, 5, true, true, true},
};

static const uint8_t tuya_key[16] = {0x93, 0xB0, 0x0F, 0x51, 0xDC, 0xEA, 0xCB, 0xA3,
                                     0x7E, 0xA1, 0x93, 0x59, 0x03, 0xEB, 0xAD, 0xC7};

/* Bytes ---------------------------------------------------------------------------------------- */

static uint32_t get32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

static void put32(uint8_t *bytes, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
}

static void reply_short(struct module *module, uint8_t command, const uint8_t *data, size_t length)
{
    uint8_t bytes[7 + 32] = {0x04, 0x0E, (uint8_t)(4 + length), 0x01, 0xE0, 0xFC, command};
    if (length > 0)
        memcpy(bytes + 7, data, length);
    module_reply(module, bytes, 7 + length);
}

static void reply_long(struct module *module, uint8_t status, const uint8_t *data, size_t length)
{
    uint8_t *bytes memory_auto = memory_new(11 + length, 1);
    const uint8_t head[] = {0x04,
                            0x0E,
                            0xFF,
                            0x01,
                            0xE0,
                            0xFC,
                            0xF4,
                            (uint8_t)(2 + length),
                            (uint8_t)((2 + length) >> 8),
                            module->frame.payload[0],
                            status};
    memcpy(bytes, head, sizeof head);
    memcpy(bytes + sizeof head, data, length);
    if (status == STATUS_ADDRESS_REFUSED)
        module->counters.refused++;
    module_reply(module, bytes, sizeof head + length);
}

static const uint8_t *data_of(const struct module *module)
{
    return module->frame.payload + 1;
}

static uint32_t data_length(const struct module *module)
{
    return module->frame.got - 1;
}

/* What a command is ---------------------------------------------------------------------------- */

static bool is_known(const struct module *module)
{
    const struct module_frame *frame = &module->frame;
    if (frame->got > sizeof frame->payload)
        return false;
    if (!frame->is_long && frame->got > MODULE_SHORT_MAX)
        return false;
    for (size_t i = 0; i < sizeof known_commands / sizeof known_commands[0]; i++) {
        const struct known *known = &known_commands[i];
        if (known->command == frame->payload[0] && known->is_long == frame->is_long)
            return (module_is_bootrom(module) ? known->bootrom : known->tuya) &&
                   data_length(module) >= known->minimum;
    }
    return false;
}

/* The comparisons run over all 32 bits, and the one for Erase is signed. */
static bool is_refused(const struct module *module, uint8_t command, uint32_t address)
{
    if (module_is_bootrom(module))
        return false;
    if (command == FLASH_WRITE_4K)
        return address < TUYA_WRITE4K_LIMIT;
    if (command == FLASH_ERASE)
        return (int32_t)address < (int32_t)TUYA_ADDRESS_LIMIT;
    return address < TUYA_ADDRESS_LIMIT;
}

/* The T counts whole pages only, the ROM to the end address and with it. */
static uint32_t crc_length(const struct module *module)
{
    uint32_t start = get32(data_of(module));
    uint32_t end = get32(data_of(module) + 4);
    uint32_t length = end - start + 1;
    return module_is_bootrom(module) ? length : length / NOR_PAGE * NOR_PAGE;
}

/* Protection on the T: a LinkCheck arms, an armed Erase unprotects, CheckCRC protects again. */

/* The ids in the T bootloader's table; for any other both of its words are 0: never protected. */
static bool tuya_protects(uint32_t id)
{
    static const uint32_t ids[] = {0x16701C, 0x15701C, 0x14400B, 0x15400B, 0x16400B,
                                   0x17400B, 0x16400E, 0x1540C8, 0x1640C8, 0x164020,
                                   0x1523C2, 0x1640EF, 0x1740EF, 0x166085};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        if (ids[i] == id)
            return true;
    return false;
}

/* Returns how long the status register takes. */
static int64_t tuya_protect(struct module *module, bool protect)
{
    uint32_t word = protect && tuya_protects(nor_id(module->nor)) ? TUYA_PROTECT_WORD : 0;
    uint32_t status = nor_status(module->nor);
    if ((status & TUYA_PROTECT_MASK) == word)
        return 0;
    uint32_t value = (status & ~TUYA_PROTECT_MASK) | word;
    const uint8_t bytes[2] = {(uint8_t)value, (uint8_t)(value >> 8)};
    int64_t duration_ns = (int64_t)(module->faults.status_ms * (double)MODULE_MS_NS);
    /* One register: two bytes would be ignored. */
    nor_write_status(module->nor, 0x01, bytes, nor_id(module->nor) == 0x15701C ? 1 : 2,
                     module->now_ns, duration_ns);
    return duration_ns;
}

/* Beginning ------------------------------------------------------------------------------------ */

bool module_command_streams(const struct module *module)
{
    const struct module_frame *frame = &module->frame;
    return frame->is_long && frame->payload[0] == FLASH_WRITE_4K && frame->got > 5 &&
           frame->got <= sizeof frame->payload && module->faults.stream > 0;
}

void module_command_page(struct module *module)
{
    uint32_t address = get32(data_of(module));
    if (is_refused(module, FLASH_WRITE_4K, address))
        return;
    uint32_t page = module->frame.got - NOR_PAGE;
    module_program_start(module, address + page - 5, module->frame.payload + page, NOR_PAGE, false);
}

static void begin_unknown(struct module *module)
{
    module->counters.unknown_frames++;
    if (module_is_bootrom(module) && module->faults.answer_unknown > 0)
        reply_short(module, 0xEE, NULL, 0);
}

static int64_t begin_set_baud(struct module *module)
{
    uint32_t baud = get32(data_of(module));
    if (baud == 0 || baud < module->faults.min_baud)
        return -1;
    /* At once, before the answer; then delay + 1 ticks of 2 ms. */
    module->counters.baud_changes++;
    module_set_baud(module, baud);
    int64_t delay_ns = (data_of(module)[4] + INT64_C(1)) * 2 * MODULE_MS_NS;
    return (int64_t)((double)delay_ns * module->window_scale);
}

static int64_t begin_erase(struct module *module, uint32_t size, uint32_t address, uint8_t command)
{
    if (is_refused(module, command, address))
        return COMMAND_NS;
    int64_t wait_ns = 0;
    if (!module_is_bootrom(module) && module->armed) {
        module->armed = false;
        wait_ns = tuya_protect(module, false);
    }
    double ms = size == NOR_SECTOR ? module->faults.erase_4k_ms
                : size == NOR_BLOCK
                    ? module->faults.erase_64k_ms
                    : module->faults.erase_64k_ms * nor_size(module->nor) / NOR_BLOCK;
    ms *= size == 0 ? 0 : 0.9 + 0.2 * chance_unit(&module->chance);
    int64_t busy_ns = nor_ready_ns(module->nor) - module->now_ns;
    if (wait_ns < busy_ns)
        wait_ns = busy_ns;
    return wait_ns + COMMAND_NS + (int64_t)(ms * (double)MODULE_MS_NS);
}

static uint32_t erase_size(const struct module *module)
{
    uint8_t opcode = data_of(module)[0];
    return opcode == 0x20 ? NOR_SECTOR : opcode == 0xD8 ? NOR_BLOCK : 0;
}

static int64_t begin_crc(struct module *module)
{
    uint32_t length = crc_length(module);
    if (length > CRC_LENGTH_MAX) {
        module->hung = true; /* for minutes, and nobody would read on */
        return -1;
    }
    int64_t protect_ns = module_is_bootrom(module) ? 0 : tuya_protect(module, true);
    return protect_ns + COMMAND_NS + (int64_t)(length / module->faults.crc_bytes_per_s * 1e9);
}

/* FlashWrite and a Write4K that was not streamed. True if there is something to program. */
static bool begin_program(struct module *module)
{
    uint8_t command = module->frame.payload[0];
    uint32_t address = get32(data_of(module));
    uint32_t length = data_length(module) - 4;
    if (is_refused(module, command, address) || length == 0)
        return false;
    if (command == FLASH_WRITE_4K && module->faults.stream > 0)
        return false; /* its pages are in the flash already */
    module_program_start(module, address, data_of(module) + 4, length, true);
    return true;
}

/* The time until module_command_finish, or -1 if the command is not to be answered. */
static int64_t begin_short(struct module *module)
{
    const uint8_t *data = data_of(module);
    switch (module->frame.payload[0]) {
    case REBOOT:
        return data[0] == 0xA5 ? COMMAND_NS : -1;
    case RESET:
        return memcmp(data, "SEAN", 4) == 0 ? COMMAND_NS : -1;
    case STAY_ROM:
        return data[0] == 0x55 ? COMMAND_NS : -1;
    case SET_BAUD_RATE:
        return begin_set_baud(module);
    case CHECK_CRC:
        return begin_crc(module);
    default:
        return COMMAND_NS;
    }
}

static int64_t begin_long(struct module *module)
{
    const uint8_t *data = data_of(module);
    switch (module->frame.payload[0]) {
    case FLASH_READ:
    case FLASH_READ_4K:
        return READ_NS;
    case FLASH_ERASE:
        return begin_erase(module, erase_size(module), get32(data + 1), FLASH_ERASE);
    case FLASH_ERASE_4K:
        return begin_erase(module, NOR_SECTOR, get32(data), FLASH_ERASE_4K);
    case FLASH_ERASE_ALL:
        return begin_erase(module, nor_size(module->nor), 0, FLASH_ERASE_ALL);
    default:
        return COMMAND_NS;
    }
}

void module_command_begin(struct module *module)
{
    module->frame_pending = false;
    if (!is_known(module)) {
        begin_unknown(module);
        return;
    }
    uint8_t command = module->frame.payload[0];
    if (module->frame.is_long && (command == FLASH_WRITE || command == FLASH_WRITE_4K) &&
        begin_program(module))
        return;
    int64_t duration_ns = module->frame.is_long ? begin_long(module) : begin_short(module);
    if (duration_ns >= 0)
        module_job_start(module, MODULE_JOB_COMMAND, duration_ns);
}

/* Finishing ------------------------------------------------------------------------------------ */

static void finish_link_check(struct module *module)
{
    module->armed = true;
    module->counters.links++;
    if (module->state == MODULE_LISTENING)
        module->state = MODULE_LINKED;
    reply_short(module, 0x01, (const uint8_t[]){0x00}, 1);
}

static void finish_write_reg(struct module *module)
{
    uint32_t address = get32(data_of(module));
    uint32_t value = get32(data_of(module) + 4);
    if (address == REG_EFUSE_CONTROL) {
        uint32_t index = value >> 8 & 0x1F;
        uint8_t byte = 0;
        if (index < sizeof tuya_key && module->chip == MODULE_BK7231N)
            byte = tuya_key[index] ^ (module->faults.foreign_key > 0 ? 0x5A : 0);
        if ((value & 1) != 0)
            module->efuse_data = 0x100U | byte; /* bit 8: valid */
        module->efuse_control = value & ~1U;    /* bit 0: until it is done */
    }
    reply_short(module, WRITE_REG, data_of(module), 8);
}

static void finish_read_reg(struct module *module)
{
    uint32_t address = get32(data_of(module));
    uint32_t value = address == REG_CHIP_ID         ? 0x0007231CU
                     : address == REG_EFUSE_CONTROL ? module->efuse_control
                     : address == REG_EFUSE_DATA    ? module->efuse_data
                                                    : 0;
    uint8_t data[8];
    put32(data, address);
    put32(data + 4, value);
    reply_short(module, READ_REG, data, sizeof data);
}

static void finish_crc(struct module *module)
{
    uint32_t length = crc_length(module);
    module->counters.crcs++;
    module->counters.crc_bytes += length;
    uint8_t data[4];
    put32(data, module_crc32(module->nor, get32(data_of(module)), length));
    reply_short(module, CHECK_CRC, data, sizeof data);
}

static void finish_reboot(struct module *module)
{
    module->counters.reboots++;
    module_restart(module);
}

static void finish_short(struct module *module)
{
    switch (module->frame.payload[0]) {
    case LINK_CHECK:
        finish_link_check(module);
        break;
    case WRITE_REG:
        finish_write_reg(module);
        break;
    case READ_REG:
        finish_read_reg(module);
        break;
    case REBOOT:
    case RESET:
        finish_reboot(module);
        break;
    case SET_BAUD_RATE:
        reply_short(module, SET_BAUD_RATE, data_of(module), 5);
        break;
    case CHECK_CRC:
        finish_crc(module);
        break;
    case READ_BOOT_VERSION:
        reply_short(module, READ_BOOT_VERSION, (const uint8_t *)module->boot_version,
                    sizeof module->boot_version);
        break;
    case STAY_ROM:
        reply_short(module, STAY_ROM, data_of(module), 1);
        break;
    default:
        break;
    }
}

static void finish_write(struct module *module)
{
    uint8_t command = module->frame.payload[0];
    uint32_t address = get32(data_of(module));
    bool refused = is_refused(module, command, address);
    uint8_t data[5];
    put32(data, refused && command == FLASH_WRITE_4K ? TUYA_WRITE4K_LIMIT : address);
    data[4] = (uint8_t)(data_length(module) - 4); /* 256 does not fit: 0 */
    reply_long(module, refused ? STATUS_ADDRESS_REFUSED : 0, data, command == FLASH_WRITE ? 5 : 4);
}

static void finish_read(struct module *module)
{
    uint8_t command = module->frame.payload[0];
    uint32_t address = get32(data_of(module));
    if (is_refused(module, command, address)) {
        uint8_t data[5];
        put32(data, address);
        data[4] = (uint8_t)(module->frame.got - 5);
        reply_long(module, STATUS_ADDRESS_REFUSED, data, sizeof data);
        return;
    }
    size_t length = NOR_SECTOR;
    if (command == FLASH_READ)
        length = data_of(module)[4] | (size_t)data_of(module)[5] << 8;
    uint8_t *data memory_auto = memory_new(4 + length, 1);
    put32(data, address);
    nor_read(module->nor, address & 0xFFFFFFU, data + 4, length);
    reply_long(module, 0, data, 4 + length);
}

static void finish_erase(struct module *module)
{
    const uint8_t *data = data_of(module);
    uint8_t command = module->frame.payload[0];
    if (command == FLASH_ERASE_ALL) {
        nor_erase(module->nor, 0, nor_size(module->nor));
        reply_long(module, 0, data, 1);
        return;
    }
    bool with_size = command == FLASH_ERASE;
    uint32_t size = with_size ? erase_size(module) : NOR_SECTOR;
    uint32_t address = get32(with_size ? data + 1 : data);
    bool refused = is_refused(module, command, address);
    if (!refused && size > 0)
        nor_erase(module->nor, address & 0xFFFFFFU, size);
    reply_long(module, refused ? STATUS_ADDRESS_REFUSED : 0, data, with_size ? 5 : 4);
}

static void finish_read_status(struct module *module)
{
    uint8_t opcode = data_of(module)[0];
    const uint8_t data[2] = {opcode, nor_read_status(module->nor, opcode, module->now_ns)};
    reply_long(module, 0, data, sizeof data);
}

static void finish_write_status(struct module *module)
{
    const uint8_t *data = data_of(module);
    size_t count = data_length(module) > 2 ? 2 : 1;
    nor_write_status(module->nor, data[0], data + 1, count, module->now_ns,
                     (int64_t)(module->faults.status_ms * (double)MODULE_MS_NS));
    reply_long(module, 0, data, 1 + count);
}

static void finish_get_mid(struct module *module)
{
    uint8_t data[4] = {0};
    uint32_t id = nor_id(module->nor);
    for (unsigned i = 0; i < 3; i++)
        data[1 + i] = (uint8_t)(id >> (8 * i));
    reply_long(module, 0, data, sizeof data);
}

static void finish_long(struct module *module)
{
    switch (module->frame.payload[0]) {
    case FLASH_WRITE:
    case FLASH_WRITE_4K:
        finish_write(module);
        break;
    case FLASH_READ:
    case FLASH_READ_4K:
        finish_read(module);
        break;
    case FLASH_ERASE_ALL:
    case FLASH_ERASE_4K:
    case FLASH_ERASE:
        finish_erase(module);
        break;
    case FLASH_READ_SR:
        finish_read_status(module);
        break;
    case FLASH_WRITE_SR:
        finish_write_status(module);
        break;
    case FLASH_GET_MID:
        finish_get_mid(module);
        break;
    default:
        break;
    }
}

void module_command_finish(struct module *module)
{
    if (module->frame.is_long)
        finish_long(module);
    else
        finish_short(module);
}
