/* Abstract interpretation of bytecode. See plan_flow.h. Threads: none, works on its own
 * structure. */
#include "plan_flow.h"

#include <string.h>

enum {
    MT_DEPTH_UNVISITED = -1,
    MT_DEPTH_UNKNOWN = -2, /* ways of different depth meet here */
};

/* ---- the stack ---------------------------------------------------------------------------- */

static void touch(struct mt_flow *flow)
{
    if (flow->depth < flow->lowest)
        flow->lowest = flow->depth;
}

/* Code that takes what isn't there, or pushes more than it announced, was made by hand. */
static void lose_anchor(struct mt_flow *flow)
{
    flow->anchored = false;
}

static void push(struct mt_flow *flow, uint32_t node)
{
    if (flow->depth == flow->capacity) {
        lose_anchor(flow);
        flow->depth = 0;
        touch(flow);
        return;
    }
    flow->stack[flow->depth++] = node;
}

static void push_unknown(struct mt_flow *flow, int64_t count)
{
    if (count > (int64_t)flow->capacity) {
        lose_anchor(flow);
        return;
    }
    while (count-- > 0)
        push(flow, 0);
}

static void pop(struct mt_flow *flow, int64_t count)
{
    if (count > (int64_t)flow->depth) {
        lose_anchor(flow);
        flow->depth = 0;
    } else if (count > 0) {
        flow->depth -= (uint32_t)count;
    }
    touch(flow);
}

int32_t mt_flow_depth(const struct mt_flow *flow)
{
    return flow->anchored ? (int32_t)flow->depth : -1;
}

uint32_t mt_flow_peek(const struct mt_flow *flow, int64_t position)
{
    if (position < 0 || position >= (int64_t)flow->depth)
        return 0;
    return flow->stack[flow->depth - 1 - (uint32_t)position];
}

/* ---- one instruction ------------------------------------------------------------------------- */

/* (Re)write value `which` (0 or 1) of instruction `i` and return its number. */
static uint32_t node(struct mt_flow *flow, uint32_t i, uint32_t which, enum mt_node_kind kind,
                     uint32_t first, uint32_t second)
{
    uint32_t number = 1 + 2 * i + which;
    struct mt_node *ret = &flow->nodes[number];
    ret->kind = kind;
    ret->first = first;
    ret->second = second;
    ret->third = 0;
    ret->index = flow->bytecode->instructions[i].index;
    return number;
}

static void load(struct mt_flow *flow, uint32_t i, enum mt_node_kind kind)
{
    const struct mt_instruction *instruction = &flow->bytecode->instructions[i];
    pop(flow, mt_opcodes_pops(instruction));
    if (instruction->pushes_null && flow->bytecode->null_below)
        push(flow, 0);
    push(flow, node(flow, i, 0, kind, 0, 0));
    if (instruction->pushes_null && !flow->bytecode->null_below)
        push(flow, 0);
}

/* One of the two slots that a superinstruction names. */
static void load_half(struct mt_flow *flow, uint32_t i, uint32_t which, uint32_t slot)
{
    uint32_t number = node(flow, i, which, MT_NODE_FAST, 0, 0);
    flow->nodes[number].index = slot;
    push(flow, number);
}

static void attribute(struct mt_flow *flow, uint32_t i, enum mt_node_kind kind)
{
    uint32_t base = mt_flow_peek(flow, 0);
    pop(flow, 1);
    push(flow, node(flow, i, 0, kind, base, 0));
    if (kind == MT_NODE_METHOD)
        push(flow, base);
}

/* `super().name`: what is called stands lowest, then the class and self. */
static void super_attribute(struct mt_flow *flow, uint32_t i)
{
    uint32_t base = node(flow, i, 0, MT_NODE_CALL, mt_flow_peek(flow, 2), 0);
    bool is_method = flow->bytecode->instructions[i].arg & 1;
    pop(flow, 3);
    push(flow, node(flow, i, 1, is_method ? MT_NODE_METHOD : MT_NODE_ATTR, base, 0));
    if (is_method)
        push(flow, 0);
}

