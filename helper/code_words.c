/* The word of ours in each code object, where there is no GIL: mt_code_extra_* of frame.h.
 *
 * The words that CPython keeps for this (co_extra) are read and written without a lock in 3.13,
 * so they are kept here: a hash table by the code object's address. Lookups take no lock;
 * changes are made under mt_sharing_lock. A thread only ever looks up code that it runs, which
 * lives, so an entry that it finds is not about to go. Open addressing; a removed entry stays as
 * a tombstone until the table grows. A table that was outgrown stays until the world is stopped,
 * because somebody may be looking into it. A code watcher (3.12, gh-91054) tells of the code that
 * dies. */

#include "sharing.h"

#if MT_FREE_THREADED

#include <sys/mman.h>
#include "frame.h"
#include "guard.h"
#include "status.h"

enum { FIRST_CAPACITY = 1 << 10, OUTGROWN_BYTES_MAX = 1 << 18 };

struct entry {
    PyCodeObject *code; // compared only; NULL: free. Written with release, behind `word`
    uintptr_t word;
};

struct table {
    size_t capacity; // of entries, a power of two
    size_t used;     // entries that are not free, tombstones included
    struct table *outgrown;
    struct entry entries[];
};

#define TOMBSTONE ((PyCodeObject *)1)

static struct table *table;   // NULL before the first entry; stored with release
static size_t outgrown_bytes; // under mt_sharing_lock
static freefunc destroy_word;
static int watcher = -1;

static size_t table_bytes(size_t capacity)
{
    return sizeof(struct table) + capacity * sizeof(struct entry);
}

static size_t slot_of(const struct table *where, const PyCodeObject *code)
{
    return (size_t)(((uintptr_t)code >> 4) * 0x9E3779B97F4A7C15u >> 24) & (where->capacity - 1);
}

static PyCodeObject *code_at(const struct table *where, size_t slot)
{
    // Acquire pairs with fill(): who sees the code sees its word.
    return __atomic_load_n(&where->entries[slot].code, __ATOMIC_ACQUIRE);
}

// The code's entry, or NULL.
static struct entry *find(struct table *where, const PyCodeObject *code)
{
    PyCodeObject *other;

    if (!where)
        return NULL;
    for (size_t slot = slot_of(where, code); (other = code_at(where, slot));
         slot = (slot + 1) & (where->capacity - 1)) {
        if (other == code)
            return &where->entries[slot];
    }
    return NULL;
}

// A free entry becomes the code's. There is one.
static void fill(struct table *where, PyCodeObject *code, uintptr_t word)
{
    size_t slot = slot_of(where, code);

    while (code_at(where, slot))
        slot = (slot + 1) & (where->capacity - 1);
    __atomic_store_n(&where->entries[slot].word, word, __ATOMIC_RELAXED);
    __atomic_store_n(&where->entries[slot].code, code, __ATOMIC_RELEASE); // pairs with code_at
    where->used++;
}

// A table without tombstones, with room. Under mt_sharing_lock.
static bool grow(void)
{
    size_t live = 0;

    for (size_t slot = 0; table && slot < table->capacity; slot++)
        live += table->entries[slot].code > TOMBSTONE;
    size_t capacity = FIRST_CAPACITY;
    while (capacity < 4 * live)
        capacity *= 2;
    struct table *fresh = mmap(NULL, table_bytes(capacity), PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (fresh == MAP_FAILED)
        return false;
    fresh->capacity = capacity;
    fresh->outgrown = table;
    outgrown_bytes += table ? table_bytes(table->capacity) : 0;
    for (size_t slot = 0; table && slot < table->capacity; slot++) {
        const struct entry *entry = &table->entries[slot];
        if (entry->code > TOMBSTONE)
            fill(fresh, entry->code, entry->word);
    }
    // Pairs with the acquire in mt_code_extra_get.
    __atomic_store_n(&table, fresh, __ATOMIC_RELEASE);
    return true;
}

// The code is about to be freed; nobody runs it any more.
static int on_code(PyCodeEvent event, PyCodeObject *code)
{
    uintptr_t word = 0;

    if (event != PY_CODE_EVENT_DESTROY)
        return 0;
    mt_sharing_lock();
    struct entry *entry = find(table, code);
    if (entry) {
        word = entry->word;
        __atomic_store_n(&entry->code, TOMBSTONE, __ATOMIC_RELEASE);
    }
    mt_sharing_unlock();
    if (word)
        destroy_word((void *)word);
    return 0;
}

static void add_watcher(void *unused)
{
    (void)unused;
    watcher = PyCode_AddWatcher(on_code);
}

enum mt_status mt_code_extra_init(freefunc destroy)
{
    if (watcher >= 0)
        return MT_OK;
    destroy_word = destroy;
    mt_guard_alone(add_watcher, NULL);
    if (watcher >= 0)
        return MT_OK;
    PyErr_Clear();
    return mt_status_set(MT_REFUSED, "no free watcher of code objects: too many profilers and "
                                     "debuggers are loaded in this process");
}

bool mt_code_extra_cover(PyInterpreterState *interp)
{
    return interp == PyThreadState_Get()->interp; // a watcher is an interpreter's own
}

uintptr_t mt_code_extra_get(PyCodeObject *code)
{
    struct entry *entry = find(__atomic_load_n(&table, __ATOMIC_ACQUIRE), code);

    return entry ? __atomic_load_n(&entry->word, __ATOMIC_ACQUIRE) : 0;
}

bool mt_code_extra_set(PyCodeObject *code, uintptr_t value)
{
    struct entry *entry = find(table, code);

    if (entry) {
        // Pairs with mt_code_extra_get: who sees a plan sees what is in it.
        __atomic_store_n(&entry->word, value, __ATOMIC_RELEASE);
        return true;
    }
    if ((!table || 2 * (table->used + 1) > table->capacity) && !grow())
        return false;
    fill(table, code, value);
    return true;
}

static void free_outgrown(void *unused)
{
    (void)unused;
    for (struct table *next; table->outgrown; table->outgrown = next) {
        next = table->outgrown->outgrown;
        munmap(table->outgrown, table_bytes(table->outgrown->capacity));
    }
    outgrown_bytes = 0;
}

void mt_code_extra_tidy(void)
{
    mt_sharing_lock();
    bool wanted = outgrown_bytes > OUTGROWN_BYTES_MAX;
    mt_sharing_unlock();
    if (wanted)
        mt_guard_alone(free_outgrown, NULL);
}

#else

typedef int mt_code_words_nothing_here; // ISO C wants a declaration in every file

#endif
