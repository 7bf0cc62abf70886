/* SPDX-License-Identifier: MIT */
#include "bridge/sinks/sinks.h"

#include "bridge/sinks/sink.h"
#include "drivers/base/memory.h"

struct sinks {
    struct sink **list;
    size_t count;
};

enum status sinks_create(const struct sinks_options *options, struct sinks **sinks,
                         struct error *error)
{
    const struct config *config = options->config;
    struct sinks *made = memory_new(1, sizeof *made);
    made->list = memory_new(config->sink_count, sizeof(struct sink *));
    enum status status = STATUS_OK;
    for (size_t i = 0; i < config->sink_count && status == STATUS_OK; i++) {
        status = sink_create(options, &config->sinks[i], &made->list[made->count], error);
        if (status == STATUS_OK)
            made->count++;
    }
    if (status == STATUS_OK)
        *sinks = made;
    else
        sinks_close(made);
    return status;
}

enum status sinks_start(struct sinks *sinks, struct error *error)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < sinks->count && status == STATUS_OK; i++)
        status = sink_start(sinks->list[i], error);
    return status;
}

void sinks_close(struct sinks *sinks)
{
    if (sinks == NULL)
        return;
    for (size_t i = 0; i < sinks->count; i++)
        sink_stop(sinks->list[i]);
    for (size_t i = 0; i < sinks->count; i++)
        sink_close(sinks->list[i]);
    free(sinks->list);
    free(sinks);
}

size_t sinks_count(const struct sinks *sinks)
{
    return sinks->count;
}

void sinks_health(struct sinks *sinks, size_t number, struct sink_health *health)
{
    sink_health(sinks->list[number], health);
}
