/* SPDX-License-Identifier: MIT */
#include "drivers/simulator/uart_line.h"

#include "drivers/base/memory.h"

#include <string.h>

#define SECOND_NS 1000000000LL
#define FIRST_CAPACITY 1024U

/* The receiver's shift register, when the rates differ. */
struct sampler {
    bool in_frame;
    bool await_high; /* a frame ended in a low stop bit: no start edge before the line was high */
    unsigned bit;    /* 0 start, 1..8 data, 9 stop */
    unsigned shift;
    int64_t sample_ns;
    int64_t seen_ns; /* up to here the waveform was looked at */
};

struct uart_line {
    uint8_t *queue; /* a ring; capacity is a power of two */
    size_t capacity, head, count;
    uint32_t baud;
    bool active; /* a byte is under way */
    uint8_t byte;
    uint32_t byte_baud;
    int64_t start_ns, end_ns;
    uint32_t receiver_baud; /* as last told */
    struct sampler sampler;
    struct uart_line_noise noise;
    struct chance *chance;
};

struct uart_line *uart_line_create(uint32_t baud, struct chance *chance)
{
    struct uart_line *line = memory_new(1, sizeof *line);
    line->capacity = FIRST_CAPACITY;
    line->queue = memory_new(line->capacity, 1);
    line->baud = baud;
    line->receiver_baud = baud;
    line->chance = chance;
    return line;
}

void uart_line_free(struct uart_line *line)
{
    if (line == NULL)
        return;
    free(line->queue);
    free(line);
}

void uart_line_set_noise(struct uart_line *line, const struct uart_line_noise *noise)
{
    line->noise = *noise;
}

void uart_line_set_baud(struct uart_line *line, uint32_t baud)
{
    line->baud = baud;
}

static void grow(struct uart_line *line)
{
    uint8_t *bigger = memory_new(line->capacity, 2);
    for (size_t i = 0; i < line->count; i++)
        bigger[i] = line->queue[(line->head + i) & (line->capacity - 1)];
    free(line->queue);
    line->queue = bigger;
    line->capacity *= 2;
    line->head = 0;
}

static void start_next(struct uart_line *line, int64_t now_ns)
{
    line->active = line->count > 0;
    if (!line->active)
        return;
    line->byte = line->queue[line->head];
    line->head = (line->head + 1) & (line->capacity - 1);
    line->count--;
    line->byte_baud = line->baud;
    line->start_ns = now_ns;
    line->end_ns = now_ns + 10 * SECOND_NS / line->baud;
}

void uart_line_send(struct uart_line *line, int64_t now_ns, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (line->count == line->capacity)
            grow(line);
        line->queue[(line->head + line->count) & (line->capacity - 1)] = bytes[i];
        line->count++;
    }
    if (!line->active)
        start_next(line, now_ns);
}

void uart_line_abort(struct uart_line *line)
{
    line->count = 0;
    line->active = false;
    line->sampler = (struct sampler){.seen_ns = line->sampler.seen_ns};
}

size_t uart_line_pending(const struct uart_line *line)
{
    return line->count + (line->active ? 1 : 0);
}

int64_t uart_line_idle_ns(const struct uart_line *line, int64_t now_ns)
{
    if (!line->active)
        return now_ns;
    return line->end_ns + (int64_t)line->count * (10 * SECOND_NS / line->baud);
}

/* When a frame that the sender's last byte began will be complete on the idle line. */
static int64_t frame_end_ns(const struct uart_line *line)
{
    return line->sampler.sample_ns +
           (int64_t)(9 - line->sampler.bit) * (SECOND_NS / line->receiver_baud);
}

int64_t uart_line_next_ns(const struct uart_line *line)
{
    if (line->active)
        return line->end_ns;
    return line->sampler.in_frame ? frame_end_ns(line) : INT64_MAX;
}

/* Shows the receiver one stretch of constant level; completed bytes are appended. */
static size_t sample(struct uart_line *line, int64_t end_ns, bool level, int64_t bit_ns,
                     uint8_t *bytes, size_t count)
{
    struct sampler *sampler = &line->sampler;
    if (!sampler->in_frame && !level && !sampler->await_high) {
        int64_t lateness = (int64_t)(chance_unit(line->chance) * (double)bit_ns / 4);
        sampler->in_frame = true;
        sampler->bit = 0;
        sampler->shift = 0;
        sampler->sample_ns = sampler->seen_ns + bit_ns / 2 + lateness;
    }
    while (sampler->in_frame && sampler->sample_ns < end_ns) {
        if (sampler->bit == 0 && level) {
            sampler->in_frame = false; /* a glitch, not a start bit */
        } else if (sampler->bit == 9) {
            if (count < UART_LINE_BURST)
                bytes[count++] = (uint8_t)sampler->shift;
            sampler->in_frame = false;
            sampler->await_high = !level;
        } else if (sampler->bit > 0 && level) {
            sampler->shift |= 1U << (sampler->bit - 1);
        }
        sampler->bit++;
        sampler->sample_ns += bit_ns;
    }
    if (level)
        sampler->await_high = false;
    sampler->seen_ns = end_ns;
    return count;
}

static size_t sample_byte(struct uart_line *line, uint32_t receiver_baud, uint8_t *bytes)
{
    int64_t receiver_bit_ns = SECOND_NS / receiver_baud;
    unsigned frame = (unsigned)line->byte << 1 | 0x200U;
    size_t count = 0;
    if (line->sampler.seen_ns < line->start_ns)
        count = sample(line, line->start_ns, true, receiver_bit_ns, bytes, count);
    for (unsigned bit = 0; bit < 10; bit++) {
        int64_t end_ns = line->start_ns + (int64_t)(bit + 1) * SECOND_NS / line->byte_baud;
        count = sample(line, end_ns, (frame >> bit & 1U) != 0, receiver_bit_ns, bytes, count);
    }
    return count;
}

/* Drops and damages; returns how many bytes are left. */
static size_t disturb(struct uart_line *line, uint8_t *bytes, size_t count)
{
    const struct uart_line_noise *noise = &line->noise;
    double loss = noise->loss;
    if (noise->max_clean_baud > 0 && line->byte_baud > noise->max_clean_baud)
        loss += noise->over_baud_loss;
    size_t left = 0;
    for (size_t i = 0; i < count; i++) {
        if (chance_strikes(line->chance, loss))
            continue;
        bytes[left] = bytes[i];
        if (chance_strikes(line->chance, noise->bit_error))
            bytes[left] ^= (uint8_t)(1U << chance_below(line->chance, 8));
        left++;
    }
    return left;
}

static bool rates_agree(uint32_t a, uint32_t b)
{
    uint64_t difference = a > b ? a - b : b - a;
    return difference * 40 <= a;
}

size_t uart_line_take(struct uart_line *line, int64_t now_ns, uint32_t receiver_baud,
                      uint8_t bytes[UART_LINE_BURST])
{
    line->receiver_baud = receiver_baud;
    size_t count = 0;
    if (line->active && line->end_ns <= now_ns) {
        if (rates_agree(line->byte_baud, receiver_baud)) {
            bytes[count++] = line->byte;
            line->sampler = (struct sampler){.seen_ns = line->end_ns};
        } else {
            count = sample_byte(line, receiver_baud, bytes);
        }
        start_next(line, line->end_ns);
    } else if (!line->active && line->sampler.in_frame && frame_end_ns(line) <= now_ns) {
        count = sample(line, frame_end_ns(line) + 1, true, SECOND_NS / receiver_baud, bytes, count);
    }
    return disturb(line, bytes, count);
}
