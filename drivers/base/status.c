/* SPDX-License-Identifier: MIT */
#include "drivers/base/status.h"

#include "drivers/base/plain.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum status error_set(struct error *error, enum status status, const char *format, ...)
{
    if (error == NULL)
        return status;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    plain_make_lines(error->text);
    return status;
}

enum status error_prefix(struct error *error, enum status status, const char *format, ...)
{
    if (error == NULL)
        return status;
    struct error before = *error;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof error->text)
        return status;
    size_t room = sizeof error->text - (size_t)length - 1;
    size_t rest = strnlen(before.text, sizeof before.text - 1);
    if (rest > room)
        rest = room;
    memcpy(error->text + length, before.text, rest);
    error->text[(size_t)length + rest] = '\0';
    plain_make_lines(error->text);
    return status;
}

enum status error_append(struct error *error, enum status status, const char *format, ...)
{
    if (error == NULL)
        return status;
    size_t length = strnlen(error->text, sizeof error->text - 1);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(error->text + length, sizeof error->text - length, format, arguments);
    va_end(arguments);
    plain_make_lines(error->text);
    return status;
}
