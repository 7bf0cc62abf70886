/* SPDX-License-Identifier: MIT */
#include "drivers/beken/session.h"

#include "drivers/base/memory.h"
#include "drivers/beken/crc.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

enum {
    ASK_TRIES = 4,
    RECOVERIES_PER_QUESTION = 4,
    RECONNECTS_MAX = 30,
    SHORT_MS = 500, /* answers that cost the chip nothing */
    READ_MS = 500,
    ERASE_4K_MS = 2000,  /* datasheets: 0.4 s at worst */
    ERASE_64K_MS = 5000, /* datasheets: 3 s at worst */
    CRC_MS = 2000,       /* and 200 kB/s on top: half of what is known of the slowest */
    CRC_BYTES_PER_MS = 200,
};

int64_t session_now_us(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void session_note(struct flasher *flasher, const char *format, ...)
{
    if (flasher->options.link.note == NULL)
        return;
    char sentence[600];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    flasher->options.link.note(flasher->options.link.context, sentence);
}

void session_progress(struct flasher *flasher, const char *stage, uint64_t done, uint64_t total,
                      uint32_t address)
{
    if (flasher->options.progress == NULL)
        return;
    const struct flasher_step step = {
        .stage = stage,
        .done = done,
        .total = total,
        .address = address,
        .retries = flasher->retries,
        .baud = link_baud(flasher->link),
    };
    flasher->options.progress(flasher->options.link.context, &step);
}

bool session_is_flapping(const struct flasher *flasher)
{
    return flasher->module.protocol != BEKEN_PROTOCOL_BOOT_ROM;
}

/* ------------------------------------------------------------------ asking */

enum status session_ask_few(struct flasher *flasher, const struct beken_command *command,
                            const struct link_want *want, struct beken_reply *reply, unsigned tries,
                            struct error *error)
{
    enum status status = STATUS_NO_ANSWER;
    for (unsigned i = 0; i < tries && status == STATUS_NO_ANSWER; i++) {
        if (link_stopped(flasher->link))
            return link_stop_error(error);
        if (i > 0)
            flasher->retries++;
        if (i > 0 && !link_listens(flasher->link)) {
            status = link_resync(flasher->link, error);
            if (status != STATUS_OK)
                return status;
        }
        status = link_ask(flasher->link, command, want, reply, error);
    }
    return status;
}

enum status session_ask(struct flasher *flasher, const struct beken_command *command,
                        const struct link_want *want, struct beken_reply *reply,
                        struct error *error)
{
    enum status status = session_ask_few(flasher, command, want, reply, ASK_TRIES, error);
    for (unsigned i = 0; status != STATUS_OK && i < RECOVERIES_PER_QUESTION; i++) {
        if (link_stopped(flasher->link))
            return link_stop_error(error);
        flasher->retries++;
        status = session_recover(flasher, error);
        if (status != STATUS_OK)
            return status;
        status = session_ask_few(flasher, command, want, reply, ASK_TRIES, error);
    }
    return status;
}

static enum status restore_baud(struct flasher *flasher, struct error *error)
{
    for (;;) {
        enum status status = link_set_baud(flasher->link, flasher->baud, error);
        if (status != STATUS_FAILED || link_stopped(flasher->link))
            return status;
        /* The module answers, but not at this rate any more. */
        if (!session_step_down(flasher))
            return status;
    }
}

/* The module answers again: make it what it was. */
static enum status take_up(struct flasher *flasher, struct error *error)
{
    flasher->erase_opened = false;
    enum status status = session_check_same(flasher, error);
    if (status == STATUS_OK)
        status = restore_baud(flasher, error);
    if (status == STATUS_OK && flasher->unprotected)
        status = session_protection(flasher, true, error);
    return status;
}

/* A write says what is left to do by itself, when it knows how far it has got. */
static enum status lost_for_good(struct flasher *flasher, enum status status, struct error *error)
{
    if (flasher->writing || link_stopped(flasher->link))
        return status;
    return error_append(error, status, " %s and run the same command again.",
                        session_way_back(flasher));
}

const char *session_way_back(const struct flasher *flasher)
{
    return link_gone(flasher->link) ? "Plug it in, switch the module off and on"
                                    : "Switch the module off and on";
}

enum status session_recover(struct flasher *flasher, struct error *error)
{
    enum status status = link_resync(flasher->link, error);
    if (status == STATUS_OK) {
        flasher->erase_opened = false;
        return STATUS_OK;
    }
    unsigned tries = 0;
    do {
        if (link_stopped(flasher->link))
            return link_stop_error(error);
        if (++flasher->reconnects > RECONNECTS_MAX)
            return error_set(error, STATUS_FAILED,
                             "The module was lost %d times; give it a stronger 3.3 V supply than "
                             "the adapter's and shorter wires.",
                             RECONNECTS_MAX);
        status = link_reconnect(flasher->link, error);
        if (status != STATUS_OK)
            return lost_for_good(flasher, status, error);
        status = take_up(flasher, error);
    } while (status == STATUS_NO_ANSWER && ++tries < 3);
    if (status == STATUS_OK)
        session_note(flasher, "The module was lost and found again; going on at %" PRIu32 " baud.",
                     link_baud(flasher->link));
    if (status == STATUS_NO_ANSWER)
        return lost_for_good(
            flasher,
            error_set(error, status, "The module came back, but stopped answering again at once."),
            error);
    return status;
}

bool session_step_down(struct flasher *flasher)
{
    static const uint32_t rates[] = {921600, 460800, 230400, 115200};
    if (flasher->options.baud != 0)
        return false;
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        if (rates[i] >= flasher->baud)
            continue;
        flasher->baud = rates[i];
        return true;
    }
    return false;
}

