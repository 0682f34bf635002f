/* See store.h. */

#include "store.h"

#include "emit.h"
#include "guard.h"
#include "lookup.h"
#include "pending.h"
#include "snapshot.h"
#include "throttle.h"

static const struct mt_value unknown = {.tag = MT_TAG_UNKNOWN};

// What a store site is about to do.
struct store {
    struct mt_target old;
    PyObject *new_object;       // borrowed; NULL: unbinds
    bool hide;                  // the values are redacted
    const struct mt_value *key; // of an item, if it is a scalar; else NULL
};

// The event's kind; false: no event.
static inline bool kind_of(const struct store *store, enum mt_kind *ret)
{
    if (!store->new_object) {
        *ret = MT_DELETED;
        return store->old.found != MT_ABSENT;
    }
    if (store->old.found == MT_ABSENT) {
        *ret = MT_NEW;
        return true;
    }
    *ret = MT_MODIFIED;
    if (store->old.found == MT_UNREADABLE ||
        mt_value_compare(store->old.object, store->new_object) == MT_DIFFERENT)
        return true;
    *ret = MT_REBOUND;
    return mt_verdict.rebound;
}

// If this is the partner store of an in-place operator that changed its operand in place:
// write MUTATED. True if the store is dealt with. *dropped: what the operator's entry held.
static bool settle_inplace(struct mt_thread *thread, mt_frame *frame, struct mt_site *site,
                           struct store *store, PyObject **dropped)
{
    struct mt_pending *pending = mt_pending_top(thread, frame);

    if (!pending || pending->what != MT_PENDING_INPLACE)
        return false;
    bool partner = pending->plan->sites + pending->site->partner == site;
    bool mutated = partner && pending->container == store->new_object &&
                   store->old.found == MT_FOUND && store->old.object == store->new_object &&
                   mt_pending_changed(pending);
    if (mutated) {
        mt_lookup_done(&store->old);
        mt_pending_write_mutation(thread, frame, pending, site, store->hide, store->key, false);
    }
    *dropped = mt_pending_take(thread);
    return mutated;
}

// If this is the store of a sum of str whose left operand was taken out of the variable:
// complete what the variable held. False: it is not.
static bool settle_concat(struct mt_thread *thread, mt_frame *frame, struct mt_site *site,
                          struct store *store)
{
    struct mt_pending *pending = mt_pending_top(thread, frame);

    if (!pending || pending->what != MT_PENDING_CONCAT)
        return false;
    bool taken = pending->plan->sites + pending->site->partner == site &&
                 store->old.found == MT_ABSENT && store->new_object;
    // A sum differs from its left operand if it is longer.
    bool equal = taken && PyUnicode_CheckExact(store->new_object) &&
                 PyUnicode_GET_LENGTH(store->new_object) == pending->length;
    if (taken)
        mt_lookup_done(&store->old);
    if (taken && (!equal || mt_verdict.rebound)) {
        struct mt_value new_value;
        struct mt_emission event = {
            .record = {equal ? MT_REBOUND : MT_MODIFIED, 0, pending->activation,
                       &pending->old_value,
                       mt_emit_capture(store->new_object, site->redacted, &new_value), NULL},
            .plan = pending->plan,
            .site = site,
            .new_object = store->new_object,
        };
        mt_emit(thread, frame, &event);
    }
    mt_pending_pop(thread);
    return taken;
}

// Write it, or remember it until it has happened. What was found is let go of on every path.
static inline void write_known(struct mt_thread *thread, mt_frame *frame, struct mt_plan *plan,
                               struct mt_site *site, struct store *store)
{
    enum mt_kind kind;
    struct mt_value old_space, new_space;

