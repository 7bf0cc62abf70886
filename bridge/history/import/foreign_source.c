/* SPDX-License-Identifier: MIT */
#include "bridge/history/import/foreign_source.h"

#include "drivers/base/memory.h"

#include <errno.h>
#include <iconv.h>
#include <string.h>

#define UTF16_MAX ((size_t)64 * 1024 * 1024)

struct foreign_source {
    FILE *file;
    bool ended; /* all that is left of the file is in bytes */
    char *bytes;
    size_t length; /* of what is there */
    size_t at;
    bool refilled; /* the sample is gone */
    char line[FOREIGN_LINE_MAX];
    int64_t number;
    enum status status;
};

static void fill(struct foreign_source *source)
{
    size_t wanted = FOREIGN_SAMPLE_BYTES - source->length;
    size_t count = fread(source->bytes + source->length, 1, wanted, source->file);
    source->length += count;
    source->ended = count < wanted;
}

/* ---- encodings ---- */

/* By its mark; without one, by the zeros of letters below 256. NULL: not UTF-16. */
static const char *utf16_of(const struct foreign_source *source, size_t *skip)
{
    const unsigned char *bytes = (const unsigned char *)source->bytes;
    size_t low = 0, high = 0;
    *skip = 2;
    if (source->length >= 2 && bytes[0] == 0xFF && bytes[1] == 0xFE)
        return "UTF-16LE";
    if (source->length >= 2 && bytes[0] == 0xFE && bytes[1] == 0xFF)
        return "UTF-16BE";
    *skip = 0;
    size_t end = source->length < 512 ? source->length : 512;
    for (size_t i = 0; i + 1 < end; i += 2) {
        low += bytes[i] == 0 && bytes[i + 1] != 0 ? 1 : 0;
        high += bytes[i + 1] == 0 && bytes[i] != 0 ? 1 : 0;
    }
    if (end < 8 || (low < end / 3 && high < end / 3))
        return NULL;
    return high > low ? "UTF-16LE" : "UTF-16BE";
}

static enum status read_rest(struct foreign_source *source, size_t limit, struct error *error)
{
    size_t capacity = FOREIGN_SAMPLE_BYTES;
    while (source->length == capacity) {
        if (capacity >= limit)
            return error_set(error, STATUS_USAGE,
                             "The file is larger than %zu MiB; export a shorter time.",
                             limit >> 20);
        char *larger = memory_new(capacity * 2 + 1, 1);
        memcpy(larger, source->bytes, source->length);
        free(source->bytes);
        source->bytes = larger;
        capacity *= 2;
        source->length +=
            fread(source->bytes + source->length, 1, capacity - source->length, source->file);
    }
    return STATUS_OK;
}

static enum status convert(struct foreign_source *source, const char *from, size_t skip,
                           struct error *error)
{
    enum status status = read_rest(source, UTF16_MAX, error);
    if (status != STATUS_OK)
        return status;
    iconv_t converter = iconv_open("UTF-8", from);
    if (converter == (iconv_t)-1)
        return error_set(error, STATUS_FAILED, "This system cannot convert %s.", from);
    size_t room = source->length * 2 + 1; /* two bytes become three at most */
    char *text = memory_new(room + 1, 1);
    char *in = source->bytes + skip;
    char *out = text;
    size_t in_left = (source->length - skip) & ~(size_t)1, out_left = room;
    size_t result = iconv(converter, &in, &in_left, &out, &out_left);
    (void)iconv_close(converter);
    if (result == (size_t)-1) {
        free(text);
        return error_set(
            error, STATUS_USAGE,
            "The file is in %s, but byte %zu is no part of a letter. Save it as UTF-8.", from,
            source->length - in_left);
    }
    free(source->bytes);
    source->bytes = text;
    source->length = room - out_left;
    source->ended = true;
    return STATUS_OK;
}

enum status foreign_source_open(FILE *file, struct foreign_source **opened, struct error *error)
{
    struct foreign_source *source = memory_new(1, sizeof *source);
    source->file = file;
    source->bytes = memory_new(FOREIGN_SAMPLE_BYTES + 1, 1);
    fill(source);
    size_t skip = 0;
    const char *encoding = utf16_of(source, &skip);
    enum status status = encoding != NULL ? convert(source, encoding, skip, error) : STATUS_OK;
    if (status != STATUS_OK) {
        foreign_source_close(source);
        return status;
    }
    foreign_source_rewind(source);
    *opened = source;
    return STATUS_OK;
}

void foreign_source_close(struct foreign_source *source)
{
    if (source == NULL)
        return;
    free(source->bytes);
    free(source);
}

/* ---- lines ---- */

void foreign_source_rewind(struct foreign_source *source)
{
    bool mark = source->length >= 3 && memcmp(source->bytes, "\xef\xbb\xbf", 3) == 0;
    source->at = mark ? 3 : 0;
    source->number = 0;
}

int foreign_source_first(const struct foreign_source *source)
{
    for (size_t i = source->at; i < source->length; i++)
        if (strchr(" \t\r\n", source->bytes[i]) == NULL)
            return (unsigned char)source->bytes[i];
    return EOF;
}

bool foreign_source_in_sample(const struct foreign_source *source)
{
    return !source->refilled;
}

/* The rest of the buffer moves to its beginning, and more follows. */
static void refill(struct foreign_source *source)
{
    memmove(source->bytes, source->bytes + source->at, source->length - source->at);
    source->length -= source->at;
    source->at = 0;
    source->refilled = true;
    fill(source);
}

char *foreign_source_line(struct foreign_source *source)
{
    if (source->status != STATUS_OK)
        return NULL;
    const char *start = source->bytes + source->at;
    const char *end = memchr(start, '\n', source->length - source->at);
    if (end == NULL && !source->ended && source->at > 0) {
        refill(source);
        start = source->bytes;
        end = memchr(start, '\n', source->length);
    }
    size_t length = end != NULL ? (size_t)(end - start) : source->length - source->at;
    if (end == NULL && length == 0)
        return NULL;
    source->number++;
    if (length >= FOREIGN_LINE_MAX) {
        source->status = STATUS_USAGE;
        return NULL;
    }
    memcpy(source->line, start, length);
    source->line[length] = '\0';
    source->at += length + (end != NULL ? 1 : 0);
    return source->line;
}

int64_t foreign_source_line_number(const struct foreign_source *source)
{
    return source->number;
}

enum status foreign_source_status(const struct foreign_source *source, struct error *error)
{
    if (source->status != STATUS_OK)
        return error_set(error, source->status,
                         "Line %lld of the file has more than %d bytes; it is no table of energy.",
                         (long long)source->number, FOREIGN_LINE_MAX);
    if (ferror(source->file) != 0)
        return error_set(error, STATUS_FAILED, "The file could not be read to its end.");
    return STATUS_OK;
}

enum status foreign_source_all(struct foreign_source *source, size_t limit, char **text,
                               size_t *length, struct error *error)
{
    enum status status = STATUS_OK;
    if (!source->ended)
        status = read_rest(source, limit, error);
    if (status != STATUS_OK)
        return status;
    foreign_source_rewind(source);
    *length = source->length - source->at;
    *text = memory_new(*length + 1, 1);
    memcpy(*text, source->bytes + source->at, *length);
    return STATUS_OK;
}
