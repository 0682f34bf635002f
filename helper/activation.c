/* See activation.h. Open addressing with linear probing; a removal moves the entries behind
 * it up, so that there are no tombstones. No Python.h.
 *
 * Without the GIL there are several tables, each with a lock of its own (a leaf). Which one is
 * decided by the 16 KiB that the frame is in, the least that a thread's stack of frames takes:
 * so threads seldom want the same. */

#include "activation.h"

#include <pthread.h>
#include <stddef.h>
#include <sys/mman.h>
#include "ring.h"
#include "sharing.h"

struct entry {
    const void *frame; // compared only
    uint32_t number;
};

enum {
    FIRST_CAPACITY = 1 << 10,
    TABLES = MT_FREE_THREADED ? 32 : 1,
    FRAMES_OF_ONE_THREAD = 14, // 1 << that many bytes
};

struct table {
#if MT_FREE_THREADED
    pthread_mutex_t lock; // guards what follows
#endif
    struct entry *entries; // capacity of them, a power of two; NULL before the first call
    uint32_t capacity;
    uint32_t used;
};

static struct table tables[TABLES];
static uint32_t last_number; // atomic without the GIL

#if MT_FREE_THREADED

static struct table *lock_table(const void *frame)
{
    uint64_t area = (uintptr_t)frame >> FRAMES_OF_ONE_THREAD;
    struct table *table = &tables[(area * 0x9E3779B97F4A7C15u >> 32) % TABLES];

    pthread_mutex_lock(&table->lock);
    return table;
}

static void unlock_table(struct table *table)
{
    pthread_mutex_unlock(&table->lock);
}

uint32_t mt_activation_next(void)
{
    return __atomic_add_fetch(&last_number, 1, __ATOMIC_RELAXED); // unique is all it is
}

#else

static struct table *lock_table(const void *frame)
{
    return tables;
}

static void unlock_table(struct table *table) {}

uint32_t mt_activation_next(void)
{
    return ++last_number;
}

#endif

static uint32_t slot_of(const struct table *table, const void *frame)
{
    // Frames are 8-byte aligned and near each other: multiply and take the high bits.
    return (uint32_t)(((uintptr_t)frame >> 3) * 0x9E3779B97F4A7C15u >> 32) & (table->capacity - 1);
}

static struct entry *map_entries(uint32_t count)
{
    void *memory = mmap(NULL, count * sizeof(struct entry), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static void insert(struct table *table, const void *frame, uint32_t number)
{
    uint32_t at = slot_of(table, frame);

    while (table->entries[at].frame)
        at = (at + 1) & (table->capacity - 1);
    table->entries[at] = (struct entry){frame, number};
    table->used++;
}

// Make room for one more; false when the bound is reached or there is no memory.
static bool reserve(struct table *table)
{
    if (table->used < table->capacity / 2)
        return true;
    if (table->capacity >= 2 * MT_ACTIVATIONS_MAX / TABLES)
        return false;
    struct table old = *table;
    uint32_t capacity = old.capacity ? 2 * old.capacity : FIRST_CAPACITY;
    struct entry *entries = map_entries(capacity);
    if (!entries)
        return false;
    table->capacity = capacity;
    table->entries = entries;
    table->used = 0;
    for (uint32_t i = 0; i < old.capacity; i++) {
        if (old.entries[i].frame)
            insert(table, old.entries[i].frame, old.entries[i].number);
    }
    if (old.entries)
        munmap(old.entries, old.capacity * sizeof(struct entry));
    return true;
}

static struct entry *find(const struct table *table, const void *frame)
{
    if (!table->entries)
        return NULL;
    for (uint32_t at = slot_of(table, frame); table->entries[at].frame;
         at = (at + 1) & (table->capacity - 1)) {
        if (table->entries[at].frame == frame)
            return &table->entries[at];
    }
    return NULL;
}

static void erase(struct table *table, struct entry *entry)
{
    uint32_t hole = (uint32_t)(entry - table->entries), mask = table->capacity - 1;

    table->used--;
    for (uint32_t at = (hole + 1) & mask; table->entries[at].frame; at = (at + 1) & mask) {
        uint32_t home = slot_of(table, table->entries[at].frame);
        // Move up unless its home lies cyclically behind the hole.
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            table->entries[hole] = table->entries[at];
            hole = at;
        }
    }
    table->entries[hole].frame = NULL;
}

uint32_t mt_activation_find(const void *frame)
{
    struct table *table = lock_table(frame);
    struct entry *entry = find(table, frame);
    uint32_t number = entry ? entry->number : 0;

    unlock_table(table);
    return number;
}

// Enter a frame that is not there.
static void enter(struct table *table, const void *frame, uint32_t number)
{
    if (!reserve(table)) {
        if (mt_control)
            mt_sharing_count(&mt_control->lost_activations);
        if (!table->entries)
            return;
        // Forget whichever stands where the new one wants to be.
        uint32_t at = slot_of(table, frame);
        while (!table->entries[at].frame)
            at = (at + 1) & (table->capacity - 1);
        erase(table, &table->entries[at]);
    }
    insert(table, frame, number);
}

uint32_t mt_activation_begin(const void *frame)
{
    uint32_t number = mt_activation_next();
    struct table *table = lock_table(frame);
    struct entry *entry = find(table, frame);

    if (entry)
        entry->number = number;
    else
        enter(table, frame, number);
    unlock_table(table);
    return number;
}

void mt_activation_end(const void *frame)
{
    struct table *table = lock_table(frame);
    struct entry *entry = find(table, frame);

    if (entry)
        erase(table, entry);
    unlock_table(table);
}

bool mt_activation_any(void)
{
    for (int i = 0; i < TABLES; i++) {
        if (tables[i].used)
            return true;
    }
    return false;
}

void mt_activation_reset(void)
{
    for (int i = 0; i < TABLES; i++) {
        if (tables[i].entries)
            munmap(tables[i].entries, tables[i].capacity * sizeof(struct entry));
        // A forked child may have been born while another thread of the parent held a lock:
        // all zero is one that nobody holds (PTHREAD_MUTEX_INITIALIZER of glibc).
        tables[i] = (struct table){.used = 0};
    }
    last_number = 0;
}
