/* What is on the operand stack before each instruction, as expressions.
 *
 * An abstract interpretation over the control-flow graph: the stack holds nodes, one for
 * each value whose source expression may be asked for. Where two ways meet, a cell that
 * differs becomes unknown and the others stay, so that arguments with branches in them
 * (`xs.append(a if b else c)`) don't hide what is below. The depth of the stack comes out
 * with it. Linear in the size of the code for what a compiler writes; for anything else the
 * work is bounded and what is not understood is unknown. Runs no Python code. */
#ifndef MT_PLAN_FLOW_H
#define MT_PLAN_FLOW_H

#include <stdbool.h>
#include "plan_opcodes.h"

enum mt_node_kind {
    MT_NODE_UNKNOWN,
    MT_NODE_CONST,     /* index: of the constant */
    MT_NODE_SMALL_INT, /* index: its value */
    MT_NODE_FAST,      /* index: slot */
    MT_NODE_DEREF,     /* index: as the instruction has it */
    MT_NODE_GLOBAL,    /* index: of the name */
    MT_NODE_NAME,
    MT_NODE_ATTR,    /* first: base; index: of the name */
    MT_NODE_METHOD,  /* as ATTR; self is the cell above it */
    MT_NODE_SUBSCR,  /* first: base, second: key */
    MT_NODE_SLICE,   /* first, second, third: start, stop, step; index: how many */
    MT_NODE_CALL,    /* first: what is called */
    MT_NODE_INPLACE, /* index: free for the caller of mt_flow_step() */
    MT_NODE_SAVED,   /* index: slot that an inlined comprehension borrows */
};

/* A value that one instruction pushes. Node numbers follow from the instruction, so that
 * the same value has the same number on every way; 0 is the unknown value. */
struct mt_node {
    uint8_t kind;
    uint32_t first, second, third;
    uint32_t index;
};

struct mt_flow_state {
    int32_t depth;  /* operands, or MT_DEPTH_* */
    uint32_t cells; /* position of its cells */
    uint32_t instruction;
    bool queued;
};

struct mt_flow {
    struct mt_bytecode *bytecode;
    struct mt_node *nodes; /* two for each instruction, and the unknown one */
    struct mt_flow_state *states;
    uint32_t state_count;
    uint32_t *cells; /* of all states */
    uint32_t cell_count, cell_capacity;
    uint32_t *stack; /* now: node numbers, from the bottom */
    uint32_t depth, capacity;
    uint32_t lowest; /* least depth touched since the state was loaded */
    bool anchored;   /* `depth` counts from the true bottom */
    bool no_memory;
};

/* False: out of memory. `bytecode` must outlive `ret`; its `state` fields are used. */
bool mt_flow_solve(struct mt_bytecode *bytecode, struct mt_flow *ret);
void mt_flow_deinit(struct mt_flow *flow);

/* Walk the instructions in order, after solving: enter instruction `i`, look at the stack
 * as it is before it, step over it. */
void mt_flow_enter(struct mt_flow *flow, uint32_t i);
void mt_flow_step(struct mt_flow *flow, uint32_t i);

/* Operands on the stack, -1 if not known. */
int32_t mt_flow_depth(const struct mt_flow *flow);

/* Number of the node `position` cells below the top, 0 = TOS. */
uint32_t mt_flow_peek(const struct mt_flow *flow, int64_t position);

#endif
