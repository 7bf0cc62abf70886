/* SPDX-License-Identifier: MIT */
#include "bridge/http/library.h"

#include "drivers/base/dynamic.h"

#define FUNCTION(symbol, member)                                                                   \
    {                                                                                              \
#symbol, offsetof(struct library, member)                                                  \
    }

static const struct dynamic_function functions[] = {
    FUNCTION(curl_global_init, global_init),   FUNCTION(curl_easy_init, easy_init),
    FUNCTION(curl_easy_reset, easy_reset),     FUNCTION(curl_easy_cleanup, easy_cleanup),
    FUNCTION(curl_easy_setopt, easy_setopt),   FUNCTION(curl_easy_getinfo, easy_getinfo),
    FUNCTION(curl_easy_perform, easy_perform), FUNCTION(curl_easy_strerror, easy_strerror),
    FUNCTION(curl_slist_append, slist_append), FUNCTION(curl_slist_free_all, slist_free_all),
    FUNCTION(curl_version, version),
};

enum status library_load(struct library *library, struct error *error)
{
    static const struct dynamic_library curl = {
        .file = "libcurl.so.4",
        .purpose = "HTTP",
        .package = "libcurl4",
        .functions = functions,
        .count = sizeof functions / sizeof functions[0],
    };
    if (dynamic_load(&curl, library, error) == NULL)
        return STATUS_FAILED;
    if (library->global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
        return STATUS_OK;
    return error_set(error, STATUS_FAILED, "The HTTP library %s does not start.", curl.file);
}
