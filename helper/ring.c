/* The buffer and its writers.
 *
 * In the debuggee: every traced store ends in mt_ring_append(). No Python.h, needs no GIL,
 * takes no lock, calls no malloc and no stdio, leaves errno as it was.
 *
 * Threads. A struct mt_ring belongs to one thread. What threads share are the slots, the
 * allocation cursor and the counters of the control block, all of them atomic. Readers are
 * other processes (or the unit tests' threads) that only look.
 *
 * Commit protocol. Each arrow is a release store here and an acquire load in packets.c:
 *
 *   commit    event bytes → content_bits (release). A reader loads content_bits (acquire)
 *             and looks at nothing behind it: a torn event is never visible.
 *   reuse     generation odd → fence → header reset, content_bits → generation even
 *             (release). A reader loads generation (acquire), copies, fences (acquire) and
 *             loads generation again: if it was odd or differs, the copy is dropped.
 *   hand-over slot.use = CLOSED (release) → the next owner's claim (acquire): it sees all
 *             that the last owner wrote, event_count among it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "ring.h"
#include "status.h"

/* The buffer in use. Set once, when the first request opens it; cleared after fork. */
struct mt_control *mt_control;

/* See ring.h. */
bool mt_ring_serialised;

/* Descriptor of the memfd, or -1. Open as long as the buffer: gdb maps it from /proc. */
static int buffer_fd = -1;

/* Packets that hold definitions: at most half of the buffer. Atomic, relaxed: a limit. */
static uint32_t defs_packets;

/* The lowest descriptor number that programs hardly ever count up to. */
enum { HIGH_DESCRIPTOR = 200 };

/* ---- the buffer ------------------------------------------------------------------- */

