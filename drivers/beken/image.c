/* SPDX-License-Identifier: MIT */
#include "drivers/beken/image.h"

#include "drivers/base/memory.h"
#include "drivers/beken/bytes.h"
#include "drivers/beken/code.h"
#include "drivers/beken/crc.h"
#include "drivers/beken/obk_config.h"
#include "drivers/beken/rbl.h"
#include "drivers/beken/startup.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    DUMP_SIZE_MIN = 0x200000,
    CHIP_MARK_OFFSET = 0x110,    /* in the bootloader and in the app */
    FRAMED_BLOCKS_NEEDED = 100,  /* that tell code from anything else */
    UNFRAMED_BLOCKS_NEEDED = 20, /* a damaged file has some good ones among so many */
    FRAMED_BYTES_NEEDED = FRAMED_BLOCKS_NEEDED * (int)CODE_BLOCK_FLASH,
    ROTATED_BY = 0x1EF000,
};

struct mark {
    uint8_t bytes[8];
    size_t length;
    enum beken_chip chip;
    enum image_encryption encryption;
};

/* First bytes of a bootloader. */
static const struct mark bootloader_marks[] = {
    {{0x69, 0x0C, 0xB5, 0x96, 0x35, 0xFF, 0x2A, 0x99}, 8, BEKEN_CHIP_BK7231N, IMAGE_TUYA_KEY},
    {{0x43, 0x09, 0xB5, 0x96, 0x35, 0xFF, 0x2A, 0x99}, 8, BEKEN_CHIP_BK7231T, IMAGE_TUYA_KEY},
    {{0x78, 0x14, 0xB5, 0x96, 0x35, 0xFF, 0x2A, 0x99}, 8, BEKEN_CHIP_BK7231T, IMAGE_TUYA_KEY},
    {{0x48, 0x0B, 0x00, 0xEA, 0x14, 0xF0, 0x9F, 0xE5}, 8, BEKEN_CHIP_BK7231M, IMAGE_PLAIN},
    {{0xAA, 0x00, 0x00, 0xEA, 0x14, 0xF0, 0x9F, 0xE5}, 8, BEKEN_CHIP_BK7231M, IMAGE_PLAIN},
    {{0xAC, 0x00, 0x00, 0xEA, 0x14, 0xF0, 0x9F, 0xE5}, 8, BEKEN_CHIP_BK7238, IMAGE_PLAIN},
    {{0xCA, 0x00, 0x00, 0xEA, 0x14, 0xF0, 0x9F, 0xE5}, 8, BEKEN_CHIP_BK7231U, IMAGE_PLAIN},
    {{0x68, 0x1C, 0x00, 0xEA, 0x14, 0xF0, 0x9F, 0xE5}, 8, BEKEN_CHIP_BK7231Q, IMAGE_PLAIN},
};

/* First bytes of an app: its key, not its chip. */
static const struct mark app_marks[] = {
    {{0x2F, 0x07, 0xB5, 0x94, 0x35, 0xFF, 0x2A, 0x9B}, 8, BEKEN_CHIP_UNKNOWN, IMAGE_TUYA_KEY},
    {{0x39, 0x07, 0xB5, 0x94}, 4, BEKEN_CHIP_UNKNOWN, IMAGE_TUYA_KEY},
    {{0x0E, 0x00, 0x00, 0xEA, 0x14, 0xF0, 0x9F, 0xE5}, 8, BEKEN_CHIP_UNKNOWN, IMAGE_PLAIN},
    {{0x18, 0x00, 0x00, 0xEA, 0x14, 0xF0, 0x9F, 0xE5}, 8, BEKEN_CHIP_UNKNOWN, IMAGE_PLAIN},
};

