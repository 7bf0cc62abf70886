/* SPDX-License-Identifier: MIT */
#include "bridge/options/layout.h"

#include "drivers/base/number.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int layout_terminal_width(int fd)
{
    struct winsize size = {0};
    int64_t width = 0;
    const char *columns = getenv("COLUMNS");
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        width = size.ws_col;
    else if (columns == NULL || !number_parse_int(columns, strlen(columns), 1, 1000, &width))
        width = LAYOUT_WIDTH_MAX;
    return width < LAYOUT_WIDTH_MIN ? LAYOUT_WIDTH_MIN : (int)width;
}

int layout_text_width(int fd)
{
    int width = layout_terminal_width(fd);
    return width > LAYOUT_WIDTH_MAX ? LAYOUT_WIDTH_MAX : width;
}

/* Bytes that continue a character take no column. */
static int columns_of(const char *text, size_t length)
{
    int columns = 0;
    for (size_t i = 0; i < length; i++)
        columns += ((unsigned char)text[i] & 0xC0U) != 0x80U ? 1 : 0;
    return columns;
}

int layout_columns(const char *text)
{
    return columns_of(text, strlen(text));
}

void layout_wrap(FILE *out, const char *text, int column, int indent, int width)
{
    bool begins = true; /* no word stands on this line yet */
    while (*text != '\0') {
        if (*text == '\n') {
            (void)fputc('\n', out);
            column = 0;
            begins = true;
            text++;
            continue;
        }
        if (*text == ' ') {
            text++;
            continue;
        }
        size_t length = strcspn(text, " \n");
        int columns = columns_of(text, length);
        if (!begins && column + 1 + columns > width) {
            (void)fputc('\n', out);
            column = 0;
            begins = true;
        }
        if (begins && column < indent) {
            (void)fprintf(out, "%*s", indent - column, "");
            column = indent;
        }
        (void)fprintf(out, "%s%.*s", begins ? "" : " ", (int)length, text);
        column += columns + (begins ? 0 : 1);
        begins = false;
        text += length;
    }
    (void)fputc('\n', out);
}

void layout_message(FILE *out, const char *text)
{
    if (isatty(fileno(out)) == 0 || strchr(text, '\n') != NULL)
        (void)fprintf(out, "%s\n", text);
    else
        layout_wrap(out, text, 0, 0, layout_terminal_width(fileno(out)) - 1);
}
