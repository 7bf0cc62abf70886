/* SPDX-License-Identifier: MIT */
/** UTF-8, one character at a time. Pure. */
#ifndef BRIDGE_CONFIG_CHARACTERS_H
#define BRIDGE_CONFIG_CHARACTERS_H

#include <stdbool.h>
#include <stddef.h>

/** Bytes of the well-formed UTF-8 character at text[0..length), or 0 if there is none. */
size_t utf8_character(const char *text, size_t length);

/** True for C0, DEL and C1 control characters, which a terminal could take for a command. text and
 *  length: one well-formed character. */
bool utf8_is_control(const char *text, size_t length);

#endif
