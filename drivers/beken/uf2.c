/* SPDX-License-Identifier: MIT */
#include "drivers/beken/uf2.h"

#include "drivers/base/memory.h"
#include "drivers/beken/bytes.h"

#include <inttypes.h>
#include <string.h>

enum {
    BLOCK = 512,
    HEADER = 32,
    TRAILER = 4,
    DATA_MAX = BLOCK - HEADER - TRAILER,
    FLAG_NOT_FLASH = 0x1,
    FLAG_FAMILY = 0x2000,
    FLAG_TAGS = 0x8000,
    TAG_PART_INFO = 0xC0EE0C,
    TAG_PART_TABLE = 0x8288ED,
    SCHEME = 3, /* flasher, single: a nibble of TAG_PART_INFO */
    NAME = 16,  /* bytes of a name in the partition table */
    ENTRY = 4 + 2 * NAME + 12,
    APP_MAX = 4 << 20,
};

static const struct {
    uint32_t id;
    enum beken_chip chip;
} families[] = {
    {0x7B3EF230, BEKEN_CHIP_BK7231N},
    {0x675A40B0, BEKEN_CHIP_BK7231T},
    {0xAFE81D49, BEKEN_CHIP_BK7231Q},
};

/* What is known while the blocks go by. */
struct reader {
    struct uf2_app *app;
    bool to_app; /* the blocks from here on belong to the partition "app" */
    size_t capacity;
};

struct tag {
    uint32_t type;
    const uint8_t *value;
    size_t length;
};

bool uf2_is(const uint8_t *bytes, size_t length)
{
    return length >= 8 && memcmp(bytes, "UF2\n", 4) == 0 && bytes_get_le32(bytes + 4) == 0x9E5D5157;
}

static bool is_block(const uint8_t *block)
{
    return uf2_is(block, BLOCK) && bytes_get_le32(block + BLOCK - TRAILER) == 0x0AB16F30;
}

/* The tag at *offset of a block, which moves behind it; false at the end. */
static bool next_tag(const uint8_t *block, size_t *offset, struct tag *tag)
{
    const size_t end = BLOCK - TRAILER;
    if (*offset + 4 > end)
        return false;
    size_t size = block[*offset];
    if (size < 4 || *offset + size > end)
        return false;
    const uint8_t *start = block + *offset;
    *tag = (struct tag){bytes_get_le32(start) >> 8, start + 4, size - 4};
    *offset += (size + 3) / 4 * 4;
    return true;
}

/* Three bytes hold the number of the name for each of six schemes; names follow, each with its NUL. */
static bool names_app(const struct tag *tag)
{
    if (tag->length < 4)
        return false;
    unsigned number = tag->value[SCHEME / 2] & 0x0F;
    const uint8_t *name = tag->value + 3;
    const uint8_t *end = tag->value + tag->length;
    for (; number > 1 && name < end; number--) {
        const uint8_t *stop = memchr(name, 0, (size_t)(end - name));
        if (stop == NULL)
            return false;
        name = stop + 1;
    }
    return number == 1 && (size_t)(end - name) >= 3 && memcmp(name, "app", 3) == 0 &&
           (name + 3 == end || name[3] == 0);
}

/* Where the partition "app" begins. */
static void read_table(const struct tag *tag, struct uf2_app *app)
{
    for (size_t at = 0; at + ENTRY <= tag->length; at += ENTRY) {
        const uint8_t *entry = tag->value + at;
        if (bytes_get_le32(entry) == 0x45503130 && memcmp(entry + 4, "app", 4) == 0)
            app->address = bytes_get_le32(entry + 4 + 2 * NAME);
    }
}

static void read_tags(struct reader *reader, const uint8_t *block, size_t data)
{
    struct tag tag;
    size_t offset = HEADER + data;
    while (next_tag(block, &offset, &tag)) {
        if (tag.type == TAG_PART_INFO)
            reader->to_app = names_app(&tag);
        else if (tag.type == TAG_PART_TABLE)
            read_table(&tag, reader->app);
    }
}

