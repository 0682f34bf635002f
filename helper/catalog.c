/* Definitions: packets of stream MT_STREAM_DEFS → tables by id.
 *
 * In the reader. No Python.h, needs no GIL. Threads: one at a time.
 *
 * The bytes of a definition are copied before they are parsed and every string is found to
 * end inside the copy, so a buffer that somebody scribbles over can't mislead us later. */
#include <stdlib.h>
#include <string.h>

#include "catalog.h"

/* A copy of the definitions of one packet. */
struct mt_text_chunk {
    struct mt_text_chunk *next;
    uint8_t bytes[];
};

/* The shortest definition: a type with an empty name; and ids of sites that are set aside for
 * code whose other sites never had an event. Bounds the ids that make sense. */
enum { DEFINITION_BYTES_MIN = 6, IDS_SET_ASIDE_MAX = 1 << 20 };

static const struct mt_code_def lost_code = {"?", "?", 0};
static const struct mt_site_def lost_site = {0, 0, MT_LOCAL, "?", ""};

/* ---- tables ------------------------------------------------------------------------ */

/* The entry of `id`, made if need be; NULL without memory. */
static void *entry_for(struct mt_table *table, uint32_t id, size_t entry_bytes)
{
    if (id >= table->capacity) {
        uint64_t capacity = table->capacity ? table->capacity : 256;
        while (capacity <= id)
            capacity *= 2;
        void *grown = realloc(table->entries, capacity * entry_bytes);
        if (!grown)
            return NULL;
        memset((char *)grown + table->capacity * entry_bytes, 0,
               (capacity - table->capacity) * entry_bytes);
        table->entries = grown;
        table->capacity = (uint32_t)capacity;
    }
    if (id >= table->size)
        table->size = id + 1;
    return (char *)table->entries + id * entry_bytes;
}

const struct mt_code_def *mt_catalog_code(const struct mt_catalog *catalog, uint32_t id)
{
    const struct mt_code_def *codes = catalog->codes.entries;
    return id < catalog->codes.size && codes[id].file ? &codes[id] : &lost_code;
}

const struct mt_site_def *mt_catalog_site(const struct mt_catalog *catalog, uint32_t id)
{
    const struct mt_site_def *sites = catalog->sites.entries;
    return id < catalog->sites.size && sites[id].name ? &sites[id] : &lost_site;
}

const char *mt_catalog_type(const struct mt_catalog *catalog, uint32_t id)
{
    const char *const *types = catalog->types.entries;
    return id < catalog->types.size && types[id] ? types[id] : "";
}

/* ---- parsing ----------------------------------------------------------------------- */

struct input {
    const uint8_t *at, *end;
    bool damaged;
};

static uint32_t take_u32(struct input *in)
{
    uint32_t value = 0;
    if (in->end - in->at < (ptrdiff_t)sizeof value) {
        in->damaged = true;
        return 0;
    }
    memcpy(&value, in->at, sizeof value);
    in->at += sizeof value;
    return value;
}

static uint64_t take_u64(struct input *in)
{
    uint64_t low = take_u32(in);
    return low | (uint64_t)take_u32(in) << 32;
}

static uint8_t take_u8(struct input *in)
{
    if (in->at == in->end) {
        in->damaged = true;
        return 0;
    }
    return *in->at++;
}

static const char *take_text(struct input *in)
{
    const uint8_t *zero = in->at < in->end ? memchr(in->at, '\0', (size_t)(in->end - in->at))
                                           : NULL;
    if (!zero) {
        in->damaged = true;
        return "";
    }
    const char *text = (const char *)in->at;
    in->at = zero + 1;
    return text;
}

static enum mt_status parse_code(struct mt_catalog *catalog, struct input *in, uint32_t id)
{
    struct mt_code_def def;
    def.first_line = take_u32(in);
    def.file = take_text(in);
    def.qualname = take_text(in);
    if (in->damaged)
        return MT_OK;
    struct mt_code_def *entry = entry_for(&catalog->codes, id, sizeof def);
    if (!entry)
        return MT_NO_MEMORY;
    *entry = def;
    return MT_OK;
}

static enum mt_status parse_site(struct mt_catalog *catalog, struct input *in, uint32_t id)
{
    struct mt_site_def def;
    def.code = take_u32(in);
    def.line = take_u32(in);
    def.scope = take_u8(in);
    def.name = take_text(in);
    def.key = take_text(in);
    if (def.scope >= MT_SCOPE_COUNT)
        in->damaged = true;
    if (in->damaged)
        return MT_OK;
    struct mt_site_def *entry = entry_for(&catalog->sites, id, sizeof def);
    if (!entry)
        return MT_NO_MEMORY;
    *entry = def;
    return MT_OK;
}

static enum mt_status parse_type(struct mt_catalog *catalog, struct input *in, uint32_t id)
{
    const char *name = take_text(in);
    if (in->damaged)
        return MT_OK;
    const char **entry = entry_for(&catalog->types, id, sizeof name);
    if (!entry)
        return MT_NO_MEMORY;
    *entry = name;
    return MT_OK;
}

