/* SPDX-License-Identifier: MIT */
/** What the `openbeken` commands share: reaching the module, passwords, printing. */
#ifndef BRIDGE_COMMANDS_OPENBEKEN_SHARED_H
#define BRIDGE_COMMANDS_OPENBEKEN_SHARED_H

#include "bridge/commands/option_rows.h"
#include "bridge/provision/broker_watch.h"
#include "bridge/provision/inputs.h"
#include "bridge/provision/module.h"
#include "bridge/provision/obk_advice.h"
#include "bridge/provision/secret.h"

#include <jansson.h>

/** As given on the command line; NULL where not. */
struct openbeken_target {
    const char *host;
    const char *web_password_file;
    const char *timeout;
};

/** Takes the target's options and the command's own ones, and at most one operand (operand may be NULL:
 *  none). After --help, which sets *help, it looks no further. What is wrong is said on stderr. */
enum status openbeken_parse(const char *command, const struct words_row *own, int argc, char **argv,
                            struct openbeken_target *target, bool *help, const char **operand);

/** "--host H, ..." for the help text of each of them. */
#define OPENBEKEN_TARGET_HELP                                                                      \
    "  --host H                 the module's address: 192.168.1.20, meter.lan:80\n"                \
    "  --web-password-file F    the module's web password, if it has one, or in\n"                 \
    "                           OBK_WEB_PASSWORD\n"                                                \
    "  --timeout S              seconds to wait for each answer (default 10)\n"

/** Checks the options and gets the module ready to be asked; nothing is sent. */
enum status openbeken_open(const struct openbeken_target *target, struct module **module,
                           struct error *error);

/** One JSON document on stdout; takes the reference. */
enum status openbeken_print_json(json_t *document, struct error *error);

/** An object; what the module does not know is null. */
json_t *openbeken_energy_json(const struct obk_energy *energy);
json_t *openbeken_advice_json(const struct obk_advice *advice);

/** On stderr, one "warning: " line each. */
void openbeken_print_advice(const struct obk_advice *advice);

/** An object with voltage_v, current_a and power_w of each channel that was seen; sight may be NULL. */
json_t *openbeken_channels_json(const struct broker_sight *sight);
/** One line each on stdout. */
void openbeken_print_channels(const struct broker_sight *sight);
/** What a negative power means, on stderr. */
void openbeken_warn_of_power(const struct broker_sight *sight);

#endif
