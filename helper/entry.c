/* The functions that gdb calls in the debuggee, and those it stops in.
 *
 * The contract. gdb calls these in a thread that it stopped at an arbitrary instruction that
 * safety.py judged harmless: outside the allocator and the dynamic loader. So:
 *
 *   memtrace_open       makes system calls and registers a fork handler. No GIL.
 *   memtrace_serve      creates one detached thread with every signal blocked, and returns.
 *                       That thread waits for the GIL for as long as it takes, carries out
 *                       the request, calls memtrace_hook_done(), gives the GIL back and ends:
 *                       no thread of ours stays, since a second thread changes what fork()
 *                       and unshare() do. Taking the GIL on the stopped thread instead would
 *                       deadlock, because its holder may wait for that very thread.
 *                       gdb is told before the GIL is free, so that nothing of Python's runs
 *                       under the request that it doesn't know to be in force: a breakpoint
 *                       that is being set is not hit before it is there. (Without a GIL other
 *                       threads do run on.)
 *   memtrace_serve_here carries out the request on the calling thread, which holds the GIL:
 *                       only where gdb knows that (entry of Py_RunMain, memtrace_hook_hit).
 *
 * Nothing here ever exits, aborts or prints. errno is preserved where the program could see
 * it (gdb restores the registers, not errno). */

#define _GNU_SOURCE
#include <Python.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include "frame.h"
#include "interpreter.h"
#include "memtrace.h"
#include "ring.h"
#include "service.h"
#include "sharing.h"
#include "status.h"

#define TEXT_OF(token) #token
#define TEXT(token) TEXT_OF(token)

MT_PUBLIC const char memtrace_build[] = "memtrace ABI " TEXT(MT_ABI_VERSION) " " MT_SOABI
                                                                             " " PY_VERSION;

static void after_fork_in_child(void)
{
    int saved_errno = errno;

    mt_sharing_unlock();
    mt_service_forked();
    errno = saved_errno;
}

struct mt_control *memtrace_open(uint64_t buffer_bytes)
{
    static bool fork_handled;
    int saved_errno = errno;

    if (mt_control)
        return mt_control;
    if (mt_buffer_create(buffer_bytes, &mt_control) != MT_OK)
        return NULL; // errno says why
    mt_status_init(mt_control->detail);
    mt_service_describe(); // before a request: it tells gdb who holds the GIL
    if (!fork_handled)
        fork_handled = pthread_atfork(mt_sharing_lock, mt_sharing_unlock, after_fork_in_child) == 0;
    errno = saved_errno;
    return mt_control;
}

// Is there memory for a thread state? PyGILState_Ensure() ends the process where there is none.
static enum mt_status look_for_memory(void)
{
    void *memory = PyMem_RawMalloc(2 * sizeof(PyThreadState));

    if (!memory)
        return mt_status_set(MT_NO_MEMORY, "the process has no memory left: nothing was done");
    PyMem_RawFree(memory);
    return MT_OK;
}

static void *serve(void *unused)
{
    enum mt_status status = mt_interpreter_ready();

    (void)unused;
    if (status == MT_OK)
        status = look_for_memory();
    if (status == MT_OK) {
        PyGILState_STATE gil = PyGILState_Ensure();
        mt_service_carry_out();
        memtrace_hook_done();
        PyGILState_Release(gil);
    } else {
        mt_control->status = status;
        __atomic_store_n(&mt_control->done_number, mt_control->request_number, __ATOMIC_RELEASE);
        memtrace_hook_done();
    }
    return NULL;
}

int memtrace_serve(void)
{
    int saved_errno = errno;
    sigset_t all, before;
    pthread_attr_t attributes;
    pthread_t thread;

    if (!mt_control)
        return MT_REFUSED;
    if (mt_control->state == MT_STATE_OFF)
        mt_control->state = MT_STATE_ARMED;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int error = pthread_create(&thread, &attributes, serve, NULL);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = saved_errno;
    if (error)
        return mt_status_set(MT_NO_MEMORY, "no thread could be created: %s", strerror(error));
    return MT_OK;
}

int memtrace_serve_here(void)
{
    int saved_errno = errno;
    int status = MT_REFUSED;

    // A subinterpreter's thread may hold a GIL that is not the main one's (PEP 684).
    if (mt_control && mt_interpreter_has_main_gil())
        status = (int)mt_service_carry_out();

    errno = saved_errno;
    return status;
}

// gdb stops in these: not inlined, not cloned, not empty to the compiler, and each at an address
// of its own, for which each has a text of its own.
#if __has_attribute(noclone)
#define HOOK __attribute__((noinline, noclone, used))
#else
#define HOOK __attribute__((noinline, used))
#endif
#define HOOK_BODY(name) __asm__ volatile("# " name ::: "memory")

HOOK void memtrace_hook_hit(void)
{
    HOOK_BODY("hit");
}

HOOK void memtrace_hook_done(void)
{
    HOOK_BODY("done");
}

HOOK void memtrace_hook_exit(void)
{
    HOOK_BODY("exit");
}

// exit() runs this after the interpreter is gone.
__attribute__((destructor)) static void at_exit(void)
{
    if (!mt_control)
        return;
    mt_control->state = MT_STATE_ENDED;
    memtrace_hook_exit();
}
