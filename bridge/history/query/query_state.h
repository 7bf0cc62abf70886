/* SPDX-License-Identifier: MIT */
/** A question's connection from the inside, for the files of this folder that share it. A transaction that its
 *  holder began stays open over questions. */
#ifndef BRIDGE_HISTORY_QUERY_QUERY_STATE_H
#define BRIDGE_HISTORY_QUERY_QUERY_STATE_H

#include "bridge/history/query/conversion.h"
#include "bridge/history/query/segments.h"

#include <sqlite3.h>

struct history_query {
    char *path;
    sqlite3 *db;
    struct segments *segments;
    struct conversion conversion;
};

#endif
