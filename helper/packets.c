/* Packets out of a live buffer, a dead copy, or a recording.
 *
 * In the reader. No Python.h, needs no GIL. Threads: one at a time per source; what is read
 * may be written meanwhile by the debuggee, see ring.c for the protocol and its pairs.
 *
 * A live buffer's bytes are copied before anybody looks at them, so that what was checked
 * can't change afterwards. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "packets.h"

enum mt_status mt_packets_error(char *error, enum mt_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, MT_DETAIL_BYTES, format, arguments);
    va_end(arguments);
    return status;
}

/* ---- sources ----------------------------------------------------------------------- */

/* Do the offsets of the control block describe `bytes` bytes? */
static bool is_consistent(const struct mt_control *control)
{
    uint64_t size = control->buffer_bytes, count = control->packet_count;
    uint64_t slots = control->slots_offset, packets = control->packets_offset;
    return control->control_bytes == MT_CONTROL_BYTES && control->packet_bytes == MT_PACKET_BYTES &&
           slots >= MT_CONTROL_BYTES && slots % sizeof(uint64_t) == 0 &&
           packets % sizeof(uint64_t) == 0 && slots <= size &&
           count * sizeof(struct mt_slot) <= size - slots && packets <= size &&
           count <= (size - packets) / MT_PACKET_BYTES;
}

enum mt_status mt_source_init_buffer(struct mt_source *source, const void *buffer, uint64_t bytes,
                                     bool live, char *error)
{
    if (bytes < MT_CONTROL_BYTES)
        return mt_packets_error(error, MT_TRUNCATED, "a memtrace buffer is larger than %llu bytes",
                                (unsigned long long)bytes);
    struct mt_control control;
    memcpy(&control, buffer, sizeof control);
    if (memcmp(control.magic, MT_MAGIC, sizeof control.magic) != 0)
        return mt_packets_error(error, MT_CORRUPT, "this is no memtrace buffer");
    // Pairs with the release fence before the magic in mt_buffer_create().
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    memcpy(&control, buffer, sizeof control);
    if (control.abi_version != MT_ABI_VERSION)
        return mt_packets_error(error, MT_WRONG_VERSION,
                                "the buffer has version %u, this reader knows version %d: "
                                "use the memtrace that recorded it",
                                control.abi_version, MT_ABI_VERSION);
    if (!is_consistent(&control))
        return mt_packets_error(error, MT_CORRUPT,
                                "the control block of the buffer contradicts itself");
    if (control.buffer_bytes > bytes)
        return mt_packets_error(
            error, MT_TRUNCATED, "only %llu of the buffer's %llu bytes are here",
            (unsigned long long)bytes, (unsigned long long)control.buffer_bytes);
    source->buffer = buffer;
    source->live = live;
    source->packet_count = control.packet_count;
    source->slots_offset = control.slots_offset;
    source->packets_offset = control.packets_offset;
    return MT_OK;
}

enum mt_status mt_source_map(const char *path, uint64_t offset, uint64_t bytes,
                             struct mt_mapped *ret, char *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return mt_packets_error(error, errno == ENOENT ? MT_NOT_FOUND : MT_IO_ERROR, "%s: %s", path,
                                strerror(errno));
    struct stat status;
    enum mt_status result = MT_OK;
    void *memory = NULL;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        result = mt_packets_error(error, MT_IO_ERROR, "%s is no regular file", path);
    } else if (offset > (uint64_t)status.st_size || bytes > (uint64_t)status.st_size - offset) {
        result = mt_packets_error(error, MT_TRUNCATED, "%s has only %lld bytes", path,
                                  (long long)status.st_size);
    } else {
        if (bytes == 0)
            bytes = (uint64_t)status.st_size - offset;
        if (bytes > 0)
            memory = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, (off_t)offset);
        if (memory == MAP_FAILED)
            result = mt_packets_error(error, MT_IO_ERROR, "%s can't be mapped: %s", path,
                                      strerror(errno));
    }
    close(fd);
    if (result == MT_OK)
        *ret = (struct mt_mapped){memory, bytes};
    return result;
}

static void unmap(struct mt_mapped mapped)
{
    if (mapped.bytes)
        munmap((void *)(uintptr_t)mapped.bytes, mapped.size);
}

void mt_source_deinit(struct mt_source *source)
{
    for (size_t i = 0; i < source->file_count; i++)
        unmap(source->files[i]);
    free(source->files);
    free(source->metadata);
    unmap(source->mapping);
}

