/* SPDX-License-Identifier: MIT */
/*
 * The conversation with a BK7231's boot ROM, stateful, over a port and a clock of the target's own (the linker
 * puts the functions below in the place of the real ones, CMakeLists.txt). The input is read as it is needed:
 * a byte for what is to be done next, and one for each command that reaches the module, which says what becomes
 * of it. Whatever happens, each call comes back in time with an answer that fits its question, or a sentence,
 * and what is sent on the way never makes the module erase or write anything.
 */
#include "drivers/beken/link.h"
#include "drivers/serial/port.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TIMEOUT_MS 2000
/* Of one call: it waits for a module at most so long, and then tries at a few rates more. */
#define CALL_US_MAX INT64_C(30000000)
#define CALLS_MAX 12
#define WIRE_SIZE 16384

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum status __wrap_serial_open(const char *path, const struct serial_options *options,
                               struct serial_port **port, struct error *error);
void __wrap_serial_close(struct serial_port *port);
bool __wrap_serial_is_raw(const struct serial_port *port);
bool __wrap_serial_has_lines(const struct serial_port *port);
int __wrap_serial_fd(const struct serial_port *port);
enum status __wrap_serial_read(struct serial_port *port, void *buffer, size_t size, size_t *count,
                               bool *gone, struct error *error);
enum status __wrap_serial_write(struct serial_port *port, const void *bytes, size_t size,
                                size_t *count, bool *gone, struct error *error);
void __wrap_serial_flush_input(struct serial_port *port);
enum status __wrap_serial_drain(struct serial_port *port, int64_t timeout_ms, struct error *error);
enum status __wrap_serial_set_baud(struct serial_port *port, uint32_t baud, struct error *error);
enum status __wrap_serial_set_lines(struct serial_port *port, enum serial_line_level dtr,
                                    enum serial_line_level rts, struct error *error);
int __real_clock_gettime(clockid_t clock, struct timespec *time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *time);
int __real_clock_nanosleep(clockid_t clock, int flags, const struct timespec *when,
                           struct timespec *left);
int __wrap_clock_nanosleep(clockid_t clock, int flags, const struct timespec *when,
                           struct timespec *left);
int __wrap_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *left,
                 const sigset_t *mask);

/* The world: what is left of the input, the time, the port and the module behind it. */
static struct {
    const uint8_t *data;
    size_t size;
    int64_t now_us;
    bool open, gone;
    uint32_t host_baud, chip_baud;
    uint8_t command[BEKEN_COMMAND_MAX]; /* what has reached the module of the next one */
    size_t length;
    uint8_t wire[WIRE_SIZE]; /* on its way to the host */
    size_t queued;
    int64_t arrives_us;
    bool harmless; /* nothing of what is sent now may change the flash */
    uint8_t asked; /* the flash command that is asked for */
} world;

static void require(bool condition)
{
    if (!condition)
        abort();
}

static unsigned take(void)
{
    if (world.size == 0)
        return 0;
    world.size--;
    return *world.data++;
}

/* ---- the clock: only the boot clock is ours, the fuzzer has the others ---- */

int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
    if (clock != CLOCK_BOOTTIME)
        return __real_clock_gettime(clock, time);
    world.now_us++; /* so that every loop ends */
    time->tv_sec = world.now_us / 1000000;
    time->tv_nsec = world.now_us % 1000000 * 1000;
    return 0;
}

int __wrap_clock_nanosleep(clockid_t clock, int flags, const struct timespec *when,
                           struct timespec *left)
{
    if (clock != CLOCK_BOOTTIME)
        return __real_clock_nanosleep(clock, flags, when, left);
    int64_t until_us = (int64_t)when->tv_sec * 1000000 + when->tv_nsec / 1000;
    require(flags == TIMER_ABSTIME && until_us < world.now_us + CALL_US_MAX);
    world.now_us = until_us > world.now_us ? until_us : world.now_us;
    return 0;
}

int __wrap_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *left,
                 const sigset_t *mask)
{
    (void)mask;
    require(count == 1);
    int64_t until_us = world.now_us + (int64_t)left->tv_sec * 1000000 + left->tv_nsec / 1000;
    fds[0].revents = 0;
    if ((fds[0].events & POLLOUT) != 0) {
        fds[0].revents = POLLOUT;
        return 1;
    }
    bool some = world.queued > 0 && world.arrives_us <= until_us;
    int64_t next_us = some ? world.arrives_us : until_us;
    world.now_us = next_us > world.now_us ? next_us : world.now_us;
    fds[0].revents = some ? POLLIN : 0;
    return some ? 1 : 0;
}

