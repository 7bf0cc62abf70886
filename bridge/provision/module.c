/* SPDX-License-Identifier: MIT */
#include "bridge/provision/module.h"

#include "drivers/base/clock.h"
#include "drivers/base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define READ_TRIES 3
#define PAUSE_MS 300
#define POLL_MS 500
#define UPLOAD_TIMEOUT_MS 300000 /* a module writes some 10 kB a second while it receives */

#define LFS "/api/lfs/"

struct module {
    struct http *http;
    struct obk_request request; /* the one in work; too big for the stack */
};

enum status module_open(const struct http_options *options, struct module **module,
                        struct error *error)
{
    struct http *http = NULL;
    enum status status = http_open(options, &http, error);
    if (status != STATUS_OK)
        return status;
    *module = memory_new(1, sizeof **module);
    (*module)->http = http;
    return STATUS_OK;
}

void module_close(struct module *module)
{
    if (module == NULL)
        return;
    http_close(module->http);
    free(module);
}

const char *module_host(const struct module *module)
{
    return http_host(module->http);
}

static enum status read_answer(struct module *module, struct http_answer *answer,
                               struct error *error)
{
    const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
    for (int try = 1;; try++) {
        bool broken = false;
        enum status status = http_ask(module->http, &module->request, answer, &broken, error);
        if (!broken || try == READ_TRIES)
            return status;
        (void)nanosleep(&pause, NULL);
    }
}

/* Reading answers only count with 200; what comes with 500 is somebody else's page. */
static enum status read_good(struct module *module, struct http_answer *answer, struct error *error)
{
    enum status status = read_answer(module, answer, error);
    if (status != STATUS_OK || answer->code == 200)
        return status;
    int code = answer->code;
    http_answer_free(answer);
    return error_set(error, STATUS_FAILED, "%s answers %s with HTTP %d.", module_host(module),
                     module->request.shown, code);
}

enum status module_info(struct module *module, struct obk_info *info, struct error *error)
{
    struct http_answer answer;
    obk_request_info(&module->request);
    enum status status = read_answer(module, &answer, error);
    if (status != STATUS_OK)
        return status;
    /* A module knows this page, and a wrong password has its own words. */
    status = answer.code == 200 ? obk_parse_info(answer.body, answer.length, info, error)
                                : error_set(error, STATUS_FAILED,
                                            "It answers %s with HTTP %d; is this its address?",
                                            module->request.shown, answer.code);
    if (status != STATUS_OK)
        status = error_prefix(error, status, "%s does not look like an OpenBeken module. ",
                              module_host(module));
    http_answer_free(&answer);
    return status;
}

enum status module_status(struct module *module, int which, struct obk_status *result,
                          struct error *error)
{
    struct http_answer answer;
    obk_request_status(&module->request, which);
    enum status status = read_good(module, &answer, error);
    if (status != STATUS_OK)
        return status;
    status = obk_parse_status(answer.body, answer.length, result, error);
    http_answer_free(&answer);
    return status;
}

static enum status give_command(struct module *module, const struct obk_request *request,
                                bool *unknown, struct error *error)
{
    struct http_answer answer;
    enum status status = http_ask(module->http, request, &answer, NULL, error);
    if (status != STATUS_OK)
        return status;
    status = obk_parse_command(request->body, answer.body, answer.length, unknown, error);
    http_answer_free(&answer);
    return status;
}

enum status module_command(struct module *module, const char *command, bool *unknown,
                           struct error *error)
{
    if (unknown != NULL)
        *unknown = false;
    enum status status = obk_request_command(&module->request, command, error);
    return status == STATUS_OK ? give_command(module, &module->request, unknown, error) : status;
}

enum status module_has_twin(struct module *module, bool *twin, struct error *error)
{
    bool unknown = false;
    enum status status = module_command(module, "BL0942opts", &unknown, error);
    *twin = status == STATUS_OK;
    return unknown ? STATUS_OK : status;
}

static enum status check_size(struct module *module, const char *name, size_t length,
                              struct error *error)
{
    struct http_answer answer;
    int64_t size = -1;
    obk_request_file_list(&module->request);
    enum status status = read_good(module, &answer, error);
    if (status != STATUS_OK)
        return status;
    status = obk_parse_list(name, answer.body, answer.length, &size, error);
    http_answer_free(&answer);
    if (status != STATUS_OK || size == (int64_t)length)
        return status;
    return error_set(error, STATUS_FAILED,
                     "The file %s came from the module with %zu bytes, but has %lld by the list of "
                     "files; try again.",
                     name, length, (long long)size);
}

