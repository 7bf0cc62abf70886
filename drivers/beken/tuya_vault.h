/* SPDX-License-Identifier: MIT */
/**
 * The vault in which Tuya firmware keeps its settings: a key block under a published master key, and
 * behind it blocks of 4 KiB with named values, under the key block's key. Found anywhere in a dump,
 * also in one that is rotated or only a piece. Pure (AES by libcrypto); every input is taken for
 * hostile.
 *
 * Damage is lived with: of two copies of a block the better one is used (a good checksum first, then
 * the higher generation), a damaged block loses only the values whose own checksums are wrong, and
 * what the protected block holds fills gaps.
 *
 * Facts from the public sources of bk7231tools, BK7231GUIFlashTool and Tuya's SDK for the BK7231N.
 */
#ifndef DRIVERS_BEKEN_TUYA_VAULT_H
#define DRIVERS_BEKEN_TUYA_VAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tuya_vault;

struct tuya_entry {
    const char *name;     /**< printable ASCII */
    const uint8_t *value; /**< owned by the vault */
    size_t length;
    bool intact;         /**< the value's checksum is right */
    bool from_protected; /**< from the protected block, where it has no checksum of its own */
};

enum tuya_vault_state {
    TUYA_VAULT_FULL,    /**< there is at least one entry */
    TUYA_VAULT_EMPTY,   /**< key and data blocks, but no entry: never filled, or erased */
    TUYA_VAULT_NO_DATA, /**< a key block, but nothing behind it that its key opens */
    TUYA_VAULT_NO_KEY,  /**< no key block anywhere */
};

struct tuya_vault_facts {
    enum tuya_vault_state state;
    bool has_key;
    bool key_is_damaged;     /**< the key block's checksum is wrong */
    size_t key_offset;       /**< in the dump */
    size_t blocks;           /**< data blocks in use */
    size_t damaged_blocks;   /**< of these, with a wrong checksum */
    size_t stale_blocks;     /**< older copies that were left out */
    size_t damaged_entries;  /**< intact is false, or of which pages are missing */
    bool new_magic;          /**< data blocks of TuyaOS 3 */
    size_t protected_blocks; /**< with the mirror: 2 */
    size_t protected_offset; /**< of the one that is used */
};

/** Never NULL. Works on a copy: bytes may go. */
struct tuya_vault *tuya_vault_open(const uint8_t *bytes, size_t length);
void tuya_vault_free(struct tuya_vault *vault);

const struct tuya_vault_facts *tuya_vault_facts(const struct tuya_vault *vault);
size_t tuya_vault_count(const struct tuya_vault *vault);
/** Ordered by name, each name once. */
const struct tuya_entry *tuya_vault_entry(const struct tuya_vault *vault, size_t index);
/** NULL if there is none. */
const struct tuya_entry *tuya_vault_find(const struct tuya_vault *vault, const char *name);

#endif
