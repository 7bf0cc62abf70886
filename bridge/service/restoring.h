/* SPDX-License-Identifier: MIT */
/**
 * Puts a backup that was uploaded (the archive of GET /api/v1/backups/<name>, or a history alone) in the place of
 * history and configuration, in three steps: unpacked and checked while everything goes on; planned; and carried
 * out between the end of the service and its next beginning, when nobody uses either. What was there is kept
 * beside it. Blocking; folder is that of web_settings.
 */
#ifndef BRIDGE_SERVICE_RESTORING_H
#define BRIDGE_SERVICE_RESTORING_H

#include "bridge/config/config.h"
#include "drivers/base/log.h"
#include "drivers/base/status.h"

#include <jansson.h>

/**
 * Unpacks folder/upload-backup and looks at what is in it. *summary: {"history": {"bytes", "channels": [{"device",
 * "channel", "first", "last", "readings"}], "problem"}, "config": {"devices": [names], "secrets", "problem"}};
 * either is null if the archive has none, problem is a sentence or null. New reference.
 */
enum status restoring_check(const char *folder, json_t **summary, struct error *error);

/** Notes what is to be restored when the service has ended. STATUS_REFUSED: nothing was checked before. */
enum status restoring_plan(const char *folder, bool history, bool config, struct error *error);

/** Carries the plan out, if there is one. config: the one in force so far, which names the folder, and the
 *  history unless the restored one does. What came of it is logged, and kept for restoring_result. */
void restoring_apply(const struct config *config, const char *config_path, struct log *log);

/** A plan that a killed process left is forgotten. */
void restoring_discard(const struct config *config);

/** What the last restoring_apply did: {"time", "ok", "sentence"}; null: nothing. New reference. */
json_t *restoring_result(const char *folder);

#endif
