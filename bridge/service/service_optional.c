/* SPDX-License-Identifier: MIT */
/* The parts of the service that there are only for modules with OpenBeken, or if they are configured. */
#include "bridge/service/service_parts.h"

static void on_facts(void *context, const char *device_id, const char *version, const char *url)
{
    const struct service *service = context;
    const struct hub_device *found = hub_find(service->hub, device_id);
    if (found == NULL)
        return;
    service_device_set_facts(hub_device_owner(found), version, url);
    announcer_changed(service->announcer, hub_device_description(found));
}

static void create_backfills(struct service *service)
{
    const struct config_homeassistant *there = &service->config->homeassistant;
    if (!there->enabled || there->backfill_url[0] == '\0')
        return;
    const struct backfills_options options = {
        .loop = &service->loop,
        .url = there->backfill_url,
        .token = there->backfill_token,
        .history_path = service->history_path,
        .bridge_id = service->config->bridge.id,
        .hub = service->hub,
        .notices = service->notices,
    };
    service->backfills = backfills_create(&options);
    handlers_set_backfills(service->handlers, service->backfills);
    backfills_soon(service->backfills);
}

static void create_updates(struct service *service)
{
    const struct config *config = service->config;
    if (config->openbeken.images[0] == '\0')
        return;
    const struct updates_options options = {
        .folder = config->openbeken.images,
        .web_password = config->openbeken.web_password,
        .publisher = service->publisher,
        .log = service->log,
        .changed = service_update_changed,
        .event = service_update_event,
        .context = service,
    };
    service->updates = updates_create(&service->loop, &options);
    handlers_set_updates(service->handlers, service->updates);
}

void service_start_optional(struct service *service)
{
    service->facts = module_facts_create(service->publisher, on_facts, service);
    create_updates(service);
    create_backfills(service);
}
