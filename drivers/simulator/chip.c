/* SPDX-License-Identifier: MIT */
#include "drivers/simulator/chip.h"

#include "drivers/base/memory.h"
#include "drivers/simulator/converter.h"
#include "drivers/simulator/dice.h"

#include <string.h>

/* Register addresses (datasheet V1.10, 1.5). */
enum {
    REG_I_WAVE = 0x01,
    REG_V_WAVE = 0x02,
    REG_I_RMS = 0x03,
    REG_V_RMS = 0x04,
    REG_I_FAST_RMS = 0x05,
    REG_WATT = 0x06,
    REG_CF_CNT = 0x07,
    REG_FREQ = 0x08,
    REG_STATUS = 0x09,
    REG_SETTINGS_FIRST = 0x12,
    REG_WA_CREEP = 0x14,
    REG_MODE = 0x19,
    REG_GAIN_CR = 0x1A,
    REG_SOFT_RESET = 0x1C,
    REG_USR_WRPROT = 0x1D,
    REG_PACKET = 0xAA,
    SETTINGS = REG_GAIN_CR - REG_SETTINGS_FIRST + 1,
};

enum {
    MODE_CF_EN = 1 << 2,
    MODE_RMS_800_MS = 1 << 3,
    MODE_CLEAR_ON_READ = 1 << 6,
    MODE_ABSOLUTE = 1 << 7,
    MODE_RATE_SHIFT = 8,
};

enum {
    STATUS_REVERSE = 1 << 0,
    STATUS_CREEP = 1 << 1,
    STATUS_UNDOCUMENTED = 1 << 5, /* seen to come and go in captures */
    STATUS_CURRENT_LOW = 1 << 8,
    STATUS_VOLTAGE_LOW = 1 << 9,
};

#define ID_READ 0x58
#define ID_WRITE 0xA8
#define ID_ADDRESS_MASK 0x03
#define PACKET_HEADER 0x55
#define PACKET_SIZE 23
#define REGISTER_ANSWER_SIZE 4
#define WRITE_FRAME_SIZE 6
#define UNLOCK_KEY 0x55
#define SOFT_RESET_KEY 0x5A5A5A

#define LINE_GAP_US 20000
#define FRAME_TIMEOUT_US 16000
#define LATE_US 300000
#define BITS_PER_BYTE 10 /* 8N1 */

#define RECEIVE_QUEUE 256
#define TRANSMIT_QUEUE 128
#define JUNK_MAX 8
#define ANSWER_MAX (JUNK_MAX + PACKET_SIZE)

struct host_byte {
    int64_t at_us; /* end of its stop bit */
    uint32_t baud;
    uint8_t byte;
};

struct chip_byte {
    int64_t at_us;
    uint8_t byte;
    uint64_t counts; /* as things stood when this answer was assembled */
    uint32_t counter;
};

struct chip {
    struct chip_options options;
    struct chip_faults faults;
    struct converter converter;
    int64_t now_us;
    uint64_t dice;
    unsigned resets, answers, faulty;

    uint16_t settings[SETTINGS];
    bool unlocked;
    uint32_t baud;

    uint8_t frame[WRITE_FRAME_SIZE];
    size_t frame_length;
    int64_t frame_start_us, last_byte_us;
    bool ignoring;    /* until the line was quiet */
    bool overhearing; /* ... and the last byte was the id of a read from another address */

    struct host_byte receive[RECEIVE_QUEUE];
    size_t receive_first, receive_count;
    int64_t host_busy_us;
    struct chip_byte transmit[TRANSMIT_QUEUE];
    size_t transmit_first, transmit_count;
    int64_t chip_busy_us;
    uint64_t answer_counts; /* of the last byte that left */
    uint32_t answer_counter;
};

/* ---- settings ---- */

