/* See verdict.h. */

#include "verdict.h"

#include <string.h>
#include "filter.h"
#include "frame.h"
#include "line_tables.h"
#include "plan_cache.h"
#include "request.h"
#include "status.h"
#include "thread.h"
#include "value.h"
#include "watch.h"

struct mt_verdict mt_verdict;

// Odd words in a code object's slot say: not traced as of a generation (in the lower half, from
// bit 3 on); bit 1: the code names start_new_thread; bit 2: its table of lines was trimmed since
// its last call. The rest, and even words: see plan_cache.h.
enum {
    WORD_NOT_TRACED = 1,
    WORD_STARTS_THREADS = 2,
    WORD_TRIMMED = 4,
    WORD_GENERATION_SHIFT = 3,
};

// Of the plan that was made last. Under mt_sharing_lock.
static uint64_t last_serial;

enum mt_status mt_verdict_init(void)
{
    return mt_plan_cache_init();
}

bool mt_verdict_cover(PyInterpreterState *interp)
{
    return mt_code_extra_cover(interp);
}

static bool is_redacted(const char *name)
{
    return mt_value_is_redacted(name, strlen(name));
}

static enum mt_plain plainness(const struct mt_site *site)
{
    if (!mt_verdict.all || mt_verdict.rebound || site->redacted || site->watch)
        return MT_NOT_PLAIN;
    if (site->op == MT_SITE_STORE_FAST && !site->second && !site->restores)
        return MT_PLAIN_LOCAL;
    return site->op == MT_SITE_STORE_ITEM ? MT_PLAIN_ITEM : MT_NOT_PLAIN;
}

// Judge the plan by the options in force.
static void judge(struct mt_plan *plan, PyCodeObject *code)
{
    plan->generation = mt_verdict.generation;
    plan->has_watch = false;
    plan->thin = 0;
    plan->traced = mt_verdict.all && mt_filter_traces(code, plan->qualname);
    for (uint32_t i = 0; i < plan->site_count; i++) {
        struct mt_site *site = &plan->sites[i];
        site->redacted = is_redacted(mt_site_name(site));
        site->watch = mt_watch_applies(code, plan, site->scope, mt_site_name(site));
        site->plain = plainness(site);
        site->thin = 0;
        // Of two stores in one instruction (3.13+) the short cut would see the first alone.
        if (site->second)
            site[-1].plain = 0;
        site->muted = !site->watch &&
                      (!mt_verdict.all || mt_filter_skips_variable(mt_site_name(site)));
        plan->has_watch |= site->watch != 0;
    }
    mt_plan_update_sites(plan);
    for (uint32_t i = 0; i < plan->argument_count; i++) {
        struct mt_argument *argument = &plan->arguments[i];
        argument->redacted = is_redacted(mt_argument_name(argument));
        argument->watch = mt_watch_applies(code, plan, MT_ARGUMENT, mt_argument_name(argument));
        argument->plain = mt_verdict.all && !argument->watch && !argument->redacted &&
                          !argument->is_cell;
        argument->muted = !argument->watch &&
                          (!mt_verdict.all || mt_filter_skips_variable(mt_argument_name(argument)));
        plan->has_watch |= argument->watch != 0;
    }
    // Breakpoints reach into code that is not recorded otherwise.
    plan->traced |= plan->has_watch;
}

#if MT_FREE_THREADED
static void judge_again(struct mt_plan *plan)
{
    judge(plan, plan->code);
}
#endif

void mt_verdict_expire(void)
{
    mt_verdict.generation++;
#if MT_FREE_THREADED
    // With the GIL each is judged when its code is next met.
    mt_plan_cache_each_plan(judge_again);
#endif
    mt_thread_forget_calls();
    mt_control->breakpoints_armed = mt_watch_count();
}

void mt_verdict_renew(void)
{
    mt_plan_cache_renew();
    mt_verdict_expire();
}

static bool names_start_new_thread(PyCodeObject *code)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(code->co_names); i++) {
        PyObject *name = PyTuple_GET_ITEM(code->co_names, i);
        // threading has it under a name of its own.
        if (PyUnicode_CompareWithASCIIString(name, "start_new_thread") == 0 ||
            PyUnicode_CompareWithASCIIString(name, "_start_new_thread") == 0)
            return true;
    }
    return false;
}

static void set_line_table(PyCodeObject *code, uint16_t number)
{
    uintptr_t word = mt_code_extra_get(code);
    struct mt_remains *remains = mt_plan_cache_remains(word);

    if (remains)
        remains->line_table = number;
    else
        mt_code_extra_set(code, mt_plan_cache_with_line_table(word, number)); // there is room
}

// Code that isn't traced was called: its table of lines is there.
static void note_line_table(PyCodeObject *code)
{
    if (MT_HAVE_LINE_TABLES && !mt_plan_cache_line_table(mt_code_extra_get(code)))
        set_line_table(code, mt_line_tables_note(code));
}

// The table is gone: it is to be noted again at the next call.
static void on_line_table_trimmed(PyCodeObject *code)
{
    uintptr_t word = mt_code_extra_get(code);
    struct mt_remains *remains = mt_plan_cache_remains(word);

    if (remains)
        remains->not_traced = 0;
    else
        mt_code_extra_set(code, word | WORD_TRIMMED);
    set_line_table(code, 0);
}

// Such that 100,000 functions take less than 8 MiB, with what heaps lose to fragments. 3.11 loses
// more.
#define BYTES_MAX ((size_t)(MT_HAVE_MONITORING ? 6 : 4) << 20)

void mt_verdict_configure(uint32_t plan_bytes)
{
    size_t bytes_max = plan_bytes == MT_PLAN_BYTES_DEFAULT ? BYTES_MAX : plan_bytes;

    mt_plan_cache_configure(bytes_max);
    mt_line_tables_configure(bytes_max, on_line_table_trimmed);
}

