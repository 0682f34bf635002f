/* Bytecode of CPython 3.8 to 3.15 in one form. See plan_opcodes.h.
 *
 * Which opcodes exist is asked of the interpreter's own opcode.h, by name; what they do to
 * the depth of the stack is asked of the interpreter (PyCompile_OpcodeStackEffectWithJump,
 * as dis.stack_effect), so that the table here holds only which instructions name
 * variables, and how many operands others touch. The layout of line and exception tables
 * is that of CPython's Objects/lnotab_notes.txt, Objects/locations.md and
 * Objects/exception_handling_notes.txt. */
#include "plan_opcodes.h"

#include <opcode.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum mt_jump {
    MT_JUMP_NONE,
    MT_JUMP_FORWARD,
    MT_JUMP_BACKWARD,
    MT_JUMP_ABSOLUTE,
};

/* 3.11 made conditional jumps relative (bpo-46072, gh-90230). */
#if PY_VERSION_HEX >= 0x030B0000
enum { MT_JUMP_IF = MT_JUMP_FORWARD };
#else
enum { MT_JUMP_IF = MT_JUMP_ABSOLUTE };
#endif

struct mt_opcode {
    const char *number; /* its number in digits; its name where this version has none */
    uint8_t action;
    int8_t pops; /* operands touched: pops + pops_per_arg * arg; MT_POPS_* */
    uint8_t pops_per_arg;
    uint8_t jump;
    bool ends;
};

enum {
    MT_POPS_UNKNOWN = -1,
    MT_POPS_ALL_BUT_ONE = -2, /* whatever it takes, it leaves one result */
};

/* A macro that this version's opcode.h defines spells its number, any other its own name:
 * so one list serves all versions. */
#define MT_SPELL_EXPANDED(name) #name
#define MT_SPELL(name) MT_SPELL_EXPANDED(name)
#define MT_OPCODE(name, action, pops)                        \
    {                                                        \
        MT_SPELL(name), action, pops, 0, MT_JUMP_NONE, false \
    }
#define MT_VARIADIC(name, pops, per_arg)                                  \
    {                                                                     \
        MT_SPELL(name), MT_ACT_OPAQUE, pops, per_arg, MT_JUMP_NONE, false \
    }
#define MT_BRANCH(name, pops, jump, ends)                  \
    {                                                      \
        MT_SPELL(name), MT_ACT_OPAQUE, pops, 0, jump, ends \
    }
#define MT_END(name, pops)                                         \
    {                                                              \
        MT_SPELL(name), MT_ACT_OPAQUE, pops, 0, MT_JUMP_NONE, true \
    }