static const struct {
    uint16_t mask, initial;
} setting_table[SETTINGS] = {
    [0x12 - REG_SETTINGS_FIRST] = {0x00FF, 0x0000}, /* I_RMSOS: no source says what it does */
    [0x14 - REG_SETTINGS_FIRST] = {0x00FF, 0x000B}, /* WA_CREEP */
    [0x15 - REG_SETTINGS_FIRST] = {0xFFFF, 0xFFFF}, /* I_FAST_RMS_TH */
    [0x16 - REG_SETTINGS_FIRST] = {0x0007, 0x0001}, /* I_FAST_RMS_CYC */
    [0x17 - REG_SETTINGS_FIRST] = {0x0003, 0x0003}, /* FREQ_CYC */
    [0x18 - REG_SETTINGS_FIRST] = {0x003F, 0x0024}, /* OT_FUNX */
    [REG_MODE - REG_SETTINGS_FIRST] = {0x03FF, 0x0087},
    [REG_GAIN_CR - REG_SETTINGS_FIRST] = {0x0003, 0x0002},
};

static uint16_t setting(const struct chip *chip, unsigned reg)
{
    return chip->settings[reg - REG_SETTINGS_FIRST];
}

static bool mode_has(const struct chip *chip, unsigned bit)
{
    return (setting(chip, REG_MODE) & bit) != 0;
}

static uint32_t mode_baud(const struct chip *chip)
{
    switch (setting(chip, REG_MODE) >> MODE_RATE_SHIFT) {
    case 2:
        return 19200;
    case 3:
        return 38400;
    default:
        return chip->options.pin_baud;
    }
}

static void settings_changed(struct chip *chip)
{
    static const double gains[] = {1.0 / 16, 4.0 / 16, 1, 24.0 / 16};
    const struct converter_settings settings = {
        .window_us = mode_has(chip, MODE_RMS_800_MS) ? 800000 : 400000,
        .counting = mode_has(chip, MODE_CF_EN),
        .absolute = mode_has(chip, MODE_ABSOLUTE),
        .gain = gains[setting(chip, REG_GAIN_CR)],
        .creep = setting(chip, REG_WA_CREEP) * 3125.0 / 256.0,
    };
    converter_configure(&chip->converter, &settings);
    chip->baud = mode_baud(chip);
}

static void default_settings(struct chip *chip)
{
    for (size_t i = 0; i < SETTINGS; i++)
        chip->settings[i] = setting_table[i].initial;
    settings_changed(chip);
}

/* ---- registers ---- */

static uint32_t status_bits(const struct chip *chip)
{
    const struct converter *converter = &chip->converter;
    return (converter->last_pulse_exported ? STATUS_REVERSE : 0u) |
           (converter->creep ? STATUS_CREEP : 0u) |
           (converter->undocumented ? STATUS_UNDOCUMENTED : 0u) |
           (converter->i_rms < CONVERTER_CURRENT_LOW_BELOW ? STATUS_CURRENT_LOW : 0u) |
           (converter->v_rms < CONVERTER_VOLTAGE_LOW_BELOW ? STATUS_VOLTAGE_LOW : 0u);
}

static uint32_t take_counter(struct chip *chip)
{
    uint32_t counter = chip->converter.counter;
    if (mode_has(chip, MODE_CLEAR_ON_READ))
        chip->converter.counter = 0;
    return counter;
}

static uint32_t read_register(struct chip *chip, unsigned reg)
{
    switch (reg) {
    case REG_I_WAVE:
        return (uint32_t)converter_current_sample(&chip->converter) & CONVERTER_RAW_MASK;
    case REG_V_WAVE:
        return (uint32_t)converter_voltage_sample(&chip->converter) & CONVERTER_RAW_MASK;
    case REG_I_RMS:
        return chip->converter.i_rms;
    case REG_V_RMS:
        return chip->converter.v_rms;
    case REG_I_FAST_RMS:
        return chip->converter.i_fast_rms;
    case REG_WATT:
        return (uint32_t)chip->converter.watt & CONVERTER_RAW_MASK;
    case REG_CF_CNT:
        return take_counter(chip);
    case REG_FREQ:
        return chip->converter.frequency;
    case REG_STATUS:
        return status_bits(chip);
    case REG_USR_WRPROT:
        return chip->unlocked ? 1 : 0;
    default:
        return reg >= REG_SETTINGS_FIRST && reg <= REG_GAIN_CR ? setting(chip, reg) : 0;
    }
}

