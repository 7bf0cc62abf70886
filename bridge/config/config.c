/* SPDX-License-Identifier: MIT */
#include "bridge/config/config.h"

#include "bridge/config/adopted.h"
#include "bridge/config/checks.h"
#include "bridge/config/environment.h"
#include "bridge/config/reader.h"
#include "bridge/config/secrets.h"
#include "drivers/base/file.h"
#include "drivers/base/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* adopted: whether to look for adopted devices on disk. */
static struct config *load_tree(struct yaml_tree *tree, const struct secrets_source *secrets,
                                char *const *environment, bool with_adopted,
                                struct config_problems *problems)
{
    struct yaml_node *root = yaml_tree_root(tree);
    if (root->kind == YAML_BROKEN)
        return NULL;
    struct reader reader = {.problems = problems, .config = memory_new(1, sizeof(struct config))};
    fields_initialise(SCOPE_FILE, reader.config);
    struct adopted *adopted = NULL;
    if (with_adopted) {
        adopted = adopted_graft(tree, reader.config->bridge.data_dir, environment, problems);
        reader.adopted = adopted_count(adopted);
    }
    environment_apply(tree, environment, problems);
    struct yaml_tree *secret_values = secrets_resolve(tree, secrets, problems);
    reader_read(&reader, root);
    if (root->kind == YAML_MAPPING || root->kind == YAML_NOTHING)
        checks_run(reader.config, &reader.file, reader.devices, reader.sinks, problems);
    reader_release(&reader);
    yaml_tree_free(secret_values);
    if (adopted != NULL)
        adopted_free(adopted);
    if (problems->errors == 0)
        return reader.config;
    config_free(reader.config);
    return NULL;
}

static struct config *load_bytes(const char *name, const char *bytes, size_t length,
                                 const struct secrets_source *secrets, char *const *environment,
                                 bool with_adopted, struct config_problems *problems)
{
    *problems = (struct config_problems){0};
    struct yaml_tree *tree = yaml_tree_load(name, bytes, length, problems);
    struct config *config = load_tree(tree, secrets, environment, with_adopted, problems);
    yaml_tree_free(tree);
    problems_sort(problems);
    return config;
}

struct config *config_parse(const char *name, const char *bytes, size_t length,
                            char *const *environment, struct config_problems *problems)
{
    return config_parse_with_secrets(name, bytes, length, NULL, 0, environment, problems);
}

struct config *config_parse_with_secrets(const char *name, const char *bytes, size_t length,
                                         const char *secrets, size_t secrets_length,
                                         char *const *environment, struct config_problems *problems)
{
    const struct secrets_source source = {.bytes = secrets, .length = secrets_length};
    return load_bytes(name, bytes, length, &source, environment, false, problems);
}

/* secrets.yaml in the folder of path. */
static char *beside(const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t folder = slash != NULL ? (size_t)(slash - path) + 1 : 0;
    size_t size = folder + sizeof "secrets.yaml";
    char *result = memory_new(1, size);
    struct text text;
    text_init(&text, result, size);
    text_append(&text, "%.*ssecrets.yaml", (int)folder, path);
    return result;
}

struct config *config_load(const char *path, char *const *environment,
                           struct config_problems *problems)
{
    char *bytes memory_auto = NULL;
    size_t length = 0;
    struct error error = {0};
    enum status status = file_read(path, YAML_TREE_BYTES_MAX, &bytes, &length, &error);
    if (status != STATUS_OK) {
        *problems = (struct config_problems){0};
        problems_add(problems, CONFIG_ERROR, (struct place){path, 0, 0}, "%s%s", error.text,
                     status != STATUS_NO_ANSWER
                         ? ""
                         : " `bl2mqtt check --print-defaults` prints one to start from; --config "
                           "names another.");
        return NULL;
    }
    char *secrets memory_auto = beside(path);
    const struct secrets_source source = {.path = secrets};
    return load_bytes(path, bytes, length, &source, environment, true, problems);
}

struct config *config_load_text(const char *path, const char *text, char *const *environment,
                                struct config_problems *problems)
{
    char *secrets memory_auto = beside(path);
    const struct secrets_source source = {.path = secrets};
    return load_bytes(path, text, strlen(text), &source, environment, true, problems);
}

enum status config_save(const char *path, const char *text, struct error *error)
{
    struct stat now;
    bool is_there = stat(path, &now) == 0;
    enum status status = file_replace(path, text, strlen(text),
                                      is_there ? (unsigned)now.st_mode & 07777 : 0640, error);
    if (status != STATUS_OK || !is_there)
        return status;
    /* Only root can give a file away; whoever is not root owns what it may write to. */
    if (geteuid() == 0 && chown(path, now.st_uid, now.st_gid) != 0)
        return error_set(error, STATUS_FAILED,
                         "The configuration was written, but %s could not be given back to its "
                         "owner: %s.",
                         path, strerrordesc_np(errno));
    return STATUS_OK;
}

static void release_device(struct config_device *device)
{
    for (size_t j = 0; j < device->channel_count; j++) {
        fields_release(SCOPE_CHANNEL, &device->channels[j]);
        free(device->channels[j].name);
    }
    free(device->channels);
    fields_release(SCOPE_DEVICE, device);
}

enum reading_kind config_reading_kind(enum config_driver driver)
{
    if (driver == DRIVER_OPENBEKEN || driver == DRIVER_VIRTUAL) /* milliwatt hours, whole */
        return READING_OPENBEKEN;
    return driver == DRIVER_MQTT ? READING_METERED : READING_BL0942;
}

void config_free(struct config *config)
{
    if (config == NULL)
        return;
    for (size_t i = 0; i < config->device_count; i++)
        release_device(&config->devices[i]);
    free(config->devices);
    for (size_t i = 0; i < config->sink_count; i++)
        fields_release(SCOPE_SINK, &config->sinks[i]);
    free(config->sinks);
    fields_release(SCOPE_FILE, config);
    free(config);
}