/* ---- the module ---- */

static void send(const uint8_t *bytes, size_t length)
{
    if (length > WIRE_SIZE - world.queued)
        length = WIRE_SIZE - world.queued;
    memcpy(world.wire + world.queued, bytes, length);
    world.queued += length;
    world.arrives_us = world.now_us + (int64_t)length * 10 * 1000000 / world.host_baud;
}

static size_t short_answer(const uint8_t *command, size_t length, uint8_t *bytes)
{
    static const uint8_t head[] = {0x04, 0x0E, 0x00, 0x01, 0xE0, 0xFC};
    size_t used = sizeof head;
    memcpy(bytes, head, sizeof head);
    uint8_t name = command[4];
    bytes[used++] = name == BEKEN_LINK_CHECK ? BEKEN_WRITE_REGISTER : name;
    if (name == BEKEN_LINK_CHECK) {
        bytes[used++] = 0;
    } else if (name == BEKEN_READ_BOOT_VERSION) {
        memcpy(bytes + used, "BK7231N 1.0.1\0\0\0", BEKEN_BOOT_VERSION_SIZE);
        used += BEKEN_BOOT_VERSION_SIZE;
    } else {
        for (size_t i = 5; i < length && i < 13; i++)
            bytes[used++] = command[i];
        for (unsigned i = 0; name == BEKEN_CHECK_CRC && i < 4; i++)
            bytes[7 + i] = (uint8_t)(0x11 * i);
        used = name == BEKEN_CHECK_CRC ? 11 : used;
    }
    bytes[2] = (uint8_t)(used - 3);
    return used;
}

static size_t long_answer(const uint8_t *command, size_t length, uint8_t *bytes)
{
    static const uint8_t head[] = {0x04, 0x0E, 0xFF, 0x01, 0xE0, 0xFC, 0xF4};
    size_t used = sizeof head + 2;
    memcpy(bytes, head, sizeof head);
    uint8_t name = command[7];
    bytes[used++] = name;
    bytes[used++] = BEKEN_FLASH_OK;
    for (size_t i = 8; i < length && i < 12; i++)
        bytes[used++] = command[i];
    if (name == BEKEN_FLASH_READ_4K) {
        memset(bytes + used, 0x5A, BEKEN_SECTOR_SIZE);
        used += BEKEN_SECTOR_SIZE;
    }
    bytes[7] = (uint8_t)(used - 9);
    bytes[8] = (uint8_t)((used - 9) >> 8);
    return used;
}

static bool changes_flash(const uint8_t *command)
{
    if (command[3] != 0xFF)
        return false;
    uint8_t name = command[7];
    return name == BEKEN_FLASH_WRITE || name == BEKEN_FLASH_WRITE_4K ||
           name == BEKEN_FLASH_ERASE_4K || name == BEKEN_FLASH_ERASE ||
           name == BEKEN_FLASH_WRITE_SR;
}

static void answer_spoiled(unsigned how, uint8_t *bytes, size_t length)
{
    size_t part = (how & 31) * (length / 32 + 1);
    switch (how >> 5) {
    case 3: /* nothing */
        return;
    case 4: /* a bit is wrong */
        bytes[part % length] ^= (uint8_t)(1u << (take() & 7));
        send(bytes, length);
        return;
    case 5: /* the rest is lost */
        send(bytes, part % length);
        return;
    case 6: { /* something else before it */
        uint8_t junk[32];
        for (size_t i = 0; i < (how & 31); i++)
            junk[i] = (uint8_t)take();
        send(junk, how & 31);
        send(bytes, (how & 1) != 0 ? length : 0);
        return;
    }
    case 2: /* late */
        send(bytes, length);
        world.arrives_us += (int64_t)(how & 31) * 40000;
        return;
    default:
        send(bytes, length);
    }
}

/* A whole command has come. */
static void obey(const uint8_t *command, size_t length)
{
    uint8_t bytes[BEKEN_REPLY_MAX + 16];
    bool is_long = command[3] == 0xFF;
    require(!changes_flash(command) || (!world.harmless && command[7] == world.asked));
    unsigned how = take();
    if (how >> 5 == 7 && (how & 24) == 0) { /* the adapter goes, or the module restarts */
        world.gone = (how & 1) != 0;
        world.chip_baud = LINK_FIRST_BAUD;
        return;
    }
    if (!is_long && (command[4] == BEKEN_REBOOT || command[4] == BEKEN_STAY_ROM))
        return;
    size_t count =
        is_long ? long_answer(command, length, bytes) : short_answer(command, length, bytes);
    if (!is_long && command[4] == BEKEN_SET_BAUD && how >> 5 != 7) {
        memcpy(&world.chip_baud, command + 5, sizeof world.chip_baud);
        answer_spoiled(how, bytes, count);
        world.arrives_us += 42000;
        return;
    }
    answer_spoiled(how, bytes, count);
}

