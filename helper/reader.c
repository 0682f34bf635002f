/* The reader's interface: queries over packets and definitions.
 *
 * In gdb (through ctypes) and in tools, never in the debuggee. No Python.h, needs no GIL.
 * Threads: one reader is used by one thread at a time.
 *
 * The way of a query: list the packets' headers, leave out those that can't hold a match,
 * read new definitions, decide for every store site whether its events match, then decode;
 * of a live buffer the packets that hold a match are copied at once. So an event costs its
 * decoding and a look at a table; text is made for what is given out only. */
#include <stdlib.h>
#include <string.h>

#include "catalog.h"
#include "core_file.h"
#include "event.h"
#include "match.h"
#include "packets.h"
#include "reader.h"
#include "recording.h"
#include "value_text.h"

struct mt_reader {
    struct mt_source source;
    struct mt_catalog catalog;
};

/* ---- open, close -------------------------------------------------------------------- */

static struct mt_reader *create(char *error)
{
    struct mt_reader *reader = calloc(1, sizeof *reader);
    error[0] = '\0';
    if (!reader)
        mt_packets_error(error, MT_NO_MEMORY, "no memory for a reader");
    return reader;
}

/* Give the reader out, or close it where opening failed. */
static int finish_open(struct mt_reader *reader, enum mt_status status, struct mt_reader **ret)
{
    if (status == MT_OK)
        *ret = reader;
    else
        mt_reader_close(reader);
    return status;
}

int mt_reader_open_memory(const void *buffer, uint64_t bytes, int writable_elsewhere,
                          struct mt_reader **ret, char *error)
{
    struct mt_reader *reader = create(error);
    if (!reader)
        return MT_NO_MEMORY;
    return finish_open(
        reader,
        mt_source_init_buffer(&reader->source, buffer, bytes, writable_elsewhere != 0, error), ret);
}

int mt_reader_open_file(const char *path, uint64_t offset, uint64_t bytes, int writable_elsewhere,
                        struct mt_reader **ret, char *error)
{
    struct mt_reader *reader = create(error);
    if (!reader)
        return MT_NO_MEMORY;
    struct mt_mapped *mapping = &reader->source.mapping;
    enum mt_status status = mt_source_map(path, offset, bytes, mapping, error);
    if (status == MT_OK)
        status = mt_source_init_buffer(&reader->source, mapping->bytes, mapping->size,
                                       writable_elsewhere != 0, error);
    return finish_open(reader, status, ret);
}

int mt_reader_open_core(const char *path, struct mt_reader **ret, char *error)
{
    struct mt_reader *reader = create(error);
    if (!reader)
        return MT_NO_MEMORY;
    return finish_open(reader, mt_core_file_open(&reader->source, path, error), ret);
}

int mt_reader_open_directory(const char *path, struct mt_reader **ret, char *error)
{
    struct mt_reader *reader = create(error);
    if (!reader)
        return MT_NO_MEMORY;
    return finish_open(reader, mt_recording_open(&reader->source, path, error), ret);
}

int mt_reader_save(struct mt_reader *reader, const char *directory, char *error)
{
    error[0] = '\0';
    return mt_recording_save(&reader->source, directory, error);
}

void mt_reader_close(struct mt_reader *reader)
{
    if (!reader)
        return;
    mt_catalog_deinit(&reader->catalog);
    mt_source_deinit(&reader->source);
    free(reader);
}

const struct mt_control *mt_reader_control(struct mt_reader *reader)
{
    return (const struct mt_control *)(const void *)reader->source.buffer;
}

/* ---- cursors ------------------------------------------------------------------------ */

/* What the filter says about all events of one store site. */
enum verdict { SITE_NO = 0, SITE_YES, SITE_BY_KEY };

/* The packets of one thread, in order, and where reading them stands. */
struct stream {
    const struct mt_packet *packet, *end;
    struct mt_decoder decoder;
    struct mt_raw_event event; /* the next match */
};

/* A match that was found ahead of its turn (filter.last). */
struct match {
    uint64_t seq, time_ns;
    const struct mt_packet *packet;
    const uint8_t *at;
};

/* A growing text. */
struct text {
    char *bytes;
    size_t size, capacity;
};

