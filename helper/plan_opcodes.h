/* What differs between CPython versions in bytecode, line tables and exception tables, put
 * into one form for plan_flow.c and plan.c.
 *
 * Reads a code object and nothing else; allocates only what mt_opcodes_decode() returns.
 * Every read is bounds-checked: code objects can be made by hand. Needs the GIL. */
#ifndef MT_PLAN_OPCODES_H
#define MT_PLAN_OPCODES_H

#include <Python.h>
#include <stdbool.h>
#include <stdint.h>

/* Is every instruction an event, or only those that are asked for? 3.12 brought
 * sys.monitoring (PEP 669). */
enum { MT_HAS_MONITORING = PY_VERSION_HEX >= 0x030C0000 };

/* 3.11 gave code objects a qualified name (bpo-13672, bpo-44530). */
enum { MT_HAS_QUALNAME = PY_VERSION_HEX >= 0x030B0000 };

/* What an instruction does to the operand stack and to variables. */
enum mt_action {
    MT_ACT_UNKNOWN, /* not in the table: at most the net effect is known */
    MT_ACT_OPAQUE,  /* takes operands, leaves results that have no name */
    MT_ACT_CONST,
    MT_ACT_SMALL_INT,
    MT_ACT_LOAD_FAST,
    MT_ACT_LOAD_FAST_PAIR, /* slot >> 4, then slot & 15 */
    MT_ACT_LOAD_AND_CLEAR, /* an inlined comprehension saves the outer variable */
    MT_ACT_LOAD_DEREF,
    MT_ACT_LOAD_GLOBAL,
    MT_ACT_LOAD_NAME,
    MT_ACT_ATTR,
    MT_ACT_METHOD, /* pushes function and self */
    MT_ACT_SUPER_ATTR,
    MT_ACT_SUBSCR,
    MT_ACT_BINARY_SLICE,
    MT_ACT_BUILD_SLICE,
    MT_ACT_BINARY_OP, /* decoded to SUBSCR, INPLACE or OPAQUE */
    MT_ACT_INPLACE,   /* an in-place operator that can change a builtin container */
    MT_ACT_INPLACE_MULTIPLY,
    MT_ACT_ADD, /* up to 3.10: BINARY_ADD, see MT_SITE_CONCAT */
    MT_ACT_CALL,
    MT_ACT_COPY,        /* push a copy of the arg-th from the top, 1 = TOS */
    MT_ACT_COPY_TWO,    /* push copies of the upper two */
    MT_ACT_SWAP,        /* the arg-th from the top with TOS */
    MT_ACT_ROTATE,      /* TOS goes down to the arg-th from the top */
    MT_ACT_FIRST_STORE, /* from here on: store sites */
    MT_ACT_STORE_FAST = MT_ACT_FIRST_STORE,
    MT_ACT_DELETE_FAST,
    MT_ACT_STORE_FAST_PAIR, /* TOS to slot >> 4, then the next to slot & 15 */
    MT_ACT_STORE_LOAD_FAST, /* TOS to slot >> 4, then load slot & 15 */
    MT_ACT_STORE_DEREF,
    MT_ACT_DELETE_DEREF,
    MT_ACT_STORE_NAME,
    MT_ACT_DELETE_NAME,
    MT_ACT_STORE_GLOBAL,
    MT_ACT_DELETE_GLOBAL,
    MT_ACT_STORE_ATTR,
    MT_ACT_DELETE_ATTR,
    MT_ACT_STORE_ITEM,
    MT_ACT_DELETE_ITEM,
    MT_ACT_STORE_SLICE,
};

enum { MT_NO_TARGET = UINT32_MAX };

struct mt_instruction {
    uint32_t first;   /* code unit of its first EXTENDED_ARG prefix, else == unit */
    uint32_t unit;    /* code unit of the instruction proper */
    uint32_t arg;     /* with prefixes, as the bytecode has it */
    uint32_t index;   /* of the name, constant, slot or cell that arg stands for */
    uint32_t target;  /* instruction that it can jump to, or MT_NO_TARGET */
    uint32_t handler; /* 3.11+: 1 + index of the exception handler in force, 0 none */
    uint32_t state;   /* plan_flow.c: 1 + its state, where control flow joins */
    uint8_t opcode;
    uint8_t action;   /* enum mt_action */
    bool ends;        /* control never reaches the next instruction from here */
    bool pushes_null; /* LOAD_GLOBAL of a callable */
};

