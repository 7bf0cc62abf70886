/* SPDX-License-Identifier: MIT */
/** The files of the page, compressed at build time and part of the binary (page/, see CMakeLists.txt). */
#ifndef BRIDGE_WEB_ASSETS_H
#define BRIDGE_WEB_ASSETS_H

#include "bridge/web/server.h"

#include <stdbool.h>
#include <stddef.h>

struct asset {
    const char *path; /**< relative: "app.js"; the page itself is "index.html" */
    const char *type;
    const char *etag;           /**< with its quotes */
    const unsigned char *bytes; /**< gzip */
    const size_t *size;
};

/** In the order of their paths. */
extern const struct asset assets[];
extern const size_t asset_count;

/** NULL if there is none. */
const struct asset *asset_find(const char *path);

/** 200, or 304 if the peer has it. */
void asset_reply(const struct asset *asset, struct exchange *exchange);

#endif
