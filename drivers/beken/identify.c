/* SPDX-License-Identifier: MIT */
/* Who is at the other end: by what it answers first, by its bootloader's fingerprint else. */
#include "drivers/beken/rbl.h"
#include "drivers/beken/session.h"

#include "drivers/beken/bytes.h"
#include "drivers/beken/image.h"
#include "drivers/beken/protection.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    BOOT_VERSION_MS = 300,
    BOOT_VERSION_CHARS = 13,
    REGISTER_MS = 500,
    REGISTER_CHIP = 0x00800000,
    REGISTER_FUSE_CONTROL = 0x00800074,
    REGISTER_FUSE_DATA = 0x00800078,
    FUSE_BUSY = 1,
    FUSE_CLEAR = 0x1F02,
    FUSE_VALID = 0x100,
    QUESTION_TRIES = 8,
    KEY_BYTES = 16,
    DEFAULT_FLASH_SIZE = 2 << 20,
    SR_POLL_MAX = 60,
    SR_POLL_MS = 5,
};

const char *beken_application_name(enum beken_application application)
{
    static const char *const names[] = {
        [BEKEN_APP_UNKNOWN] = "unknown", [BEKEN_APP_OPENBEKEN] = "openbeken",
        [BEKEN_APP_TUYA] = "tuya",       [BEKEN_APP_LIBRETINY] = "libretiny",
        [BEKEN_APP_BLANK] = "blank",
    };
    return names[application];
}

static void sleep_ms(long ms)
{
    const struct timespec pause = {.tv_nsec = ms * 1000000};
    (void)clock_nanosleep(CLOCK_BOOTTIME, 0, &pause, NULL);
}

/* ------------------------------------------------------------------ single questions */

static enum status ask_boot_version(struct flasher *flasher, char *version, size_t size,
                                    struct error *error)
{
    struct beken_command command;
    struct beken_reply reply;
    beken_command_read_boot_version(&command);
    const struct link_want want = {
        .command = BEKEN_READ_BOOT_VERSION, .timeout_ms = BOOT_VERSION_MS, .chip_busy = true};
    enum status status = session_ask_few(flasher, &command, &want, &reply, 2, error);
    if (status != STATUS_OK)
        return status;
    (void)snprintf(version, size, "%.*s", BOOT_VERSION_CHARS, (const char *)reply.data);
    return STATUS_OK;
}

static enum status ask_register(struct flasher *flasher, uint32_t address, uint32_t *value,
                                struct error *error)
{
    struct beken_command command;
    struct beken_reply reply;
    beken_command_read_register(&command, address);
    const struct link_want want = {.command = BEKEN_READ_REGISTER,
                                   .has_address = true,
                                   .address = address,
                                   .timeout_ms = REGISTER_MS};
    enum status status = session_ask_few(flasher, &command, &want, &reply, QUESTION_TRIES, error);
    if (status == STATUS_OK)
        *value = reply.value;
    return status;
}

static enum status set_register(struct flasher *flasher, uint32_t address, uint32_t value,
                                struct error *error)
{
    struct beken_command command;
    struct beken_reply reply;
    beken_command_write_register(&command, address, value);
    /* The answer wears LinkCheck's number; its address tells it from one. */
    const struct link_want want = {.command = BEKEN_WRITE_REGISTER,
                                   .has_address = true,
                                   .address = address,
                                   .timeout_ms = REGISTER_MS};
    return session_ask_few(flasher, &command, &want, &reply, QUESTION_TRIES, error);
}

static enum status ask_flash_id(struct flasher *flasher, uint32_t *id, struct error *error)
{
    struct beken_command command;
    struct beken_reply reply;
    beken_command_get_flash_id(&command);
    const struct link_want want = {
        .flash = true, .command = BEKEN_FLASH_GET_ID, .timeout_ms = REGISTER_MS};
    enum status status = session_ask_few(flasher, &command, &want, &reply, QUESTION_TRIES, error);
    if (status == STATUS_OK)
        *id = reply.value;
    return status;
}

