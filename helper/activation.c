/* See activation.h. Open addressing with linear probing; a removal moves the entries behind
 * it up, so that there are no tombstones. No Python.h. */

#include "activation.h"

#include <stddef.h>
#include <sys/mman.h>
#include "ring.h"

struct entry {
    const void *frame; // compared only
    uint32_t number;
};

enum { FIRST_CAPACITY = 1 << 10 };

static struct entry *table; // capacity entries, a power of two; NULL before the first call
static uint32_t capacity;
static uint32_t used;
static uint32_t last_number;

static uint32_t slot_of(const void *frame)
{
    // Frames are 8-byte aligned and near each other: multiply and take the high bits.
    return (uint32_t)(((uintptr_t)frame >> 3) * 0x9E3779B97F4A7C15u >> 32) & (capacity - 1);
}

static struct entry *map_table(uint32_t entries)
{
    void *memory = mmap(NULL, entries * sizeof *table, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static void insert(const void *frame, uint32_t number)
{
    uint32_t at = slot_of(frame);

    while (table[at].frame)
        at = (at + 1) & (capacity - 1);
    table[at] = (struct entry){frame, number};
    used++;
}

// Make room for one more; false when the bound is reached or there is no memory.
static bool reserve(void)
{
    if (used < capacity / 2)
        return true;
    if (capacity >= 2 * MT_ACTIVATIONS_MAX)
        return false;
    uint32_t old_capacity = capacity;
    struct entry *old_table = table;
    struct entry *new_table = map_table(capacity ? 2 * capacity : FIRST_CAPACITY);
    if (!new_table)
        return false;
    capacity = capacity ? 2 * capacity : FIRST_CAPACITY;
    table = new_table;
    used = 0;
    for (uint32_t i = 0; i < old_capacity; i++) {
        if (old_table[i].frame)
            insert(old_table[i].frame, old_table[i].number);
    }
    if (old_table)
        munmap(old_table, old_capacity * sizeof *table);
    return true;
}

static struct entry *find(const void *frame)
{
    if (!table)
        return NULL;
    for (uint32_t at = slot_of(frame); table[at].frame; at = (at + 1) & (capacity - 1)) {
        if (table[at].frame == frame)
            return &table[at];
    }
    return NULL;
}

static void erase(struct entry *entry)
{
    uint32_t hole = (uint32_t)(entry - table);

    used--;
    for (uint32_t at = (hole + 1) & (capacity - 1); table[at].frame;
         at = (at + 1) & (capacity - 1)) {
        uint32_t home = slot_of(table[at].frame);
        // Move up unless its home lies cyclically behind the hole.
        if (((at - home) & (capacity - 1)) >= ((at - hole) & (capacity - 1))) {
            table[hole] = table[at];
            hole = at;
        }
    }
    table[hole].frame = NULL;
}

uint32_t mt_activation_find(const void *frame)
{
    struct entry *entry = find(frame);

    return entry ? entry->number : 0;
}

uint32_t mt_activation_begin(const void *frame)
{
    struct entry *entry = find(frame);

    if (entry)
        return entry->number = ++last_number;
    if (!reserve()) {
        if (mt_control)
            mt_control->lost_activations++;
        if (!table)
            return ++last_number;
        // Forget whichever stands where the new one wants to be.
        uint32_t at = slot_of(frame);
        while (!table[at].frame)
            at = (at + 1) & (capacity - 1);
        erase(&table[at]);
    }
    insert(frame, ++last_number);
    return last_number;
}

uint32_t mt_activation_next(void)
{
    return ++last_number;
}

void mt_activation_end(const void *frame)
{
    struct entry *entry = find(frame);

    if (entry)
        erase(entry);
}

bool mt_activation_any(void)
{
    return used != 0;
}

void mt_activation_reset(void)
{
    if (table)
        munmap(table, capacity * sizeof *table);
    table = NULL;
    capacity = used = last_number = 0;
}
