/* SPDX-License-Identifier: MIT */
/**
 * libcurl, loaded on demand. Only for bridge/http.
 */
#ifndef BRIDGE_HTTP_LIBRARY_H
#define BRIDGE_HTTP_LIBRARY_H

#include "drivers/base/status.h"

#define CURL_DISABLE_TYPECHECK /* its macros would hide the functions whose types are asked for */
#include <curl/curl.h>

/* In its header these are macros over the functions of the same names. */
#undef curl_easy_setopt
#undef curl_easy_getinfo

/** The functions used, under their names without curl_. */
struct library {
    __typeof__(&curl_global_init) global_init;
    __typeof__(&curl_easy_init) easy_init;
    __typeof__(&curl_easy_reset) easy_reset;
    __typeof__(&curl_easy_cleanup) easy_cleanup;
    __typeof__(&curl_easy_setopt) easy_setopt;
    __typeof__(&curl_easy_getinfo) easy_getinfo;
    __typeof__(&curl_easy_perform) easy_perform;
    __typeof__(&curl_easy_strerror) easy_strerror;
    __typeof__(&curl_slist_append) slist_append;
    __typeof__(&curl_slist_free_all) slist_free_all;
    __typeof__(&curl_version) version;
};

/** STATUS_FAILED: it is not installed, or lacks one of the functions. It stays loaded until the
 *  process ends, as it may have threads of its own. */
enum status library_load(struct library *library, struct error *error);

#endif