/* ------------------------------------------------------------------ protection */

static enum status read_status_registers(struct flasher *flasher, uint32_t *registers,
                                         struct error *error)
{
    *registers = 0;
    for (unsigned i = 0; i < flasher->module.flash.sr_count; i++) {
        struct beken_command command;
        struct beken_reply reply;
        uint8_t opcode = flasher->module.flash.read_opcodes[i];
        beken_command_read_sr(&command, opcode);
        const struct link_want want = {.flash = true,
                                       .command = BEKEN_FLASH_READ_SR,
                                       .has_address = true,
                                       .address = opcode,
                                       .timeout_ms = REGISTER_MS};
        enum status status =
            session_ask_few(flasher, &command, &want, &reply, QUESTION_TRIES, error);
        if (status != STATUS_OK)
            return status;
        *registers |= (reply.value & 0xFF) << (8 * i);
    }
    return STATUS_OK;
}

static enum status write_status_registers(struct flasher *flasher, uint16_t value, unsigned size,
                                          struct error *error)
{
    struct beken_command command;
    struct beken_reply reply;
    beken_command_write_sr(&command, flasher->module.flash.write_opcode, value, size);
    const struct link_want want = {
        .flash = true, .command = BEKEN_FLASH_WRITE_SR, .timeout_ms = REGISTER_MS};
    return session_ask_few(flasher, &command, &want, &reply, QUESTION_TRIES, error);
}

static enum status protection_error(const struct flasher *flasher, enum protection_step step,
                                    uint32_t registers, struct error *error)
{
    if (step == PROTECTION_UNSURE)
        return error_set(
            error, STATUS_REFUSED,
            "The flash chip 0x%06" PRIX32 " is not in the table and its status registers "
            "(0x%04" PRIX32 ") say that it is write-protected; how to open it is not known.",
            flasher->module.flash.id, registers);
    if (step == PROTECTION_LOCKED)
        return error_set(error, STATUS_REFUSED,
                         "The flash's status register is locked (0x%04" PRIX32
                         "): it stays write-protected "
                         "until the power was off; switch the module off and on and try again.",
                         registers);
    return error_set(error, STATUS_FAILED, "The flash stays busy (status 0x%04" PRIX32 ").",
                     registers);
}

enum status session_protection(struct flasher *flasher, bool lift, struct error *error)
{
    struct beken_module *module = &flasher->module;
    if (!module->has_flash_id || module->flash_is_silent)
        return STATUS_OK;
    unsigned writes = 0;
    uint32_t registers = 0;
    struct protection_advice advice = {.step = PROTECTION_WAIT};
    for (int i = 0; i < SR_POLL_MAX; i++) {
        enum status status = read_status_registers(flasher, &registers, error);
        if (status != STATUS_OK)
            return status;
        advice = protection_advise(&module->flash, registers, writes, flasher->options.open_guards);
        if (advice.step != PROTECTION_WAIT)
            module->is_protected = advice.step == PROTECTION_OPEN ? BEKEN_NO : BEKEN_YES;
        if (advice.step == PROTECTION_OPEN || !lift) {
            flasher->unprotected = flasher->unprotected || lift;
            return STATUS_OK;
        }
        if (advice.step == PROTECTION_WRITE) {
            if (!flasher->has_registers_found)
                flasher->registers_found = registers;
            flasher->has_registers_found = true;
            writes++;
            status = write_status_registers(flasher, advice.value, advice.value_size, error);
            if (status != STATUS_OK)
                return status;
        } else if (advice.step != PROTECTION_WAIT) {
            break;
        }
        sleep_ms(SR_POLL_MS);
    }
    return protection_error(flasher, advice.step, registers, error);
}

