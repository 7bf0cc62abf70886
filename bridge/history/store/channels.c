/* SPDX-License-Identifier: MIT */
#include "bridge/history/store/channels.h"

#include "drivers/base/memory.h"

#include <string.h>

void channels_free(struct channels *channels)
{
    for (size_t i = 0; i < channels->count; i++) {
        free(channels->list[i].device);
        free(channels->list[i].channel);
    }
    for (size_t i = 0; i < channels->retired_count; i++)
        free(channels->retired[i]);
    free(channels->retired);
    free(channels->list);
    *channels = (struct channels){0};
}

bool channels_have_device(const struct channels *channels, const char *device)
{
    for (size_t i = 0; i < channels->count; i++)
        if (strcmp(channels->list[i].device, device) == 0)
            return true;
    return false;
}

void channels_rename_device(struct channels *channels, const char *from, const char *to)
{
    for (size_t i = 0; i < channels->count; i++) {
        struct known_channel *known = &channels->list[i];
        if (strcmp(known->device, from) != 0)
            continue;
        channels->retired = memory_grow(channels->retired, channels->retired_count,
                                        &channels->retired_capacity, sizeof(char *));
        channels->retired[channels->retired_count++] = known->device;
        known->device = memory_copy_text(to);
        known->stored = false;
    }
}

