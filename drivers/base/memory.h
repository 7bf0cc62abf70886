/* SPDX-License-Identifier: MIT */
/**
 * Memory that a daemon cannot go on without: these never return NULL. When memory is out they say
 * so and abort, so that systemd restarts the service from its durable state instead of letting it
 * limp on with half an update. Sizes that come from outside must be bounded before they get here.
 */
#ifndef DRIVERS_BASE_MEMORY_H
#define DRIVERS_BASE_MEMORY_H

#include <stddef.h>
#include <stdlib.h>

/**
 * To be called first of all, for a process that runs for months on a small computer. Large blocks are mapped one by
 * one: they go back to the system when they are freed, and tables with room for thousands cost only what
 * is used of them. Else glibc puts them on the heap as soon as one was freed, and all of that stays resident.
 */
void memory_stay_small(void);

/** Zeroed memory for count objects; overflow-checked. Freed with free(). */
void *memory_new(size_t count, size_t size);
/**
 * Makes room for one more item in a list of count items, of size bytes each, that has room for
 * *capacity: returns the list, which moves and doubles when it was full. New room is zeroed.
 */
void *memory_grow(void *list, size_t count, size_t *capacity, size_t size);
/** A copy of text. Freed with free(). */
char *memory_copy_text(const char *text);

/** __attribute__((cleanup)) helper: char *x memory_auto = ...; is freed at the end of the scope. */
static inline void memory_cleanup(void *pointer)
{
    void **owned = pointer;
    free(*owned);
}
#define memory_auto __attribute__((cleanup(memory_cleanup)))

#endif