enum status session_protect_again(struct flasher *flasher, struct error *error)
{
    flasher->unprotected = false;
    uint32_t registers = 0;
    unsigned writes = 0;
    struct protection_advice advice = {.step = PROTECTION_WAIT};
    for (int i = 0; flasher->has_registers_found && i < SR_POLL_MAX; i++) {
        enum status status = read_status_registers(flasher, &registers, error);
        if (status != STATUS_OK)
            return status;
        advice = protection_advise_back(&flasher->module.flash, registers, flasher->registers_found,
                                        writes);
        if (advice.step == PROTECTION_RESTORED)
            flasher->module.is_protected = BEKEN_YES;
        if (advice.step == PROTECTION_RESTORED)
            return STATUS_OK;
        if (advice.step == PROTECTION_LOCKED)
            break;
        if (advice.step == PROTECTION_WRITE) {
            writes++;
            status = write_status_registers(flasher, advice.value, advice.value_size, error);
            if (status != STATUS_OK)
                return status;
        }
        sleep_ms(SR_POLL_MS);
    }
    if (!flasher->has_registers_found)
        return STATUS_OK;
    return error_set(error, STATUS_FAILED, "its status register stays at 0x%04" PRIX32, registers);
}

/* ------------------------------------------------------------------ key */

static enum status read_fuse_byte(struct flasher *flasher, unsigned index, uint32_t *data,
                                  struct error *error)
{
    uint32_t control = 0;
    enum status status = ask_register(flasher, REGISTER_FUSE_CONTROL, &control, error);
    if (status == STATUS_OK)
        status = set_register(flasher, REGISTER_FUSE_CONTROL,
                              (control & ~(uint32_t)FUSE_CLEAR) | index << 8 | FUSE_BUSY, error);
    for (int i = 0; status == STATUS_OK && i < 20; i++) {
        status = ask_register(flasher, REGISTER_FUSE_CONTROL, &control, error);
        if ((control & FUSE_BUSY) == 0)
            break;
    }
    return status == STATUS_OK ? ask_register(flasher, REGISTER_FUSE_DATA, data, error) : status;
}

static enum beken_key judge_key(const uint8_t key[KEY_BYTES])
{
    /* 510FB093 A3CBEADC 5993A17E C7ADEB03, as words in either byte order. */
    static const uint8_t tuya[KEY_BYTES] = {0x51, 0x0F, 0xB0, 0x93, 0xA3, 0xCB, 0xEA, 0xDC,
                                            0x59, 0x93, 0xA1, 0x7E, 0xC7, 0xAD, 0xEB, 0x03};
    if (bytes_are_all(key, KEY_BYTES, 0))
        return BEKEN_KEY_NONE;
    bool swapped = true;
    for (unsigned i = 0; i < KEY_BYTES; i++)
        swapped = swapped && key[i] == tuya[i ^ 3];
    return swapped || memcmp(key, tuya, KEY_BYTES) == 0 ? BEKEN_KEY_TUYA : BEKEN_KEY_OTHER;
}

static enum status read_key(struct flasher *flasher, struct error *error)
{
    uint8_t key[KEY_BYTES];
    for (unsigned i = 0; i < KEY_BYTES; i++) {
        uint32_t data = 0;
        enum status status = read_fuse_byte(flasher, i, &data, error);
        if (status != STATUS_OK)
            return status;
        if ((data & FUSE_VALID) == 0)
            return STATUS_OK; /* not readable here: stays unknown */
        key[i] = (uint8_t)data;
    }
    flasher->module.key = judge_key(key);
    return STATUS_OK;
}

/* ------------------------------------------------------------------ who is it */

static enum beken_chip chip_of_register(uint32_t value)
{
    switch (value) {
    case 0x0007231C:
        return BEKEN_CHIP_BK7231N;
    case 0x00007238:
        return BEKEN_CHIP_BK7238;
    case 0x0007252A:
        return BEKEN_CHIP_BK7252N;
    default:
        return BEKEN_CHIP_UNKNOWN;
    }
}

