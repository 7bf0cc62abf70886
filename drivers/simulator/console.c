/* SPDX-License-Identifier: MIT */
#include "drivers/simulator/console.h"

#include "drivers/base/number.h"

#include <stddef.h>
#include <string.h>

#define WORDS 6
#define COUNTER_MAX 0xFFFFFF

static bool parse_real(const char *text, double low, double high, double *value)
{
    return number_parse_double(text, strlen(text), low, high, value);
}

static bool parse_whole(const char *text, int64_t low, int64_t high, int64_t *value)
{
    return number_parse_int(text, strlen(text), low, high, value);
}

/* ---- faults ---- */

static const struct {
    const char *name;
    size_t offset;
} fault_table[] = {
    {"junk_before", offsetof(struct chip_faults, junk_before)},
    {"bit_flip", offsetof(struct chip_faults, bit_flip)},
    {"double_flip", offsetof(struct chip_faults, double_flip)},
    {"truncate", offsetof(struct chip_faults, truncate)},
    {"silence", offsetof(struct chip_faults, silence)},
    {"late", offsetof(struct chip_faults, late)},
    {"reset", offsetof(struct chip_faults, reset)},
    {"wrong_address", offsetof(struct chip_faults, wrong_address)},
};

bool console_set_fault(struct chip_faults *faults, const char *name, size_t name_length,
                       const char *probability)
{
    double value;
    if (!number_parse_double(probability, strlen(probability), 0, 1, &value))
        return false;
    for (size_t i = 0; i < sizeof fault_table / sizeof fault_table[0]; i++) {
        if (strlen(fault_table[i].name) != name_length ||
            memcmp(fault_table[i].name, name, name_length) != 0)
            continue;
        memcpy((char *)faults + fault_table[i].offset, &value, sizeof value);
        return true;
    }
    return false;
}

/* ---- truth ---- */

static json_t *chip_truth_document(struct simulator_meter *meter, size_t index)
{
    struct chip_truth truth;
    simulator_meter_truth(meter, index, &truth);
    return json_pack("{s:i, s:f, s:f, s:f, s:f, s:I, s:I, s:i, s:i, s:i, s:i, s:i, "
                     "s:{s:i, s:i, s:i, s:i, s:i, s:i}}",
                     "address", (int)simulator_meter_address(meter, index), "voltage_v",
                     truth.load.voltage_v, "current_a", truth.load.current_a, "power_w",
                     truth.load.power_w, "frequency_hz", truth.load.frequency_hz, "counts_imported",
                     (json_int_t)truth.counts_imported, "counts_exported",
                     (json_int_t)truth.counts_exported, "counter", (int)truth.counter, "resets",
                     (int)truth.resets, "answers", (int)truth.answers, "faults", (int)truth.faults,
                     "mode", (int)truth.mode, "registers", "v_rms", (int)truth.v_rms, "i_rms",
                     (int)truth.i_rms, "i_fast_rms", (int)truth.i_fast_rms, "watt", (int)truth.watt,
                     "frequency", (int)truth.frequency, "status", (int)truth.status);
}

json_t *console_truth(struct simulator_meter *meter)
{
    json_t *chips = json_array();
    for (size_t i = 0; i < simulator_meter_chip_count(meter); i++)
        (void)json_array_append_new(chips, chip_truth_document(meter, i));
    return json_pack("{s:s?, s:o}", "port", simulator_meter_port(meter), "chips", chips);
}

/* ---- orders ---- */

struct words {
    size_t count;
    char *word[WORDS];
};

/* False if there are too many. */
static bool split(char *line, struct words *words)
{
    words->count = 0;
    char *rest = line;
    char *word;
    while ((word = strsep(&rest, " \t\r")) != NULL) {
        if (*word == '\0')
            continue;
        if (words->count == WORDS)
            return false;
        words->word[words->count++] = word;
    }
    return true;
}

/* The chips that a command is for: the one at "@N", or all. */
struct range {
    size_t first, end;
};

static bool find_chip(const struct simulator_meter *meter, const char *text, struct range *range)
{
    int64_t address;
    if (!parse_whole(text, 0, SIMULATOR_CHIPS_MAX - 1, &address))
        return false;
    for (size_t i = 0; i < simulator_meter_chip_count(meter); i++) {
        if (simulator_meter_address(meter, i) != (unsigned)address)
            continue;
        *range = (struct range){i, i + 1};
        return true;
    }
    return false;
}

static bool parse_load(const struct words *words, struct load_options *load)
{
    if (words->count == 2)
        return load_profile_parse(words->word[1], &load->profile);
    struct chip_load *constant = &load->constant;
    load->profile = LOAD_CONSTANT;
    return (words->count == 4 || words->count == 5) &&
           parse_real(words->word[1], 0, 400, &constant->voltage_v) &&
           parse_real(words->word[2], 0, 1000, &constant->current_a) &&
           parse_real(words->word[3], -400000, 400000, &constant->power_w) &&
           (words->count == 4 || parse_real(words->word[4], 40, 70, &constant->frequency_hz));
}

