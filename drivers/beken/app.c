/* SPDX-License-Identifier: MIT */
#include "drivers/beken/app.h"

#include "drivers/base/memory.h"
#include "drivers/beken/bytes.h"
#include "drivers/beken/code.h"
#include "drivers/beken/crc.h"
#include "drivers/beken/crypto.h"
#include "drivers/beken/rbl.h"

#include <stdio.h>
#include <string.h>
#define ZLIB_CONST /* zlib only reads what it is given */
#include <zlib.h>

enum {
    ALGORITHM_CRYPT = 0xFF,
    CRYPT_NONE = 0,
    CRYPT_AES256 = 2,
    ALGORITHM_PACK = 0xF00,
    PACK_NONE = 0,
    PACK_GZIP = 0x100,
    APP_MAX = 4 << 20,
    DOWNLOAD_T = 0x96000, /* of the flash map: what a package may have at most */
    DOWNLOAD_N = 0xA6000,
};

struct code {
    uint8_t *bytes;
    size_t length;
};

/* ------------------------------------------------------------------ unpacking */

static bool decrypt(const uint8_t *bytes, size_t length, uint8_t *plain)
{
    static const uint8_t key[] = "0123456789ABCDEF0123456789ABCDEF";
    static const uint8_t start[] = "0123456789ABCDEF";
    EVP_CIPHER_CTX *context = crypto_load()->cipher_new();
    int count = 0;
    bool good =
        context != NULL && length % 16 == 0 &&
        crypto_load()->decrypt_init(context, crypto_load()->aes_256_cbc(), NULL, key, start) == 1 &&
        crypto_load()->cipher_set_padding(context, 0) == 1 &&
        crypto_load()->decrypt_update(context, plain, &count, bytes, (int)length) == 1;
    crypto_load()->cipher_free(context);
    return good && (size_t)count == length;
}

/* What follows the end of the gzip stream is padding. */
static bool unzip(const uint8_t *bytes, size_t length, struct code *code)
{
    z_stream stream = {.next_in = bytes,
                       .avail_in = (uInt)length,
                       .next_out = code->bytes,
                       .avail_out = (uInt)code->length};
    if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK)
        return false;
    int result = inflate(&stream, Z_FINISH);
    bool whole = result == Z_STREAM_END && stream.avail_out == 0;
    (void)inflateEnd(&stream);
    return whole;
}

/* code: memory of raw_size bytes. */
static bool unpack(const struct rbl_header *header, const uint8_t *body, struct code *code)
{
    uint32_t crypt = header->algorithm & ALGORITHM_CRYPT;
    uint32_t pack = header->algorithm & ALGORITHM_PACK;
    size_t length = header->package_size;
    uint8_t *plain memory_auto = NULL;
    if (crypt == CRYPT_AES256) {
        plain = memory_new(length + 1, 1);
        if (!decrypt(body, length, plain))
            return false;
        body = plain;
    } else if (crypt != CRYPT_NONE) {
        return false;
    }
    if (pack == PACK_GZIP)
        return unzip(body, length, code);
    if (pack != PACK_NONE || length < code->length)
        return false;
    memcpy(code->bytes, body, code->length);
    return true;
}

/* ------------------------------------------------------------------ knowing */

/* As it will lie in flash: only so can it be compared with what is known of images. */
static void examine_code(const struct code *code, bool with_key, struct image_info *info)
{
    size_t blocks = (code->length + CODE_BLOCK_LOGICAL - 1) / CODE_BLOCK_LOGICAL;
    uint8_t *logical memory_auto = memory_new(blocks, CODE_BLOCK_LOGICAL);
    uint8_t *flash memory_auto = memory_new(blocks, CODE_BLOCK_FLASH);
    memset(logical, 0xFF, blocks * CODE_BLOCK_LOGICAL);
    memcpy(logical, code->bytes, code->length);
    if (with_key)
        code_crypt(logical, blocks * CODE_BLOCK_LOGICAL, CODE_APP_LOGICAL);
    for (size_t i = 0; i < blocks; i++) {
        uint8_t *block = flash + i * CODE_BLOCK_FLASH;
        memcpy(block, logical + i * CODE_BLOCK_LOGICAL, CODE_BLOCK_LOGICAL);
        uint16_t crc = beken_crc16(block, CODE_BLOCK_LOGICAL);
        block[CODE_BLOCK_LOGICAL] = (uint8_t)(crc >> 8);
        block[CODE_BLOCK_LOGICAL + 1] = (uint8_t)crc;
    }
    image_examine(flash, blocks * CODE_BLOCK_FLASH, info);
}

