/* SPDX-License-Identifier: MIT */
/* The configuration from hostile bytes: bridge.yaml, then secrets.yaml, then environment variables
   (one a line), each behind a byte 0xFF, which is never part of UTF-8. */
#include "bridge/config/config.h"
#include "bridge/config/json.h"
#include "drivers/base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VARIABLES_MAX 64

static struct config_problems problems;

/* Cuts off what stands before the next separator; NULL if there was none before. */
static const char *next_part(const char **rest, size_t *left, size_t *length)
{
    const char *part = *rest;
    if (part == NULL)
        return NULL;
    const char *separator = memchr(part, 0xff, *left);
    *length = separator != NULL ? (size_t)(separator - part) : *left;
    *rest = separator != NULL ? separator + 1 : NULL;
    *left -= *length + (separator != NULL);
    return part;
}

/* Lines of text (changed) as an environment. */
static void split_lines(char *text, char *environment[VARIABLES_MAX + 1])
{
    size_t count = 0;
    while (text != NULL && count < VARIABLES_MAX)
        environment[count++] = strsep(&text, "\n");
    environment[count] = NULL;
}

/* What must hold for whatever came in. */
static void check_problems(const struct config *config)
{
    size_t errors = 0;
    for (size_t i = 0; i < problems.count; i++) {
        const struct config_problem *problem = &problems.list[i];
        json_t *message = json_string(problem->message);
        if (message == NULL || problem->message[0] == '\0' || problem->line < 0)
            abort();
        json_decref(message);
        errors += problem->severity == CONFIG_ERROR;
    }
    if (problems.count + problems.more != problems.errors + problems.warnings ||
        (config != NULL) != (problems.errors == 0) || errors > problems.errors)
        abort();
}

static void check_config(const struct config *config)
{
    for (int redact = 0; redact < 2; redact++) {
        json_t *json = config_to_json(config, redact != 0);
        char *text = json_dumps(json, 0);
        if (text == NULL)
            abort(); /* something in it is not UTF-8 */
        free(text);
        json_decref(json);
    }
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    const char *rest = (const char *)data;
    size_t left = size;
    size_t yaml_length = 0;
    size_t secrets_length = 0;
    size_t lines_length = 0;
    const char *yaml = next_part(&rest, &left, &yaml_length);
    const char *secrets = next_part(&rest, &left, &secrets_length);
    const char *lines = next_part(&rest, &left, &lines_length);

    char *environment[VARIABLES_MAX + 1] = {NULL};
    char *copy memory_auto = memory_new(1, lines_length + 1);
    if (lines != NULL) {
        memcpy(copy, lines, lines_length);
        split_lines(copy, environment);
    }
    struct config *config =
        config_parse_with_secrets("f", yaml != NULL ? yaml : "", yaml_length, secrets,
                                  secrets_length, environment, &problems);
    check_problems(config);
    if (config != NULL)
        check_config(config);
    config_free(config);
    return 0;
}
