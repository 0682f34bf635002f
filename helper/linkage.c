/* See linkage.h. By the relocations of what is loaded: a reference to another library's symbol has
 * one, whether it is bound already or not. */

#define _GNU_SOURCE
#include "linkage.h"

#include "frame.h"

#if MT_CAN_BE_DORMANT

#include <elf.h>
#include <link.h>
#include <string.h>
#include <unistd.h>

// How names begin of those that run a code object, or make a function or a generator of one. (What
// Cython takes from this list to call functions faster could also run other code.)
static const char *const runners[] = {
    "PyEval_EvalCode",
    "PyEval_EvalFrame",
    "_PyEval_EvalFrame",
    "PyFunction_New",
    "PyImport_ExecCodeModule",
    "PyImport_ImportFrozenModule",
    "PyGen_New",
    "PyCoro_New",
    "PyAsyncGen_New",
    // Of a compiled file they raise no event.
    "PyRun_AnyFile",
    "PyRun_SimpleFile",
    "_PyRun_AnyFile",
    "_PyRun_SimpleFile",
};

// The same for what holds addresses: those that can be called with objects alone.
static const void *const runner_addresses[] = {
#define ADDRESS(function) (const void *)(uintptr_t)function
    ADDRESS(PyEval_EvalCode),
    ADDRESS(PyEval_EvalCodeEx),
    ADDRESS(PyEval_EvalFrame),
    ADDRESS(PyEval_EvalFrameEx),
    ADDRESS(PyFunction_New),
    ADDRESS(PyFunction_NewWithQualName),
    ADDRESS(PyImport_ExecCodeModule),
    ADDRESS(PyImport_ExecCodeModuleEx),
    ADDRESS(PyImport_ExecCodeModuleObject),
    ADDRESS(PyImport_ExecCodeModuleWithPathnames),
    ADDRESS(PyImport_ImportFrozenModule),
    ADDRESS(PyImport_ImportFrozenModuleObject),
#undef ADDRESS
};

// Libraries that call functions by any name, without telling.
static const char *const callers[] = {"_cffi_backend."};

// What runs the interpreter's command line.
static const char *const mains[] = {"Py_BytesMain", "Py_Main", "Py_RunMain"};

static bool begins_with_any(const char *text, const char *const *starts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!strncmp(text, starts[i], strlen(starts[i])))
            return true;
    }
    return false;
}

#define BEGINS_WITH_ANY(text, starts) \
    begins_with_any(text, starts, sizeof(starts) / sizeof *(starts))

bool mt_linkage_names_runner(const char *name)
{
    // Most names of a library are not Python's.
    return (name[0] == 'P' || name[0] == '_') && BEGINS_WITH_ANY(name, runners);
}

bool mt_linkage_runs_code(const void *function)
{
    for (size_t i = 0; i < sizeof runner_addresses / sizeof *runner_addresses; i++) {
        if (function == runner_addresses[i])
            return true;
    }
    return false;
}

// ---- one library -----------------------------------------------------------------------------

static bool contains(const struct dl_phdr_info *library, uintptr_t address)
{
    for (int i = 0; i < library->dlpi_phnum; i++) {
        const Elf64_Phdr *segment = &library->dlpi_phdr[i];
        if (segment->p_type == PT_LOAD &&
            address - (library->dlpi_addr + segment->p_vaddr) < segment->p_memsz)
            return true;
    }
    return false;
}

static const Elf64_Dyn *dynamic_section(const struct dl_phdr_info *library)
{
    for (int i = 0; i < library->dlpi_phnum; i++) {
        if (library->dlpi_phdr[i].p_type == PT_DYNAMIC)
            return (const void *)(library->dlpi_addr + library->dlpi_phdr[i].p_vaddr);
    }
    return NULL;
}

struct tables {
    const Elf64_Sym *symbols;
    const char *names;
    // Those of calls, and the others.
    struct relocations {
        const Elf64_Rela *first;
        size_t bytes;
    } relocations[2];
};

