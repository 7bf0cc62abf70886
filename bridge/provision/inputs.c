/* SPDX-License-Identifier: MIT */
#include "bridge/provision/inputs.h"

#include "bridge/config/text_rules.h"
#include "bridge/provision/firmware.h"
#include "bridge/provision/obk_request.h"
#include "drivers/base/text.h"
#include "drivers/beken/obk_config.h"
#include "drivers/beken/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum status provision_check_client_id(const char *option, const char *id, struct error *error)
{
    char reason[200], normal[OBK_CLIENT_ID_MAX + 16];
    struct text text;
    text_init(&text, reason, sizeof reason);
    if (id == NULL)
        return error_set(error, STATUS_USAGE, "Say with %s which client id it shall have.", option);
    enum status status = obk_check_text("client id", id, OBK_CLIENT_ID_MAX, error);
    if (status == STATUS_OK &&
        !text_rule_check(TEXT_TOPIC, id, OBK_CLIENT_ID_MAX, normal, sizeof normal, &text))
        return error_set(error, STATUS_USAGE, "%s \"%s\" cannot be the beginning of a topic. %s",
                         option, id, reason);
    return status;
}

static enum status check_given(const struct provision_texts *own, struct error *error)
{
    const struct {
        const char *value, *words;
    } needed[] = {
        {own->firmware, "which firmware with --firmware"},
        {own->profile, "which kind of meter with --profile (`bl2mqtt profiles` lists them)"},
        {own->client_id, "with --client-id which client id it is to have"},
        {own->mqtt_host, "where the broker is with --mqtt-host"},
    };
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
        if (needed[i].value == NULL)
            return error_set(error, STATUS_USAGE, "Say %s.", needed[i].words);
    if (own->wifi_open && own->wifi_password_file != NULL)
        return error_set(error, STATUS_USAGE, "Say either --wifi-open or --wifi-password-file.");
    if (own->mqtt_user == NULL && own->mqtt_password_file != NULL)
        return error_set(error, STATUS_USAGE, "A password needs a user; give --mqtt-user too.");
    return STATUS_OK;
}

/* host: with or without a port. */
bool provision_is_loopback(const char *host)
{
    size_t name = strcspn(host, ":");
    bool numbers = strspn(host, "0123456789.") >= name;
    return (name == 9 && strncasecmp(host, "localhost", name) == 0) ||
           (numbers && strncmp(host, "127.", 4) == 0) || strcmp(host, "::1") == 0;
}

static enum status check_broker(struct provision_inputs *inputs, struct error *error)
{
    const struct provision_texts *own = &inputs->texts;
    char server[300];
    bool bare_ipv6 = strchr(own->mqtt_host, ':') != NULL;
    (void)snprintf(server, sizeof server, bare_ipv6 ? "mqtt://[%s]:%d" : "mqtt://%s:%d",
                   own->mqtt_host, (int)own->mqtt_port);
    if (strchr(own->mqtt_host, '/') != NULL ||
        server_address_parse(server, &inputs->broker, NULL) != STATUS_OK ||
        strlen(inputs->broker.host) > OBK_MQTT_HOST_MAX)
        return error_set(error, STATUS_USAGE,
                         "--mqtt-host \"%.100s\" must be a name or an address, as 192.168.1.2; the "
                         "port goes to --mqtt-port.",
                         own->mqtt_host);
    if (provision_is_loopback(own->mqtt_host) &&
        (own->module_host == NULL || !provision_is_loopback(own->module_host)))
        return error_set(error, STATUS_USAGE,
                         "--mqtt-host %s would be the module itself to the module. Give this "
                         "machine's address on the network.",
                         own->mqtt_host);
    return STATUS_OK;
}

/* What the configuration cannot take is said before anything is written. */
static enum status try_field(const char *field, const char *value, struct error *error)
{
    struct obk_config trial;
    obk_config_init(&trial, BEKEN_CHIP_BK7231N, NULL);
    enum status status = obk_config_set(&trial, field, value, error);
    explicit_bzero(&trial, sizeof trial);
    return status;
}

static enum status check_texts(const struct provision_texts *own, struct error *error)
{
    enum status status = provision_check_client_id("--client-id", own->client_id, error);
    if (status == STATUS_OK && own->name != NULL)
        status = obk_check_text("name", own->name, OBK_NAME_MAX, error);
    if (status == STATUS_OK && own->mqtt_user != NULL)
        status = obk_check_text("user", own->mqtt_user, OBK_USER_MAX, error);
    if (status != STATUS_OK || own->wifi_ssid == NULL)
        return status;
    if (own->wifi_ssid[0] == '\0' || strlen(own->wifi_ssid) > 32)
        return error_set(error, STATUS_USAGE, "A Wi-Fi network's name has 1 to 32 bytes.");
    return try_field("wifi_ssid", own->wifi_ssid, error);
}

static enum status check_profile(struct provision_inputs *inputs, struct error *error)
{
    enum status status = profile_load(inputs->texts.profile, &inputs->profile, error);
    if (status != STATUS_OK || inputs->profile->openbeken)
        return status;
    return error_set(error, STATUS_USAGE,
                     "The profile %s is wired to this machine: there is no module to set up. "
                     "`bl2mqtt profiles %s` shows its lines for bridge.yaml.",
                     inputs->profile->name, inputs->profile->name);
}

