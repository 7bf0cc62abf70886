/* SPDX-License-Identifier: MIT */
/** What the `openbeken` commands share: reaching the module, passwords, printing. */
#ifndef BRIDGE_COMMANDS_OPENBEKEN_SHARED_H
#define BRIDGE_COMMANDS_OPENBEKEN_SHARED_H

#include "bridge/options/options.h"
#include "bridge/provision/broker_watch.h"
#include "bridge/provision/inputs.h"
#include "bridge/provision/module.h"
#include "bridge/provision/obk_advice.h"
#include "bridge/provision/secret.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/** The options of a command for one module begin with this. */
struct openbeken_target {
    const char *host;              /**< NULL: not given */
    const char *web_password_file; /**< NULL: not given */
    int64_t timeout_ms;
    bool json;
};

extern const struct option_row openbeken_target_rows[]; /**< host, web-password-file, timeout */
extern const struct option_row openbeken_json_rows[];

/** Checks the target and gets the module ready to be asked; nothing is sent. */
enum status openbeken_open(const struct openbeken_target *target, struct module **module,
                           struct error *error);

/** `--progress json`: a sentence as a line on stderr. exit_status: 0 if this is not the end. */
void openbeken_print_message(const char *sentence, int exit_status);

/** From now on SIGINT and SIGTERM only ask for the end, the first time. */
void openbeken_catch_stop(void);
/** Whether they did. */
bool openbeken_stopped(void *context);

/** One JSON document on stdout; takes the reference. */
enum status openbeken_print_json(json_t *document, struct error *error);

/** An object; what the module does not know is null. */
json_t *openbeken_energy_json(const struct obk_energy *energy);
json_t *openbeken_advice_json(const struct obk_advice *advice);

/** On stderr, one "warning: " line each. */
void openbeken_print_advice(const struct obk_advice *advice);

/** An object with voltage_v, current_a and power_w of each channel that was seen; observation may be NULL. */
json_t *openbeken_channels_json(const struct broker_observation *observation);
/** One line each on stdout. */
void openbeken_print_channels(const struct broker_observation *observation);
/** What a negative power means, on stderr. */
void openbeken_warn_of_power(const struct broker_observation *observation);

/** STATUS_REFUSED if the module reads two chips: it has one calibration for both. */
enum status openbeken_refuse_two_chips(struct module *module, struct error *error);

#endif
