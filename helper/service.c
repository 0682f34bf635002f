/* See service.h. One request at a time: gdb writes the next one only when done_number has
 * caught up. Needs the GIL (but for mt_service_describe and mt_service_forked). */

#include "service.h"

#include <Python.h>
#include <stdio.h>
#include <string.h>
#include "defs.h"
#include "driver.h"
#include "emit.h"
#include "engine.h"
#include "frame.h"
#include "layout.h"
#include "request.h"
#include "ring.h"
#include "status.h"

// The request in force: engine, filter and breakpoints borrow its texts.
static struct mt_request in_force;

void mt_service_describe(void)
{
    mt_interpreter_describe(mt_control);
    mt_layout_fill(&mt_control->layout);
}

static void describe_options(const char *request)
{
    size_t size = strnlen(request, sizeof mt_control->options - 1);

    memcpy(mt_control->options, request, size);
    mt_control->options[size] = '\0';
}

// Put a request in force; the one before stays in force when this fails.
static enum mt_status apply(struct mt_request *request, bool fresh)
{
    enum mt_status status = mt_engine_configure(request, fresh);

    if (status != MT_OK) {
        mt_request_deinit(request);
        return status;
    }
    mt_request_deinit(&in_force);
    in_force = *request;
    return MT_OK;
}

static enum mt_status install(struct mt_request *request)
{
    bool fresh = !mt_engine_on;
    uint32_t threads = 0;
    enum mt_status status = apply(request, fresh);

    if (status != MT_OK)
        return status;
    // With the GIL, all that appends is a callback of the interpreter's, or a pending call, on a
    // thread that holds the main one's: interpreters with a GIL of their own (3.12, PEP 684) get no
    // hooks, because plans and definitions rely on that GIL, too (interpreter.h).
    mt_ring_serialised = !MT_FREE_THREADED;
    if (!mt_engine_on) // the callbacks that look at it are not there yet
        mt_engine_on = true;
    status = mt_driver_install(&threads);
    if (status != MT_OK && fresh) {
        mt_engine_stop();
        return status;
    }
    mt_control->thread_count = threads;
    __atomic_store_n(&mt_control->state, MT_STATE_ON, __ATOMIC_RELEASE);
    return status;
}

static enum mt_status change(struct mt_request *request)
{
    if (!mt_engine_on) {
        mt_request_deinit(request);
        return mt_status_set(MT_REFUSED, "not recording: memtrace on");
    }
    enum mt_status status = apply(request, false);
    if (status == MT_OK)
        mt_driver_refresh();
    return status;
}

static enum mt_status remove_hooks(struct mt_request *request)
{
    mt_request_deinit(request);
    if (mt_engine_on) {
        mt_driver_remove();
        mt_engine_stop();
    }
    __atomic_store_n(&mt_control->state, MT_STATE_OFF, __ATOMIC_RELEASE);
    return MT_OK;
}

static enum mt_status dispatch(const char *text)
{
    struct mt_request request;
    enum mt_status status = mt_interpreter_ready();

    if (status == MT_OK)
        status = mt_request_parse(text, &request);
    if (status != MT_OK)
        return status;
    switch (request.verb) {
    case MT_VERB_INSTALL: status = install(&request); break;
    case MT_VERB_CHANGE: status = change(&request); break;
    case MT_VERB_REMOVE: return remove_hooks(&request);
    }
    if (status == MT_OK)
        describe_options(text);
    return status;
}

enum mt_status mt_service_carry_out(void)
{
    // Pairs with gdb's writing the text before the number.
    uint32_t number = __atomic_load_n(&mt_control->request_number, __ATOMIC_ACQUIRE);

    if (number == mt_control->done_number)
        return MT_OK; // nothing new
    mt_control->detail[0] = '\0';
    enum mt_status status = dispatch(mt_control->request);
    mt_control->status = status;
    if (!mt_engine_on && mt_control->state == MT_STATE_ARMED)
        __atomic_store_n(&mt_control->state, MT_STATE_OFF, __ATOMIC_RELEASE); // it was refused
    // Pairs with the plugin's reading done_number before status and detail.
    __atomic_store_n(&mt_control->done_number, number, __ATOMIC_RELEASE);
    return status;
}

// The child's own recording, under the options in force.
static void follow_fork(uint64_t buffer_bytes, const char *options)
{
    if (mt_buffer_create(buffer_bytes, &mt_control) != MT_OK)
        return;
    mt_status_init(mt_control->detail);
    describe_options(options);
    mt_service_describe();
    mt_control->thread_count = 1;
    mt_engine_renew();
    mt_driver_renew();
    mt_engine_on = true;
    __atomic_store_n(&mt_control->state, MT_STATE_ON, __ATOMIC_RELEASE);
}

void mt_service_forked(void)
{
    char options[sizeof mt_control->options];

    if (!mt_control)
        return;
    bool follow = mt_engine_on && in_force.follow_fork && PyGILState_Check();
    uint64_t buffer_bytes = mt_control->buffer_bytes;
    memcpy(options, mt_control->options, sizeof options);
    mt_engine_on = false;
    mt_buffer_abandon();
    mt_thread_abandon();
    mt_emit_forked();
    mt_defs_reset();
    if (follow)
        follow_fork(buffer_bytes, options);
}