    if (!kind_of(store, &kind)) {
        mt_lookup_done(&store->old);
        return;
    }
    const struct mt_value *old_value =
        store->old.found == MT_UNREADABLE
            ? &unknown
            : mt_emit_capture(store->old.object, store->hide, &old_space);
    // A breakpoint's condition may want the old object. Without the GIL another thread can take
    // it away meanwhile.
    PyObject *kept = MT_FREE_THREADED && site->watch ? store->old.object : NULL;
    Py_XINCREF(kept);
    mt_lookup_done(&store->old);
    const struct mt_value *new_value = mt_emit_capture(store->new_object, store->hide, &new_space);
    // Acquire pairs with plan_defs.c.
    uint32_t def_id = __atomic_load_n(&site->def_id, __ATOMIC_ACQUIRE);
    if (store->old.certain && site->plain != MT_NOT_PLAIN && def_id) {
        struct mt_record record = {kind,      def_id,    thread->call.activation,
                                   old_value, new_value, store->key};
        mt_ring_append(&thread->ring, &record);
        return;
    }
    if (store->old.certain) {
        struct mt_emission event = {
            .record = {kind, 0, thread->call.activation, old_value, new_value, store->key},
            .plan = plan,
            .site = site,
            .old_object = MT_FREE_THREADED ? kept : store->old.object,
            .new_object = store->new_object,
        };
        mt_emit(thread, frame, &event);
        Py_XDECREF(kept);
        return;
    }
    Py_XDECREF(kept);
    struct mt_pending *pending = mt_pending_push(thread, frame, plan, site, MT_PENDING_STORE);
    if (!pending)
        return;
    pending->kind = kind;
    pending->old_value = *old_value;
    pending->new_value = *new_value;
    pending->has_key = store->key != NULL;
    if (store->key)
        pending->key = *store->key;
}

static inline void write_store(struct mt_thread *thread, mt_frame *frame, struct mt_plan *plan,
                               struct mt_site *site, struct store *store)
{
    PyObject *dropped = NULL;

    if (__builtin_expect(thread->pending_count == 0, 1) ||
        !(settle_inplace(thread, frame, site, store, &dropped) ||
          settle_concat(thread, frame, site, store)))
        write_known(thread, frame, plan, site, store);
    Py_XDECREF(dropped);
}

// Any scalar, or nothing, in a local, and a scalar that replaces it, with nothing of the frame to
// settle before. False: it is something else, nothing is done.
static bool store_scalar(struct mt_thread *thread, mt_frame *frame, const struct mt_site *site)
{
    struct mt_scalar old_value, new_value;
    // Acquire pairs with plan_defs.c.
    uint32_t def_id = __atomic_load_n(&site->def_id, __ATOMIC_ACQUIRE);

    if (site->plain != MT_PLAIN_LOCAL || !def_id || thread->quick_frame != frame)
        return false;
    PyObject *old_object = mt_frame_slot(frame, site->slot);
    PyObject *new_object = mt_frame_operand(frame, site->depth, 0);
    // A variable that keeps its object keeps its value: a nan is equal to itself here.
    if (old_object == new_object)
        return old_object != NULL;
    if (!mt_value_scalar(new_object, &new_value) || !mt_value_scalar(old_object, &old_value))
        return false;
    if (mt_value_scalars_equal(old_value, new_value))
        return true;
    return mt_ring_append_scalars(&thread->ring, mt_clock_ns(),
                                  old_value.tag == MT_TAG_ABSENT ? MT_NEW : MT_MODIFIED, def_id,
                                  thread->call.activation, mt_scalar_none, old_value, new_value);
}

static struct mt_target bound_or_not(PyObject *object)
{
    return (struct mt_target){
        .found = object ? MT_FOUND : MT_ABSENT, .object = object, .certain = true};
}

static void store_fast(struct mt_thread *thread, mt_frame *frame, struct mt_plan *plan,
                       struct mt_site *site)
{
    if (store_scalar(thread, frame, site))
        return;
    PyObject *old = mt_frame_slot(frame, site->slot);

    // What an inlined comprehension hid comes back (3.12+, PEP 709): nobody stored anything.
    if (site->restores)
        return;
    // The second store of a superinstruction (3.13+): the first one has not run yet either.
    if (site->second && site[-1].slot == site->slot)
        old = mt_frame_operand(frame, site->depth, 0);
    struct store store = {
        .old = bound_or_not(old),
        .new_object = site->op == MT_SITE_STORE_FAST
                          ? mt_frame_operand(frame, site->depth, site->second)
                          : NULL,
        .hide = site->redacted,
    };
    write_store(thread, frame, plan, site, &store);
}

static void store_deref(struct mt_thread *thread, mt_frame *frame, struct mt_plan *plan,
                        struct mt_site *site)
{
    PyObject *cell = mt_frame_slot(frame, site->slot);

    if (!cell || !PyCell_Check(cell))
        return;
    struct store store = {
        .new_object = site->op == MT_SITE_STORE_DEREF ? mt_frame_operand(frame, site->depth, 0)
                                                      : NULL,
        .hide = site->redacted,
    };
    mt_lookup_cell(cell, &store.old);
    write_store(thread, frame, plan, site, &store);
}

