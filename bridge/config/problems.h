/* SPDX-License-Identifier: MIT */
/** Collecting what is wrong with a configuration, in words that are safe to print. */
#ifndef BRIDGE_CONFIG_PROBLEMS_H
#define BRIDGE_CONFIG_PROBLEMS_H

#include "bridge/config/config.h"
#include "drivers/base/text.h"

/** Where something stands. line 0: nowhere in a file, `file` says what it is about. */
struct place {
    const char *file; /**< borrowed */
    int line, column;
};

/** Adds a problem; beyond CONFIG_PROBLEMS_MAX it is only counted, but an error takes the place of a
 *  warning. Control characters and broken UTF-8 in the formatted text become '?'. */
void problems_add(struct config_problems *problems, enum config_severity severity,
                  struct place place, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/** True when another error would only be counted: spares the work of wording it well. */
bool problems_full(const struct config_problems *problems);

/** Puts the list in the order of the file(s); the environment comes last. */
void problems_sort(struct config_problems *problems);

/** Appends text in double quotes, cut after 40 characters. */
void append_quoted(struct text *out, const char *text);

#endif
