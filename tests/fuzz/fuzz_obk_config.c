/* SPDX-License-Identifier: MIT */
/* OpenBeken's configuration: any block goes through JSON and comes back byte for byte; any text for any
 * field changes that field and the checksum, or nothing. The first byte chooses; odd: a field's text. */
#include "drivers/beken/obk_config.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool condition)
{
    if (!condition)
        abort();
}

static void rebuild(const struct obk_config *config)
{
    struct obk_config again;
    json_t *fields = obk_config_to_json(config, true);
    json_decref(obk_config_to_json(config, false));
    obk_config_init(&again, BEKEN_CHIP_BK7231N, NULL);
    demand(obk_config_set_json(&again, fields, NULL) == STATUS_OK);
    json_decref(fields);
    /* An old configuration is shorter, and its version is its own. */
    if (obk_config_version(config) == 5)
        demand(memcmp(again.bytes, config->bytes, OBK_CONFIG_SIZE) == 0);
}

static void read_block(const uint8_t *data, size_t size)
{
    struct obk_config config;
    size_t offset = 0;
    if (obk_config_find(data, size, &offset))
        demand(offset < size);
    uint8_t block[OBK_CONFIG_SIZE] = {'C', 'F', 'G', 0, 5};
    size_t count = size < sizeof block - 4 ? size : sizeof block - 4;
    memcpy(block + 4, data, count);
    if (obk_config_read(block, sizeof block, &config) == OBK_CONFIG_DAMAGED) {
        block[3] = obk_config_checksum(&config);
        if (obk_config_read(block, sizeof block, &config) != OBK_CONFIG_GOOD)
            return; /* a version that is none */
    }
    rebuild(&config);
}

static void set_field(const uint8_t *data, size_t size)
{
    static const uint8_t mac[6] = {0xC8, 0x47, 0x8C, 0, 0, 0x18};
    struct obk_config before, after;
    char shown[OBK_CONFIG_TEXT_SIZE];
    size_t index = data[0];
    const struct obk_config_field *field = obk_config_field(index);
    char *text = malloc(size);
    if (text == NULL || field == NULL) {
        free(text);
        return;
    }
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    obk_config_init(&before, BEKEN_CHIP_BK7231T, mac);
    after = before;
    struct error error = {""};
    enum status status = obk_config_set(&after, field->name, text, &error);
    demand(after.bytes[3] == obk_config_checksum(&after));
    if (status != STATUS_OK)
        demand(memcmp(&before, &after, sizeof before) == 0 && error.text[0] != '\0');
    obk_config_get(&after, field->name, shown);
    if (status == STATUS_OK && field->type != OBK_CONFIG_TEXT)
        demand(obk_config_set(&before, field->name, shown, NULL) == STATUS_OK &&
               memcmp(&before, &after, sizeof before) == 0);
    memcpy(after.bytes + field->offset, before.bytes + field->offset, field->size);
    after.bytes[3] = before.bytes[3];
    demand(memcmp(&before, &after, sizeof before) == 0);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    if (data[0] % 2 == 1)
        set_field(data + 1, size - 1);
    else
        read_block(data + 1, size - 1);
    return 0;
}
