/* SPDX-License-Identifier: MIT */
#include "drivers/base/limiter.h"

#include "drivers/base/memory.h"

#include <stdio.h>

#define SHARED 0 /* entry 0 stands for all causes that found no room */

struct entry {
    uint64_t cause;
    uint64_t held;
    int64_t since_ms; /* when the period began */
    unsigned passed;
    bool used;
    char words[LIMITER_WORDS_SIZE];
};

struct limiter {
    unsigned burst;
    int64_t period_ms;
    size_t count;  /* entries in use, the shared one apart */
    size_t looked; /* where limiter_expired stopped */
    struct entry entries[LIMITER_CAUSES_MAX + 1];
};

struct limiter *limiter_create(unsigned burst, int64_t period_ms)
{
    struct limiter *limiter = memory_new(1, sizeof *limiter);
    limiter->burst = burst;
    limiter->period_ms = period_ms;
    return limiter;
}

void limiter_free(struct limiter *limiter)
{
    free(limiter);
}

static bool is_over(const struct limiter *limiter, const struct entry *entry, int64_t now_ms)
{
    return now_ms - entry->since_ms >= limiter->period_ms;
}

/* The cause's entry, or the one that it may take: free, or over with nothing left to report. */
static struct entry *entry_of(struct limiter *limiter, uint64_t cause, int64_t now_ms)
{
    struct entry *room = NULL;
    for (size_t i = SHARED + 1; i <= LIMITER_CAUSES_MAX; i++) {
        struct entry *entry = &limiter->entries[i];
        if (entry->used && entry->cause == cause)
            return entry;
        bool is_free = !entry->used || (entry->held == 0 && is_over(limiter, entry, now_ms));
        if (room == NULL && is_free)
            room = entry;
        if (!entry->used && i > limiter->count)
            break; /* nothing was ever beyond it */
    }
    if (room == NULL)
        room = &limiter->entries[SHARED];
    else if (!room->used)
        limiter->count++;
    if (room != &limiter->entries[SHARED])
        room->used = false;
    return room;
}

bool limiter_pass(struct limiter *limiter, uint64_t cause, const char *words, int64_t now_ms,
                  uint64_t *held)
{
    struct entry *entry = entry_of(limiter, cause, now_ms);
    *held = 0;
    if (!entry->used || is_over(limiter, entry, now_ms)) {
        *held = entry->used ? entry->held : 0;
        *entry = (struct entry){.cause = cause, .since_ms = now_ms, .passed = 1, .used = true};
        return true;
    }
    if (entry->passed >= limiter->burst) {
        entry->held++;
        (void)snprintf(entry->words, sizeof entry->words, "%s", words);
        return false;
    }
    entry->passed++;
    return true;
}

bool limiter_expired(struct limiter *limiter, int64_t now_ms, struct limiter_held *held)
{
    for (; limiter->looked <= LIMITER_CAUSES_MAX; limiter->looked++) {
        struct entry *entry = &limiter->entries[limiter->looked];
        if (!entry->used || entry->held == 0 || !is_over(limiter, entry, now_ms))
            continue;
        held->count = entry->held;
        (void)snprintf(held->words, sizeof held->words, "%s", entry->words);
        entry->held = 0; /* from now on its place is free for others */
        return true;
    }
    limiter->looked = 0;
    return false;
}

uint64_t limiter_cause(const char *text)
{
    uint64_t hash = 14695981039346656037U; /* FNV-1a */
    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * 1099511628211U;
    return hash;
}
