/* SPDX-License-Identifier: MIT */
/**
 * What OpenBeken modules say about themselves on MQTT, for Home Assistant's page of the device: the firmware's
 * version (CLIENT/build) and the address of its web page (CLIENT/ip, unless bridge.yaml names a host). Nobody
 * proves that he is the module, so nothing but a link is made of it. Loop thread only.
 */
#ifndef BRIDGE_SERVICE_MODULE_FACTS_H
#define BRIDGE_SERVICE_MODULE_FACTS_H

#include "bridge/config/config.h"
#include "bridge/mqtt/publisher.h"

struct module_facts;

/** changed is called when a fact of the device is new; version and url are "" while unknown, and borrowed until
 *  the next call for the device. */
struct module_facts *module_facts_create(struct publisher *publisher,
                                         void (*changed)(void *context, const char *device_id,
                                                         const char *version, const char *url),
                                         void *context);
void module_facts_free(struct module_facts *facts);

/** Subscribes; does nothing for a device that is no OpenBeken module. A device that was added before is
 *  followed under its present client id and host. config is copied. */
void module_facts_add(struct module_facts *facts, const struct config_device *config);

/** To be given every incoming item; it is never only for these. */
void module_facts_incoming(struct module_facts *facts, const struct publisher_incoming *incoming);

#endif
