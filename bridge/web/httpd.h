/* SPDX-License-Identifier: MIT */
/**
 * libmicrohttpd, loaded on demand: it brings GnuTLS and seven more libraries along, 2.5 megabytes of memory that a
 * bridge without a page has no use for. Only for bridge/web.
 */
#ifndef BRIDGE_WEB_HTTPD_H
#define BRIDGE_WEB_HTTPD_H

#include "drivers/base/status.h"

#include <microhttpd.h>

/** The functions used, under their names without MHD_. Valid as soon as it was loaded once. */
struct httpd {
    __typeof__(&MHD_add_response_header) add_response_header;
    __typeof__(&MHD_create_response_from_buffer) create_response_from_buffer;
    __typeof__(&MHD_create_response_from_callback) create_response_from_callback;
    __typeof__(&MHD_destroy_response) destroy_response;
    __typeof__(&MHD_get_connection_info) get_connection_info;
    __typeof__(&MHD_get_connection_values) get_connection_values;
    __typeof__(&MHD_get_daemon_info) get_daemon_info;
    __typeof__(&MHD_get_timeout) get_timeout;
    __typeof__(&MHD_get_version) get_version;
    __typeof__(&MHD_lookup_connection_value) lookup_connection_value;
    __typeof__(&MHD_queue_response) queue_response;
    __typeof__(&MHD_resume_connection) resume_connection;
    __typeof__(&MHD_run) run;
    __typeof__(&MHD_start_daemon) start_daemon;
    __typeof__(&MHD_stop_daemon) stop_daemon;
    __typeof__(&MHD_suspend_connection) suspend_connection;
};
extern struct httpd httpd;

/** STATUS_FAILED: it is not installed. For one thread, before any other uses the functions. */
enum status httpd_load(struct error *error);

#endif