static void subscript(struct mt_flow *flow, uint32_t i)
{
    uint32_t key = mt_flow_peek(flow, 0), base = mt_flow_peek(flow, 1);
    pop(flow, 2);
    push(flow, node(flow, i, 0, MT_NODE_SUBSCR, base, key));
}

static uint32_t slice_node(struct mt_flow *flow, uint32_t i, uint32_t count)
{
    uint32_t start = mt_flow_peek(flow, count - 1), stop = mt_flow_peek(flow, count - 2);
    uint32_t number = node(flow, i, 0, MT_NODE_SLICE, start, stop);
    flow->nodes[number].index = count;
    flow->nodes[number].third = count == 3 ? mt_flow_peek(flow, 0) : 0;
    return number;
}

static void build_slice(struct mt_flow *flow, uint32_t i)
{
    uint32_t count = flow->bytecode->instructions[i].arg == 3 ? 3 : 2;
    uint32_t slice = slice_node(flow, i, count);
    pop(flow, count);
    push(flow, slice);
}

static void binary_slice(struct mt_flow *flow, uint32_t i)
{
    uint32_t slice = slice_node(flow, i, 2), base = mt_flow_peek(flow, 2);
    pop(flow, 3);
    push(flow, node(flow, i, 1, MT_NODE_SUBSCR, base, slice));
}

static void call(struct mt_flow *flow, uint32_t i)
{
    struct mt_call shape;
    mt_opcodes_call(&flow->bytecode->instructions[i], &shape);
    uint32_t callee = mt_flow_peek(flow, shape.function_at);
    if (flow->nodes[callee].kind != MT_NODE_METHOD)
        callee = mt_flow_peek(flow, shape.callable_at);
    pop(flow, shape.pops);
    push(flow, node(flow, i, 0, MT_NODE_CALL, callee, 0));
}

/* Let the instruction reach `count` cells down. False: they aren't there. */
static bool reach(struct mt_flow *flow, uint32_t count)
{
    if (count == 0 || count > flow->depth) {
        lose_anchor(flow);
        flow->depth = 0;
        touch(flow);
        return false;
    }
    if (flow->depth - count < flow->lowest)
        flow->lowest = flow->depth - count;
    return true;
}

static void swap(struct mt_flow *flow, uint32_t count)
{
    if (!reach(flow, count))
        return;
    uint32_t *top = &flow->stack[flow->depth - 1], *other = &flow->stack[flow->depth - count];
    uint32_t moved = *top;
    *top = *other;
    *other = moved;
}

static void rotate(struct mt_flow *flow, uint32_t count)
{
    if (!reach(flow, count))
        return;
    uint32_t *lowest = &flow->stack[flow->depth - count];
    uint32_t top = flow->stack[flow->depth - 1];
    memmove(lowest + 1, lowest, (count - 1) * sizeof(*lowest));
    *lowest = top;
}

static void copy(struct mt_flow *flow, uint32_t position)
{
    push(flow, position ? mt_flow_peek(flow, (int64_t)position - 1) : 0);
}

/* An instruction whose results have no names; `jump`: on the way to its target. */
static void opaque(struct mt_flow *flow, const struct mt_instruction *instruction, bool jump)
{
    int64_t effect;
    if (!mt_opcodes_effect(instruction, jump, &effect)) {
        lose_anchor(flow);
        flow->depth = 0;
        touch(flow);
        return;
    }
    int64_t pops = mt_opcodes_pops(instruction);
    /* Not in the table: believe that it touches two more than it must. */
    if (pops < 0)
        pops = (effect < 0 ? -effect : 0) + 2;
    if (pops < -effect)
        pops = -effect;
    if (mt_opcodes_pops(instruction) < 0 && pops > (int64_t)flow->depth)
        pops = flow->depth > -effect ? flow->depth : -effect;
    pop(flow, pops);
    push_unknown(flow, pops + effect);
}