/* ---- lists ------------------------------------------------------------------------- */

static enum mt_status add(struct mt_packet_list *list, const struct mt_packet_header *header,
                          const struct mt_packet *where)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 64;
        struct mt_packet *grown = realloc(list->packets, capacity * sizeof *grown);
        if (!grown)
            return MT_NO_MEMORY;
        list->packets = grown;
        list->capacity = capacity;
    }
    struct mt_packet *packet = &list->packets[list->count++];
    *packet = *where;
    packet->content = (uint32_t)(header->content_bits / 8);
    packet->pid = header->pid;
    packet->tid = header->tid;
    packet->packet_seq = header->packet_seq;
    packet->first_seq = header->first_seq;
    packet->begin_ns = header->timestamp_begin;
    packet->end_ns = header->timestamp_end;
    packet->discarded = header->events_discarded;
    return MT_OK;
}

/* `available`: bytes from the header on. */
static bool is_plausible(const struct mt_packet_header *header, uint64_t available)
{
    return header->magic == MT_CTF_MAGIC && header->packet_bits % 8 == 0 &&
           header->content_bits % 8 == 0 && header->content_bits <= header->packet_bits &&
           header->content_bits >= sizeof *header * 8 && header->packet_bits / 8 <= available &&
           header->packet_bits / 8 <= MT_PACKET_BYTES;
}

typedef uint64_t __attribute__((may_alias)) any_word;

/* Copy from a live buffer, from and to whole words. The writer may store there meanwhile;
 * the generations around the copy tell. That race is meant, so it isn't instrumented: a
 * loop, because a memcpy() would be. */
__attribute__((no_sanitize("thread"), noinline)) static void
copy_live(void *to, const uint8_t *from, size_t bytes)
{
    const volatile any_word *source = (const volatile any_word *)(const void *)from;
    any_word *target = to;
    for (size_t i = 0; i < (bytes + 7) / 8; i++)
        target[i] = source[i];
}

static const struct mt_slot *slot_at(const struct mt_source *source, uint32_t index)
{
    return (const struct mt_slot *)(const void *)(source->buffer + source->slots_offset) + index;
}

static const uint8_t *packet_at(const struct mt_source *source, uint32_t index)
{
    return source->buffer + source->packets_offset + (uint64_t)index * MT_PACKET_BYTES;
}

/* Has the packet been given another life since its generation was `generation`? */
static bool was_reused(const struct mt_source *source, uint32_t index, uint64_t generation)
{
    // Pairs with the release fence in reset_packet() in ring.c.
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return __atomic_load_n(&slot_at(source, index)->generation, __ATOMIC_RELAXED) != generation;
}

static enum mt_status list_slot(const struct mt_source *source, uint32_t index, uint32_t stream,
                                struct mt_packet_list *list)
{
    const struct mt_slot *slot = slot_at(source, index);
    if (__atomic_load_n(&slot->use, __ATOMIC_RELAXED) == MT_SLOT_FREE)
        return MT_OK;
    // Pairs with the release store at the end of reset_packet(): its header is here.
    uint64_t generation = __atomic_load_n(&slot->generation, __ATOMIC_ACQUIRE);
    if (generation == 0)
        return MT_OK; // claimed for the first time, not begun yet
    const uint8_t *bytes = packet_at(source, index);
    struct mt_packet_header header = {0};
    copy_live(&header, bytes, sizeof header);
    if (generation % 2 == 1 || was_reused(source, index, generation)) {
        list->torn++;
        return MT_OK;
    }
    if (!is_plausible(&header, MT_PACKET_BYTES)) {
        list->torn++;
        return MT_OK;
    }
    if (header.stream_id != stream)
        return MT_OK;
    struct mt_packet where = {.index = index, .generation = generation};
    return add(list, &header, &where);
}

static enum mt_status list_file(const struct mt_mapped *file, uint32_t stream,
                                struct mt_packet_list *list)
{
    size_t offset = 0;
    while (file->size - offset >= sizeof(struct mt_packet_header)) {
        struct mt_packet_header header;
        memcpy(&header, file->bytes + offset, sizeof header);
        if (!is_plausible(&header, file->size - offset))
            break;
        struct mt_packet where = {.bytes = file->bytes + offset};
        if (header.stream_id == stream && header.content_bits / 8 > sizeof header &&
            add(list, &header, &where) != MT_OK)
            return MT_NO_MEMORY;
        offset += header.packet_bits / 8;
    }
    // The rest can't be told apart into packets.
    if (offset < file->size)
        list->torn++;
    return MT_OK;
}

