/* What the engine keeps for each thread that records: its ring, the call it is in, and the
 * stores whose outcome it waits for.
 *
 * Found through a thread-local pointer (initial-exec TLS: no allocation at first use); the
 * memory is mapped at a thread's first event and given back when the thread ends. A struct
 * mt_thread is used by its own thread only, except that whoever holds the GIL, or is alone
 * (guard.h), may walk the list to close rings. Lock order: the list's mutex is a leaf. */
#ifndef MT_THREAD_H
#define MT_THREAD_H

#include <Python.h>
#include <stdbool.h>
#include "diff.h"
#include "frame.h"
#include "plan.h"
#include "ring.h"

enum {
    MT_PENDING_MAX = 128,
    MT_CALLS_MAX = 1 << 16, /* memory is touched only as deep as calls go */
};

/* A call that a thread is in. */
struct mt_call {
    mt_frame *frame;      /* borrowed, compared only; NULL: none */
    struct mt_plan *plan; /* borrowed; NULL: code that is not traced */
    uint32_t activation;
};

enum mt_pending_what {
    MT_PENDING_STORE,    /* a store that may fail or run code: written when it is done */
    MT_PENDING_MUTATION, /* a mutating call or slice store: compared when it is done */
    MT_PENDING_INPLACE,  /* an in-place operator: compared at its partner store */
    MT_PENDING_CONCAT,   /* a sum of str that takes its left operand out of the variable
                                * that it is stored to (up to 3.10) */
};

/* An instruction that has begun and whose outcome makes the event. Nested: code that it runs
 * has its entries above it. */
struct mt_pending {
    enum mt_pending_what what;
    mt_frame *frame;      /* borrowed: lives as long as the entry */
    struct mt_plan *plan; /* borrowed */
    struct mt_site *site; /* borrowed, of the plan */
    uint64_t serial;      /* of the plan: tells it from a later one at its address */
    uint32_t activation;
    enum mt_kind kind; /* MT_PENDING_STORE */
    bool has_key;
    bool held;           /* `container` is owned: see pending.c, "A reference, once" */
    bool length_tells;   /* whether it changed: `before` has nothing else */
    PyObject *container; /* MUTATION, INPLACE */
    Py_ssize_t length;   /* CONCAT: of the left operand */
    struct mt_value old_value, new_value, key;
    struct mt_snapshot before;
};

/* A store to a local that is looked at before and after the line that it is in, rather than at its
 * instruction (plan_stretch.h). */
struct mt_late {
    mt_frame *frame;      /* borrowed: lives as long as the entry; NULL: none */
    struct mt_plan *plan; /* borrowed */
    struct mt_site *site; /* borrowed, of the plan */
    uint32_t def_id, activation;
    /* Compared only: alive until the store, and still there if that is not come to. NULL: unbound. */
    PyObject *old_object;
    struct mt_scalar old_value;
};

struct mt_thread {
    struct mt_ring ring;
    /* The call that the last event was in: a cache over `calls` and the table of activations. */
    struct mt_call call;
    const PyCodeObject *call_code; /* of call.plan, compared only */
    uint64_t plans_died;           /* mt_plans_died when `call` was noted (without the GIL) */
    /* call.frame where an instruction needs nothing but a look at the plan's site_at: nothing of
     * that frame waits for an outcome. NULL: every event goes the long way. The rest says where
     * to look: see mt_thread_quick_site(). Written by mt_thread_quicken() alone. */
    mt_frame *quick_frame;
    const char *quick_start; /* mt_code_start() */
    const char *quick_sites; /* site_at; in bytes, as places are */
    uint64_t quick_bytes;    /* of site_at */

    /* Frame of code that is not traced, whose lines need no look; NULL: not known (settrace). */
    mt_frame *untraced_frame; /* borrowed, compared only */

    /* Traced calls that the thread is in, innermost last, where the driver sees them return
     * (settrace): array of MT_CALLS_MAX. Deeper ones are in the table of activations. */
    struct mt_call *calls;
    uint32_t call_count;

    struct mt_pending *pending; /* array of MT_PENDING_MAX */
    int pending_count;
    bool unsettled; /* pending_count or hit_frame: something waits for an outcome */

    struct mt_late late;

    /* A breakpoint hit that is shown at the frame's next instruction, when the store is done. */
    mt_frame *hit_frame; /* borrowed, compared only; NULL: none */
    struct mt_hit hit;

    bool busy; /* evaluating a breakpoint's condition: record nothing */

    struct mt_thread *next, *previous; /* list of all */
};

