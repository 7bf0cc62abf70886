/* SPDX-License-Identifier: MIT */
#include "bridge/history/query/cost.h"

#include "bridge/history/import/interval_store.h"
#include "bridge/history/query/buckets.h"
#include "bridge/history/query/query_state.h"
#include "bridge/history/query/reader.h"
#include "bridge/history/store/sql.h"
#include "drivers/base/wide.h"

#include <string.h>
#include <time.h>

/* Sums since the beginning of the question. */
struct sums {
    struct wide energy;
    struct wide feed_in;
    struct wide co2;
    int64_t standing_micro;
};

struct costing {
    const struct history_cost_question *question;
    struct history_query *query;
    struct sums sums;
    struct intervals market; /* of the running year of the question */
    struct intervals co2;    /* likewise */
    struct sums before;      /* as of the beginning of the current bucket */
    struct history_cost_row row;
    int64_t covered_ms_permille; /* coverage times length, of the current bucket */
    int64_t next_day_ms;         /* whose standing charge comes next */
    history_cost_callback callback;
    void *context;
    bool stopped;
};

static void local_time(int64_t wall_ms, struct tm *local)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    *local = (struct tm){0};
    (void)localtime_r(&seconds, local); /* the span was checked to be within years that exist */
}

static const struct tariff *tariff_of(const struct costing *costing, int64_t wall_ms,
                                      struct tm *local)
{
    local_time(wall_ms, local);
    return tariff_at(costing->question->tariffs, costing->question->tariff_count, local);
}

static void charge_days(struct costing *costing, int64_t end_ms)
{
    const struct history_cost_question *question = costing->question;
    while (costing->next_day_ms < end_ms) {
        struct tm local;
        const struct tariff *tariff = tariff_of(costing, costing->next_day_ms, &local);
        if (tariff != NULL && costing->next_day_ms <= question->now_ms)
            costing->sums.standing_micro += tariff->standing_charge_micro;
        costing->next_day_ms = bucket_next(BUCKET_DAY, costing->next_day_ms);
    }
}

static void begin_row(struct costing *costing, int64_t start_ms)
{
    int64_t end_ms = bucket_next(costing->question->bucket, start_ms);
    if (end_ms > costing->question->to_ms)
        end_ms = costing->question->to_ms;
    costing->row = (struct history_cost_row){
        .start_ms = start_ms, .end_ms = end_ms, .co2 = costing->question->co2};
    costing->before = costing->sums;
    costing->covered_ms_permille = 0;
}

static void end_row(struct costing *costing)
{
    struct history_cost_row *row = &costing->row;
    const struct sums *sums = &costing->sums;
    const struct sums *before = &costing->before;
    charge_days(costing, row->end_ms);
    row->energy_micro = tariff_money(sums->energy) - tariff_money(before->energy);
    row->feed_in_micro = tariff_money(sums->feed_in) - tariff_money(before->feed_in);
    row->co2_ug = tariff_money(sums->co2) - tariff_money(before->co2); /* the same units */
    row->drawn = sums->energy;
    row->fed = sums->feed_in;
    row->standing_micro = sums->standing_micro - before->standing_micro;
    row->cost_micro = row->energy_micro + row->standing_micro - row->feed_in_micro;
    row->coverage_permille = (int)(costing->covered_ms_permille / (row->end_ms - row->start_ms));
    costing->stopped = !costing->callback(costing->context, row);
}

static void note_unpriced(struct history_cost_row *row, const struct history_energy_row *quarter,
                          bool missing)
{
    int64_t uwh = quarter->imported_uwh + quarter->exported_uwh;
    if (uwh == 0)
        return;
    row->unpriced_uwh += uwh;
    row->missing_uwh += missing ? uwh : 0;
    row->unpriced_from_ms = row->unpriced_from_ms == 0 ? quarter->start_ms : row->unpriced_from_ms;
    row->unpriced_to_ms = quarter->end_ms;
}

static void emit(struct costing *costing, const struct history_energy_row *quarter)
{
    struct history_cost_row *row = &costing->row;
    int64_t intensity_micro;
    if (!row->co2 || quarter->imported_uwh == 0)
        return;
    if (intervals_find(&costing->co2, quarter->start_ms / INTERVAL_MS, &intensity_micro)) {
        costing->sums.co2 =
            wide_add(costing->sums.co2, wide_multiply(quarter->imported_uwh, intensity_micro));
        return;
    }
    row->co2_missing_uwh += quarter->imported_uwh;
    row->co2_from_ms = row->co2_from_ms == 0 ? quarter->start_ms : row->co2_from_ms;
    row->co2_to_ms = quarter->end_ms;
}