/* The boot ROM's own hunt for 01 E0 FC, and the length behind it. */
static void reach_module(uint8_t byte)
{
    static const uint8_t head[] = {0x01, 0xE0, 0xFC};
    world.command[world.length++] = byte;
    if (world.length <= sizeof head && byte != head[world.length - 1]) {
        world.length = 0;
        return;
    }
    size_t wanted = world.length < 4 ? 4 : 4 + (size_t)world.command[3];
    if (world.length >= 4 && world.command[3] == 0xFF)
        wanted = world.length < 7 ? 7 : 7 + (size_t)(world.command[5] | world.command[6] << 8);
    if (world.length >= 4 && (wanted > BEKEN_COMMAND_MAX || wanted < 5)) {
        world.length = 0;
        return;
    }
    if (world.length < wanted || world.length < 5)
        return;
    size_t length = world.length;
    world.length = 0;
    obey(world.command, length);
}

/* ---- the port ---- */

enum status __wrap_serial_open(const char *path, const struct serial_options *options,
                               struct serial_port **port, struct error *error)
{
    if (world.gone && (take() & 3) != 0)
        return error_set(error, STATUS_NO_ANSWER, "There is no port %s.", path);
    world.gone = false;
    world.open = true;
    world.host_baud = options->baud;
    world.queued = 0;
    *port = (struct serial_port *)&world;
    return STATUS_OK;
}

void __wrap_serial_close(struct serial_port *port)
{
    if (port != NULL)
        world.open = false;
}

bool __wrap_serial_is_raw(const struct serial_port *port)
{
    require(port != NULL && world.open);
    return false;
}

bool __wrap_serial_has_lines(const struct serial_port *port)
{
    require(port != NULL && world.open);
    return true;
}

int __wrap_serial_fd(const struct serial_port *port)
{
    require(port != NULL && world.open);
    return 0;
}

enum status __wrap_serial_read(struct serial_port *port, void *buffer, size_t size, size_t *count,
                               bool *gone, struct error *error)
{
    require(port != NULL && world.open);
    *count = 0;
    *gone = world.gone;
    if (world.gone)
        return error_set(error, STATUS_FAILED, "The adapter has gone.");
    if (world.queued == 0 || world.arrives_us > world.now_us)
        return STATUS_OK;
    *count = world.queued < size ? world.queued : size;
    memcpy(buffer, world.wire, *count);
    world.queued -= *count;
    memmove(world.wire, world.wire + *count, world.queued);
    return STATUS_OK;
}

enum status __wrap_serial_write(struct serial_port *port, const void *bytes, size_t size,
                                size_t *count, bool *gone, struct error *error)
{
    require(port != NULL && world.open);
    *count = 0;
    *gone = world.gone;
    if (world.gone)
        return error_set(error, STATUS_FAILED, "The adapter has gone.");
    *count = size;
    for (size_t i = 0; i < size && world.host_baud == world.chip_baud; i++)
        reach_module(((const uint8_t *)bytes)[i]);
    return STATUS_OK;
}

void __wrap_serial_flush_input(struct serial_port *port)
{
    require(port != NULL && world.open);
    if (world.arrives_us <= world.now_us)
        world.queued = 0;
}

enum status __wrap_serial_drain(struct serial_port *port, int64_t timeout_ms, struct error *error)
{
    (void)error;
    require(port != NULL && world.open && timeout_ms > 0);
    return STATUS_OK;
}

enum status __wrap_serial_set_baud(struct serial_port *port, uint32_t baud, struct error *error)
{
    require(port != NULL && world.open);
    if (baud > 3000000)
        return error_set(error, STATUS_FAILED, "The adapter cannot do %u baud.", (unsigned)baud);
    world.host_baud = baud;
    return STATUS_OK;
}

