/* SPDX-License-Identifier: MIT */
/**
 * Changes to OpenBeken's configuration, as options of a command line name them: one option for each
 * field of the table in drivers/beken/obk_config.h ("wifi_ssid" is "wifi-ssid", a password
 * "wifi-password-file"), and "pin", "flag", "clear", "fields" (a JSON file) and "tuya" (a dump).
 */
#ifndef BRIDGE_PROVISION_OBK_EDITS_H
#define BRIDGE_PROVISION_OBK_EDITS_H

#include "drivers/base/status.h"
#include "drivers/beken/obk_config.h"

#include <stdbool.h>
#include <stddef.h>

struct obk_edit {
    const char *option, *value;
};

enum { OBK_EDIT_NAME_SIZE = 48 };

/** The name of the option for this field. */
void obk_edit_option_name(const struct obk_config_field *field, char name[OBK_EDIT_NAME_SIZE]);

struct obk_edits;

/** list is borrowed, in the order in which it was given. */
struct obk_edits *obk_edits_create(const struct obk_edit *list, size_t count);
/** Also wipes the passwords. NULL is allowed. */
void obk_edits_free(struct obk_edits *edits);

/** Reads files, and passwords from where they are; may ask on the terminal. Before a module waits. */
enum status obk_edits_prepare(struct obk_edits *edits, struct error *error);

/** Changes config as the edits say. is_new: it holds factory settings, so a client id gives the short
 *  name, too. */
enum status obk_edits_apply(const struct obk_edits *edits, bool is_new, struct obk_config *config,
                            struct error *error);

#endif