static void store_name(struct mt_thread *thread, mt_frame *frame, struct mt_plan *plan,
                       struct mt_site *site)
{
    bool global = site->op == MT_SITE_STORE_GLOBAL || site->op == MT_SITE_DELETE_GLOBAL;
    bool stores = site->op == MT_SITE_STORE_GLOBAL || site->op == MT_SITE_STORE_NAME;
    PyObject *namespace = global ? mt_frame_globals(frame) : mt_frame_namespace(frame);
    struct store store = {
        .new_object = stores ? mt_frame_operand(frame, site->depth, 0) : NULL,
        .hide = site->redacted,
    };

    if (!namespace)
        return;
    mt_lookup_name(namespace, mt_plan_name(mt_frame_code(frame), site->name_index), &store.old);
    write_store(thread, frame, plan, site, &store);
}

static void store_attribute(struct mt_thread *thread, mt_frame *frame, struct mt_plan *plan,
                            struct mt_site *site)
{
    struct store store = {
        .new_object = site->op == MT_SITE_STORE_ATTR ? mt_frame_operand(frame, site->depth, 1)
                                                     : NULL,
        .hide = site->redacted,
    };

    mt_lookup_attribute(mt_frame_operand(frame, site->depth, 0),
                        mt_plan_name(mt_frame_code(frame), site->name_index), &store.old);
    write_store(thread, frame, plan, site, &store);
}

// A slice store or delete in an exact list or bytearray: a mutation of the variable that
// holds the container. False: it is not one of those.
static bool begin_slice(struct mt_thread *thread, mt_frame *frame, struct mt_plan *plan,
                        struct mt_site *site, PyObject *container)
{
    if (!PyList_CheckExact(container) && !PyByteArray_CheckExact(container))
        return false;
    if (mt_verdict.mutations && site->partner >= 0)
        mt_pending_mutation(thread, frame, plan, &plan->sites[site->partner], MT_PENDING_MUTATION,
                            container, false);
    return true;
}

// A scalar that is an item of a list, negative positions from the end. False: none is there.
static inline bool list_scalar(PyObject *list, Py_ssize_t position, struct mt_scalar *ret)
{
    if (!mt_guard_begin(list))
        return false;
    Py_ssize_t size = PyList_GET_SIZE(list);
    if (position < 0)
        position += size;
    bool found = position >= 0 && position < size &&
                 mt_value_scalar(PyList_GET_ITEM(list, position), ret);
    mt_guard_end();
    return found;
}

// Like store_scalar, for an item of a list.
static inline bool store_item_scalar(struct mt_thread *thread, mt_frame *frame,
                                     const struct mt_site *site, PyObject *key, PyObject *container)
{
    struct mt_scalar index, old_value, new_value;
    // Acquire pairs with plan_defs.c.
    uint32_t def_id = __atomic_load_n(&site->def_id, __ATOMIC_ACQUIRE);

    if (site->plain != MT_PLAIN_ITEM || !def_id || thread->pending_count ||
        !PyList_CheckExact(container) || !mt_value_scalar(key, &index) || index.tag != MT_TAG_INT32)
        return false;
    if (!list_scalar(container, (int32_t)index.bits, &old_value) ||
        !mt_value_scalar(mt_frame_operand(frame, site->depth, 2), &new_value))
        return false;
    if (mt_value_scalars_equal(old_value, new_value))
        return true;
    // A nan: the general way sees whether it is the same object.
    if (old_value.tag == new_value.tag && old_value.bits == new_value.bits)
        return false;
    return mt_ring_append_scalars(&thread->ring, mt_clock_ns(), MT_MODIFIED, def_id,
                                  thread->call.activation, index, old_value, new_value);
}

// An item is redacted by its key too: d['password'].
static bool key_hides(PyObject *key)
{
    return PyUnicode_CheckExact(key) && PyUnicode_IS_COMPACT_ASCII(key) &&
           mt_value_is_redacted((const char *)PyUnicode_1BYTE_DATA(key),
                                (size_t)PyUnicode_GET_LENGTH(key));
}

static void store_item(struct mt_thread *thread, mt_frame *frame, struct mt_plan *plan,
                       struct mt_site *site)
{
    PyObject *key = mt_frame_operand(frame, site->depth, 0);
    PyObject *container = mt_frame_operand(frame, site->depth, 1);
    if (store_item_scalar(thread, frame, site, key, container))
        return;
    struct store store = {
        .new_object = site->op == MT_SITE_STORE_ITEM ? mt_frame_operand(frame, site->depth, 2)
                                                     : NULL,
    };