struct mt_cursor {
    struct mt_reader *reader;
    struct mt_packet_list list;
    struct mt_filter filter; /* strings: only `variable`, the cursor's own */
    uint8_t *verdicts;       /* enum verdict by site id; NULL: all SITE_YES */
    uint32_t verdict_count;  /* ids from here on are as id 0: lost */

    struct stream *streams;
    struct stream **heap; /* by seq of their next match */
    size_t heap_size;
    bool given; /* the first of the heap was given out */

    struct match *matches; /* with filter.last: a heap first, then in order */
    size_t match_count, match_capacity, match_next;

    struct text name, key_value, old_value, new_value;
};

static bool text_reserve(struct text *text, size_t size)
{
    if (size <= text->capacity)
        return true;
    size_t capacity = size < 256 ? 256 : size * 2;
    char *grown = realloc(text->bytes, capacity);
    if (!grown)
        return false;
    text->bytes = grown;
    text->capacity = capacity;
    return true;
}

static bool text_append(struct text *text, const char *bytes, size_t size)
{
    if (!text_reserve(text, text->size + size + 1))
        return false;
    memcpy(text->bytes + text->size, bytes, size);
    text->size += size;
    text->bytes[text->size] = '\0';
    return true;
}

/* The tag and the encoding behind it, together. */
static bool text_set_value(struct text *text, uint8_t tag, const uint8_t *encoding, size_t size)
{
    text->size = 0;
    return text_append(text, (const char *)&tag, 1) &&
           text_append(text, (const char *)encoding, size);
}

static const char *type_name(uint32_t type, void *context)
{
    const struct mt_reader *reader = context;
    return mt_catalog_type(&reader->catalog, type);
}

/* Append the value's text, whole. */
static bool append_value_text(struct mt_reader *reader, struct text *text, const struct text *value)
{
    const uint8_t *bytes = (const uint8_t *)value->bytes;
    size_t room = 256;
    for (int tries = 0; tries < 2; tries++) {
        if (!text_reserve(text, text->size + room))
            return false;
        size_t length = mt_value_text(bytes, (uint32_t)value->size, type_name, reader,
                                      text->bytes + text->size, room);
        if (length < room) {
            text->size += length;
            return true;
        }
        room = length + 1;
    }
    return false;
}

/* The complete name of the event's target; "?" without memory. */
static const char *complete_name(struct mt_cursor *cursor, const struct mt_site_def *site,
                                 const struct mt_raw_event *event)
{
    if (site->scope != MT_ITEM || (!event->has_key && !*site->key))
        return site->name;
    struct text *name = &cursor->name;
    name->size = 0;
    bool done = text_append(name, site->name, strlen(site->name)) && text_append(name, "[", 1);
    if (done && event->has_key)
        done = text_set_value(&cursor->key_value, event->key_tag, event->key, event->key_size) &&
               append_value_text(cursor->reader, name, &cursor->key_value);
    else if (done)
        done = text_append(name, site->key, strlen(site->key));
    return done && text_append(name, "]", 1) ? name->bytes : "?";
}

/* ---- which events match ----------------------------------------------------------------- */

static bool is_given(const char *pattern)
{
    return pattern && *pattern;
}

static const char *behind_last(const char *text, char separator)
{
    const char *found = strrchr(text, separator);
    return found ? found + 1 : text;
}

static bool code_matches(const struct mt_filter *filter, const struct mt_code_def *code)
{
    if (is_given(filter->function) && !mt_match(filter->function, code->qualname) &&
        !mt_match(filter->function, behind_last(code->qualname, '.')))
        return false;
    return !is_given(filter->file) || mt_match(filter->file, code->file) ||
           mt_match(filter->file, behind_last(code->file, '/'));
}

static enum verdict judge_variable(struct mt_cursor *cursor, const char *variable,
                                   const struct mt_site_def *site)
{
    if (site->scope != MT_ITEM)
        return mt_match(variable, site->name) ? SITE_YES : SITE_NO;
    // The key is in the event, if it has one.
    struct text *prefix = &cursor->name;
    prefix->size = 0;
    if (!text_append(prefix, site->name, strlen(site->name)) || !text_append(prefix, "[", 1))
        return SITE_BY_KEY;
    return mt_match_prefix(variable, prefix->bytes) || mt_match(variable, site->name) ? SITE_BY_KEY
                                                                                      : SITE_NO;
}

