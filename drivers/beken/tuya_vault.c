/* SPDX-License-Identifier: MIT */
#include "drivers/beken/tuya_vault.h"

#include "drivers/base/memory.h"
#include "drivers/beken/bytes.h"
#include "drivers/beken/crypto.h"

#include <string.h>

enum {
    BLOCK = 4096,
    PAGE = 128,
    PAGES = BLOCK / PAGE, /* page 0 is the header */
    AES_BLOCK = 16,
    KEY_SIZE = 16,
    AT_CHECKED = 8, /* a block's checksum is over the bytes from here on */
    AT_KEY = 8,     /* in key and protected blocks */
    AT_PROTECTED_LENGTH = 24,
    AT_PROTECTED = 32,
    AT_GENERATION = 10,
    AT_MAP_SIZE = 14,
    AT_MAP = 15,
    INDEX_SIZE = 18, /* of an index page before its name */
    PART_SIZE = 4,
    RECORD_NAME = 32, /* in protected records */
    /* Far more than any vendor's vault has, so that a made-up one cannot eat the memory. */
    BLOCKS_MAX = 64,
    ENTRIES_MAX = 512,
    BYTES_MAX = 4 << 20,
    KEYS_MAX = 8, /* key blocks that are tried */
};

#define MAGIC_KEY 0x13579753u
#define MAGIC_DATA 0x98761234u
#define MAGIC_DATA_NEW 0x135726ABu

/* Published by the tools named in the header; without them no vault could be read. */
static const uint8_t master_key[KEY_SIZE + 1] = "qwertyuiopasdfgh";
static const uint8_t key_base[KEY_SIZE] = {0x80, 0x7F, 0x83, 0x82, 0x89, 0x99, 0xAA, 0x95,
                                           0xA5, 0xA6, 0x97, 0xA2, 0xAC, 0xB0, 0xA5, 0x96};

struct block {
    size_t offset; /* in the dump */
    uint16_t id;
    uint32_t generation;
    bool intact; /* its checksum is right */
    uint8_t plain[BLOCK];
};

struct entry {
    struct tuya_entry shown;
    char *name;
    uint8_t *value;
    uint32_t generation; /* of the block with its index */
};

struct tuya_vault {
    struct tuya_vault_facts facts;
    struct entry *entries;
    size_t count, capacity;
    size_t bytes; /* of all values */
};

/* While it is read. */
struct reader {
    const uint8_t *bytes;
    size_t length;
    struct tuya_vault *vault;
    EVP_CIPHER_CTX *master, *data; /* data: under the key block's key */
    struct block *blocks;
    size_t block_count, block_capacity;
};

/* ------------------------------------------------------------------ AES */

/* libcrypto fails here only when memory is out. */
static EVP_CIPHER_CTX *cipher_new(const uint8_t key[KEY_SIZE])
{
    EVP_CIPHER_CTX *cipher = crypto_load()->cipher_new();
    if (cipher == NULL ||
        crypto_load()->decrypt_init(cipher, crypto_load()->aes_128_ecb(), NULL, key, NULL) != 1 ||
        crypto_load()->cipher_set_padding(cipher, 0) != 1)
        abort();
    return cipher;
}

/* length: a multiple of 16. */
static void decrypt(EVP_CIPHER_CTX *cipher, const uint8_t *bytes, size_t length, uint8_t *plain)
{
    int count = 0;
    if (crypto_load()->decrypt_update(cipher, plain, &count, bytes, (int)length) != 1 ||
        count != (int)length)
        abort();
}

static EVP_CIPHER_CTX *data_cipher(const uint8_t inner_key[KEY_SIZE])
{
    uint8_t key[KEY_SIZE];
    for (size_t i = 0; i < KEY_SIZE; i++)
        key[i] = (uint8_t)(key_base[i] + inner_key[i]);
    return cipher_new(key);
}

static uint32_t byte_sum(const uint8_t *bytes, size_t length)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < length; i++)
        sum += bytes[i];
    return sum;
}