enum status module_read_file(struct module *module, const char *name, char **bytes, size_t *length,
                             struct error *error)
{
    struct http_answer answer;
    obk_request_file_read(&module->request, name);
    enum status status = read_answer(module, &answer, error);
    if (status != STATUS_OK)
        return status;
    *bytes = NULL;
    *length = 0;
    if (answer.code == 404) {
        http_answer_free(&answer);
        return STATUS_OK;
    }
    if (answer.code != 200)
        status = error_set(error, STATUS_FAILED, "%s answers %s with HTTP %d.", module_host(module),
                           module->request.shown, answer.code);
    else if (answer.length > MODULE_FILE_MAX)
        status = error_set(error, STATUS_FAILED,
                           "The file %s on the module is longer (%zu bytes) than a script can be.",
                           name, answer.length);
    else
        status = check_size(module, name, answer.length, error);
    if (status == STATUS_OK) {
        *bytes = answer.body;
        *length = answer.length;
        return STATUS_OK;
    }
    http_answer_free(&answer);
    return status;
}

/* What a page or a bare word answered: the page's text says nothing, so only the code counts. */
static enum status judge_page(const struct module *module, const struct obk_request *request,
                              const struct http_answer *answer, struct error *error)
{
    if (request->bare_answer) {
        bool good = answer->length >= 2 && memcmp(answer->body, "OK", 2) == 0;
        return good ? STATUS_OK
                    : error_set(error, STATUS_FAILED, "%s did not do %s.", module_host(module),
                                request->shown);
    }
    return answer->code == 200 ? STATUS_OK
                               : error_set(error, STATUS_FAILED, "%s answers %s with HTTP %d.",
                                           module_host(module), request->shown, answer->code);
}

enum status module_order(struct module *module, const struct obk_request *request,
                         struct error *error)
{
    if (request->post && strcmp(request->path, "/api/cmnd") == 0)
        return give_command(module, request, NULL, error);
    struct http_answer answer;
    enum status status = http_ask(module->http, request, &answer, NULL, error);
    if (status != STATUS_OK)
        return status;
    status = judge_page(module, request, &answer, error);
    if (status == STATUS_OK && request->post && strncmp(request->path, LFS, sizeof LFS - 1) == 0)
        status = obk_parse_written(request->path + sizeof LFS - 1, request->body_length,
                                   answer.body, answer.length, error);
    if (status == STATUS_OK && request->post && strcmp(request->path, "/api/reboot") == 0)
        status = obk_parse_reboot(answer.body, answer.length, error);
    http_answer_free(&answer);
    return status;
}

enum status module_wait_return(struct module *module, int64_t ordered_boot_ms,
                               int64_t deadline_boot_ms, bool (*go_on)(void *context),
                               void *context, struct obk_info *info, struct error *error)
{
    const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
    while (clock_boot_ms() < deadline_boot_ms) {
        if (module_info(module, info, NULL) == STATUS_OK &&
            info->uptime_s * 1000 <= clock_boot_ms() - ordered_boot_ms)
            return STATUS_OK;
        if (go_on != NULL && !go_on(context))
            return error_set(error, STATUS_FAILED, "Stopped while the module restarts.");
        (void)nanosleep(&pause, NULL);
    }
    return error_set(error, STATUS_NO_ANSWER,
                     "It did not come back from its restart within %" PRId64
                     " s. Switch its power off and on.",
                     (deadline_boot_ms - ordered_boot_ms) / 1000);
}

enum status module_upload(struct module *module, const uint8_t *package, size_t length,
                          http_progress progress, void *context, struct error *error)
{
    struct http_answer answer;
    enum status status = http_upload(module->http, "/api/ota", package, length, UPLOAD_TIMEOUT_MS,
                                     progress, context, &answer, error);
    if (status != STATUS_OK)
        return status;
    if (answer.code == 200)
        status = obk_parse_taken(length, answer.body, answer.length, error);
    else
        status = error_set(error, STATUS_FAILED, "%s answers /api/ota with HTTP %d.",
                           module_host(module), answer.code);
    http_answer_free(&answer);
    return status;
}