/* The unlock survives it: firmware in the field unlocks, resets, and writes MODE without another
 * unlock, and reads that MODE back. */
static void soft_reset(struct chip *chip)
{
    default_settings(chip);
    if (chip->options.soft_reset_clears_energy)
        chip->converter.counter = 0;
}

static void write_register(struct chip *chip, unsigned reg, uint32_t value)
{
    if (reg == REG_USR_WRPROT) {
        chip->unlocked = (value & 0xFF) == UNLOCK_KEY;
        return;
    }
    if (!chip->unlocked)
        return;
    if (reg == REG_SOFT_RESET && value == SOFT_RESET_KEY)
        soft_reset(chip);
    if (reg < REG_SETTINGS_FIRST || reg > REG_GAIN_CR)
        return; /* read-only, or no register at all */
    size_t index = reg - REG_SETTINGS_FIRST;
    chip->settings[index] = (uint16_t)(value & setting_table[index].mask);
    settings_changed(chip);
}

/* ---- answers ---- */

static uint8_t checksum(uint8_t first, const uint8_t *bytes, size_t length)
{
    unsigned sum = first;
    for (size_t i = 0; i < length; i++)
        sum += bytes[i];
    return (uint8_t)~sum;
}

static void put_u24(uint8_t *bytes, uint32_t value)
{
    bytes[0] = (uint8_t)value;
    bytes[1] = (uint8_t)(value >> 8);
    bytes[2] = (uint8_t)(value >> 16);
}

/* Returns the length; the last byte is the checksum, over the id byte (*first: what the sum starts
 * with, for faults that keep it valid) and all before. */
static size_t build_answer(struct chip *chip, unsigned reg, uint8_t *bytes, uint8_t *first)
{
    uint8_t id = (uint8_t)(ID_READ | chip->options.address);
    if (reg != REG_PACKET) {
        *first = (uint8_t)(id + reg);
        put_u24(bytes, read_register(chip, reg));
        bytes[3] = checksum(*first, bytes, 3);
        return REGISTER_ANSWER_SIZE;
    }
    *first = id; /* the packet's pseudo address is not part of the sum */
    memset(bytes, 0, PACKET_SIZE);
    bytes[0] = PACKET_HEADER;
    put_u24(bytes + 1, chip->converter.i_rms);
    put_u24(bytes + 4, chip->converter.v_rms);
    put_u24(bytes + 7, chip->converter.i_fast_rms);
    put_u24(bytes + 10, (uint32_t)chip->converter.watt);
    put_u24(bytes + 13, take_counter(chip));
    put_u24(bytes + 16, chip->converter.frequency);
    put_u24(bytes + 19, status_bits(chip));
    bytes[PACKET_SIZE - 1] = checksum(*first, bytes, PACKET_SIZE - 1);
    return PACKET_SIZE;
}

static bool roll(struct chip *chip, double probability)
{
    return probability > 0 && dice_unit(dice_next(&chip->dice)) < probability;
}

static size_t pick(struct chip *chip, size_t count)
{
    return (size_t)(dice_next(&chip->dice) % count);
}

static void flip_bit(struct chip *chip, uint8_t *bytes, size_t length)
{
    bytes[pick(chip, length)] ^= (uint8_t)(1u << pick(chip, 8));
}

/* Two flips that leave the checksum right and the header whole. There nearly always is such a pair
 * (one bit that is set in one byte and clear in another); chance finds it soon. */
static bool flip_two_bits(struct chip *chip, uint8_t first, uint8_t *bytes, size_t length)
{
    size_t header = length == PACKET_SIZE ? 1 : 0;
    for (int attempt = 0; attempt < 1000; attempt++) {
        uint8_t bit = (uint8_t)(1u << pick(chip, 8));
        size_t one = header + pick(chip, length - header);
        size_t two = header + pick(chip, length - header);
        if (one == two)
            continue;
        bytes[one] ^= bit;
        bytes[two] ^= bit;
        if (checksum(first, bytes, length - 1) == bytes[length - 1])
            return true;
        bytes[one] ^= bit;
        bytes[two] ^= bit;
    }
    return false;
}

