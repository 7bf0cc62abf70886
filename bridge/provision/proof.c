/* SPDX-License-Identifier: MIT */
#include "bridge/provision/proof.h"

#include "bridge/provision/obk_request.h"
#include "drivers/base/clock.h"
#include "drivers/base/text.h"

#include <inttypes.h>
#include <math.h>

#define SLICE_MS 1000

/* What a mains voltage can be, from a sagging 100 V net to the upper end of 277 V. */
#define VOLTAGE_LOW_V 80
#define VOLTAGE_HIGH_V 305

static size_t channels_wanted(const struct proof *proof)
{
    return proof->profile != NULL ? proof->profile->channel_count : proof->channels;
}

bool proof_channel_seen(const struct broker_observation *observation, size_t channel)
{
    for (size_t i = 0; i < BROKER_QUANTITIES; i++)
        if (!observation->seen[channel][i])
            return false;
    return true;
}

/* NULL if the readings can be true, else what is wrong with them. Power may exceed volts times amps
 * only by what truncation and the moments between the three messages explain. */
static const char *implausible(const struct proof *proof,
                               const struct broker_observation *observation, size_t channel)
{
    const double *value = observation->value[channel];
    double limit_a = proof->profile != NULL ? 1.2 * proof->profile->max_current_a : INFINITY;
    if (value[OPENBEKEN_VOLTAGE] < VOLTAGE_LOW_V || value[OPENBEKEN_VOLTAGE] > VOLTAGE_HIGH_V)
        return "the voltage is not that of the mains: is the chip's voltage input connected?";
    if (fabs(value[OPENBEKEN_CURRENT]) > limit_a)
        return "the current is more than the meter can carry: does it need calibration?";
    if (fabs(value[OPENBEKEN_POWER]) >
        1.3 * value[OPENBEKEN_VOLTAGE] * fabs(value[OPENBEKEN_CURRENT]) + 10)
        return "the power is more than voltage times current: does it need calibration?";
    return NULL;
}

static enum status judge_channel(const struct proof *proof,
                                 const struct broker_observation *observation, size_t channel,
                                 struct error *error)
{
    const double *value = observation->value[channel];
    char name = (char)('a' + (int)channel);
    if (!proof_channel_seen(observation, channel))
        return error_set(error, STATUS_NO_ANSWER,
                         "The module is online as %s, but channel %c published no voltage, "
                         "current and power within %" PRId64
                         " s: its chip on UART %d does not answer. Check its wiring and that "
                         "it has mains; --wait waits longer.",
                         proof->client_id, name, proof->wait_ms / 1000,
                         proof->profile != NULL ? proof->profile->channels[channel].uart : 1);
    const char *wrong = implausible(proof, observation, channel);
    if (wrong == NULL)
        return STATUS_OK;
    return error_set(
        error, STATUS_MISMATCH, "Channel %c publishes %.1f V, %.3f A, %.2f W, which cannot be: %s",
        name, value[OPENBEKEN_VOLTAGE], value[OPENBEKEN_CURRENT], value[OPENBEKEN_POWER], wrong);
}

static enum status judge(const struct proof *proof, const struct broker_observation *observation,
                         struct error *error)
{
    if (!observation->online)
        return error_set(
            error, STATUS_NO_ANSWER,
            "All settings are on the module, but it did not connect to %s as %s within "
            "%" PRId64 " s. Can it reach the broker from its network, and are user "
            "and password right?",
            proof->server, proof->client_id, proof->wait_ms / 1000);
    enum status status = STATUS_OK;
    for (size_t i = 0; i < channels_wanted(proof) && status == STATUS_OK; i++)
        status = judge_channel(proof, observation, i, error);
    return status;
}

static int64_t next_look(int64_t deadline_boot_ms)
{
    int64_t next = clock_boot_ms() + SLICE_MS;
    return next < deadline_boot_ms ? next : deadline_boot_ms;
}

enum status proof_wait(const struct proof *proof, struct broker_watch *watch,
                       int64_t deadline_boot_ms, bool *waited,
                       struct broker_observation *observation, struct error *error)
{
    bool said = false;
    int64_t until = 0; /* first what was seen already */
    char sentence[OBK_CLIENT_ID_MAX + 60];
    struct text text;
    text_init(&text, sentence, sizeof sentence);
    text_append(&text, "Waiting for %s on the broker ...", proof->client_id);
    proof->say(proof->context, sentence);
    for (;;) {
        enum status status = broker_watch_wait(watch, until, observation, error);
        if (status != STATUS_OK)
            return status;
        *waited = true;
        if (observation->online && !said)
            proof->say(proof->context,
                       "It is online; waiting for the first readings (up to about a minute) ...");
        said = said || observation->online;
        if (judge(proof, observation, NULL) == STATUS_OK || clock_boot_ms() >= deadline_boot_ms)
            return judge(proof, observation, error);
        if (proof->stopped != NULL && proof->stopped(proof->context))
            return error_set(error, STATUS_FAILED,
                             "Stopped while waiting. The module is set up and goes on by itself.");
        until = next_look(deadline_boot_ms);
    }
}
