/* SPDX-License-Identifier: MIT */
/**
 * The requests device/adopt and device/remove: judges them, and keeps the files of adopted devices
 * (config/adopted.h) on a thread of their own, as a disk may take seconds. One at a time, in order; what
 * the service then does with the device is its own business. Loop thread only.
 */
#ifndef BRIDGE_SERVICE_ADOPTION_H
#define BRIDGE_SERVICE_ADOPTION_H

#include "bridge/config/config.h"
#include "bridge/requests/requests.h"
#include "drivers/base/log.h"

#include <uv.h>

#define ADOPTIONS_WAITING_MAX 256

struct adoption_options {
    const struct config *config; /**< borrowed: what there is already */
    const char *roster_path;     /**< copied; the device's topic is noted there with its file */
    struct log *log;
    /** Which chips the last search received of the module with this client id. */
    void (*received)(void *context, const char *client, bool chips[2]);
    /** The file is safe: take the only device of `device`, which is given away. After an error, which
     *  becomes the answer, the file is deleted again. */
    enum status (*adopted)(void *context, struct config *device, struct error *error);
    /** The file is gone, and with it the device at the next loading of the configuration. */
    enum status (*removed)(void *context, const char *id, struct error *error);
    void *context;
};

struct adoption;

struct adoption *adoption_create(uv_loop_t *loop, const struct adoption_options *options);
/** What is at the disk is finished, and not answered; requests_free answers. The loop must run until it is.
 *  NULL is allowed. */
void adoption_close(struct adoption *adoption);

/** Handlers of the requests: see requests.h. */
enum status adoption_adopt(struct adoption *adoption, struct pending *pending, struct error *error);
enum status adoption_remove(struct adoption *adoption, struct pending *pending,
                            struct error *error);

#endif
