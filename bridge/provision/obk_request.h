/* SPDX-License-Identifier: MIT */
/**
 * What is asked of an OpenBeken module over HTTP, as bytes. Pure.
 *
 * The firmware's habits that shape it (OpenBK7231T_App, src/httpserver and src/cmnds): values in an
 * address are URL-decoded, also '+'; a missing host in /cfg_mqtt_set clears the host; other empty
 * values there keep what was; settings are saved to flash about 3 s after the last change; commands
 * go to POST /api/cmnd, which alone says whether they were understood.
 */
#ifndef BRIDGE_PROVISION_OBK_REQUEST_H
#define BRIDGE_PROVISION_OBK_REQUEST_H

#include "drivers/base/status.h"

#include <stdbool.h>
#include <stddef.h>

/* What the firmware has room for, in bytes. */
#define OBK_MQTT_HOST_MAX 127
#define OBK_CLIENT_ID_MAX 63
#define OBK_USER_MAX 63
#define OBK_PASSWORD_MAX 127
#define OBK_NAME_MAX 63
#define OBK_SHORT_NAME_MAX 31

#define OBK_PATH_SIZE 2048
#define OBK_BODY_SIZE 4096

struct obk_request {
    bool post;
    bool bare_answer; /**< comes without any HTTP header */
    char path[OBK_PATH_SIZE];
    char shown[OBK_PATH_SIZE]; /**< the same for people, with the password left out */
    char body[OBK_BODY_SIZE];
    size_t body_length;
};

struct obk_mqtt {
    const char *host; /**< "" switches MQTT off */
    int port;
    const char *client_id;
    const char *user;     /**< "" keeps the module's */
    const char *password; /**< "" keeps the module's */
};

void obk_request_info(struct obk_request *request);
/** Status 0: all that the module says about itself; Status 8: what it measures. */
void obk_request_status(struct obk_request *request, int which);
void obk_request_reboot(struct obk_request *request);
void obk_request_file_list(struct obk_request *request);
void obk_request_file_read(struct obk_request *request, const char *name);
void obk_request_file_delete(struct obk_request *request, const char *name);

/* These fail (STATUS_USAGE) if something does not fit. */
enum status obk_request_command(struct obk_request *request, const char *command,
                                struct error *error);
enum status obk_request_file_write(struct obk_request *request, const char *name, const char *bytes,
                                   size_t length, struct error *error);
enum status obk_request_mqtt(struct obk_request *request, const struct obk_mqtt *mqtt,
                             struct error *error);
enum status obk_request_names(struct obk_request *request, const char *short_name, const char *name,
                              struct error *error);

/**
 * Whether the module can have this name (also used for user and client id, with their own limits).
 * The firmware writes it into JSON without escaping, so '"' and '\\' are refused, as are control
 * characters. STATUS_USAGE with the reason; what names it in the sentence.
 */
enum status obk_check_text(const char *what, const char *text, size_t longest, struct error *error);

/** A short name (host name) from a client id: its last level, with '_' for what a host name cannot
 *  have. size: OBK_SHORT_NAME_MAX + 1. */
void obk_short_name(const char *client_id, char *short_name, size_t size);

#endif