static void execute(struct mt_flow *flow, uint32_t i)
{
    const struct mt_instruction *instruction = &flow->bytecode->instructions[i];
    switch ((enum mt_action)instruction->action) {
    case MT_ACT_CONST: load(flow, i, MT_NODE_CONST); break;
    case MT_ACT_SMALL_INT: load(flow, i, MT_NODE_SMALL_INT); break;
    case MT_ACT_LOAD_FAST: load(flow, i, MT_NODE_FAST); break;
    case MT_ACT_LOAD_FAST_PAIR:
        load_half(flow, i, 0, instruction->arg >> 4);
        load_half(flow, i, 1, instruction->arg & 15);
        break;
    case MT_ACT_LOAD_AND_CLEAR: load(flow, i, MT_NODE_SAVED); break;
    case MT_ACT_LOAD_DEREF: load(flow, i, MT_NODE_DEREF); break;
    case MT_ACT_LOAD_GLOBAL: load(flow, i, MT_NODE_GLOBAL); break;
    case MT_ACT_LOAD_NAME: load(flow, i, MT_NODE_NAME); break;
    case MT_ACT_ATTR: attribute(flow, i, MT_NODE_ATTR); break;
    case MT_ACT_METHOD: attribute(flow, i, MT_NODE_METHOD); break;
    case MT_ACT_SUPER_ATTR: super_attribute(flow, i); break;
    case MT_ACT_SUBSCR: subscript(flow, i); break;
    case MT_ACT_BUILD_SLICE: build_slice(flow, i); break;
    case MT_ACT_BINARY_SLICE: binary_slice(flow, i); break;
    case MT_ACT_INPLACE:
    case MT_ACT_INPLACE_MULTIPLY:
    case MT_ACT_ADD:
        pop(flow, 2);
        push(flow, node(flow, i, 0, MT_NODE_INPLACE, 0, 0));
        break;
    case MT_ACT_CALL: call(flow, i); break;
    case MT_ACT_COPY: copy(flow, instruction->index); break;
    case MT_ACT_COPY_TWO:
        copy(flow, 2);
        copy(flow, 2);
        break;
    case MT_ACT_SWAP: swap(flow, instruction->index); break;
    case MT_ACT_ROTATE: rotate(flow, instruction->index); break;
    case MT_ACT_STORE_LOAD_FAST:
        pop(flow, 1);
        load_half(flow, i, 0, instruction->arg & 15);
        break;
    default: opaque(flow, instruction, false); break;
    }
}

/* ---- states ------------------------------------------------------------------------------------ */

struct mt_worklist {
    uint32_t *states;
    uint32_t count;
};

/* Where ways can meet: jump targets, handlers, and both ends of what a handler covers (so
 * that one handler is in force between two such places). */
static void mark(struct mt_bytecode *bytecode, uint32_t i)
{
    if (i < bytecode->count)
        bytecode->instructions[i].state = 1;
}

static void mark_states(struct mt_bytecode *bytecode)
{
    mark(bytecode, 0);
    for (uint32_t i = 0; i < bytecode->count; i++) {
        const struct mt_instruction *instruction = &bytecode->instructions[i];
        mark(bytecode, instruction->target);
        if (instruction->ends)
            mark(bytecode, i + 1);
    }
    for (uint32_t i = 0; i < bytecode->handler_count; i++) {
        mark(bytecode, bytecode->handlers[i].target);
        mark(bytecode, bytecode->handlers[i].begin);
        mark(bytecode, bytecode->handlers[i].end);
    }
}

static bool create_states(struct mt_flow *flow)
{
    struct mt_bytecode *bytecode = flow->bytecode;
    uint32_t count = 0;
    mark_states(bytecode);
    for (uint32_t i = 0; i < bytecode->count; i++) {
        if (bytecode->instructions[i].state)
            bytecode->instructions[i].state = ++count;
    }
    flow->states = PyMem_RawMalloc((count + 1) * sizeof(*flow->states));
    if (!flow->states)
        return false;
    for (uint32_t i = 0; i < bytecode->count; i++) {
        if (!bytecode->instructions[i].state)
            continue;
        struct mt_flow_state *state = &flow->states[bytecode->instructions[i].state - 1];
        *state = (struct mt_flow_state){.depth = MT_DEPTH_UNVISITED, .instruction = i};
    }
    flow->state_count = count;
    return true;
}