static const struct mt_opcode opcode_list[] = {
    /* Variables, and the expressions that lead to them. */
    MT_OPCODE(LOAD_CONST, MT_ACT_CONST, 0),
    MT_OPCODE(LOAD_SMALL_INT, MT_ACT_SMALL_INT, 0),
    MT_OPCODE(LOAD_FAST, MT_ACT_LOAD_FAST, 0),
    MT_OPCODE(LOAD_FAST_CHECK, MT_ACT_LOAD_FAST, 0),
    MT_OPCODE(LOAD_FAST_BORROW, MT_ACT_LOAD_FAST, 0),
    MT_OPCODE(LOAD_FAST_LOAD_FAST, MT_ACT_LOAD_FAST_PAIR, 0),
    MT_OPCODE(LOAD_FAST_BORROW_LOAD_FAST_BORROW, MT_ACT_LOAD_FAST_PAIR, 0),
    MT_OPCODE(LOAD_FAST_AND_CLEAR, MT_ACT_LOAD_AND_CLEAR, 0),
    MT_OPCODE(LOAD_DEREF, MT_ACT_LOAD_DEREF, 0),
    MT_OPCODE(LOAD_CLASSDEREF, MT_ACT_LOAD_DEREF, 0),
    MT_OPCODE(LOAD_FROM_DICT_OR_DEREF, MT_ACT_LOAD_DEREF, 1),
    MT_OPCODE(LOAD_GLOBAL, MT_ACT_LOAD_GLOBAL, 0),
    MT_OPCODE(LOAD_NAME, MT_ACT_LOAD_NAME, 0),
    MT_OPCODE(LOAD_FROM_DICT_OR_GLOBALS, MT_ACT_LOAD_NAME, 1),
    MT_OPCODE(LOAD_ATTR, MT_ACT_ATTR, 1),
    MT_OPCODE(LOAD_METHOD, MT_ACT_METHOD, 1),
    MT_OPCODE(LOAD_SUPER_ATTR, MT_ACT_SUPER_ATTR, 3),
    MT_OPCODE(BINARY_SUBSCR, MT_ACT_SUBSCR, 2),
    MT_OPCODE(BINARY_SLICE, MT_ACT_BINARY_SLICE, 3),
    MT_OPCODE(BUILD_SLICE, MT_ACT_BUILD_SLICE, 0),
    MT_OPCODE(BINARY_OP, MT_ACT_BINARY_OP, 2),
    MT_OPCODE(INPLACE_ADD, MT_ACT_INPLACE, 2),
    MT_OPCODE(INPLACE_SUBTRACT, MT_ACT_INPLACE, 2),
    MT_OPCODE(INPLACE_AND, MT_ACT_INPLACE, 2),
    MT_OPCODE(INPLACE_OR, MT_ACT_INPLACE, 2),
    MT_OPCODE(INPLACE_XOR, MT_ACT_INPLACE, 2),
    MT_OPCODE(INPLACE_MULTIPLY, MT_ACT_INPLACE_MULTIPLY, 2),
    MT_OPCODE(CALL, MT_ACT_CALL, 0),
    MT_OPCODE(CALL_KW, MT_ACT_CALL, 0),
    MT_OPCODE(CALL_METHOD, MT_ACT_CALL, 0),
    MT_OPCODE(CALL_FUNCTION, MT_ACT_CALL, 0),
    MT_OPCODE(CALL_FUNCTION_KW, MT_ACT_CALL, 0),
    MT_OPCODE(CALL_FUNCTION_EX, MT_ACT_CALL, 0),
    MT_OPCODE(COPY, MT_ACT_COPY, 0),
    MT_OPCODE(DUP_TOP, MT_ACT_COPY, 0),
    MT_OPCODE(DUP_TOP_TWO, MT_ACT_COPY_TWO, 0),
    MT_OPCODE(SWAP, MT_ACT_SWAP, 0),
    MT_OPCODE(ROT_TWO, MT_ACT_ROTATE, 0),
    MT_OPCODE(ROT_THREE, MT_ACT_ROTATE, 0),
    MT_OPCODE(ROT_FOUR, MT_ACT_ROTATE, 0),
    MT_OPCODE(ROT_N, MT_ACT_ROTATE, 0),

    /* Stores. */
    MT_OPCODE(STORE_FAST, MT_ACT_STORE_FAST, 1),
    MT_OPCODE(DELETE_FAST, MT_ACT_DELETE_FAST, 0),
    MT_OPCODE(STORE_FAST_STORE_FAST, MT_ACT_STORE_FAST_PAIR, 2),
    MT_OPCODE(STORE_FAST_LOAD_FAST, MT_ACT_STORE_LOAD_FAST, 1),
    MT_OPCODE(STORE_DEREF, MT_ACT_STORE_DEREF, 1),
    MT_OPCODE(DELETE_DEREF, MT_ACT_DELETE_DEREF, 0),
    MT_OPCODE(STORE_NAME, MT_ACT_STORE_NAME, 1),
    MT_OPCODE(DELETE_NAME, MT_ACT_DELETE_NAME, 0),
    MT_OPCODE(STORE_GLOBAL, MT_ACT_STORE_GLOBAL, 1),
    MT_OPCODE(DELETE_GLOBAL, MT_ACT_DELETE_GLOBAL, 0),
    MT_OPCODE(STORE_ATTR, MT_ACT_STORE_ATTR, 2),
    MT_OPCODE(DELETE_ATTR, MT_ACT_DELETE_ATTR, 1),
    MT_OPCODE(STORE_SUBSCR, MT_ACT_STORE_ITEM, 3),
    MT_OPCODE(DELETE_SUBSCR, MT_ACT_DELETE_ITEM, 2),
    MT_OPCODE(STORE_SLICE, MT_ACT_STORE_SLICE, 4),

    /* Control flow. */
    MT_BRANCH(JUMP_FORWARD, 0, MT_JUMP_FORWARD, true),
    MT_BRANCH(JUMP_ABSOLUTE, 0, MT_JUMP_ABSOLUTE, true),
    MT_BRANCH(JUMP_BACKWARD, 0, MT_JUMP_BACKWARD, true),
    MT_BRANCH(JUMP_BACKWARD_NO_INTERRUPT, 0, MT_JUMP_BACKWARD, true),
    MT_BRANCH(POP_JUMP_IF_FALSE, 1, MT_JUMP_IF, false),
    MT_BRANCH(POP_JUMP_IF_TRUE, 1, MT_JUMP_IF, false),
    MT_BRANCH(POP_JUMP_IF_NONE, 1, MT_JUMP_IF, false),
    MT_BRANCH(POP_JUMP_IF_NOT_NONE, 1, MT_JUMP_IF, false),
    MT_BRANCH(POP_JUMP_FORWARD_IF_FALSE, 1, MT_JUMP_FORWARD, false),
    MT_BRANCH(POP_JUMP_FORWARD_IF_TRUE, 1, MT_JUMP_FORWARD, false),
    MT_BRANCH(POP_JUMP_FORWARD_IF_NONE, 1, MT_JUMP_FORWARD, false),
    MT_BRANCH(POP_JUMP_FORWARD_IF_NOT_NONE, 1, MT_JUMP_FORWARD, false),
    MT_BRANCH(POP_JUMP_BACKWARD_IF_FALSE, 1, MT_JUMP_BACKWARD, false),
    MT_BRANCH(POP_JUMP_BACKWARD_IF_TRUE, 1, MT_JUMP_BACKWARD, false),
    MT_BRANCH(POP_JUMP_BACKWARD_IF_NONE, 1, MT_JUMP_BACKWARD, false),
    MT_BRANCH(POP_JUMP_BACKWARD_IF_NOT_NONE, 1, MT_JUMP_BACKWARD, false),
    MT_BRANCH(JUMP_IF_FALSE_OR_POP, 1, MT_JUMP_IF, false),
    MT_BRANCH(JUMP_IF_TRUE_OR_POP, 1, MT_JUMP_IF, false),
    MT_BRANCH(JUMP_IF_NOT_EXC_MATCH, 2, MT_JUMP_ABSOLUTE, false),
    MT_BRANCH(FOR_ITER, 1, MT_JUMP_FORWARD, false),
    MT_BRANCH(SEND, 2, MT_JUMP_FORWARD, false),
    MT_BRANCH(SETUP_FINALLY, 0, MT_JUMP_FORWARD, false),
    MT_BRANCH(SETUP_WITH, 1, MT_JUMP_FORWARD, false),
    MT_BRANCH(SETUP_ASYNC_WITH, 1, MT_JUMP_FORWARD, false),
    MT_END(RETURN_VALUE, 1),
    MT_END(RETURN_CONST, 0),
    MT_END(RERAISE, 1),
    MT_END(INTERPRETER_EXIT, 1),
    {MT_SPELL(RAISE_VARARGS), MT_ACT_OPAQUE, 0, 1, MT_JUMP_NONE, true},

    /* The rest: how many operands they touch. */
    MT_OPCODE(NOP, MT_ACT_OPAQUE, 0),
    MT_OPCODE(RESUME, MT_ACT_OPAQUE, 0),
    MT_OPCODE(NOT_TAKEN, MT_ACT_OPAQUE, 0),
    MT_OPCODE(PRECALL, MT_ACT_OPAQUE, 0),
    MT_OPCODE(KW_NAMES, MT_ACT_OPAQUE, 0),
    MT_OPCODE(MAKE_CELL, MT_ACT_OPAQUE, 0),
    MT_OPCODE(COPY_FREE_VARS, MT_ACT_OPAQUE, 0),
    MT_OPCODE(GEN_START, MT_ACT_OPAQUE, 1),
    MT_OPCODE(RETURN_GENERATOR, MT_ACT_OPAQUE, 0),
    MT_OPCODE(SETUP_ANNOTATIONS, MT_ACT_OPAQUE, 0),
    MT_OPCODE(POP_BLOCK, MT_ACT_OPAQUE, 0),
    MT_OPCODE(BEGIN_FINALLY, MT_ACT_OPAQUE, 0),
    /* 3.8: enters a finally block with fewer operands than an exception does. The block is
     * planned as the exception finds it. */
    MT_OPCODE(CALL_FINALLY, MT_ACT_OPAQUE, 0),
    MT_OPCODE(PUSH_NULL, MT_ACT_OPAQUE, 0),
    MT_OPCODE(LOAD_CLOSURE, MT_ACT_OPAQUE, 0),
    MT_OPCODE(LOAD_LOCALS, MT_ACT_OPAQUE, 0),
    MT_OPCODE(LOAD_BUILD_CLASS, MT_ACT_OPAQUE, 0),
    MT_OPCODE(LOAD_ASSERTION_ERROR, MT_ACT_OPAQUE, 0),
    MT_OPCODE(LOAD_COMMON_CONSTANT, MT_ACT_OPAQUE, 0),
    MT_OPCODE(IMPORT_FROM, MT_ACT_OPAQUE, 0),
    MT_OPCODE(GET_LEN, MT_ACT_OPAQUE, 0),
    MT_OPCODE(GET_ANEXT, MT_ACT_OPAQUE, 0),
    MT_OPCODE(MATCH_MAPPING, MT_ACT_OPAQUE, 0),
    MT_OPCODE(MATCH_SEQUENCE, MT_ACT_OPAQUE, 0),
    MT_OPCODE(MATCH_KEYS, MT_ACT_OPAQUE, 0),
    MT_OPCODE(WITH_EXCEPT_START, MT_ACT_OPAQUE, 0),
    MT_OPCODE(POP_TOP, MT_ACT_OPAQUE, 1),
    MT_OPCODE(POP_ITER, MT_ACT_OPAQUE, 1),
    MT_OPCODE(END_FOR, MT_ACT_OPAQUE, 1),
    MT_OPCODE(UNARY_POSITIVE, MT_ACT_OPAQUE, 1),
    MT_OPCODE(UNARY_NEGATIVE, MT_ACT_OPAQUE, 1),
    MT_OPCODE(UNARY_NOT, MT_ACT_OPAQUE, 1),
    MT_OPCODE(UNARY_INVERT, MT_ACT_OPAQUE, 1),
    MT_OPCODE(TO_BOOL, MT_ACT_OPAQUE, 1),
    MT_OPCODE(FORMAT_SIMPLE, MT_ACT_OPAQUE, 1),
    MT_OPCODE(CONVERT_VALUE, MT_ACT_OPAQUE, 1),
    MT_OPCODE(CALL_INTRINSIC_1, MT_ACT_OPAQUE, 1),
    MT_OPCODE(LIST_TO_TUPLE, MT_ACT_OPAQUE, 1),
    MT_OPCODE(GET_ITER, MT_ACT_OPAQUE, 1),
    MT_OPCODE(GET_YIELD_FROM_ITER, MT_ACT_OPAQUE, 1),
    MT_OPCODE(GET_AITER, MT_ACT_OPAQUE, 1),
    MT_OPCODE(GET_AWAITABLE, MT_ACT_OPAQUE, 1),
    MT_OPCODE(YIELD_VALUE, MT_ACT_OPAQUE, 1),
    MT_OPCODE(ASYNC_GEN_WRAP, MT_ACT_OPAQUE, 1),
    MT_OPCODE(BEFORE_WITH, MT_ACT_OPAQUE, 1),
    MT_OPCODE(BEFORE_ASYNC_WITH, MT_ACT_OPAQUE, 1),
    MT_OPCODE(LOAD_SPECIAL, MT_ACT_OPAQUE, 1),
    MT_OPCODE(UNPACK_SEQUENCE, MT_ACT_OPAQUE, 1),
    MT_OPCODE(UNPACK_EX, MT_ACT_OPAQUE, 1),
    MT_OPCODE(PRINT_EXPR, MT_ACT_OPAQUE, 1),
    MT_OPCODE(IMPORT_STAR, MT_ACT_OPAQUE, 1),
    MT_OPCODE(LIST_APPEND, MT_ACT_OPAQUE, 1),
    MT_OPCODE(SET_ADD, MT_ACT_OPAQUE, 1),
    MT_OPCODE(LIST_EXTEND, MT_ACT_OPAQUE, 1),
    MT_OPCODE(SET_UPDATE, MT_ACT_OPAQUE, 1),
    MT_OPCODE(DICT_MERGE, MT_ACT_OPAQUE, 1),
    MT_OPCODE(DICT_UPDATE, MT_ACT_OPAQUE, 1),
    MT_OPCODE(PUSH_EXC_INFO, MT_ACT_OPAQUE, 1),
    MT_OPCODE(CHECK_EXC_MATCH, MT_ACT_OPAQUE, 1),
    MT_OPCODE(POP_EXCEPT, MT_ACT_OPAQUE, 1),
    MT_OPCODE(MAP_ADD, MT_ACT_OPAQUE, 2),
    MT_OPCODE(CHECK_EG_MATCH, MT_ACT_OPAQUE, 2),
    MT_OPCODE(PREP_RERAISE_STAR, MT_ACT_OPAQUE, 2),
    MT_OPCODE(YIELD_FROM, MT_ACT_OPAQUE, 2),
    MT_OPCODE(END_SEND, MT_ACT_OPAQUE, 2),
    MT_OPCODE(END_ASYNC_FOR, MT_ACT_OPAQUE, 2),
    MT_OPCODE(COMPARE_OP, MT_ACT_OPAQUE, 2),
    MT_OPCODE(IS_OP, MT_ACT_OPAQUE, 2),
    MT_OPCODE(CONTAINS_OP, MT_ACT_OPAQUE, 2),
    MT_OPCODE(IMPORT_NAME, MT_ACT_OPAQUE, 2),
    MT_OPCODE(FORMAT_WITH_SPEC, MT_ACT_OPAQUE, 2),
    MT_OPCODE(SET_FUNCTION_ATTRIBUTE, MT_ACT_OPAQUE, 2),
    MT_OPCODE(CALL_INTRINSIC_2, MT_ACT_OPAQUE, 2),
    MT_OPCODE(BUILD_TEMPLATE, MT_ACT_OPAQUE, 2),
    MT_OPCODE(BINARY_POWER, MT_ACT_OPAQUE, 2),
    MT_OPCODE(BINARY_MULTIPLY, MT_ACT_OPAQUE, 2),
    MT_OPCODE(BINARY_MATRIX_MULTIPLY, MT_ACT_OPAQUE, 2),
    MT_OPCODE(BINARY_MODULO, MT_ACT_OPAQUE, 2),
    MT_OPCODE(BINARY_ADD, MT_ACT_ADD, 2),
    MT_OPCODE(BINARY_SUBTRACT, MT_ACT_OPAQUE, 2),
    MT_OPCODE(BINARY_FLOOR_DIVIDE, MT_ACT_OPAQUE, 2),
    MT_OPCODE(BINARY_TRUE_DIVIDE, MT_ACT_OPAQUE, 2),
    MT_OPCODE(BINARY_LSHIFT, MT_ACT_OPAQUE, 2),
    MT_OPCODE(BINARY_RSHIFT, MT_ACT_OPAQUE, 2),
    MT_OPCODE(BINARY_AND, MT_ACT_OPAQUE, 2),
    MT_OPCODE(BINARY_XOR, MT_ACT_OPAQUE, 2),
    MT_OPCODE(BINARY_OR, MT_ACT_OPAQUE, 2),
    MT_OPCODE(INPLACE_POWER, MT_ACT_OPAQUE, 2),
    MT_OPCODE(INPLACE_MATRIX_MULTIPLY, MT_ACT_OPAQUE, 2),
    MT_OPCODE(INPLACE_MODULO, MT_ACT_OPAQUE, 2),
    MT_OPCODE(INPLACE_FLOOR_DIVIDE, MT_ACT_OPAQUE, 2),
    MT_OPCODE(INPLACE_TRUE_DIVIDE, MT_ACT_OPAQUE, 2),
    MT_OPCODE(INPLACE_LSHIFT, MT_ACT_OPAQUE, 2),
    MT_OPCODE(INPLACE_RSHIFT, MT_ACT_OPAQUE, 2),
    MT_OPCODE(MATCH_CLASS, MT_ACT_OPAQUE, 3),
    MT_OPCODE(CLEANUP_THROW, MT_ACT_OPAQUE, 3),
    MT_OPCODE(MAKE_FUNCTION, MT_ACT_OPAQUE, MT_POPS_ALL_BUT_ONE),
    MT_OPCODE(FORMAT_VALUE, MT_ACT_OPAQUE, MT_POPS_ALL_BUT_ONE),
    MT_OPCODE(BUILD_INTERPOLATION, MT_ACT_OPAQUE, MT_POPS_ALL_BUT_ONE),
    MT_VARIADIC(BUILD_TUPLE, 0, 1),
    MT_VARIADIC(BUILD_LIST, 0, 1),
    MT_VARIADIC(BUILD_SET, 0, 1),
    MT_VARIADIC(BUILD_STRING, 0, 1),
    MT_VARIADIC(BUILD_MAP, 0, 2),
    MT_VARIADIC(BUILD_CONST_KEY_MAP, 1, 1),
    MT_VARIADIC(BUILD_TUPLE_UNPACK, 0, 1),
    MT_VARIADIC(BUILD_LIST_UNPACK, 0, 1),
    MT_VARIADIC(BUILD_SET_UNPACK, 0, 1),
    MT_VARIADIC(BUILD_MAP_UNPACK, 0, 1),
    MT_VARIADIC(BUILD_TUPLE_UNPACK_WITH_CALL, 0, 1),
    MT_VARIADIC(BUILD_MAP_UNPACK_WITH_CALL, 0, 1),
};

