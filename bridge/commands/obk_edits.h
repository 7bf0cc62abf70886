/* SPDX-License-Identifier: MIT */
/**
 * The options that say what OpenBeken's configuration shall be: one for each field of the table in
 * drivers/beken/obk_config.h, and a few for pins, flags and whole files.
 */
#ifndef BRIDGE_COMMANDS_OBK_EDITS_H
#define BRIDGE_COMMANDS_OBK_EDITS_H

#include "bridge/commands/own_options.h"
#include "drivers/beken/obk_config.h"

struct obk_edits;

struct obk_edits *obk_edits_create(const char *command);
/** Also wipes the passwords. NULL is allowed. */
void obk_edits_free(struct obk_edits *edits);

/** As in struct own_options; context: the edits. What is taken is remembered, not yet read. */
enum own_option_kind obk_edits_find(void *context, const char *name);
enum status obk_edits_take(void *context, const char *name, const char *value);
/** The options for --help. */
void obk_edits_print_help(void);

/** Reads files, and passwords from where they are; may ask on the terminal. Before a module waits. */
enum status obk_edits_prepare(struct obk_edits *edits, struct error *error);

/** Changes config as the options say. is_new: it holds factory settings, so a client id gives the short
 *  name, too. */
enum status obk_edits_apply(const struct obk_edits *edits, bool is_new, struct obk_config *config,
                            struct error *error);

#endif
