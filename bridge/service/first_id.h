/* SPDX-License-Identifier: MIT */
/**
 * What Home Assistant knows a device by: the id that it had first, so that its entities, their names and their
 * statistics outlive another id. Remembered in the preferences. Loop thread only.
 */
#ifndef BRIDGE_SERVICE_FIRST_ID_H
#define BRIDGE_SERVICE_FIRST_ID_H

#include "bridge/hub/hub.h"
#include "bridge/service/preferences.h"

#define FIRST_ID_SIZE 64

/** Usually the id itself. If that is what a renamed device is still known by, one with a number behind it. */
void first_id_find(struct preferences *preferences, const struct hub *hub, const char *id,
                   char first[FIRST_ID_SIZE]);

/** When the preferences are lost, what was announced to Home Assistant (announced.json) still has them. */
void first_ids_recover(struct preferences *preferences, const char *announced_path,
                       const char *bridge_id);

/** The device goes on under another id, with all that the preferences have of it. */
void first_id_rename(struct preferences *preferences, const char *from, const char *to);

/** The device has left: another one may be known by that. */
void first_id_forget(struct preferences *preferences, const char *id);

#endif