/* App + 0x110: the one place that tells T from N. */
static const struct mark chip_marks[] = {
    {{0x63, 0x4C, 0x80, 0x4C, 0x12, 0x3E, 0xB7, 0x7E}, 8, BEKEN_CHIP_BK7231N, IMAGE_TUYA_KEY},
    {{0x21, 0x17, 0x36, 0x9E, 0x20, 0xDF, 0x17, 0x9F}, 8, BEKEN_CHIP_BK7231T, IMAGE_TUYA_KEY},
    {{0x20, 0x07, 0xE7, 0x9F, 0x21, 0x2F, 0x37, 0xCB}, 8, BEKEN_CHIP_BK7231T, IMAGE_TUYA_KEY},
    {{0x42, 0x4B, 0x37, 0x32, 0x33, 0x31, 0x00, 0x00}, 8, BEKEN_CHIP_BK7231M, IMAGE_PLAIN},
    {{0x42, 0x4B, 0x37, 0x32, 0x33, 0x38, 0x00, 0x00}, 8, BEKEN_CHIP_BK7238, IMAGE_PLAIN},
    {{0x00, 0x10, 0x81, 0xE0, 0x01, 0xD0, 0xA0, 0xE1}, 8, BEKEN_CHIP_BK7231U, IMAGE_PLAIN},
};

static const uint8_t rf_magic[4] = {'T', 'L', 'V', 0};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const struct mark *find_mark(const struct mark *marks, size_t count, const uint8_t *bytes,
                                    size_t length, size_t offset)
{
    for (size_t i = 0; i < count; i++)
        if (offset <= length && length - offset >= marks[i].length &&
            memcmp(bytes + offset, marks[i].bytes, marks[i].length) == 0)
            return &marks[i];
    return NULL;
}

__attribute__((format(printf, 2, 3))) static void add_problem(struct image_info *info,
                                                              const char *format, ...)
{
    if (info->problem_count == IMAGE_PROBLEMS_MAX)
        return;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(info->problems[info->problem_count++], IMAGE_PROBLEM_SIZE, format, arguments);
    va_end(arguments);
}

const char *image_kind_name(enum image_kind kind)
{
    static const char *const names[] = {
        [IMAGE_UNKNOWN] = "unknown",
        [IMAGE_QIO] = "QIO",
        [IMAGE_UA] = "UA",
        [IMAGE_RBL] = "RBL",
        [IMAGE_UG] = "UG",
        [IMAGE_DUMP] = "dump",
        [IMAGE_OBK_CONFIG] = "obk-config",
    };
    return names[kind];
}

bool image_rf_mac(const uint8_t *sector, size_t length, uint8_t mac[6])
{
    const size_t offset = 0x24; /* behind the first item's header */
    if (length < offset + 6 || memcmp(sector, rf_magic, sizeof rf_magic) != 0)
        return false;
    if (bytes_are_all(sector + offset, 6, 0xFF) || bytes_are_all(sector + offset, 6, 0))
        return false;
    memcpy(mac, sector + offset, 6);
    return true;
}

bool image_is_obk_config(const uint8_t *bytes, size_t length)
{
    struct obk_config config;
    return obk_config_read(bytes, length, &config) == OBK_CONFIG_GOOD;
}

bool image_is_tuya_key_block(const uint8_t *sector, size_t length)
{
    /* 16 x FF under the vendor's published master key: the block is FF behind its key. */
    static const uint8_t needle[16] = {0x46, 0xDC, 0xED, 0x0E, 0x67, 0x2F, 0x3B, 0x70,
                                       0xAE, 0x12, 0x76, 0xA3, 0xF8, 0x71, 0x2E, 0x03};
    return length >= 64 && memcmp(sector + 32, needle, sizeof needle) == 0 &&
           memcmp(sector + 48, needle, sizeof needle) == 0;
}

void image_unrotate(uint8_t *bytes, size_t length)
{
    if (length <= ROTATED_BY)
        return;
    size_t head = length - ROTATED_BY;
    uint8_t *bootloader = memory_new(head, 1);
    memcpy(bootloader, bytes + ROTATED_BY, head);
    memmove(bytes + head, bytes, ROTATED_BY);
    memcpy(bytes, bootloader, head);
    free(bootloader);
}

