/* SPDX-License-Identifier: MIT */
#include "bridge/meter/price.h"

#include <stdio.h>
#include <string.h>

static const int64_t quarter_ms = INT64_C(900000);
static const int quarters_ahead = 7 * 24 * 4;

static void look_up(const struct tariff *tariffs, size_t count, const struct intervals *market,
                    int64_t wall_ms, struct price *price)
{
    struct tm local;
    time_t seconds = (time_t)(wall_ms / 1000);
    *price = (struct price){.known = false};
    if (localtime_r(&seconds, &local) == NULL)
        return;
    const struct tariff *tariff = tariff_at(tariffs, count, &local);
    if (tariff == NULL)
        return;
    tariff_prices(tariff, &local, &price->price_micro, &price->feed_in_micro);
    price->known = tariff_add_market(tariff, market, wall_ms / quarter_ms, &price->price_micro,
                                     &price->feed_in_micro);
    if (!price->known)
        price->price_micro = price->feed_in_micro = 0;
    (void)snprintf(price->currency, sizeof price->currency, "%s", tariff->currency);
}

static bool same(const struct price *a, const struct price *b)
{
    return a->known == b->known && a->price_micro == b->price_micro &&
           a->feed_in_micro == b->feed_in_micro && strcmp(a->currency, b->currency) == 0;
}

void price_at(const struct tariff *tariffs, size_t count, const struct intervals *market,
              int64_t wall_ms, struct price *price)
{
    int64_t start_ms = wall_ms - wall_ms % quarter_ms;
    look_up(tariffs, count, market, start_ms, price);
    struct price next = *price;
    int ahead = 0;
    while (ahead < quarters_ahead && same(price, &next))
        look_up(tariffs, count, market, start_ms + ++ahead * quarter_ms, &next);
    price->until_ms = start_ms + ahead * quarter_ms;
}

static void append_money(struct text *text, const struct price *price, int64_t micro)
{
    if (price->known)
        text_append_decimal(text, micro, 6, 6, false);
    else
        text_append(text, "null");
}

void price_json(const struct price *price, struct text *text)
{
    text_append(text, "{\"price\":");
    append_money(text, price, price->price_micro);
    text_append(text, ",\"feed_in\":");
    append_money(text, price, price->feed_in_micro);
    if (price->currency[0] != '\0')
        text_append(text, ",\"currency\":\"%s\"", price->currency);
    else
        text_append(text, ",\"currency\":null");
    text_append(text, ",\"until\":\"");
    text_append_time(text, price->until_ms, false);
    text_append(text, "\"}");
}
