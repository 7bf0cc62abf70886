/* SPDX-License-Identifier: MIT */
#include "bridge/commands/own_options.h"

#include "bridge/commands/command.h"

#include <stdio.h>
#include <string.h>

enum { NAME_SIZE = 48 };

/* The name in "--name" or "--name=value"; false if the word is no option. */
static bool split(const char *word, char name[NAME_SIZE], const char **value)
{
    if (strncmp(word, "--", 2) != 0 || word[2] == '\0')
        return false;
    const char *equals = strchr(word, '=');
    size_t length = equals != NULL ? (size_t)(equals - word) - 2 : strlen(word) - 2;
    if (length >= NAME_SIZE)
        return false;
    memcpy(name, word + 2, length);
    name[length] = '\0';
    *value = equals != NULL ? equals + 1 : NULL;
    return true;
}

static enum status missing_value(const struct own_options *options, const char *name)
{
    (void)fprintf(stderr, "bl2mqtt %s: --%s needs a value.\n", options->command, name);
    return command_bad_option(options->command);
}

enum status own_options_take(const struct own_options *options, int *argc, char **argv)
{
    int kept = 1;
    int at = 1;
    enum status status = STATUS_OK;
    while (at < *argc && status == STATUS_OK && strcmp(argv[at], "--") != 0) {
        char name[NAME_SIZE];
        const char *value = NULL;
        char *word = argv[at++];
        enum own_option_kind kind =
            split(word, name, &value) ? options->find(options->context, name) : OWN_OPTION_NONE;
        if (kind == OWN_OPTION_NONE) {
            argv[kept++] = word;
            continue;
        }
        if (kind == OWN_OPTION_VALUE && value == NULL) {
            if (at == *argc)
                return missing_value(options, name);
            value = argv[at++];
        } else if (kind == OWN_OPTION_FLAG && value != NULL) {
            return command_bad_value(options->command, name, value, "it without a value");
        }
        status = options->take(options->context, name, value);
    }
    while (at < *argc)
        argv[kept++] = argv[at++];
    argv[kept] = NULL;
    *argc = kept;
    return status;
}