static bool take_quarter(void *context, const struct history_energy_row *quarter)
{
    struct costing *costing = context;
    if (costing->question->quarter != NULL)
        costing->question->quarter(costing->context, quarter);
    while (quarter->start_ms >= costing->row.end_ms) {
        end_row(costing);
        if (costing->stopped)
            return false;
        begin_row(costing, costing->row.end_ms);
    }
    struct history_cost_row *row = &costing->row;
    row->imported_uwh += quarter->imported_uwh;
    row->exported_uwh += quarter->exported_uwh;
    row->estimated_uwh += quarter->estimated_imported_uwh + quarter->estimated_exported_uwh;
    row->foreign_uwh += quarter->foreign_imported_uwh + quarter->foreign_exported_uwh;
    costing->covered_ms_permille +=
        quarter->coverage_permille * (quarter->end_ms - quarter->start_ms);
    emit(costing, quarter);
    struct tm local;
    int64_t price_micro;
    int64_t feed_in_micro;
    const struct tariff *tariff = tariff_of(costing, quarter->start_ms, &local);
    if (tariff == NULL) {
        note_unpriced(row, quarter, false);
        return true;
    }
    tariff_prices(tariff, &local, &price_micro, &feed_in_micro);
    if (!tariff_add_market(tariff, &costing->market, quarter->start_ms / INTERVAL_MS, &price_micro,
                           &feed_in_micro)) {
        note_unpriced(row, quarter, true);
        return true;
    }
    costing->sums.energy =
        wide_add(costing->sums.energy, wide_multiply(quarter->imported_uwh, price_micro));
    costing->sums.feed_in =
        wide_add(costing->sums.feed_in, wide_multiply(quarter->exported_uwh, feed_in_micro));
    return true;
}

static enum status load_market(struct costing *costing, int64_t from_ms, int64_t to_ms,
                               struct error *error)
{
    const struct history_cost_question *question = costing->question;
    intervals_free(&costing->market);
    intervals_free(&costing->co2);
    int64_t from = from_ms / INTERVAL_MS;
    int64_t to = to_ms / INTERVAL_MS + 1;
    int code = SQLITE_OK;
    if (tariffs_follow_market(question->tariffs, question->tariff_count))
        code = interval_store_read(costing->query->db, INTERVAL_PRICE, from, to, &costing->market);
    if (code == SQLITE_OK && question->co2)
        code = interval_store_read(costing->query->db, INTERVAL_CO2, from, to, &costing->co2);
    return code == SQLITE_OK ? STATUS_OK
                             : sql_explain(code, costing->query->db, costing->query->path, error);
}

/* A question about quarters may not be about too many of them: a year at a time. */
static enum status ask_years(struct costing *costing, struct error *error)
{
    const struct history_cost_question *question = costing->question;
    enum status status = STATUS_OK;
    int64_t start_ms = question->from_ms;
    while (status == STATUS_OK && start_ms < question->to_ms && !costing->stopped) {
        int64_t end_ms = bucket_next(BUCKET_YEAR, start_ms);
        if (end_ms > question->to_ms)
            end_ms = question->to_ms;
        status = load_market(costing, start_ms, end_ms, error);
        if (status == STATUS_OK)
            status =
                history_query_energy(costing->query, question->device, question->channel, start_ms,
                                     end_ms, BUCKET_QUARTER, take_quarter, costing, error);
        start_ms = end_ms;
    }
    return status;
}

static enum status check(const struct history_cost_question *question, struct error *error)
{
    enum status status = reader_check_span(question->from_ms, question->to_ms, error);
    if (status == STATUS_OK && question->to_ms - question->from_ms > 200LL * 366 * 86400000)
        return error_set(error, STATUS_USAGE, "Ask for at most 200 years.");
    return status;
}

enum status history_query_cost(struct history_query *query,
                               const struct history_cost_question *question,
                               history_cost_callback callback, void *context, struct error *error)
{
    enum status status = check(question, error);
    if (status != STATUS_OK)
        return status;
    struct costing costing = {
        .question = question, .query = query, .callback = callback, .context = context};
    costing.next_day_ms = bucket_start(BUCKET_DAY, question->from_ms);
    if (costing.next_day_ms < question->from_ms)
        costing.next_day_ms = bucket_next(BUCKET_DAY, question->from_ms);
    begin_row(&costing, question->from_ms);
    status = ask_years(&costing, error);
    while (status == STATUS_OK && !costing.stopped) {
        end_row(&costing);
        if (costing.row.end_ms >= question->to_ms)
            break;
        begin_row(&costing, costing.row.end_ms);
    }
    intervals_free(&costing.market);
    intervals_free(&costing.co2);
    return status;
}
