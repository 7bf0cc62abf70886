/* SPDX-License-Identifier: MIT */
#include "bridge/history/safety/interim.h"

#include "drivers/base/clock.h"
#include "drivers/base/file.h"
#include "drivers/base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 4096U
/* Two slots for all the channels that there can be. */
#define FILE_SIZE_MAX ((size_t)8 * 1024 * 1024)

static const char magic[8] = "BL2INT1";

/* What a slot begins with, as this machine has it in memory: the file never leaves it in use, and one from
 * another kind of machine does not have the sum. The totals follow. */
struct header {
    char magic[8];
    uint64_t sum; /* of everything behind it */
    uint64_t sequence;
    uint64_t count;
    char word[META_WORD_SIZE];
    char boot_id[40];
};

struct interim {
    char *path;
    int fd;           /* -1: not opened yet */
    size_t slot_size; /* of each of the two */
    uint64_t sequence;
};

static char *path_of(const char *database_path)
{
    size_t size = strlen(database_path) + sizeof ".interim";
    char *path = memory_new(size, 1);
    (void)snprintf(path, size, "%s.interim", database_path);
    return path;
}

void interim_word(char word[META_WORD_SIZE])
{
    uint64_t value = 0;
    if (getrandom(&value, sizeof value, GRND_NONBLOCK) != (ssize_t)sizeof value)
        value = 0;
    /* The kernel may not have enough to draw from just after boot; together with the time it need not. */
    value ^= (uint64_t)clock_wall_ms() << 20 ^ (uint64_t)clock_boot_ms();
    (void)snprintf(word, META_WORD_SIZE, "%016" PRIx64, value);
}

/* ---- slots ---- */

/* FNV-1a: to notice what a power cut tore, not what somebody forged. */
static uint64_t sum_of(const unsigned char *bytes, size_t length)
{
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < length; i++)
        sum = (sum ^ bytes[i]) * UINT64_C(0x100000001b3);
    return sum;
}

static size_t length_of(size_t count)
{
    return sizeof(struct header) + count * sizeof(struct interim_total);
}

static size_t whole_blocks(size_t length)
{
    return (length + BLOCK - 1) / BLOCK * BLOCK;
}

static const size_t summed_from = offsetof(struct header, sequence);

static void fill_slot(unsigned char *slot, const struct interim_record *record, uint64_t sequence)
{
    struct header header = {.sequence = sequence, .count = record->count};
    memcpy(header.magic, magic, sizeof magic);
    memcpy(header.word, record->word, sizeof header.word);
    memcpy(header.boot_id, record->boot_id, sizeof header.boot_id);
    memcpy(slot, &header, sizeof header);
    if (record->count > 0)
        memcpy(slot + sizeof header, record->totals, record->count * sizeof *record->totals);
    header.sum = sum_of(slot + summed_from, length_of(record->count) - summed_from);
    memcpy(slot, &header, sizeof header);
}

static bool is_sound(const unsigned char *slot, size_t size, struct header *header)
{
    if (size < sizeof *header)
        return false;
    memcpy(header, slot, sizeof *header);
    return memcmp(header->magic, magic, sizeof magic) == 0 &&
           header->count <= (size - sizeof *header) / sizeof(struct interim_total) &&
           memchr(header->word, '\0', sizeof header->word) != NULL &&
           memchr(header->boot_id, '\0', sizeof header->boot_id) != NULL &&
           header->sum == sum_of(slot + summed_from, length_of(header->count) - summed_from);
}

/* ---- writing ---- */

struct interim *interim_create(const char *database_path)
{
    struct interim *interim = memory_new(1, sizeof *interim);
    interim->path = path_of(database_path);
    interim->fd = -1;
    return interim;
}

static void close_file(struct interim *interim)
{
    if (interim->fd >= 0)
        (void)close(interim->fd);
    interim->fd = -1;
}

void interim_free(struct interim *interim)
{
    if (interim == NULL)
        return;
    close_file(interim);
    free(interim->path);
    free(interim);
}

static enum status failed(const struct interim *interim, int reason, struct error *error)
{
    return error_set(error, STATUS_FAILED, "The totals could not be written to %s: %s.",
                     interim->path, strerror(reason));
}

/* A new file, with twice the room that is needed now and the record in its first slot; complete before it has
 * the name. */