static enum status identify_flash(struct flasher *flasher, struct error *error)
{
    struct beken_module *module = &flasher->module;
    uint32_t id = 0;
    enum status status = ask_flash_id(flasher, &id, error);
    if (status != STATUS_OK)
        return status;
    module->has_flash_id = true;
    module->flash_is_silent = flash_id_is_silent(id);
    if (!flash_table_find(id, &module->flash)) {
        flash_table_generic(id, &module->flash);
        if (!module->flash_is_silent)
            session_note(flasher,
                         "The flash chip 0x%06" PRIX32
                         " is not in the table; the usual layout is assumed and "
                         "everything is checked by CRC.",
                         id);
    }
    if (module->flash.size >= DEFAULT_FLASH_SIZE)
        module->flash_size = module->flash.size;
    return session_protection(flasher, false, error);
}

static enum status identify_boot_rom(struct flasher *flasher, uint32_t chip_register,
                                     struct error *error)
{
    struct beken_module *module = &flasher->module;
    module->protocol = BEKEN_PROTOCOL_BOOT_ROM;
    module->chip = chip_of_register(chip_register);
    link_set_flapping(flasher->link, false);
    enum status status = identify_flash(flasher, error);
    if (status == STATUS_OK && module->chip == BEKEN_CHIP_BK7231N)
        status = read_key(flasher, error);
    if (status == STATUS_OK && module->key == BEKEN_KEY_NONE)
        module->chip = BEKEN_CHIP_BK7231M;
    return status;
}

static enum status identify_by_fingerprint(struct flasher *flasher, struct error *error)
{
    struct beken_module *module = &flasher->module;
    uint32_t wire = 0;
    enum status status = session_crc(flasher, 0, BEKEN_PAGE_SIZE, true, &wire, error);
    if (status != STATUS_OK)
        return status;
    const struct beken_fingerprint *found = beken_fingerprint_find(~wire);
    if (found == NULL || module->flash_is_silent) /* then the zeros are nobody's */
        return STATUS_OK;
    if (module->bootloader[0] == '\0')
        (void)snprintf(module->bootloader, sizeof module->bootloader, "%s", found->bootloader);
    if (module->chip == BEKEN_CHIP_UNKNOWN)
        module->chip = found->chip;
    if (module->protocol == BEKEN_PROTOCOL_UNKNOWN)
        module->protocol = beken_chip_layout(module->chip)->protocol;
    return STATUS_OK;
}

/* A 4 MiB flash behind a T does not wrap at 2 MiB. Two equal blank places say nothing. Read, not
 * asked for as CRCs: with those a T write-protects its flash, and who only looks changes nothing. */
static enum status measure_flash(struct flasher *flasher, struct error *error)
{
    static const uint32_t place = BEKEN_CODE_ADDRESS;
    uint8_t here[BEKEN_SECTOR_SIZE];
    uint8_t there[BEKEN_SECTOR_SIZE];
    enum status status = session_read_sector(flasher, place, here, error);
    if (status != STATUS_OK || bytes_are_all(here, sizeof here, 0xFF))
        return status;
    status = session_read_sector(flasher, place + DEFAULT_FLASH_SIZE, there, error);
    if (status == STATUS_OK && memcmp(here, there, sizeof here) != 0)
        flasher->module.flash_size = 2 * DEFAULT_FLASH_SIZE;
    return status;
}

static enum status check_users_word(struct flasher *flasher, struct error *error)
{
    enum beken_chip said = flasher->options.chip;
    struct beken_module *module = &flasher->module;
    if (said == BEKEN_CHIP_UNKNOWN)
        return STATUS_OK;
    if (module->chip == BEKEN_CHIP_UNKNOWN) {
        module->chip = said;
        return STATUS_OK;
    }
    bool same = beken_chip_runs(module->chip, said) ||
                (module->chip == BEKEN_CHIP_BK7231M && said == BEKEN_CHIP_BK7231N);
    if (same)
        return STATUS_OK;
    return error_set(error, STATUS_REFUSED, "The module is a %s, not a %s as --chip says.",
                     beken_chip_name(module->chip), beken_chip_name(said));
}