static enum mt_status judge_sites(struct mt_cursor *cursor, const struct mt_filter *filter)
{
    if (!is_given(filter->variable) && !is_given(filter->function) && !is_given(filter->file))
        return MT_OK;
    const struct mt_catalog *catalog = &cursor->reader->catalog;
    cursor->verdict_count = catalog->sites.size ? catalog->sites.size : 1;
    cursor->verdicts = malloc(cursor->verdict_count);
    // Code objects have many sites: 0 not judged yet, 1 no, 2 yes.
    uint32_t code_count = catalog->codes.size ? catalog->codes.size : 1;
    uint8_t *codes = calloc(code_count, 1);
    if (!cursor->verdicts || !codes) {
        free(codes);
        return MT_NO_MEMORY;
    }
    for (uint32_t id = 0; id < cursor->verdict_count; id++) {
        const struct mt_site_def *site = mt_catalog_site(catalog, id);
        uint32_t code = site->code < code_count ? site->code : 0;
        if (codes[code] == 0)
            codes[code] = code_matches(filter, mt_catalog_code(catalog, code)) ? 2 : 1;
        cursor->verdicts[id] = codes[code] == 1 ? SITE_NO
                               : is_given(filter->variable)
                                   ? judge_variable(cursor, filter->variable, site)
                                   : SITE_YES;
    }
    free(codes);
    return MT_OK;
}

static bool matches_by_key(struct mt_cursor *cursor, const struct mt_raw_event *event)
{
    const struct mt_site_def *site = mt_catalog_site(&cursor->reader->catalog, event->site);
    return mt_match(cursor->filter.variable, complete_name(cursor, site, event));
}

static inline bool matches(struct mt_cursor *cursor, const struct mt_raw_event *event)
{
    const struct mt_filter *filter = &cursor->filter;
    if (cursor->verdicts) {
        uint32_t site = event->site < cursor->verdict_count ? event->site : 0;
        if (cursor->verdicts[site] == SITE_NO ||
            (cursor->verdicts[site] == SITE_BY_KEY && !matches_by_key(cursor, event)))
            return false;
    }
    return (filter->kinds >> event->kind & 1) && event->seq > filter->since_seq &&
           event->seq <= filter->until_seq && event->time_ns >= filter->since_ns &&
           (filter->activation == 0 || event->activation == filter->activation);
}

/* Drop the packets that, by their headers, can't hold a match. */
static void select_packets(struct mt_packet_list *list, const struct mt_filter *filter)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct mt_packet *packet = &list->packets[i];
        bool is_over = packet->end_ns != 0 && packet->end_ns < filter->since_ns;
        if ((filter->thread != 0 && packet->tid != filter->thread) || is_over ||
            packet->bound_seq - 1 <= filter->since_seq || packet->first_seq > filter->until_seq)
            continue;
        list->packets[kept++] = *packet;
    }
    list->count = kept;
}

/* Fetch all packets now, before they are overwritten, but keep only those with a match. */
static enum mt_status fetch_matching_packets(struct mt_cursor *cursor)
{
    struct mt_packet_list *list = &cursor->list;
    size_t kept = 0, i = 0;
    enum mt_status status = MT_OK;
    for (; i < list->count && status != MT_NO_MEMORY; i++) {
        struct mt_packet *packet = &list->packets[i];
        status = mt_packet_fetch(&cursor->reader->source, packet);
        if (status != MT_OK)
            continue;
        struct mt_decoder decoder = mt_decoder_begin(packet->bytes, packet->content);
        struct mt_raw_event event;
        bool found = false;
        while (!found && mt_decode_event(&decoder, &event) == MT_DECODED_EVENT)
            found = matches(cursor, &event);
        if (found)
            list->packets[kept++] = *packet;
        else
            mt_packet_release(packet);
    }
    list->count = kept;
    return status == MT_NO_MEMORY ? status : MT_OK;
}

/* ---- merging threads ----------------------------------------------------------------- */

