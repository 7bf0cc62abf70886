/* SPDX-License-Identifier: MIT */
/* What to subscribe to. */
#include "drivers/openbeken/source_internal.h"

#include "drivers/base/memory.h"

#include <stdio.h>
#include <string.h>

static const unsigned many_siblings = 8; /* share filters from here on */

static size_t parent_length(const struct module *module)
{
    const char *slash = strrchr(module->client, '/');
    return slash == NULL ? 0 : (size_t)(slash - module->client);
}

static int compare_parents(const void *a, const void *b)
{
    const struct module *x = *(const struct module *const *)a;
    const struct module *y = *(const struct module *const *)b;
    size_t length = parent_length(x), other = parent_length(y);
    if (length != other)
        return length < other ? -1 : 1;
    return memcmp(x->client, y->client, length);
}

static void subscribe_to(const char *client, int length, const char *below,
                         void (*subscribe)(void *context, const char *filter), void *context)
{
    static const struct {
        const char *head, *tail;
    } forms[] = {{"", "/+"}, {"", "/+/get"}, {"tele/", "/+"}, {"stat/", "/STATUS8"}};
    char filter[OPENBEKEN_TOPIC_MAX];
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        (void)snprintf(filter, sizeof filter, "%s%.*s%s%s", forms[i].head, length, client, below,
                       forms[i].tail);
        subscribe(context, filter);
    }
}

static void subscribe_to_discovery(const struct openbeken_source *source,
                                   void (*subscribe)(void *context, const char *filter),
                                   void *context)
{
    char filter[OPENBEKEN_TOPIC_MAX];
    (void)snprintf(filter, sizeof filter, "%s/sensor/+/config", source->discovery_prefix);
    subscribe(context, filter);
}

void openbeken_source_filters(const struct openbeken_source *source,
                              void (*subscribe)(void *context, const char *filter), void *context)
{
    struct module **order memory_auto = memory_new(source->module_count, sizeof(struct module *));
    for (size_t i = 0; i < source->module_count; i++)
        order[i] = source->modules[i];
    qsort(order, source->module_count, sizeof(struct module *), compare_parents);
    for (size_t first = 0, next; first < source->module_count; first = next) {
        next = first + 1;
        while (next < source->module_count && compare_parents(&order[first], &order[next]) == 0)
            next++;
        int parent = (int)parent_length(order[first]);
        /* Without a parent the wildcard would bring everything that the broker has. */
        if (parent > 0 && next - first >= many_siblings)
            subscribe_to(order[first]->client, parent, "/+", subscribe, context);
        else
            for (size_t i = first; i < next; i++)
                subscribe_to(order[i]->client, (int)order[i]->client_length, "", subscribe,
                             context);
    }
    if (source->module_count > 0)
        subscribe_to_discovery(source, subscribe, context); /* last: what it brings may be much */
}

void openbeken_source_add(struct openbeken_source *source, const struct openbeken_module *options,
                          int64_t boot_ms, void (*subscribe)(void *context, const char *filter),
                          void *context)
{
    struct module *module = source_add_module(source, options, boot_ms);
    subscribe_to(module->client, (int)module->client_length, "", subscribe, context);
    subscribe_to_discovery(source, subscribe, context);
    if (source->connected)
        source_ask_at(module, boot_ms);
}
