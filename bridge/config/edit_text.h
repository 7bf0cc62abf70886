/* SPDX-License-Identifier: MIT */
/** JSON values as the text of YAML: what an edit of bridge.yaml (edit.h) writes. Pure. */
#ifndef BRIDGE_CONFIG_EDIT_TEXT_H
#define BRIDGE_CONFIG_EDIT_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/** A text that grows. Zero-initialise it; free(bytes). */
struct edit_text {
    char *bytes; /**< NUL-terminated once something was appended */
    size_t length, capacity;
};

void edit_text_append(struct edit_text *text, const char *bytes, size_t length);
void edit_text_spaces(struct edit_text *text, size_t count);

/** On one line, valid in block and flow context: `5s`, `"a: b"`, `[1, 2]`, `{port: /dev/ttyUSB0}`. */
void edit_text_inline(struct edit_text *text, json_t *value);
/** A text in quotes, in single ones if they can hold it. Other values as edit_text_inline(). */
void edit_text_quoted(struct edit_text *text, json_t *value, bool single);

/** A key as written in front of its colon. */
void edit_text_key(struct edit_text *text, const char *key);

/** `key: value` with a line end, indented by so many columns; an object that holds objects, and a
 *  list of objects, become a block below the key. newline: "\n" or "\r\n". */
void edit_text_pair(struct edit_text *text, size_t indent, const char *key, json_t *value,
                    const char *newline);

/** An element of a block list of objects: `- id: house` and the other keys below it, id first.
 *  The dash stands in column `indent`. */
void edit_text_item(struct edit_text *text, size_t indent, json_t *object, const char *newline);

/** Whether a scalar of the file reads as that JSON value. */
bool edit_text_equals(const char *scalar, bool quoted, json_t *value);

#endif
