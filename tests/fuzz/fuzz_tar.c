/* SPDX-License-Identifier: MIT */
/* A header of an uploaded archive: what is read can be written again and is the same. */
#include "drivers/base/tar.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char block[TAR_BLOCK] = {0};
    struct tar_entry entry, again;
    struct error error = {""};
    bool end;
    memcpy(block, data, size < sizeof block ? size : sizeof block);
    if (tar_read(block, &entry, &end, &error) != STATUS_OK || end)
        return 0;
    if (entry.size < 0 || strlen(entry.name) >= TAR_NAME_SIZE)
        abort();
    if (!tar_write(&entry, block))
        return 0; /* no name, or larger than this program writes */
    if (tar_read(block, &again, &end, &error) != STATUS_OK || end ||
        strcmp(again.name, entry.name) != 0 || again.size != entry.size)
        abort();
    return 0;
}