static int compare_numbers(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_packets(const void *left, const void *right)
{
    const struct mt_packet *a = left, *b = right;
    int order = compare_numbers(a->pid, b->pid);
    order = order ? order : compare_numbers(a->tid, b->tid);
    order = order ? order : compare_numbers(a->first_seq, b->first_seq);
    return order ? order : compare_numbers(a->packet_seq, b->packet_seq);
}

enum mt_status mt_packets_list(const struct mt_source *source, uint32_t stream,
                               struct mt_packet_list *ret)
{
    *ret = (struct mt_packet_list){.horizon = UINT64_MAX};
    enum mt_status status = MT_OK;
    if (source->live) {
        const struct mt_control *control = (const struct mt_control *)(const void *)source->buffer;
        // Threads are copied one after the other. What is numbered after this moment is left
        // for the next query, so that an answer has no gaps that fill later. The last number
        // given out may still be on its way into a packet.
        ret->horizon = __atomic_load_n(&control->next_seq, __ATOMIC_RELAXED);
        // Pairs with mt_ring_take_seq(): definitions of what is numbered so far are there.
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    }
    for (uint32_t i = 0; source->buffer && i < source->packet_count && status == MT_OK; i++)
        status = list_slot(source, i, stream, ret);
    for (size_t i = 0; i < source->file_count && status == MT_OK; i++)
        status = list_file(&source->files[i], stream, ret);
    if (status != MT_OK) {
        mt_packets_free(ret);
        return status;
    }
    if (ret->count > 0)
        qsort(ret->packets, ret->count, sizeof *ret->packets, compare_packets);
    for (size_t i = 0; i < ret->count; i++) {
        struct mt_packet *packet = &ret->packets[i], *next = packet + 1;
        bool continues = i + 1 < ret->count && next->pid == packet->pid && next->tid == packet->tid;
        packet->bound_seq = continues ? next->first_seq : UINT64_MAX;
    }
    return MT_OK;
}

/* MT_OVERWRITTEN if it was reused or is damaged. */
static enum mt_status copy_packet(const struct mt_source *source, struct mt_packet *packet)
{
    const uint8_t *from = packet_at(source, packet->index);
    const struct mt_packet_header *header = (const struct mt_packet_header *)(const void *)from;
    // Pairs with the commits of ring.c and ring.h: all events up to there are whole.
    uint64_t bits = __atomic_load_n(&header->content_bits, __ATOMIC_ACQUIRE);
    if (bits % 8 != 0 || bits / 8 < sizeof *header || bits / 8 > MT_PACKET_BYTES)
        return MT_OVERWRITTEN;
    packet->content = (uint32_t)(bits / 8);
    packet->copy = malloc(packet->content + sizeof(any_word));
    if (!packet->copy)
        return MT_NO_MEMORY;
    copy_live(packet->copy, from, packet->content);
    packet->bytes = packet->copy;
    if (!was_reused(source, packet->index, packet->generation))
        return MT_OK;
    mt_packet_release(packet);
    return MT_OVERWRITTEN;
}

enum mt_status mt_packet_fetch(const struct mt_source *source, struct mt_packet *packet)
{
    if (source->live)
        return copy_packet(source, packet);
    if (source->buffer)
        packet->bytes = packet_at(source, packet->index);
    return MT_OK;
}

void mt_packet_release(struct mt_packet *packet)
{
    free(packet->copy);
    packet->copy = NULL;
    packet->bytes = NULL;
}

enum mt_status mt_packets_fetch(const struct mt_source *source, struct mt_packet_list *list)
{
    size_t kept = 0;
    enum mt_status status = MT_OK;
    for (size_t i = 0; i < list->count && status != MT_NO_MEMORY; i++) {
        status = mt_packet_fetch(source, &list->packets[i]);
        if (status == MT_OK)
            list->packets[kept++] = list->packets[i];
        else
            list->torn++;
    }
    list->count = kept;
    return status == MT_NO_MEMORY ? status : MT_OK;
}

void mt_packets_free(struct mt_packet_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->packets[i].copy);
    free(list->packets);
    *list = (struct mt_packet_list){0};
}