/* A number that the code spells in digits, or -1. */
static int spelled_number(const char *text)
{
    return *text >= '0' && *text <= '9' ? atoi(text) : -1;
}

/* By opcode; filled once. */
static const struct mt_opcode *opcode_table[256];

static void fill_table(void)
{
    static const struct mt_opcode unknown = {
        "", MT_ACT_UNKNOWN, MT_POPS_UNKNOWN, 0, MT_JUMP_NONE, false,
    };
    for (size_t i = 0; i < 256; i++)
        opcode_table[i] = &unknown;
    for (size_t i = 0; i < sizeof(opcode_list) / sizeof(*opcode_list); i++) {
        int number = spelled_number(opcode_list[i].number);
        /* Numbers above 255 are the compiler's own and never in bytecode. */
        if (number >= 0 && number < 256)
            opcode_table[number] = &opcode_list[i];
    }
}

/* ---- instructions -------------------------------------------------------------------- */

/* Bytes of the code as the compiler wrote them: new reference, or NULL. */
static PyObject *original_bytes(PyCodeObject *code)
{
#if PY_VERSION_HEX >= 0x030B0000
    /* 3.11 specialises instructions in place (PEP 659): ask for a restored copy. */
    PyObject *bytes = PyCode_GetCode(code);
    if (!bytes)
        PyErr_Clear();
    return bytes;
#else
    PyObject *bytes = code->co_code;
    Py_XINCREF(bytes);
    return bytes;
#endif
}

