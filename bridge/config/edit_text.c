/* SPDX-License-Identifier: MIT */
#include "bridge/config/edit_text.h"

#include "drivers/base/memory.h"

#include <stdio.h>
#include <string.h>

#define ROOM_MIN 256

void edit_text_append(struct edit_text *text, const char *bytes, size_t length)
{
    if (text->capacity - text->length <= length) {
        size_t capacity = (text->length + length + 1) * 2;
        capacity = capacity < ROOM_MIN ? ROOM_MIN : capacity;
        char *larger = memory_new(1, capacity);
        if (text->length > 0)
            memcpy(larger, text->bytes, text->length);
        free(text->bytes);
        text->bytes = larger;
        text->capacity = capacity;
    }
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
    text->bytes[text->length] = '\0';
}

static void append_text(struct edit_text *text, const char *more)
{
    edit_text_append(text, more, strlen(more));
}

void edit_text_spaces(struct edit_text *text, size_t count)
{
    for (size_t i = 0; i < count; i++)
        edit_text_append(text, " ", 1);
}

/* Words that YAML readers take for something other than text. */
static bool is_special_word(const char *word)
{
    static const char *const words[] = {"null", "true", "false", "yes", "no",
                                        "on",   "off",  "y",     "n"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(words[i], word) == 0)
            return true;
    return false;
}

/* A number, a time or the like: begins with a digit, and nothing says that it is text. "5s" may stand
 * plain, "5" and "1e3" may not. */
static bool looks_like_number(const char *word)
{
    return strspn(word, "0123456789+-.eExXoO_:") == strlen(word) &&
           strpbrk(word, "0123456789") != NULL;
}

static bool is_plain(const char *word)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                               "_-./:@+";
    size_t length = strlen(word);
    if (length == 0 || strspn(word, safe) != length)
        return false;
    if (strchr("-:@+.", word[0]) != NULL || word[length - 1] == ':')
        return false;
    return !is_special_word(word) && !looks_like_number(word);
}

/* JSON's quoted strings are YAML's. */
static void append_quoted(struct edit_text *text, const char *word)
{
    json_t *string = json_string(word);
    char *quoted memory_auto = json_dumps(string, JSON_ENCODE_ANY);
    json_decref(string);
    append_text(text, quoted != NULL ? quoted : "\"\"");
}

static void append_string(struct edit_text *text, const char *word)
{
    if (is_plain(word))
        append_text(text, word);
    else
        append_quoted(text, word);
}

static bool has_controls(const char *word)
{
    for (; *word != '\0'; word++)
        if ((unsigned char)*word < 0x20 || *word == 0x7f)
            return true;
    return false;
}

void edit_text_quoted(struct edit_text *text, json_t *value, bool single)
{
    const char *word = json_string_value(value);
    if (word == NULL) {
        edit_text_inline(text, value);
        return;
    }
    if (!single || has_controls(word)) {
        append_quoted(text, word);
        return;
    }
    append_text(text, "'");
    for (; *word != '\0'; word++) /* a quote mark within stands twice */
        edit_text_append(text, *word == '\'' ? "''" : word, *word == '\'' ? 2 : 1);
    append_text(text, "'");
}

void edit_text_key(struct edit_text *text, const char *key)
{
    append_string(text, key);
}

static void append_array(struct edit_text *text, json_t *array)
{
    size_t index;
    json_t *element;
    append_text(text, "[");
    json_array_foreach(array, index, element)
    {
        append_text(text, index > 0 ? ", " : "");
        edit_text_inline(text, element);
    }
    append_text(text, "]");
}

static void append_object(struct edit_text *text, json_t *object)
{
    const char *key;
    json_t *value;
    const char *separator = "";
    append_text(text, "{");
    json_object_foreach(object, key, value)
    {
        append_text(text, separator);
        append_string(text, key);
        append_text(text, ": ");
        edit_text_inline(text, value);
        separator = ", ";
    }
    append_text(text, "}");
}

void edit_text_inline(struct edit_text *text, json_t *value)
{
    if (json_is_string(value)) {
        append_string(text, json_string_value(value));
    } else if (json_is_array(value)) {
        append_array(text, value);
    } else if (json_is_object(value)) {
        append_object(text, value);
    } else {
        char *word memory_auto = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
        append_text(text, word != NULL ? word : "null");
    }
}

static bool holds_objects(json_t *value)
{
    const char *key;
    size_t index;
    json_t *inner;
    json_object_foreach(value, key, inner)
    {
        if (json_is_object(inner))
            return true;
    }
    json_array_foreach(value, index, inner)
    {
        if (json_is_object(inner))
            return true;
    }
    return false;
}

void edit_text_pair(struct edit_text *text, size_t indent, const char *key, json_t *value,
                    const char *newline)
{
    edit_text_spaces(text, indent);
    append_string(text, key);
    append_text(text, ":");
    if (!holds_objects(value)) {
        append_text(text, " ");
        edit_text_inline(text, value);
        append_text(text, newline);
        return;
    }
    append_text(text, newline);
    const char *inner_key;
    size_t index;
    json_t *inner;
    json_object_foreach(value, inner_key, inner)
    {
        edit_text_pair(text, indent + 2, inner_key, inner, newline);
    }
    json_array_foreach(value, index, inner)
    {
        edit_text_spaces(text, indent + 2);
        append_text(text, "- ");
        edit_text_inline(text, inner);
        append_text(text, newline);
    }
}

void edit_text_item(struct edit_text *text, size_t indent, json_t *object, const char *newline)
{
    const char *key;
    json_t *value;
    json_t *ordered = json_object();
    if (json_object_get(object, "id") != NULL)
        json_object_set(ordered, "id", json_object_get(object, "id"));
    json_object_update_missing(ordered, object);
    size_t start = text->length;
    json_object_foreach(ordered, key, value)
    {
        edit_text_pair(text, indent + 2, key, value, newline);
    }
    json_decref(ordered);
    if (text->length == start) {
        edit_text_spaces(text, indent);
        append_text(text, "- {}");
        append_text(text, newline);
    } else {
        text->bytes[start + indent] = '-';
    }
}

bool edit_text_equals(const char *scalar, bool quoted, json_t *value)
{
    if (json_is_string(value))
        return strcmp(scalar, json_string_value(value)) == 0;
    if (quoted || json_is_array(value) || json_is_object(value))
        return false;
    if (json_is_null(value))
        return scalar[0] == '\0' || strcmp(scalar, "null") == 0 || strcmp(scalar, "~") == 0;
    if (json_is_boolean(value))
        return strcmp(scalar, json_is_true(value) ? "true" : "false") == 0;
    char *end = NULL;
    double number = strtod(scalar, &end);
    double wanted = json_number_value(value);
    return end != scalar && *end == '\0' && number >= wanted && number <= wanted;
}