static bool holds(const struct code *code, const char *text)
{
    return memmem(code->bytes, code->length, text, strlen(text)) != NULL;
}

static void read_code(const struct code *code, struct app *app)
{
    app->openbeken = holds(code, "OpenBK72");
    app->esphome = !app->openbeken && holds(code, "esphome");
    app->twin = holds(code, "BL0942opts");
}

static bool is_app(const struct image_info *info)
{
    return info->kind == IMAGE_UA && info->chip != BEKEN_CHIP_UNKNOWN;
}

/* A package's code is plain; the module adds key and CRCs. Plain code of an N looks like that of an M,
 * which is the same. */
static bool find_chip(const struct code *code, struct app *app)
{
    struct image_info *info memory_auto = memory_new(1, sizeof *info);
    examine_code(code, true, info);
    if (!is_app(info))
        examine_code(code, false, info);
    if (!is_app(info))
        return false;
    app->chip = info->chip == BEKEN_CHIP_BK7231M ? BEKEN_CHIP_BK7231N : info->chip;
    (void)snprintf(app->version, sizeof app->version, "%s", info->version);
    return true;
}

/* ------------------------------------------------------------------ packages */

static enum status check_package(const uint8_t *bytes, size_t length, struct error *error)
{
    struct image_info *info memory_auto = memory_new(1, sizeof *info);
    image_examine(bytes, length, info);
    if (info->kind != IMAGE_RBL)
        return error_set(error, STATUS_REFUSED,
                         "This is no package for an update over the network, but: %s. Take the "
                         "file of the same release that ends with .rbl.",
                         image_kind_name(info->kind));
    if (info->problem_count > 0)
        return error_set(error, STATUS_REFUSED, "%s Download it again.", info->problems[0]);
    return STATUS_OK;
}

static enum status check_size(const struct app *app, const struct rbl_header *header,
                              struct error *error)
{
    size_t room = app->chip == BEKEN_CHIP_BK7231T ? DOWNLOAD_T : DOWNLOAD_N;
    size_t size = header->package_size + RBL_HEADER_SIZE;
    if (size <= room)
        return STATUS_OK;
    return error_set(error, STATUS_REFUSED,
                     "The package has %zu bytes, but a %s has room for %zu until it is unpacked.",
                     size, beken_chip_name(app->chip), room);
}

enum status app_of_package(const uint8_t *bytes, size_t length, struct app *app,
                           struct error *error)
{
    *app = (struct app){.chip = BEKEN_CHIP_UNKNOWN};
    struct rbl_header header;
    enum status status = check_package(bytes, length, error);
    if (status != STATUS_OK)
        return status;
    if (!rbl_parse(bytes, &header) || header.raw_size == 0 || header.raw_size > APP_MAX)
        return error_set(error, STATUS_REFUSED, "The package says it holds no app.");
    uint8_t *memory memory_auto = memory_new(header.raw_size, 1);
    struct code code = {.bytes = memory, .length = header.raw_size};
    if (!unpack(&header, bytes + RBL_HEADER_SIZE, &code))
        return error_set(error, STATUS_REFUSED,
                         "The package cannot be unpacked: it is damaged, or was made for a "
                         "bootloader with another key, so what is in it cannot be reported.");
    if (!find_chip(&code, app))
        return error_set(error, STATUS_REFUSED,
                         "The package holds an app for no chip that is known here.");
    read_code(&code, app);
    app->build_time_s = header.time_s;
    if (app->version[0] == '\0')
        (void)snprintf(app->version, sizeof app->version, "%s", header.version);
    return check_size(app, &header, error);
}

/* ------------------------------------------------------------------ images */

bool app_of_image(const uint8_t *bytes, size_t length, const struct image_info *info,
                  struct app *app)
{
    size_t start = info->kind == IMAGE_UA ? 0 : BEKEN_CODE_ADDRESS;
    bool holds_app = info->kind == IMAGE_UA || info->kind == IMAGE_QIO;
    if (!holds_app || length <= start)
        return false;
    size_t count = (length - start) / CODE_BLOCK_FLASH * CODE_BLOCK_LOGICAL;
    uint8_t *memory memory_auto = memory_new(count + 1, 1);
    struct code code = {.bytes = memory};
    code.length = code_deframe(bytes + start, length - start, memory, count);
    if (info->encryption == IMAGE_TUYA_KEY)
        code_crypt(memory, code.length & ~(size_t)3, CODE_APP_LOGICAL);
    *app = (struct app){.chip = info->chip, .build_time_s = info->build_time_s};
    (void)snprintf(app->version, sizeof app->version, "%s", info->version);
    read_code(&code, app);
    return true;
}
