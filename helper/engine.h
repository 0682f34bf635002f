/* The engine: a store site is about to run → capture → breakpoints → ring.
 *
 * Drivers call in here, with the GIL, on the thread that runs the frame; nothing here knows how
 * they found out. This part has the switch and the calls of functions; a driver uses, beside it,
 * verdict.h (is this code traced?), store.h (a site) and pending.h (what came of it). Runs no
 * Python code of the program and keeps no reference to its objects (but see "A reference, once"
 * in pending.c). Leaves the exception state and errno as they are. */
#ifndef MT_ENGINE_H
#define MT_ENGINE_H

#include <Python.h>
#include <stdbool.h>
#include "pending.h"
#include "request.h"
#include "store.h"
#include "thread.h"
#include "verdict.h"

/* Options of the request from now on (texts borrowed until the next call): every code object
 * is judged anew. `fresh`: a recording begins, number activations from 1. */
enum mt_status mt_engine_configure(const struct mt_request *request, bool fresh);

/* The buffer is a new one: definitions are written again, activations numbered from 1. */
void mt_engine_renew(void);

/* Recording is on: false from mt_engine_stop() on, and in a forked child. */
extern bool mt_engine_on;

/* Stop: rings are closed, breakpoints forgotten. */
void mt_engine_stop(void);

/* A call begins, or a suspended one resumes (`begins` false). `returns`: the driver will tell of
 * its return too. */
void mt_engine_call(struct mt_thread *thread, mt_frame *frame, struct mt_plan *plan, bool begins,
                    bool returns);

/* The plan of a frame that an event came from, with thread->call set to match. NULL:
 * not traced. */
struct mt_plan *mt_engine_enter(struct mt_thread *thread, mt_frame *frame);

/* Another tool had the thread: how its calls and stores went on was not seen. Forget them all;
 * the number of calls that this cuts in two. */
uint32_t mt_engine_interrupt(struct mt_thread *thread);

/* The call returns, is unwound, or (`suspended`) yields. */
void mt_engine_return(struct mt_thread *thread, mt_frame *frame, bool suspended);

#endif
