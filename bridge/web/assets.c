/* SPDX-License-Identifier: MIT */
#include "bridge/web/assets.h"

#include "drivers/base/memory.h"

#include <string.h>
#include <zlib.h>

/* Far more than the largest file of the page. */
#define INFLATED_MAX (4u * 1024 * 1024)

const struct asset *asset_find(const char *path)
{
    for (size_t i = 0; i < asset_count; i++)
        if (strcmp(assets[i].path, path) == 0)
            return &assets[i];
    return NULL;
}

/* For the few that take no gzip. The last four bytes of the file are its length before. */
static char *inflate_asset(const struct asset *asset, size_t *length)
{
    const unsigned char *end = asset->bytes + *asset->size - 4;
    size_t size =
        (size_t)end[0] | (size_t)end[1] << 8 | (size_t)end[2] << 16 | (size_t)end[3] << 24;
    if (size > INFLATED_MAX)
        return NULL;
    char *bytes = memory_new(size + 1, 1);
    z_stream stream = {.avail_in = (uInt)*asset->size,
                       .next_out = (unsigned char *)bytes,
                       .avail_out = (uInt)size};
    union {
        const unsigned char *constant;
        unsigned char *plain;
    } input = {.constant = asset->bytes}; /* zlib reads it only */
    stream.next_in = input.plain;
    bool good =
        inflateInit2(&stream, 15 + 16) == Z_OK && inflate(&stream, Z_FINISH) == Z_STREAM_END;
    (void)inflateEnd(&stream);
    if (good) {
        *length = size;
        return bytes;
    }
    free(bytes);
    return NULL;
}

void asset_reply(const struct asset *asset, struct exchange *exchange)
{
    exchange_set_header(exchange, "ETag", asset->etag);
    exchange_set_header(exchange, "Cache-Control", "no-cache");
    exchange_set_header(exchange, "Vary", "Accept-Encoding");
    const char *known = exchange_header(exchange, "If-None-Match");
    if (known != NULL && strstr(known, asset->etag) != NULL) {
        exchange_reply_static(exchange, 304, NULL, "", 0);
        return;
    }
    if (exchange_accepts(exchange, "Accept-Encoding", "gzip")) {
        exchange_set_header(exchange, "Content-Encoding", "gzip");
        exchange_reply_static(exchange, 200, asset->type, asset->bytes, *asset->size);
        return;
    }
    size_t length = 0;
    char *bytes = inflate_asset(asset, &length);
    if (bytes == NULL)
        exchange_reply_error(exchange, 500, "The file could not be unpacked.");
    else
        exchange_reply_owned(exchange, 200, asset->type, bytes, length);
}