/* ------------------------------------------------------------------ entries */

static bool is_name(const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (bytes[i] <= 0x20 || bytes[i] >= 0x7F)
            return false;
    return length > 0;
}

static struct entry *find_entry(const struct tuya_vault *vault, const char *name, size_t length)
{
    for (size_t i = 0; i < vault->count; i++)
        if (strlen(vault->entries[i].name) == length &&
            memcmp(vault->entries[i].name, name, length) == 0)
            return &vault->entries[i];
    return NULL;
}

static bool is_better(const struct entry *one, const struct entry *other)
{
    if (one->shown.intact != other->shown.intact)
        return one->shown.intact;
    if (one->shown.from_protected != other->shown.from_protected)
        return other->shown.from_protected;
    return one->generation > other->generation;
}

/* Takes value over. */
static void add_entry(struct tuya_vault *vault, const uint8_t *name, size_t name_length,
                      struct entry entry)
{
    struct entry *old = find_entry(vault, (const char *)name, name_length);
    if ((old == NULL && vault->count == ENTRIES_MAX) || (old != NULL && !is_better(&entry, old))) {
        free(entry.value);
        return;
    }
    vault->bytes += entry.shown.length;
    if (old != NULL) {
        entry.name = old->name;
        vault->bytes -= old->shown.length;
        free(old->value);
        *old = entry;
        return;
    }
    entry.name = memory_new(name_length + 1, 1);
    memcpy(entry.name, name, name_length);
    vault->entries =
        memory_grow(vault->entries, vault->count, &vault->capacity, sizeof *vault->entries);
    vault->entries[vault->count++] = entry;
}

/* ------------------------------------------------------------------ data blocks */

static const struct block *find_block(const struct reader *reader, uint32_t id)
{
    for (size_t i = 0; i < reader->block_count; i++)
        if (reader->blocks[i].id == id)
            return &reader->blocks[i];
    return NULL;
}

static bool is_index_page(const struct block *block, size_t page)
{
    size_t map_size = block->plain[AT_MAP_SIZE];
    return page / 8 < map_size && AT_MAP + page / 8 < PAGE &&
           (block->plain[AT_MAP + page / 8] >> page % 8 & 1) != 0;
}

/* The pages of one part, appended to value; false if they are not there. */
static bool read_part(const struct reader *reader, const uint8_t *part, uint8_t *value,
                      size_t length, size_t *done)
{
    const struct block *block = find_block(reader, bytes_get_le16(part));
    size_t first = part[2];
    size_t last = part[3];
    if (block == NULL || first == 0 || last >= PAGES || first > last)
        return false;
    for (size_t page = first; page <= last && *done < length; page++) {
        size_t count = length - *done < PAGE ? length - *done : (size_t)PAGE;
        memcpy(value + *done, block->plain + page * PAGE, count);
        *done += count;
    }
    return true;
}

static void read_index(struct reader *reader, const struct block *block, const uint8_t *page)
{
    size_t length = bytes_get_le32(page + 4);
    size_t parts = bytes_get_le16(page + 11);
    size_t name_size = page[17];
    if (name_size < 2 || INDEX_SIZE + name_size + parts * PART_SIZE > PAGE)
        return;
    /* Pages may be named twice, but there are not more bytes than the whole vault has. */
    if (length > reader->block_count * BLOCK || length > BYTES_MAX - reader->vault->bytes)
        return;
    const uint8_t *name = page + INDEX_SIZE;
    size_t name_length = strnlen((const char *)name, name_size);
    if (!is_name(name, name_length))
        return;
    struct entry entry = {.generation = block->generation, .value = memory_new(length + 1, 1)};
    size_t done = 0;
    bool whole = true;
    for (size_t i = 0; whole && i < parts && done < length; i++)
        whole = read_part(reader, name + name_size + i * PART_SIZE, entry.value, length, &done);
    entry.shown.length = done;
    entry.shown.intact = done == length && byte_sum(entry.value, length) == bytes_get_le32(page);
    add_entry(reader->vault, name, name_length, entry);
}

