/* SPDX-License-Identifier: MIT */
/* The totals file: whatever it says, what is taken from it can be believed and counted with. */
#include "bridge/history/safety/totals_file.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct known_channel *channel)
{
    int64_t imported_uwh;
    int64_t exported_uwh;
    if (!channel->has_state)
        return;
    if (!channels_state_plausible(&channel->state))
        abort();
    channels_totals_uwh(&channel->state, &channel->counted, channel->kind, &imported_uwh,
                        &exported_uwh);
    if (imported_uwh < 0 || exported_uwh < 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct channels channels = {0};
    unsigned taken;
    (void)channels_add(&channels, 1, "house", "a", READING_BL0942);
    (void)totals_text_merge((const char *)data, size, &channels, &taken);
    if (taken > 0 && channels.count == 0)
        abort();
    for (size_t i = 0; i < channels.count; i++) {
        const struct known_channel *channel = &channels.list[i];
        if (channel->number < 1 || channel->number > CHANNEL_NUMBER_MAX ||
            (i > 0 && channel->number <= channels.list[i - 1].number))
            abort();
        check(channel);
    }
    channels_free(&channels);
    return 0;
}