/* A piece of framed code inside the file. */
struct section {
    const char *name; /* for people: "app" */
    const uint8_t *bytes;
    size_t length;
    size_t offset; /* in the file, for messages */
    uint32_t logical;
    bool keyed;
};

/* How many of the first blocks are whole code; *bad is the offset of the first that is not. */
static size_t count_bad_blocks(const struct section *section, size_t blocks, size_t *first_bad)
{
    size_t bad = 0;
    for (size_t i = 0; i < blocks; i++) {
        size_t offset = i * CODE_BLOCK_FLASH;
        if (offset + CODE_BLOCK_FLASH > section->length)
            break;
        if (code_check_block(section->bytes + offset) != CODE_BLOCK_BAD)
            continue;
        if (bad++ == 0)
            *first_bad = section->offset + offset;
    }
    return bad;
}

static void check_blocks(struct image_info *info, const struct section *section, size_t end)
{
    size_t blocks = end / CODE_BLOCK_FLASH;
    size_t first_bad = 0;
    size_t bad = count_bad_blocks(section, blocks, &first_bad);
    if (bad > 0)
        add_problem(info,
                    "%zu of %zu blocks of the %s have a wrong CRC, the first at 0x%zX: the file is "
                    "damaged. Download or dump it again.",
                    bad, blocks, section->name, first_bad);
}

/* Of so many bytes of code as they lie in flash, without the CRCs; of fewer if there are not so many. */
static uint32_t hash_of(const struct section *section, size_t count)
{
    uint32_t hash = BEKEN_FNV1A_START;
    for (size_t offset = 0; count > 0; offset += CODE_BLOCK_FLASH) {
        size_t part = count < CODE_BLOCK_LOGICAL ? count : CODE_BLOCK_LOGICAL;
        if (offset + part > section->length)
            return hash;
        hash = beken_fnv1a(hash, section->bytes + offset, part);
        count -= part;
    }
    return hash;
}

/* LibreTiny's packager hashes 16 bytes of 10 behind the code and its filler that are not in flash, and
 * counts another 16 that it does not have. */
static bool hash_fits(const struct section *section, const struct rbl_header *header)
{
    static const uint8_t padding[16] = {16, 16, 16, 16, 16, 16, 16, 16,
                                        16, 16, 16, 16, 16, 16, 16, 16};
    if (hash_of(section, header->raw_size) == header->hash)
        return true;
    if (header->raw_size < 2 * CODE_BLOCK_LOGICAL)
        return false;
    uint32_t shorter = hash_of(section, header->raw_size - CODE_BLOCK_LOGICAL);
    return beken_fnv1a(shorter, padding, sizeof padding) == header->hash;
}

/* How many bytes of flash so much code takes. */
static size_t framed_size(size_t logical)
{
    return (logical + CODE_BLOCK_LOGICAL - 1) / CODE_BLOCK_LOGICAL * CODE_BLOCK_FLASH;
}

/* Checks blocks and hash of what the section's RBL trailer speaks for; what stands between that and
 * the trailer may be anything, like the rest of a longer app. False if there is no trailer. */
static bool check_trailer(struct image_info *info, const struct section *section,
                          struct rbl_header *header)
{
    size_t offset = 0;
    if (!rbl_find_trailer(section->bytes, section->length, section->name, &offset, header))
        return false;
    size_t before = info->problem_count;
    size_t length = framed_size(header->raw_size);
    check_blocks(info, section, length < offset ? length : offset);
    if (info->problem_count == before && !hash_fits(section, header))
        add_problem(info,
                    "The %s does not fit the hash in its own trailer (0x%zX): the file is damaged "
                    "or was assembled from two. Download or dump it again.",
                    section->name, section->offset + offset);
    return true;
}

