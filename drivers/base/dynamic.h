/* SPDX-License-Identifier: MIT */
/**
 * Libraries that are loaded when they are first needed. Each costs a service that does not use it one to four
 * megabytes: what it brings along, its tables, what it prepares when it starts. Functions are called through a table of
 * pointers that is filled once; a library that was loaded stays until the process ends, as it may have threads.
 */
#ifndef DRIVERS_BASE_DYNAMIC_H
#define DRIVERS_BASE_DYNAMIC_H

#include "drivers/base/status.h"

#include <stddef.h>

struct dynamic_function {
    const char *name;
    size_t at; /**< offset of its pointer in the table */
};

struct dynamic_library {
    const char *file;    /**< as the loader knows it: libcurl.so.4 */
    const char *purpose; /**< what needs it, at the beginning of a sentence: "HTTP" */
    const char *package; /**< Debian's */
    const struct dynamic_function *functions;
    size_t count;
};

/** The library's handle for dlsym, NULL if it is not installed or lacks a function. */
void *dynamic_load(const struct dynamic_library *library, void *table, struct error *error);

#endif