static bool do_load(struct simulator_meter *meter, struct range range, const struct words *words)
{
    for (size_t i = range.first; i < range.end; i++) {
        struct load_options load;
        simulator_meter_get_load(meter, i, &load);
        if (!parse_load(words, &load))
            return false;
        simulator_meter_set_load(meter, i, &load);
    }
    return true;
}

static bool do_fault(struct simulator_meter *meter, struct range range, const struct words *words)
{
    bool good = words->count == 3;
    for (size_t i = range.first; good && i < range.end; i++) {
        struct chip_faults faults;
        simulator_meter_get_faults(meter, i, &faults);
        good = console_set_fault(&faults, words->word[1], strlen(words->word[1]), words->word[2]);
        simulator_meter_set_faults(meter, i, &faults);
    }
    return good;
}

static bool do_silence(struct simulator_meter *meter, struct range range, const struct words *words)
{
    if (words->count != 2)
        return false;
    bool on = strcmp(words->word[1], "on") == 0;
    if (!on && strcmp(words->word[1], "off") != 0)
        return false;
    for (size_t i = range.first; i < range.end; i++)
        simulator_meter_silence(meter, i, on);
    return true;
}

static bool do_reset(struct simulator_meter *meter, struct range range, const struct words *words)
{
    if (words->count > 2 || (words->count == 2 && !find_chip(meter, words->word[1], &range)))
        return false;
    for (size_t i = range.first; i < range.end; i++)
        simulator_meter_reset(meter, i);
    return true;
}

static bool do_count(struct simulator_meter *meter, struct range range, const struct words *words)
{
    int64_t count;
    if (words->count != 2 || !parse_whole(words->word[1], 0, COUNTER_MAX, &count))
        return false;
    for (size_t i = range.first; i < range.end; i++)
        simulator_meter_set_counter(meter, i, (uint32_t)count);
    return true;
}

static bool do_unplug(struct simulator_meter *meter, struct range range, const struct words *words)
{
    (void)range;
    if (words->count == 1)
        simulator_meter_unplug(meter);
    return words->count == 1;
}

static bool do_nothing(struct simulator_meter *meter, struct range range, const struct words *words)
{
    (void)meter;
    (void)range;
    return words->count == 1;
}

static const struct {
    const char *name;
    /* False if the words are not of this form. */
    bool (*run)(struct simulator_meter *meter, struct range range, const struct words *words);
    const char *form;
    enum console_order order; /* what the caller is to do then */
} order_table[] = {
    {"load", do_load, "load VOLT AMPERE WATT [HERTZ], or load PROFILE", CONSOLE_DONE},
    {"fault", do_fault, "fault NAME PROBABILITY", CONSOLE_DONE},
    {"silence", do_silence, "silence on, or silence off", CONSOLE_DONE},
    {"reset", do_reset, "reset [ADDRESS]", CONSOLE_DONE},
    {"count", do_count, "count NUMBER", CONSOLE_DONE},
    {"unplug", do_unplug, "unplug", CONSOLE_DONE},
    {"replug", do_nothing, "replug", CONSOLE_REPLUG},
    {"truth", do_nothing, "truth", CONSOLE_TRUTH},
    {"quit", do_nothing, "quit", CONSOLE_QUIT},
};

static enum console_order carry_out(struct simulator_meter *meter, struct range range,
                                    const struct words *words, struct error *error)
{
    for (size_t i = 0; i < sizeof order_table / sizeof order_table[0]; i++) {
        if (strcmp(words->word[0], order_table[i].name) != 0)
            continue;
        if (order_table[i].run(meter, range, words))
            return order_table[i].order;
        (void)error_set(error, STATUS_USAGE, "Say \"%s\".", order_table[i].form);
        return CONSOLE_WRONG;
    }
    (void)error_set(error, STATUS_USAGE,
                    "There is no command \"%s\"; see bl2mqtt-simulate-meter(1).", words->word[0]);
    return CONSOLE_WRONG;
}

enum console_order console_obey(struct simulator_meter *meter, char *line, struct error *error)
{
    struct words words;
    struct range range = {0, simulator_meter_chip_count(meter)};
    if (!split(line, &words)) {
        (void)error_set(error, STATUS_USAGE, "A command has at most %d words.", WORDS);
        return CONSOLE_WRONG;
    }
    if (words.count > 0 && words.word[0][0] == '@') {
        if (!find_chip(meter, words.word[0] + 1, &range)) {
            (void)error_set(error, STATUS_USAGE, "There is no chip at address %s.",
                            words.word[0] + 1);
            return CONSOLE_WRONG;
        }
        words.count--;
        memmove(words.word, words.word + 1, words.count * sizeof words.word[0]);
    }
    return words.count == 0 ? CONSOLE_DONE : carry_out(meter, range, &words, error);
}
