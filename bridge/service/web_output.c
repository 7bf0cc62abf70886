/* SPDX-License-Identifier: MIT */
#include "bridge/service/web_output.h"

#include "bridge/web/web.h"
#include "drivers/base/memory.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

struct web_output {
    struct web *web;
    char *history_path;
};

static void free_output(struct web_output *output)
{
    free(output->history_path);
    free(output);
}

struct web_output *web_output_open(const struct web_output_options *options)
{
    const struct config *config = options->config;
    if (strcmp(config->web.listen, "off") == 0)
        return NULL;
    struct web_output *output = memory_new(1, sizeof *output);
    output->history_path = memory_copy_text(options->history_path);
    char folder[PATH_MAX];
    (void)snprintf(folder, sizeof folder, "%.*s/web", PATH_MAX - 10, config->bridge.data_dir);
    const struct web_settings settings = {
        .listen = config->web.listen,
        .password = config->web.password,
        .token = config->web.token,
        .base_path = config->web.base_path,
        .login_always = config->web.auth == WEB_AUTH_ALWAYS,
        .login_never = config->web.auth == WEB_AUTH_NONE,
        .history_path = output->history_path,
        .backup_folder = options->backup_folder,
        .folder = folder,
        .maintenance = config->web.maintenance != WEB_MAINTENANCE_OFF,
        .maintenance_open = config->web.maintenance == WEB_MAINTENANCE_ALWAYS,
        .tariffs = options->tariffs,
        .loop = options->loop,
        .hub = options->hub,
        .requests = options->requests,
        .log = options->log,
    };
    struct error error = {""};
    if (web_open(&settings, &output->web, &error) == STATUS_OK) {
        log_info(options->log, "The web page is at http://%s%s/.", config->web.listen,
                 config->web.base_path);
        return output;
    }
    log_warning(options->log, "There is no web page: %s Metering continues.", error.text);
    free_output(output);
    return NULL;
}

void web_output_close(struct web_output *output)
{
    if (output == NULL)
        return;
    web_close(output->web);
    free_output(output);
}