/* The calling thread's state, made at its first call; NULL when there is no memory. */
struct mt_thread *mt_thread_create(void);

/* What a thread has until it has made its own: no call, nothing pending, never written to. */
extern __attribute__((visibility("hidden"))) struct mt_thread mt_thread_none;

extern __attribute__((visibility("hidden"))) __thread struct mt_thread *mt_thread_self;

static inline struct mt_thread *mt_thread_get(void)
{
    struct mt_thread *thread = mt_thread_self;

    return __builtin_expect(thread != &mt_thread_none, 1) ? thread : mt_thread_create();
}

/* In quick_frame, at a place (mt_frame_place): 1 + index of the site, 0 none. */
static inline uint32_t mt_thread_quick_site(const struct mt_thread *thread, uint64_t place)
{
    // site_at has as many bytes as the code it covers.
    return place < thread->quick_bytes ? *(const uint16_t *)(thread->quick_sites + place) : 0;
}

/* Does something of this frame wait for its next instruction? Inline, because most don't. */
static inline bool mt_thread_unsettled(const struct mt_thread *thread, const mt_frame *frame)
{
    return !thread->unsettled ? false
                              : thread->hit_frame == frame ||
                                    (thread->pending_count &&
                                     thread->pending[thread->pending_count - 1].frame == frame);
}

/* Is there a limit to what recording may cost (throttle.h)? Drivers go by this; the short cuts for
 * hot code are off then. */
extern bool mt_throttle_on;

/* thread->call, whose code runs, is set, or what its frame waited for is settled: may its next
 * instruction take the short way? */
static inline void mt_thread_quicken(struct mt_thread *thread)
{
    mt_frame *frame = thread->call.frame;
    const struct mt_plan *plan = thread->call.plan;

    thread->quick_frame = NULL;
    if (!frame || !plan || plan->is_wide || mt_throttle_on || mt_thread_unsettled(thread, frame))
        return;
    thread->quick_frame = frame;
    thread->quick_start = mt_code_start(plan->code);
    thread->quick_sites = (const char *)plan->site_at;
    thread->quick_bytes = plan->unit_count * sizeof *plan->site_at;
}

/* Something that was waited for is settled. */
static inline void mt_thread_settled(struct mt_thread *thread)
{
    // Without the GIL the plan of a call whose end was not seen may die at any moment: only who
    // knows that the call's code runs may look at it.
    if (!MT_FREE_THREADED)
        mt_thread_quicken(thread);
}

/* No plan has died since `call` was noted. Only then may call.plan be looked at; the other way
 * that a plan can be known to live is that its code runs. */
#if MT_FREE_THREADED
extern uint64_t mt_plans_died; /* only grows; before the code's memory is used again */

static inline bool mt_thread_is_fresh(const struct mt_thread *thread)
{
    // Relaxed: a code object at a dead one's address was made, and came to be run here, after
    // the count had grown.
    return thread->plans_died == __atomic_load_n(&mt_plans_died, __ATOMIC_RELAXED);
}
#else
static inline bool mt_thread_is_fresh(const struct mt_thread *thread)
{
    return true;
}
#endif

/* Is the thread, which runs this frame of this code, known to be in its call? Then call.plan is
 * the code's. */
static inline bool mt_thread_is_in(const struct mt_thread *thread, const mt_frame *frame,
                                   const PyCodeObject *code)
{
    return thread->call.frame == frame && thread->call_code == code && mt_thread_is_fresh(thread);
}

/* A plan dies with its code object: forget calls and pending stores of it, whose end was not seen
 * (another tracer had the thread). Under the GIL. Without it, threads find out by themselves. */
void mt_thread_forget_plan(const struct mt_plan *plan);

/* Call `each` for the plans that threads are in or wait for an outcome in, once or more. Under
 * the GIL. */
void mt_thread_each_plan(void (*each)(struct mt_plan *plan));

/* Forget which call each thread is in: plans were judged anew. Under the GIL, or alone. */
void mt_thread_forget_calls(void);

/* Each thread's next event takes the long way. Under the GIL. */
void mt_thread_forget_quick_frames(void);

/* Forget which calls each thread is in, to the outermost: how they end will not be seen. Under the
 * GIL. */
void mt_thread_drop_calls(void);

/* Close the rings of all threads and forget what they wait for: recording stops. Under the
 * GIL, or alone, so that no thread writes. */
void mt_thread_close_all(void);

/* In a forked child: the states of the threads that are gone, and this one's ring, belong to
 * the parent's buffer. */
void mt_thread_abandon(void);

#endif
