/* SPDX-License-Identifier: MIT */
/**
 * Files that go to a browser and come from one: backups of the history with the configuration, firmware, and what
 * was read from a module. Only for whoever is logged in or on this machine.
 */
#ifndef BRIDGE_WEB_FILES_H
#define BRIDGE_WEB_FILES_H

#include "bridge/web/api.h"

/** GET /api/v1/backups: [{"name", "kind", "made", "bytes", "config"}], the newest first. */
void files_list_backups(struct api *api, struct exchange *exchange, const char *rest);
/** GET /api/v1/backups/<name>: a tar archive of history.db and, if they were backed up, bridge.yaml and
 *  secrets.yaml. */
void files_send_backup(struct api *api, struct exchange *exchange, const char *rest);
/** GET /api/v1/files/<name>: what a command left for download in the folder of web_settings. */
void files_send(struct api *api, struct exchange *exchange, const char *rest);

/** Where an upload of that kind goes, and how long it may be. False: there is no such kind. */
bool files_upload_place(const struct api *api, const char *kind, char path[PATH_MAX],
                        int64_t *limit);
/** PUT /api/v1/upload/<kind>, when the file is complete. */
void files_uploaded(struct api *api, struct exchange *exchange, const char *rest);

/** Whether backups and firmware may be handled: by web.maintenance, and by who protects the door. */
bool files_allowed(const struct api *api);

/** Answers with 403 and returns true, unless the door is protected and web.maintenance allows it. */
bool files_refused(const struct api *api, struct exchange *exchange);

#endif
