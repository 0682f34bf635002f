/* See engine.h.
 *
 * When an event is written. A store that can neither fail nor run code is written before it
 * runs: the old value is still there and the new one is on the operand stack. A store that
 * may fail or run code (a property, a class with its own __setitem__) becomes a *pending*
 * entry with what is known before it, and is written when the frame's next instruction
 * begins, or dropped when it raised. A mutating call, a slice store and an in-place operator
 * are pending too, with a bounded snapshot of the container to compare with afterwards.
 * Entries nest, because code that a store runs has stores of its own.
 *
 * A reference, once. While a mutating call runs, the operand stack holds the container; when
 * it has returned nothing may. A container that came out of a local variable, a cell or a
 * namespace is looked up there again afterwards and read only if it is the same. One that
 * came out of an attribute or an item cannot be found again without running code: there, and
 * only there, the entry holds a reference for the duration of that one instruction (an
 * in-place operator: up to the store of its result). */

#include "engine.h"

#include <errno.h>
#include <string.h>
#include "defs.h"
#include "filter.h"
#include "lookup.h"
#include "activation.h"
#include "snapshot.h"
#include "status.h"
#include "value.h"
#include "watch.h"

bool mt_engine_on;
void (*mt_engine_plan_dies)(struct mt_plan *plan);

// The request in force is the service's; these are its parts that matter per event.
static bool record_all, record_rebound, record_mutations;

// Grows with every change of options, so that verdicts on code objects expire. Odd words in
// a code object's slot say: not traced as of a generation (word >> 2); bit 1: the code names
// start_new_thread. Even words are plans.
static uint32_t generation;

enum { WORD_NOT_TRACED = 1, WORD_STARTS_THREADS = 2 };

static const struct mt_value absent = {.tag = MT_TAG_ABSENT};
static const struct mt_value unknown = {.tag = MT_TAG_UNKNOWN};
static const struct mt_scalar nothing = {.tag = MT_TAG_ABSENT};
static const struct mt_value redacted = {.tag = MT_TAG_REDACTED};

// Grows with every new buffer: definition ids of an older one mean nothing.
static uint32_t buffer_epoch;

// What values were captured by, for mt_engine_renew.
static struct mt_value_options value_options;

// ---- configuration -----------------------------------------------------------------------

static void destroy_plan(void *word)
{
    if (!word || (uintptr_t)word & 1)
        return;
    mt_thread_forget_plan(word);
    if (mt_engine_plan_dies)
        mt_engine_plan_dies(word);
    mt_plan_destroy(word);
}

// Every code object is judged anew.
static void expire_verdicts(void)
{
    generation++;
    mt_thread_forget_calls();
    mt_control->breakpoints_armed = mt_watch_count();
}

enum mt_status mt_engine_configure(const struct mt_request *request, bool fresh)
{
    enum mt_status status = mt_code_extra_init(destroy_plan);

    if (status == MT_OK)
        status = mt_watch_configure(request);
    if (status != MT_OK)
        return status;
    mt_filter_configure(request);
    value_options = (struct mt_value_options){request->value_size, request->redact};
    mt_value_configure(&value_options);
    record_all = request->record;
    record_rebound = request->rebound;
    record_mutations = request->mutations;
    if (fresh)
        mt_activation_reset();
    expire_verdicts();
    return MT_OK;
}

void mt_engine_renew(void)
{
    mt_value_configure(&value_options); // forgets the ids of type names
    mt_activation_reset();
    buffer_epoch++;
    expire_verdicts();
}

void mt_engine_stop(void)
{
    mt_engine_on = false;
    mt_thread_close_all();
    mt_watch_clear();
    mt_control->breakpoints_armed = 0;
}

// ---- plans ---------------------------------------------------------------------------------

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
    if (!record_all || record_rebound || site->redacted || site->watch)
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
    plan->generation = generation;
    plan->traced = record_all && mt_filter_traces(code, plan->qualname);
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
        argument->plain = record_all && !argument->watch && !argument->redacted &&
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
    mt_code_extra_set(code, (uintptr_t)generation << 2 | WORD_NOT_TRACED |
                                (names_start_new_thread(code) ? WORD_STARTS_THREADS : 0));
}

