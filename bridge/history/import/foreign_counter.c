/* SPDX-License-Identifier: MIT */
#include "bridge/history/import/foreign_counter.h"

void foreign_counter_piece(struct foreign_counter *counter, int64_t from_ms, int64_t to_ms,
                           int64_t imported_uwh, int64_t exported_uwh)
{
    struct foreign_parsed *parsed = counter->parsed;
    if (parsed->last_ms == 0 || from_ms < parsed->first_ms)
        parsed->first_ms = from_ms;
    if (to_ms > parsed->last_ms)
        parsed->last_ms = to_ms;
    if (!counter->piece(counter->context, from_ms, to_ms, imported_uwh, exported_uwh))
        counter->full = true;
}

/* ---- totals ---- */

/* Whether that much energy is possible in that time; a minute more, as stamps are not exact. */
static bool possible(const struct foreign_counter *counter, int64_t from_ms, int64_t to_ms,
                     int64_t uwh)
{
    double hours = (double)(to_ms - from_ms + 60000) / 3.6e6;
    return (double)uwh <= counter->max_power_w * hours * 1e6;
}

static void believe(struct foreign_counter *counter, int64_t at_ms, int64_t uwh, int64_t energy_uwh)
{
    foreign_counter_piece(counter, counter->at_ms, at_ms, energy_uwh, 0);
    counter->at_ms = at_ms;
    counter->uwh = uwh;
}

/* The value that waited is taken for what it shows: a counter that began anew, or another one. */
static void accept_waiting(struct foreign_counter *counter)
{
    bool reset = counter->waits_uwh < counter->uwh &&
                 possible(counter, counter->at_ms, counter->waits_ms, counter->waits_uwh);
    if (reset)
        counter->parsed->resets++;
    else
        counter->parsed->jumps++;
    believe(counter, counter->waits_ms, counter->waits_uwh, reset ? counter->waits_uwh : 0);
    counter->waits = false;
}

static bool fits(const struct foreign_counter *counter, int64_t at_ms, int64_t uwh)
{
    return uwh >= counter->uwh && possible(counter, counter->at_ms, at_ms, uwh - counter->uwh);
}

void foreign_counter_total(struct foreign_counter *counter, int64_t at_ms, int64_t uwh)
{
    int64_t last_ms = counter->waits ? counter->waits_ms : counter->at_ms;
    counter->parsed->rows++;
    if (counter->any && at_ms <= last_ms) {
        counter->parsed->unsorted++;
        return;
    }
    if (!counter->any) {
        counter->any = true;
        counter->at_ms = at_ms;
        counter->uwh = uwh;
        return;
    }
    if (counter->waits && fits(counter, at_ms, uwh)) {
        counter->parsed->glitches++;
        counter->waits = false;
    } else if (counter->waits) {
        accept_waiting(counter);
    }
    if (fits(counter, at_ms, uwh)) {
        believe(counter, at_ms, uwh, uwh - counter->uwh);
        return;
    }
    counter->waits = true;
    counter->waits_ms = at_ms;
    counter->waits_uwh = uwh;
}

/* ---- intervals ---- */

static void interval_piece(struct foreign_counter *counter, int64_t from_ms, int64_t to_ms,
                           int64_t uwh)
{
    if (counter->too_much_line == 0 && !possible(counter, from_ms, to_ms, uwh)) {
        counter->too_much_line = counter->own_line;
        counter->too_much_ms = to_ms - from_ms;
        counter->too_much_uwh = uwh;
    }
    foreign_counter_piece(counter, from_ms, to_ms, uwh, 0);
}

/* The interval that waits for its end gets it. Months differ in length, holes are much longer. */
static void end_interval(struct foreign_counter *counter, int64_t next_ms)
{
    int64_t end_ms = next_ms;
    if (counter->usual_ms > 0 && next_ms - counter->at_ms > counter->usual_ms * 3 / 2)
        end_ms = counter->at_ms + counter->usual_ms;
    interval_piece(counter, counter->at_ms, end_ms, counter->uwh);
    counter->waits = false;
}

bool foreign_counter_interval(struct foreign_counter *counter, int64_t from_ms, int64_t to_ms,
                              int64_t uwh)
{
    if (counter->any && from_ms <= counter->at_ms)
        return false;
    if (counter->waits)
        end_interval(counter, from_ms);
    counter->parsed->rows++;
    counter->any = true;
    counter->at_ms = from_ms;
    counter->uwh = uwh;
    counter->own_line = counter->line;
    if (to_ms > from_ms)
        interval_piece(counter, from_ms, to_ms, uwh);
    else
        counter->waits = true;
    return true;
}

bool foreign_counter_end(struct foreign_counter *counter)
{
    if (!counter->waits)
        return true;
    if (!counter->parsed->intervals) {
        accept_waiting(counter);
        return true;
    }
    if (counter->usual_ms <= 0)
        return false;
    end_interval(counter, counter->at_ms + counter->usual_ms);
    return true;
}
