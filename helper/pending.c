/* See pending.h.
 *
 * A reference, once. While a mutating call runs, the operand stack holds the container; when
 * it has returned nothing may. A container that came out of a local variable, a cell or a
 * namespace is looked up there again afterwards and read only if it is the same. One that
 * came out of an attribute or an item cannot be found again without running code: there, and
 * only there, the entry holds a reference for the duration of that one instruction (an
 * in-place operator: up to the store of its result). Without the GIL that is so for cells and
 * namespaces too: another thread may change what they hold between the look and the reading. */

#include "pending.h"

#include "emit.h"
#include "lookup.h"
#include "snapshot.h"
#include "verdict.h"

struct mt_pending *mt_pending_push(struct mt_thread *thread, mt_frame *frame, struct mt_plan *plan,
                                   struct mt_site *site, enum mt_pending_what what)
{
    if (thread->pending_count == MT_PENDING_MAX) {
        mt_sharing_count(&mt_control->lost_pending);
        return NULL;
    }
    struct mt_pending *pending = &thread->pending[thread->pending_count++];
    thread->unsettled = true;
    thread->quick_frame = NULL;
    pending->what = what;
    pending->frame = frame;
    pending->plan = plan;
    pending->site = site;
    pending->serial = plan->serial;
    pending->activation = thread->call.activation;
    pending->has_key = pending->held = false;
    pending->container = NULL;
    return pending;
}

// Is the entry of a frame at this address that of the frame that runs there? Without the GIL an
// entry whose end was not seen may have outlived its plan.
static bool is_alive(const struct mt_pending *pending, mt_frame *frame)
{
#if MT_FREE_THREADED
    PyCodeObject *code = mt_frame_code(frame);
    const struct mt_plan *plan = code ? mt_verdict_known(code) : NULL;
    return plan && plan->serial == pending->serial;
#else
    return true;
#endif
}

struct mt_pending *mt_pending_top(struct mt_thread *thread, mt_frame *frame)
{
    if (!thread->pending_count)
        return NULL;
    struct mt_pending *top = &thread->pending[thread->pending_count - 1];
    return top->frame == frame && is_alive(top, frame) ? top : NULL;
}

PyObject *mt_pending_take(struct mt_thread *thread)
{
    struct mt_pending *pending = &thread->pending[--thread->pending_count];

    thread->unsettled = thread->pending_count || thread->hit_frame;
    mt_thread_settled(thread);
    return pending->held ? pending->container : NULL;
}

void mt_pending_pop(struct mt_thread *thread)
{
    Py_XDECREF(mt_pending_take(thread));
}

// The object that a plain name holds now, borrowed, or NULL: locals, cells and namespaces
// (without the GIL: locals, which alone are the thread's own).
PyObject *mt_pending_variable(mt_frame *frame, const struct mt_site *site)
{
    PyObject *object = NULL;
    // A call's site has the name of its container there, a store's its own.
    uint32_t index = site->base_index ? site->base_index : site->name_index;
    PyObject *name = mt_plan_name(mt_frame_code(frame), index);

    if (MT_FREE_THREADED && site->scope != MT_LOCAL)
        return NULL;
    switch (site->scope) {
    case MT_LOCAL: return mt_frame_slot(frame, site->slot);
    case MT_CELL:
        object = mt_frame_slot(frame, site->slot);
        return object && PyCell_Check(object) ? PyCell_GET(object) : NULL;
    case MT_NAME:
        if (mt_frame_namespace(frame) && PyDict_CheckExact(mt_frame_namespace(frame)) &&
            mt_lookup_dict(mt_frame_namespace(frame), name, &object) == MT_FOUND)
            return object;
        /* fall through */ // a name in a class body may be a global
    case MT_GLOBAL:
        if (mt_lookup_dict(mt_frame_globals(frame), name, &object) == MT_FOUND)
            return object;
        return NULL;
    default: return NULL;
    }
}

// Remember a container before an instruction that may change it. NULL: no room.
struct mt_pending *mt_pending_mutation(struct mt_thread *thread, mt_frame *frame,
                                       struct mt_plan *plan, struct mt_site *site,
                                       enum mt_pending_what what, PyObject *container,
                                       bool length_tells)
{
    struct mt_pending *pending = mt_pending_push(thread, frame, plan, site, what);

    if (!pending)
        return NULL;
    pending->container = container;
    // Without the GIL other threads change it meanwhile: the length says less there.
    pending->length_tells = length_tells && !MT_FREE_THREADED;
    if (pending->length_tells)
        pending->before.length = mt_snapshot_length(container);
    else
        mt_snapshot_take(container, &pending->before);
    if (site->redacted)
        pending->old_value = mt_value_redacted;
    else
        mt_value_capture(container, &pending->old_value);
    // The variable that an in-place operator's result goes back to is its partner's.
    const struct mt_site *variable =
        what == MT_PENDING_INPLACE && site->partner >= 0 ? &plan->sites[site->partner] : site;
    if (mt_pending_variable(frame, variable) != container) {
        Py_INCREF(container);
        pending->held = true;
    }
    return pending;
}

