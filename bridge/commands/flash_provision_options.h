/* SPDX-License-Identifier: MIT */
/** What `flash provision` is asked for: its options, passwords and files, checked before any port is
 *  opened. */
#ifndef BRIDGE_COMMANDS_FLASH_PROVISION_OPTIONS_H
#define BRIDGE_COMMANDS_FLASH_PROVISION_OPTIONS_H

#include "bridge/commands/flash_options.h"
#include "bridge/commands/openbeken_shared.h"
#include "bridge/mqtt/server_address.h"
#include "bridge/provision/profile.h"
#include "drivers/beken/app.h"

struct provision_options {
    const char *firmware, *profile, *client_id, *name;
    const char *wifi_ssid, *wifi_password_file;
    const char *mqtt_host, *mqtt_port, *mqtt_user, *mqtt_password_file;
    const char *backup, *module_host;
    bool wifi_open, wait, adopt, dry_run, yes, force;
};

struct provision_inputs {
    struct flash_options flash;
    struct provision_options options;
    struct server_address broker;
    char wifi_password[SECRET_SIZE], mqtt_password[SECRET_SIZE];
    int64_t wait_ms; /**< 0: do not wait */
    struct profile *profile;
    uint8_t *image;
    size_t image_length;
    struct image_info info;
    struct app app;
};

/** The options; what flash_options_parse() knows goes there. STATUS_USAGE was explained on stderr; *done:
 *  --help was given. */
enum status provision_inputs_parse(const struct flash_command *command, int argc, char **argv,
                                   struct provision_inputs *inputs, bool *done);

/** Loads and checks everything that needs no module. Asks for passwords that are missing. */
enum status provision_inputs_check(struct provision_inputs *inputs, struct error *error);

/** Also wipes the passwords. */
void provision_inputs_free(struct provision_inputs *inputs);

#endif