/* Go to the next match of the thread; false at its end. What is damaged ends its packet. */
static bool advance(struct mt_cursor *cursor, struct stream *stream)
{
    for (;;) {
        while (mt_decode_event(&stream->decoder, &stream->event) == MT_DECODED_EVENT)
            if (matches(cursor, &stream->event))
                return true;
        if (stream->packet == stream->end)
            return false;
        stream->decoder = mt_decoder_begin(stream->packet->bytes, stream->packet->content);
        stream->packet++;
    }
}

static void sift_streams(struct stream **heap, size_t size, size_t at)
{
    for (;;) {
        size_t least = at, left = 2 * at + 1, right = left + 1;
        if (left < size && heap[left]->event.seq < heap[least]->event.seq)
            least = left;
        if (right < size && heap[right]->event.seq < heap[least]->event.seq)
            least = right;
        if (least == at)
            return;
        struct stream *moved = heap[at];
        heap[at] = heap[least];
        heap[least] = moved;
        at = least;
    }
}

static bool is_same_thread(const struct mt_packet *a, const struct mt_packet *b)
{
    return a->pid == b->pid && a->tid == b->tid;
}

static enum mt_status begin_streams(struct mt_cursor *cursor)
{
    const struct mt_source *source = &cursor->reader->source;
    enum mt_status status = source->live ? fetch_matching_packets(cursor)
                                         : mt_packets_fetch(source, &cursor->list);
    if (status != MT_OK)
        return status;
    size_t count = cursor->list.count;
    const struct mt_packet *packets = cursor->list.packets;
    cursor->streams = calloc(count + 1, sizeof *cursor->streams);
    cursor->heap = calloc(count + 1, sizeof(struct stream *));
    if (!cursor->streams || !cursor->heap)
        return MT_NO_MEMORY;
    struct stream *stream = cursor->streams;
    for (size_t i = 0; i < count; stream++) {
        size_t end = i + 1;
        while (end < count && is_same_thread(&packets[i], &packets[end]))
            end++;
        stream->packet = packets + i;
        stream->end = packets + end;
        if (advance(cursor, stream))
            cursor->heap[cursor->heap_size++] = stream;
        i = end;
    }
    for (size_t i = cursor->heap_size; i-- > 0;)
        sift_streams(cursor->heap, cursor->heap_size, i);
    return MT_OK;
}

/* ---- the last N ---------------------------------------------------------------------- */

static void sift_matches(struct match *heap, size_t size, size_t at)
{
    for (;;) {
        size_t least = at, left = 2 * at + 1, right = left + 1;
        if (left < size && heap[left].seq < heap[least].seq)
            least = left;
        if (right < size && heap[right].seq < heap[least].seq)
            least = right;
        if (least == at)
            return;
        struct match moved = heap[at];
        heap[at] = heap[least];
        heap[least] = moved;
        at = least;
    }
}

/* Keep the match if it is among the last N so far: a heap, the earliest of them on top. */
static enum mt_status keep_match(struct mt_cursor *cursor, struct match match)
{
    if (cursor->match_count == cursor->filter.last) {
        if (match.seq > cursor->matches[0].seq) {
            cursor->matches[0] = match;
            sift_matches(cursor->matches, cursor->match_count, 0);
        }
        return MT_OK;
    }
    if (cursor->match_count == cursor->match_capacity) {
        size_t capacity = cursor->match_capacity ? cursor->match_capacity * 2 : 64;
        struct match *grown = realloc(cursor->matches, capacity * sizeof *grown);
        if (!grown)
            return MT_NO_MEMORY;
        cursor->matches = grown;
        cursor->match_capacity = capacity;
    }
    size_t at = cursor->match_count++;
    for (; at > 0 && cursor->matches[(at - 1) / 2].seq > match.seq; at = (at - 1) / 2)
        cursor->matches[at] = cursor->matches[(at - 1) / 2];
    cursor->matches[at] = match;
    return MT_OK;
}

