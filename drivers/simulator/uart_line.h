/* SPDX-License-Identifier: MIT */
/**
 * One direction of an 8N1 serial line: bytes leave the sender at its baud rate and reach a receiver
 * that may listen at another. Within 2.5 % they arrive as sent; beyond that the receiver samples
 * the real waveform (start edge found up to a quarter of a bit late, as with slow edges and coarse
 * oversampling), so that garbage has the number, the values and the times it has on a bench. Noise
 * comes on top. Pure; time in nanoseconds.
 */
#ifndef DRIVERS_SIMULATOR_UART_LINE_H
#define DRIVERS_SIMULATOR_UART_LINE_H

#include "drivers/simulator/chance.h"

#include <stddef.h>
#include <stdint.h>

/** One sent byte never becomes more than this many received ones. */
#define UART_LINE_BURST 8

/** Probabilities per byte. */
struct uart_line_noise {
    double loss, bit_error;
    double max_clean_baud; /**< above it over_baud_loss comes on top of loss; 0: no such limit */
    double over_baud_loss;
};

struct uart_line;

/** chance is borrowed. */
struct uart_line *uart_line_create(uint32_t baud, struct chance *chance);
void uart_line_free(struct uart_line *line);

void uart_line_set_noise(struct uart_line *line, const struct uart_line_noise *noise);
/** The sender's rate, for every byte that has not begun yet. */
void uart_line_set_baud(struct uart_line *line, uint32_t baud);

/** Queues bytes behind those still to go. */
void uart_line_send(struct uart_line *line, int64_t now_ns, const uint8_t *bytes, size_t length);
/** The sender lost power: what has not left is gone. */
void uart_line_abort(struct uart_line *line);
/** Bytes queued or under way. */
size_t uart_line_pending(const struct uart_line *line);
/** When all of them will have left, from now_ns on. */
int64_t uart_line_idle_ns(const struct uart_line *line, int64_t now_ns);

/** When something reaches the receiver next; INT64_MAX if nothing is under way. */
int64_t uart_line_next_ns(const struct uart_line *line);
/** Takes that event (now_ns is what uart_line_next_ns said or later): returns how many bytes the
 *  receiver got by it, 0 if they were lost or make no byte yet. */
size_t uart_line_take(struct uart_line *line, int64_t now_ns, uint32_t receiver_baud,
                      uint8_t bytes[UART_LINE_BURST]);

#endif
