/* SPDX-License-Identifier: MIT */
#include "bridge/history/store/peaks.h"

#include "drivers/base/memory.h"

void peaks_free(struct peaks *peaks)
{
    free(peaks->members);
    free(peaks->devices);
    free(peaks->member_by_number);
    free(peaks->device_by_number);
    *peaks = (struct peaks){.members = NULL};
}

void peaks_begin(struct peaks *peaks)
{
    for (size_t i = 0; i < peaks->member_count; i++)
        peaks->member_by_number[peaks->members[i].number] = 0;
    for (size_t i = 0; i < peaks->device_count; i++)
        peaks->device_by_number[peaks->devices[i].device] = 0;
    peaks->member_count = peaks->device_count = 0;
    peaks->any = false;
}

static struct peak_device *device_of(struct peaks *peaks, unsigned device)
{
    if (peaks->device_by_number == NULL)
        peaks->device_by_number = memory_new(CHANNEL_NUMBER_MAX + 1, sizeof(uint16_t));
    uint16_t *index = &peaks->device_by_number[device];
    if (*index == 0) {
        peaks->devices = memory_grow(peaks->devices, peaks->device_count, &peaks->device_capacity,
                                     sizeof *peaks->devices);
        peaks->devices[peaks->device_count++] = (struct peak_device){.device = device};
        *index = (uint16_t)peaks->device_count;
    }
    return &peaks->devices[*index - 1];
}

static struct peak_member *member_of(struct peaks *peaks, unsigned number,
                                     struct peak_device *device)
{
    if (peaks->member_by_number == NULL)
        peaks->member_by_number = memory_new(CHANNEL_NUMBER_MAX + 1, sizeof(uint16_t));
    uint16_t *index = &peaks->member_by_number[number];
    if (*index == 0) {
        peaks->members = memory_grow(peaks->members, peaks->member_count, &peaks->member_capacity,
                                     sizeof *peaks->members);
        peaks->members[peaks->member_count++] =
            (struct peak_member){.number = number, .next = device->first};
        *index = (uint16_t)peaks->member_count;
        device->first = peaks->member_count;
    }
    return &peaks->members[*index - 1];
}

static void keep(struct peaks *peaks, const struct peak_device *device, bool min, bool max)
{
    for (size_t i = device->first; i != 0; i = peaks->members[i - 1].next) {
        struct peak_member *member = &peaks->members[i - 1];
        if (!member->in_moment)
            continue;
        member->best_min = min ? member->now_min : member->best_min;
        member->best_max = max ? member->now_max : member->best_max;
        member->known = true;
    }
}

static void end_moment(struct peaks *peaks)
{
    for (size_t i = 0; i < peaks->device_count; i++) {
        struct peak_device *device = &peaks->devices[i];
        if (device->touched && !device->incomplete) {
            bool min = !device->known || device->now_min < device->min_mw;
            bool max = !device->known || device->now_max > device->max_mw;
            device->min_mw = min ? device->now_min : device->min_mw;
            device->max_mw = max ? device->now_max : device->max_mw;
            device->known = true;
            keep(peaks, device, min, max);
        }
        device->touched = device->incomplete = false;
        device->now_min = device->now_max = 0;
    }
    for (size_t i = 0; i < peaks->member_count; i++)
        peaks->members[i].in_moment = false;
}

void peaks_add(struct peaks *peaks, unsigned device, const struct rollup_row *row,
               double mw_per_raw)
{
    if (peaks->any && row->start_ms != peaks->moment_ms)
        end_moment(peaks);
    peaks->any = true;
    peaks->moment_ms = row->start_ms;
    struct peak_device *sum = device_of(peaks, device);
    struct peak_member *member = member_of(peaks, row->number, sum);
    sum->touched = true;
    sum->incomplete = sum->incomplete || !row->device_known;
    member->in_moment = true;
    member->now_min = row->device_min;
    member->now_max = row->device_max;
    sum->now_min += (double)row->device_min * mw_per_raw;
    sum->now_max += (double)row->device_max * mw_per_raw;
}

void peaks_end(struct peaks *peaks)
{
    end_moment(peaks);
}

void peaks_give(const struct peaks *peaks, struct rollup_row *row)
{
    row->device_known = false;
    if (peaks->member_by_number == NULL || peaks->member_by_number[row->number] == 0)
        return;
    const struct peak_member *member = &peaks->members[peaks->member_by_number[row->number] - 1];
    row->device_known = member->known;
    row->device_min = member->best_min;
    row->device_max = member->best_max;
}

bool peaks_of(const struct peaks *peaks, unsigned device, double *min_mw, double *max_mw)
{
    if (peaks->device_by_number == NULL || peaks->device_by_number[device] == 0)
        return false;
    const struct peak_device *found = &peaks->devices[peaks->device_by_number[device] - 1];
    *min_mw = found->min_mw;
    *max_mw = found->max_mw;
    return found->known;
}