/* ------------------------------------------------------------------ questions */

static enum status refused(const struct beken_reply *reply, const char *what, uint32_t address,
                           struct error *error)
{
    if (reply->status == BEKEN_FLASH_ADDRESS_REFUSED)
        return error_set(error, STATUS_FAILED,
                         "The module refused to %s at 0x%" PRIX32
                         ": its bootloader guards that area.",
                         what, address);
    return error_set(error, STATUS_FAILED,
                     "The module answered error %u when asked to %s at 0x%" PRIX32 ".",
                     reply->status, what, address);
}

/* A T does not let its own bootloader be read by its real address, but the address wraps. */
static uint32_t read_address(const struct flasher *flasher, uint32_t address)
{
    uint32_t guarded = beken_chip_layout(flasher->module.chip)->guarded_below;
    return address < guarded ? address + flasher->module.flash_size : address;
}

enum status session_read_sector(struct flasher *flasher, uint32_t address, uint8_t *bytes,
                                struct error *error)
{
    struct beken_command command;
    struct beken_reply reply = {0};
    uint32_t asked = read_address(flasher, address);
    beken_command_read_4k(&command, asked);
    const struct link_want want = {.flash = true,
                                   .command = BEKEN_FLASH_READ_4K,
                                   .has_address = true,
                                   .address = asked,
                                   .timeout_ms = READ_MS,
                                   .chip_busy = true};
    for (unsigned i = 0; i < ASK_TRIES; i++) {
        int64_t start_us = session_now_us();
        enum status status = session_ask(flasher, &command, &want, &reply, error);
        flasher->times.read_us += session_now_us() - start_us;
        if (status != STATUS_OK)
            return status;
        if (reply.status == BEKEN_FLASH_OK && reply.length == 4 + BEKEN_SECTOR_SIZE) {
            memcpy(bytes, reply.data + 4, BEKEN_SECTOR_SIZE);
            return STATUS_OK;
        }
    }
    return refused(&reply, "read", address, error);
}

enum status session_crc(struct flasher *flasher, uint32_t address, uint32_t length, bool surely,
                        uint32_t *crc, struct error *error)
{
    int64_t start_us = session_now_us();
    struct beken_command command;
    struct beken_reply reply = {0};
    beken_command_check_crc(&command, address, address + length - 1);
    const struct link_want want = {.command = BEKEN_CHECK_CRC,
                                   .timeout_ms = CRC_MS + length / CRC_BYTES_PER_MS,
                                   .chip_busy = true};
    /* The answer names no address; a LinkCheck's answer ends everything of earlier questions. */
    enum status status = surely ? link_check(flasher->link, error) : STATUS_OK;
    if (status == STATUS_OK)
        status = link_ask(flasher->link, &command, &want, &reply, error);
    for (unsigned i = 0; status != STATUS_OK && i < RECOVERIES_PER_QUESTION; i++) {
        if (link_stopped(flasher->link))
            return link_stop_error(error);
        flasher->retries++;
        status = session_recover(flasher, error);
        if (status != STATUS_OK)
            return status;
        status = session_ask_few(flasher, &command, &want, &reply, ASK_TRIES, error);
    }
    flasher->erase_opened = false; /* a T closes its flash with this command */
    flasher->times.crc_us += session_now_us() - start_us;
    if (status == STATUS_OK)
        *crc = reply.value;
    return status;
}

enum status session_crc_equals(struct flasher *flasher, uint32_t address, const uint8_t *bytes,
                               uint32_t length, bool *equal, struct error *error)
{
    uint32_t wanted = beken_crc32_wire(bytes, length);
    uint32_t crc = 0;
    enum status status = session_crc(flasher, address, length, true, &crc, error);
    if (status == STATUS_OK && crc != wanted) /* a damaged answer looks like a difference */
        status = session_crc(flasher, address, length, true, &crc, error);
    *equal = crc == wanted;
    return status;
}