/* Bytes of flash that the app takes by its own word; 0 if it does not tell. */
static size_t own_length(const struct section *app)
{
    uint8_t code[STARTUP_SIZE];
    uint32_t end = 0;
    size_t count = code_deframe(app->bytes, app->length, code, sizeof code);
    if (app->keyed)
        code_crypt(code, count, app->logical);
    return startup_find_end(code, count, &end) ? framed_size(end - CODE_APP_LOGICAL) : 0;
}

/* An app file whose length no field says. Beken's tools fill up what they make
 * with 16 or more bytes of FF, so that is where a whole file ends. */
static void judge_ending(struct image_info *info, const struct section *app)
{
    const size_t filler = 16;
    const size_t last = app->length / CODE_BLOCK_FLASH * CODE_BLOCK_FLASH - CODE_BLOCK_FLASH;
    const uint8_t *end = app->bytes + last + CODE_BLOCK_LOGICAL;
    if (bytes_are_all(end - filler, filler, 0xFF))
        (void)snprintf(info->warning, sizeof info->warning,
                       "Nothing in this file says how long the app is; it ends in filler (FF), as "
                       "whole files do.");
    else
        add_problem(info,
                    "Nothing in this file says how long the app is, and it ends in the middle of "
                    "something instead of in filler (FF): it may be cut short. Compare its size "
                    "with that of the original.");
}

/* An app file is nothing but code up to its end, less than a block of filler aside. */
static void check_app_file(struct image_info *info, const struct section *app, size_t own)
{
    size_t before = info->problem_count;
    size_t rest = app->length % CODE_BLOCK_FLASH;
    check_blocks(info, app, app->length);
    if (!bytes_are_all(app->bytes + app->length - rest, rest, 0xFF))
        add_problem(info, "The last block has %zu of its 34 bytes: the file is cut short.", rest);
    if (info->problem_count == before && own == 0)
        judge_ending(info, app);
}

/* OpenBeken's files for the 7252 have no trailer; whoever else lacks it has lost it. */
static bool needs_trailer(const struct image_info *info, size_t own)
{
    return info->kind == IMAGE_QIO && (info->chip != BEKEN_CHIP_BK7231U || own == 0);
}

static void check_without_trailer(struct image_info *info, const struct section *app)
{
    size_t own = own_length(app);
    bool is_cut = own > app->length;
    if (is_cut)
        add_problem(info,
                    "The app takes 0x%zX bytes by its own start-up code, and the file holds 0x%zX "
                    "of them: it is cut short. Download it again.",
                    own, app->length);
    if (info->kind == IMAGE_UA)
        check_app_file(info, app, own);
    else
        check_blocks(info, app, own > 0 && !is_cut ? own : FRAMED_BYTES_NEEDED);
    if (!is_cut && needs_trailer(info, own))
        add_problem(info, "The app's trailer is missing: the file is cut short.");
}

static bool is_word(uint8_t c)
{
    return c > 0x20 && c < 0x7F;
}

/* "OpenBK7231N 1.18.300 Aug ..." or "OpenBK7238_1.18.300": the version if one stands at text. */
static size_t version_at(const uint8_t *text, size_t length)
{
    size_t at = sizeof "OpenBK72" - 1;
    for (int digits = 0; digits < 2; digits++, at++)
        if (at >= length || text[at] < '0' || text[at] > '9')
            return 0;
    if (at < length && text[at] >= 'A' && text[at] <= 'Z')
        at++;
    if (at + 1 >= length || (text[at] != ' ' && text[at] != '_'))
        return 0;
    return text[at + 1] >= '0' && text[at + 1] <= '9' ? at + 1 : 0;
}

static void find_app_version(struct image_info *info, const uint8_t *code, size_t length)
{
    static const char needle[] = "OpenBK72";
    for (size_t from = 0; from < length;) {
        const uint8_t *hit = memmem(code + from, length - from, needle, sizeof needle - 1);
        if (hit == NULL)
            return;
        from = (size_t)(hit - code);
        size_t start = version_at(hit, length - from);
        if (start > 0) {
            size_t end = start;
            while (from + end < length && end - start < sizeof info->version - 1 &&
                   is_word(hit[end]))
                end++;
            (void)snprintf(info->version, sizeof info->version, "%.*s", (int)(end - start),
                           (const char *)hit + start);
            return;
        }
        from++;
    }
}

