/* SPDX-License-Identifier: MIT */
#include "bridge/commands/broker_config.h"

#include "bridge/provision/secret.h"
#include "drivers/base/memory.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct option_row broker_rows[] = {
    {.name = "server",
     .argument = "URL",
     .at = offsetof(struct broker_options_given, server),
     .help = "without a bridge.yaml: mqtt://host or mqtts://host, with :port if it is not the "
             "usual one"},
    {.name = "user",
     .argument = "U",
     .at = offsetof(struct broker_options_given, user),
     .help = "user name at that broker"},
    {.name = "password-file",
     .argument = "F",
     .at = offsetof(struct broker_options_given, password_file),
     .file = true,
     .help = "its password; else OBK_MQTT_PASSWORD, else it is asked for"},
    {.name = "ca",
     .argument = "F",
     .at = offsetof(struct broker_options_given, ca),
     .file = true,
     .help = "certificate of the broker's authority (mqtts)"},
    {.name = "base-topic",
     .argument = "T",
     .at = offsetof(struct broker_options_given, base_topic),
     .help = "of the service (default bl2mqtt)"},
    {.name = NULL},
};

static void set_if_given(json_t *object, const char *key, const char *value)
{
    if (value != NULL)
        (void)json_object_set_new(object, key, json_string(value));
}

/* As if bridge.yaml said it, so that the same rules and messages hold. */
static struct config *config_of_options(const struct broker_options_given *given,
                                        const char *password, struct config_problems *problems)
{
    json_t *mqtt = json_object(), *homeassistant = json_object();
    set_if_given(mqtt, "server", given->server);
    set_if_given(mqtt, "user", given->user);
    set_if_given(mqtt, "password", password[0] != '\0' ? password : NULL);
    set_if_given(mqtt, "ca", given->ca);
    set_if_given(mqtt, "base_topic", given->base_topic);
    set_if_given(homeassistant, "discovery_prefix", given->discovery_prefix);
    json_t *root =
        json_pack("{s:o, s:o, s:[]}", "mqtt", mqtt, "homeassistant", homeassistant, "devices");
    char *text = json_dumps(root, 0);
    json_decref(root);
    struct config *config =
        text == NULL ? NULL : config_parse("the options", text, strlen(text), NULL, problems);
    if (text != NULL)
        explicit_bzero(text, strlen(text));
    free(text);
    return config;
}

struct config *broker_config(const struct command_context *context,
                             const struct broker_options_given *given, struct error *error)
{
    char password[SECRET_SIZE] = "";
    if (given->server == NULL &&
        (given->user != NULL || given->password_file != NULL || given->ca != NULL ||
         given->base_topic != NULL || given->discovery_prefix != NULL)) {
        (void)error_set(error, STATUS_USAGE,
                        "Without --server the broker is that of bridge.yaml, which has the other "
                        "settings too; see --help.");
        return NULL;
    }
    struct config_problems *problems memory_auto = memory_new(1, sizeof *problems);
    struct config *config = NULL;
    if (given->server == NULL) {
        config = config_load(context->config_path, environ, problems);
        config_problems_print(problems, stderr);
        if (config == NULL)
            (void)error_set(error, STATUS_USAGE,
                            "There is no usable bridge.yaml; --server names a broker without one.");
        return config;
    }
    if (secret_read("MQTT password", given->password_file, "OBK_MQTT_PASSWORD", given->user != NULL,
                    password, error) != STATUS_OK)
        return NULL;
    config = config_of_options(given, given->user != NULL ? password : "", problems);
    explicit_bzero(password, sizeof password);
    if (config != NULL)
        config->bridge.id[0] = '\0'; /* is not known */
    const struct config_problem *first = config_problems_first_error(problems);
    if (config == NULL)
        (void)error_set(error, STATUS_USAGE, "%s",
                        first != NULL ? first->message : "It is not UTF-8.");
    return config;
}