/* A T opens its flash for the first erase after a LinkCheck. */
static enum status open_for_erase(struct flasher *flasher, struct error *error)
{
    if (!session_is_flapping(flasher) || flasher->erase_opened)
        return STATUS_OK;
    enum status status = link_check(flasher->link, error);
    return status == STATUS_NO_ANSWER ? session_recover(flasher, error) : status;
}

enum status session_erase(struct flasher *flasher, enum beken_erase_size size, uint32_t address,
                          struct error *error)
{
    int64_t start_us = session_now_us();
    struct beken_command command;
    struct beken_reply reply = {0};
    beken_command_erase(&command, size, address);
    const struct link_want want = {
        .flash = true,
        .command = BEKEN_FLASH_ERASE,
        .has_address = true,
        .address = address,
        .timeout_ms = size == BEKEN_ERASE_4K ? ERASE_4K_MS : ERASE_64K_MS,
        .chip_busy = true,
    };
    enum status status = STATUS_NO_ANSWER;
    for (unsigned i = 0; i < ASK_TRIES + RECOVERIES_PER_QUESTION; i++) {
        if (link_stopped(flasher->link))
            return link_stop_error(error);
        status = open_for_erase(flasher, error);
        if (status == STATUS_OK)
            status = link_ask(flasher->link, &command, &want, &reply, error);
        if (status == STATUS_OK && reply.status == BEKEN_FLASH_OK) {
            flasher->times.erase_us += session_now_us() - start_us;
            flasher->erase_opened = true;
            return STATUS_OK;
        }
        flasher->retries++;
        flasher->doubts++; /* a damaged command may have hit another place */
        if (status == STATUS_OK) {
            (void)refused(&reply, "erase", address, error);
            continue;
        }
        status = session_recover(flasher, error);
        if (status != STATUS_OK)
            return status;
        (void)error_set(error, STATUS_FAILED, "Erasing at 0x%" PRIX32 " was never answered.",
                        address);
    }
    return STATUS_FAILED;
}

/* ------------------------------------------------------------------ the session */

/* A rate that an earlier session left behind may be a bad one; a session starts from the safe one.
 */
static enum status connect(struct flasher *flasher, struct error *error)
{
    session_progress(flasher, "connect", 0, 1, 0);
    enum status status = link_connect(flasher->link, error);
    if (status != STATUS_OK)
        return status;
    status = link_set_baud(flasher->link, LINK_FIRST_BAUD, error);
    if (status != STATUS_OK)
        status = link_reconnect(flasher->link, error);
    if (status == STATUS_OK)
        session_progress(flasher, "connect", 1, 1, 0);
    return status;
}

enum status flasher_open(const struct flasher_options *options, struct flasher **result,
                         struct error *error)
{
    struct flasher *flasher = memory_new(1, sizeof *flasher);
    flasher->options = *options;
    flasher->options.link.likely_baud = options->baud;
    flasher->baud = LINK_FIRST_BAUD;
    enum status status = link_open(&flasher->options.link, &flasher->link, error);
    if (status == STATUS_OK)
        status = connect(flasher, error);
    if (status == STATUS_OK)
        status = session_identify(flasher, error);
    if (status != STATUS_OK) {
        link_close(flasher->link);
        free(flasher);
        return status;
    }
    flasher->identified = true;
    *result = flasher;
    return STATUS_OK;
}

void flasher_close(struct flasher *flasher)
{
    if (flasher == NULL)
        return;
    /* A courtesy to whoever comes next; it does not matter if the module is gone. */
    if (!flasher->rebooted && link_baud(flasher->link) != LINK_FIRST_BAUD &&
        link_check(flasher->link, NULL) == STATUS_OK)
        (void)link_set_baud(flasher->link, LINK_FIRST_BAUD, NULL);
    link_close(flasher->link);
    free(flasher);
}

const struct beken_module *flasher_module(const struct flasher *flasher)
{
    return &flasher->module;
}

uint32_t flasher_baud(const struct flasher *flasher)
{
    return link_baud(flasher->link);
}

uint64_t flasher_retries(const struct flasher *flasher)
{
    return flasher->retries;
}

struct flasher_times flasher_times(const struct flasher *flasher)
{
    return flasher->times;
}

void flasher_while(struct flasher *flasher, void (*work)(void *context), void *context)
{
    link_while(flasher->link, work, context);
}

enum status flasher_reboot(struct flasher *flasher, struct error *error)
{
    struct beken_command command;
    beken_command_reboot(&command);
    session_progress(flasher, "reboot", 0, 1, 0);
    enum status status = STATUS_OK;
    for (int i = 0; i < 3 && status == STATUS_OK; i++) {
        status = link_tell(flasher->link, &command, error);
        const struct timespec pause = {.tv_nsec = 10000000};
        (void)clock_nanosleep(CLOCK_BOOTTIME, 0, &pause, NULL);
    }
    flasher->rebooted = true;
    session_progress(flasher, "reboot", 1, 1, 0);
    return status;
}