/* 3.11 on keeps that copy for the code's life, from 3.12 on in a struct of caches of its own
 * (gh-101346): what of it was there before? */
struct caches {
    bool caches, copy;
};

static struct caches find_caches(PyCodeObject *code)
{
#if PY_VERSION_HEX >= 0x030C0000
    return (struct caches){code->_co_cached, code->_co_cached && code->_co_cached->_co_code};
#elif PY_VERSION_HEX >= 0x030B0000
    return (struct caches){true, code->_co_code};
#else
    return (struct caches){true, true};
#endif
}

/* Take back what wasn't. Without a GIL another thread may be using it. */
static void restore_caches(PyCodeObject *code, struct caches before)
{
#if !defined(Py_GIL_DISABLED) && PY_VERSION_HEX >= 0x030C0000
    if (before.copy || !code->_co_cached)
        return;
    Py_CLEAR(code->_co_cached->_co_code);
    if (before.caches)
        return;
    PyMem_Free(code->_co_cached);
    code->_co_cached = NULL;
#elif !defined(Py_GIL_DISABLED) && PY_VERSION_HEX >= 0x030B0000
    if (!before.copy)
        Py_CLEAR(code->_co_code);
#endif
}

static void classify_binary(struct mt_instruction *instruction)
{
    instruction->action = MT_ACT_OPAQUE;
#ifdef NB_INPLACE_ADD
    /* 3.11 joined the binary and in-place instructions into BINARY_OP (bpo-45829). Only
     * operators that a list, dict, set, bytearray or deque has are in-place ones here. */
    switch (instruction->arg) {
    case NB_INPLACE_ADD:
    case NB_INPLACE_SUBTRACT:
    case NB_INPLACE_AND:
    case NB_INPLACE_OR:
    case NB_INPLACE_XOR: instruction->action = MT_ACT_INPLACE; break;
    case NB_INPLACE_MULTIPLY: instruction->action = MT_ACT_INPLACE_MULTIPLY; break;
#ifdef NB_SUBSCR
    /* 3.14 made subscription a binary operator (gh-128974). */
    case NB_SUBSCR: instruction->action = MT_ACT_SUBSCR; break;
#endif
    default: break;
    }
#endif
}

