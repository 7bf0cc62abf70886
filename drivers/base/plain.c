/* SPDX-License-Identifier: MIT */
#include "drivers/base/plain.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Bytes of the character that begins at text, 0 if it is not UTF-8; *character is its code point. */
static size_t decode(const unsigned char *text, size_t length, uint32_t *character)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char lead = text[0];
    size_t wanted = lead < 0x80              ? 1
                    : (lead & 0xe0U) == 0xc0 ? 2
                    : (lead & 0xf0U) == 0xe0 ? 3
                    : (lead & 0xf8U) == 0xf0 ? 4
                                             : 0;
    if (wanted == 0 || wanted > length)
        return 0;
    uint32_t value = wanted == 1 ? lead : lead & (0x7fU >> wanted);
    for (size_t i = 1; i < wanted; i++) {
        if ((text[i] & 0xc0U) != 0x80)
            return 0;
        value = value << 6 | (text[i] & 0x3fU);
    }
    if (value < smallest[wanted] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
        return 0;
    *character = value;
    return wanted;
}

static bool is_plain_character(uint32_t c)
{
    static const struct {
        uint32_t first, last;
    } bad[] = {
        {0x00, 0x1f},     {0x7f, 0x9f},     {0xad, 0xad},       {0x61c, 0x61c},
        {0x180e, 0x180e}, {0x200b, 0x200f}, {0x2028, 0x202e},   {0x2060, 0x206f},
        {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (c >= bad[i].first && c <= bad[i].last)
            return false;
    return true;
}

bool plain_is(const char *text, size_t length)
{
    uint32_t character = 0;
    for (size_t at = 0, size; at < length; at += size) {
        size = decode((const unsigned char *)text + at, length - at, &character);
        if (size == 0 || !is_plain_character(character))
            return false;
    }
    return true;
}

/* The rest of text begins like a character and ends before it is whole. */
static bool is_cut(const unsigned char *text, size_t length)
{
    size_t wanted = (text[0] & 0xe0U) == 0xc0   ? 2
                    : (text[0] & 0xf0U) == 0xe0 ? 3
                    : (text[0] & 0xf8U) == 0xf0 ? 4
                                                : 0;
    if (wanted == 0 || length >= wanted)
        return false;
    for (size_t i = 1; i < length; i++)
        if ((text[i] & 0xc0U) != 0x80)
            return false;
    return true;
}

static void make(char *text, bool keep_lines)
{
    size_t length = strlen(text), to = 0;
    uint32_t character = 0;
    for (size_t at = 0, size; at < length; at += size) {
        const unsigned char *from = (const unsigned char *)text + at;
        size = decode(from, length - at, &character);
        if (size == 0 && is_cut(from, length - at))
            break;
        if (size == 0) {
            size = 1;
            text[to++] = '?';
        } else if (is_plain_character(character) ||
                   (keep_lines && (character == '\n' || character == '\t'))) {
            memmove(text + to, from, size);
            to += size;
        } else {
            text[to++] = ' ';
        }
    }
    text[to] = '\0';
}

void plain_make(char *text)
{
    make(text, false);
}

void plain_make_lines(char *text)
{
    make(text, true);
}

const char *plain_copy(char *out, size_t size, const char *text)
{
    (void)snprintf(out, size, "%s", text);
    plain_make(out);
    return out;
}
