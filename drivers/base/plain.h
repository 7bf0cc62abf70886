/* SPDX-License-Identifier: MIT */
/**
 * Text that came from outside, made safe to show on a terminal or in a log. What could change how the
 * rest of a line looks is not plain: C0 and C1 controls, DEL, line and paragraph separators, marks that
 * turn the writing direction, invisible characters, and bytes that are not UTF-8.
 */
#ifndef DRIVERS_BASE_PLAIN_H
#define DRIVERS_BASE_PLAIN_H

#include <stdbool.h>
#include <stddef.h>

/** True if text (length bytes, need not end in NUL) is plain. The empty text is. */
bool plain_is(const char *text, size_t length);

/**
 * Replaces in place whatever is not plain: a character by one space, a byte that is not UTF-8 by '?'.
 * A character that was cut at the end is dropped. The text never grows; text that is plain stays as it is.
 */
void plain_make(char *text);

/** A plain copy of text in out, cut to size; returns out. */
const char *plain_copy(char *out, size_t size, const char *text);

/** As plain_make, but keeps line feeds and tabs: for a report of several lines. */
void plain_make_lines(char *text);

#endif