    if (PySlice_Check(key) && begin_slice(thread, frame, plan, site, container))
        return;
    struct mt_value key_space;
    store.key = mt_value_capture_key(key, &key_space) ? &key_space : NULL;
    store.hide = site->redacted || (store.key && key_hides(key));
    mt_lookup_item(container, key, &store.old);
    write_store(thread, frame, plan, site, &store);
}

// 3.12+: the bounds lie on the stack one by one.
static void store_slice(struct mt_thread *thread, mt_frame *frame, struct mt_plan *plan,
                        struct mt_site *site)
{
    PyObject *container = mt_frame_operand(frame, site->depth, 2);

    if (begin_slice(thread, frame, plan, site, container))
        return;
    struct store store = {
        .old = {.found = MT_UNREADABLE},
        .new_object = mt_frame_operand(frame, site->depth, 3),
        .hide = site->redacted,
    };
    write_store(thread, frame, plan, site, &store);
}

// ---- mutations -----------------------------------------------------------------------------------

// What the variable of a store by name holds, borrowed; NULL: nothing, or it is none of those.
static PyObject *bound_variable(mt_frame *frame, const struct mt_site *site)
{
    struct mt_target target;

    switch (site->op) {
    case MT_SITE_STORE_FAST:
    case MT_SITE_STORE_DEREF: return mt_pending_variable(frame, site);
    case MT_SITE_STORE_NAME:
        if (!mt_frame_namespace(frame))
            return NULL;
        mt_lookup_name(mt_frame_namespace(frame),
                       mt_plan_name(mt_frame_code(frame), site->name_index), &target);
        mt_lookup_done(&target);
        return target.found == MT_FOUND ? target.object : NULL;
    default: return NULL;
    }
}

// `s += t` and `s = s + t` of str: up to 3.10 the instruction unbinds the variable that comes
// next, if it and the stack hold the only references to s, so that s can grow in place.
static void begin_concat(struct mt_thread *thread, mt_frame *frame, struct mt_plan *plan,
                         struct mt_site *site)
{
    PyObject *left = mt_frame_operand(frame, site->depth, 1);
    PyObject *right = mt_frame_operand(frame, site->depth, 0);
    struct mt_site *variable = &plan->sites[site->partner];

    if (!PyUnicode_CheckExact(left) || !PyUnicode_CheckExact(right) || Py_REFCNT(left) != 2 ||
        bound_variable(frame, variable) != left)
        return;
    struct mt_pending *pending = mt_pending_push(thread, frame, plan, site, MT_PENDING_CONCAT);
    if (!pending)
        return;
    pending->length = PyUnicode_GET_LENGTH(left);
    if (variable->redacted)
        pending->old_value = mt_value_redacted;
    else
        mt_value_capture(left, &pending->old_value);
}

static void begin_inplace(struct mt_thread *thread, mt_frame *frame, struct mt_plan *plan,
                          struct mt_site *site)
{
    PyObject *left = mt_frame_operand(frame, site->depth, 1);

    if (MT_CONCAT_UNBINDS && PyUnicode_CheckExact(left)) {
        begin_concat(thread, frame, plan, site);
        return;
    }
    if (!mt_verdict.mutations || !mt_snapshot_takes(left))
        return;
    // For `rows[i] += …` container and key lie below the operands.
    bool in_item = site->partner >= 0 && plan->sites[site->partner].op == MT_SITE_STORE_ITEM;
    PyObject *key = in_item ? mt_frame_operand(frame, site->depth, 2) : NULL;
    // The left operand of `xs[part] += …` is a copy.
    if (key && PySlice_Check(key))
        return;
    // Only += takes a list or tuple beside a list, and asks nothing of its items.
    PyObject *right = mt_frame_operand(frame, site->depth, 0);
    bool length_tells = PyList_CheckExact(left) &&
                        (PyList_CheckExact(right) || PyTuple_CheckExact(right));
    struct mt_pending *pending =
        mt_pending_mutation(thread, frame, plan, site, MT_PENDING_INPLACE, left, length_tells);
    if (!pending || !key)
        return;
    pending->has_key = mt_value_capture_key(key, &pending->key);
    if (pending->has_key && key_hides(key))
        pending->old_value = mt_value_redacted;
}

