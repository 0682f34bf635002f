/* Loaded with LD_PRELOAD into the interpreters that the regression tests start: switches
 * recording on as `memtrace on` does at a script's first line, without gdb, and in whatever
 * interpreter the tests start in their turn.
 *
 * Environment (that of the process, so a child with an environment of its own is left alone):
 *
 *     MEMTRACE_REGRESS_HELPER   the helper to load; unset: nothing is done
 *     MEMTRACE_REGRESS_REQUEST  the install request (helper/memtrace.h, "The request")
 *     MEMTRACE_REGRESS_STRESS   microseconds between requests of a thread that switches recording
 *                               off, on, and between options for as long as the process lives
 *
 * The way in is an audit hook, which CPython lets one add before it is initialised: it is called
 * with the GIL when the interpreter begins to run the script, module or command. The hook is
 * there without a helper too, so that a run without recording differs in nothing else.
 *
 * Knows nothing of Python.h: one library serves every CPython. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "memtrace.h"

typedef int (*audit_hook)(const char *event, void *arguments, void *unused);

// Of the helper, once it is loaded; NULL before. Written once, under the GIL.
static struct mt_control *control;
static int (*serve)(void), (*serve_here)(void);
static useconds_t stress_pause; // 0: no stress

enum { BUFFER_BYTES = 16 * 1024 * 1024, REQUEST_WAIT_US = 1000 * 1000 };

/* For child.py. Events recorded so far by this process: 0 without recording. */
MT_PUBLIC uint64_t memtrace_regress_events(void);

/* Install once more, on the calling thread, which holds the GIL: a test may have taken its
 * thread's trace function away (sys.settrace(None), up to 3.11). */
MT_PUBLIC void memtrace_regress_again(void);

/* Losses by reason, as JSON, into `text` of `size` bytes. */
MT_PUBLIC void memtrace_regress_losses(char *text, size_t size);

uint64_t memtrace_regress_events(void)
{
    return control ? __atomic_load_n(&control->next_seq, __ATOMIC_RELAXED) - 1 : 0;
}

void memtrace_regress_losses(char *text, size_t size)
{
    static const struct mt_control empty;
    const struct mt_control *from = control ? control : &empty;

    snprintf(text, size,
             "{\"no_packet\": %llu, \"pending\": %llu, \"definitions\": %llu, "
             "\"foreign_tracer\": %llu, \"activations\": %llu, \"plans\": %llu}",
             (unsigned long long)from->lost_no_packet, (unsigned long long)from->lost_pending,
             (unsigned long long)from->lost_definitions,
             (unsigned long long)from->lost_foreign_tracer,
             (unsigned long long)from->lost_activations, (unsigned long long)from->lost_plans);
}

static void write_request(const char *text)
{
    snprintf(control->request, sizeof control->request, "%s", text);
    // Pairs with the service's acquiring load.
    __atomic_store_n(&control->request_number, control->done_number + 1, __ATOMIC_RELEASE);
}

void memtrace_regress_again(void)
{
    const char *request = getenv("MEMTRACE_REGRESS_REQUEST");

    if (!control || !request || stress_pause)
        return;
    write_request(request);
    serve_here();
}

// ---- stress --------------------------------------------------------------------------------

// False: not within the time. The interpreter may be gone.
static int request_done(void)
{
    for (int waited = 0; waited < REQUEST_WAIT_US; waited += 100) {
        if (__atomic_load_n(&control->done_number, __ATOMIC_ACQUIRE) == control->request_number)
            return 1;
        usleep(100);
    }
    return 0;
}

static void *stress(void *unused)
{
    static const char *const requests[] = {
        "verb=change\nall=1\nrebound=1\nvalue-size=512\n",
        "verb=remove\n",
        "verb=install\nall=1\nmutations=0\n",
        "verb=change\nonly=*test_*\nbreak=1\nbreak-target=self\nbreak-if=new == 'never'\n",
        "verb=change\nrecord=0\nbreak=1\nbreak-target=x\nbreak-if=new is 'never'\n",
        "verb=remove\n",
        "verb=install\nonly=no such thing\n",
        "verb=change\nall=1\n",
    };

    (void)unused;
    for (size_t i = 0;; i = (i + 1) % (sizeof requests / sizeof requests[0])) {
        usleep(stress_pause);
        if (!request_done())
            continue;
        write_request(requests[i]);
        serve();
    }
    return NULL;
}

static void begin_stress(void)
{
    const char *text = getenv("MEMTRACE_REGRESS_STRESS");
    sigset_t all, before;
    pthread_t thread;

    if (!text)
        return;
    stress_pause = (useconds_t)strtoul(text, NULL, 10);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_create(&thread, NULL, stress, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

// ---- the way in ------------------------------------------------------------------------------

// "memtrace ABI 1 cpython-311-x86_64-linux-gnu 3.11.2" is for "3.11.7 (main, …) [GCC 12.2.0]":
// same minor version.
static int helper_fits(const char *build)
{
    const char *(*version)(void) = (const char *(*)(void))dlsym(RTLD_DEFAULT, "Py_GetVersion");
    const char *built_for = strrchr(build, ' ');
    const char *dot = version ? strchr(version(), '.') : NULL;
    const char *dot_after = dot ? strchr(dot + 1, '.') : NULL;

    return built_for && dot_after &&
           strncmp(built_for + 1, version(), (size_t)(dot_after + 1 - version())) == 0;
}

static void begin_recording(const char *path, const char *request)
{
    void *helper = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const char *build = helper ? dlsym(helper, "memtrace_build") : NULL;

    if (!build || !helper_fits(build))
        return;
    struct mt_control *(*open_buffer)(uint64_t) = (struct mt_control * (*)(uint64_t))
        dlsym(helper, "memtrace_open");
    serve_here = (int (*)(void))dlsym(helper, "memtrace_serve_here");
    serve = (int (*)(void))dlsym(helper, "memtrace_serve");
    control = open_buffer(BUFFER_BYTES);
    if (!control)
        return;
    write_request(request);
    serve_here();
    begin_stress();
}

static int on_audit(const char *event, void *arguments, void *unused)
{
    static const char running[] = "cpython.run_";
    static int begun;

    (void)arguments, (void)unused;
    if (begun || strncmp(event, running, sizeof running - 1) != 0)
        return 0;
    begun = 1;
    const char *helper = getenv("MEMTRACE_REGRESS_HELPER");
    const char *request = getenv("MEMTRACE_REGRESS_REQUEST");
    int saved_errno = errno;
    if (helper && request)
        begin_recording(helper, request);
    errno = saved_errno;
    return 0;
}

__attribute__((constructor)) static void begin(void)
{
    int (*add_hook)(audit_hook, void *) =
        (int (*)(audit_hook, void *))dlsym(RTLD_DEFAULT, "PySys_AddAuditHook");

    if (add_hook) // else it is no Python
        add_hook(on_audit, NULL);
}
