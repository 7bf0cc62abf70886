/* SPDX-License-Identifier: MIT */
#include "bridge/provision/firmware.h"

#include "drivers/beken/backup_file.h"

enum status firmware_load(const char *path, uint8_t **bytes, size_t *length,
                          struct image_info *info, struct error *error)
{
    enum status status = backup_file_read(path, bytes, length, error);
    if (status != STATUS_OK)
        return status;
    image_examine(*bytes, *length, info);
    if (info->rotated)
        image_unrotate(*bytes, *length);
    return STATUS_OK;
}
