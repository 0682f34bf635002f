/* A program that has Python inside: runs a script, as a host program does, not by way of
 * Py_RunMain().
 *
 *     embeds main SCRIPT [ARGUMENT…]      in the main thread
 *     embeds thread SCRIPT [ARGUMENT…]    in a thread that the program makes
 *     embeds subinterpreter SCRIPT […]    in a subinterpreter, as mod_wsgi does
 *
 * With -DLATE Python is no part of the program: it loads the library named by $LIBPYTHON, like a
 * plugin, and finds everything by dlsym(). And another one, $OTHER_LIBPYTHON, that is not used. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef LATE
#include <dlfcn.h>

typedef void PyThreadState;

static void *library;

static void *find(const char *name)
{
    void *address = dlsym(library, name);

    if (!address) {
        fprintf(stderr, "no %s\n", name);
        exit(2);
    }
    return address;
}

#define Py_InitializeEx(signals) ((void (*)(int))find("Py_InitializeEx"))(signals)
#define Py_FinalizeEx() ((int (*)(void))find("Py_FinalizeEx"))()
#define PyRun_SimpleString(text) \
    ((int (*)(const char *, void *))find("PyRun_SimpleStringFlags"))(text, NULL)
#define PyGILState_Ensure() ((int (*)(void))find("PyGILState_Ensure"))()
#define PyGILState_Release(state) ((void (*)(int))find("PyGILState_Release"))(state)
#define PyEval_SaveThread() ((PyThreadState * (*)(void)) find("PyEval_SaveThread"))()
#define PyEval_RestoreThread(state) ((void (*)(PyThreadState *))find("PyEval_RestoreThread"))(state)
#define Py_NewInterpreter() ((PyThreadState * (*)(void)) find("Py_NewInterpreter"))()
#define Py_EndInterpreter(state) ((void (*)(PyThreadState *))find("Py_EndInterpreter"))(state)
#define PyThreadState_Get() ((PyThreadState * (*)(void)) find("PyThreadState_Get"))()
#define PyThreadState_Swap(state) \
    ((PyThreadState * (*)(PyThreadState *)) find("PyThreadState_Swap"))(state)
typedef int PyGILState_STATE;
#else
#include <Python.h>
#endif

static char **arguments;
static int failed;

// argv and the script, as text of Python.
static void run_script(void)
{
    char text[8192] = "import sys\nsys.argv = [";
    size_t used = strlen(text);

    for (char **argument = arguments; *argument; argument++)
        used += (size_t)snprintf(text + used, sizeof text - used, "r'%s', ", *argument);
    snprintf(text + used, sizeof text - used,
             "]\nexec(compile(open(sys.argv[0]).read(), sys.argv[0], 'exec'))\n");
    failed = PyRun_SimpleString(text) != 0;
}

static void *run_in_thread(void *unused)
{
    PyGILState_STATE state = PyGILState_Ensure();

    run_script();
    PyGILState_Release(state);
    return unused;
}

static void run_by_thread(void)
{
    PyThreadState *state = PyEval_SaveThread();
    pthread_t thread;

    pthread_create(&thread, NULL, run_in_thread, NULL);
    pthread_join(thread, NULL);
    PyEval_RestoreThread(state);
}

static void run_in_subinterpreter(void)
{
    PyThreadState *before = PyThreadState_Get();
    PyThreadState *inside = Py_NewInterpreter();

    run_script();
    Py_EndInterpreter(inside);
    PyThreadState_Swap(before);
}

int main(int count, char **argv)
{
    const char *how = count > 2 ? argv[1] : "";

#ifdef LATE
    library = dlopen(getenv("LIBPYTHON"), RTLD_NOW | RTLD_GLOBAL);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        return 2;
    }
    if (getenv("OTHER_LIBPYTHON") && !dlopen(getenv("OTHER_LIBPYTHON"), RTLD_NOW | RTLD_LOCAL))
        return 2;
#endif
    arguments = argv + 2;
    Py_InitializeEx(0);
    if (!strcmp(how, "main")) {
        run_script();
    } else if (!strcmp(how, "thread")) {
        run_by_thread();
    } else if (!strcmp(how, "subinterpreter")) {
        run_in_subinterpreter();
    } else {
        fprintf(stderr, "usage: embeds main|thread|subinterpreter SCRIPT [ARGUMENT...]\n");
        return 2;
    }
    if (Py_FinalizeEx() < 0)
        failed = 1;
    return failed;
}