/* Indices of constants from here on are those of LOAD_COMMON_CONSTANT. */
enum { MT_COMMON_CONSTANT = 1 << 30 };

static PyObject *common_constant(uint32_t index)
{
#if PY_VERSION_HEX >= 0x030F0000
    /* CONSTANT_* of 3.15's pycore_opcode_utils.h; 3.14 has functions and classes only. All of
     * these are immortal. */
    switch (index) {
    case 7: return Py_None;
    case 8: return Py_GetConstantBorrowed(Py_CONSTANT_EMPTY_STR);
    case 9: return Py_True;
    case 10: return Py_False;
    case 11: return PyLong_FromLong(-1);
    default: break;
    }
#endif
    return NULL;
}

/* What the argument stands for. */
static void classify(struct mt_instruction *instruction)
{
    instruction->index = instruction->arg;
#ifdef LOAD_COMMON_CONSTANT
    if (instruction->opcode == LOAD_COMMON_CONSTANT && common_constant(instruction->arg)) {
        instruction->action = MT_ACT_CONST;
        instruction->index += MT_COMMON_CONSTANT;
    }
#endif
    switch (instruction->action) {
    case MT_ACT_LOAD_GLOBAL:
#if PY_VERSION_HEX >= 0x030B0000
        /* 3.11: the low bit pushes the NULL below a callable (bpo-46329). */
        instruction->index = instruction->arg >> 1;
        instruction->pushes_null = instruction->arg & 1;
#endif
        break;
    case MT_ACT_ATTR:
#if PY_VERSION_HEX >= 0x030C0000
        /* 3.12: LOAD_METHOD became LOAD_ATTR with the low bit set (gh-93429). */
        instruction->index = instruction->arg >> 1;
        if (instruction->arg & 1)
            instruction->action = MT_ACT_METHOD;
#endif
        break;
    case MT_ACT_SUPER_ATTR: instruction->index = instruction->arg >> 2; break;
    case MT_ACT_BINARY_OP: classify_binary(instruction); break;
    case MT_ACT_COPY:
#ifdef DUP_TOP
        instruction->index = 1;
#endif
        break;
    case MT_ACT_ROTATE:
#ifdef ROT_TWO
        if (instruction->opcode == ROT_TWO)
            instruction->index = 2;
        else if (instruction->opcode == ROT_THREE)
            instruction->index = 3;
        else if (instruction->opcode == ROT_FOUR)
            instruction->index = 4;
#endif
        break;
    default: break;
    }
}

/* Code unit that an instruction jumps to; < 0 or too large where it makes no sense. */
static int64_t jump_unit(const struct mt_instruction *instruction, uint32_t next)
{
    int64_t distance = instruction->arg;
#if PY_VERSION_HEX < 0x030A0000
    /* 3.10 counts jumps in instructions, before it in bytes (bpo-26219, bpo-27129). */
    distance /= 2;
#endif
    switch (opcode_table[instruction->opcode]->jump) {
    case MT_JUMP_FORWARD: return (int64_t)next + distance;
    case MT_JUMP_BACKWARD: return (int64_t)next - distance;
    case MT_JUMP_ABSOLUTE: return distance;
    default: return -1;
    }
}

/* First unit behind an instruction at `unit` and its inline caches. */
static uint32_t skip_caches(const uint8_t *bytes, uint32_t unit, uint32_t unit_count)
{
    unit++;
#if PY_VERSION_HEX >= 0x030B0000
    /* 3.11: cache entries follow the instruction, zero in the restored copy (PEP 659). */
    while (unit < unit_count && bytes[2 * unit] == 0)
        unit++;
#endif
    return unit;
}

/* Fill the instructions; `at` maps code units to them. */
static void decode_all(struct mt_bytecode *bytecode, const uint8_t *bytes, uint32_t *at)
{
    uint32_t unit = 0;
    while (unit < bytecode->unit_count) {
        struct mt_instruction *instruction = &bytecode->instructions[bytecode->count];
        memset(instruction, 0, sizeof(*instruction));
        instruction->first = unit;
        uint32_t arg = bytes[2 * unit + 1];
        while (bytes[2 * unit] == EXTENDED_ARG && unit + 1 < bytecode->unit_count) {
            at[unit++] = bytecode->count;
            arg = arg << 8 | bytes[2 * unit + 1];
        }
        instruction->unit = unit;
        instruction->arg = arg;
        instruction->opcode = bytes[2 * unit];
        instruction->action = opcode_table[instruction->opcode]->action;
        instruction->ends = opcode_table[instruction->opcode]->ends;
        classify(instruction);
        uint32_t next = skip_caches(bytes, unit, bytecode->unit_count);
        while (unit < next)
            at[unit++] = bytecode->count;
        /* A unit for now: the instruction there may not be decoded yet. */
        int64_t target = jump_unit(instruction, next);
        instruction->target = target >= 0 && target < bytecode->unit_count ? (uint32_t)target
                                                                           : MT_NO_TARGET;
        bytecode->count++;
    }
    for (uint32_t i = 0; i < bytecode->count; i++) {
        struct mt_instruction *instruction = &bytecode->instructions[i];
        if (instruction->target != MT_NO_TARGET)
            instruction->target = at[instruction->target];
    }
}