// glibc turns offsets into addresses in the section itself; the kernel's own library keeps them.
static const void *table(const struct dl_phdr_info *library, uintptr_t value)
{
    return (const void *)(value < library->dlpi_addr ? library->dlpi_addr + value : value);
}

static struct tables find_tables(const struct dl_phdr_info *library)
{
    struct tables found = {0};
    const Elf64_Dyn *entry = dynamic_section(library);

    for (; entry && entry->d_tag != DT_NULL; entry++) {
        const void *address = table(library, entry->d_un.d_ptr);
        switch (entry->d_tag) {
        case DT_SYMTAB: found.symbols = address; break;
        case DT_STRTAB: found.names = address; break;
        case DT_JMPREL: found.relocations[0].first = address; break;
        case DT_PLTRELSZ: found.relocations[0].bytes = entry->d_un.d_val; break;
        case DT_RELA: found.relocations[1].first = address; break;
        case DT_RELASZ: found.relocations[1].bytes = entry->d_un.d_val; break;
        }
    }
    return found;
}

static bool refers(const struct dl_phdr_info *library, bool (*matches)(const char *name))
{
    struct tables tables = find_tables(library);

    if (!tables.symbols || !tables.names)
        return false;
    for (int i = 0; i < 2; i++) {
        const struct relocations *relocations = &tables.relocations[i];
        size_t count = relocations->first ? relocations->bytes / sizeof *relocations->first : 0;
        for (size_t j = 0; j < count; j++) {
            size_t index = ELF64_R_SYM(relocations->first[j].r_info);
            const Elf64_Sym *symbol = &tables.symbols[index];
            if (index && symbol->st_shndx == SHN_UNDEF && matches(tables.names + symbol->st_name))
                return true;
        }
    }
    return false;
}

// ---- all of them -----------------------------------------------------------------------------

static bool names_main(const char *name)
{
    return BEGINS_WITH_ANY(name, mains);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

// Does the main program do nothing but run the interpreter? Told by its name: what a host program
// does by itself can't be seen where Python is part of it, or loaded by it.
static bool is_python(const struct dl_phdr_info *program, bool has_interpreter)
{
    char path[4096];
    ssize_t size = readlink("/proc/self/exe", path, sizeof path - 1);

    if (size < 0)
        return false;
    path[size] = '\0';
    return !strncmp(base_name(path), "python", 6) &&
           (has_interpreter || refers(program, names_main));
}

struct scan {
    unsigned position; // in the loader's list
    unsigned skip;     // so many were looked at before
    unsigned long long loads, unloads;
    bool known;
};

static int look_at(struct dl_phdr_info *library, size_t size, void *context)
{
    struct scan *scan = context;
    unsigned position = scan->position++;
    bool has_interpreter = contains(library, (uintptr_t)PyEval_SetTrace);

    scan->loads = library->dlpi_adds;
    scan->unloads = library->dlpi_subs;
    if (!scan->known || position < scan->skip)
        return 0;
    if (position == 0)
        scan->known = is_python(library, has_interpreter);
    if (has_interpreter || contains(library, (uintptr_t)mt_linkage_is_known))
        return 0; // refers to itself; or ours
    scan->known &= !refers(library, mt_linkage_names_runner) &&
                   !BEGINS_WITH_ANY(base_name(library->dlpi_name), callers);
    return 0;
}

bool mt_linkage_is_known(void)
{
    static struct scan last; // under the GIL
    struct scan scan = {.skip = last.known ? last.position : 0, .known = true};

    dl_iterate_phdr(look_at, &scan);
    // Where one is taken out of the list, others move up.
    if (scan.skip && scan.unloads != last.unloads) {
        scan = (struct scan){.known = true};
        dl_iterate_phdr(look_at, &scan);
    }
    last = scan;
    return scan.known;
}

#endif
