/* SPDX-License-Identifier: MIT */
/* Any file: recognition stays in its bounds and never calls a file valid that it cannot place. The
 * first byte chooses how the rest is set: as it is, or inside a file of a kind's true size. */
#include "drivers/beken/app.h"
#include "drivers/beken/image.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void examine(const uint8_t *bytes, size_t length)
{
    struct image_info info;
    image_examine(bytes, length, &info);
    if (info.size != length || info.problem_count > IMAGE_PROBLEMS_MAX)
        abort();
    if (info.valid && (info.kind == IMAGE_UNKNOWN || info.problem_count > 0 || info.blank))
        abort();
    if (info.has_write_at && info.skip > info.write_at)
        abort();
    struct app app;
    if (app_of_package(bytes, length, &app, NULL) == STATUS_OK && info.kind != IMAGE_RBL)
        abort();
    (void)app_of_image(bytes, length, &info, &app);
    if (memchr(info.version, 0, sizeof info.version) == NULL ||
        memchr(info.bootloader, 0, sizeof info.bootloader) == NULL)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    unsigned how = data[0];
    data++;
    size--;
    /* An exact copy, so that the sanitizer sees a read behind the end. */
    size_t total = how % 4 == 1 ? 0x200000 : how % 4 == 2 ? 0x11800 : size;
    size_t offset = how % 8 >= 4 ? 0x11000 : 0;
    if (total < offset + size)
        total = offset + size;
    uint8_t *file = malloc(total > 0 ? total : 1);
    if (file == NULL)
        abort();
    memset(file, 0xFF, total);
    memcpy(file + offset, data, size);
    examine(file, total);
    if (total == 0x200000)
        image_unrotate(file, total);
    free(file);
    return 0;
}
