/* SPDX-License-Identifier: MIT */
/* How good the line is, by questions that change nothing: volleys of LinkChecks test the way to the
 * chip, sectors read back and compared by the chip's CRC test the way from it. */
#include "drivers/beken/session.h"

#include "drivers/base/text.h"
#include "drivers/beken/crc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    VOLLEY = 24,
    VOLLEY_BYTES = 13,   /* of one LinkCheck and its answer */
    ERRORS_TO_JUDGE = 6, /* one lost byte can cost two questions, so fewer may be chance */
    READ_FRAME = 12,
    READ_MS = 500,
    HOPELESS_BYTES = 1500, /* per error: most sectors would fail */
    LEAVE_TRIES = 4,
};

static const struct line_effort quick = {.volleys = 40, .sectors = 6};
/* Enough bytes to the chip that a line which loses one in 20000 is caught. */
static const struct line_effort thorough = {.volleys = 1000, .sectors = 16, .until_error = true};

static bool is_clean(const struct flasher_rate *rate)
{
    return rate->usable && rate->errors == 0;
}

static bool is_hopeless(const struct flasher_rate *rate)
{
    return !rate->usable || (rate->errors > 0 && rate->bytes / rate->errors < HOPELESS_BYTES);
}

/* More would tell nothing new. */
static bool is_decided(const struct flasher_rate *rate, struct line_effort effort)
{
    if (rate->errors == 0)
        return false;
    return effort.until_error || (rate->errors >= ERRORS_TO_JUDGE && is_hopeless(rate));
}

static enum status test_way_there(struct flasher *flasher, struct line_effort effort,
                                  struct flasher_rate *rate, struct error *error)
{
    for (unsigned i = 0; i < effort.volleys && !is_decided(rate, effort); i++) {
        unsigned lost = 0;
        if (link_stopped(flasher->link))
            return link_stop_error(error);
        enum status status = link_volley(flasher->link, VOLLEY, &lost, error);
        if (status != STATUS_OK)
            return status;
        rate->bytes += (uint64_t)VOLLEY * VOLLEY_BYTES;
        rate->errors += lost;
    }
    return STATUS_OK;
}

/* One sector; its bytes are only compared, so what is in it does not matter. */
static enum status test_one_sector(struct flasher *flasher, uint32_t address,
                                   struct flasher_rate *rate, struct error *error)
{
    struct beken_command command;
    struct beken_reply reply;
    beken_command_read_4k(&command, address);
    const struct link_want want = {.flash = true,
                                   .command = BEKEN_FLASH_READ_4K,
                                   .has_address = true,
                                   .address = address,
                                   .timeout_ms = READ_MS,
                                   .chip_busy = true,
                                   .patient = true}; /* what is late is not lost */
    rate->bytes += READ_FRAME + BEKEN_REPLY_MAX;
    enum status status = link_ask(flasher->link, &command, &want, &reply, error);
    if (status == STATUS_NO_ANSWER) {
        size_t partial = link_partial(flasher->link);
        rate->errors += partial > BEKEN_REPLY_MAX / 2 ? BEKEN_REPLY_MAX - partial : 1;
        return link_resync(flasher->link, error);
    }
    if (status != STATUS_OK || reply.status != BEKEN_FLASH_OK)
        return status;
    uint32_t arrived = beken_crc32_wire(reply.data + 4, BEKEN_SECTOR_SIZE);
    uint32_t crc = 0;
    status = session_crc(flasher, address, BEKEN_SECTOR_SIZE, true, &crc, error);
    rate->errors += status == STATUS_OK && crc != arrived;
    return status;
}