/* ---- exception table -------------------------------------------------------------------- */

#if PY_VERSION_HEX >= 0x030B0000
/* 3.11: handlers stand in a table beside the code (bpo-40222): big-endian groups of 6
 * bits, bit 6 says that another follows, bit 7 marks the first byte of an entry. */
static bool read_varint(const uint8_t **cursor, const uint8_t *end, uint32_t *ret)
{
    uint32_t value = 0;
    for (int i = 0; i < 6 && *cursor < end; i++) {
        uint8_t byte = *(*cursor)++;
        value = value << 6 | (byte & 63);
        if (!(byte & 64)) {
            *ret = value;
            return true;
        }
    }
    return false;
}

static bool decode_handlers(struct mt_bytecode *bytecode, const uint32_t *at)
{
    PyObject *table = bytecode->code->co_exceptiontable;
    if (!table || !PyBytes_CheckExact(table) || PyBytes_GET_SIZE(table) == 0)
        return true;
    const uint8_t *cursor = (const uint8_t *)PyBytes_AS_STRING(table);
    const uint8_t *end = cursor + PyBytes_GET_SIZE(table);
    /* An entry takes at least four bytes. */
    size_t capacity = (size_t)(end - cursor) / 4 + 1;
    bytecode->handlers = PyMem_RawMalloc(capacity * sizeof(*bytecode->handlers));
    if (!bytecode->handlers)
        return false;
    uint32_t begin, length, target, depth, covered = 0;
    while (bytecode->handler_count < capacity && read_varint(&cursor, end, &begin) &&
           read_varint(&cursor, end, &length) && read_varint(&cursor, end, &target) &&
           read_varint(&cursor, end, &depth)) {
        /* The compiler writes disjoint ranges in order; don't follow anything else. */
        if (begin < covered || length == 0 || length > bytecode->unit_count ||
            begin > bytecode->unit_count - length || target >= bytecode->unit_count)
            break;
        covered = begin + length;
        struct mt_handler *handler = &bytecode->handlers[bytecode->handler_count++];
        handler->begin = at[begin];
        handler->end = covered < bytecode->unit_count ? at[covered] : bytecode->count;
        handler->target = at[target];
        handler->depth = depth >> 1;
        handler->pushed = 1 + (depth & 1);
        for (uint32_t i = handler->begin; i < handler->end; i++)
            bytecode->instructions[i].handler = bytecode->handler_count;
    }
    return true;
}
#else
static bool decode_handlers(struct mt_bytecode *bytecode, const uint32_t *at)
{
    return true;
}
#endif

/* ---- whole code ------------------------------------------------------------------------- */

static bool is_generator(PyCodeObject *code)
{
    return code->co_flags & (CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR);
}

/* A generator's first resume sends None, which GEN_START (3.10) or a POP_TOP behind
 * RETURN_GENERATOR (3.11 on) takes off again; up to 3.11 no instruction is said to push it. */
static uint32_t entry_depth(PyCodeObject *code)
{
    if (!is_generator(code))
        return 0;
#if defined(RETURN_GENERATOR)
    return PyCompile_OpcodeStackEffectWithJump(RETURN_GENERATOR, 0, 0) == 0;
#elif defined(GEN_START)
    return 1;
#else
    return 0;
#endif
}

bool mt_opcodes_decode(PyCodeObject *code, struct mt_bytecode *ret)
{
    static pthread_once_t filled = PTHREAD_ONCE_INIT;
    pthread_once(&filled, fill_table);
    memset(ret, 0, sizeof(*ret));
    ret->code = code;
    ret->entry_depth = entry_depth(code);
    /* 3.13 pushes the NULL behind the callable, 3.11 and 3.12 before (gh-105848). */
    ret->null_below = PY_VERSION_HEX < 0x030D0000;
    struct caches before = find_caches(code);
    PyObject *bytes = original_bytes(code);
    if (!bytes)
        return false;
    bool complete = false;
    uint32_t *at = NULL;
    if (PyBytes_Check(bytes) && PyBytes_GET_SIZE(bytes) / 2 < INT32_MAX / 2)
        ret->unit_count = (uint32_t)(PyBytes_GET_SIZE(bytes) / 2);
    /* No code pushes more than an interpreter lets a frame hold. */
    ret->stack_size = code->co_stacksize < 0 ? 0 : code->co_stacksize;
    if (ret->stack_size > 1 << 20)
        ret->stack_size = 1 << 20;
    at = PyMem_RawMalloc((ret->unit_count + 1) * sizeof(*at));
    ret->instructions = PyMem_RawMalloc((ret->unit_count + 1) * sizeof(*ret->instructions));
    if (at && ret->instructions) {
        decode_all(ret, (const uint8_t *)PyBytes_AS_STRING(bytes), at);
        complete = decode_handlers(ret, at);
    }
    PyMem_RawFree(at);
    Py_DECREF(bytes);
    restore_caches(code, before);
    if (!complete)
        mt_opcodes_deinit(ret);
    return complete;
}

void mt_opcodes_deinit(struct mt_bytecode *bytecode)
{
    PyMem_RawFree(bytecode->instructions);
    PyMem_RawFree(bytecode->handlers);
    bytecode->instructions = NULL;
    bytecode->handlers = NULL;
}

/* ---- ways ---------------------------------------------------------------------------- */

#if PY_VERSION_HEX >= 0x030A0000 && PY_VERSION_HEX < 0x030C0000

