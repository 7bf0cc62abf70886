/* SPDX-License-Identifier: MIT */
/**
 * A backup on disk: the flash as FILE, and FILE.json beside it, which says whose it is. Written to
 * a temporary name, synced and renamed, so that FILE is whole or not there; never written over.
 */
#ifndef DRIVERS_BEKEN_BACKUP_FILE_H
#define DRIVERS_BEKEN_BACKUP_FILE_H

#include "drivers/base/status.h"
#include "drivers/beken/module.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * To be asked before the work of reading begins. STATUS_REFUSED if there is a FILE already;
 * STATUS_FAILED if its folder is missing, read-only or without room; STATUS_USAGE if it is no name.
 */
enum status backup_file_check(const char *path, struct error *error);
/**
 * Keeps a flash's length bytes. wall_ms: the time of the backup. STATUS_REFUSED if there is a FILE
 * already, or if the bytes are all 00 or all FF.
 */
enum status backup_file_save(const char *path, const uint8_t *bytes, size_t length,
                             const struct beken_module *module, int64_t wall_ms,
                             struct error *error);

/** What FILE.json says. */
struct backup_facts {
    bool known; /**< there is a FILE.json; the rest is empty otherwise */
    char chip[16], flash_id[16], mac[24], sha256[72], time[40];
};

/**
 * Reads FILE and FILE.json; *bytes is freed with free(). STATUS_REFUSED if the bytes do not fit the
 * checksum in FILE.json.
 */
enum status backup_file_load(const char *path, uint8_t **bytes, size_t *length,
                             struct backup_facts *facts, struct error *error);

/** Whether a backup was made of this module. */
bool backup_file_is_of(const struct backup_facts *facts, const struct beken_module *module);

/** Any file of at most IMAGE_SIZE_MAX bytes; *bytes is freed with free(). STATUS_USAGE if it cannot
 *  be read. */
enum status backup_file_read(const char *path, uint8_t **bytes, size_t *length,
                             struct error *error);

/** "c8:47:8c:00:00:18"; text has room for 18. */
void backup_file_format_mac(const uint8_t mac[6], char text[18]);

#endif