static enum mt_status keep_matches_of(struct mt_cursor *cursor, struct mt_packet *packet)
{
    enum mt_status status = mt_packet_fetch(&cursor->reader->source, packet);
    if (status != MT_OK)
        return status == MT_OVERWRITTEN ? MT_OK : status;
    struct mt_decoder decoder = mt_decoder_begin(packet->bytes, packet->content);
    struct mt_raw_event event;
    bool needed = false;
    const uint8_t *at = decoder.at;
    while (status == MT_OK && mt_decode_event(&decoder, &event) == MT_DECODED_EVENT) {
        if (matches(cursor, &event)) {
            status = keep_match(cursor, (struct match){event.seq, event.time_ns, packet, at});
            needed = true;
        }
        at = decoder.at;
    }
    if (!needed)
        mt_packet_release(packet);
    return status;
}

static int compare_bounds(const void *left, const void *right)
{
    const struct mt_packet *a = *(const struct mt_packet *const *)left;
    const struct mt_packet *b = *(const struct mt_packet *const *)right;
    return a->bound_seq > b->bound_seq ? -1 : a->bound_seq < b->bound_seq;
}

static int compare_matches(const void *left, const void *right)
{
    const struct match *a = left, *b = right;
    return a->seq < b->seq ? -1 : a->seq > b->seq;
}

/* From the latest packet to the earliest, until no earlier one can hold one of the last N. */
static enum mt_status find_last(struct mt_cursor *cursor)
{
    size_t count = cursor->list.count;
    struct mt_packet **order = calloc(count + 1, sizeof(struct mt_packet *));
    if (!order)
        return MT_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        order[i] = &cursor->list.packets[i];
    qsort(order, count, sizeof(struct mt_packet *), compare_bounds);
    enum mt_status status = MT_OK;
    for (size_t i = 0; i < count && status == MT_OK; i++) {
        if (cursor->match_count == cursor->filter.last &&
            order[i]->bound_seq <= cursor->matches[0].seq)
            break;
        status = keep_matches_of(cursor, order[i]);
    }
    free(order);
    if (cursor->match_count > 0)
        qsort(cursor->matches, cursor->match_count, sizeof *cursor->matches, compare_matches);
    return status;
}

/* ---- queries --------------------------------------------------------------------------- */

static enum mt_status copy_filter(struct mt_cursor *cursor, const struct mt_filter *filter)
{
    struct mt_filter *own = &cursor->filter;
    *own = *filter;
    own->function = own->file = own->variable = NULL;
    if (is_given(filter->variable)) {
        own->variable = strdup(filter->variable);
        if (!own->variable)
            return MT_NO_MEMORY;
    }
    if (own->kinds == 0)
        own->kinds = (1u << MT_KIND_COUNT) - 1;
    if (own->until_seq == 0)
        own->until_seq = UINT64_MAX;
    return MT_OK;
}

static enum mt_status prepare(struct mt_cursor *cursor, const struct mt_filter *filter)
{
    struct mt_reader *reader = cursor->reader;
    enum mt_status status = copy_filter(cursor, filter);
    if (status == MT_OK)
        status = mt_packets_list(&reader->source, MT_STREAM_EVENTS, &cursor->list);
    if (status != MT_OK)
        return status;
    if (cursor->filter.until_seq >= cursor->list.horizon)
        cursor->filter.until_seq = cursor->list.horizon - 1;
    select_packets(&cursor->list, &cursor->filter);
    // After the horizon: a definition is written before the first event that names it.
    status = mt_catalog_refresh(&reader->catalog, &reader->source);
    if (status == MT_OK)
        status = judge_sites(cursor, filter);
    if (status == MT_OK)
        status = cursor->filter.last > 0 ? find_last(cursor) : begin_streams(cursor);
    return status;
}

int mt_reader_query(struct mt_reader *reader, const struct mt_filter *filter,
                    struct mt_cursor **ret)
{
    struct mt_cursor *cursor = calloc(1, sizeof *cursor);
    if (!cursor)
        return MT_NO_MEMORY;
    cursor->reader = reader;
    enum mt_status status = prepare(cursor, filter);
    if (status != MT_OK)
        mt_cursor_close(cursor);
    else
        *ret = cursor;
    return status;
}

void mt_cursor_close(struct mt_cursor *cursor)
{
    if (!cursor)
        return;
    mt_packets_free(&cursor->list);
    free((void *)(uintptr_t)cursor->filter.variable);
    free(cursor->verdicts);
    free(cursor->streams);
    free(cursor->heap);
    free(cursor->matches);
    free(cursor->name.bytes);
    free(cursor->key_value.bytes);
    free(cursor->old_value.bytes);
    free(cursor->new_value.bytes);
    free(cursor);
}

