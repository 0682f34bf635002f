/* See plan_cache.h. */

#include "plan_cache.h"

#include <sys/mman.h>
#include "frame.h"
#include "line_tables.h"
#include "plan_defs.h"
#include "thread.h"

enum { WORD_REMAINS = 2, WORD_NOT_TRACED = 1, LINE_TABLE_SHIFT = 48, FIRST_REMAINS = 1 << 12 };
// Looks for plans to drop: a look comes when an eighth of the plans' share is new, so within 32
// looks a program can call four times as much as there is room for, and come round.
enum { IDLE_TOO_LONG = 32, IDLE_LONGEST = MT_PLAN_NEW - 1 };

static size_t bytes_max;

// All plans that code objects hold, the oldest first.
static struct mt_plan *first, *last;
static uint32_t plan_count;
static size_t plan_bytes;  // of the plans, and of what the interpreter keeps for tracing their code
static size_t word_count;  // code objects that have a word
static size_t entry_count; // remains in use
// Of looks at what threads are in: a plan pinned in an earlier one may be out of use.
static uint32_t look;

// ---- remains ---------------------------------------------------------------------------------

// Mapped, and moved as it grows: entries are named by index.
static struct mt_remains *table;
static uint32_t table_size, table_capacity;
static uint32_t free_entry; // 1 + index of the first free one; 0: none

struct mt_remains *mt_plan_cache_remains(uintptr_t word)
{
    return (word & 3) == WORD_REMAINS ? &table[word >> 2] : NULL;
}

static bool grow_table(void)
{
    uint32_t capacity = table_capacity ? 2 * table_capacity : FIRST_REMAINS;
    size_t bytes = capacity * sizeof *table;
    void *grown =
        table ? mremap(table, table_capacity * sizeof *table, bytes, MREMAP_MAYMOVE)
              : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (grown == MAP_FAILED)
        return false;
    table = grown;
    table_capacity = capacity;
    return true;
}

// The word for a new entry, or 0: no memory.
static uintptr_t take_entry(void)
{
    uint32_t index = free_entry - 1;

    if (free_entry) {
        free_entry = table[index].code_id;
    } else {
        if (table_size == table_capacity && !grow_table())
            return 0;
        index = table_size++;
    }
    entry_count++;
    return (uintptr_t)index << 2 | WORD_REMAINS;
}

static void free_remains(struct mt_remains *remains)
{
    *remains = (struct mt_remains){.code_id = free_entry};
    free_entry = (uint32_t)(remains - table) + 1;
    entry_count--;
}

uint16_t mt_plan_cache_line_table(uintptr_t word)
{
    const struct mt_remains *remains = mt_plan_cache_remains(word);

    if (word & WORD_NOT_TRACED)
        return (uint16_t)(word >> LINE_TABLE_SHIFT);
    return remains ? remains->line_table : 0;
}

uintptr_t mt_plan_cache_with_line_table(uintptr_t not_traced, uint16_t number)
{
    uintptr_t rest = not_traced & (((uintptr_t)1 << LINE_TABLE_SHIFT) - 1);

    return rest | (uintptr_t)number << LINE_TABLE_SHIFT;
}

// ---- the list --------------------------------------------------------------------------------

// The allocator's own included.
static size_t weight(const struct mt_plan *plan)
{
    return plan->bytes + sizeof(void *) + mt_code_line_table_bytes(plan->code);
}

static void append(struct mt_plan *plan)
{
    plan->next = NULL;
    plan->previous = last;
    if (last)
        last->next = plan;
    else
        first = plan;
    last = plan;
    plan_count++;
    plan_bytes += weight(plan);
}

static void unlink_plan(struct mt_plan *plan)
{
    if (plan->previous)
        plan->previous->next = plan->next;
    else
        first = plan->next;
    if (plan->next)
        plan->next->previous = plan->previous;
    else
        last = plan->previous;
    plan_count--;
    plan_bytes -= weight(plan);
}

struct mt_plan *mt_plan_cache_find(const void *address)
{
    struct mt_plan *plan = first;

    while (plan && plan != address)
        plan = plan->next;
    return plan;
}

uint32_t mt_plan_cache_count(void)
{
    return plan_count;
}

// What isn't plans.
static size_t rest_bytes(void)
{
    return word_count * MT_CODE_EXTRA_BYTES + entry_count * sizeof *table + mt_line_tables_bytes();
}

size_t mt_plan_cache_bytes(void)
{
    return plan_bytes + rest_bytes();
}

// The plans' share. Of programs so large that the rest alone is too much, a quarter: without any
// plans each call would make its own.
static size_t plan_bytes_max(void)
{
    size_t rest = rest_bytes(), least = bytes_max / 4;

    return rest < bytes_max - least ? bytes_max - rest : least;
}

void mt_plan_cache_renew(void)
{
    for (struct mt_plan *plan = first; plan; plan = plan->next)
        mt_plan_defs_forget(plan);
    for (uint32_t i = 0; i < table_size; i++) {
        if (table[i].code)
            table[i].code_id = table[i].first_id = 0;
    }
}

// ---- dropping ----------------------------------------------------------------------------------

