/* SPDX-License-Identifier: MIT */
/*
 * The protocol with up to three chips on a line, stateful, on a clock of its own. The first byte says what the
 * line is like; behind it every request takes one byte, which says what the chip makes of it: a good answer, or
 * one that is damaged, cut, late, missing or buried in other bytes, a chip that restarts, an adapter that goes.
 * When the input is over every chip answers well, and whatever was before, all of them must be read again.
 */
#include "drivers/bl0942/codec.h"
#include "drivers/bl0942/registers.h"
#include "drivers/bl0942/session.h"

#include <stdlib.h>
#include <string.h>

#define CHIPS_MAX 3
#define WALL_MS INT64_C(1795000000000)
#define RECOVERY_MS 120000
#define FRESH_MS 10000
#define UNLOCKED 0x55
#define CLEAR_ON_READ 0x40

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct peer {
    unsigned address;
    uint32_t baud, mode, creep, energy;
    bool unlocked;
};

struct world {
    const uint8_t *data;
    size_t size;
    struct bl0942_session *session;
    int64_t now_ms;
    uint32_t baud;
    bool raw, open, break_on;
    int64_t break_ms;
    struct peer peers[CHIPS_MAX];
    size_t count;
    uint8_t wire[96]; /* on their way to the session */
    size_t wire_length;
    int64_t wire_ms;
    bool online[CHIPS_MAX], reported[CHIPS_MAX];
    int64_t last_ms[CHIPS_MAX];
    uint64_t readings[CHIPS_MAX];
};

static void require(bool condition)
{
    if (!condition)
        abort();
}

static unsigned take(struct world *world)
{
    if (world->size == 0)
        return 0;
    world->size--;
    return *world->data++;
}

/* ---- the sink ---- */

static void on_reading(void *context, unsigned channel, const struct reading *reading)
{
    struct world *world = context;
    require(channel < world->count && world->online[channel] && world->open);
    require(reading->present == READING_ALL && reading->boot_ms <= world->now_ms);
    require(reading->wall_ms == WALL_MS + reading->boot_ms);
    require(world->readings[channel] == 0 || reading->boot_ms > world->last_ms[channel]);
    require(reading->energy >= 0 && reading->energy < 1 << 24);
    require(reading->power >= -(1 << 23) && reading->power < 1 << 23);
    world->last_ms[channel] = reading->boot_ms;
    world->readings[channel]++;
}

static void on_availability(void *context, unsigned channel, bool online, const char *reason)
{
    struct world *world = context;
    require(channel < world->count && online == (reason[0] == '\0'));
    require(!world->reported[channel] || world->online[channel] != online);
    world->reported[channel] = true;
    world->online[channel] = online;
}

static void on_event(void *context, unsigned channel, enum driver_event event, const char *message)
{
    struct world *world = context;
    require(channel < world->count && event <= DRIVER_UNIT_DOUBTFUL && message[0] != '\0');
}

/* ---- the chips ---- */

static void restart(struct peer *peer)
{
    peer->mode = 0x87;
    peer->creep = 0x0B;
    peer->energy = 0;
    peer->unlocked = false;
}

static uint8_t checksum(unsigned sum, const uint8_t *bytes, size_t length)
{
    while (length-- > 0)
        sum += *bytes++;
    return (uint8_t)~sum;
}

static size_t answer(struct peer *peer, unsigned reg, uint8_t *bytes)
{
    unsigned command = 0x58 | peer->address;
    if (reg != 0xAA) {
        uint32_t value = reg == BL0942_MODE ? peer->mode : peer->creep;
        bytes[0] = (uint8_t)value;
        bytes[1] = (uint8_t)(value >> 8);
        bytes[2] = (uint8_t)(value >> 16);
        bytes[3] = checksum(command + reg, bytes, 3);
        return BL0942_REPLY_SIZE;
    }
    peer->energy = (peer->energy + 2) & 0xFFFFFF;
    memset(bytes, 0, BL0942_PACKET_SIZE);
    bytes[0] = 0x55;
    bytes[4] = bytes[5] = 0x37;
    bytes[13] = (uint8_t)peer->energy;
    bytes[14] = (uint8_t)(peer->energy >> 8);
    bytes[15] = (uint8_t)(peer->energy >> 16);
    bytes[16] = 0x20;
    bytes[17] = 0x4E;
    bytes[22] = checksum(command, bytes, 22);
    return BL0942_PACKET_SIZE;
}

