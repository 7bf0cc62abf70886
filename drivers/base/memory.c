/* SPDX-License-Identifier: MIT */
#include "drivers/base/memory.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>

#define LARGE_BLOCK 65536
#define HEAP_STEP 32768 /* the heap grows by, and shrinks when so much of its end is free */
/* The loop's, and one that the other threads share: they hardly ever allocate at the same time. */
#define ARENAS 2

void memory_stay_small(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK);
    (void)mallopt(M_TOP_PAD, HEAP_STEP);
    (void)mallopt(M_TRIM_THRESHOLD, 4 * HEAP_STEP);
    (void)mallopt(M_ARENA_MAX, ARENAS);
}

static void *or_abort(void *pointer, size_t size)
{
    if (pointer == NULL) {
        (void)fprintf(stderr, "Out of memory while asking for %zu bytes; stopping.\n", size);
        abort();
    }
    return pointer;
}

void *memory_new(size_t count, size_t size)
{
    return or_abort(calloc(count == 0 ? 1 : count, size == 0 ? 1 : size), count * size);
}

void *memory_grow(void *list, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return list;
    *capacity = *capacity < 4 ? 8 : *capacity * 2;
    void *grown = memory_new(*capacity, size);
    if (count > 0)
        memcpy(grown, list, count * size);
    free(list);
    return grown;
}

char *memory_copy_text(const char *text)
{
    return or_abort(strdup(text), strlen(text) + 1);
}