static size_t put_junk(struct chip *chip, uint8_t *bytes)
{
    size_t length = 1 + pick(chip, JUNK_MAX);
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)dice_next(&chip->dice);
    return length;
}

static void send(struct chip *chip, int64_t start_us, const uint8_t *bytes, size_t length)
{
    const struct converter *converter = &chip->converter;
    uint64_t counts = converter->counts_imported + converter->counts_exported;
    if (chip->transmit_count + length > TRANSMIT_QUEUE)
        return; /* asked faster than it can speak */
    if (start_us < chip->chip_busy_us)
        start_us = chip->chip_busy_us;
    for (size_t i = 0; i < length; i++) {
        int64_t bits = (int64_t)(i + 1) * BITS_PER_BYTE;
        size_t at = (chip->transmit_first + chip->transmit_count++) % TRANSMIT_QUEUE;
        chip->chip_busy_us = start_us + bits * 1000000 / chip->baud;
        chip->transmit[at] =
            (struct chip_byte){chip->chip_busy_us, bytes[i], counts, converter->counter};
    }
}

static void power_cut(struct chip *chip);

/* wrong: this fault has already been decided on. */
static void answer(struct chip *chip, unsigned reg, bool wrong)
{
    const struct chip_faults *faults = &chip->faults;
    bool faulty = wrong;
    uint8_t bytes[ANSWER_MAX];
    size_t junk = 0;
    if (roll(chip, faults->reset)) {
        power_cut(chip);
        faulty = true;
    }
    if (roll(chip, faults->junk_before)) {
        junk = put_junk(chip, bytes);
        faulty = true;
    }
    uint8_t first;
    uint8_t *body = bytes + junk;
    size_t length = build_answer(chip, reg, body, &first);
    if (roll(chip, faults->double_flip))
        faulty = flip_two_bits(chip, first, body, length) || faulty;
    if (roll(chip, faults->bit_flip)) {
        flip_bit(chip, body, length);
        faulty = true;
    }
    if (roll(chip, faults->truncate)) {
        length = 1 + pick(chip, length - 1);
        faulty = true;
    }
    int64_t start_us = chip->now_us + 1000000 / chip->baud / 2;
    if (roll(chip, faults->late)) {
        start_us += LATE_US;
        faulty = true;
    }
    chip->answers++;
    if (roll(chip, faults->silence))
        faulty = true;
    else
        send(chip, start_us, bytes, junk + length);
    if (faulty)
        chip->faulty++;
}

/* ---- the line ---- */

static void forget_frame(struct chip *chip)
{
    chip->frame_length = 0;
    chip->ignoring = chip->overhearing = false;
}

static bool is_own_id(const struct chip *chip, uint8_t byte)
{
    return byte == (ID_READ | chip->options.address) || byte == (ID_WRITE | chip->options.address);
}

static bool is_read_id(uint8_t byte)
{
    return (byte & ~ID_ADDRESS_MASK) == ID_READ;
}

static void finish_write(struct chip *chip)
{
    const uint8_t *frame = chip->frame;
    chip->frame_length = 0;
    if (checksum(0, frame, WRITE_FRAME_SIZE - 1) != frame[WRITE_FRAME_SIZE - 1])
        return; /* dropped without a word */
    uint32_t value = frame[2] | (uint32_t)frame[3] << 8 | (uint32_t)frame[4] << 16;
    write_register(chip, frame[1], value);
}

/* Somebody else is meant. Nothing more is received until the line was quiet; a chip with this fault
 * feels spoken to all the same. */
static void overhear(struct chip *chip, uint8_t byte)
{
    if (!chip->overhearing)
        return;
    chip->overhearing = false;
    if (roll(chip, chip->faults.wrong_address))
        answer(chip, byte, true);
}

