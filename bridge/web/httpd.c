/* SPDX-License-Identifier: MIT */
#include "bridge/web/httpd.h"

#include "drivers/base/dynamic.h"

#define FUNCTION(member)                                                                           \
    {                                                                                              \
        "MHD_" #member, offsetof(struct httpd, member)                                             \
    }

static const struct dynamic_function functions[] = {
    FUNCTION(add_response_header),
    FUNCTION(create_response_from_buffer),
    FUNCTION(create_response_from_callback),
    FUNCTION(destroy_response),
    FUNCTION(get_connection_info),
    FUNCTION(get_connection_values),
    FUNCTION(get_daemon_info),
    FUNCTION(get_timeout),
    FUNCTION(get_version),
    FUNCTION(lookup_connection_value),
    FUNCTION(queue_response),
    FUNCTION(resume_connection),
    FUNCTION(run),
    FUNCTION(start_daemon),
    FUNCTION(stop_daemon),
    FUNCTION(suspend_connection),
};

struct httpd httpd;

enum status httpd_load(struct error *error)
{
    static const struct dynamic_library library = {
        .file = "libmicrohttpd.so.12",
        .purpose = "The page (web.listen)",
        .package = "libmicrohttpd12",
        .functions = functions,
        .count = sizeof functions / sizeof functions[0],
    };
    return dynamic_load(&library, &httpd, error) == NULL ? STATUS_FAILED : STATUS_OK;
}
