/* SPDX-License-Identifier: MIT */
#include "bridge/config/characters.h"

/* What the lead byte promises: how many bytes, and the range of the second one, which rules out
   overlong forms, surrogates and values beyond U+10FFFF (Unicode 15, table 3-7). */
static size_t utf8_promise(unsigned char lead, unsigned char *low, unsigned char *high)
{
    *low = 0x80;
    *high = 0xbf;
    if (lead < 0x80)
        return 1;
    if (lead >= 0xc2 && lead <= 0xdf)
        return 2;
    if (lead >= 0xe0 && lead <= 0xef) {
        *low = lead == 0xe0 ? 0xa0 : 0x80;
        *high = lead == 0xed ? 0x9f : 0xbf;
        return 3;
    }
    if (lead >= 0xf0 && lead <= 0xf4) {
        *low = lead == 0xf0 ? 0x90 : 0x80;
        *high = lead == 0xf4 ? 0x8f : 0xbf;
        return 4;
    }
    return 0;
}

size_t utf8_character(const char *text, size_t length)
{
    if (length == 0)
        return 0;
    const unsigned char *bytes = (const unsigned char *)text;
    unsigned char low, high;
    size_t wanted = utf8_promise(bytes[0], &low, &high);
    if (wanted == 0 || wanted > length)
        return 0;
    if (wanted > 1 && (bytes[1] < low || bytes[1] > high))
        return 0;
    for (size_t i = 2; i < wanted; i++)
        if (bytes[i] < 0x80 || bytes[i] > 0xbf)
            return 0;
    return wanted;
}

bool utf8_is_control(const char *text, size_t length)
{
    unsigned char lead = (unsigned char)text[0];
    if (length == 1)
        return lead < 0x20 || lead == 0x7f;
    return length == 2 && lead == 0xc2 && (unsigned char)text[1] < 0xa0;
}