/* Give an event out. */
static int fill_event(struct mt_cursor *cursor, const struct mt_raw_event *raw,
                      const struct mt_packet *packet, struct mt_event *ret)
{
    const struct mt_catalog *catalog = &cursor->reader->catalog;
    const struct mt_site_def *site = mt_catalog_site(catalog, raw->site);
    const struct mt_code_def *code = mt_catalog_code(catalog, site->code);
    const uint8_t *old_value = raw->key + raw->key_size;
    if (!text_set_value(&cursor->old_value, raw->old_tag, old_value, raw->old_size) ||
        !text_set_value(&cursor->new_value, raw->new_tag, old_value + raw->old_size, raw->new_size))
        return 0;
    *ret = (struct mt_event){
        .seq = raw->seq,
        .time_ns = raw->time_ns,
        .pid = packet->pid,
        .thread = packet->tid,
        .activation = raw->activation,
        .line = site->line,
        .kind = raw->kind,
        .scope = site->scope,
        .site = raw->site,
        .function = code->qualname,
        .file = code->file,
        .name = complete_name(cursor, site, raw),
        .old_bytes = (const uint8_t *)cursor->old_value.bytes,
        .new_bytes = (const uint8_t *)cursor->new_value.bytes,
        .old_size = (uint32_t)cursor->old_value.size,
        .new_size = (uint32_t)cursor->new_value.size,
    };
    return 1;
}

static int next_of_last(struct mt_cursor *cursor, struct mt_event *ret)
{
    if (cursor->match_next == cursor->match_count)
        return 0;
    const struct match *match = &cursor->matches[cursor->match_next++];
    // Its own seq and time are as good to widen it with as those of the event before.
    struct mt_decoder decoder = {match->at, match->packet->bytes + match->packet->content,
                                 match->seq, match->time_ns};
    struct mt_raw_event event;
    return mt_decode_event(&decoder, &event) == MT_DECODED_EVENT
               ? fill_event(cursor, &event, match->packet, ret)
               : 0;
}

int mt_cursor_next(struct mt_cursor *cursor, struct mt_event *ret)
{
    if (cursor->filter.last > 0)
        return next_of_last(cursor, ret);
    // Only now: what was given out is valid until this call.
    if (cursor->given) {
        if (!advance(cursor, cursor->heap[0]))
            cursor->heap[0] = cursor->heap[--cursor->heap_size];
        sift_streams(cursor->heap, cursor->heap_size, 0);
    }
    cursor->given = cursor->heap_size > 0;
    if (!cursor->given)
        return 0;
    struct stream *stream = cursor->heap[0];
    return fill_event(cursor, &stream->event, stream->packet - 1, ret);
}

/* ---- values, names, totals ------------------------------------------------------------------ */

size_t mt_reader_value_text(struct mt_reader *reader, const uint8_t *bytes, uint32_t bytes_size,
                            char *text, size_t size)
{
    return mt_value_text(bytes, bytes_size, type_name, reader, text, size);
}

const char *mt_reader_value_type(struct mt_reader *reader, const uint8_t *bytes, uint32_t size)
{
    return mt_value_type(bytes, size, type_name, reader);
}

/* Texts to give out once each. `owned` are those that were made here. */
struct text_set {
    const char **texts;
    size_t count;
    char **owned;
    size_t owned_count;
};