// Is the container of a pending entry still there to be read?
static bool container_lives(const struct mt_pending *pending, mt_frame *frame)
{
    const struct mt_site *site = pending->site;

    if (pending->held)
        return true;
    if (pending->what == MT_PENDING_INPLACE && site->partner >= 0)
        site = &pending->plan->sites[site->partner];
    return mt_pending_variable(frame, site) == pending->container;
}

bool mt_pending_changed(const struct mt_pending *pending)
{
    struct mt_snapshot after;

    if (!MT_FREE_THREADED && mt_snapshot_length(pending->container) != pending->before.length)
        return true;
    if (pending->length_tells)
        return false;
    mt_snapshot_take(pending->container, &after);
    return mt_diff(&pending->before, &after) != MT_UNCHANGED;
}

void mt_pending_write_mutation(struct mt_thread *thread, mt_frame *frame,
                               struct mt_pending *pending, struct mt_site *site, bool hide,
                               const struct mt_value *key, bool done)
{
    struct mt_value new_value;
    struct mt_emission event = {
        .record =
            {
                .kind = MT_MUTATED,
                .activation = pending->activation,
                .old_value = &pending->old_value,
                .new_value = mt_emit_capture(pending->container, hide, &new_value),
                .key = key,
            },
        .plan = pending->plan,
        .site = site,
        .old_object = pending->container,
        .new_object = pending->container,
        .done = done,
    };
    mt_emit(thread, frame, &event);
}

static void write_pending_store(struct mt_thread *thread, mt_frame *frame,
                                struct mt_pending *pending)
{
    struct mt_emission event = {
        .record =
            {
                .kind = pending->kind,
                .activation = pending->activation,
                .old_value = &pending->old_value,
                .new_value = &pending->new_value,
                .key = pending->has_key ? &pending->key : NULL,
            },
        .plan = pending->plan,
        .site = pending->site,
        .done = true,
    };
    mt_emit(thread, frame, &event);
}

// Entries of calls that ended without our seeing it lie above this frame's: drop them.
static void drop_stale(struct mt_thread *thread, const mt_frame *frame)
{
    int keep = thread->pending_count;

    while (keep && thread->pending[keep - 1].frame != frame)
        keep--;
    if (!keep)
        return;
    while (thread->pending_count > keep)
        mt_pending_pop(thread);
}

// Entries of a call that had this frame's address before.
static void drop_dead(struct mt_thread *thread, mt_frame *frame)
{
    while (thread->pending_count && thread->pending[thread->pending_count - 1].frame == frame &&
           !is_alive(&thread->pending[thread->pending_count - 1], frame))
        mt_pending_pop(thread);
}

void mt_pending_settle(struct mt_thread *thread, mt_frame *frame)
{
    drop_dead(thread, frame);
    struct mt_pending *pending = mt_pending_top(thread, frame);

    // An operator's entry stays for its partner store; it can have one below it only from
    // another frame.
    if (pending && pending->what < MT_PENDING_INPLACE) {
        if (pending->what == MT_PENDING_STORE)
            write_pending_store(thread, frame, pending);
        else if (container_lives(pending, frame) && mt_pending_changed(pending))
            mt_pending_write_mutation(thread, frame, pending, pending->site,
                                      pending->site->redacted, NULL, true);
        mt_pending_pop(thread);
    } else if (pending && pending->plan->sites[pending->site->partner].muted) {
        mt_pending_pop(thread); // since options changed; its store won't come
    }
    if (thread->hit_frame == frame)
        mt_emit_hit(thread, frame);
}

void mt_pending_raise(struct mt_thread *thread, mt_frame *frame)
{
    drop_stale(thread, frame);
    struct mt_pending *pending = mt_pending_top(thread, frame);

    if (!pending)
        return;
    // What a call or operator changed before it failed, it changed.
    if (pending->container && container_lives(pending, frame) && mt_pending_changed(pending))
        mt_pending_write_mutation(thread, frame, pending, pending->site,
                                  pending->old_value.tag == MT_TAG_REDACTED,
                                  pending->has_key ? &pending->key : NULL, true);
    mt_pending_pop(thread);
}

void mt_pending_end(struct mt_thread *thread, mt_frame *frame)
{
    if (mt_thread_unsettled(thread, frame))
        mt_pending_settle(thread, frame);
    drop_stale(thread, frame);
    while (mt_pending_top(thread, frame))
        mt_pending_pop(thread);
    drop_dead(thread, frame);
}
