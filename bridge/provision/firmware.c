/* SPDX-License-Identifier: MIT */
#include "bridge/provision/firmware.h"

#include "drivers/beken/backup_file.h"
#include "drivers/beken/uf2.h"

#include <stdio.h>
#include <stdlib.h>

/* What a UF2 file has for a serial line is what a UA file holds. A broken one stays as it is, and info says
 * what is wrong with it. */
static void load_uf2(uint8_t **bytes, size_t *length, struct image_info *info)
{
    struct uf2_app app;
    struct error reason = {""};
    if (uf2_unpack(*bytes, *length, &app, &reason) != STATUS_OK) {
        *info = (struct image_info){.size = *length, .problem_count = 1};
        (void)snprintf(info->problems[0], sizeof info->problems[0], "%.250s", reason.text);
        return;
    }
    free(*bytes);
    *bytes = app.bytes;
    *length = app.length;
    image_examine_app(*bytes, *length, app.chip, info);
}

enum status firmware_load(const char *path, uint8_t **bytes, size_t *length,
                          struct image_info *info, struct error *error)
{
    enum status status = backup_file_read(path, bytes, length, error);
    if (status != STATUS_OK)
        return status;
    if (uf2_is(*bytes, *length)) {
        load_uf2(bytes, length, info);
        return STATUS_OK;
    }
    image_examine(*bytes, *length, info);
    if (info->rotated)
        image_unrotate(*bytes, *length);
    return STATUS_OK;
}