static void start_frame(struct chip *chip, uint8_t byte)
{
    if (is_own_id(chip, byte)) {
        chip->frame[0] = byte;
        chip->frame_length = 1;
        chip->frame_start_us = chip->now_us;
        return;
    }
    chip->ignoring = true;
    chip->overhearing = is_read_id(byte);
}

static void go_on_with_frame(struct chip *chip, uint8_t byte)
{
    chip->frame[chip->frame_length++] = byte;
    if (is_read_id(chip->frame[0])) {
        chip->frame_length = 0;
        answer(chip, byte, false);
    } else if (chip->frame_length == WRITE_FRAME_SIZE) {
        finish_write(chip);
    }
}

static void hear(struct chip *chip, int64_t byte_us, uint8_t byte)
{
    if (chip->now_us - byte_us - chip->last_byte_us >= LINE_GAP_US)
        forget_frame(chip);
    chip->last_byte_us = chip->now_us;
    if (chip->now_us - chip->frame_start_us > chip->options.frame_timeout_us)
        chip->frame_length = 0;
    if (chip->ignoring)
        overhear(chip, byte);
    else if (chip->frame_length == 0)
        start_frame(chip, byte);
    else
        go_on_with_frame(chip, byte);
}

static int64_t byte_time_us(uint32_t baud)
{
    return (BITS_PER_BYTE * INT64_C(1000000) + baud / 2) / baud;
}

/* At another baud rate bytes come out as other bytes, and more or fewer of them. */
static void hear_garbage(struct chip *chip, uint32_t host_baud)
{
    uint32_t whole = chip->baud / host_baud;
    double rest = (double)chip->baud / host_baud - whole;
    uint32_t count = (whole > BITS_PER_BYTE ? BITS_PER_BYTE : whole) + (roll(chip, rest) ? 1 : 0);
    for (uint32_t i = 0; i < count; i++)
        hear(chip, byte_time_us(host_baud), (uint8_t)dice_next(&chip->dice));
}

static void measure(struct chip *chip, int64_t until_us)
{
    converter_advance(&chip->converter, until_us);
    chip->now_us = until_us;
}

static void advance(struct chip *chip, int64_t until_us)
{
    while (chip->receive_count > 0 && chip->receive[chip->receive_first].at_us <= until_us) {
        struct host_byte next = chip->receive[chip->receive_first];
        chip->receive_first = (chip->receive_first + 1) % RECEIVE_QUEUE;
        chip->receive_count--;
        measure(chip, next.at_us);
        if (chip_same_baud(chip->baud, next.baud))
            hear(chip, byte_time_us(next.baud), next.byte);
        else
            hear_garbage(chip, next.baud);
    }
    if (until_us > chip->now_us)
        measure(chip, until_us);
}

/* ---- the outside ---- */

static void clear_line(struct chip *chip)
{
    forget_frame(chip);
    chip->receive_count = 0;
    chip->transmit_count = 0;
    chip->host_busy_us = chip->chip_busy_us = chip->now_us;
}

static void power_on(struct chip *chip)
{
    converter_power_on(&chip->converter, chip->now_us);
    default_settings(chip);
    chip->unlocked = false;
    clear_line(chip);
}

static void power_cut(struct chip *chip)
{
    power_on(chip);
    chip->resets++;
}

struct chip *chip_create(const struct chip_options *options, int64_t now_us)
{
    struct chip *chip = memory_new(1, sizeof *chip);
    chip->options = *options;
    chip->converter.counts_per_volt = options->counts_per_volt;
    chip->converter.counts_per_ampere = options->counts_per_ampere;
    chip->converter.counts_per_watt = options->counts_per_watt;
    chip->converter.noise = options->noise;
    chip->converter.seed = options->seed;
    if (chip->options.frame_timeout_us == 0)
        chip->options.frame_timeout_us = FRAME_TIMEOUT_US;
    chip->dice = dice_hash(options->seed);
    chip->now_us = now_us;
    chip->last_byte_us = now_us;
    power_on(chip);
    chip->converter.counter = options->first_count & CONVERTER_RAW_MASK;
    return chip;
}

