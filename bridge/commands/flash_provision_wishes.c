/* SPDX-License-Identifier: MIT */
#include "bridge/commands/flash_provision_wishes.h"

#include "bridge/commands/command.h"
#include "bridge/commands/flash_session.h"
#include "bridge/provision/proof.h"
#include "drivers/base/memory.h"
#include "drivers/base/number.h"

#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------ options */

struct own_option {
    const char *name;
    const char **text; /* NULL: a switch */
    bool *flag;        /* with text: its value may be left out, then this alone is set */
};

/* The value behind "=", or in the next word; false if it is missing. */
static bool take_value(const struct own_option *own, const char *equals, int argc, char **argv,
                       int *at)
{
    if (equals != NULL) {
        *own->text = equals + 1;
        return true;
    }
    if (own->flag != NULL)
        return true;
    if (*at + 1 == argc)
        return false;
    *own->text = argv[++*at];
    return true;
}

static const struct own_option *find(const struct own_option *table, size_t count, const char *word,
                                     const char **equals)
{
    if (strncmp(word, "--", 2) != 0)
        return NULL;
    *equals = strchr(word, '=');
    size_t length = *equals != NULL ? (size_t)(*equals - word) - 2 : strlen(word) - 2;
    for (size_t i = 0; i < count; i++)
        if (strlen(table[i].name) == length && strncmp(table[i].name, word + 2, length) == 0)
            return &table[i];
    return NULL;
}

/* Takes its own options out of the words; the rest is for flash_options_parse(). */
static enum status take_own(const char *command, const struct own_option *table, size_t count,
                            int argc, char **argv, char **rest, int *rest_count)
{
    for (int i = 0; i < argc; i++) {
        const char *equals = NULL;
        const struct own_option *own = i > 0 ? find(table, count, argv[i], &equals) : NULL;
        if (own == NULL) {
            rest[(*rest_count)++] = argv[i];
            continue;
        }
        if (own->flag != NULL)
            *own->flag = true;
        bool good = own->text != NULL ? take_value(own, equals, argc, argv, &i) : equals == NULL;
        if (!good) {
            (void)fprintf(stderr, "bl2mqtt %s: --%s %s.\n", command, own->name,
                          own->text != NULL ? "needs a value" : "takes no value");
            return STATUS_USAGE;
        }
    }
    return STATUS_OK;
}

static enum status read_wait(struct provision_inputs *inputs, bool wait)
{
    int64_t seconds = PROOF_WAIT_DEFAULT_S;
    const char *text = inputs->options.wait;
    if (text != NULL && !number_parse_int(text, strlen(text), 1, 3600, &seconds))
        return command_bad_value("flash provision", "wait", text, "seconds from 1 to 3600");
    /* A module is handed over when it has been seen. */
    inputs->wait_ms = wait || inputs->options.adopt ? seconds * 1000 : 0;
    return STATUS_OK;
}

enum status provision_inputs_parse(const struct flash_command *command, int argc, char **argv,
                                   struct provision_inputs *inputs, bool *done)
{
    struct provision_options *own = &inputs->options;
    bool wait = false;
    const struct own_option table[] = {
        {"firmware", &own->firmware, NULL},
        {"profile", &own->profile, NULL},
        {"client-id", &own->client_id, NULL},
        {"name", &own->name, NULL},
        {"wifi-ssid", &own->wifi_ssid, NULL},
        {"wifi-password-file", &own->wifi_password_file, NULL},
        {"wifi-open", NULL, &own->wifi_open},
        {"mqtt-host", &own->mqtt_host, NULL},
        {"mqtt-port", &own->mqtt_port, NULL},
        {"mqtt-user", &own->mqtt_user, NULL},
        {"mqtt-password-file", &own->mqtt_password_file, NULL},
        {"backup", &own->backup, NULL},
        {"wait", &own->wait, &wait},
        {"module-host", &own->module_host, NULL},
        {"adopt", NULL, &own->adopt},
        {"dry-run", NULL, &own->dry_run},
        {"yes", NULL, &own->yes},
        {"force", NULL, &own->force},
    };
    char **rest = memory_new((size_t)argc + 1, sizeof *rest);
    int rest_count = 0;
    enum status status = take_own(command->name, table, sizeof table / sizeof table[0], argc, argv,
                                  rest, &rest_count);
    if (status == STATUS_OK)
        status = flash_options_parse(command, rest_count, rest, &inputs->flash, done);
    free(rest);
    return status == STATUS_OK && !*done ? read_wait(inputs, wait) : status;
}

/* ------------------------------------------------------------------ checks */

