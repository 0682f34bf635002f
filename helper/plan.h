/* A code object's plan: its store sites, found once.
 *
 * A site is an instruction that changes a variable, or can. The plan says for each where
 * the target's old value and the new value are found, the line, the scope and the target's
 * name as the programmer wrote it, decompiled from the instructions before it. Made on
 * first sight of a code object, and kept with it as plan_cache.h says. Reading only: runs no
 * Python code. Creating allocates with PyMem_RawMalloc and needs the GIL (without it: an attached
 * thread, which it may detach for a moment). Opcodes differ
 * per CPython version: all of that is in plan_opcodes.c, nowhere else. */
#ifndef MT_PLAN_H
#define MT_PLAN_H

#include <Python.h>
#include <stdbool.h>
#include "memtrace.h"
#include "plan_stretch.h"

enum mt_site_op {
    MT_SITE_STORE_FAST,
    MT_SITE_DELETE_FAST,
    MT_SITE_STORE_DEREF,
    MT_SITE_DELETE_DEREF,
    MT_SITE_STORE_NAME,
    MT_SITE_DELETE_NAME,
    MT_SITE_STORE_GLOBAL,
    MT_SITE_DELETE_GLOBAL,
    MT_SITE_STORE_ATTR,
    MT_SITE_DELETE_ATTR, /* stack: value, object=TOS; del: object=TOS */
    MT_SITE_STORE_ITEM,
    MT_SITE_DELETE_ITEM, /* stack: value, container, key=TOS; del:
                            container, key=TOS */
    MT_SITE_STORE_SLICE, /* 3.12+: value, container, start, stop=TOS */
    MT_SITE_INPLACE,     /* xs += …: stack: left, right=TOS. Take a snapshot of left;
                            `partner` is the store that follows, -1 if none */
    MT_SITE_CONCAT,      /* up to 3.10, s = s + …: stack as INPLACE. CPython takes a str that
                            nothing else holds out of the variable before it stores the sum */
    MT_SITE_CALL,        /* xs.append(…): a call of a mutating method by name. `depth_self`:
                            position of self below the top of the stack, 0 = TOS */
    MT_SITE_CONTAINER,   /* no instruction of its own, not in site_at: the container of a slice
                            store or delete as a variable, see `partner` */
};

/* Stores that need no look at breakpoints, redaction or the like: scalars take a short cut. */
enum mt_plain { MT_NOT_PLAIN = 0, MT_PLAIN_LOCAL, MT_PLAIN_ITEM };

/* What fields of 24 bits can count; mt_plan_create() refuses code with more. */
enum { MT_PLAN_SLOTS_MAX = 1 << 23, MT_PLAN_INSTRUCTIONS_MAX = 1 << 22 };
enum { MT_PLAN_NEW = UINT8_MAX };

/* Small: a program has very many. */
struct mt_site {
    int32_t offset;          /* of the instruction, in bytes, as f_lasti counts (3.10+: 2 x
                                index of the code unit; EXTENDED_ARG prefixes not counted
                                in: offset of the instruction proper. Up to 3.11 opcode
                                events come at the first prefix instead, so site_at has
                                the site there as well) */
    int32_t line;            /* -1: the compiler gave none */
    uint8_t op;              /* enum mt_site_op */
    int32_t slot : 24;       /* index into localsplus (FAST, DEREF); else -1 */
    uint8_t scope;           /* enum mt_scope of its events */
    int32_t depth : 24;      /* operands on the stack there; -1: not known (only in bytecode
                                that no compiler wrote, or that can't be reached) */
    uint8_t prefixes;        /* EXTENDED_ARG instructions before it, in code units */
    int32_t depth_self : 24; /* MT_SITE_CALL */
    uint8_t units;           /* code units from `offset` to the instruction behind it (behind its
                                inline caches): mt_site_next() */
    int32_t partner : 24;    /* INPLACE: index of the store that follows. STORE_ITEM, DELETE_ITEM,
                                STORE_SLICE whose key can be a slice: index of a
                                MT_SITE_CONTAINER with scope, slot, base and name of the
                                container, where that is a variable (docs/events.md, Mutations,
                                3). Else -1 */
    bool redacted : 1;       /* the name matches the redaction list (filled by engine) */
    bool second : 1;         /* second store of a superinstruction at this offset */
    bool self_is_bound : 1;  /* CALL: at depth_self is the bound method, not self (starred
                                arguments; keywords up to 3.10): self is what it is bound to */
    bool muted : 1;          /* nothing is recorded here, nor are there breakpoints (filled by
                                engine; mt_plan_update_sites() brings site_at in line) */
    bool restores : 1;       /* STORE_FAST: gives the variable back that an inlined
                                comprehension borrowed (3.12+, PEP 709); may store NULL */
    uint8_t plain;           /* enum mt_plain (filled by engine) */
    uint8_t thin;            /* one event in 2^thin is recorded (throttle.c) */
    uint8_t method;          /* CALL: mt_snapshot_method() */
    uint32_t name_index;     /* mt_plan_name(): NAME, GLOBAL, ATTR; CALL: the method's name;
                                INPLACE: as its partner's; else 0 */
    uint32_t base_index;     /* mt_plan_name(): CALL and CONTAINER whose scope is name or global:
                                the variable's name; else 0 */
    uint32_t name_at;        /* mt_site_name() */
    uint32_t key_at;         /* mt_site_key() */
    uint32_t def_id;         /* MT_DEF_SITE id, 0 until its first event (filled by engine) */
    uint32_t watch;          /* watch.c: 1 + index of its first breakpoint, 0 none */
};