struct mt_handler {
    uint32_t begin, end; /* instructions covered */
    uint32_t target;
    uint32_t depth; /* operands kept; then lasti if asked for, then the exception */
    uint32_t pushed;
};

struct mt_bytecode {
    PyCodeObject *code; /* borrowed */
    struct mt_instruction *instructions;
    uint32_t count;
    uint32_t unit_count;
    struct mt_handler *handlers;
    uint32_t handler_count;
    uint32_t entry_depth; /* operands on the stack when the code begins */
    uint32_t stack_size;  /* co_stacksize, made sane */
    bool null_below;      /* the NULL of a callable lies below it, not above */
};

/* How a call finds what it calls; positions count down from the top of the stack, 0 = TOS. */
struct mt_call {
    int64_t function_at; /* of a function pushed by MT_ACT_METHOD (self is one above
                            it), -1: this form of call has none */
    int64_t callable_at; /* of the callable, if it is none of these */
    int64_t pops;
};

/* False: out of memory. Otherwise mt_opcodes_deinit() frees what `ret` holds. */
bool mt_opcodes_decode(PyCodeObject *code, struct mt_bytecode *ret);
void mt_opcodes_deinit(struct mt_bytecode *bytecode);

/* Change of the stack's depth by an instruction, on the way to its jump target (`jump`) or
 * to the next one. False: an opcode that this interpreter doesn't know. */
bool mt_opcodes_effect(const struct mt_instruction *instruction, bool jump, int64_t *ret);

/* Operands that an opaque instruction takes off or replaces; -1 where it isn't known. */
int64_t mt_opcodes_pops(const struct mt_instruction *instruction);

void mt_opcodes_call(const struct mt_instruction *instruction, struct mt_call *ret);

/* 3.10 and 3.11, for plan_stretch.c. Does control go from the instruction to the next one, to its
 * target, or to a handler, of which an EXCEPTION event tells, and nowhere else, and does it come
 * from nowhere else? */
bool mt_opcodes_goes_on(const struct mt_instruction *instruction);

/* Does it nothing but go on, and forward, without a look at what other threads or signals want? */
bool mt_opcodes_only_jumps(const struct mt_instruction *instruction);

bool mt_opcodes_returns(const struct mt_instruction *instruction);

/* The line of each instruction, asked for in ascending order of code units: O(1) amortised. */
struct mt_lines {
    const uint8_t *cursor, *end;
    uint32_t until; /* first byte behind the current entry: up to 3.9 that can be an odd one */
    int line;       /* running line of the table */
    int shown;      /* of the current entry: -1 for none */
};
void mt_lines_init(struct mt_lines *lines, PyCodeObject *code);
int mt_lines_at(struct mt_lines *lines, uint32_t unit);

/* Names, borrowed from the code; NULL where the index is out of range or no str. */
PyObject *mt_opcodes_fast_name(PyCodeObject *code, uint32_t slot);
PyObject *mt_opcodes_deref_name(PyCodeObject *code, uint32_t index);
PyObject *mt_opcodes_name(PyCodeObject *code, uint32_t index);
PyObject *mt_opcodes_const(PyCodeObject *code, uint32_t index);

/* co_qualname; NULL up to 3.10. */
PyObject *mt_opcodes_qualname(PyCodeObject *code);

/* Does instruction `i` make a function? Then *child is its code and *qualname its qualified
 * name, where the instructions before it say so (up to 3.10). */
bool mt_opcodes_made_function(const struct mt_bytecode *bytecode, uint32_t i, PyCodeObject **child,
                              PyObject **qualname);

/* Index into localsplus of a cell instruction's operand. */
uint32_t mt_opcodes_deref_slot(PyCodeObject *code, uint32_t index);

/* Where parameter `argument` lives when the call begins: its slot, or its cell's. */
uint32_t mt_opcodes_argument_slot(PyCodeObject *code, uint32_t argument, bool *is_cell);

#endif