static void read_app_version(struct image_info *info, const struct section *section)
{
    size_t count = section->length / CODE_BLOCK_FLASH * CODE_BLOCK_LOGICAL;
    uint8_t *code = memory_new(count, 1);
    count = code_deframe(section->bytes, section->length, code, count);
    if (section->keyed)
        code_crypt(code, count, section->logical);
    find_app_version(info, code, count);
    free(code);
}

/* "BK7231N_1.0.1": mostly at 0x94, in a T's 1.0.4 far behind. NULL: nowhere. */
static const uint8_t *find_bootloader_name(const uint8_t *code, size_t length)
{
    static const char start[] = "BK72";
    const size_t digit = sizeof "BK7231N_" - 1;
    const uint8_t *at = code;
    while (length > (size_t)(at - code) + digit + 1) {
        at = memmem(at, length - (size_t)(at - code), start, sizeof start - 1);
        if (at == NULL || length - (size_t)(at - code) <= digit + 1)
            return NULL;
        if (at[digit - 1] == '_' && at[digit] >= '0' && at[digit] <= '9' && at[digit + 1] == '.')
            return at;
        at++;
    }
    return NULL;
}

static void read_bootloader_version(struct image_info *info, const uint8_t *bytes, size_t length,
                                    bool keyed)
{
    size_t size = length < BEKEN_CODE_ADDRESS ? length : BEKEN_CODE_ADDRESS;
    size = size / CODE_BLOCK_FLASH * CODE_BLOCK_LOGICAL;
    uint8_t *code memory_auto = memory_new(size + 1, 1);
    size = code_deframe(bytes, length, code, size);
    if (keyed)
        code_crypt(code, size, 0);
    const uint8_t *text = find_bootloader_name(code, size);
    if (text == NULL)
        return;
    size_t count = 0;
    while (count < sizeof info->bootloader - 1 && is_word(text[count]))
        count++;
    (void)snprintf(info->bootloader, sizeof info->bootloader, "%.*s", (int)count,
                   (const char *)text);
}

static void examine_bootloader(struct image_info *info, const uint8_t *bytes, size_t length,
                               const struct mark *mark)
{
    bool keyed = mark->encryption == IMAGE_TUYA_KEY;
    read_bootloader_version(info, bytes, length, keyed);
    struct section section = {
        "bootloader", bytes, length < BEKEN_CODE_ADDRESS ? length : BEKEN_CODE_ADDRESS, 0, 0,
        keyed};
    struct rbl_header header;
    if (!check_trailer(info, &section, &header))
        check_blocks(info, &section,
                     info->kind == IMAGE_QIO ? section.length : FRAMED_BYTES_NEEDED);
}

