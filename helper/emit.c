/* See emit.h. */

#include "emit.h"

#include <errno.h>
#include "plan_defs.h"
#include "watch.h"

const struct mt_value mt_value_absent = {.tag = MT_TAG_ABSENT};
const struct mt_value mt_value_redacted = {.tag = MT_TAG_REDACTED};

// ---- breakpoints --------------------------------------------------------------------------------

#if MT_FREE_THREADED
// One hit at a time: control->hit is the stopped thread's until it goes on. Waiting for it lets
// the world be stopped.
static PyMutex hit_lock;

static void lock_hit(void)
{
    PyMutex_Lock(&hit_lock);
}

static void unlock_hit(void)
{
    PyMutex_Unlock(&hit_lock);
}

void mt_emit_forked(void)
{
    hit_lock = (PyMutex){0};
}
#else
static void lock_hit(void) {}

static void unlock_hit(void) {}

void mt_emit_forked(void) {}
#endif

// memtrace_hook_hit is what gdb's breakpoint is on.
void mt_emit_hit(struct mt_thread *thread, mt_frame *frame)
{
    int saved_errno = errno;

    thread->hit_frame = NULL;
    thread->unsettled = thread->pending_count != 0;
    mt_thread_settled(thread);
    thread->hit.tid = thread->ring.tid;
    thread->hit.tstate = (uintptr_t)PyThreadState_Get();
    thread->hit.frame = (uintptr_t)frame;
    lock_hit();
    mt_control->hit = thread->hit;
    memtrace_hook_hit();
    mt_control->hit.count = 0;
    unlock_hit();
    errno = saved_errno;
}

static __attribute__((noinline)) bool check_watches(struct mt_thread *thread, mt_frame *frame,
                                                    const struct mt_emission *event)
{
    const struct mt_site *site = event->site;

    thread->busy = true;
    bool hit = mt_watch_check(
        &(struct mt_watch_event){
            .frame = frame,
            .plan = event->plan,
            .name = event->argument ? mt_argument_name(event->argument) : mt_site_name(site),
            .key_text = site && site->scope == MT_ITEM ? mt_site_key(site) : "",
            .key = event->record.key,
            .kind = event->record.kind,
            .old_object = event->old_object,
            .new_object = event->new_object,
        },
        &thread->hit);
    thread->busy = false;
    return hit;
}

// ---- writing ------------------------------------------------------------------------------------

void mt_emit(struct mt_thread *thread, mt_frame *frame, struct mt_emission *event)
{
    uint32_t watch = event->argument ? event->argument->watch : event->site->watch;
    bool hit = watch && check_watches(thread, frame, event);

    if (!mt_verdict.all && !hit)
        return;
    event->record.site = event->argument ? mt_plan_defs_argument(event->plan, event->argument)
                                         : mt_plan_defs_site(event->plan, event->site);
    uint64_t seq = mt_ring_append(&thread->ring, &event->record);
    if (!hit)
        return;
    thread->hit.seq = seq;
    if (event->done) {
        mt_emit_hit(thread, frame);
    } else {
        thread->hit_frame = frame; // shown when the store is done: mt_pending_settle
        thread->unsettled = true;
        thread->quick_frame = NULL;
    }
}
