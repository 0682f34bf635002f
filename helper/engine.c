/* See engine.h. */

#include "engine.h"

#include "activation.h"
#include "emit.h"
#include "filter.h"
#include "guard.h"
#include "throttle.h"
#include "watch.h"

bool mt_engine_on;

// What values were captured by, for mt_engine_renew.
static struct mt_value_options value_options;

// ---- configuration -----------------------------------------------------------------------

struct change {
    const struct mt_request *request;
    bool fresh;
};

static void put_in_force(void *argument)
{
    const struct change *change = argument;
    const struct mt_request *request = change->request;

    mt_filter_configure(request);
    mt_verdict_configure(request->plan_bytes);
    mt_throttle_configure(request->max_overhead);
    value_options = (struct mt_value_options){request->value_size, request->redact};
    mt_value_configure(&value_options);
    mt_verdict.all = request->record;
    mt_verdict.rebound = request->rebound;
    mt_verdict.mutations = request->mutations;
    if (change->fresh)
        mt_activation_reset();
    mt_verdict_expire();
}

enum mt_status mt_engine_configure(const struct mt_request *request, bool fresh)
{
    if (MT_FREE_THREADED && request->max_overhead)
        return mt_status_set(MT_REFUSED, "max-overhead can't be kept in a CPython without the "
                                         "GIL: set memtrace max-overhead off");
    enum mt_status status = mt_verdict_init();

    if (status == MT_OK)
        status = mt_watch_configure(request);
    if (status != MT_OK)
        return status;
    mt_guard_alone(put_in_force, &(struct change){request, fresh});
    return MT_OK;
}

void mt_engine_renew(void)
{
    mt_value_configure(&value_options); // forgets the ids of type names
    mt_activation_reset();
    mt_verdict_renew();
}

static void stop(void *unused)
{
    (void)unused;
    mt_engine_on = false;
    mt_thread_close_all();
}

void mt_engine_stop(void)
{
    mt_guard_alone(stop, NULL);
    mt_watch_clear();
    mt_control->breakpoints_armed = 0;
}

// ---- calls --------------------------------------------------------------------------------------

static inline void set_call(struct mt_thread *thread, mt_frame *frame, struct mt_plan *plan,
                            uint32_t activation)
{
    thread->call = (struct mt_call){frame, plan, activation};
    thread->call_code = plan ? plan->code : NULL;
#if MT_FREE_THREADED
    thread->plans_died = __atomic_load_n(&mt_plans_died, __ATOMIC_RELAXED);
#endif
    mt_thread_quicken(thread);
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
    struct mt_plan *plan = code ? mt_verdict_plan(code) : NULL;
    struct mt_call *call = plan ? find_call(thread, frame) : NULL;
    uint32_t activation = 0;

    if (call && call->plan == plan)
        activation = call->activation;
    else if (plan && !(activation = mt_activation_find(frame)))
        activation = mt_activation_begin(frame);
    set_call(thread, frame, plan, activation);
    return plan;
}

// Like store_scalar() of store.c, for an argument.
static inline bool write_argument_scalar(struct mt_thread *thread, mt_frame *frame,
                                         const struct mt_argument *argument)
{
    struct mt_scalar value;
    // Acquire pairs with plan_defs.c.
    uint32_t def_id = __atomic_load_n(&argument->def_id, __ATOMIC_ACQUIRE);

    return argument->plain && def_id &&
           mt_value_scalar(mt_frame_slot(frame, argument->slot), &value) &&
           value.tag != MT_TAG_ABSENT &&
           mt_ring_append_scalars(&thread->ring, mt_clock_ns(), MT_NEW, def_id,
                                  thread->call.activation, mt_scalar_none, mt_scalar_none, value);
}

static void write_argument(struct mt_thread *thread, mt_frame *frame, struct mt_plan *plan,
                           struct mt_argument *argument)
{
    struct mt_value space;
    PyObject *object = mt_frame_slot(frame, argument->slot);

    // Of a call that has just begun: nobody else has the cell yet.
    if (object && argument->is_cell && PyCell_Check(object))
        object = PyCell_GET(object);
    if (!object)
        return;
    struct mt_emission event = {
        .record =
            {
                .kind = MT_NEW,
                .activation = thread->call.activation,
                .old_value = &mt_value_absent,
                .new_value = mt_emit_capture(object, argument->redacted, &space),
            },
        .plan = plan,
        .argument = argument,
        .new_object = object,
        .done = true,
    };
    mt_emit(thread, frame, &event);
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
    if (!begins || (plan->thin && mt_throttle_skips(plan->thin)))
        return;
    for (uint32_t i = 0; i < plan->argument_count; i++) {
        if (!plan->arguments[i].muted && !write_argument_scalar(thread, frame, &plan->arguments[i]))
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
    if (thread->unsettled)
        mt_pending_end(thread, frame);
    struct mt_plan *plan = thread->call.frame == frame ? thread->call.plan : NULL;
    bool popped = pop_call(thread, frame);
    if (!suspended && !(popped && plan && !plan->is_generator))
        mt_activation_end(frame);
    // The caller, if it is traced, is the likeliest to come next.
    struct mt_call *caller = thread->call_count ? &thread->calls[thread->call_count - 1] : NULL;
    if (caller && caller->plan && caller->plan->generation == mt_verdict.generation)
        set_call(thread, caller->frame, caller->plan, caller->activation);
    else
        set_call(thread, NULL, NULL, 0);
}

uint32_t mt_engine_interrupt(struct mt_thread *thread)
{
    uint32_t cut = thread->call_count;

    while (thread->pending_count)
        mt_pending_pop(thread);
    thread->call_count = 0;
    thread->hit_frame = NULL;
    thread->unsettled = false;
    set_call(thread, NULL, NULL, 0);
    return cut;
}