static bool reserve_cells(struct mt_flow *flow, uint32_t count)
{
    uint64_t needed = (uint64_t)flow->cell_count + count;
    if (needed <= flow->cell_capacity)
        return true;
    uint64_t capacity = needed * 2 + 64;
    uint32_t *cells =
        capacity > UINT32_MAX ? NULL : PyMem_RawRealloc(flow->cells, capacity * sizeof(*cells));
    if (!cells) {
        flow->no_memory = true;
        return false;
    }
    flow->cells = cells;
    flow->cell_capacity = (uint32_t)capacity;
    return true;
}

static void queue(struct mt_flow *flow, struct mt_worklist *work, struct mt_flow_state *state)
{
    if (state->queued)
        return;
    state->queued = true;
    work->states[work->count++] = (uint32_t)(state - flow->states);
}

/* Control reaches instruction `i` with the lowest `kept` cells of the stack as it is, and
 * `pushed` unknown values above them. */
static void arrive(struct mt_flow *flow, struct mt_worklist *work, uint32_t i, uint32_t kept,
                   uint32_t pushed)
{
    if (i >= flow->bytecode->count)
        return;
    struct mt_flow_state *state = &flow->states[flow->bytecode->instructions[i].state - 1];
    if (state->depth == MT_DEPTH_UNKNOWN)
        return;
    bool known = flow->anchored && kept <= flow->depth && kept + pushed <= flow->capacity;
    int32_t depth = (int32_t)(kept + pushed);
    if (!known || (state->depth >= 0 && state->depth != depth)) {
        state->depth = MT_DEPTH_UNKNOWN;
        queue(flow, work, state);
        return;
    }
    if (state->depth == MT_DEPTH_UNVISITED) {
        if (!reserve_cells(flow, kept + pushed))
            return;
        state->depth = depth;
        state->cells = flow->cell_count;
        flow->cell_count += kept + pushed;
        if (kept)
            memcpy(&flow->cells[state->cells], flow->stack, kept * sizeof(*flow->stack));
        if (pushed)
            memset(&flow->cells[state->cells + kept], 0, pushed * sizeof(*flow->stack));
        queue(flow, work, state);
        return;
    }
    for (uint32_t k = 0; k < kept; k++) {
        uint32_t *cell = &flow->cells[state->cells + k];
        if (*cell && *cell != flow->stack[k]) {
            *cell = 0;
            queue(flow, work, state);
        }
    }
}

static void load_state(struct mt_flow *flow, const struct mt_flow_state *state)
{
    flow->anchored = state->depth >= 0;
    flow->depth = state->depth >= 0 ? (uint32_t)state->depth : 0;
    if (flow->depth)
        memcpy(flow->stack, &flow->cells[state->cells], flow->depth * sizeof(*flow->stack));
    flow->lowest = flow->depth;
}

/* The way to the jump target of instruction `i`, which has not been executed yet. */
static void follow_jump(struct mt_flow *flow, struct mt_worklist *work, uint32_t i)
{
    const struct mt_instruction *instruction = &flow->bytecode->instructions[i];
    int64_t effect, pops = mt_opcodes_pops(instruction);
    if (!mt_opcodes_effect(instruction, true, &effect) || pops < 0)
        return;
    if (pops < -effect)
        pops = -effect;
    if (pops > (int64_t)flow->depth || pops + effect > (int64_t)flow->capacity)
        return;
    arrive(flow, work, instruction->target, flow->depth - (uint32_t)pops,
           (uint32_t)(pops + effect));
}