// Leave what must outlast the plan in its place. False: no room for that.
static bool drop(struct mt_plan *plan, bool runs_nowhere)
{
    // No events, no ids; with events, all of them, so that two numbers say which. Where the buffer
    // has no room for all, none: what this code does from now on is lost, and counted, since
    // keeping its plan, and those of all code to come, would have no bound.
    uint32_t first_id = plan->first_id && mt_plan_defs_complete(plan) ? plan->first_id : 0;
    uintptr_t word = take_entry();
    if (!word)
        return false;
    *mt_plan_cache_remains(word) = (struct mt_remains){
        .code = plan->code,
        .code_id = plan->def_id,
        .first_id = first_id,
        .not_traced = plan->traced ? 0 : plan->generation,
        .watched = plan->watched,
        .starts_threads = plan->starts_threads,
    };
    mt_code_extra_set(plan->code, word); // there is room
    mt_code_trim(plan->code);
    if (runs_nowhere)
        mt_code_drop_instruction_tools(plan->code);
    unlink_plan(plan);
    mt_plan_destroy(plan);
    return true;
}

static void pin(struct mt_plan *plan)
{
    plan->pinned = look;
}

static void pin_running(PyCodeObject *code)
{
    struct mt_plan *plan = mt_plan_cache_plan(mt_code_extra_get(code));

    if (plan)
        pin(plan);
}

// Drop plans that nobody has asked for during so many looks, until no more than `wanted` is left.
static void drop_idle(unsigned least, unsigned most, size_t wanted, bool running_known)
{
    const struct mt_plan *newest = last; // what room is made for

    for (struct mt_plan *plan = first, *next; plan && plan_bytes > wanted; plan = next) {
        next = plan->next;
        if (plan->idle >= least && plan->idle <= most && plan != newest && plan->pinned != look)
            drop(plan, running_known);
    }
}

// Until an eighth of the plans' share is free. A program that calls more functions in turn than
// there is room for would find none of its plans if the oldest always went, so the last eighth
// is made anew again and again, and the others stay as long as they are of use.
static void make_room(void)
{
    size_t share = plan_bytes_max(), wanted = share - share / 8;

    look++;
    mt_thread_each_plan(pin);
    bool running_known = mt_code_each_running(pin_running);
    for (struct mt_plan *plan = first; plan; plan = plan->next)
        plan->idle += plan->idle < IDLE_LONGEST;
    drop_idle(IDLE_TOO_LONG, IDLE_LONGEST, wanted, running_known);
    drop_idle(MT_PLAN_NEW, MT_PLAN_NEW, wanted, running_known);
    for (unsigned idle = IDLE_TOO_LONG / 2; idle && plan_bytes > wanted; idle /= 2)
        drop_idle(idle, IDLE_LONGEST, wanted, running_known);
    for (struct mt_plan *plan = first; plan; plan = plan->next) {
        if (plan->idle == MT_PLAN_NEW)
            plan->idle = 1;
    }
}

// ---- adding ------------------------------------------------------------------------------------

// What code objects hold dies with them.
static void destroy_word(void *pointer)
{
    uintptr_t word = (uintptr_t)pointer;
    struct mt_plan *plan = mt_plan_cache_plan(word);
    struct mt_remains *remains = mt_plan_cache_remains(word);

    mt_line_tables_forget(mt_plan_cache_line_table(word));
    if (plan)
        mt_thread_forget_plan(plan);
    mt_sharing_lock();
    word_count--;
    if (remains)
        free_remains(remains);
    if (plan)
        unlink_plan(plan);
    mt_sharing_unlock();
    if (plan)
        mt_plan_destroy(plan);
}

enum mt_status mt_plan_cache_init(void)
{
    return mt_code_extra_init(destroy_word);
}

void mt_plan_cache_configure(size_t new_bytes_max)
{
    // Without the GIL other threads may be reading a plan while this one would drop it.
    bytes_max = MT_FREE_THREADED ? SIZE_MAX : new_bytes_max;
}

bool mt_plan_cache_set_word(PyCodeObject *code, uintptr_t word)
{
    bool is_new = !mt_code_extra_get(code), set = mt_code_extra_set(code, word);

    word_count += is_new && set;
    return set;
}

bool mt_plan_cache_add(struct mt_plan *plan)
{
    uintptr_t word = mt_code_extra_get(plan->code);
    struct mt_remains *remains = mt_plan_cache_remains(word);

    if (remains) {
        mt_plan_defs_resume(plan, remains->code_id, remains->first_id);
        plan->watched = remains->watched;
    }
    if (!mt_plan_cache_set_word(plan->code, (uintptr_t)plan)) {
        mt_plan_destroy(plan);
        return false;
    }
    mt_line_tables_forget(mt_plan_cache_line_table(word)); // it goes when the plan goes
    if (remains)
        free_remains(remains);
    plan->idle = MT_PLAN_NEW;
    append(plan);
    if (plan_bytes > plan_bytes_max())
        make_room();
    return true;
}

void mt_plan_cache_each_plan(void (*each)(struct mt_plan *plan))
{
    for (struct mt_plan *plan = first; plan; plan = plan->next)
        each(plan);
}

void mt_plan_cache_each_watched(uint16_t watched, mt_plan_cache_each *each, void *context)
{
    for (struct mt_plan *plan = first, *next; plan; plan = next) {
        next = plan->next;
        if (plan->watched == watched)
            each(plan->code, plan, NULL, context);
    }
    for (uint32_t i = 0; i < table_size; i++) {
        if (table[i].code && table[i].watched == watched)
            each(table[i].code, NULL, &table[i], context);
    }
}
