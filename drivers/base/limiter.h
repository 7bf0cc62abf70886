/* SPDX-License-Identifier: MIT */
/**
 * Holds back what repeats: of each cause a few occurrences a minute pass, the rest is counted. Pure,
 * with time as a parameter; not thread-safe. Memory is bounded, however many causes there are: when the
 * table is full, causes that are not known yet share one entry.
 */
#ifndef DRIVERS_BASE_LIMITER_H
#define DRIVERS_BASE_LIMITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIMITER_CAUSES_MAX 512
#define LIMITER_WORDS_SIZE 160

struct limiter;

/** burst occurrences of a cause pass in each period_ms, which begins with the cause's first one. */
struct limiter *limiter_create(unsigned burst, int64_t period_ms);
void limiter_free(struct limiter *limiter);

/**
 * True if this occurrence, described by words, passes. *held is then how many of the cause were held back
 * since one last passed, to be reported with it; 0 when it does not pass.
 */
bool limiter_pass(struct limiter *limiter, uint64_t cause, const char *words, int64_t now_ms,
                  uint64_t *held);

/** What was held back of one cause whose period is over, for a report although nothing more happened. */
struct limiter_held {
    uint64_t count;
    char words[LIMITER_WORDS_SIZE]; /**< of the last one, cut */
};

/** Takes one out; false if there is none. To be called until then, about once a second. */
bool limiter_expired(struct limiter *limiter, int64_t now_ms, struct limiter_held *held);

/** A cause from a text. */
uint64_t limiter_cause(const char *text);

#endif