bool mt_opcodes_goes_on(const struct mt_instruction *instruction)
{
    switch (instruction->opcode) {
        // Handlers are their targets.
#ifdef SETUP_FINALLY
    case SETUP_FINALLY:
    case SETUP_WITH:
    case SETUP_ASYNC_WITH:
#endif
    // They leave for a caller, and come back from one.
    case YIELD_VALUE:
#ifdef YIELD_FROM
    case YIELD_FROM:
#endif
#ifdef SEND
    case SEND:
    case JUMP_BACKWARD_NO_INTERRUPT:
#endif
#ifdef RETURN_GENERATOR
    case RETURN_GENERATOR:
#endif
#ifdef RESUME
    case RESUME:
#endif
#ifdef GEN_START
    case GEN_START:
#endif
    // Exceptions that are raised again, without an event.
    case RAISE_VARARGS:
    case RERAISE:
    case END_ASYNC_FOR:
#ifdef CLEANUP_THROW
    case CLEANUP_THROW:
#endif
        return false;
    default: return instruction->action != MT_ACT_UNKNOWN;
    }
}

bool mt_opcodes_only_jumps(const struct mt_instruction *instruction)
{
    return instruction->opcode == NOP || instruction->opcode == JUMP_FORWARD;
}

bool mt_opcodes_returns(const struct mt_instruction *instruction)
{
    return instruction->opcode == RETURN_VALUE;
}

#endif

/* ---- effects --------------------------------------------------------------------------- */

bool mt_opcodes_effect(const struct mt_instruction *instruction, bool jump, int64_t *ret)
{
    int opcode = instruction->opcode;
    int arg = instruction->arg > INT32_MAX ? INT32_MAX : (int)instruction->arg;
#ifdef PRECALL
    /* 3.11: the compiler books the arguments on PRECALL; they stay until CALL. */
    if (opcode == PRECALL)
        return *ret = 0, true;
    if (opcode == CALL)
        return *ret = -1 - (int64_t)arg, true;
#endif
    int effect = PyCompile_OpcodeStackEffectWithJump(opcode, arg, jump);
    *ret = effect;
    return effect != PY_INVALID_STACK_EFFECT;
}

int64_t mt_opcodes_pops(const struct mt_instruction *instruction)
{
    const struct mt_opcode *opcode = opcode_table[instruction->opcode];
    int64_t effect;
    if (opcode->pops == MT_POPS_ALL_BUT_ONE)
        return mt_opcodes_effect(instruction, false, &effect) && effect <= 1 ? 1 - effect : -1;
    if (opcode->pops == MT_POPS_UNKNOWN)
        return -1;
    return opcode->pops + (int64_t)opcode->pops_per_arg * instruction->arg;
}

void mt_opcodes_call(const struct mt_instruction *instruction, struct mt_call *ret)
{
    int64_t count = instruction->arg;
    ret->function_at = -1;
    switch (instruction->opcode) {
    case CALL_FUNCTION_EX: {
#if PY_VERSION_HEX >= 0x030E0000
        /* 3.14: the keywords are always there, NULL if none (gh-128563). */
        ret->callable_at = 3;
        ret->pops = 4;
#else
        int64_t keywords = count & 1;
#if PY_VERSION_HEX >= 0x030D0000
        /* 3.13: the callable stands below the NULL (gh-105848). */
        ret->callable_at = 2 + keywords;
        ret->pops = 3 + keywords;
#elif PY_VERSION_HEX >= 0x030B0000
        /* 3.11: a NULL stands below the callable (bpo-46329). */
        ret->callable_at = 1 + keywords;
        ret->pops = 3 + keywords;
#else
        ret->callable_at = 1 + keywords;
        ret->pops = 2 + keywords;
#endif
#endif
        break;
    }
#ifdef CALL_METHOD
    case CALL_METHOD:
        ret->function_at = count + 1;
        ret->callable_at = count;
        ret->pops = count + 2;
        break;
    case CALL_FUNCTION_KW:
        ret->callable_at = count + 1;
        ret->pops = count + 2;
        break;
    case CALL_FUNCTION:
        ret->callable_at = count;
        ret->pops = count + 1;
        break;
#endif
#ifdef CALL_KW
    case CALL_KW:
        ret->function_at = ret->callable_at = count + 2;
        ret->pops = count + 3;
        break;
#endif
#ifdef CALL
    case CALL: ret->function_at = count + 1;
#if PY_VERSION_HEX >= 0x030D0000
        /* 3.13: the callable stands below the NULL (gh-105848). */
        ret->callable_at = count + 1;
#else
        ret->callable_at = count;
#endif
        ret->pops = count + 2;
        break;
#endif
    default:
        ret->callable_at = 0;
        ret->pops = 0;
        break;
    }
}

/* ---- lines ------------------------------------------------------------------------------- */

void mt_lines_init(struct mt_lines *lines, PyCodeObject *code)
{
#if PY_VERSION_HEX >= 0x030A0000
    PyObject *table = code->co_linetable;
#else
    /* 3.10 replaced co_lnotab (PEP 626). */
    PyObject *table = code->co_lnotab;
#endif
    memset(lines, 0, sizeof(*lines));
    lines->line = code->co_firstlineno;
    lines->shown = -1;
    if (table && PyBytes_CheckExact(table)) {
        lines->cursor = (const uint8_t *)PyBytes_AS_STRING(table);
        lines->end = lines->cursor + PyBytes_GET_SIZE(table);
    }
}

/* Lines are added as the table says, whatever it says: without overflow. */
static int add_line(int line, int64_t delta)
{
    return (int)(uint32_t)((int64_t)line + delta);
}

#if PY_VERSION_HEX >= 0x030B0000
/* 3.11: locations with columns (PEP 657): little-endian groups of 6 bits. */
static int64_t location_varint(struct mt_lines *lines)
{
    uint64_t value = 0;
    for (int shift = 0; shift < 36 && lines->cursor < lines->end; shift += 6) {
        uint8_t byte = *lines->cursor++;
        value |= (uint64_t)(byte & 63) << shift;
        if (!(byte & 64))
            break;
    }
    return (int64_t)value;
}

static int64_t location_signed_varint(struct mt_lines *lines)
{
    int64_t value = location_varint(lines);
    return value & 1 ? -(value >> 1) : value >> 1;
}

