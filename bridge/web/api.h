/* SPDX-License-Identifier: MIT */
/** What is served, as one table of paths; the inner half of web.h. */
#ifndef BRIDGE_WEB_API_H
#define BRIDGE_WEB_API_H

#include "bridge/web/guard.h"
#include "bridge/web/queries.h"
#include "bridge/web/stream.h"
#include "bridge/web/web.h"

#include <stdint.h>

struct api_request;

struct api {
    struct hub *hub;
    struct requests *requests;
    struct guard *guard;
    struct stream_hub *streams;
    struct queries *queries;
    struct queries *transfers; /**< backups and other files, which may take minutes */
    const char *base_path;
    const char *backup_base; /**< history_backup_base() */
    const char *folder;      /**< for files that come and go, private to the service */
    bool maintenance;        /**< web.maintenance */
    bool maintenance_open;   /**< also without a login */
    int64_t started_boot_ms;
    struct api_request *pending; /**< requests without an answer yet */
};

/** Takes an exchange whatever it asks for. context is the struct api. */
void api_handle(void *context, struct exchange *exchange);

/** Says whether an exchange brings a file (server.h); context is the struct api. */
void api_upload(void *context, struct exchange *exchange, char path[PATH_MAX], int64_t *limit);

/** Answers the requests that wait, as the service is stopping. */
void api_end(struct api *api);

/** One row of the table, for the test that compares it with the description (openapi.json). */
struct api_route {
    const char *method; /**< "GET" serves HEAD as well */
    const char *path;   /**< "/api/v1/state/" and everything behind it if it ends with '/' */
    bool open;          /**< served without a login */
    void (*serve)(struct api *api, struct exchange *exchange, const char *rest);
};
extern const struct api_route api_routes[];
extern const size_t api_route_count;

#endif