/* Of two copies of a block the one with a good checksum, then the younger one. */
static void take_block(struct reader *reader, const struct block *block)
{
    struct tuya_vault_facts *facts = &reader->vault->facts;
    for (size_t i = 0; i < reader->block_count; i++) {
        struct block *old = &reader->blocks[i];
        if (old->id != block->id)
            continue;
        facts->stale_blocks++;
        if (block->intact != old->intact ? block->intact : block->generation > old->generation)
            *old = *block;
        return;
    }
    if (reader->block_count == BLOCKS_MAX)
        return;
    reader->blocks = memory_grow(reader->blocks, reader->block_count, &reader->block_capacity,
                                 sizeof *reader->blocks);
    reader->blocks[reader->block_count++] = *block;
}

static void read_data_blocks(struct reader *reader)
{
    struct tuya_vault_facts *facts = &reader->vault->facts;
    for (size_t at = facts->key_offset + BLOCK; at + BLOCK <= reader->length; at += BLOCK) {
        struct block block = {.offset = at};
        decrypt(reader->data, reader->bytes + at, AES_BLOCK, block.plain);
        uint32_t magic = bytes_get_le32(block.plain);
        /* A damaged block, or one of something else: those behind it may be good. */
        if (magic != MAGIC_DATA && magic != MAGIC_DATA_NEW)
            continue;
        decrypt(reader->data, reader->bytes + at, BLOCK, block.plain);
        block.id = (uint16_t)bytes_get_le16(block.plain + 8);
        block.generation = bytes_get_le32(block.plain + AT_GENERATION);
        block.intact = byte_sum(block.plain + AT_CHECKED, BLOCK - AT_CHECKED) ==
                       bytes_get_le32(block.plain + 4);
        facts->new_magic = facts->new_magic || magic == MAGIC_DATA_NEW;
        take_block(reader, &block);
    }
}

static void read_entries(struct reader *reader)
{
    for (size_t i = 0; i < reader->block_count; i++) {
        const struct block *block = &reader->blocks[i];
        reader->vault->facts.damaged_blocks += !block->intact;
        for (size_t page = 1; page < PAGES; page++)
            if (is_index_page(block, page))
                read_index(reader, block, block->plain + page * PAGE);
    }
    reader->vault->facts.blocks = reader->block_count;
}

/* ------------------------------------------------------------------ protected block */

static void read_records(struct tuya_vault *vault, const uint8_t *plain, size_t length)
{
    size_t at = 0;
    while (length - at >= 4 + RECORD_NAME) {
        size_t size = bytes_get_le32(plain + at);
        const uint8_t *name = plain + at + 4;
        size_t name_length = strnlen((const char *)name, RECORD_NAME);
        at += 4 + RECORD_NAME;
        if (size > length - at || !is_name(name, name_length))
            return;
        struct entry entry = {
            .shown = {.length = size, .intact = true, .from_protected = true},
            .value = memory_new(size + 1, 1),
        };
        memcpy(entry.value, plain + at, size);
        add_entry(vault, name, name_length, entry);
        at += size;
    }
}

/* master: the block under the master key; its records are under a second one. */
static void read_protected(struct reader *reader, const uint8_t master[BLOCK], size_t offset)
{
    struct tuya_vault_facts *facts = &reader->vault->facts;
    if (facts->protected_blocks++ > 0)
        return; /* the mirror */
    facts->protected_offset = offset;
    uint8_t plain[BLOCK - AT_PROTECTED];
    EVP_CIPHER_CTX *cipher = data_cipher(master + AT_KEY);
    decrypt(cipher, master + AT_PROTECTED, sizeof plain, plain);
    crypto_load()->cipher_free(cipher);
    size_t length = bytes_get_le32(master + AT_PROTECTED_LENGTH);
    read_records(reader->vault, plain, length < sizeof plain ? length : sizeof plain);
}