static enum mt_status parse_note(struct mt_catalog *catalog, struct input *in, uint32_t id)
{
    struct mt_note_def def;
    def.seq = take_u64(in);
    def.time_ns = take_u64(in);
    def.text = take_text(in);
    if (in->damaged)
        return MT_OK;
    struct mt_note_def *entry = entry_for(&catalog->notes, id, sizeof def);
    if (!entry)
        return MT_NO_MEMORY;
    *entry = def;
    return MT_OK;
}

static enum mt_status parse(struct mt_catalog *catalog, struct input *in)
{
    enum mt_status status = MT_OK;
    while (in->at < in->end && status == MT_OK && !in->damaged) {
        uint8_t kind = take_u8(in);
        uint32_t id = take_u32(in);
        if (id == 0 || id > catalog->id_limit)
            in->damaged = true;
        else if (kind == MT_DEF_CODE)
            status = parse_code(catalog, in, id);
        else if (kind == MT_DEF_SITE)
            status = parse_site(catalog, in, id);
        else if (kind == MT_DEF_TYPE)
            status = parse_type(catalog, in, id);
        else if (kind == MT_DEF_NOTE)
            status = parse_note(catalog, in, id);
        else
            in->damaged = true;
    }
    if (in->damaged)
        catalog->damaged++;
    return status;
}

/* Copy what lies behind the first `from` bytes of the packet, and parse the copy. */
static enum mt_status read_packet(struct mt_catalog *catalog, const uint8_t *packet, uint32_t from,
                                  uint32_t content)
{
    size_t bytes = content - from;
    struct mt_text_chunk *chunk = malloc(sizeof *chunk + bytes);
    if (!chunk)
        return MT_NO_MEMORY;
    memcpy(chunk->bytes, packet + from, bytes);
    chunk->next = catalog->chunks;
    catalog->chunks = chunk;
    struct input in = {chunk->bytes, chunk->bytes + bytes, false};
    return parse(catalog, &in);
}

/* Read what is new in one packet of a buffer. */
static enum mt_status refresh_packet(struct mt_catalog *catalog, const struct mt_source *source,
                                     const struct mt_packet *listed)
{
    const uint8_t *bytes = source->buffer + source->packets_offset +
                           (uint64_t)listed->index * MT_PACKET_BYTES;
    const struct mt_packet_header *header = (const struct mt_packet_header *)(const void *)bytes;
    // Pairs with the commit in defs.c. What is behind it never changes again.
    uint64_t content = __atomic_load_n(&header->content_bits, __ATOMIC_ACQUIRE) / 8;
    uint32_t *parsed = &catalog->parsed[listed->index];
    uint32_t from = *parsed ? *parsed : (uint32_t)sizeof *header;
    if (content <= from || content > MT_PACKET_BYTES)
        return MT_OK;
    *parsed = (uint32_t)content;
    return read_packet(catalog, bytes, from, (uint32_t)content);
}

static enum mt_status begin(struct mt_catalog *catalog, const struct mt_source *source)
{
    uint64_t bytes = (uint64_t)source->packet_count * MT_PACKET_BYTES;
    for (size_t i = 0; i < source->file_count; i++)
        bytes += source->files[i].size;
    catalog->id_limit = bytes / DEFINITION_BYTES_MIN + IDS_SET_ASIDE_MAX;
    if (catalog->id_limit > UINT32_MAX / 2)
        catalog->id_limit = UINT32_MAX / 2;
    catalog->parsed = calloc(source->packet_count + 1u, sizeof *catalog->parsed);
    return catalog->parsed ? MT_OK : MT_NO_MEMORY;
}

enum mt_status mt_catalog_refresh(struct mt_catalog *catalog, const struct mt_source *source)
{
    if (catalog->complete)
        return MT_OK;
    enum mt_status status = catalog->parsed ? MT_OK : begin(catalog, source);
    if (status != MT_OK)
        return status;
    struct mt_packet_list list;
    status = mt_packets_list(source, MT_STREAM_DEFS, &list);
    if (status != MT_OK)
        return status;
    for (size_t i = 0; i < list.count && status == MT_OK; i++) {
        const struct mt_packet *packet = &list.packets[i];
        status = source->buffer ? refresh_packet(catalog, source, packet)
                                : read_packet(catalog, packet->bytes,
                                              sizeof(struct mt_packet_header), packet->content);
    }
    mt_packets_free(&list);
    catalog->complete = status == MT_OK && !source->live;
    return status;
}

void mt_catalog_deinit(struct mt_catalog *catalog)
{
    free(catalog->codes.entries);
    free(catalog->sites.entries);
    free(catalog->types.entries);
    free(catalog->notes.entries);
    free(catalog->parsed);
    while (catalog->chunks) {
        struct mt_text_chunk *next = catalog->chunks->next;
        free(catalog->chunks);
        catalog->chunks = next;
    }
}