enum status session_identify(struct flasher *flasher, struct error *error)
{
    struct beken_module *module = &flasher->module;
    *module = (struct beken_module){.flash_size = DEFAULT_FLASH_SIZE};
    link_set_flapping(flasher->link, true);
    session_progress(flasher, "identify", 0, 1, 0);
    uint32_t chip_register = 0;
    struct error ignored = {""};
    enum status status =
        ask_boot_version(flasher, module->bootloader, sizeof module->bootloader, &ignored);
    if (status == STATUS_OK) {
        module->chip = BEKEN_CHIP_BK7231T;
        module->protocol = BEKEN_PROTOCOL_BOOTLOADER;
    } else if (status == STATUS_NO_ANSWER) {
        status = ask_register(flasher, REGISTER_CHIP, &chip_register, &ignored);
        if (status == STATUS_OK)
            status = identify_boot_rom(flasher, chip_register, error);
        else if (status == STATUS_NO_ANSWER)
            status = STATUS_OK;
        else if (error != NULL)
            *error = ignored;
    } else if (error != NULL) {
        *error = ignored;
    }
    if (status == STATUS_OK && module->protocol != BEKEN_PROTOCOL_BOOTLOADER)
        status = identify_by_fingerprint(flasher, error);
    if (status == STATUS_OK && module->protocol == BEKEN_PROTOCOL_BOOTLOADER)
        status = measure_flash(flasher, error);
    if (status == STATUS_OK)
        status = check_users_word(flasher, error);
    flasher->retries = 0; /* unanswered questions belong to identifying */
    if (status == STATUS_NO_ANSWER)
        return error_set(
            error, status,
            "The module answers, but too little of what it says arrives to tell what it is: check "
            "the ground wire, shorten the wires, feed the module from its own 3.3 V supply, and "
            "disconnect whatever else sits on its RX and TX.");
    if (status == STATUS_OK)
        session_progress(flasher, "identify", 1, 1, 0);
    return status;
}

enum status session_check_same(struct flasher *flasher, struct error *error)
{
    const struct beken_module *module = &flasher->module;
    if (!flasher->identified)
        return STATUS_OK;
    char version[sizeof module->bootloader] = "";
    uint32_t value = 0;
    enum status status = STATUS_OK;
    bool same = true;
    if (module->protocol == BEKEN_PROTOCOL_BOOTLOADER)
        status = ask_boot_version(flasher, version, sizeof version, error);
    if (module->has_flash_id) {
        status = ask_flash_id(flasher, &value, error);
        same = value == module->flash.id;
    }
    if (status == STATUS_OK && same && module->has_mac) {
        uint8_t sector[BEKEN_SECTOR_SIZE];
        uint8_t mac[6];
        struct beken_command command;
        struct beken_reply reply;
        uint32_t address = beken_chip_layout(module->chip)->rf_address;
        beken_command_read_4k(&command, address);
        const struct link_want want = {.flash = true,
                                       .command = BEKEN_FLASH_READ_4K,
                                       .has_address = true,
                                       .address = address,
                                       .timeout_ms = REGISTER_MS};
        status = session_ask_few(flasher, &command, &want, &reply, QUESTION_TRIES, error);
        if (status == STATUS_OK && reply.status == BEKEN_FLASH_OK &&
            reply.length == 4 + BEKEN_SECTOR_SIZE) {
            memcpy(sector, reply.data + 4, sizeof sector);
            /* No MAC at all is damage, which verification finds; another one is another module. */
            same = !image_rf_mac(sector, sizeof sector, mac) || memcmp(mac, module->mac, 6) == 0;
        }
    }
    if (status == STATUS_OK && !same)
        return error_set(
            error, STATUS_FAILED,
            "Another module answers now than the one this began with; nothing more was done.");
    return status;
}

/* ------------------------------------------------------------------ contents */

static enum beken_key key_of_bootloader(const uint8_t *sector)
{
    static const uint8_t keyed[4] = {0x69, 0x0C, 0xB5, 0x96};
    static const uint8_t plain[2][4] = {{0xAA, 0x00, 0x00, 0xEA}, {0x48, 0x0B, 0x00, 0xEA}};
    if (memcmp(sector, keyed, sizeof keyed) == 0)
        return BEKEN_KEY_TUYA;
    return memcmp(sector, plain[0], 4) == 0 || memcmp(sector, plain[1], 4) == 0 ? BEKEN_KEY_NONE
                                                                                : BEKEN_KEY_UNKNOWN;
}

