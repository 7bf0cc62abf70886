/* SPDX-License-Identifier: MIT */
/** OpenBeken's configuration on a module: one sector, read and written through a flasher session. */
#ifndef DRIVERS_BEKEN_CONFIG_SECTOR_H
#define DRIVERS_BEKEN_CONFIG_SECTOR_H

#include "drivers/beken/flasher.h"
#include "drivers/beken/obk_config.h"

struct config_sector {
    uint32_t address;
    enum obk_config_state state;
    struct obk_config config; /**< as on the module, or factory settings if state is not GOOD */
    uint8_t rest[4096 - OBK_CONFIG_SIZE]; /**< what follows it, kept */
};

/** Reads the sector. The module must be identified as to its chip (STATUS_REFUSED), because the
 *  address depends on it, and its contents (flasher_identify_contents()) for the MAC in names. */
enum status config_sector_read(struct flasher *flasher, struct config_sector *sector,
                               struct error *error);

/**
 * Writes sector->config there, and verifies it. Only this sector is touched. force: also where
 * something stands that is no configuration (OBK_CONFIG_FOREIGN), else STATUS_REFUSED. reference: as
 * in struct flasher_job, may be NULL.
 */
enum status config_sector_write(struct flasher *flasher, const struct config_sector *sector,
                                bool force, const uint8_t *reference, struct flasher_result *result,
                                struct error *error);

#endif