static enum status test_way_back(struct flasher *flasher, struct line_effort effort,
                                 struct flasher_rate *rate, struct error *error)
{
    for (unsigned i = 0; i < effort.sectors && !is_decided(rate, effort); i++) {
        if (link_stopped(flasher->link))
            return link_stop_error(error);
        uint32_t address = BEKEN_CODE_ADDRESS + i * BEKEN_SECTOR_SIZE;
        enum status status = test_one_sector(flasher, address, rate, error);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* Away from a rate at which little gets across, while the module still hears: a chip that is given
 * up at such a rate has to be switched off and on. */
static enum status leave_rate(struct flasher *flasher, struct error *error)
{
    for (unsigned i = 0; i < LEAVE_TRIES; i++) {
        if (link_stopped(flasher->link))
            return link_stop_error(error);
        if (link_resync(flasher->link, error) == STATUS_OK &&
            link_set_baud(flasher->link, LINK_FIRST_BAUD, error) == STATUS_OK)
            return STATUS_OK;
    }
    return session_recover(flasher, error);
}

enum status session_test_rate(struct flasher *flasher, uint32_t baud, struct line_effort effort,
                              struct flasher_rate *rate, struct error *error)
{
    *rate = (struct flasher_rate){.baud = baud};
    session_progress(flasher, "link-test", 0, 1, 0);
    enum status status = link_set_baud(flasher->link, baud, error);
    rate->usable = status == STATUS_OK;
    uint64_t retries = flasher->retries;
    if (status == STATUS_OK)
        status = test_way_there(flasher, effort, rate, error);
    if (status == STATUS_OK && rate->errors > 0)
        status = link_resync(flasher->link, error);
    if (status == STATUS_OK)
        status = test_way_back(flasher, effort, rate, error);
    session_progress(flasher, "link-test", 1, 1, 0);
    if (link_stopped(flasher->link))
        return link_stop_error(error);
    /* A checksum that had to be asked for again is an error of the line, too. */
    rate->errors += flasher->retries - retries;
    flasher->retries = retries;
    if (status == STATUS_OK)
        return STATUS_OK;
    if (rate->usable)
        rate->errors++;
    rate->usable = false;
    if (link_baud(flasher->link) != baud && status == STATUS_FAILED)
        return STATUS_OK; /* the module answers at the rate before */
    return leave_rate(flasher, error);
}

/* What is left of a rate when whole sectors must be sent again: each error costs about two. */
static uint64_t yield(const struct flasher_rate *rate)
{
    uint64_t cost = rate->bytes + rate->errors * 2 * BEKEN_REPLY_MAX;
    return cost == 0 ? 0 : (uint64_t)rate->baud * rate->bytes / cost;
}

static bool is_better(const struct flasher_rate *rate, const struct flasher_rate *than)
{
    bool usual = rate->baud <= 921600; /* above it the flash is what limits */
    bool usual_than = than->baud <= 921600;
    if (is_clean(rate) != is_clean(than))
        return is_clean(rate);
    return usual != usual_than ? usual : yield(rate) > yield(than);
}

/* The fastest clean rate up to 921600; if none is clean, the one that gets most across. */
static const struct flasher_rate *recommend(const struct flasher_line_report *report)
{
    const struct flasher_rate *best = NULL;
    for (size_t i = 0; i < report->count; i++) {
        const struct flasher_rate *rate = &report->rates[i];
        if (!is_hopeless(rate) && (best == NULL || is_better(rate, best)))
            best = rate;
    }
    return best;
}

static enum status go_to(struct flasher *flasher, uint32_t baud, struct error *error)
{
    enum status status = link_set_baud(flasher->link, baud, error);
    if (status == STATUS_NO_ANSWER)
        status = session_recover(flasher, error);
    if (status == STATUS_OK && link_baud(flasher->link) != baud)
        status = link_set_baud(flasher->link, baud, error);
    if (status == STATUS_OK)
        flasher->baud = baud;
    return status;
}

/* ------------------------------------------------------------------ the link test */

static void describe_rate(struct text *text, const struct flasher_rate *rate)
{
    if (!rate->usable && rate->errors == 0)
        text_append(text, " %" PRIu32 " baud does not work here.", rate->baud);
    else if (rate->errors == 1)
        text_append(text, " At %" PRIu32 " baud 1 error in %.1f kB.", rate->baud,
                    (double)rate->bytes / 1000);
    else if (rate->errors > 0)
        text_append(text, " At %" PRIu32 " baud %" PRIu64 " errors in %.1f kB.", rate->baud,
                    rate->errors, (double)rate->bytes / 1000);
}

static bool slower_had_errors(const struct flasher_line_report *report, uint32_t baud)
{
    for (size_t i = 0; i < report->count; i++)
        if (report->rates[i].baud < baud && report->rates[i].errors > 0)
            return true;
    return false;
}

static void describe_best(struct text *text, const struct flasher_line_report *report,
                          const struct flasher_rate *best)
{
    if (best == NULL)
        text_append(text, "The line is not fit for use at any rate: check the ground wire, shorten "
                          "the wires, feed the module from its own 3.3 V supply, and disconnect "
                          "whatever else sits on the module's RX and TX.");
    else if (!is_clean(best))
        text_append(text, "No rate is clean; %" PRIu32 " baud gets most across.", best->baud);
    else if (slower_had_errors(report, best->baud))
        text_append(text,
                    "The line is clean at %" PRIu32 " baud, in a longer test of %.1f kB, but "
                    "something disturbs it now and then.",
                    best->baud, (double)best->bytes / 1000);
    else
        text_append(text, "The line is clean at %" PRIu32 " baud.", best->baud);
}

static void write_verdict(struct flasher_line_report *report, const struct flasher_rate *best)
{
    struct text text;
    bool errors = false;
    text_init(&text, report->verdict, sizeof report->verdict);
    describe_best(&text, report, best);
    for (size_t i = 0; i < report->count; i++) {
        errors = errors || report->rates[i].errors > 0;
        describe_rate(&text, &report->rates[i]);
    }
    if (report->untested_reason[0] != '\0')
        text_append(&text, " %s", report->untested_reason);
    if (report->module_lost)
        text_append(&text, " The module was lost there: switch its power off and on.");
    if (errors && best != NULL)
        text_append(&text, " A powered adapter or shorter wires may help.");
}

static int compare_rates(const void *left, const void *right)
{
    const uint32_t *a = left;
    const uint32_t *b = right;
    return (*a > *b) - (*a < *b);
}

/* From slow to fast, each once. */
static size_t sort_rates(const uint32_t *rates, size_t count, uint32_t sorted[FLASHER_RATES_MAX])
{
    static const uint32_t usual[] = {115200, 230400, 460800, 921600};
    if (count == 0) {
        rates = usual;
        count = sizeof usual / sizeof usual[0];
    }
    if (count > FLASHER_RATES_MAX)
        count = FLASHER_RATES_MAX;
    memcpy(sorted, rates, count * sizeof *rates);
    qsort(sorted, count, sizeof *sorted, compare_rates);
    size_t kept = 1;
    for (size_t i = 1; i < count; i++)
        if (sorted[i] != sorted[kept - 1])
            sorted[kept++] = sorted[i];
    return kept;
}

static void leave_untested(struct flasher_line_report *report, const uint32_t *rates, size_t count)
{
    memcpy(report->untested, rates, count * sizeof *rates);
    report->untested_count = count;
    if (count > 0)
        (void)snprintf(report->untested_reason, sizeof report->untested_reason,
                       "Faster rates were not tried, because hardly anything gets across at "
                       "%" PRIu32 " baud.",
                       report->rates[report->count - 1].baud);
}

static enum status test_upwards(struct flasher *flasher, const uint32_t *rates, size_t count,
                                struct flasher_line_report *report, struct error *error)
{
    for (size_t i = 0; i < count; i++) {
        struct flasher_rate *rate = &report->rates[report->count++];
        enum status status = session_test_rate(flasher, rates[i], quick, rate, error);
        report->module_lost = status == STATUS_NO_ANSWER;
        if (status != STATUS_OK && !report->module_lost)
            return status;
        /* A rate that the module or the adapter does not know says nothing about the next one. */
        bool is_bad = rate->errors > 0 && is_hopeless(rate);
        if (report->module_lost || is_bad) {
            leave_untested(report, rates + i + 1, count - i - 1);
            return STATUS_OK;
        }
    }
    return STATUS_OK;
}

/* Few errors fit into a short test, so what was clean above a rate that was not has to show more.
 */
static enum status test_doubtful(struct flasher *flasher, struct flasher_line_report *report,
                                 struct error *error)
{
    for (size_t i = 0; i < report->count; i++) {
        struct flasher_rate *rate = &report->rates[i];
        struct flasher_rate more;
        if (!is_clean(rate) || !slower_had_errors(report, rate->baud))
            continue;
        enum status status = session_test_rate(flasher, rate->baud, thorough, &more, error);
        report->module_lost = status == STATUS_NO_ANSWER;
        if (status != STATUS_OK && !report->module_lost)
            return status;
        rate->bytes += more.bytes;
        rate->errors += more.errors;
        rate->usable = more.usable;
        if (report->module_lost)
            return STATUS_OK;
    }
    return STATUS_OK;
}

enum status flasher_test_line(struct flasher *flasher, const uint32_t *rates, size_t count,
                              struct flasher_line_report *report, struct error *error)
{
    uint32_t sorted[FLASHER_RATES_MAX];
    count = sort_rates(rates, count, sorted);
    *report = (struct flasher_line_report){0};
    enum status status = test_upwards(flasher, sorted, count, report, error);
    if (status == STATUS_OK && !report->module_lost)
        status = test_doubtful(flasher, report, error);
    if (status != STATUS_OK)
        return status;
    const struct flasher_rate *best = recommend(report);
    report->recommended_baud = best == NULL ? 0 : best->baud;
    write_verdict(report, best);
    if (best == NULL || report->module_lost)
        return STATUS_OK;
    return go_to(flasher, best->baud, error);
}

/* ------------------------------------------------------------------ choosing a rate for work */

static const uint32_t downwards[] = {921600, 460800, 230400, 115200};

static void note_choice(struct flasher *flasher, const struct flasher_line_report *report,
                        const struct flasher_rate *chosen)
{
    const struct flasher_rate *worse = &report->rates[0];
    if (chosen->errors > 0)
        session_note(flasher,
                     "The line lost something at every rate (%" PRIu64 " errors in %" PRIu64
                     " kB at %" PRIu32
                     " baud); going on at that rate with retries. A powered adapter or "
                     "shorter wires may help.",
                     chosen->errors, chosen->bytes / 1000, chosen->baud);
    else if (worse != chosen && worse->errors > 0)
        session_note(flasher,
                     "The line lost %" PRIu64 " bytes or frames in %" PRIu64 " kB at %" PRIu32
                     " baud; going on at %" PRIu32 ". A powered adapter or shorter wires may help.",
                     worse->errors, worse->bytes / 1000, worse->baud, chosen->baud);
    else if (worse != chosen)
        session_note(flasher, "%" PRIu32 " baud does not work here; going on at %" PRIu32 ".",
                     worse->baud, chosen->baud);
}

/* From the highest rate down to the first clean one. *chosen stays empty if none is fit for use. */
static enum status choose_by_test(struct flasher *flasher, struct line_effort effort,
                                  bool must_be_clean, struct flasher_rate *chosen,
                                  struct error *error)
{
    struct flasher_line_report report = {0};
    *chosen = (struct flasher_rate){0};
    for (size_t i = 0; i < sizeof downwards / sizeof downwards[0]; i++) {
        struct flasher_rate *rate = &report.rates[report.count++];
        enum status status = session_test_rate(flasher, downwards[i], effort, rate, error);
        if (status != STATUS_OK)
            return status;
        if (is_clean(rate))
            break;
    }
    const struct flasher_rate *best = recommend(&report);
    if (best == NULL)
        return STATUS_OK;
    *chosen = *best;
    if (is_clean(best) || !must_be_clean)
        note_choice(flasher, &report, best);
    return STATUS_OK;
}

static enum status not_clean(const struct flasher *flasher, const struct flasher_rate *rate,
                             struct error *error)
{
    return error_set(
        error, STATUS_REFUSED,
        "The line is not clean (%" PRIu64 " errors in %" PRIu64 " kB at %" PRIu32
        " baud), and on a %s a damaged command can destroy the bootloader; nothing was erased. "
        "Use a powered adapter and shorter wires, or a lower --baud.",
        rate->errors, rate->bytes / 1000, rate->baud, beken_chip_name(flasher->module.chip));
}

/* The rate that the user wants, whatever it is like. */
static enum status take_users_baud(struct flasher *flasher, struct error *error)
{
    enum status status = go_to(flasher, flasher->options.baud, error);
    return status == STATUS_OK
               ? status
               : error_prefix(error, status, "--baud %" PRIu32 ": ", flasher->options.baud);
}

enum status flasher_choose_baud(struct flasher *flasher, bool for_writing, struct error *error)
{
    bool must_be_clean = for_writing && session_is_flapping(flasher);
    if (flasher->options.baud != 0) {
        enum status status = take_users_baud(flasher, error);
        return status == STATUS_OK && must_be_clean ? session_require_clean_line(flasher, error)
                                                    : status;
    }
    struct flasher_rate chosen;
    enum status status =
        choose_by_test(flasher, must_be_clean ? thorough : quick, must_be_clean, &chosen, error);
    if (status != STATUS_OK)
        return status;
    if (chosen.baud == 0)
        return error_set(
            error, STATUS_REFUSED,
            "The line is not fit for use at any rate: check the ground wire, shorten the "
            "wires and feed the module from its own 3.3 V supply; nothing was changed.");
    if (must_be_clean && chosen.errors > 0)
        return not_clean(flasher, &chosen, error);
    flasher->line_is_fair = chosen.errors == 0;
    if (must_be_clean)
        flasher->clean_baud = chosen.baud;
    return go_to(flasher, chosen.baud, error);
}

enum status session_require_clean_line(struct flasher *flasher, struct error *error)
{
    if (link_baud(flasher->link) <= flasher->clean_baud)
        return STATUS_OK;
    struct flasher_rate rate;
    enum status status =
        session_test_rate(flasher, link_baud(flasher->link), thorough, &rate, error);
    if (status != STATUS_OK)
        return status;
    if (!is_clean(&rate))
        return not_clean(flasher, &rate, error);
    flasher->clean_baud = rate.baud;
    return STATUS_OK;
}

enum status session_require_fair_line(struct flasher *flasher, struct error *error)
{
    if (flasher->line_is_fair)
        return STATUS_OK;
    struct flasher_rate rate;
    enum status status = session_test_rate(flasher, link_baud(flasher->link), quick, &rate, error);
    if (status != STATUS_OK)
        return status;
    flasher->line_is_fair = is_clean(&rate);
    if (flasher->line_is_fair)
        return STATUS_OK;
    return error_set(
        error, STATUS_REFUSED,
        "The line loses bytes (%" PRIu64 " errors in %" PRIu64 " kB at %" PRIu32
        " baud), a damaged command can hit another place in the flash, and there is no backup "
        "to repair that from; nothing was erased. Make a backup with this write, or use a "
        "powered adapter and shorter wires.",
        rate.errors, rate.bytes / 1000, rate.baud);
}