static enum status begin_file(struct interim *interim, const struct interim_record *record,
                              struct error *error)
{
    size_t slot_size = whole_blocks(length_of(record->count));
    if (slot_size > BLOCK)
        slot_size *= 2;
    unsigned char *bytes memory_auto = memory_new(2 * slot_size, 1);
    close_file(interim);
    interim->sequence = 0;
    fill_slot(bytes, record, interim->sequence);
    enum status status = file_replace(interim->path, bytes, 2 * slot_size, 0640, error);
    if (status != STATUS_OK)
        return status;
    interim->slot_size = slot_size;
    interim->fd = open(interim->path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_DIRECT);
    if (interim->fd < 0 && errno == EINVAL) /* not every file system has it */
        interim->fd = open(interim->path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    return interim->fd >= 0 ? STATUS_OK : failed(interim, errno, error);
}

static bool has_room(const struct interim *interim, size_t length)
{
    struct stat status;
    return interim->fd >= 0 && length <= interim->slot_size && fstat(interim->fd, &status) == 0 &&
           status.st_nlink > 0;
}

/* Past the kernel's cache, where a block that is read once in a lifetime would count twice. */
static bool write_slot(const struct interim *interim, const unsigned char *slot, size_t length)
{
    off_t at = (off_t)(interim->sequence % 2 * interim->slot_size);
    for (size_t done = 0; done < length;) {
        ssize_t count = pwrite(interim->fd, slot + done, length - done, at + (off_t)done);
        if (count < 0 && errno == EINVAL && (fcntl(interim->fd, F_GETFL) & O_DIRECT) != 0) {
            (void)fcntl(interim->fd, F_SETFL, 0); /* it was opened so, and cannot do it */
            continue;
        }
        if (count < 0 && errno != EINTR)
            return false;
        done += count > 0 ? (size_t)count : 0;
    }
    return fdatasync(interim->fd) == 0;
}

enum status interim_write(struct interim *interim, const struct interim_record *record,
                          struct error *error)
{
    size_t length = whole_blocks(length_of(record->count));
    if (!has_room(interim, length))
        return begin_file(interim, record, error);
    unsigned char *memory memory_auto = memory_new(length + BLOCK, 1);
    unsigned char *slot = memory + (BLOCK - (uintptr_t)memory % BLOCK); /* as the disk wants it */
    interim->sequence++;
    fill_slot(slot, record, interim->sequence);
    return write_slot(interim, slot, length) ? STATUS_OK : failed(interim, errno, error);
}

/* ---- reading ---- */

static void take_slot(const unsigned char *slot, size_t size, const char *word,
                      struct interim_record *record, uint64_t *newest)
{
    struct header header;
    if (!is_sound(slot, size, &header) || strcmp(header.word, word) != 0 || header.count == 0 ||
        (record->totals != NULL && header.sequence <= *newest))
        return;
    free(record->totals);
    record->count = header.count;
    record->totals = memory_new(header.count, sizeof *record->totals);
    memcpy(record->totals, slot + sizeof header, header.count * sizeof *record->totals);
    memcpy(record->word, header.word, sizeof record->word);
    memcpy(record->boot_id, header.boot_id, sizeof record->boot_id);
    *newest = header.sequence;
}

void interim_read(const char *database_path, const char *word, struct interim_record *record)
{
    *record = (struct interim_record){.totals = NULL};
    char *path memory_auto = path_of(database_path);
    char *bytes memory_auto = NULL;
    size_t length = 0;
    uint64_t newest = 0;
    if (word[0] == '\0' || file_read(path, FILE_SIZE_MAX, &bytes, &length, NULL) != STATUS_OK)
        return;
    for (size_t i = 0; i < 2; i++)
        take_slot((const unsigned char *)bytes + i * (length / 2), length / 2, word, record,
                  &newest);
}

static bool knows_more(const struct interim_total *total, const struct energy_state *state)
{
    return total->counter >= 0 && total->imported >= state->imported &&
           total->exported >= state->exported;
}

size_t interim_apply(const struct interim_record *record, struct channels *channels,
                     meta_credit credit, void *context)
{
    size_t taken = 0;
    for (size_t i = 0; i < record->count; i++) {
        const struct interim_total *total = &record->totals[i];
        struct known_channel *channel = total->number > 0 && total->number <= CHANNEL_NUMBER_MAX
                                            ? channels_find(channels, (unsigned)total->number)
                                            : NULL;
        if (channel == NULL || !channel->has_state || !knows_more(total, &channel->state))
            continue;
        struct energy_state *state = &channel->state;
        credit(context, channel->number, total->imported - state->imported,
               total->exported - state->exported);
        state->counter = total->counter;
        state->counter_wall_ms = total->counter_wall_ms;
        state->counter_boot_ms = total->counter_boot_ms;
        state->imported = total->imported;
        state->exported = total->exported;
        memcpy(state->boot_id, record->boot_id, sizeof state->boot_id);
        channels_totals_uwh(state, &channel->counted, channel->kind, &channel->stored_imported_uwh,
                            &channel->stored_exported_uwh);
        channel->dirty = true;
        taken++;
    }
    return taken;
}
