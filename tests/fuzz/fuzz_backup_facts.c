/* SPDX-License-Identifier: MIT */
/*
 * A backup's facts, FILE.json, as somebody sent it along with a dump: the first byte chooses which module asks
 * for its backup, the rest is the file. The backup is taken only with its checksum, its words can be shown on
 * a terminal, and no module takes another one's backup for its own.
 */
#include "drivers/base/plain.h"
#include "drivers/beken/backup_file.h"
#include "fuzz_folder.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of this the seeds have the checksum. */
static const char flash[] = "what a flash holds\n";
static const char flash_sha256[] =
    "d40579e48249b0ee11a2ffb41acc79e9e400aba4a657185e9266e646f67d5f78";

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_text(const char *text, size_t size)
{
    require(memchr(text, '\0', size) != NULL && plain_is(text, strlen(text)));
}

static void check_facts(const struct backup_facts *facts)
{
    check_text(facts->chip, sizeof facts->chip);
    check_text(facts->flash_id, sizeof facts->flash_id);
    check_text(facts->mac, sizeof facts->mac);
    check_text(facts->sha256, sizeof facts->sha256);
    check_text(facts->time, sizeof facts->time);
}

static void check_owner(const struct backup_facts *facts, unsigned choice)
{
    struct beken_module module = {
        .chip = (choice & 1) != 0 ? BEKEN_CHIP_BK7231T : BEKEN_CHIP_BK7231N,
        .has_flash_id = (choice & 2) != 0,
        .flash = {.id = 0x1560EB},
        .has_mac = (choice & 4) != 0,
        .mac = {0xC8, 0x47, 0x8C, 0x00, 0x00, (uint8_t)(choice >> 3)},
    };
    if (!backup_file_is_of(facts, &module))
        return;
    require(facts->known && strcmp(facts->chip, beken_chip_name(module.chip)) == 0);
    module.mac[5] ^= 1;
    require(!module.has_mac || !backup_file_is_of(facts, &module));
    module.has_flash_id = !module.has_flash_id;
    require(!backup_file_is_of(facts, &module));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char path[FUZZ_PATH_SIZE], facts_path[FUZZ_PATH_SIZE];
    if (path[0] == '\0') {
        fuzz_file("flash.bin", path);
        fuzz_file("flash.bin.json", facts_path);
        fuzz_write(path, flash, sizeof flash - 1);
    }
    if (size == 0)
        return 0;
    fuzz_write(facts_path, data + 1, size - 1);
    uint8_t *bytes = NULL;
    size_t length = 0;
    struct backup_facts facts;
    struct error error = {""};
    enum status status = backup_file_load(path, &bytes, &length, &facts, &error);
    require((status == STATUS_OK) == (bytes != NULL) &&
            (status == STATUS_OK) == (error.text[0] == '\0'));
    check_facts(&facts);
    if (status == STATUS_OK)
        require(facts.known && strcmp(facts.sha256, flash_sha256) == 0 &&
                length == sizeof flash - 1 && memcmp(bytes, flash, length) == 0);
    check_owner(&facts, data[0]);
    free(bytes);
    return 0;
}