static int compare_texts(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* `flags[point]` where the key is known from the source, else the container's name. */
static const char *site_text(struct text_set *set, const struct mt_site_def *site)
{
    if (site->scope != MT_ITEM || !*site->key)
        return site->name;
    size_t name = strlen(site->name), key = strlen(site->key);
    char *text = malloc(name + key + 3);
    if (!text)
        return site->name;
    memcpy(text, site->name, name);
    text[name] = '[';
    memcpy(text + name + 1, site->key, key);
    memcpy(text + name + 1 + key, "]", 2);
    set->owned[set->owned_count++] = text;
    return text;
}

enum { NAMES_FUNCTIONS, NAMES_FILES, NAMES_VARIABLES };

static void collect_names(const struct mt_catalog *catalog, int what, struct text_set *set)
{
    const struct mt_code_def *codes = catalog->codes.entries;
    const struct mt_site_def *sites = catalog->sites.entries;
    if (what == NAMES_VARIABLES) {
        for (uint32_t id = 1; id < catalog->sites.size; id++)
            if (sites[id].name)
                set->texts[set->count++] = site_text(set, &sites[id]);
    } else {
        for (uint32_t id = 1; id < catalog->codes.size; id++)
            if (codes[id].file)
                set->texts[set->count++] = what == NAMES_FUNCTIONS ? codes[id].qualname
                                                                   : codes[id].file;
    }
}

void mt_reader_names(struct mt_reader *reader, int what,
                     void (*each)(const char *text, void *context), void *context)
{
    struct mt_catalog *catalog = &reader->catalog;
    mt_catalog_refresh(catalog, &reader->source);
    size_t most = (size_t)(what == NAMES_VARIABLES ? catalog->sites.size : catalog->codes.size);
    struct text_set set = {
        .texts = calloc(most + 1, sizeof(char *)),
        .owned = calloc(most + 1, sizeof(char *)),
    };
    if (set.texts && set.owned) {
        collect_names(catalog, what, &set);
        qsort(set.texts, set.count, sizeof *set.texts, compare_texts);
        for (size_t i = 0; i < set.count; i++)
            if (i == 0 || strcmp(set.texts[i - 1], set.texts[i]) != 0)
                each(set.texts[i], context);
    }
    for (size_t i = 0; i < set.owned_count; i++)
        free(set.owned[i]);
    free(set.owned);
    free(set.texts);
}

void mt_reader_notes(struct mt_reader *reader,
                     void (*each)(uint64_t seq, const char *text, void *context), void *context)
{
    struct mt_catalog *catalog = &reader->catalog;
    mt_catalog_refresh(catalog, &reader->source);
    const struct mt_note_def *notes = catalog->notes.entries;
    for (uint32_t id = 1; id < catalog->notes.size; id++)
        if (notes[id].text)
            each(notes[id].seq, notes[id].text, context);
}

static void count_packet(const struct mt_packet *packet, uint64_t horizon, struct mt_totals *totals)
{
    struct mt_decoder decoder = mt_decoder_begin(packet->bytes, packet->content);
    struct mt_raw_event event;
    enum mt_decoded decoded;
    while ((decoded = mt_decode_event(&decoder, &event)) == MT_DECODED_EVENT &&
           event.seq < horizon) {
        if (totals->events == 0 || event.seq < totals->first_seq)
            totals->first_seq = event.seq;
        if (totals->events == 0 || event.time_ns < totals->first_ns)
            totals->first_ns = event.time_ns;
        if (event.seq > totals->last_seq)
            totals->last_seq = event.seq;
        if (event.time_ns > totals->last_ns)
            totals->last_ns = event.time_ns;
        totals->events++;
    }
    totals->torn += decoded == MT_DECODED_DAMAGED;
}

void mt_reader_totals(struct mt_reader *reader, struct mt_totals *ret)
{
    *ret = (struct mt_totals){0};
    struct mt_packet_list list;
    if (mt_packets_list(&reader->source, MT_STREAM_EVENTS, &list) != MT_OK)
        return;
    uint64_t discarded = 0; // of the thread so far
    for (size_t i = 0; i < list.count; i++) {
        struct mt_packet *packet = &list.packets[i];
        if (i == 0 || !is_same_thread(packet - 1, packet)) {
            ret->threads++;
            ret->discarded += discarded;
            discarded = 0;
        }
        if (packet->discarded > discarded)
            discarded = packet->discarded;
        if (mt_packet_fetch(&reader->source, packet) != MT_OK) {
            ret->torn++;
            continue;
        }
        ret->packets++;
        count_packet(packet, list.horizon, ret);
        mt_packet_release(packet);
    }
    ret->discarded += discarded;
    // The control block also knows what was dropped after a thread's last packet began.
    const struct mt_control *control = mt_reader_control(reader);
    if (control)
        ret->discarded = __atomic_load_n(&control->lost_no_packet, __ATOMIC_RELAXED);
    ret->torn += list.torn;
    mt_packets_free(&list);
}