struct mt_argument {
    int32_t slot;
    uint32_t name_at; /* mt_argument_name() */
    uint32_t def_id;
    uint32_t watch;
    bool is_cell; /* slot holds a cell with the value in it */
    bool redacted;
    bool plain; /* needs no look at breakpoints or redaction, is no cell (engine) */
    bool muted; /* as of a site */
};

struct mt_plan {
    PyCodeObject *code;    /* borrowed: the plan lives as long as the code */
    struct mt_site *sites; /* by offset */
    /* Positional, keyword-only, *args, **kwargs; names that begin with '.' (a comprehension's
     * iterator) are left out; in the order of the signature as co_varnames has it. */
    struct mt_argument *arguments;
    uint16_t *site_at; /* by code unit: 1 + index of the (first) site, 0 none */
    char *qualname;    /* UTF-8; co_qualname, before 3.11 as best known */
    uint64_t serial;   /* no other plan had, has or will have it (engine) */
    /* The monitoring driver's: a bit for each code unit whose event is wanted though it is no site
     * (NULL: none; freed with the plan). */
    uint8_t *after;
    struct mt_stretches stretches;   /* 3.10, 3.11: what can be seen by line events */
    struct mt_plan *next, *previous; /* plan_cache.c: its list */
    uint32_t def_id;                 /* MT_DEF_CODE id, 0 until the first event */
    uint32_t first_id; /* plan_defs.c: MT_DEF_SITE id of the first site; those of the others and
                          of the arguments follow; 0 until the first event */
    uint32_t site_count, argument_count;
    uint32_t unit_count; /* of site_at: up to the instruction behind the last site, 0
                            without sites */
    uint32_t bytes;      /* plan_cache.c: what the plan weighs */
    uint32_t generation; /* of the options by which `traced` was decided (engine) */
    uint32_t pinned;     /* plan_cache.c: the look in which a thread was seen to be in it */
    uint16_t watched;    /* the monitoring driver's: number of the interpreter in which events are
                            on in this code, 0 none */
    bool has_tools;      /* the monitoring driver's: see mt_code_keep_instruction_tools() */
    bool is_wide;        /* too many sites for site_at: mt_plan_find_wide() */
    bool traced;         /* (engine) */
    bool starts_threads; /* the code names start_new_thread (engine) */
    bool has_watch;      /* a breakpoint is on one of its variables (engine) */
    bool is_generator;   /* generator, coroutine, async generator */
    uint8_t idle;        /* plan_cache.c: 0 asked for since the last look there, 1 before that, …;
                            MT_PLAN_NEW: made since, and not asked for */
    uint8_t thin;        /* of one call in 2^thin the arguments are recorded (throttle.c) */
};

/* UTF-8, owned by the plan: `b`, `self.balance`, the container of an item. Counted from the site
 * itself, which is never copied. */
static inline const char *mt_site_name(const struct mt_site *site)
{
    return (const char *)site + site->name_at;
}

/* Of an item, the key's expression as written; else "". */
static inline const char *mt_site_key(const struct mt_site *site)
{
    return (const char *)site + site->key_at;
}

static inline const char *mt_argument_name(const struct mt_argument *argument)
{
    return (const char *)argument + argument->name_at;
}

/* Offset of the instruction behind the site's. */
static inline int32_t mt_site_next(const struct mt_site *site)
{
    return site->offset + 2 * site->units;
}

/* A name of the code, borrowed, by 1 + its index; NULL for 0. */
static inline PyObject *mt_plan_name(PyCodeObject *code, uint32_t index)
{
    return index ? PyTuple_GET_ITEM(code->co_names, index - 1) : NULL;
}

/* Returns MT_OK, MT_NO_MEMORY, or MT_REFUSED when the bytecode is not understood (then
 * nothing is recorded in that code; counted). `ret` is NULL then. */
enum mt_status mt_plan_create(PyCodeObject *code, struct mt_plan **ret);
void mt_plan_destroy(struct mt_plan *plan); /* one that no code object holds */

/* Up to 3.10 a code object doesn't know its qualified name; the code that makes the function
 * does. mt_plan_create() remembers the names of what the planned code makes; call this for
 * code that is seen but not planned. Does nothing from 3.11 on. */
void mt_plan_note_children(PyCodeObject *code);

/* site_at has the sites that are not muted: call this when `muted` has changed. Sites that
 * belong together are muted together, or none of them is: the stores of a superinstruction share
 * an event; an operator and its store, a slice store and its container have one outcome. */
void mt_plan_update_sites(struct mt_plan *plan);

/* mt_plan_site() by search, for code of more than 65,535 sites. */
struct mt_site *mt_plan_find_wide(const struct mt_plan *plan, int offset);

/* The site at a byte offset (as mt_site.offset), or NULL. */
static inline struct mt_site *mt_plan_site(const struct mt_plan *plan, int offset)
{
    uint32_t unit = (uint32_t)offset / 2;
    if (unit >= plan->unit_count)
        return __builtin_expect(plan->is_wide, 0) ? mt_plan_find_wide(plan, offset) : NULL;
    uint16_t index = plan->site_at[unit];
    return index ? &plan->sites[index - 1] : NULL;
}

#endif