static void next_entry(struct mt_lines *lines)
{
    uint8_t head = *lines->cursor++;
    int form = head >> 3 & 15;
    lines->until += 2 * ((head & 7) + 1u);
    if (form == 13 || form == 14)
        lines->line = add_line(lines->line, location_signed_varint(lines));
    else if (form >= 10 && form <= 12)
        lines->line = add_line(lines->line, form - 10);
    lines->shown = form == 15 ? -1 : lines->line;
    /* Columns: skipped, to the next first byte. */
    while (lines->cursor < lines->end && !(*lines->cursor & 128))
        lines->cursor++;
}
#elif PY_VERSION_HEX >= 0x030A0000
/* 3.10: pairs of length in bytes and signed change of line, -128 for no line (PEP 626). */
static void next_entry(struct mt_lines *lines)
{
    uint8_t length = *lines->cursor++;
    int8_t delta = lines->cursor < lines->end ? (int8_t)*lines->cursor++ : 0;
    lines->until += length;
    if (delta != -128)
        lines->line = add_line(lines->line, delta);
    lines->shown = delta == -128 ? -1 : lines->line;
}
#else
/* Up to 3.9: pairs of distance in bytes and signed change of line that applies behind it. */
static void next_entry(struct mt_lines *lines)
{
    lines->shown = lines->line;
    uint8_t length = *lines->cursor++;
    int8_t delta = lines->cursor < lines->end ? (int8_t)*lines->cursor++ : 0;
    lines->until += length;
    lines->line = add_line(lines->line, delta);
}
#endif

int mt_lines_at(struct mt_lines *lines, uint32_t unit)
{
    while (lines->until <= 2 * unit && lines->cursor < lines->end)
        next_entry(lines);
#if PY_VERSION_HEX < 0x030A0000
    /* co_lnotab doesn't say where the last line ends. */
    return lines->until <= 2 * unit ? lines->line : lines->shown;
#else
    return lines->until <= 2 * unit ? -1 : lines->shown;
#endif
}

/* ---- names ------------------------------------------------------------------------------- */

static PyObject *tuple_item(PyObject *tuple, uint32_t index)
{
    if (!tuple || !PyTuple_Check(tuple) || (Py_ssize_t)index >= PyTuple_GET_SIZE(tuple))
        return NULL;
    return PyTuple_GET_ITEM(tuple, index);
}

static PyObject *tuple_name(PyObject *tuple, uint32_t index)
{
    PyObject *item = tuple_item(tuple, index);
    return item && PyUnicode_Check(item) ? item : NULL;
}

PyObject *mt_opcodes_name(PyCodeObject *code, uint32_t index)
{
    return tuple_name(code->co_names, index);
}

PyObject *mt_opcodes_const(PyCodeObject *code, uint32_t index)
{
    if (index >= MT_COMMON_CONSTANT)
        return common_constant(index - MT_COMMON_CONSTANT);
    return tuple_item(code->co_consts, index);
}

PyObject *mt_opcodes_qualname(PyCodeObject *code)
{
#if PY_VERSION_HEX >= 0x030B0000
    /* 3.11 gave code objects a qualified name (bpo-13672, bpo-44530). */
    return code->co_qualname && PyUnicode_Check(code->co_qualname) ? code->co_qualname : NULL;
#else
    return NULL;
#endif
}

bool mt_opcodes_made_function(const struct mt_bytecode *bytecode, uint32_t i, PyCodeObject **child,
                              PyObject **qualname)
{
    const struct mt_instruction *instruction = &bytecode->instructions[i];
    if (i < 2 || instruction->opcode != MAKE_FUNCTION || instruction[-1].action != MT_ACT_CONST ||
        instruction[-2].action != MT_ACT_CONST)
        return false;
    PyObject *code = mt_opcodes_const(bytecode->code, instruction[-2].index);
    *child = (PyCodeObject *)code;
    *qualname = mt_opcodes_const(bytecode->code, instruction[-1].index);
    return code && PyCode_Check(code) && *qualname && PyUnicode_Check(*qualname);
}

#if PY_VERSION_HEX >= 0x030B0000
/* 3.11: one array for locals, cells and free variables (bpo-43693); its kinds, one byte
 * each, have bit 0x40 where the variable is a cell. */
enum { MT_KIND_CELL = 0x40 };

PyObject *mt_opcodes_fast_name(PyCodeObject *code, uint32_t slot)
{
    return tuple_name(code->co_localsplusnames, slot);
}

PyObject *mt_opcodes_deref_name(PyCodeObject *code, uint32_t index)
{
    return tuple_name(code->co_localsplusnames, index);
}

uint32_t mt_opcodes_deref_slot(PyCodeObject *code, uint32_t index)
{
    return index;
}

uint32_t mt_opcodes_argument_slot(PyCodeObject *code, uint32_t argument, bool *is_cell)
{
    PyObject *kinds = code->co_localspluskinds;
    *is_cell = kinds && PyBytes_Check(kinds) && (Py_ssize_t)argument < PyBytes_GET_SIZE(kinds) &&
               PyBytes_AS_STRING(kinds)[argument] & MT_KIND_CELL;
    return argument;
}
#else
PyObject *mt_opcodes_fast_name(PyCodeObject *code, uint32_t slot)
{
    return tuple_name(code->co_varnames, slot);
}

PyObject *mt_opcodes_deref_name(PyCodeObject *code, uint32_t index)
{
    uint32_t cell_count = (uint32_t)PyTuple_GET_SIZE(code->co_cellvars);
    return index < cell_count ? tuple_name(code->co_cellvars, index)
                              : tuple_name(code->co_freevars, index - cell_count);
}

uint32_t mt_opcodes_deref_slot(PyCodeObject *code, uint32_t index)
{
    return (uint32_t)code->co_nlocals + index;
}

uint32_t mt_opcodes_argument_slot(PyCodeObject *code, uint32_t argument, bool *is_cell)
{
    Py_ssize_t cell_count = PyTuple_GET_SIZE(code->co_cellvars);
    for (Py_ssize_t i = 0; code->co_cell2arg && i < cell_count; i++) {
        if (code->co_cell2arg[i] == (Py_ssize_t)argument) {
            *is_cell = true;
            return (uint32_t)(code->co_nlocals + i);
        }
    }
    *is_cell = false;
    return argument;
}
#endif