/* What no block speaks of is FF, as in erased flash. */
static void store(struct reader *reader, size_t address, const uint8_t *data, size_t length)
{
    struct uf2_app *app = reader->app;
    size_t end = address + length;
    if (end > reader->capacity) {
        size_t capacity = end * 2 < APP_MAX ? end * 2 : APP_MAX;
        uint8_t *larger = memory_new(capacity, 1);
        memset(larger, 0xFF, capacity);
        if (app->length > 0)
            memcpy(larger, app->bytes, app->length);
        free(app->bytes);
        app->bytes = larger;
        reader->capacity = capacity;
    }
    memcpy(app->bytes + address, data, length);
    app->length = end > app->length ? end : app->length;
}

static enum status read_family(const uint8_t *block, struct uf2_app *app, struct error *error)
{
    uint32_t family = bytes_get_le32(block + 28);
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        if (families[i].id == family)
            app->chip = families[i].chip;
    if (app->chip != BEKEN_CHIP_UNKNOWN)
        return STATUS_OK;
    return error_set(error, STATUS_REFUSED,
                     "This UF2 file is for another family of chips (0x%08" PRIX32
                     "), not for a BK7231.",
                     family);
}

static enum status read_block(struct reader *reader, const uint8_t *block, size_t number,
                              size_t count, struct error *error)
{
    if (!is_block(block) || bytes_get_le32(block + 20) != number ||
        bytes_get_le32(block + 24) != count)
        return error_set(error, STATUS_REFUSED,
                         "Block %zu of this UF2 file is damaged or missing. Download or build it "
                         "again.",
                         number);
    uint32_t flags = bytes_get_le32(block + 8);
    size_t address = bytes_get_le32(block + 12);
    size_t data = bytes_get_le32(block + 16);
    if (data > DATA_MAX || address > APP_MAX || data > APP_MAX - address)
        return error_set(error, STATUS_REFUSED,
                         "Block %zu of this UF2 file has an impossible address or length.", number);
    if ((flags & FLAG_FAMILY) != 0 && reader->app->chip == BEKEN_CHIP_UNKNOWN &&
        read_family(block, reader->app, error) != STATUS_OK)
        return STATUS_REFUSED;
    if ((flags & FLAG_TAGS) != 0)
        read_tags(reader, block, data);
    if (reader->to_app && data > 0 && (flags & FLAG_NOT_FLASH) == 0)
        store(reader, address, block + HEADER, data);
    return STATUS_OK;
}

static enum status read_blocks(struct reader *reader, const uint8_t *bytes, size_t length,
                               struct error *error)
{
    size_t count = length / BLOCK;
    if (length % BLOCK != 0 || count == 0)
        return error_set(error, STATUS_REFUSED,
                         "This UF2 file is cut short: its last block has %zu of %d bytes.",
                         length % BLOCK, BLOCK);
    if (bytes_get_le32(bytes + 24) > count)
        return error_set(error, STATUS_REFUSED,
                         "This UF2 file is cut short: %zu of %" PRIu32 " blocks are there.", count,
                         bytes_get_le32(bytes + 24));
    for (size_t i = 0; i < count; i++) {
        enum status status = read_block(reader, bytes + i * BLOCK, i, count, error);
        if (status != STATUS_OK)
            return status;
    }
    if (reader->app->chip == BEKEN_CHIP_UNKNOWN || reader->app->length == 0)
        return error_set(error, STATUS_REFUSED,
                         "This UF2 file holds no app that can be written over a serial line. It "
                         "must be one that LibreTiny or ESPHome built for a BK7231.");
    return STATUS_OK;
}

enum status uf2_unpack(const uint8_t *bytes, size_t length, struct uf2_app *app,
                       struct error *error)
{
    *app = (struct uf2_app){.address = BEKEN_CODE_ADDRESS, .chip = BEKEN_CHIP_UNKNOWN};
    struct reader reader = {.app = app};
    enum status status = read_blocks(&reader, bytes, length, error);
    if (status == STATUS_OK && app->address != BEKEN_CODE_ADDRESS)
        status = error_set(error, STATUS_REFUSED,
                           "This UF2 file puts the app at 0x%" PRIX32 ", not at 0x%X.",
                           app->address, BEKEN_CODE_ADDRESS);
    if (status != STATUS_OK) {
        free(app->bytes);
        app->bytes = NULL;
    }
    return status;
}
