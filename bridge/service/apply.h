/* SPDX-License-Identifier: MIT */
/**
 * Makes another configuration hold in the running service, device by device: what did not change is not
 * touched. Loop thread only.
 */
#ifndef BRIDGE_SERVICE_APPLY_H
#define BRIDGE_SERVICE_APPLY_H

#include "bridge/service/service_parts.h"
#include "bridge/service/settings.h"

/** Adds all devices of the first configuration, and reads them. */
enum status service_add_devices(struct service *service, struct error *error);
void service_read_devices(struct service *service);

/** Takes after over in any case. An error says what of it could not be made to hold; the rest does. rename:
 *  NULL, or a device whose history goes on under another id. */
enum status service_apply(struct service *service, struct config *after,
                          const struct settings_rename *rename, struct settings_result *result,
                          struct error *error);

#endif