void chip_free(struct chip *chip)
{
    free(chip);
}

void chip_set_load(struct chip *chip, int64_t now_us, const struct chip_load *load)
{
    advance(chip, now_us);
    converter_set_load(&chip->converter, load);
}

void chip_set_faults(struct chip *chip, const struct chip_faults *faults)
{
    chip->faults = *faults;
}

void chip_set_counter(struct chip *chip, int64_t now_us, uint32_t value)
{
    advance(chip, now_us);
    chip->converter.counter = value & CONVERTER_RAW_MASK;
}

void chip_reset(struct chip *chip, int64_t now_us)
{
    advance(chip, now_us);
    power_cut(chip);
}

void chip_receive(struct chip *chip, int64_t now_us, uint32_t baud, const uint8_t *bytes,
                  size_t length)
{
    advance(chip, now_us);
    if (baud == 0)
        return; /* B0 means "hang up": nothing is sent */
    if (chip->host_busy_us < chip->now_us)
        chip->host_busy_us = chip->now_us;
    for (size_t i = 0; i < length && chip->receive_count < RECEIVE_QUEUE; i++) {
        chip->host_busy_us += byte_time_us(baud);
        size_t at = (chip->receive_first + chip->receive_count++) % RECEIVE_QUEUE;
        chip->receive[at] = (struct host_byte){chip->host_busy_us, baud, bytes[i]};
    }
}

void chip_break(struct chip *chip, int64_t now_us)
{
    advance(chip, now_us);
    clear_line(chip);
}

size_t chip_transmit(struct chip *chip, int64_t now_us, uint8_t *bytes, size_t size)
{
    advance(chip, now_us);
    size_t count = 0;
    while (count < size && chip->transmit_count > 0 &&
           chip->transmit[chip->transmit_first].at_us <= now_us) {
        const struct chip_byte *byte = &chip->transmit[chip->transmit_first];
        bytes[count++] = byte->byte;
        chip->answer_counts = byte->counts;
        chip->answer_counter = byte->counter;
        chip->transmit_first = (chip->transmit_first + 1) % TRANSMIT_QUEUE;
        chip->transmit_count--;
    }
    return count;
}

int64_t chip_next_us(const struct chip *chip)
{
    int64_t next_us = INT64_MAX;
    if (chip->receive_count > 0)
        next_us = chip->receive[chip->receive_first].at_us;
    if (chip->transmit_count > 0 && chip->transmit[chip->transmit_first].at_us < next_us)
        next_us = chip->transmit[chip->transmit_first].at_us;
    return next_us;
}

uint32_t chip_baud(const struct chip *chip)
{
    return chip->baud;
}

/* A UART samples in the middle of each of ten bits. */
bool chip_same_baud(uint32_t one, uint32_t other)
{
    uint32_t difference = one > other ? one - other : other - one;
    return (uint64_t)difference * 100 <= (uint64_t)one * 3;
}

unsigned chip_address(const struct chip *chip)
{
    return chip->options.address;
}

void chip_truth(struct chip *chip, int64_t now_us, struct chip_truth *truth)
{
    advance(chip, now_us);
    const struct converter *converter = &chip->converter;
    *truth = (struct chip_truth){
        .load = converter->load,
        .counts_imported = converter->counts_imported,
        .counts_exported = converter->counts_exported,
        .counter = converter->counter,
        .answer_counts = chip->answer_counts,
        .answer_counter = chip->answer_counter,
        .resets = chip->resets,
        .answers = chip->answers,
        .faults = chip->faulty,
        .mode = setting(chip, REG_MODE),
        .i_rms = converter->i_rms,
        .v_rms = converter->v_rms,
        .i_fast_rms = converter->i_fast_rms,
        .frequency = converter->frequency,
        .status = status_bits(chip),
        .watt = converter->watt,
    };
}