/* Only what a driver may write, and whole. */
static void take_write(struct peer *peer, const uint8_t *bytes)
{
    uint32_t value = bytes[2] | (uint32_t)bytes[3] << 8 | (uint32_t)bytes[4] << 16;
    require(bytes[5] == checksum(0, bytes, 5));
    require(bytes[1] == BL0942_USR_WRPROT || bytes[1] == BL0942_MODE ||
            bytes[1] == BL0942_WA_CREEP);
    require(bytes[1] != BL0942_MODE || (value & CLEAR_ON_READ) == 0);
    if (bytes[1] == BL0942_USR_WRPROT)
        peer->unlocked = value == UNLOCKED;
    else if (peer->unlocked && bytes[1] == BL0942_MODE)
        peer->mode = value;
    else if (peer->unlocked)
        peer->creep = value;
}

/* ---- what happens to it ---- */

static void happen(struct world *world, struct peer *peer, unsigned what)
{
    static const uint32_t rates[] = {4800, 9600, 19200, 38400};
    switch (what & 7) {
    case 0:
    case 1:
        restart(peer);
        break;
    case 2:
        peer->energy = take(world) | take(world) << 8 | take(world) << 16;
        break;
    case 3:
        if (!world->raw)
            peer->baud = rates[what >> 3 & 3];
        break;
    case 4:
        peer->mode = (take(world) | take(world) << 8) & 0x3FF;
        break;
    case 5: /* time passes unseen, as on a machine that was busy or asleep */
        world->now_ms += (int64_t)1 << (what >> 3 & 15);
        break;
    default:
        world->open = false;
        world->wire_length = 0;
        world->break_on = false;
        bl0942_session_gone(world->session, world->now_ms, "The adapter has gone.");
    }
}

static size_t spoil(struct world *world, unsigned how, uint8_t *bytes, size_t length)
{
    size_t count;
    switch (how >> 5) {
    case 3:
        return 0;
    case 4:
        bytes[(how & 31) % length] ^= (uint8_t)(1u << (take(world) & 7));
        return length;
    case 5:
        return (how & 31) % length;
    case 6: /* anything, instead of or before the answer */
        count = how & 31;
        memmove(bytes + count, bytes, length);
        for (size_t i = 0; i < count; i++)
            bytes[i] = (uint8_t)take(world);
        return (how & 1) != 0 ? count : count + length;
    default:
        return length;
    }
}

static void take_request(struct world *world, const struct bl0942_action *action)
{
    require(world->open && !world->break_on);
    require(action->length == BL0942_REQUEST_SIZE || action->length == BL0942_WRITE_SIZE);
    unsigned how = take(world);
    for (size_t i = 0; i < world->count && world->open; i++) {
        struct peer *peer = &world->peers[i];
        if (peer->address != (action->bytes[0] & 3))
            continue;
        if (how >> 5 == 7)
            happen(world, peer, take(world));
        if (peer->baud != world->baud || !world->open)
            continue;
        if (action->length == BL0942_WRITE_SIZE) {
            take_write(peer, action->bytes);
            continue;
        }
        uint8_t bytes[BL0942_PACKET_SIZE + 32];
        size_t length = spoil(world, how, bytes, answer(peer, action->bytes[1], bytes));
        if (world->wire_length + length > sizeof world->wire)
            continue;
        memcpy(world->wire + world->wire_length, bytes, length);
        world->wire_length += length;
        int64_t took_ms = (int64_t)(length + action->length) * 10 * 1000 / world->baud + 1;
        world->wire_ms = world->now_ms + took_ms + (how >> 5 == 2 ? (int64_t)(how & 31) * 80 : 0);
    }
}