static enum status check_given(const struct provision_options *own, struct error *error)
{
    const struct {
        const char *value, *words;
    } needed[] = {
        {own->firmware, "which firmware with --firmware"},
        {own->profile, "which kind of meter with --profile (`bl2mqtt profiles` lists them)"},
        {own->client_id, "with --client-id which client id it shall have"},
        {own->wifi_ssid, "which Wi-Fi with --wifi-ssid"},
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

static bool is_loopback(const char *host)
{
    return strncmp(host, "localhost", 9) == 0 || strncmp(host, "127.", 4) == 0 ||
           strcmp(host, "::1") == 0;
}

static enum status check_broker(struct provision_inputs *inputs, struct error *error)
{
    const struct provision_options *own = &inputs->options;
    int64_t port = 1883;
    char server[300];
    if (own->mqtt_port != NULL &&
        !number_parse_int(own->mqtt_port, strlen(own->mqtt_port), 1, 65535, &port))
        return error_set(error, STATUS_USAGE, "--mqtt-port must be from 1 to 65535.");
    bool bare_ipv6 = strchr(own->mqtt_host, ':') != NULL;
    (void)snprintf(server, sizeof server, bare_ipv6 ? "mqtt://[%s]:%d" : "mqtt://%s:%d",
                   own->mqtt_host, (int)port);
    if (strchr(own->mqtt_host, '/') != NULL ||
        server_address_parse(server, &inputs->broker, NULL) != STATUS_OK ||
        strlen(inputs->broker.host) > OBK_MQTT_HOST_MAX)
        return error_set(error, STATUS_USAGE,
                         "--mqtt-host \"%.100s\" must be a name or an address, as 192.168.1.2; the "
                         "port goes to --mqtt-port.",
                         own->mqtt_host);
    if (is_loopback(own->mqtt_host) && (own->module_host == NULL || !is_loopback(own->module_host)))
        return error_set(error, STATUS_USAGE,
                         "--mqtt-host %s would be the module itself to the module. Give this "
                         "machine's address on the network.",
                         own->mqtt_host);
    return STATUS_OK;
}

static enum status check_texts(const struct provision_options *own, struct error *error)
{
    enum status status = openbeken_check_client_id("--client-id", own->client_id, error);
    if (status == STATUS_OK && own->name != NULL)
        status = obk_check_text("name", own->name, OBK_NAME_MAX, error);
    if (status == STATUS_OK && own->mqtt_user != NULL)
        status = obk_check_text("user", own->mqtt_user, OBK_USER_MAX, error);
    if (status == STATUS_OK && (own->wifi_ssid[0] == '\0' || strlen(own->wifi_ssid) > 32))
        return error_set(error, STATUS_USAGE, "A Wi-Fi network's name has 1 to 32 bytes.");
    return status;
}

static enum status check_profile(struct provision_inputs *inputs, struct error *error)
{
    enum status status = profile_load(inputs->options.profile, &inputs->profile, error);
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
    const struct provision_options *own = &inputs->options;
    const struct profile *profile = inputs->profile;
    enum status status = flash_load_image(own->firmware, &inputs->image, &inputs->image_length,
                                          &inputs->info, error);
    if (status == STATUS_OK)
        status = plan_check_content(&inputs->info, own->force, error);
    if (status != STATUS_OK)
        return status;
    if (!good_kind(&profile->image, inputs->info.kind) && !own->force)
        return error_set(error, STATUS_REFUSED,
                         "%s is a file of the kind %s; the profile %s needs %s.", own->firmware,
                         image_kind_name(inputs->info.kind), profile->name, profile->image.text);
    if (!app_of_image(inputs->image, inputs->image_length, &inputs->info, &inputs->app))
        return error_set(error, STATUS_REFUSED, "%s holds no application.", own->firmware);
    if (!inputs->app.openbeken && !own->force)
        return error_set(error, STATUS_REFUSED,
                         "%s is not OpenBeken's firmware, which the settings are made for.",
                         own->firmware);
    if (profile->image.twin && !inputs->app.twin && !own->force)
        return error_set(error, STATUS_REFUSED,
                         "%s cannot read two BL0942: it does not know BL0942opts, so channel b "
                         "would never appear. The profile %s needs %s.",
                         own->firmware, profile->name, profile->image.text);
    return STATUS_OK;
}

/* Passwords come last, so that nobody types one in vain. In a dry run none is needed. */
static enum status check_passwords(struct provision_inputs *inputs, struct error *error)
{
    const struct provision_options *own = &inputs->options;
    enum status status = STATUS_OK;
    if (!own->wifi_open)
        status = openbeken_secret("Wi-Fi password", own->wifi_password_file, "OBK_WIFI_PASSWORD",
                                  !own->dry_run, inputs->wifi_password, error);
    if (status == STATUS_OK && strlen(inputs->wifi_password) > 64)
        return error_set(error, STATUS_USAGE, "A Wi-Fi password has at most 64 bytes.");
    if (status == STATUS_OK && own->mqtt_user != NULL)
        status = openbeken_secret("MQTT password", own->mqtt_password_file, "OBK_MQTT_PASSWORD",
                                  !own->dry_run, inputs->mqtt_password, error);
    if (status == STATUS_OK && inputs->mqtt_password[0] != '\0')
        status = obk_check_text("MQTT password", inputs->mqtt_password, OBK_PASSWORD_MAX, error);
    return status;
}

enum status provision_inputs_check(struct provision_inputs *inputs, struct error *error)
{
    enum status status = check_given(&inputs->options, error);
    if (status == STATUS_OK)
        status = check_broker(inputs, error);
    if (status == STATUS_OK)
        status = check_texts(&inputs->options, error);
    if (status == STATUS_OK)
        status = check_profile(inputs, error);
    if (status == STATUS_OK)
        status = check_firmware(inputs, error);
    return status == STATUS_OK ? check_passwords(inputs, error) : status;
}

void provision_inputs_free(struct provision_inputs *inputs)
{
    explicit_bzero(inputs->wifi_password, sizeof inputs->wifi_password);
    explicit_bzero(inputs->mqtt_password, sizeof inputs->mqtt_password);
    profile_free(inputs->profile);
    free(inputs->image);
}