enum status flasher_check_flash(const struct flasher *flasher, struct error *error)
{
    const struct beken_module *module = &flasher->module;
    if (!module->flash_is_silent)
        return STATUS_OK;
    return error_set(
        error, STATUS_NO_ANSWER,
        "The module answers, but its flash chip does not (id 0x%06" PRIX32
        "): something loads the module's flash pins. Disconnect what is on P20 to P24, or hold P24 "
        "low while the module is reset, and try again.",
        module->flash.id);
}

/* ESPHome's base leaves the vendor's key block where it is. It has a FlashDB of its own ("FDB0" in its
 * first sector's header), and a trailer with its version where its app's partition ends. */
static enum status find_libretiny(struct flasher *flasher, bool *found, struct error *error)
{
    const uint32_t kvs = flasher->module.chip == BEKEN_CHIP_BK7231T ? 0x1D8000 : 0x1D3000;
    const uint32_t trailer = 0x128000;
    uint8_t sector[BEKEN_SECTOR_SIZE];
    struct rbl_header header;
    size_t offset = 0;
    enum status status = session_read_sector(flasher, kvs, sector, error);
    if (status != STATUS_OK)
        return status;
    *found = memmem(sector, 64, "FDB0", 4) != NULL;
    if (*found)
        return STATUS_OK;
    status = session_read_sector(flasher, trailer, sector, error);
    *found = status == STATUS_OK &&
             rbl_find_trailer(sector, sizeof sector, "app", &offset, &header) &&
             strstr(header.version, "-bk72") != NULL && strchr("12", header.version[0]) != NULL &&
             header.version[2] == '.';
    return status;
}

enum status flasher_identify_contents(struct flasher *flasher, struct error *error)
{
    struct beken_module *module = &flasher->module;
    const struct beken_layout *layout = beken_chip_layout(module->chip);
    uint8_t sector[BEKEN_SECTOR_SIZE];
    bool openbeken = false;
    bool tuya = false;
    bool libretiny = false;
    enum status status = session_read_sector(flasher, layout->rf_address, sector, error);
    if (status == STATUS_OK) {
        module->has_mac = image_rf_mac(sector, sizeof sector, module->mac);
        status = session_read_sector(flasher, layout->config_address, sector, error);
    }
    if (status == STATUS_OK) {
        openbeken = image_is_obk_config(sector, sizeof sector);
        status = session_read_sector(flasher, BEKEN_TUYA_KEY_ADDRESS, sector, error);
    }
    if (status == STATUS_OK) {
        tuya = image_is_tuya_key_block(sector, sizeof sector);
        status = find_libretiny(flasher, &libretiny, error);
    }
    if (status == STATUS_OK)
        status = session_read_sector(flasher, BEKEN_CODE_ADDRESS, sector, error);
    if (status != STATUS_OK)
        return error_prefix(error, status, "Reading what the flash holds: ");
    if (bytes_are_all(sector, sizeof sector, 0xFF))
        module->application = BEKEN_APP_BLANK;
    else if (openbeken)
        module->application = BEKEN_APP_OPENBEKEN;
    else if (libretiny)
        module->application = BEKEN_APP_LIBRETINY;
    else if (tuya)
        module->application = BEKEN_APP_TUYA;
    if (module->key != BEKEN_KEY_UNKNOWN || module->protocol != BEKEN_PROTOCOL_BOOT_ROM)
        return STATUS_OK;
    status = session_read_sector(flasher, 0, sector, error);
    if (status == STATUS_OK)
        module->key = key_of_bootloader(sector);
    if (module->key == BEKEN_KEY_NONE && module->chip == BEKEN_CHIP_BK7231N)
        module->chip = BEKEN_CHIP_BK7231M;
    return status;
}