/* Index of the first channel whose number is not below number. */
static size_t lower_bound(const struct channels *channels, unsigned number)
{
    size_t low = 0;
    size_t high = channels->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (channels->list[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct known_channel *channels_find(struct channels *channels, unsigned number)
{
    size_t at = lower_bound(channels, number);
    if (at == channels->count || channels->list[at].number != number)
        return NULL;
    return &channels->list[at];
}

struct known_channel *channels_find_name(struct channels *channels, const char *device,
                                         const char *channel, enum reading_kind kind)
{
    for (size_t i = 0; i < channels->count; i++) {
        struct known_channel *known = &channels->list[i];
        if (known->kind == kind && strcmp(known->device, device) == 0 &&
            strcmp(known->channel, channel) == 0)
            return known;
    }
    return NULL;
}

/* After the maximum one in use, so that a number that was lost is not given to another circuit;
 * only when those are used up, the first gap. 0 if there is none. */
static unsigned free_number(const struct channels *channels)
{
    if (channels->count == 0)
        return 1;
    unsigned maximum = channels->list[channels->count - 1].number;
    if (maximum < CHANNEL_NUMBER_MAX)
        return maximum + 1;
    for (size_t i = 0; i < channels->count; i++)
        if (channels->list[i].number != i + 1)
            return (unsigned)i + 1;
    return 0;
}

struct known_channel *channels_add(struct channels *channels, unsigned number, const char *device,
                                   const char *channel, enum reading_kind kind)
{
    if (number == 0 || number > CHANNEL_NUMBER_MAX || channels_find(channels, number) != NULL)
        number = free_number(channels);
    if (number == 0)
        return NULL;
    channels->list =
        memory_grow(channels->list, channels->count, &channels->capacity, sizeof *channels->list);
    size_t at = lower_bound(channels, number);
    struct known_channel *place = &channels->list[at];
    memmove(place + 1, place, (channels->count - at) * sizeof *place);
    channels->count++;
    *place = (struct known_channel){
        .number = number,
        .device = memory_copy_text(device),
        .channel = memory_copy_text(channel),
        .kind = kind,
    };
    return place;
}

void channels_totals_uwh(const struct energy_state *state, const struct known_calibration *counted,
                         enum reading_kind kind, int64_t *imported_uwh, int64_t *exported_uwh)
{
    *imported_uwh = state->base_imported_uwh;
    *exported_uwh = state->base_exported_uwh;
    if (counted->id != 0)
        energy_totals_uwh(state, &counted->factors, kind, imported_uwh, exported_uwh);
}

int64_t channels_energy_uwh(const struct known_channel *channel)
{
    if (!channel->has_state)
        return 0;
    int64_t imported_uwh;
    int64_t exported_uwh;
    channels_totals_uwh(&channel->state, &channel->counted, channel->kind, &imported_uwh,
                        &exported_uwh);
    int64_t sum;
    return __builtin_add_overflow(imported_uwh, exported_uwh, &sum) ? INT64_MAX : sum;
}

void channels_take_over(struct channels *channels, struct known_channel *channel)
{
    const struct known_channel *maximum = NULL;
    for (size_t i = 0; i < channels->count; i++) {
        const struct known_channel *other = &channels->list[i];
        if (other->kind == channel->kind || strcmp(other->device, channel->device) != 0 ||
            strcmp(other->channel, channel->channel) != 0)
            continue;
        if (maximum == NULL || channels_energy_uwh(other) > channels_energy_uwh(maximum))
            maximum = other;
    }
    if (maximum == NULL || channels_energy_uwh(maximum) <= channels_energy_uwh(channel))
        return;
    /* Not `known`: what the chip counted while another source read it is in that one's total. */
    struct energy_state state = {0};
    channels_totals_uwh(&maximum->state, &maximum->counted, maximum->kind, &state.base_imported_uwh,
                        &state.base_exported_uwh);
    channels_put_state(channel, &state);
}

bool channels_record(struct channels *channels, struct known_channel *channel,
                     const struct calibration *factors, bool invert, enum calibration_origin origin,
                     int64_t wall_ms)
{
    const struct known_calibration *last = &channel->recorded;
    if (last->id != 0 && calibration_equal(&last->factors, factors) && last->invert == invert &&
        last->origin == origin)
        return false;
    channel->recorded = (struct known_calibration){
        .id = ++channels->last_calibration_id,
        .valid_from_ms = wall_ms,
        .factors = *factors,
        .invert = invert,
        .origin = origin,
    };
    channel->recorded_stored = false;
    if (origin == CALIBRATION_CONFIGURED) {
        channel->configured = channel->recorded;
        channel->configured_stored = false;
    }
    return true;
}

void channels_configure(struct channels *channels, struct known_channel *channel,
                        const struct calibration *factors, bool invert, int64_t wall_ms)
{
    struct known_calibration measured = channel->recorded;
    bool is_measured = measured.id != 0 && measured.origin == CALIBRATION_MEASURED;
    /* Of a file that was lost with its configured rows, only the measured factors may be left. */
    bool unchanged =
        channel->configured.id == 0 || calibration_equal(&channel->configured.factors, factors);
    if (!is_measured || !unchanged || channel->configured.id == 0)
        (void)channels_record(channels, channel, factors, invert, CALIBRATION_CONFIGURED, wall_ms);
    if (is_measured && unchanged)
        (void)channels_record(channels, channel, &measured.factors, invert, CALIBRATION_MEASURED,
                              wall_ms);
}

bool channels_record_waits(const struct known_channel *channel)
{
    return !channel->recorded_stored && channel->recorded.id != 0 &&
           channel->recorded.id != channel->configured.id;
}

void channels_put_state(struct known_channel *channel, const struct energy_state *state)
{
    channel->state = *state;
    if (channel->adjusted)
        energy_adjust(&channel->state, &channel->adjustment);
    channel->has_state = true;
    channel->counted = channel->recorded;
    channel->dirty = true;
}

void channels_take(struct channels *channels, struct known_channel *channel,
                   const struct known_channel *found)
{
    if (found->counted.id != 0)
        (void)channels_record(channels, channel, &found->counted.factors, found->counted.invert,
                              found->counted.origin, found->counted.valid_from_ms);
    channels_put_state(channel, &found->state);
}

void channels_adjust(struct known_channel *channel, const struct energy_adjustment *adjustment)
{
    energy_adjust(&channel->state, adjustment);
    channel->stored_imported_uwh += adjustment->total_imported_uwh;
    channel->stored_exported_uwh += adjustment->total_exported_uwh;
    channel->adjustment = *adjustment;
    channel->adjusted = true;
}

void channels_adjusted(struct known_channel *channel)
{
    channel->adjusted = false;
}

void channels_forget_stored(struct channels *channels)
{
    for (size_t i = 0; i < channels->count; i++) {
        struct known_channel *channel = &channels->list[i];
        channel->stored = false;
        channel->recorded_stored = false;
        channel->configured_stored = false;
        channel->dirty = channel->has_state;
        channel->stored_base.known = false;
    }
}

bool channels_state_plausible(const struct energy_state *state)
{
    return state->counter >= 0 && state->imported >= 0 && state->exported >= 0 &&
           state->base_imported_uwh >= 0 && state->base_exported_uwh >= 0 &&
           memchr(state->boot_id, '\0', sizeof state->boot_id) != NULL;
}

void channels_stored(struct known_channel *channel, const struct energy_state *state,
                     const struct known_calibration *counted)
{
    channels_totals_uwh(state, counted, channel->kind, &channel->stored_imported_uwh,
                        &channel->stored_exported_uwh);
    channel->stored_base = (struct stored_base){
        .known = true,
        .calibration = counted->id,
        .imported_uwh = state->base_imported_uwh,
        .exported_uwh = state->base_exported_uwh,
    };
}

bool channels_same_base(const struct known_channel *channel)
{
    const struct stored_base *base = &channel->stored_base;
    return base->known && base->calibration == channel->counted.id &&
           base->imported_uwh == channel->state.base_imported_uwh &&
           base->exported_uwh == channel->state.base_exported_uwh;
}