static uint64_t round_up(uint64_t value, uint64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

/* As high as RLIMIT_NOFILE lets it be, from HIGH_DESCRIPTOR downwards. */
static int move_descriptor_up(int fd)
{
    for (int floor = HIGH_DESCRIPTOR; floor > fd; floor /= 2) {
        int moved = fcntl(fd, F_DUPFD_CLOEXEC, floor);
        if (moved >= 0) {
            close(fd);
            return moved;
        }
    }
    return fd;
}

static void fill_uuid(uint8_t uuid[16])
{
    ssize_t got = getrandom(uuid, 16, GRND_NONBLOCK);
    if (got != 16) {
        // Early boot or an old kernel. Unique is enough, it need not be secret.
        uint64_t parts[2] = {mt_clock_ns(), (uint64_t)getpid() << 32 ^ (uintptr_t)uuid};
        memcpy(uuid, parts, 16);
    }
    uuid[6] = (uuid[6] & 0x0f) | 0x40;
    uuid[8] = (uuid[8] & 0x3f) | 0x80;
}

static uint64_t realtime_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Packets that fit: one unit is the control block, and each unit of slots describes
 * MT_PACKET_BYTES / sizeof(struct mt_slot) packets. */
static uint32_t count_packets(uint64_t buffer_bytes)
{
    uint64_t units = buffer_bytes / MT_PACKET_BYTES - MT_CONTROL_BYTES / MT_PACKET_BYTES;
    uint64_t per_unit = MT_PACKET_BYTES / sizeof(struct mt_slot);
    return (uint32_t)(units - (units + per_unit) / (per_unit + 1));
}

static void fill_control(struct mt_control *control, uint64_t buffer_bytes)
{
    control->abi_version = MT_ABI_VERSION;
    control->control_bytes = MT_CONTROL_BYTES;
    control->packet_bytes = MT_PACKET_BYTES;
    control->packet_count = count_packets(buffer_bytes);
    control->buffer_bytes = buffer_bytes;
    control->slots_offset = MT_CONTROL_BYTES;
    control->packets_offset =
        MT_CONTROL_BYTES +
        round_up(control->packet_count * sizeof(struct mt_slot), MT_PACKET_BYTES);
    control->base = (uintptr_t)control;
    fill_uuid(control->uuid);
    control->pid = (uint32_t)getpid();
    // Cut where it is too long; the control block is zero behind it.
    ssize_t size = readlink("/proc/self/exe", control->program, sizeof control->program - 1);
    if (size < 0)
        control->program[0] = '\0';
    control->started_ns = mt_clock_ns();
    control->started_realtime_ns = realtime_ns();
    control->state = MT_STATE_OFF;
    control->next_seq = 1;
}

enum mt_status mt_buffer_create(uint64_t buffer_bytes, struct mt_control **ret)
{
    if (buffer_bytes > (uint64_t)1 << 46)
        return mt_status_set(MT_NO_MEMORY, "a buffer of that size can't be mapped");
    if (buffer_bytes < MT_BUFFER_BYTES_MIN)
        buffer_bytes = MT_BUFFER_BYTES_MIN;
    buffer_bytes = round_up(buffer_bytes, MT_PACKET_BYTES);

    int fd = memfd_create(MT_MEMFD_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return mt_status_set(MT_NO_MEMORY, "memfd_create failed (errno %d)", errno);
    fd = move_descriptor_up(fd);
    void *memory = MAP_FAILED;
    // Not populated: only pages that are written to take memory.
    if (ftruncate(fd, (off_t)buffer_bytes) == 0)
        memory = mmap(NULL, buffer_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    // A program that truncates descriptors it doesn't know would have SIGBUS for it.
    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
    if (memory == MAP_FAILED) {
        int error = errno;
        close(fd);
        errno = error;
        return mt_status_set(MT_NO_MEMORY, "no memory for a buffer of %llu bytes (errno %d)",
                             (unsigned long long)buffer_bytes, error);
    }

    mt_clock_init();
    struct mt_control *control = memory;
    fill_control(control, buffer_bytes);
    buffer_fd = fd;
    __atomic_store_n(&defs_packets, 0, __ATOMIC_RELAXED);
    mt_status_init(control->detail);
    // A reader that finds the magic finds the rest: it looks for the magic first (acquire
    // fence in mt_source_init_buffer).
    __atomic_thread_fence(__ATOMIC_RELEASE);
    memcpy(control->magic, MT_MAGIC, sizeof control->magic);
    __atomic_store_n(&mt_control, control, __ATOMIC_RELEASE); // pairs with mt_control users
    *ret = control;
    return MT_OK;
}

void mt_buffer_destroy(struct mt_control *control)
{
    if (control == mt_control) {
        mt_control = NULL;
        mt_status_init(NULL);
        close(buffer_fd);
        buffer_fd = -1;
    }
    munmap(control, control->buffer_bytes);
}

void mt_buffer_abandon(void)
{
    struct mt_control *control = mt_control;
    if (!control)
        return;
    mt_control = NULL;
    mt_status_init(NULL);
    close(buffer_fd);
    buffer_fd = -1;
    // Private zero pages in its place: a pointer into the buffer that some thread's ring
    // still holds can do no harm then, neither to this process nor to the parent's events.
    // Nothing can be done should it fail, which takes a process at its limit of mappings.
    (void)mmap(control, control->buffer_bytes, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

/* ---- handing out packets ----------------------------------------------------------- */

/* `use` and `tid` of a slot are claimed together, as one word. */
typedef uint64_t __attribute__((may_alias)) owner_word;

static owner_word owner(enum mt_slot_use use, uint32_t tid)
{
    return (uint64_t)tid << 32 | (uint32_t)use;
}

static owner_word *owner_of(struct mt_slot *slot)
{
    return (owner_word *)(void *)slot;
}

static struct mt_slot *slot_at(uint32_t index)
{
    return (struct mt_slot *)((char *)mt_control + mt_control->slots_offset) + index;
}

static struct mt_packet_header *packet_at(uint32_t index)
{
    return (struct mt_packet_header *)((char *)mt_control + mt_control->packets_offset +
                                       (uint64_t)index * MT_PACKET_BYTES);
}

static void count_lost(uint64_t *counter, uint64_t events)
{
    __atomic_fetch_add(counter, events, __ATOMIC_RELAXED);
}

static bool thread_is_gone(uint32_t tid)
{
    int saved = errno;
    bool gone = syscall(SYS_tgkill, getpid(), (pid_t)tid, 0) != 0 && errno == ESRCH;
    errno = saved;
    return gone;
}

/* May a thread `tid` that has no open packet take a packet whose owner word is `word`? */
static bool is_takeable(owner_word word, uint32_t tid)
{
    uint32_t holder = (uint32_t)(word >> 32);
    switch ((uint32_t)word) {
    case MT_SLOT_FREE:
    case MT_SLOT_CLOSED: return true;
    case MT_SLOT_OPEN:
        // An open one of this very thread was left by a dead thread of the same number.
        return holder == tid || thread_is_gone(holder);
    default: return false;
    }
}

/* Begin a new life of a claimed packet as stream `stream_id`. */
static void reset_packet(uint32_t index, const struct mt_packet_header *fresh)
{
    struct mt_slot *slot = slot_at(index);
    struct mt_packet_header *packet = packet_at(index);
    uint64_t generation = __atomic_load_n(&slot->generation, __ATOMIC_RELAXED);
    if (generation % 2 == 1)
        generation--; // its last owner was killed inside this function

    // Events of the packet's former life go now. Definitions are never given away.
    if (generation > 0)
        count_lost(&mt_control->lost_overwritten,
                   __atomic_load_n(&packet->event_count, __ATOMIC_RELAXED));

    __atomic_store_n(&slot->generation, generation + 1, __ATOMIC_RELAXED);
    // Pairs with the acquire fence in was_reused() of packets.c: who copied a byte written
    // below sees the odd number, or a later one.
    __atomic_thread_fence(__ATOMIC_RELEASE);
    __atomic_store_n(&packet->content_bits, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&packet->event_count, 0, __ATOMIC_RELAXED);
    packet->magic = MT_CTF_MAGIC;
    memcpy(packet->uuid, mt_control->uuid, sizeof packet->uuid);
    packet->stream_id = fresh->stream_id;
    packet->packet_bits = MT_PACKET_BYTES * 8;
    packet->timestamp_begin = fresh->timestamp_begin;
    packet->timestamp_end = 0;
    packet->events_discarded = fresh->events_discarded;
    packet->packet_seq = fresh->packet_seq;
    packet->first_seq = fresh->first_seq;
    packet->pid = mt_control->pid;
    packet->tid = fresh->tid;
    __atomic_store_n(&packet->content_bits, sizeof *packet * 8, __ATOMIC_RELAXED);
    // Pairs with the first load of generation in packets.c: it sees the fresh header.
    __atomic_store_n(&slot->generation, generation + 2, __ATOMIC_RELEASE);
}

/* Claim the next packet in turn for `tid`: the oldest that may go. False if none may. */
static bool claim_packet(enum mt_slot_use use, uint32_t tid, uint32_t *ret)
{
    uint32_t count = mt_control->packet_count;
    for (uint32_t tries = 0; tries < count; tries++) {
        uint64_t cursor = __atomic_fetch_add(&mt_control->next_packet, 1, __ATOMIC_RELAXED);
        uint32_t index = (uint32_t)(cursor % count);
        owner_word *word = owner_of(slot_at(index));
        owner_word held = __atomic_load_n(word, __ATOMIC_RELAXED);
        // Acquire pairs with the release in mt_ring_close(): the last owner has finished.
        if (is_takeable(held, tid) &&
            __atomic_compare_exchange_n(word, &held, owner(use, tid), false, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED)) {
            *ret = index;
            return true;
        }
    }
    return false;
}

struct mt_packet_header *mt_ring_take_defs_packet(void)
{
    uint32_t number = __atomic_fetch_add(&defs_packets, 1, __ATOMIC_RELAXED);
    uint32_t index;
    if (number >= mt_control->packet_count / 2 || !claim_packet(MT_SLOT_DEFS, 0, &index)) {
        __atomic_fetch_sub(&defs_packets, 1, __ATOMIC_RELAXED);
        return NULL;
    }
    struct mt_packet_header fresh = {
        .stream_id = MT_STREAM_DEFS,
        .timestamp_begin = mt_clock_ns(),
        .packet_seq = number,
        .first_seq = __atomic_load_n(&mt_control->next_seq, __ATOMIC_RELAXED),
    };
    reset_packet(index, &fresh);
    return packet_at(index);
}

/* ---- one thread's writer ------------------------------------------------------------ */

void mt_ring_init(struct mt_ring *ring, uint32_t tid)
{
    *ring = (struct mt_ring){.tid = tid, .used = MT_PACKET_BYTES};
}

void mt_ring_close(struct mt_ring *ring)
{
    if (!ring->packet)
        return;
    __atomic_store_n(&ring->packet->timestamp_end, ring->last_time, __ATOMIC_RELAXED);
    // Pairs with the claim in claim_packet(): the next owner sees the finished packet.
    __atomic_store_n(owner_of(slot_at(ring->packet_index)), owner(MT_SLOT_CLOSED, ring->tid),
                     __ATOMIC_RELEASE);
    ring->packet = NULL;
    ring->used = MT_PACKET_BYTES;
}

/* Close the full packet, if any, and open the next one for event `seq` at `time_ns`. */
static bool open_packet(struct mt_ring *ring, uint64_t seq, uint64_t time_ns)
{
    mt_ring_close(ring);
    uint32_t index;
    if (!claim_packet(MT_SLOT_OPEN, ring->tid, &index))
        return false;
    struct mt_packet_header fresh = {
        .stream_id = MT_STREAM_EVENTS,
        .timestamp_begin = time_ns,
        .events_discarded = ring->discarded,
        .packet_seq = ring->packet_seq++,
        .first_seq = seq,
        .tid = ring->tid,
    };
    reset_packet(index, &fresh);
    ring->packet = packet_at(index);
    ring->packet_index = index;
    ring->used = sizeof *ring->packet;
    ring->last_seq = seq;
    ring->last_time = time_ns;
    return true;
}

static inline uint8_t *put(uint8_t *at, const void *bytes, size_t size)
{
    memcpy(at, bytes, size);
    return at + size;
}

/* Bytes that a copy of a short value may write, and read, behind its end. */
enum { COPY_SLACK = 16 };
_Static_assert(sizeof((struct mt_value *)0)->bytes >= MT_VALUE_BYTES_MAX + COPY_SLACK,
               "short values are copied in one move");

/* A scalar is copied in one move of fixed size: what is too much lies behind content_bits
 * and is overwritten by what comes next. */
static inline uint8_t *put_value(uint8_t *at, const struct mt_value *value)
{
    if (__builtin_expect(value->size <= COPY_SLACK, 1))
        memcpy(at, value->bytes, COPY_SLACK);
    else
        memcpy(at, value->bytes, value->size);
    return at + value->size;
}

/* Upper bound of an event without values: extended form with a key tag. */
enum { EVENT_HEAD_BYTES_MAX = 1 + 8 + 8 + 1 + 4 + 4 + 1 };

static inline uint32_t bound_event(const struct mt_record *record)
{
    uint32_t bytes = EVENT_HEAD_BYTES_MAX + record->old_value->size + record->new_value->size +
                     COPY_SLACK;
    return record->key ? bytes + record->key->size : bytes;
}

static inline bool is_compact(const struct mt_ring *ring, uint64_t seq, uint64_t time_ns)
{
    // Unsigned differences: what went backwards doesn't fit either.
    return seq - ring->last_seq <= UINT16_MAX && time_ns - ring->last_time <= UINT32_MAX;
}

static inline uint8_t *put_stamp(uint8_t *at, bool compact, uint8_t id, uint64_t seq,
                                 uint64_t time_ns)
{
    if (__builtin_expect(compact, 1)) {
        uint16_t short_seq = (uint16_t)seq;
        uint32_t short_time = (uint32_t)time_ns;
        *at++ = id;
        at = put(at, &short_time, sizeof short_time);
        return put(at, &short_seq, sizeof short_seq);
    }
    *at++ = id | MT_EVENT_EXTENDED;
    at = put(at, &time_ns, sizeof time_ns);
    return put(at, &seq, sizeof seq);
}

static void discard(struct mt_ring *ring)
{
    ring->discarded++;
    count_lost(&mt_control->lost_no_packet, 1);
}

/* Append event `seq` at `time_ns`. */
static inline uint64_t append(struct mt_ring *ring, const struct mt_record *record, uint64_t seq,
                              uint64_t time_ns)
{
    if (__builtin_expect(ring->used + bound_event(record) > MT_PACKET_BYTES, 0) &&
        !open_packet(ring, seq, time_ns)) {
        discard(ring);
        return 0;
    }

    struct mt_packet_header *packet = ring->packet;
    uint8_t *start = (uint8_t *)packet;
    uint8_t *at = start + ring->used;
    uint8_t id = (uint8_t)(record->kind | (record->key ? MT_EVENT_KEY : 0));
    at = put_stamp(at, is_compact(ring, seq, time_ns), id, seq, time_ns);
    *at++ = (uint8_t)(record->old_value->tag | record->new_value->tag << 4);
    at = put(at, &record->site, sizeof record->site);
    at = put(at, &record->activation, sizeof record->activation);
    if (__builtin_expect(record->key != NULL, 0)) {
        *at++ = record->key->tag;
        at = put_value(at, record->key);
    }
    at = put_value(at, record->old_value);
    at = put_value(at, record->new_value);

    ring->last_seq = seq;
    ring->last_time = time_ns;
    ring->used = (uint32_t)(at - start);
    // Only this thread writes it; another one reads it when it takes a dead thread's packet.
    __atomic_store_n(&packet->event_count, packet->event_count + 1, __ATOMIC_RELAXED);
    // The commit. Pairs with the acquire load of content_bits in packets.c.
    __atomic_store_n(&packet->content_bits, (uint64_t)ring->used * 8, __ATOMIC_RELEASE);
    return seq;
}

uint64_t mt_ring_append(struct mt_ring *ring, const struct mt_record *record)
{
    uint64_t seq = mt_ring_take_seq();

    return append(ring, record, seq, mt_clock_ns());
}