static uintptr_t not_traced_word(PyCodeObject *code)
{
    return (uintptr_t)mt_verdict.generation << WORD_GENERATION_SHIFT | WORD_NOT_TRACED |
           (names_start_new_thread(code) ? WORD_STARTS_THREADS : 0);
}

static void set_not_traced(PyCodeObject *code)
{
    uintptr_t word = mt_code_extra_get(code);
    struct mt_remains *remains = mt_plan_cache_remains(word);

    word = mt_plan_cache_with_line_table(not_traced_word(code), mt_plan_cache_line_table(word));
    if (remains)
        remains->not_traced = mt_verdict.generation & INT32_MAX;
    else if (!mt_plan_cache_set_word(code, word))
        return;
    note_line_table(code);
}

bool mt_verdict_starts_threads(PyCodeObject *code)
{
    uintptr_t word = mt_code_extra_get(code);
    const struct mt_plan *plan = mt_plan_cache_plan(word);
    const struct mt_remains *remains = mt_plan_cache_remains(word);

    if (word & WORD_NOT_TRACED)
        return word & WORD_STARTS_THREADS;
    return plan ? plan->starts_threads : remains && remains->starts_threads;
}

// Judge a plan that the code has. One that is not traced stays, for its definitions' ids.
static struct mt_plan *judge_anew(struct mt_plan *plan)
{
    judge(plan, plan->code);
    return plan->traced ? plan : NULL;
}

// The code's own texts as UTF-8, which its str objects keep: asking for them again, with the lock
// held, takes no lock of the interpreter's.
static void prepare_texts(PyCodeObject *code)
{
    if (!MT_FREE_THREADED)
        return;
    mt_code_filename(code);
    mt_code_qualname(code);
}

// Not worth a plan? Then that is noted.
static bool reject(PyCodeObject *code)
{
    mt_sharing_lock();
    bool rejected = !mt_plan_cache_plan(mt_code_extra_get(code)) && !mt_watch_count() &&
                    (!mt_verdict.all || mt_filter_rejects(code));
    if (rejected)
        set_not_traced(code);
    mt_sharing_unlock();
    return rejected;
}

bool mt_verdict_may_trace(PyCodeObject *code)
{
    return (mt_verdict.all && !mt_filter_rejects(code)) || mt_watch_may_apply(code);
}

static struct mt_plan *create_plan(PyCodeObject *code)
{
    struct mt_plan *plan;

    if (mt_plan_create(code, &plan) != MT_OK) {
        mt_sharing_count(&mt_control->lost_plans);
        return NULL;
    }
    plan->starts_threads = names_start_new_thread(code);
    return plan;
}

// Judge a new plan (NULL: it could not be made) and keep it, or note that the code is not traced.
// Under mt_sharing_lock: the options in force are those until it is published.
static struct mt_plan *publish(PyCodeObject *code, struct mt_plan *plan)
{
    if (plan)
        judge(plan, code);
    if (!plan || !plan->traced) {
        if (plan)
            mt_plan_destroy(plan);
        set_not_traced(code);
        return NULL;
    }
    plan->serial = ++last_serial;
    if (!mt_plan_cache_remains(mt_code_extra_get(code)))
        mt_sharing_count(&mt_control->codes_traced);
    return mt_plan_cache_add(plan) ? plan : NULL;
}

// By the options in force, and with nothing more to do about it.
static inline bool is_not_traced(uintptr_t word)
{
    return (word & (WORD_NOT_TRACED | WORD_TRIMMED)) == WORD_NOT_TRACED &&
           (uint32_t)word >> WORD_GENERATION_SHIFT == mt_verdict.generation;
}

// Out of line: first sight of a code object, or of it under these options, or its plan was
// dropped.
static __attribute__((noinline)) struct mt_plan *plan_anew(PyCodeObject *code, uintptr_t word)
{
    struct mt_plan *plan = mt_plan_cache_plan(word);

    if (plan)
        return judge_anew(plan);
    if (is_not_traced(word & ~(uintptr_t)WORD_TRIMMED)) {
        mt_code_extra_set(code, word & ~(uintptr_t)WORD_TRIMMED);
        note_line_table(code);
        return NULL;
    }
    if (!word)
        mt_sharing_count(&mt_control->codes_seen);
    prepare_texts(code);
    if (reject(code))
        return NULL;
    plan = create_plan(code);
    mt_sharing_lock();
    // Without the GIL another thread may have been faster.
    struct mt_plan *other = mt_plan_cache_plan(mt_code_extra_get(code));
    if (!other) {
        plan = publish(code, plan);
    } else {
        if (plan)
            mt_plan_destroy(plan);
        plan = other->traced ? other : NULL;
    }
    mt_sharing_unlock();
    mt_code_extra_tidy();
    return plan;
}

struct mt_plan *mt_verdict_plan(PyCodeObject *code)
{
    uintptr_t word = mt_code_extra_get(code);
    struct mt_plan *plan = mt_plan_cache_plan(word);

    if (plan && plan->generation == mt_verdict.generation) {
        if (!MT_FREE_THREADED) // where no plan is dropped
            plan->idle = 0;
        return plan->traced ? plan : NULL;
    }
    if (is_not_traced(word))
        return NULL;
    const struct mt_remains *remains = mt_plan_cache_remains(word);
    if (remains && remains->not_traced == mt_verdict.generation)
        return NULL;
    return plan_anew(code, word);
}

struct mt_plan *mt_verdict_known(PyCodeObject *code)
{
    return mt_plan_cache_plan(mt_code_extra_get(code));
}