static void begin_call(struct mt_thread *thread, mt_frame *frame, struct mt_plan *plan,
                       struct mt_site *site)
{
    if (!mt_verdict.mutations)
        return;
    PyObject *self = mt_frame_operand(frame, site->depth, site->depth_self);
    if (site->self_is_bound)
        self = self && PyCFunction_Check(self) ? PyCFunction_GET_SELF(self) : NULL;
    if (!self || !mt_snapshot_method_of(self, site->method))
        return;
    // Of a method that is bound the arguments come in a tuple, mostly.
    PyObject *first =
        site->depth_self > 0 ? mt_frame_operand(frame, site->depth, site->depth_self - 1) : NULL;
    bool length_tells = !site->self_is_bound && mt_snapshot_length_tells(self, site->method, first);
    mt_pending_mutation(thread, frame, plan, site, MT_PENDING_MUTATION, self, length_tells);
}

void mt_store_site(struct mt_thread *thread, mt_frame *frame, struct mt_plan *plan,
                   struct mt_site *site)
{
    if (site->muted || (site->thin && !thread->unsettled && mt_throttle_skips(site->thin)))
        return;
    switch ((enum mt_site_op)site->op) {
    case MT_SITE_STORE_FAST:
    case MT_SITE_DELETE_FAST: store_fast(thread, frame, plan, site); break;
    case MT_SITE_STORE_DEREF:
    case MT_SITE_DELETE_DEREF: store_deref(thread, frame, plan, site); break;
    case MT_SITE_STORE_NAME:
    case MT_SITE_DELETE_NAME:
    case MT_SITE_STORE_GLOBAL:
    case MT_SITE_DELETE_GLOBAL: store_name(thread, frame, plan, site); break;
    case MT_SITE_STORE_ATTR:
    case MT_SITE_DELETE_ATTR: store_attribute(thread, frame, plan, site); break;
    case MT_SITE_STORE_ITEM:
    case MT_SITE_DELETE_ITEM: store_item(thread, frame, plan, site); break;
    case MT_SITE_INPLACE: begin_inplace(thread, frame, plan, site); break;
    case MT_SITE_CONCAT: begin_concat(thread, frame, plan, site); break;
    case MT_SITE_CALL: begin_call(thread, frame, plan, site); break;
    case MT_SITE_STORE_SLICE: store_slice(thread, frame, plan, site); break;
    case MT_SITE_CONTAINER: break;
    }
}

// ---- late stores ---------------------------------------------------------------------------------

bool mt_store_later(struct mt_thread *thread, mt_frame *frame, struct mt_site *site)
{
    // Acquire pairs with plan_defs.c.
    uint32_t def_id = __atomic_load_n(&site->def_id, __ATOMIC_ACQUIRE);

    if (site->muted)
        return true;
    if (site->plain != MT_PLAIN_LOCAL || !def_id)
        return false;
    PyObject *old_object = mt_frame_slot(frame, site->slot);
    // Anything else could change, or die, before it is looked at.
    if (!mt_value_scalar(old_object, &thread->late.old_value))
        return false;
    thread->late.frame = frame;
    thread->late.plan = thread->call.plan;
    thread->late.site = site;
    thread->late.def_id = def_id;
    thread->late.activation = thread->call.activation;
    thread->late.old_object = old_object;
    return true;
}

void mt_store_late_other(struct mt_thread *thread)
{
    const struct mt_late *late = &thread->late;
    struct mt_scalar new_value;
    PyObject *new_object = mt_frame_slot(late->frame, late->site->slot);
    enum mt_kind kind = late->old_value.tag == MT_TAG_ABSENT ? MT_NEW : MT_MODIFIED;

    if (!new_object)
        return;
    bool scalar = mt_value_scalar(new_object, &new_value);
    if (scalar &&
        (mt_value_scalars_equal(late->old_value, new_value) ||
         mt_ring_append_scalars(&thread->ring, mt_clock_ns(), kind, late->def_id, late->activation,
                                mt_scalar_none, late->old_value, new_value)))
        return;
    struct mt_value old_space, new_space;
    old_space.tag = late->old_value.tag;
    old_space.size = (uint16_t)mt_scalar_size(late->old_value);
    memcpy(old_space.bytes, &late->old_value.bits, old_space.size);
    struct mt_emission event = {
        .record = {kind, 0, late->activation, &old_space,
                   mt_emit_capture(new_object, late->site->redacted, &new_space), NULL},
        .plan = late->plan,
        .site = late->site,
        .new_object = new_object,
        .done = true,
    };
    mt_emit(thread, late->frame, &event);
}
