/* SPDX-License-Identifier: MIT */
#include "drivers/beken/config_sector.h"

#include <string.h>

static enum status check_chip(const struct beken_module *module, struct error *error)
{
    switch (module->chip) {
    case BEKEN_CHIP_UNKNOWN:
        return error_set(error, STATUS_REFUSED,
                         "The module does not tell which chip it is, and the place of the "
                         "configuration depends on it; if you know it, name it with --chip.");
    case BEKEN_CHIP_BK7252:
    case BEKEN_CHIP_BK7252N:
        /* It has 48 pins there, which moves everything behind them. */
        return error_set(error, STATUS_REFUSED,
                         "OpenBeken's configuration is laid out differently on a %s, which is not "
                         "supported; use the module's web page.",
                         beken_chip_name(module->chip));
    default:
        return STATUS_OK;
    }
}

enum status config_sector_read(struct flasher *flasher, struct config_sector *sector,
                               struct error *error)
{
    const struct beken_module *module = flasher_module(flasher);
    uint8_t bytes[BEKEN_SECTOR_SIZE];
    enum status status = check_chip(module, error);
    if (status != STATUS_OK)
        return status;
    sector->address = beken_chip_layout(module->chip)->config_address;
    status = flasher_read(flasher, sector->address, bytes, sizeof bytes, error);
    if (status != STATUS_OK)
        return status;
    sector->state = obk_config_read(bytes, sizeof bytes, &sector->config);
    if (sector->state != OBK_CONFIG_GOOD)
        obk_config_init(&sector->config, module->chip, module->has_mac ? module->mac : NULL);
    memcpy(sector->rest, bytes + OBK_CONFIG_SIZE, sizeof sector->rest);
    if (sector->state == OBK_CONFIG_BLANK || sector->state == OBK_CONFIG_FOREIGN)
        memset(sector->rest, 0xFF, sizeof sector->rest);
    return STATUS_OK;
}

enum status config_sector_write(struct flasher *flasher, const struct config_sector *sector,
                                bool force, const uint8_t *reference, struct flasher_result *result,
                                struct error *error)
{
    const struct beken_module *module = flasher_module(flasher);
    uint8_t bytes[BEKEN_SECTOR_SIZE];
    if (sector->state == OBK_CONFIG_FOREIGN && !force)
        return error_set(error, STATUS_REFUSED,
                         "What stands at 0x%X is no OpenBeken configuration, and is not replaced "
                         "without --force.",
                         (unsigned)sector->address);
    enum status status = plan_check_range(module, sector->address, BEKEN_SECTOR_SIZE, false, error);
    if (status != STATUS_OK)
        return status;
    memcpy(bytes, sector->config.bytes, OBK_CONFIG_SIZE);
    memcpy(bytes + OBK_CONFIG_SIZE, sector->rest, sizeof sector->rest);
    const struct flasher_job job = {
        .address = sector->address, .bytes = bytes, .length = sizeof bytes, .reference = reference};
    return flasher_write(flasher, &job, result, error);
}