/* ------------------------------------------------------------------ key blocks */

enum kind { KIND_OTHER, KIND_KEY, KIND_KEY_DAMAGED, KIND_PROTECTED };

/* Key and protected blocks have the same magic; the checksum tells them apart. */
static enum kind examine(const struct reader *reader, size_t offset, uint8_t plain[BLOCK])
{
    if (offset + AES_BLOCK > reader->length)
        return KIND_OTHER;
    decrypt(reader->master, reader->bytes + offset, AES_BLOCK, plain);
    if (bytes_get_le32(plain) != MAGIC_KEY)
        return KIND_OTHER;
    size_t length = reader->length - offset < BLOCK ? reader->length - offset : BLOCK;
    length -= length % AES_BLOCK;
    memset(plain, 0, BLOCK);
    decrypt(reader->master, reader->bytes + offset, length, plain);
    uint32_t checksum = bytes_get_le32(plain + 4);
    if (byte_sum(plain + AT_KEY, KEY_SIZE) == checksum)
        return KIND_KEY;
    if (byte_sum(plain + AT_CHECKED, BLOCK - AT_CHECKED) == checksum)
        return KIND_PROTECTED;
    return bytes_are_all(plain + AT_PROTECTED, AES_BLOCK, 0xFF) ? KIND_KEY_DAMAGED : KIND_OTHER;
}

struct found {
    size_t offset;
    enum kind kind;
    uint8_t key[KEY_SIZE];
};

struct finds {
    size_t count;
    struct found found[KEYS_MAX];
};

static void note_key(const struct reader *reader, size_t offset, struct finds *finds)
{
    uint8_t plain[BLOCK];
    if (finds->count == KEYS_MAX)
        return;
    enum kind kind = examine(reader, offset, plain);
    if (kind != KIND_KEY && kind != KIND_KEY_DAMAGED)
        return;
    for (size_t i = 0; i < finds->count; i++)
        if (finds->found[i].offset == offset)
            return;
    struct found *found = &finds->found[finds->count++];
    *found = (struct found){.offset = offset, .kind = kind};
    memcpy(found->key, plain + AT_KEY, KEY_SIZE);
}

/* Behind its key a key block is FF, and FF under the master key is the same 16 bytes again and again,
 * wherever the dump begins; and in a whole dump it stands at the start of a sector. */
static void find_keys(const struct reader *reader, struct finds *finds)
{
    static const uint8_t needle[AES_BLOCK] = {0x46, 0xDC, 0xED, 0x0E, 0x67, 0x2F, 0x3B, 0x70,
                                              0xAE, 0x12, 0x76, 0xA3, 0xF8, 0x71, 0x2E, 0x03};
    size_t at = 0;
    while (at < reader->length) {
        const uint8_t *hit = memmem(reader->bytes + at, reader->length - at, needle, sizeof needle);
        if (hit == NULL)
            break;
        at = (size_t)(hit - reader->bytes);
        if (at >= AT_PROTECTED)
            note_key(reader, at - AT_PROTECTED, finds);
        /* The rest of the run says nothing new. */
        while (at + AES_BLOCK <= reader->length &&
               memcmp(reader->bytes + at, needle, AES_BLOCK) == 0)
            at += AES_BLOCK;
    }
    for (size_t offset = 0; offset < reader->length; offset += BLOCK)
        note_key(reader, offset, finds);
}

/* Once per sector, counted from the key block. */
static void find_protected(struct reader *reader)
{
    uint8_t plain[BLOCK];
    for (size_t at = reader->vault->facts.key_offset % BLOCK; at + BLOCK <= reader->length;
         at += BLOCK)
        if (examine(reader, at, plain) == KIND_PROTECTED)
            read_protected(reader, plain, at);
}

static void clear(struct tuya_vault *vault)
{
    for (size_t i = 0; i < vault->count; i++) {
        free(vault->entries[i].name);
        free(vault->entries[i].value);
    }
    free(vault->entries);
    *vault = (struct tuya_vault){.entries = NULL};
}