static void examine_app(struct image_info *info, const uint8_t *bytes, size_t length, size_t start)
{
    if (start >= length) {
        add_problem(info,
                    "The file ends at 0x%zX, before the app begins (0x11000): it is cut short.",
                    length);
        return;
    }
    const struct mark *mark =
        find_mark(chip_marks, COUNT(chip_marks), bytes, length, start + CHIP_MARK_OFFSET);
    const struct mark *key = find_mark(app_marks, COUNT(app_marks), bytes, length, start);
    if (mark != NULL) {
        if (info->chip != BEKEN_CHIP_UNKNOWN && !beken_chip_runs(info->chip, mark->chip))
            add_problem(info, "The %s is a %s's but the app a %s's.",
                        info->kind == IMAGE_UA ? "file" : "bootloader", beken_chip_name(info->chip),
                        beken_chip_name(mark->chip));
        if (info->chip == BEKEN_CHIP_UNKNOWN || !beken_chip_runs(info->chip, mark->chip))
            info->chip = mark->chip;
        info->encryption = mark->encryption;
    } else {
        info->encryption = key != NULL ? key->encryption : info->encryption;
        if (info->kind == IMAGE_QIO || (info->kind == IMAGE_UA && info->chip == BEKEN_CHIP_UNKNOWN))
            add_problem(info, "The app is for no chip that is known here.");
    }
    struct section section = {"app", bytes + start,    length - start,
                              start, CODE_APP_LOGICAL, info->encryption == IMAGE_TUYA_KEY};
    struct rbl_header header;
    if (check_trailer(info, &section, &header))
        info->build_time_s = header.time_s;
    else
        check_without_trailer(info, &section);
    read_app_version(info, &section);
    if (info->version[0] == '\0' && info->build_time_s != 0 &&
        strcmp(header.version, "1.00") != 0 && header.version[0] >= '0' && header.version[0] <= '9')
        (void)snprintf(info->version, sizeof info->version, "%s", header.version);
}

/* A module's own RF data is in no firmware file; begin: the flash address of the file's first byte.
 */
static void check_is_no_dump(struct image_info *info, const uint8_t *bytes, size_t length,
                             size_t begin)
{
    size_t rf = beken_chip_layout(info->chip)->rf_address - begin;
    info->cut_dump = length > rf && length - rf >= sizeof rf_magic &&
                     memcmp(bytes + rf, rf_magic, sizeof rf_magic) == 0;
    if (info->cut_dump)
        add_problem(
            info,
            "This is the dump of a whole flash, cut short: 0x%zX bytes of at least 0x%X are "
            "there.",
            length, (unsigned)DUMP_SIZE_MIN);
}

static void examine_qio(struct image_info *info, const uint8_t *bytes, size_t length,
                        const struct mark *mark)
{
    info->kind = IMAGE_QIO;
    info->chip = mark->chip;
    info->encryption = mark->encryption;
    examine_bootloader(info, bytes, length, mark);
    examine_app(info, bytes, length, BEKEN_CODE_ADDRESS);
    check_is_no_dump(info, bytes, length, 0);
    info->skip = beken_chip_layout(info->chip)->guarded_below;
    info->write_at = info->skip;
    info->has_write_at = true;
}

static void examine_ua(struct image_info *info, const uint8_t *bytes, size_t length)
{
    info->kind = IMAGE_UA;
    info->write_at = BEKEN_CODE_ADDRESS;
    info->has_write_at = true;
    examine_app(info, bytes, length, 0);
    check_is_no_dump(info, bytes, length, BEKEN_CODE_ADDRESS);
}

static void examine_dump(struct image_info *info, const uint8_t *bytes, size_t length)
{
    info->kind = IMAGE_DUMP;
    info->has_write_at = true;
    info->blank = bytes_are_all(bytes, length, 0xFF) || bytes_are_all(bytes, length, 0);
    if (info->blank) {
        add_problem(info, "The dump holds nothing but %02X: the flash was not read, or was empty.",
                    bytes[0]);
        return;
    }
    const struct mark *mark =
        find_mark(bootloader_marks, COUNT(bootloader_marks), bytes, length, 0);
    size_t app = BEKEN_CODE_ADDRESS;
    if (mark != NULL) {
        info->chip = mark->chip;
        info->encryption = mark->encryption;
        examine_bootloader(info, bytes, length, mark);
    } else if (find_mark(app_marks, COUNT(app_marks), bytes, length, 0) != NULL) {
        info->rotated = length == DUMP_SIZE_MIN;
        app = 0;
    } else if (!bytes_are_all(bytes, BEKEN_CODE_ADDRESS, 0xFF)) {
        add_problem(info, "The dump starts with a bootloader that is not known here.");
    }
    if (!bytes_are_all(bytes + app, BEKEN_CODE_ADDRESS, 0xFF))
        examine_app(info, bytes, length, app);
}