static void obey(struct world *world, const struct bl0942_action *action)
{
    switch (action->kind) {
    case BL0942_BREAK_ON:
        require(world->open && !world->raw && !world->break_on);
        world->break_on = true;
        world->break_ms = world->now_ms;
        break;
    case BL0942_BREAK_OFF:
        require(world->break_on && world->now_ms - world->break_ms >= 8);
        world->break_on = false;
        break;
    case BL0942_SET_BAUD:
        require(!world->raw && action->baud >= 4800 && action->baud <= 38400);
        world->baud = action->baud;
        break;
    case BL0942_SEND:
        take_request(world, action);
        break;
    case BL0942_WAIT:
        break;
    }
}

/* Until the session waits; then until the time it waits for, or bytes come. */
static void step(struct world *world)
{
    struct bl0942_action action;
    unsigned actions = 0;
    if (!world->open) {
        world->now_ms += 500;
        world->open = true;
        bl0942_session_open(world->session, world->now_ms);
        world->baud = 4800;
    }
    if (world->wire_length > 0 && world->wire_ms <= world->now_ms) {
        size_t length = world->wire_length;
        world->wire_length = 0;
        bl0942_session_receive(world->session, world->now_ms, WALL_MS + world->now_ms, world->wire,
                               length);
    }
    do {
        bl0942_session_next(world->session, world->now_ms, &action);
        obey(world, &action);
        require(++actions < 20);
    } while (action.kind != BL0942_WAIT);
    if (!world->open)
        return;
    require(action.until_ms > world->now_ms && action.until_ms < INT64_MAX);
    int64_t next_ms = action.until_ms;
    if (world->wire_length > 0 && world->wire_ms < next_ms)
        next_ms = world->wire_ms;
    world->now_ms = next_ms > world->now_ms ? next_ms : world->now_ms;
}

static void create(struct world *world, unsigned kind)
{
    static const int64_t intervals[] = {200, 1000, 5000, 1000};
    struct bl0942_session_options options = {
        .name = "the line",
        .baud = 4800,
        .remote = (kind & 8) != 0,
        .raw = (kind & 24) == 24,
        .chip_count = 1 + (kind & 3) % CHIPS_MAX,
    };
    world->raw = options.raw;
    world->count = options.chip_count;
    world->baud = options.baud;
    for (unsigned i = 0; i < options.chip_count; i++) {
        options.chips[i] = (struct bl0942_chip_options){
            .channel = i,
            .address = i + (kind >> 2 & 1),
            .interval_ms = intervals[kind >> 5 & 3],
            .mains_hz = (kind & 128) != 0 ? 60 : 50,
            .creep = i == 1 ? 0x10 : -1,
        };
        world->peers[i] = (struct peer){.address = options.chips[i].address, .baud = 4800};
        restart(&world->peers[i]);
        world->peers[i].energy = 5000;
    }
    const struct driver_sink sink = {world, on_reading, on_availability, on_event};
    world->session = bl0942_session_create(&options, &sink);
}

static bool all_read(const struct world *world, int64_t since_ms)
{
    for (size_t i = 0; i < world->count; i++)
        if (!world->online[i] || world->last_ms[i] < since_ms)
            return false;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 4096)
        return 0;
    struct world world = {.data = data + 1, .size = size - 1, .now_ms = 1000};
    create(&world, data[0]);
    while (world.size > 0)
        step(&world);
    int64_t well_ms = world.now_ms;
    while (!all_read(&world, well_ms + FRESH_MS) && world.now_ms < well_ms + RECOVERY_MS)
        step(&world);
    require(all_read(&world, well_ms + FRESH_MS));
    for (unsigned i = 0; i < world.count; i++) {
        struct driver_statistics statistics;
        require(bl0942_session_statistics(world.session, i, &statistics));
        require(statistics.readings == world.readings[i] &&
                statistics.timeouts <= statistics.frame_errors);
    }
    bl0942_session_free(world.session);
    return 0;
}
