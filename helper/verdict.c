/* See verdict.h. */

#include "verdict.h"

#include <string.h>
#include "defs.h"
#include "filter.h"
#include "pyobject.h"
#include "status.h"
#include "thread.h"
#include "value.h"
#include "watch.h"

struct mt_verdict mt_verdict;
void (*mt_verdict_plan_dies)(struct mt_plan *plan);

// Odd words in a code object's slot say: not traced as of a generation (word >> 2); bit 1: the
// code names start_new_thread. Even words are plans.
enum { WORD_NOT_TRACED = 1, WORD_STARTS_THREADS = 2 };

// Grows with every new buffer: definition ids of an older one mean nothing.
static uint32_t buffer_epoch;

static void destroy_plan(void *word)
{
    if (!word || (uintptr_t)word & 1)
        return;
    mt_thread_forget_plan(word);
    if (mt_verdict_plan_dies)
        mt_verdict_plan_dies(word);
    mt_plan_destroy(word);
}

enum mt_status mt_verdict_init(void)
{
    return mt_code_extra_init(destroy_plan);
}

void mt_verdict_expire(void)
{
    mt_verdict.generation++;
    mt_thread_forget_calls();
    mt_control->breakpoints_armed = mt_watch_count();
}

void mt_verdict_renew(void)
{
    buffer_epoch++;
    mt_verdict_expire();
}

static bool is_redacted(const char *name)
{
    return mt_value_is_redacted(name, strlen(name));
}

static void forget_definitions(struct mt_plan *plan)
{
    plan->epoch = buffer_epoch;
    plan->def_id = 0;
    for (uint32_t i = 0; i < plan->site_count; i++)
        plan->sites[i].def_id = 0;
    for (uint32_t i = 0; i < plan->argument_count; i++)
        plan->arguments[i].def_id = 0;
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
    if (plan->epoch != buffer_epoch)
        forget_definitions(plan);
    plan->generation = mt_verdict.generation;
    plan->traced = mt_verdict.all && mt_filter_traces(code, plan->qualname);
    for (uint32_t i = 0; i < plan->site_count; i++) {
        struct mt_site *site = &plan->sites[i];
        site->redacted = is_redacted(site->name);
        site->watch = mt_watch_applies(code, plan, site->scope, site->name);
        site->plain = plainness(site);
        // Of two stores in one instruction (3.13+) the short cut would see the first alone.
        if (site->second)
            site[-1].plain = 0;
        // Breakpoints reach into code that is not recorded otherwise.
        plan->traced |= site->watch != 0;
    }
    for (uint32_t i = 0; i < plan->argument_count; i++) {
        struct mt_argument *argument = &plan->arguments[i];
        argument->redacted = is_redacted(argument->name);
        argument->watch = mt_watch_applies(code, plan, MT_ARGUMENT, argument->name);
        argument->plain = mt_verdict.all && !argument->watch && !argument->redacted &&
                          !argument->is_cell;
        plan->traced |= argument->watch != 0;
    }
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

static void set_not_traced(PyCodeObject *code)
{
    mt_code_extra_set(code, (uintptr_t)mt_verdict.generation << 2 | WORD_NOT_TRACED |
                                (names_start_new_thread(code) ? WORD_STARTS_THREADS : 0));
}

bool mt_verdict_starts_threads(PyCodeObject *code)
{
    uintptr_t word = mt_code_extra_get(code);

    if (word & WORD_NOT_TRACED)
        return word & WORD_STARTS_THREADS;
    return word && ((struct mt_plan *)word)->starts_threads;
}

// Out of line: first sight of a code object, or of it under these options.
static __attribute__((noinline)) struct mt_plan *plan_anew(PyCodeObject *code, uintptr_t word)
{
    struct mt_plan *plan = word && !(word & 1) ? (struct mt_plan *)word : NULL;

    if (!word)
        mt_control->codes_seen++;
    if (!plan && !mt_watch_count() && (!mt_verdict.all || mt_filter_rejects(code))) {
        set_not_traced(code);
        return NULL;
    }
    if (!plan && mt_plan_create(code, &plan) != MT_OK) {
        mt_control->lost_plans++;
        set_not_traced(code);
        return NULL;
    }
    judge(plan, code);
    plan->starts_threads = names_start_new_thread(code);
    if (plan->traced) {
        if ((uintptr_t)plan == word)
            return plan;
        if (!mt_code_extra_set(code, (uintptr_t)plan)) {
            mt_plan_destroy(plan);
            return NULL;
        }
        mt_control->codes_traced++;
        return plan;
    }
    // A plan that events already name stays, for its definition ids.
    if ((uintptr_t)plan == word)
        return NULL;
    mt_plan_destroy(plan);
    set_not_traced(code);
    return NULL;
}

struct mt_plan *mt_verdict_plan(PyCodeObject *code)
{
    uintptr_t word = mt_code_extra_get(code);

    if (word & 1) {
        if (word >> 2 == mt_verdict.generation)
            return NULL;
    } else if (word) {
        struct mt_plan *plan = (struct mt_plan *)word;
        if (plan->generation == mt_verdict.generation)
            return plan->traced ? plan : NULL;
    }
    return plan_anew(code, word);
}
