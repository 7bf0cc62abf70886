/* SPDX-License-Identifier: MIT */
/** What a module is to be set up with over its serial line: texts, passwords and files, all checked before
 *  any port is opened. */
#ifndef BRIDGE_PROVISION_INPUTS_H
#define BRIDGE_PROVISION_INPUTS_H

#include "bridge/mqtt/server_address.h"
#include "bridge/provision/profile.h"
#include "bridge/provision/secret.h"
#include "drivers/beken/app.h"
#include "drivers/beken/image.h"
#include "drivers/esphome/codec.h"

#include <stdbool.h>
#include <stdint.h>

/** As a person gave them; NULL where not. firmware, profile, client_id and mqtt_host must be given, and
 *  wifi_ssid for a firmware that is not ESPHome's. */
struct provision_texts {
    const char *firmware, *profile, *client_id, *name;
    const char *wifi_ssid, *wifi_password_file;
    const char *mqtt_host, *mqtt_user, *mqtt_password_file;
    int64_t mqtt_port; /**< 1 to 65535 */
    const char *backup, *module_host;
    bool wifi_open, dry_run, force;
};

struct provision_inputs {
    struct provision_texts texts;
    struct server_address broker;
    char wifi_password[SECRET_SIZE], mqtt_password[SECRET_SIZE];
    int64_t wait_ms; /**< for the first readings on the broker; 0: do not wait */
    bool adopt;      /**< hand the module to the running service at the end */
    struct profile *profile;
    uint8_t *image;
    size_t image_length;
    struct image_info info;
    struct app app;
    struct esphome_factors
        factors; /**< of registers that ESPHome publishes, until it is calibrated */
};

/** Loads and checks everything that needs no module. Asks for passwords that are missing. */
enum status provision_inputs_check(struct provision_inputs *inputs, struct error *error);

/** Also wipes the passwords. */
void provision_inputs_free(struct provision_inputs *inputs);

/** Whether host, with or without a port, is the machine itself. */
bool provision_is_loopback(const char *host);

/** A module's client id, as the beginning of its topics (STATUS_USAGE). option is its name for
 *  messages. */
enum status provision_check_client_id(const char *option, const char *id, struct error *error);

#endif
