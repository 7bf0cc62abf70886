/* SPDX-License-Identifier: MIT */
#include "drivers/base/tar.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Where the fields stand: POSIX, "ustar Interchange Format". */
enum {
    NAME_AT = 0,
    NAME_LENGTH = 100,
    MODE_AT = 100,
    ID_LENGTH = 8,
    USER_AT = 108,
    GROUP_AT = 116,
    SIZE_AT = 124,
    NUMBER_LENGTH = 12,
    TIME_AT = 136,
    SUM_AT = 148,
    SUM_LENGTH = 8,
    TYPE_AT = 156,
    MAGIC_AT = 257,
    PREFIX_AT = 345,
};

size_t tar_padding(int64_t size)
{
    return (size_t)((TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK);
}

/* Of all bytes, with the field of the sum itself taken as spaces. */
static unsigned checksum(const char block[TAR_BLOCK])
{
    unsigned sum = 0;
    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += i >= SUM_AT && i < SUM_AT + SUM_LENGTH ? ' ' : (unsigned char)block[i];
    return sum;
}

static void put_octal(char *field, size_t digits, uint64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%0*" PRIo64, (int)digits, value);
    memcpy(field, text, digits);
}

bool tar_write(const struct tar_entry *entry, char block[TAR_BLOCK])
{
    size_t length = strlen(entry->name);
    if (length == 0 || length >= NAME_LENGTH || entry->size < 0 || entry->size > TAR_FILE_MAX)
        return false;
    memset(block, 0, TAR_BLOCK);
    memcpy(block + NAME_AT, entry->name, length);
    put_octal(block + MODE_AT, ID_LENGTH - 1, 0600);
    put_octal(block + USER_AT, ID_LENGTH - 1, 0);
    put_octal(block + GROUP_AT, ID_LENGTH - 1, 0);
    put_octal(block + SIZE_AT, NUMBER_LENGTH - 1, (uint64_t)entry->size);
    put_octal(block + TIME_AT, NUMBER_LENGTH - 1,
              entry->modified_s > 0 ? (uint64_t)entry->modified_s & (uint64_t)TAR_FILE_MAX : 0);
    block[TYPE_AT] = '0';
    memcpy(block + MAGIC_AT,
           "ustar\0"
           "00",
           8);
    put_octal(block + SUM_AT, 6, checksum(block));
    block[SUM_AT + 7] = ' ';
    return true;
}

/* Octal digits, with spaces before and a space or a zero behind them. */
static bool get_octal(const char *field, size_t length, int64_t *value)
{
    size_t at = 0;
    bool any = false;
    *value = 0;
    while (at < length && field[at] == ' ')
        at++;
    for (; at < length && field[at] >= '0' && field[at] <= '7'; at++, any = true)
        *value = *value * 8 + (field[at] - '0');
    return any && (at == length || field[at] == ' ' || field[at] == '\0');
}

enum status tar_read(const char block[TAR_BLOCK], struct tar_entry *entry, bool *end,
                     struct error *error)
{
    static const char zeros[TAR_BLOCK];
    int64_t sum = 0;
    *entry = (struct tar_entry){.size = 0};
    *end = memcmp(block, zeros, TAR_BLOCK) == 0;
    if (*end)
        return STATUS_OK;
    bool plain = block[TYPE_AT] == '0' || block[TYPE_AT] == '\0';
    if (!get_octal(block + SUM_AT, SUM_LENGTH, &sum) || sum != checksum(block) ||
        memcmp(block + MAGIC_AT, "ustar", 5) != 0)
        return error_set(error, STATUS_USAGE, "It is no tar archive, or it is damaged.");
    if (!plain || block[PREFIX_AT] != '\0' || block[NAME_AT + NAME_LENGTH - 1] != '\0' ||
        !get_octal(block + SIZE_AT, NUMBER_LENGTH, &entry->size) ||
        !get_octal(block + TIME_AT, NUMBER_LENGTH, &entry->modified_s))
        return error_set(error, STATUS_USAGE,
                         "The archive holds something else than plain files with short names.");
    memcpy(entry->name, block + NAME_AT, NAME_LENGTH);
    return STATUS_OK;
}
