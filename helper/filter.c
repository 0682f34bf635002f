/* See filter.h. */

#include "filter.h"

#include <fnmatch.h>
#include <string.h>
#include "frame.h"

// The globs in force, borrowed from the request that service.c keeps.
static const char *only_globs = "", *skip_globs = "", *skip_variable_globs = "";
static bool trace_all;

// Directories of the standard library, "" where unknown. Two, because a build can split its
// pure and its platform part.
static char library_dirs[2][1024];

// A str entry of sys as UTF-8, or NULL.
static const char *sys_text(const char *name)
{
    PyObject *object = PySys_GetObject(name); // borrowed

    if (!object || !PyUnicode_CheckExact(object))
        return NULL;
    const char *text = PyUnicode_AsUTF8(object);
    if (!text)
        PyErr_Clear();
    return text;
}

static void find_library(void)
{
    static const char *const prefixes[] = {"base_prefix", "base_exec_prefix"};
    // sys.platlibdir: "lib", or "lib64" on some distributions (3.9, bpo-1294959).
    const char *lib = sys_text("platlibdir");

    for (int i = 0; i < 2; i++) {
        const char *prefix = sys_text(prefixes[i]);
        library_dirs[i][0] = '\0';
        if (prefix && strlen(prefix) + 64 < sizeof library_dirs[i])
            snprintf(library_dirs[i], sizeof library_dirs[i], "%s/%s/python%d.%d%s", prefix,
                     i && lib ? lib : "lib", PY_MAJOR_VERSION, PY_MINOR_VERSION,
                     MT_FREE_THREADED ? "t" : "");
    }
}

void mt_filter_configure(const struct mt_request *request)
{
    only_globs = request->only;
    skip_globs = request->skip;
    skip_variable_globs = request->skip_var;
    trace_all = request->all;
    find_library();
}

static bool starts_with_dir(const char *file, const char *dir)
{
    size_t size = strlen(dir);

    return size && !strncmp(file, dir, size) && file[size] == '/';
}

static bool is_library(const char *file)
{
    return strncmp(file, "<frozen", 7) == 0 || strstr(file, "/site-packages/") ||
           strstr(file, "/dist-packages/") || starts_with_dir(file, library_dirs[0]) ||
           starts_with_dir(file, library_dirs[1]);
}

bool mt_filter_glob(const char *glob, const char *text)
{
    // Most are plain names. fnmatch() makes wide characters of both texts, thousands of
    // instructions for a path, and a breakpoint on a file is looked at with each event.
    return strpbrk(glob, "*?[") ? fnmatch(glob, text, FNM_NOESCAPE) == 0 : strcmp(glob, text) == 0;
}

bool mt_filter_function(const char *glob, const char *qualname)
{
    const char *dot = strrchr(qualname, '.');

    return mt_filter_glob(glob, qualname) || (dot && mt_filter_glob(glob, dot + 1));
}

bool mt_filter_file(const char *glob, const char *file)
{
    const char *slash = strrchr(file, '/');
    const char *base = slash ? slash + 1 : file;
    const char *dot = strrchr(base, '.');
    char module[256];

    if (mt_filter_glob(glob, file) || mt_filter_glob(glob, base))
        return true;
    if (!dot || (size_t)(dot - base) >= sizeof module)
        return false;
    memcpy(module, base, (size_t)(dot - base));
    module[dot - base] = '\0';
    return mt_filter_glob(glob, module);
}

bool mt_filter_skips_variable(const char *name)
{
    for (const char *glob = skip_variable_globs; *glob; glob += strlen(glob) + 1) {
        if (mt_filter_glob(glob, name))
            return true;
    }
    return false;
}

static bool any_matches(const char *globs, const char *file, const char *qualname)
{
    for (const char *glob = globs; *glob; glob += strlen(glob) + 1) {
        if (mt_filter_file(glob, file) || mt_filter_function(glob, qualname))
            return true;
    }
    return false;
}

static const char *file_of(PyCodeObject *code)
{
    const char *file = mt_code_filename(code);

    return file ? file : ""; // lone surrogates: no glob can name it
}

bool mt_filter_rejects(PyCodeObject *code)
{
    const char *qualname = mt_code_qualname(code);

    if (qualname)
        return !mt_filter_traces(code, qualname);
    return !*only_globs && !trace_all && is_library(file_of(code));
}

bool mt_filter_traces(PyCodeObject *code, const char *qualname)
{
    const char *file = file_of(code);

    if (any_matches(skip_globs, file, qualname))
        return false;
    if (*only_globs)
        return any_matches(only_globs, file, qualname);
    return trace_all || !is_library(file);
}