/* What the block did below the depth that its handler keeps is not known there. */
static void blur_handler(struct mt_flow *flow, struct mt_worklist *work, uint32_t handler)
{
    const struct mt_handler *entry = &flow->bytecode->handlers[handler - 1];
    struct mt_flow_state *state =
        &flow->states[flow->bytecode->instructions[entry->target].state - 1];
    if (state->depth < 0)
        return;
    for (uint32_t k = flow->lowest; k < entry->depth && k < (uint32_t)state->depth; k++) {
        uint32_t *cell = &flow->cells[state->cells + k];
        if (*cell) {
            *cell = 0;
            queue(flow, work, state);
        }
    }
}

/* Run from a state to where ways meet next or control ends. Returns instructions run. */
static uint32_t run_block(struct mt_flow *flow, struct mt_worklist *work,
                          const struct mt_flow_state *state)
{
    const struct mt_bytecode *bytecode = flow->bytecode;
    uint32_t i = state->instruction, handler = bytecode->instructions[i].handler;
    load_state(flow, state);
    if (handler) {
        const struct mt_handler *entry = &bytecode->handlers[handler - 1];
        arrive(flow, work, entry->target, entry->depth, entry->pushed);
    }
    for (;;) {
        const struct mt_instruction *instruction = &bytecode->instructions[i];
        if (instruction->target != MT_NO_TARGET)
            follow_jump(flow, work, i);
        execute(flow, i);
        i++;
        if (instruction->ends || i == bytecode->count)
            break;
        if (bytecode->instructions[i].state) {
            arrive(flow, work, i, flow->depth, 0);
            break;
        }
    }
    if (handler)
        blur_handler(flow, work, handler);
    return i - state->instruction;
}

/* Give up what was found: no state is known. */
static void forget_states(struct mt_flow *flow)
{
    for (uint32_t i = 0; i < flow->state_count; i++)
        flow->states[i].depth = MT_DEPTH_UNKNOWN;
}

static bool allocate(struct mt_flow *flow)
{
    const struct mt_bytecode *bytecode = flow->bytecode;
    size_t node_count = 1 + 2 * (size_t)bytecode->count;
    flow->capacity = bytecode->stack_size + 8;
    flow->nodes = PyMem_RawCalloc(node_count, sizeof(*flow->nodes));
    flow->stack = PyMem_RawCalloc(flow->capacity, sizeof(*flow->stack));
    return flow->nodes && flow->stack && create_states(flow);
}

bool mt_flow_solve(struct mt_bytecode *bytecode, struct mt_flow *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->bytecode = bytecode;
    struct mt_worklist work = {NULL, 0};
    if (bytecode->count > INT32_MAX / 4 || !allocate(ret) ||
        !(work.states = PyMem_RawMalloc((ret->state_count + 1) * sizeof(*work.states)))) {
        mt_flow_deinit(ret);
        return false;
    }
    ret->anchored = true;
    push_unknown(ret, bytecode->entry_depth);
    arrive(ret, &work, 0, ret->depth, 0);
    /* A compiler's code needs each block once or twice. */
    int64_t budget = 64 * (int64_t)bytecode->count + 1024;
    while (work.count && budget > 0 && !ret->no_memory) {
        struct mt_flow_state *state = &ret->states[work.states[--work.count]];
        state->queued = false;
        budget -= run_block(ret, &work, state);
    }
    if (work.count)
        forget_states(ret);
    PyMem_RawFree(work.states);
    if (ret->no_memory) {
        mt_flow_deinit(ret);
        return false;
    }
    return true;
}

void mt_flow_deinit(struct mt_flow *flow)
{
    PyMem_RawFree(flow->nodes);
    PyMem_RawFree(flow->states);
    PyMem_RawFree(flow->cells);
    PyMem_RawFree(flow->stack);
    memset(flow, 0, sizeof(*flow));
}

void mt_flow_enter(struct mt_flow *flow, uint32_t i)
{
    uint32_t state = flow->bytecode->instructions[i].state;
    if (state)
        load_state(flow, &flow->states[state - 1]);
}

void mt_flow_step(struct mt_flow *flow, uint32_t i)
{
    execute(flow, i);
}