static uint32_t byte_sum(const uint8_t *bytes, size_t length)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < length; i++)
        sum += bytes[i];
    return sum;
}

/* Package names end in the chip's name, OpenBeken's do not: then it stays unknown. */
static enum beken_chip chip_in_version(const char *version)
{
    if (strstr(version, "bk7231n") != NULL)
        return BEKEN_CHIP_BK7231N;
    return strstr(version, "bk7231t") != NULL ? BEKEN_CHIP_BK7231T : BEKEN_CHIP_UNKNOWN;
}

static void examine_rbl(struct image_info *info, const uint8_t *bytes, size_t length)
{
    info->kind = IMAGE_RBL;
    info->ota_only = true;
    struct rbl_header header;
    if (length < RBL_HEADER_SIZE || !rbl_parse(bytes, &header)) {
        add_problem(info, "The package's header is damaged: its CRC is wrong.");
        return;
    }
    info->build_time_s = header.time_s;
    info->chip = chip_in_version(header.version);
    if (header.version[0] >= '0' && header.version[0] <= '9')
        (void)snprintf(info->version, sizeof info->version, "%s", header.version);
    size_t body = length - RBL_HEADER_SIZE;
    if (header.package_size > body)
        add_problem(info, "The package is cut short: %zu of %" PRIu32 " bytes are there.", body,
                    header.package_size);
    else if (beken_crc32(bytes + RBL_HEADER_SIZE, header.package_size) != header.body_crc)
        add_problem(info, "The package is damaged: the CRC of its body is wrong.");
}

static void examine_ug(struct image_info *info, const uint8_t *bytes, size_t length)
{
    static const uint8_t end_mark[4] = {0xAA, 0x55, 0xAA, 0x55};
    info->kind = IMAGE_UG;
    info->ota_only = true;
    if (length < IMAGE_UG_HEADER_SIZE || memcmp(bytes + 28, end_mark, sizeof end_mark) != 0 ||
        byte_sum(bytes, 24) != bytes_get_be32(bytes + 24)) {
        add_problem(info, "The package's header is damaged: its checksum is wrong.");
        return;
    }
    uint32_t body = bytes_get_be32(bytes + 16);
    if (body > length - IMAGE_UG_HEADER_SIZE) {
        add_problem(info, "The package is cut short: %zu of %" PRIu32 " bytes are there.",
                    length - IMAGE_UG_HEADER_SIZE, body);
        return;
    }
    if (byte_sum(bytes + IMAGE_UG_HEADER_SIZE, body) != bytes_get_be32(bytes + 20))
        add_problem(info, "The package is damaged: the checksum of its body is wrong.");
    examine_rbl(info, bytes + IMAGE_UG_HEADER_SIZE, body);
    info->kind = IMAGE_UG;
    size_t count = 0;
    while (count < 12 && is_word(bytes[4 + count]))
        count++;
    if (count > 0)
        (void)snprintf(info->version, sizeof info->version, "%.*s", (int)count,
                       (const char *)bytes + 4);
}

static void examine_config(struct image_info *info, const uint8_t *bytes, size_t length)
{
    info->kind = IMAGE_OBK_CONFIG;
    info->encryption = IMAGE_PLAIN;
    if (length < OBK_CONFIG_SIZE) {
        add_problem(info, "The configuration is cut short: %zu of %u bytes are there.", length,
                    OBK_CONFIG_SIZE);
        return;
    }
    (void)snprintf(info->version, sizeof info->version, "%" PRIu32, bytes_get_le32(bytes + 4));
    if (!image_is_obk_config(bytes, length))
        add_problem(info,
                    "The configuration's checksum is wrong: OpenBeken would ignore it and start "
                    "with factory settings.");
    else if (length > 4096 ||
             !bytes_are_all(bytes + OBK_CONFIG_SIZE, length - OBK_CONFIG_SIZE, 0xFF))
        add_problem(info, "Something else follows the configuration's 3584 bytes.");
}