bool mt_engine_starts_threads(PyCodeObject *code)
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
    if (!plan && !mt_watch_count() && (!record_all || mt_filter_rejects(code))) {
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

struct mt_plan *mt_engine_plan(PyCodeObject *code)
{
    uintptr_t word = mt_code_extra_get(code);

    if (word & 1) {
        if (word >> 2 == generation)
            return NULL;
    } else if (word) {
        struct mt_plan *plan = (struct mt_plan *)word;
        if (plan->generation == generation)
            return plan->traced ? plan : NULL;
    }
    return plan_anew(code, word);
}

// ---- definitions ------------------------------------------------------------------------------

static struct mt_text text_of(const char *text)
{
    return (struct mt_text){text, strlen(text)};
}

static uint32_t code_definition(struct mt_plan *plan)
{
    if (!plan->def_id) {
        Py_ssize_t size = 0;
        const char *file = PyUnicode_AsUTF8AndSize(plan->code->co_filename, &size);
        if (!file) {
            PyErr_Clear();
            file = "?";
            size = 1;
        }
        plan->def_id = mt_defs_code((struct mt_text){file, (size_t)size}, text_of(plan->qualname),
                                    (uint32_t)plan->code->co_firstlineno);
    }
    return plan->def_id;
}

static uint32_t site_definition(struct mt_plan *plan, struct mt_site *site)
{
    if (!site->def_id)
        site->def_id =
            mt_defs_site(code_definition(plan), site->line < 0 ? 0 : (uint32_t)site->line,
                         (enum mt_scope)site->scope, text_of(site->name), text_of(site->key));
    return site->def_id;
}

static uint32_t argument_definition(struct mt_plan *plan, struct mt_argument *argument)
{
    if (!argument->def_id)
        argument->def_id = mt_defs_site(code_definition(plan), (uint32_t)plan->code->co_firstlineno,
                                        MT_ARGUMENT, text_of(argument->name), text_of(""));
    return argument->def_id;
}

// ---- writing ------------------------------------------------------------------------------------

// The thread stops here for gdb: memtrace_hook_hit is what gdb's breakpoint is on.
static __attribute__((noinline)) void show_hit(struct mt_thread *thread, mt_frame *frame)
{
    int saved_errno = errno;

    thread->hit_frame = NULL;
    thread->unsettled = thread->pending_count != 0;
    thread->hit.tid = thread->ring.tid;
    thread->hit.tstate = (uintptr_t)PyThreadState_Get();
    thread->hit.frame = (uintptr_t)frame;
    mt_control->hit = thread->hit;
    memtrace_hook_hit();
    mt_control->hit.count = 0;
    errno = saved_errno;
}

// One event, with everything that the ring and the breakpoints need to know.
struct event {
    struct mt_record record;
    struct mt_plan *plan;
    struct mt_site *site;              // NULL for an argument
    struct mt_argument *argument;      // NULL for a site
    PyObject *old_object, *new_object; // borrowed; NULL where unbound or unreadable
    bool done;                         // the store has happened: a hit is shown at once
};

static __attribute__((noinline)) bool check_watches(struct mt_thread *thread, mt_frame *frame,
                                                    const struct event *event)
{
    const struct mt_site *site = event->site;

    thread->busy = true;
    bool hit = mt_watch_check(
        &(struct mt_watch_event){
            .frame = frame,
            .plan = event->plan,
            .name = event->argument ? event->argument->name : site->name,
            .key_text = site && site->scope == MT_ITEM ? site->key : "",
            .key = event->record.key,
            .kind = event->record.kind,
            .old_object = event->old_object,
            .new_object = event->new_object,
        },
        &thread->hit);
    thread->busy = false;
    return hit;
}

static inline void write_event(struct mt_thread *thread, mt_frame *frame, struct event *event)
{
    uint32_t watch = event->argument ? event->argument->watch : event->site->watch;
    bool hit = watch && check_watches(thread, frame, event);

    if (!record_all && !hit)
        return;
    event->record.site = event->argument ? argument_definition(event->plan, event->argument)
                                         : site_definition(event->plan, event->site);
    uint64_t seq = mt_ring_append(&thread->ring, &event->record);
    if (!hit)
        return;
    thread->hit.seq = seq;
    if (event->done) {
        show_hit(thread, frame);
    } else {
        thread->hit_frame = frame; // shown when the store is done: mt_engine_settle
        thread->unsettled = true;
    }
}

static inline const struct mt_value *capture(PyObject *object, bool hide, struct mt_value *space)
{
    if (!object)
        return &absent;
    if (__builtin_expect(hide, 0))
        return &redacted;
    mt_value_capture(object, space);
    return space;
}

// ---- pending entries ------------------------------------------------------------------------------

static struct mt_pending *push_pending(struct mt_thread *thread, mt_frame *frame,
                                       struct mt_plan *plan, struct mt_site *site,
                                       enum mt_pending_what what)
{
    if (thread->pending_count == MT_PENDING_MAX) {
        mt_control->lost_pending++;
        return NULL;
    }
    struct mt_pending *pending = &thread->pending[thread->pending_count++];
    thread->unsettled = true;
    pending->what = what;
    pending->frame = frame;
    pending->plan = plan;
    pending->site = site;
    pending->activation = thread->call.activation;
    pending->has_key = pending->held = false;
    pending->container = NULL;
    return pending;
}

static struct mt_pending *top_pending(struct mt_thread *thread, const mt_frame *frame)
{
    if (!thread->pending_count)
        return NULL;
    struct mt_pending *top = &thread->pending[thread->pending_count - 1];
    return top->frame == frame ? top : NULL;
}

static void pop_pending(struct mt_thread *thread)
{
    struct mt_pending *pending = &thread->pending[--thread->pending_count];
    thread->unsettled = thread->pending_count || thread->hit_frame;

    if (pending->held)
        Py_XDECREF(pending->container);
}

// The object that a plain name holds now, borrowed, or NULL: locals, cells and namespaces.
static PyObject *named_object(mt_frame *frame, const struct mt_site *site)
{
    PyObject *object = NULL;
    // A call's site has the name of its container there, a store's its own.
    PyObject *name = site->base_object ? site->base_object : site->name_object;

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
static struct mt_pending *watch_mutation(struct mt_thread *thread, mt_frame *frame,
                                         struct mt_plan *plan, struct mt_site *site,
                                         enum mt_pending_what what, PyObject *container)
{
    struct mt_pending *pending = push_pending(thread, frame, plan, site, what);

    if (!pending)
        return NULL;
    pending->container = container;
    mt_snapshot_take(container, &pending->before);
    if (site->redacted)
        pending->old_value = redacted;
    else
        mt_value_capture(container, &pending->old_value);
    // The variable that an in-place operator's result goes back to is its partner's.
    const struct mt_site *variable =
        what == MT_PENDING_INPLACE && site->partner >= 0 ? &plan->sites[site->partner] : site;
    if (named_object(frame, variable) != container) {
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
    return named_object(frame, site) == pending->container;
}

static void write_mutation(struct mt_thread *thread, mt_frame *frame, struct mt_pending *pending,
                           struct mt_site *site, const struct mt_value *key, bool done)
{
    struct mt_snapshot after;
    struct mt_value new_value;

    mt_snapshot_take(pending->container, &after);
    if (mt_diff(&pending->before, &after) == MT_UNCHANGED)
        return;
    struct event event = {
        .record =
            {
                .kind = MT_MUTATED,
                .activation = pending->activation,
                .old_value = &pending->old_value,
                .new_value = capture(pending->container, site->redacted, &new_value),
                .key = key,
            },
        .plan = pending->plan,
        .site = site,
        .old_object = pending->container,
        .new_object = pending->container,
        .done = done,
    };
    write_event(thread, frame, &event);
}

static void write_pending_store(struct mt_thread *thread, mt_frame *frame,
                                struct mt_pending *pending)
{
    struct event event = {
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
    write_event(thread, frame, &event);
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
        pop_pending(thread);
}

void mt_engine_settle(struct mt_thread *thread, mt_frame *frame)
{
    struct mt_pending *pending = top_pending(thread, frame);

    // An operator's entry stays for its partner store; it can have one below it only from
    // another frame.
    if (pending && pending->what < MT_PENDING_INPLACE) {
        if (pending->what == MT_PENDING_STORE)
            write_pending_store(thread, frame, pending);
        else if (container_lives(pending, frame))
            write_mutation(thread, frame, pending, pending->site, NULL, true);
        pop_pending(thread);
    }
    if (thread->hit_frame == frame)
        show_hit(thread, frame);
}

void mt_engine_raised(struct mt_thread *thread, mt_frame *frame)
{
    drop_stale(thread, frame);
    struct mt_pending *pending = top_pending(thread, frame);

    if (!pending)
        return;
    // What a call or operator changed before it failed, it changed.
    if (pending->container && container_lives(pending, frame))
        write_mutation(thread, frame, pending, pending->site,
                       pending->has_key ? &pending->key : NULL, true);
    pop_pending(thread);
}

// ---- stores --------------------------------------------------------------------------------------

// What a store site is about to do.
struct store {
    struct mt_target old;
    PyObject *new_object;       // borrowed; NULL: unbinds
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
    return record_rebound;
}

// If this is the partner store of an in-place operator that changed its operand in place:
// write MUTATED. True if the store is dealt with.
static bool settle_inplace(struct mt_thread *thread, mt_frame *frame, struct mt_site *site,
                           const struct store *store)
{
    struct mt_pending *pending = top_pending(thread, frame);

    if (!pending || pending->what != MT_PENDING_INPLACE)
        return false;
    bool partner = pending->plan->sites + pending->site->partner == site;
    bool mutated = partner && pending->container == store->new_object &&
                   store->old.found == MT_FOUND && store->old.object == store->new_object;
    struct mt_snapshot after;
    if (mutated) {
        mt_snapshot_take(pending->container, &after);
        mutated = mt_diff(&pending->before, &after) != MT_UNCHANGED;
    }
    if (mutated)
        write_mutation(thread, frame, pending, site, store->key, false);
    pop_pending(thread);
    return mutated;
}

// If this is the store of a sum of str whose left operand was taken out of the variable:
// complete what the variable held. False: it is not.
static bool settle_concat(struct mt_thread *thread, mt_frame *frame, struct mt_site *site,
                          const struct store *store)
{
    struct mt_pending *pending = top_pending(thread, frame);

    if (!pending || pending->what != MT_PENDING_CONCAT)
        return false;
    bool taken = pending->plan->sites + pending->site->partner == site &&
                 store->old.found == MT_ABSENT && store->new_object;
    // A sum differs from its left operand if it is longer.
    bool equal = taken && PyUnicode_CheckExact(store->new_object) &&
                 PyUnicode_GET_LENGTH(store->new_object) == pending->length;
    if (taken && (!equal || record_rebound)) {
        struct mt_value new_value;
        struct event event = {
            .record = {equal ? MT_REBOUND : MT_MODIFIED, 0, pending->activation,
                       &pending->old_value, capture(store->new_object, site->redacted, &new_value),
                       NULL},
            .plan = pending->plan,
            .site = site,
            .new_object = store->new_object,
        };
        write_event(thread, frame, &event);
    }
    pop_pending(thread);
    return taken;
}

static inline void write_store(struct mt_thread *thread, mt_frame *frame, struct mt_plan *plan,
                               struct mt_site *site, const struct store *store)
{
    enum mt_kind kind;
    struct mt_value old_space, new_space;

    if (__builtin_expect(thread->pending_count != 0, 0) &&
        (settle_inplace(thread, frame, site, store) || settle_concat(thread, frame, site, store)))
        return;
    if (!kind_of(store, &kind))
        return;
    const struct mt_value *old_value = store->old.found == MT_UNREADABLE
                                           ? &unknown
                                           : capture(store->old.object, site->redacted, &old_space);
    const struct mt_value *new_value = capture(store->new_object, site->redacted, &new_space);
    if (store->old.certain) {
        struct event event = {
            .record = {kind, 0, thread->call.activation, old_value, new_value, store->key},
            .plan = plan,
            .site = site,
            .old_object = store->old.object,
            .new_object = store->new_object,
        };
        write_event(thread, frame, &event);
        return;
    }
    struct mt_pending *pending = push_pending(thread, frame, plan, site, MT_PENDING_STORE);
    if (!pending)
        return;
    pending->kind = kind;
    pending->old_value = *old_value;
    pending->new_value = *new_value;
    pending->has_key = store->key != NULL;
    if (store->key)
        pending->key = *store->key;
}

static struct mt_target bound_or_not(PyObject *object)
{
    return (struct mt_target){object ? MT_FOUND : MT_ABSENT, object, true};
}

static void store_fast(struct mt_thread *thread, mt_frame *frame, struct mt_plan *plan,
                       struct mt_site *site)
{
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
        .old = bound_or_not(PyCell_GET(cell)),
        .new_object = site->op == MT_SITE_STORE_DEREF ? mt_frame_operand(frame, site->depth, 0)
                                                      : NULL,
    };
    write_store(thread, frame, plan, site, &store);
}

static void store_name(struct mt_thread *thread, mt_frame *frame, struct mt_plan *plan,
                       struct mt_site *site)
{
    bool global = site->op == MT_SITE_STORE_GLOBAL || site->op == MT_SITE_DELETE_GLOBAL;
    bool stores = site->op == MT_SITE_STORE_GLOBAL || site->op == MT_SITE_STORE_NAME;
    PyObject *namespace = global ? mt_frame_globals(frame) : mt_frame_namespace(frame);
    struct store store = {.new_object = stores ? mt_frame_operand(frame, site->depth, 0) : NULL};

    if (!namespace)
        return;
    mt_lookup_name(namespace, site->name_object, &store.old);
    write_store(thread, frame, plan, site, &store);
}

static void store_attribute(struct mt_thread *thread, mt_frame *frame, struct mt_plan *plan,
                            struct mt_site *site)
{
    struct store store = {
        .new_object = site->op == MT_SITE_STORE_ATTR ? mt_frame_operand(frame, site->depth, 1)
                                                     : NULL,
    };

    mt_lookup_attribute(mt_frame_operand(frame, site->depth, 0), site->name_object, &store.old);
    write_store(thread, frame, plan, site, &store);
}

// A slice store or delete in an exact list or bytearray: a mutation of the variable that
// holds the container. False: it is not one of those.
static bool begin_slice(struct mt_thread *thread, mt_frame *frame, struct mt_plan *plan,
                        struct mt_site *site, PyObject *container)
{
    if (!PyList_CheckExact(container) && !PyByteArray_CheckExact(container))
        return false;
    if (record_mutations && site->partner >= 0)
        watch_mutation(thread, frame, plan, &plan->sites[site->partner], MT_PENDING_MUTATION,
                       container);
    return true;
}

// Like mt_engine_store_scalar, for an item of a list.
static inline bool store_item_scalar(struct mt_thread *thread, mt_frame *frame,
                                     const struct mt_site *site, PyObject *key, PyObject *container)
{
    struct mt_scalar index, old_value, new_value;

    if (site->plain != MT_PLAIN_ITEM || !site->def_id || thread->pending_count ||
        !PyList_CheckExact(container) || !mt_value_scalar(key, &index) || index.tag != MT_TAG_INT32)
        return false;
    Py_ssize_t position = (int32_t)index.bits, size = PyList_GET_SIZE(container);
    if (position < 0)
        position += size;
    if (position < 0 || position >= size ||
        !mt_value_scalar(PyList_GET_ITEM(container, position), &old_value) ||
        !mt_value_scalar(mt_frame_operand(frame, site->depth, 2), &new_value))
        return false;
    if (mt_value_scalars_equal(old_value, new_value))
        return true;
    return mt_ring_append_scalars(&thread->ring, MT_MODIFIED, site->def_id, thread->call.activation,
                                  index, old_value, new_value) != 0;
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
    mt_lookup_item(container, key, &store.old);
    struct mt_value key_space;
    store.key = mt_value_capture_key(key, &key_space) ? &key_space : NULL;
    // flags[4] is redacted by its container's name, d['password'] by its key.
    bool hide = store.key && PyUnicode_CheckExact(key) && PyUnicode_IS_COMPACT_ASCII(key) &&
                mt_value_is_redacted((const char *)PyUnicode_1BYTE_DATA(key),
                                     (size_t)PyUnicode_GET_LENGTH(key));
    if (__builtin_expect(hide && !site->redacted, 0)) {
        site->redacted = true;
        write_store(thread, frame, plan, site, &store);
        site->redacted = false;
        return;
    }
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
    case MT_SITE_STORE_DEREF: return named_object(frame, site);
    case MT_SITE_STORE_NAME:
        if (!mt_frame_namespace(frame))
            return NULL;
        mt_lookup_name(mt_frame_namespace(frame), site->name_object, &target);
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
    struct mt_pending *pending = push_pending(thread, frame, plan, site, MT_PENDING_CONCAT);
    if (!pending)
        return;
    pending->length = PyUnicode_GET_LENGTH(left);
    if (variable->redacted)
        pending->old_value = redacted;
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
    if (!record_mutations || !mt_snapshot_takes(left))
        return;
    // For `rows[i] += …` container and key lie below the operands.
    bool in_item = site->partner >= 0 && plan->sites[site->partner].op == MT_SITE_STORE_ITEM;
    PyObject *key = in_item ? mt_frame_operand(frame, site->depth, 2) : NULL;
    // The left operand of `xs[part] += …` is a copy.
    if (key && PySlice_Check(key))
        return;
    struct mt_pending *pending =
        watch_mutation(thread, frame, plan, site, MT_PENDING_INPLACE, left);
    if (pending && key)
        pending->has_key = mt_value_capture_key(key, &pending->key);
}

static void begin_call(struct mt_thread *thread, mt_frame *frame, struct mt_plan *plan,
                       struct mt_site *site)
{
    if (!record_mutations)
        return;
    PyObject *self = mt_frame_operand(frame, site->depth, site->depth_self);
    if (site->self_is_bound)
        self = self && PyCFunction_Check(self) ? PyCFunction_GET_SELF(self) : NULL;
    const char *method = PyUnicode_AsUTF8(site->name_object);
    if (self && method && mt_snapshot_takes(self) && mt_snapshot_method_of(self, method))
        watch_mutation(thread, frame, plan, site, MT_PENDING_MUTATION, self);
}

void mt_engine_site(struct mt_thread *thread, mt_frame *frame, struct mt_plan *plan,
                    struct mt_site *site)
{
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

// ---- calls ---------------------------------------------------------------------------------------

static inline void set_call(struct mt_thread *thread, mt_frame *frame, struct mt_plan *plan,
                            uint32_t activation)
{
    thread->call = (struct mt_call){frame, plan, activation};
    thread->quick_frame = NULL;
    if (plan && !plan->is_wide) {
        thread->quick_frame = frame;
        thread->site_at = plan->site_at;
        thread->site_units = plan->unit_count;
        thread->code_start = mt_code_start(plan->code);
    }
}

// The innermost call known of this frame, or NULL.
static struct mt_call *find_call(struct mt_thread *thread, const mt_frame *frame)
{
    for (uint32_t i = thread->call_count; i > 0; i--) {
        if (thread->calls[i - 1].frame == frame)
            return &thread->calls[i - 1];
    }
    return NULL;
}

struct mt_plan *mt_engine_enter(struct mt_thread *thread, mt_frame *frame)
{
    PyCodeObject *code = mt_frame_code(frame);
    struct mt_plan *plan = code ? mt_engine_plan(code) : NULL;
    struct mt_call *call = plan ? find_call(thread, frame) : NULL;
    uint32_t activation = 0;

    if (call && call->plan == plan)
        activation = call->activation;
    else if (plan && !(activation = mt_activation_find(frame)))
        activation = mt_activation_begin(frame);
    set_call(thread, frame, plan, activation);
    return plan;
}

// Like mt_engine_store_scalar, for an argument.
static inline bool write_argument_scalar(struct mt_thread *thread, mt_frame *frame,
                                         const struct mt_argument *argument)
{
    struct mt_scalar value;

    return argument->plain && argument->def_id &&
           mt_value_scalar(mt_frame_slot(frame, argument->slot), &value) &&
           value.tag != MT_TAG_ABSENT &&
           mt_ring_append_scalars(&thread->ring, MT_NEW, argument->def_id, thread->call.activation,
                                  nothing, nothing, value) != 0;
}

static void write_argument(struct mt_thread *thread, mt_frame *frame, struct mt_plan *plan,
                           struct mt_argument *argument)
{
    struct mt_value space;
    PyObject *object = mt_frame_slot(frame, argument->slot);

    if (object && argument->is_cell && PyCell_Check(object))
        object = PyCell_GET(object);
    if (!object)
        return;
    struct event event = {
        .record =
            {
                .kind = MT_NEW,
                .activation = thread->call.activation,
                .old_value = &absent,
                .new_value = capture(object, argument->redacted, &space),
            },
        .plan = plan,
        .argument = argument,
        .new_object = object,
        .done = true,
    };
    write_event(thread, frame, &event);
}

void mt_engine_call(struct mt_thread *thread, mt_frame *frame, struct mt_plan *plan, bool begins,
                    bool returns)
{
    bool on_stack = returns && thread->call_count < MT_CALLS_MAX;
    uint32_t activation = begins ? 0 : mt_activation_find(frame);

    // A function's call that will be seen to return needs no entry in the table.
    if (!activation)
        activation = on_stack && !plan->is_generator ? mt_activation_next()
                                                     : mt_activation_begin(frame);
    set_call(thread, frame, plan, activation);
    if (on_stack)
        thread->calls[thread->call_count++] = thread->call;
    if (!begins)
        return;
    for (uint32_t i = 0; i < plan->argument_count; i++) {
        if (!write_argument_scalar(thread, frame, &plan->arguments[i]))
            write_argument(thread, frame, plan, &plan->arguments[i]);
    }
}

// Take the call of this frame off the stack, with what lies above it because its return was
// not seen. False: it is not there.
static bool pop_call(struct mt_thread *thread, const mt_frame *frame)
{
    struct mt_call *call = find_call(thread, frame);

    if (!call)
        return false;
    thread->call_count = (uint32_t)(call - thread->calls);
    return true;
}

void mt_engine_return(struct mt_thread *thread, mt_frame *frame, bool suspended)
{
    if (mt_engine_unsettled(thread, frame))
        mt_engine_settle(thread, frame);
    if (thread->unsettled) {
        drop_stale(thread, frame);
        while (top_pending(thread, frame))
            pop_pending(thread);
    }
    struct mt_plan *plan = thread->call.frame == frame ? thread->call.plan : NULL;
    bool popped = pop_call(thread, frame);
    if (!suspended && !(popped && plan && !plan->is_generator))
        mt_activation_end(frame);
    // The caller, if it is traced, is the likeliest to come next.
    struct mt_call *caller = thread->call_count ? &thread->calls[thread->call_count - 1] : NULL;
    if (caller && caller->plan && caller->plan->generation == generation)
        set_call(thread, caller->frame, caller->plan, caller->activation);
    else
        set_call(thread, NULL, NULL, 0);
}
