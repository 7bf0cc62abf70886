/* SPDX-License-Identifier: MIT */
/** Text in columns: the width of the terminal, and paragraphs wrapped to it. */
#ifndef BRIDGE_OPTIONS_LAYOUT_H
#define BRIDGE_OPTIONS_LAYOUT_H

#include <stddef.h>
#include <stdio.h>

enum { LAYOUT_WIDTH_MAX = 80, LAYOUT_WIDTH_MIN = 40 };

/** The columns of the terminal behind fd, else those of COLUMNS, else 80; at least LAYOUT_WIDTH_MIN. */
int layout_terminal_width(int fd);

/** The same, but at most LAYOUT_WIDTH_MAX: longer lines are hard to read. */
int layout_text_width(int fd);

/** How many columns UTF-8 text takes, at one for each character. */
int layout_columns(const char *text);

/**
 * Prints text with line breaks at spaces, so that no line is wider than width. The cursor stands in
 * `column`; further lines are indented by `indent`. "\n" in the text starts a new line. Ends with a
 * line break.
 */
void layout_wrap(FILE *out, const char *text, int column, int indent, int width);

/**
 * Prints a sentence and a line break: on a terminal no wider than that is, elsewhere in one line, as
 * programs read it. A text that has lines of its own is printed as it is.
 */
void layout_message(FILE *out, const char *text);

#endif