static bool starts_with(const uint8_t *bytes, size_t length, const char *magic, size_t magic_length)
{
    return length >= magic_length && memcmp(bytes, magic, magic_length) == 0;
}

static void examine_unknown(struct image_info *info, const uint8_t *bytes, size_t length)
{
    struct section start = {"file", bytes, length, 0, 0, false};
    size_t first_bad = 0;
    info->blank = bytes_are_all(bytes, length, 0xFF) || bytes_are_all(bytes, length, 0);
    if (info->blank)
        add_problem(info, "The file holds nothing but %02X: it was never filled.", bytes[0]);
    else if (starts_with(bytes, length, "UF2\n", 4))
        add_problem(info, "This is a UF2 file; `bl2mqtt flash image` and `flash write` take the "
                          "app out of it.");
    else if (starts_with(bytes, length, "TLV", 4))
        add_problem(info,
                    "This is RF calibration and a MAC address, which belong to one module only.");
    else if (length >= FRAMED_BYTES_NEEDED &&
             count_bad_blocks(&start, FRAMED_BLOCKS_NEEDED, &first_bad) == 0)
        add_problem(info,
                    "This is code for a Beken chip, but encrypted with a key that is not known "
                    "here or for a chip that is not known here.");
    else
        add_problem(info, "This is no firmware that is known here.");
}

/* Plain code without one block whose CRC fits is not damaged: it never had any. */
static bool is_unframed(const uint8_t *bytes, size_t length)
{
    struct section start = {"file", bytes, length, 0, 0, false};
    size_t blocks = length / CODE_BLOCK_FLASH;
    size_t first_bad = 0;
    blocks = blocks < FRAMED_BLOCKS_NEEDED ? blocks : FRAMED_BLOCKS_NEEDED;
    return blocks >= UNFRAMED_BLOCKS_NEEDED &&
           count_bad_blocks(&start, blocks, &first_bad) >= blocks - blocks / 10;
}

static void examine_app_start(struct image_info *info, const uint8_t *bytes, size_t length)
{
    if (is_unframed(bytes, length))
        add_problem(info, "There are no CRCs between the blocks of this code: it is the compiler's "
                          "output before it was packaged. Take the packaged file of the same build "
                          "(QIO or UA).");
    else
        examine_ua(info, bytes, length);
}

static bool is_dump_size(size_t length)
{
    return length >= DUMP_SIZE_MIN && (length & (length - 1)) == 0;
}

static void examine(struct image_info *info, const uint8_t *bytes, size_t length)
{
    const struct mark *bootloader =
        find_mark(bootloader_marks, COUNT(bootloader_marks), bytes, length, 0);
    if (length == 0)
        add_problem(info, "The file is empty.");
    else if (starts_with(bytes, length, "\x55\xAA\x55\xAA", 4))
        examine_ug(info, bytes, length);
    else if (starts_with(bytes, length, "RBL", 4))
        examine_rbl(info, bytes, length);
    else if (starts_with(bytes, length, "CFG", 3))
        examine_config(info, bytes, length);
    else if (is_dump_size(length))
        examine_dump(info, bytes, length);
    else if (bootloader != NULL)
        examine_qio(info, bytes, length, bootloader);
    else if (find_mark(app_marks, COUNT(app_marks), bytes, length, 0) != NULL)
        examine_app_start(info, bytes, length);
    else
        examine_unknown(info, bytes, length);
}

void image_examine_app(const uint8_t *bytes, size_t length, enum beken_chip chip,
                       struct image_info *info)
{
    *info = (struct image_info){.size = length, .chip = chip};
    examine_ua(info, bytes, length);
    info->valid = info->problem_count == 0;
}

void image_examine(const uint8_t *bytes, size_t length, struct image_info *info)
{
    *info = (struct image_info){.size = length};
    examine(info, bytes, length);
    info->valid = info->kind != IMAGE_UNKNOWN && info->problem_count == 0;
}