static bool good_kind(const struct profile_image *image, enum image_kind kind)
{
    for (size_t i = 0; i < image->kind_count; i++)
        if (image->kinds[i] == kind)
            return true;
    return false;
}

static enum status check_firmware(struct provision_inputs *inputs, struct error *error)
{
    const struct provision_texts *own = &inputs->texts;
    const struct profile *profile = inputs->profile;
    enum status status =
        firmware_load(own->firmware, &inputs->image, &inputs->image_length, &inputs->info, error);
    if (status != STATUS_OK)
        return status;
    status = plan_check_content(&inputs->info, own->force, error);
    if (status != STATUS_OK)
        return error_prefix(error, status, "%s: ", own->firmware);
    bool app_found = app_of_image(inputs->image, inputs->image_length, &inputs->info, &inputs->app);
    if (app_found && inputs->app.esphome)
        return STATUS_OK;
    if (!good_kind(&profile->image, inputs->info.kind) && !own->force)
        return error_set(error, STATUS_REFUSED,
                         "%s is a file of the kind %s; the profile %s needs %s.", own->firmware,
                         image_kind_name(inputs->info.kind), profile->name, profile->image.text);
    if (!app_found)
        return error_set(error, STATUS_REFUSED, "%s holds no application.", own->firmware);
    if (!inputs->app.openbeken && !own->force)
        return error_set(error, STATUS_REFUSED,
                         "%s is neither OpenBeken's firmware, which the settings are made for, "
                         "nor ESPHome's.",
                         own->firmware);
    if (profile->image.twin && !inputs->app.twin && !own->force)
        return error_set(error, STATUS_REFUSED,
                         "%s cannot read two BL0942: it does not know BL0942opts, so channel b "
                         "would never appear. The profile %s needs %s.",
                         own->firmware, profile->name, profile->image.text);
    return STATUS_OK;
}

/* 64: the key itself, in hexadecimal. Fewer than 8 are none for WPA, 5 are one for WEP. */
static enum status check_wifi_password(const char *password, struct error *error)
{
    size_t length = strlen(password);
    if (length < 8 && length != 5)
        return error_set(error, STATUS_USAGE,
                         "The Wi-Fi password is %zu bytes long, but one has at least 8: is it the "
                         "right one?",
                         length);
    if (length > 64)
        return error_set(error, STATUS_USAGE, "A Wi-Fi password has at most 64 bytes.");
    return try_field("wifi_password", password, error);
}

/* ESPHome's file holds the Wi-Fi, OpenBeken is given it. */
static enum status check_wifi(const struct provision_inputs *inputs, struct error *error)
{
    bool given = inputs->texts.wifi_ssid != NULL || inputs->texts.wifi_password_file != NULL ||
                 inputs->texts.wifi_open;
    if (inputs->app.esphome && given)
        return error_set(error, STATUS_USAGE,
                         "%s is ESPHome: its Wi-Fi was compiled into it. Leave --wifi-ssid and "
                         "--wifi-password-file out.",
                         inputs->texts.firmware);
    if (!inputs->app.esphome && inputs->texts.wifi_ssid == NULL)
        return error_set(error, STATUS_USAGE, "Say which Wi-Fi with --wifi-ssid.");
    return STATUS_OK;
}

/* Passwords come last, so that nobody types one in vain. In a dry run none is needed. */
static enum status check_passwords(struct provision_inputs *inputs, struct error *error)
{
    const struct provision_texts *own = &inputs->texts;
    enum status status = STATUS_OK;
    if (!own->wifi_open && !inputs->app.esphome)
        status = secret_read("Wi-Fi password", own->wifi_password_file, "OBK_WIFI_PASSWORD",
                             !own->dry_run, inputs->wifi_password, error);
    if (status == STATUS_OK && inputs->wifi_password[0] != '\0')
        status = check_wifi_password(inputs->wifi_password, error);
    if (status == STATUS_OK && own->mqtt_user != NULL)
        status = secret_read("MQTT password", own->mqtt_password_file, "OBK_MQTT_PASSWORD",
                             !own->dry_run, inputs->mqtt_password, error);
    if (status == STATUS_OK && inputs->mqtt_password[0] != '\0')
        status = obk_check_text("MQTT password", inputs->mqtt_password, OBK_PASSWORD_MAX, error);
    return status;
}

enum status provision_inputs_check(struct provision_inputs *inputs, struct error *error)
{
    enum status status = check_given(&inputs->texts, error);
    if (status == STATUS_OK)
        status = check_broker(inputs, error);
    if (status == STATUS_OK)
        status = check_texts(&inputs->texts, error);
    if (status == STATUS_OK)
        status = check_profile(inputs, error);
    if (status == STATUS_OK)
        status = check_firmware(inputs, error);
    if (status == STATUS_OK)
        status = check_wifi(inputs, error);
    return status == STATUS_OK ? check_passwords(inputs, error) : status;
}

void provision_inputs_free(struct provision_inputs *inputs)
{
    explicit_bzero(inputs->wifi_password, sizeof inputs->wifi_password);
    explicit_bzero(inputs->mqtt_password, sizeof inputs->mqtt_password);
    profile_free(inputs->profile);
    free(inputs->image);
}
