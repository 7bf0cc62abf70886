/* SPDX-License-Identifier: MIT */
/* Vaults: raw files, and what a vault holds before it is encrypted, with its checksums made right (the
 * fuzzer cannot guess AES). The first byte chooses: 0 a file, 1 data blocks, 2 a protected block, 3 the
 * vendor's list of pins. */
#include "drivers/beken/bytes.h"
#include "drivers/beken/tuya_report.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BLOCK = 4096, BLOCKS_MAX = 4 };

/* The data key of an inner key that is all zero. */
static const uint8_t data_key[16] = {0x80, 0x7F, 0x83, 0x82, 0x89, 0x99, 0xAA, 0x95,
                                     0xA5, 0xA6, 0x97, 0xA2, 0xAC, 0xB0, 0xA5, 0x96};
static const uint8_t master_key[17] = "qwertyuiopasdfgh";

static void demand(bool condition)
{
    if (!condition)
        abort();
}

static void encrypt(const uint8_t *key, uint8_t *bytes, size_t length)
{
    int count = 0;
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    demand(cipher != NULL && EVP_EncryptInit_ex(cipher, EVP_aes_128_ecb(), NULL, key, NULL) == 1 &&
           EVP_CIPHER_CTX_set_padding(cipher, 0) == 1 &&
           EVP_EncryptUpdate(cipher, bytes, &count, bytes, (int)length) == 1);
    EVP_CIPHER_CTX_free(cipher);
}

static void seal(uint8_t *block, uint32_t magic)
{
    uint32_t sum = 0;
    for (size_t i = 8; i < BLOCK; i++)
        sum += block[i];
    bytes_put_le32(block, magic);
    bytes_put_le32(block + 4, sum);
}

static void examine(const uint8_t *bytes, size_t length)
{
    /* An exact copy, so that the sanitizer sees a read behind the end. */
    uint8_t *copy = malloc(length > 0 ? length : 1);
    demand(copy != NULL);
    memcpy(copy, bytes, length);
    struct tuya_vault *vault = tuya_vault_open(copy, length);
    for (size_t i = 0; i < tuya_vault_count(vault); i++) {
        const struct tuya_entry *entry = tuya_vault_entry(vault, i);
        demand(tuya_vault_find(vault, entry->name) == entry && entry->length <= length);
        demand(i == 0 || strcmp(tuya_vault_entry(vault, i - 1)->name, entry->name) < 0);
    }
    tuya_vault_free(vault);
    struct tuya_report report;
    tuya_report_make(copy, length, &report);
    free(copy);
    for (int show = 0; show < 2; show++) {
        json_t *answer = tuya_report_json(&report, show == 1);
        demand(json_is_object(answer) && json_object_get(answer, "pins") != NULL);
        json_decref(answer);
    }
    tuya_report_free(&report);
}

static void key_block(uint8_t *block)
{
    memset(block, 0xFF, BLOCK);
    bytes_put_le32(block, 0x13579753);
    memset(block + 4, 0, 20); /* an inner key of zeros, and its sum */
    encrypt(master_key, block, BLOCK);
}

static void data_blocks(const uint8_t *data, size_t size)
{
    uint8_t vault[(1 + BLOCKS_MAX) * BLOCK];
    size_t count = 0;
    key_block(vault);
    while (size > 0 && count < BLOCKS_MAX) {
        uint8_t *block = vault + ++count * BLOCK;
        size_t part = size < BLOCK - 8 ? size : BLOCK - 8;
        memset(block, 0xFF, BLOCK);
        memcpy(block + 8, data, part);
        data += part;
        size -= part;
        seal(block, count % 2 == 1 ? 0x98761234 : 0x135726AB);
        encrypt(data_key, block, BLOCK);
    }
    examine(vault, (1 + count) * BLOCK);
}

static void protected_block(const uint8_t *data, size_t size)
{
    uint8_t block[BLOCK];
    if (size < 4)
        return;
    memset(block, 0, sizeof block);
    memcpy(block + 24, data, 4); /* the records' length */
    memcpy(block + 32, data + 4, size - 4 < BLOCK - 32 ? size - 4 : BLOCK - 32);
    encrypt(data_key, block + 32, BLOCK - 32);
    seal(block, 0x13579753);
    encrypt(master_key, block, BLOCK);
    examine(block, sizeof block);
}

static void list_of_pins(const uint8_t *data, size_t size)
{
    struct tuya_pins pins;
    struct obk_config config;
    json_t *settings = tuya_pins_parse_text((const char *)data, size);
    tuya_pins_read(settings, &pins);
    json_t *template = tuya_pins_template(&pins, BEKEN_CHIP_UNKNOWN);
    demand(template != NULL);
    obk_config_init(&config, BEKEN_CHIP_BK7231N, NULL);
    tuya_pins_apply(&pins, &config);
    demand(config.bytes[3] == obk_config_checksum(&config));
    json_decref(template);
    json_decref(settings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    switch (data[0] % 4) {
    case 0:
        examine(data + 1, size - 1);
        break;
    case 1:
        data_blocks(data + 1, size - 1);
        break;
    case 2:
        protected_block(data + 1, size - 1);
        break;
    default:
        list_of_pins(data + 1, size - 1);
    }
    return 0;
}