enum status __wrap_serial_set_lines(struct serial_port *port, enum serial_line_level dtr,
                                    enum serial_line_level rts, struct error *error)
{
    (void)error;
    require(port != NULL && world.open);
    if (dtr == SERIAL_LINE_LOW || rts == SERIAL_LINE_LOW) { /* the module is held in reset */
        world.chip_baud = LINK_FIRST_BAUD;
        world.length = 0;
    }
    return STATUS_OK;
}

/* ---- what is done ---- */

static enum status ask(struct link *link, unsigned which, struct error *error)
{
    static const uint8_t sector[BEKEN_SECTOR_SIZE] = {1};
    struct beken_command command;
    struct link_want want = {.timeout_ms = 200, .patient = (which & 16) != 0};
    switch (which % 6) {
    case 0:
        beken_command_read_4k(&command, 0x11000);
        want.flash = want.has_address = true;
        want.command = BEKEN_FLASH_READ_4K;
        break;
    case 1:
        beken_command_check_crc(&command, 0, 255);
        want.command = BEKEN_CHECK_CRC;
        break;
    case 2:
        beken_command_write_4k(&command, 0x11000, sector);
        want.flash = want.has_address = want.chip_busy = true;
        want.command = world.asked = BEKEN_FLASH_WRITE_4K;
        want.piece_us = (which & 32) != 0 ? 3000 : 0;
        break;
    case 3:
        beken_command_erase(&command, BEKEN_ERASE_4K, 0x11000);
        want.flash = want.chip_busy = true;
        want.command = world.asked = BEKEN_FLASH_ERASE;
        break;
    case 4:
        beken_command_read_boot_version(&command);
        want.command = BEKEN_READ_BOOT_VERSION;
        break;
    default:
        beken_command_get_flash_id(&command);
        want.flash = true;
        want.command = BEKEN_FLASH_GET_ID;
    }
    want.address = want.has_address ? 0x11000 : 0;
    world.harmless = !want.chip_busy;
    struct beken_reply reply;
    enum status status = link_ask(link, &command, &want, &reply, error);
    world.harmless = true;
    if (status == STATUS_OK) {
        require(reply.command == want.command && reply.flash == want.flash && reply.well_formed);
        require(reply.length <= BEKEN_REPLY_MAX);
        require(!want.has_address || reply.address == want.address || reply.status != 0);
        for (size_t i = 0; i < reply.length; i++) /* the sanitizer looks whether it is there */
            world.asked |= reply.data[i];
    }
    require(link_partial(link) <= BEKEN_REPLY_MAX);
    return status;
}

static enum status do_one(struct link *link, unsigned what, struct error *error)
{
    static const uint32_t rates[] = {115200,  230400,  460800,  921600,
                                     1500000, 9999999, 2000000, 9600};
    unsigned lost = 0;
    enum status status;
    switch (what & 7) {
    case 0:
        return link_connect(link, error);
    case 1:
        return link_check(link, error);
    case 2:
        status = link_volley(link, what >> 3, &lost, error);
        require(lost <= 64);
        return status;
    case 3:
        return link_resync(link, error);
    case 4:
        status = link_set_baud(link, rates[what >> 3 & 7], error);
        require(status != STATUS_OK || link_baud(link) == rates[what >> 3 & 7]);
        return status;
    case 5:
        return link_reconnect(link, error);
    default:
        return ask(link, what >> 2, error);
    }
}

static void note(void *context, const char *sentence)
{
    (void)context;
    require(sentence[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    memset(&world, 0, sizeof world);
    world.data = data + 1;
    world.size = size - 1;
    world.now_us = 1000000;
    world.chip_baud = LINK_FIRST_BAUD;
    world.harmless = true;
    const struct link_options options = {
        .port = "/dev/ttyUSB0",
        .reset = (enum link_reset)(data[0] & 3),
        .reset_inverted = (data[0] & 4) != 0,
        .timeout_ms = TIMEOUT_MS,
        .likely_baud = (data[0] & 8) != 0 ? 921600 : 0,
        .note = note,
    };
    struct link *link;
    struct error error = {""};
    require(link_open(&options, &link, &error) == STATUS_OK);
    link_set_flapping(link, (data[0] & 16) != 0);
    for (unsigned calls = 0; world.size > 0 && calls < CALLS_MAX; calls++) {
        int64_t before_us = world.now_us;
        error.text[0] = '\0';
        enum status status = do_one(link, take(), &error);
        require(status == STATUS_OK || error.text[0] != '\0');
        require(world.now_us - before_us < CALL_US_MAX);
        require(link_gone(link) == !world.open);
    }
    link_close(link);
    require(!world.open);
    return 0;
}
