/* SPDX-License-Identifier: MIT */
#include "drivers/beken/rbl.h"

#include "drivers/beken/bytes.h"
#include "drivers/beken/code.h"
#include "drivers/beken/crc.h"

#include <string.h>

static const uint8_t magic[4] = {'R', 'B', 'L', 0};

static void copy_text(char *text, const uint8_t *bytes, size_t size)
{
    size_t i = 0;
    for (; i < size && bytes[i] >= 0x20 && bytes[i] < 0x7F; i++)
        text[i] = (char)bytes[i];
    text[i] = '\0';
}

bool rbl_parse(const uint8_t bytes[RBL_HEADER_SIZE], struct rbl_header *header)
{
    if (memcmp(bytes, magic, sizeof magic) != 0 ||
        beken_crc32(bytes, 92) != bytes_get_le32(bytes + 92))
        return false;
    *header = (struct rbl_header){
        .algorithm = bytes_get_le32(bytes + 4),
        .time_s = bytes_get_le32(bytes + 8),
        .body_crc = bytes_get_le32(bytes + 76),
        .hash = bytes_get_le32(bytes + 80),
        .raw_size = bytes_get_le32(bytes + 84),
        .package_size = bytes_get_le32(bytes + 88),
    };
    copy_text(header->name, bytes + 12, 16);
    copy_text(header->version, bytes + 28, 24);
    return true;
}

bool rbl_find_trailer(const uint8_t *flash, size_t length, const char *name, size_t *offset,
                      struct rbl_header *header)
{
    size_t from = 0;
    const size_t framed = (size_t)RBL_HEADER_SIZE / CODE_BLOCK_LOGICAL * CODE_BLOCK_FLASH;
    while (from < length && length - from >= framed) {
        const uint8_t *hit = memmem(flash + from, length - from, magic, sizeof magic);
        if (hit == NULL)
            return false;
        from = (size_t)(hit - flash);
        uint8_t logical[RBL_HEADER_SIZE];
        if (length - from >= framed &&
            code_deframe(hit, framed, logical, sizeof logical) == sizeof logical &&
            rbl_parse(logical, header) && strcmp(header->name, name) == 0) {
            *offset = from;
            return true;
        }
        from++;
    }
    return false;
}
