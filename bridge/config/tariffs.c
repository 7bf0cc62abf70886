/* SPDX-License-Identifier: MIT */
#include "bridge/config/tariffs.h"

#include "drivers/base/memory.h"

#include <stdio.h>

/* The texts were found good by the configuration's check. */
static void take_window(const struct config_tariff_window *from, struct tariff_window *to)
{
    (void)tariff_parse_minute(from->from, &to->from_minute);
    (void)tariff_parse_minute(from->to, &to->to_minute);
    (void)tariff_parse_days(from->days, &to->days);
    (void)tariff_parse_months(from->months, &to->months);
    to->price_micro = from->price_micro;
    to->feed_in_micro = from->feed_in_micro;
}

struct tariffs *config_tariffs(const struct config *config)
{
    struct tariffs *tariffs = tariffs_new(config->tariff_count);
    tariffs->co2 = config->co2.topic[0] != '\0' || config->co2.file[0] != '\0';
    for (size_t i = 0; i < config->tariff_count; i++) {
        const struct config_tariff *from = &config->tariffs[i];
        struct tariff *to = &tariffs->list[i];
        (void)snprintf(to->currency, sizeof to->currency, "%s", from->currency);
        if (from->valid_from[0] != '\0')
            (void)tariff_parse_date(from->valid_from, &to->valid_from);
        to->price_micro = from->price_micro;
        to->feed_in_micro = from->feed_in_micro;
        to->standing_charge_micro = from->standing_charge_micro;
        to->dynamic = from->dynamic;
        to->dynamic_feed_in = from->dynamic_feed_in;
        to->factor_micro = from->factor_micro;
        to->window_count = from->window_count;
        to->windows = memory_new(from->window_count, sizeof *to->windows);
        for (size_t w = 0; w < from->window_count; w++)
            take_window(&from->windows[w], &to->windows[w]);
    }
    return tariffs;
}