/* Reads with this key; what is read is in reader->vault. */
static void try_key(struct reader *reader, const struct found *found)
{
    reader->vault->facts.key_offset = found->offset;
    reader->vault->facts.key_is_damaged = found->kind == KIND_KEY_DAMAGED;
    reader->data = data_cipher(found->key);
    read_data_blocks(reader);
    read_entries(reader);
    crypto_load()->cipher_free(reader->data);
    free(reader->blocks);
    reader->blocks = NULL;
    reader->block_count = reader->block_capacity = 0;
}

static size_t intact_entries(const struct tuya_vault *vault)
{
    size_t count = 0;
    for (size_t i = 0; i < vault->count; i++)
        count += vault->entries[i].shown.intact;
    return count;
}

static bool is_fuller(const struct tuya_vault *one, const struct tuya_vault *other)
{
    size_t a = intact_entries(one);
    size_t b = intact_entries(other);
    return a != b ? a > b : one->facts.blocks > other->facts.blocks;
}

/* Several key blocks stand in dumps of modules that were set up anew: the one that opens most. */
static void use_best_key(struct reader *reader, const struct finds *finds)
{
    for (size_t i = 0; i < finds->count; i++) {
        struct tuya_vault candidate = {.entries = NULL};
        struct tuya_vault *best = reader->vault;
        reader->vault = &candidate;
        try_key(reader, &finds->found[i]);
        reader->vault = best;
        if (i > 0 && !is_fuller(&candidate, best)) {
            clear(&candidate);
            continue;
        }
        clear(best);
        *best = candidate;
    }
}

/* ------------------------------------------------------------------ the whole */

static int by_name(const void *one, const void *other)
{
    return strcmp(((const struct entry *)one)->name, ((const struct entry *)other)->name);
}

static void finish(struct tuya_vault *vault, bool has_key)
{
    struct tuya_vault_facts *facts = &vault->facts;
    facts->has_key = has_key;
    if (vault->count > 0)
        qsort(vault->entries, vault->count, sizeof *vault->entries, by_name);
    for (size_t i = 0; i < vault->count; i++) {
        struct entry *entry = &vault->entries[i];
        entry->shown.name = entry->name;
        entry->shown.value = entry->value;
        facts->damaged_entries += !entry->shown.intact;
    }
    if (vault->count > 0)
        facts->state = TUYA_VAULT_FULL;
    else if (!has_key)
        facts->state = TUYA_VAULT_NO_KEY;
    else
        facts->state = facts->blocks > 0 ? TUYA_VAULT_EMPTY : TUYA_VAULT_NO_DATA;
}

struct tuya_vault *tuya_vault_open(const uint8_t *bytes, size_t length)
{
    struct tuya_vault *vault = memory_new(1, sizeof *vault);
    struct reader reader = {
        .bytes = bytes, .length = length, .vault = vault, .master = cipher_new(master_key)};
    struct finds finds = {.count = 0};
    find_keys(&reader, &finds);
    use_best_key(&reader, &finds);
    find_protected(&reader);
    finish(vault, finds.count > 0);
    crypto_load()->cipher_free(reader.master);
    return vault;
}

void tuya_vault_free(struct tuya_vault *vault)
{
    if (vault == NULL)
        return;
    clear(vault);
    free(vault);
}

const struct tuya_vault_facts *tuya_vault_facts(const struct tuya_vault *vault)
{
    return &vault->facts;
}

size_t tuya_vault_count(const struct tuya_vault *vault)
{
    return vault->count;
}

const struct tuya_entry *tuya_vault_entry(const struct tuya_vault *vault, size_t index)
{
    return &vault->entries[index].shown;
}

const struct tuya_entry *tuya_vault_find(const struct tuya_vault *vault, const char *name)
{
    const struct entry *entry = find_entry(vault, name, strlen(name));
    return entry == NULL ? NULL : &entry->shown;
}
