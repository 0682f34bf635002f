/* See throttle.h. */

#include "throttle.h"

#include <stdio.h>
#include <time.h>
#include "clock.h"
#include "defs.h"
#include "overhead.h"
#include "plan_cache.h"
#include "ring.h"

enum {
    // What it takes the interpreter to call us and to go on, beside what we take: measured by
    // recording nothing. Of sys.monitoring and of settrace.
    LOOK_NS = MT_HAVE_MONITORING ? 25 : 10,
    THIN_STEP = 3, // a factor of 8
    THIN_MAX = 2 * THIN_STEP,
};

bool mt_throttle_on;

static struct mt_overhead overhead;
static uint64_t window_began; // CPU time of the process
static uint64_t timing_ns;    // what it takes to time a look
static uint64_t random_state = 1;

static uint64_t cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t measure_timing(void)
{
    uint64_t least = UINT64_MAX;

    for (int i = 0; i < 16; i++) {
        uint64_t began = mt_clock_ns(), took = mt_clock_ns() - began;
        if (took < least)
            least = took;
    }
    return least;
}

void mt_throttle_configure(uint32_t limit)
{
    timing_ns = limit ? measure_timing() : 0;
    mt_throttle_on = limit != 0;
    mt_overhead_init(&overhead, limit, LOOK_NS);
    window_began = cpu_ns();
}

bool mt_throttle_skips(uint8_t thin)
{
    // Not every eighth: loops would keep step. A generator of Knuth's, by its high bits.
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    if (!(random_state >> (64 - thin)))
        return false;
    mt_control->left_out++;
    return true;
}

// ---- steps -------------------------------------------------------------------------------------

static void note(const struct mt_plan *plan, const char *name, uint32_t line, const char *what,
                 uint32_t percent)
{
    char text[512];
    uint64_t now = mt_clock_ns();
    const char *file = mt_code_filename(plan->code);
    int size = snprintf(text, sizeof text, "%s in %s, %s:%u: %s, after %.1f s, at %u.%02u x", name,
                        plan->qualname, file ? file : "?", line, what,
                        (double)(now - mt_control->started_ns) / 1e9, percent / 100, percent % 100);
    mt_defs_note(mt_control->next_seq, now,
                 (struct mt_text){text, size < (int)sizeof text ? (size_t)size : sizeof text - 1});
}

static const char *thinned(uint8_t thin)
{
    return thin == THIN_STEP ? "1 change in 8 is recorded" : "1 change in 64 is recorded";
}

// Nothing more of this code is recorded, as if it were not traced.
static void quieten(struct mt_plan *plan, uint32_t percent)
{
    plan->traced = false;
    mt_control->disabled++;
    mt_thread_forget_calls();
    note(plan, "every variable", (uint32_t)plan->code->co_firstlineno,
         "no change is recorded any more", percent);
}

static void mute(struct mt_plan *plan, struct mt_site *site, uint32_t percent)
{
    site->muted = true;
    // With it what belongs to it: see mt_plan_update_sites().
    for (uint32_t i = 0; i < plan->site_count; i++) {
        struct mt_site *other = &plan->sites[i];
        if (other->partner >= 0 && &plan->sites[other->partner] == site)
            other->muted = true;
    }
    if (site->partner >= 0)
        plan->sites[site->partner].muted = true;
    mt_plan_update_sites(plan);
    mt_control->disabled++;
    note(plan, mt_site_name(site), (uint32_t)site->line, "no change is recorded any more", percent);
}

static void slow_site(struct mt_plan *plan, struct mt_site *site, uint32_t percent)
{
    if (site->watch || site->muted)
        return;
    if (site->thin < THIN_MAX) {
        site->thin += THIN_STEP;
        site->plain = MT_NOT_PLAIN;
        note(plan, mt_site_name(site), (uint32_t)site->line, thinned(site->thin), percent);
    } else if (MT_HAVE_MONITORING) {
        mute(plan, site, percent);
    } else if (!plan->has_watch) {
        quieten(plan, percent);
    }
}

static void slow_calls(struct mt_plan *plan, uint32_t percent)
{
    if (plan->has_watch)
        return;
    if (plan->thin < THIN_MAX) {
        plan->thin += THIN_STEP;
        if (plan->argument_count)
            note(plan, "arguments", (uint32_t)plan->code->co_firstlineno, thinned(plan->thin),
                 percent);
    } else {
        quieten(plan, percent);
    }
}

static void end_window(void)
{
    struct mt_place hot[MT_OVERHEAD_HOT_MAX];
    uint64_t now = cpu_ns();
    uint32_t percent;
    uint32_t count = mt_overhead_judge(&overhead, now - window_began, hot, &percent);

    for (uint32_t i = 0; i < count; i++) {
        // It may have died since, and another one may have its place.
        struct mt_plan *plan = mt_plan_cache_find(hot[i].plan);
        if (!plan || !plan->traced)
            continue;
        if (hot[i].index < plan->site_count)
            slow_site(plan, &plan->sites[hot[i].index], percent);
        else
            slow_calls(plan, percent);
    }
    window_began = cpu_ns(); // without what this took
}

// ---- looks -------------------------------------------------------------------------------------

uint64_t mt_throttle_begin(void)
{
    return mt_overhead_count(&overhead) ? mt_clock_ns() : 0;
}

void mt_throttle_end(uint64_t began, struct mt_plan *plan, int offset)
{
    if (!began)
        return;
    uint64_t took = mt_clock_ns() - began, cost = took > timing_ns ? took - timing_ns : 0;
    struct mt_site *site = plan && offset >= 0 ? mt_plan_site(plan, offset) : NULL;
    uint32_t index = site ? (uint32_t)(site - plan->sites) : plan ? plan->site_count : 0;

    mt_overhead_sample(&overhead, plan, index, cost);
    if (mt_overhead_is_full(&overhead))
        end_window();
}
