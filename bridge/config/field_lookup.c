/* SPDX-License-Identifier: MIT */
/* How the table of keys (fields.c) is searched. */
#include "bridge/config/fields.h"

#include "drivers/base/number.h"

#include <string.h>

/* A scope's fields stand together. */
uint64_t field_bit(const struct field *field)
{
    const struct field *first = field;
    while (first > fields && first[-1].scope == field->scope)
        first--;
    return UINT64_C(1) << (field - first);
}

const char *field_key(const struct field *field)
{
    const char *dot = strrchr(field->path, '.');
    return dot != NULL ? dot + 1 : field->path;
}

bool field_is_child(const struct field *field, enum field_scope scope, const char *prefix)
{
    if (field->scope != scope)
        return false;
    const char *key = field_key(field);
    size_t length = strlen(prefix);
    size_t before = (size_t)(key - field->path); /* with the dot */
    if (length == 0)
        return before == 0;
    return before == length + 1 && strncmp(field->path, prefix, length) == 0;
}

const struct field *field_find(enum field_scope scope, const char *prefix, const char *key)
{
    for (size_t i = 0; i < field_count; i++)
        if (field_is_child(&fields[i], scope, prefix) && strcmp(field_key(&fields[i]), key) == 0)
            return &fields[i];
    return NULL;
}

const struct field *field_by_path(enum field_scope scope, const char *path)
{
    for (size_t i = 0; i < field_count; i++)
        if (fields[i].scope == scope && strcmp(fields[i].path, path) == 0)
            return &fields[i];
    return NULL;
}

bool field_has_value(const struct field *field)
{
    return field->type != FIELD_GROUP && field->type != FIELD_DEVICES &&
           field->type != FIELD_CHANNELS && field->type != FIELD_SINKS && field->type != FIELD_LIST;
}

const struct field_choice *field_choice_of(const struct field *field, int64_t value)
{
    for (const struct field_choice *choice = field->choices; choice->name != NULL; choice++)
        if (choice->value == value)
            return choice;
    return NULL;
}

bool field_choices_are_numbers(const struct field *field)
{
    int64_t value;
    for (const struct field_choice *choice = field->choices; choice->name != NULL; choice++)
        if (!number_parse_int(choice->name, strlen(choice->name), 0, INT64_MAX, &value))
            return false;
    return true;
}
