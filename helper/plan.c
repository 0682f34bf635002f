/* A code object's plan: from decoded bytecode and the expressions on its stack to a list of
 * store sites. See plan.h.
 *
 * Threads: needs the GIL, which also guards the table of qualified names at the end. A plan
 * is one block of memory, strings included. */
#include "plan.h"

#include <stddef.h>
#include <string.h>
#include "frame.h"
#include "plan_flow.h"
#include "plan_names.h"
#include "plan_opcodes.h"
#include "snapshot.h"

enum { MT_NO_DRAFT = UINT32_MAX };

/* A site while the plan grows: its strings may still move. */
struct mt_draft {
    struct mt_site site;
    uint32_t name, key; /* positions in `strings` */
    uint32_t moved;     /* its index in the plan, MT_NO_DRAFT if left out */
};

struct mt_planner {
    PyCodeObject *code;
    struct mt_bytecode bytecode;
    struct mt_flow flow;
    struct mt_lines lines;
    struct mt_draft *drafts;
    uint32_t draft_count, draft_capacity;
    char *strings; /* each ends in '\0'; "" is at 0 */
    uint32_t strings_size, strings_capacity;
    uint32_t *interned; /* hash table of positions in `strings`, 0 free */
    uint32_t interned_count, interned_capacity;
    bool no_memory;
    struct mt_name text;
};

/* ---- strings ----------------------------------------------------------------------------- */

static uint32_t hash_text(const char *text, size_t size)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (uint8_t)text[i]) * 16777619u;
    return hash;
}

static bool grow_interned(struct mt_planner *planner)
{
    uint32_t capacity = planner->interned_capacity ? 2 * planner->interned_capacity : 32;
    uint32_t *table = PyMem_RawCalloc(capacity, sizeof(*table));
    if (!table)
        return false;
    for (uint32_t i = 0; i < planner->interned_capacity; i++) {
        uint32_t position = planner->interned[i];
        if (!position)
            continue;
        const char *text = planner->strings + position;
        uint32_t slot = hash_text(text, strlen(text)) & (capacity - 1);
        while (table[slot])
            slot = (slot + 1) & (capacity - 1);
        table[slot] = position;
    }
    PyMem_RawFree(planner->interned);
    planner->interned = table;
    planner->interned_capacity = capacity;
    return true;
}

static bool reserve_strings(struct mt_planner *planner, uint32_t size)
{
    if (planner->strings_size + size <= planner->strings_capacity)
        return true;
    uint32_t capacity = 2 * (planner->strings_size + size) + 64;
    char *strings = PyMem_RawRealloc(planner->strings, capacity);
    if (!strings)
        return false;
    planner->strings = strings;
    planner->strings_capacity = capacity;
    return true;
}

/* Position of planner->text among the strings, each kept once. 0, "", when out of memory. */
static uint32_t intern(struct mt_planner *planner)
{
    const struct mt_name *text = &planner->text;
    if (!text->size || planner->no_memory)
        return 0;
    if (2 * planner->interned_count >= planner->interned_capacity && !grow_interned(planner)) {
        planner->no_memory = true;
        return 0;
    }
    uint32_t slot = hash_text(text->bytes, text->size) & (planner->interned_capacity - 1);
    for (uint32_t position; (position = planner->interned[slot]) != 0;) {
        if (strncmp(planner->strings + position, text->bytes, text->size) == 0 &&
            planner->strings[position + text->size] == '\0')
            return position;
        slot = (slot + 1) & (planner->interned_capacity - 1);
    }
    if (!reserve_strings(planner, text->size + 1)) {
        planner->no_memory = true;
        return 0;
    }
    uint32_t position = planner->strings_size;
    memcpy(planner->strings + position, text->bytes, text->size);
    planner->strings[position + text->size] = '\0';
    planner->strings_size += text->size + 1;
    planner->interned[slot] = position;
    planner->interned_count++;
    return position;
}

static uint32_t intern_string(struct mt_planner *planner, PyObject *string)
{
    mt_name_clear(&planner->text);
    mt_name_string(&planner->text, string);
    return intern(planner);
}

static uint32_t intern_base(struct mt_planner *planner, uint32_t node)
{
    mt_name_clear(&planner->text);
    mt_name_base(&planner->text, &planner->flow, node);
    return intern(planner);
}

/* ---- sites ---------------------------------------------------------------------------------- */

/* Room for another draft, or NULL: out of memory. */
static struct mt_draft *new_draft(struct mt_planner *planner)
{
    if (planner->draft_count == planner->draft_capacity) {
        uint32_t capacity = 2 * planner->draft_capacity + 16;
        struct mt_draft *drafts = PyMem_RawRealloc(planner->drafts, capacity * sizeof(*drafts));
        if (!drafts) {
            planner->no_memory = true;
            return NULL;
        }
        planner->drafts = drafts;
        planner->draft_capacity = capacity;
    }
    struct mt_draft *draft = &planner->drafts[planner->draft_count++];
    memset(draft, 0, sizeof(*draft));
    return draft;
}

/* Begin a site at instruction `i`. */
static struct mt_draft *add_site(struct mt_planner *planner, uint32_t i, enum mt_site_op op,
                                 enum mt_scope scope)
{
    const struct mt_instruction *instruction = &planner->bytecode.instructions[i];
    struct mt_draft *draft = new_draft(planner);
    if (!draft)
        return NULL;
    bool is_last = i + 1 == planner->bytecode.count;
    uint32_t next = is_last ? planner->bytecode.unit_count : instruction[1].first;
    uint32_t units = next - instruction->unit;
    draft->site = (struct mt_site){
        .offset = 2 * (int32_t)instruction->unit,
        .units = (uint8_t)(units < UINT8_MAX ? units : UINT8_MAX), /* no compiler's takes more */
        .prefixes = (uint8_t)(instruction->unit - instruction->first),
        .op = (uint8_t)op,
        .scope = (uint8_t)scope,
        .line = mt_lines_at(&planner->lines, instruction->unit),
        .slot = -1,
        .depth = mt_flow_depth(&planner->flow),
        .partner = -1,
    };
    return draft;
}

static uint32_t draft_index(const struct mt_planner *planner, const struct mt_draft *draft)
{
    return (uint32_t)(draft - planner->drafts);
}

/* The value about to be stored, `position` below the top, may come from an in-place
 * operator: then that one's site says what the store's does. */
static void link_inplace(struct mt_planner *planner, struct mt_draft *store, int64_t position)
{
    const struct mt_node *value = &planner->flow.nodes[mt_flow_peek(&planner->flow, position)];
    if (value->kind != MT_NODE_INPLACE || value->index == MT_NO_DRAFT)
        return;
    struct mt_draft *operation = &planner->drafts[value->index];
    if (operation->site.partner >= 0)
        return;
    operation->site.partner = (int32_t)draft_index(planner, store);
    operation->site.scope = store->site.scope;
    operation->site.slot = store->site.slot;
    operation->site.name_index = store->site.name_index;
    operation->name = store->name;
    operation->key = store->key;
}

static struct mt_draft *fast_site(struct mt_planner *planner, uint32_t i, enum mt_site_op op,
                                  uint32_t slot)
{
    PyObject *name = mt_opcodes_fast_name(planner->code, slot);
    struct mt_draft *draft = name ? add_site(planner, i, op, MT_LOCAL) : NULL;
    if (!draft)
        return NULL;
    draft->site.slot = (int32_t)slot;
    draft->name = intern_string(planner, name);
    return draft;
}

static void store_fast(struct mt_planner *planner, uint32_t i, uint32_t slot)
{
    struct mt_draft *draft = fast_site(planner, i, MT_SITE_STORE_FAST, slot);
    if (!draft)
        return;
    const struct mt_node *value = &planner->flow.nodes[mt_flow_peek(&planner->flow, 0)];
    draft->site.restores = value->kind == MT_NODE_SAVED && value->index == slot;
    link_inplace(planner, draft, 0);
}

/* STORE_FAST_STORE_FAST: the second store finds its value one below the first's. */
static void store_fast_pair(struct mt_planner *planner, uint32_t i)
{
    uint32_t slots = planner->bytecode.instructions[i].arg;
    store_fast(planner, i, slots >> 4);
    struct mt_draft *draft = fast_site(planner, i, MT_SITE_STORE_FAST, slots & 15);
    if (!draft)
        return;
    const struct mt_node *value = &planner->flow.nodes[mt_flow_peek(&planner->flow, 1)];
    draft->site.restores = value->kind == MT_NODE_SAVED && value->index == (slots & 15);
    draft->site.second = 1;
    link_inplace(planner, draft, 1);
}

static void deref_site(struct mt_planner *planner, uint32_t i, enum mt_site_op op)
{
    uint32_t index = planner->bytecode.instructions[i].index;
    PyObject *name = mt_opcodes_deref_name(planner->code, index);
    struct mt_draft *draft = name ? add_site(planner, i, op, MT_CELL) : NULL;
    if (!draft)
        return;
    draft->site.slot = (int32_t)mt_opcodes_deref_slot(planner->code, index);
    draft->name = intern_string(planner, name);
    if (op == MT_SITE_STORE_DEREF)
        link_inplace(planner, draft, 0);
}

/* What mt_plan_name() takes, of the name that instruction `i` has. */
static uint32_t name_index(const struct mt_planner *planner, uint32_t i)
{
    return planner->bytecode.instructions[i].index + 1;
}

static void name_site(struct mt_planner *planner, uint32_t i, enum mt_site_op op,
                      enum mt_scope scope)
{
    PyObject *name = mt_opcodes_name(planner->code, planner->bytecode.instructions[i].index);
    struct mt_draft *draft = name ? add_site(planner, i, op, scope) : NULL;
    if (!draft)
        return;
    draft->site.name_index = name_index(planner, i);
    draft->name = intern_string(planner, name);
    if (op == MT_SITE_STORE_NAME || op == MT_SITE_STORE_GLOBAL)
        link_inplace(planner, draft, 0);
}

static void attribute_site(struct mt_planner *planner, uint32_t i, enum mt_site_op op)
{
    PyObject *name = mt_opcodes_name(planner->code, planner->bytecode.instructions[i].index);
    struct mt_draft *draft = name ? add_site(planner, i, op, MT_ATTRIBUTE) : NULL;
    if (!draft)
        return;
    draft->site.name_index = name_index(planner, i);
    mt_name_clear(&planner->text);
    mt_name_base(&planner->text, &planner->flow, mt_flow_peek(&planner->flow, 0));
    mt_name_attribute(&planner->text, name);
    draft->name = intern(planner);
    if (op == MT_SITE_STORE_ATTR)
        link_inplace(planner, draft, 1);
}

/* Say which variable expression `node` is. False: it is none. */
static bool set_variable(struct mt_planner *planner, struct mt_draft *draft, uint32_t number)
{
    const struct mt_node *node = &planner->flow.nodes[number];
    switch ((enum mt_node_kind)node->kind) {
    case MT_NODE_FAST:
        draft->site.scope = MT_LOCAL;
        draft->site.slot = (int32_t)node->index;
        break;
    case MT_NODE_DEREF:
        draft->site.scope = MT_CELL;
        draft->site.slot = (int32_t)mt_opcodes_deref_slot(planner->code, node->index);
        break;
    case MT_NODE_GLOBAL:
    case MT_NODE_NAME:
        draft->site.scope = node->kind == MT_NODE_GLOBAL ? MT_GLOBAL : MT_NAME;
        draft->site.base_index = node->index + 1;
        break;
    case MT_NODE_ATTR: draft->site.scope = MT_ATTRIBUTE; break;
    case MT_NODE_SUBSCR:
        draft->site.scope = MT_ITEM;
        draft->name = intern_base(planner, node->first);
        mt_name_clear(&planner->text);
        mt_name_key(&planner->text, &planner->flow, node->second);
        draft->key = intern(planner);
        return true;
    default: return false;
    }
    draft->name = intern_base(planner, number);
    return true;
}

/* A variable's own slot or name must be there to be looked at. */
static bool is_variable(const struct mt_planner *planner, uint32_t number)
{
    const struct mt_node *node = &planner->flow.nodes[number];
    switch ((enum mt_node_kind)node->kind) {
    case MT_NODE_FAST: return mt_opcodes_fast_name(planner->code, node->index) != NULL;
    case MT_NODE_DEREF: return mt_opcodes_deref_name(planner->code, node->index) != NULL;
    case MT_NODE_GLOBAL:
    case MT_NODE_NAME: return mt_opcodes_name(planner->code, node->index) != NULL;
    case MT_NODE_ATTR:
    case MT_NODE_SUBSCR: return true;
    default: return false;
    }
}

/* The container of a slice store, `position` below the top, where it is a variable: a site
 * of its own, behind the store's. */
static void add_container(struct mt_planner *planner, uint32_t i, uint32_t store, int64_t position)
{
    uint32_t node = mt_flow_peek(&planner->flow, position);
    if (!is_variable(planner, node))
        return;
    struct mt_draft *draft = add_site(planner, i, MT_SITE_CONTAINER, MT_LOCAL);
    if (!draft)
        return;
    set_variable(planner, draft, node);
    planner->drafts[store].site.partner = (int32_t)draft_index(planner, draft);
}

/* Can the key be a slice? By its syntax, or because only the store will tell. */
static bool can_be_slice(const struct mt_planner *planner, uint32_t number)
{
    const struct mt_node *node = &planner->flow.nodes[number];
    PyObject *constant = NULL;
    if (node->kind == MT_NODE_CONST)
        constant = mt_opcodes_const(planner->code, node->index);
    return !constant || PySlice_Check(constant);
}

static void item_site(struct mt_planner *planner, uint32_t i, enum mt_site_op op)
{
    struct mt_draft *draft = add_site(planner, i, op, MT_ITEM);
    if (!draft)
        return;
    uint32_t key = mt_flow_peek(&planner->flow, 0), store = draft_index(planner, draft);
    draft->name = intern_base(planner, mt_flow_peek(&planner->flow, 1));
    mt_name_clear(&planner->text);
    mt_name_final_key(&planner->text, &planner->flow, key);
    draft->key = intern(planner);
    /* The left operand of `xs[1:3] += …` is a copy: no mutation of anything. */
    if (op == MT_SITE_STORE_ITEM && planner->flow.nodes[key].kind != MT_NODE_SLICE)
        link_inplace(planner, draft, 2);
    if (can_be_slice(planner, key))
        add_container(planner, i, store, 1);
}

/* 3.12+: value, container, start, stop. */
static void slice_site(struct mt_planner *planner, uint32_t i)
{
    struct mt_draft *draft = add_site(planner, i, MT_SITE_STORE_SLICE, MT_ITEM);
    if (!draft)
        return;
    const struct mt_flow *flow = &planner->flow;
    uint32_t store = draft_index(planner, draft);
    draft->name = intern_base(planner, mt_flow_peek(flow, 2));
    mt_name_clear(&planner->text);
    mt_name_slice(&planner->text, flow, mt_flow_peek(flow, 1), mt_flow_peek(flow, 0));
    draft->key = intern(planner);
    add_container(planner, i, store, 2);
}

/* Can the right operand of this in-place operator change a container? `xs += 1` can't. */
static bool operand_can_mutate(const struct mt_planner *planner, enum mt_action action)
{
    const struct mt_node *node = &planner->flow.nodes[mt_flow_peek(&planner->flow, 0)];
    if (node->kind == MT_NODE_SMALL_INT)
        return action == MT_ACT_INPLACE_MULTIPLY;
    PyObject *constant = NULL;
    if (node->kind == MT_NODE_CONST)
        constant = mt_opcodes_const(planner->code, node->index);
    if (!constant)
        return true;
    if (PyLong_Check(constant))
        return action == MT_ACT_INPLACE_MULTIPLY;
    return !PyFloat_Check(constant) && !PyComplex_Check(constant) && constant != Py_None;
}

/* A sum that is stored to a variable at once, and whose left operand nothing else need hold. */
static void concat_site(struct mt_planner *planner, uint32_t i)
{
    const struct mt_bytecode *bytecode = &planner->bytecode;
    uint8_t next = i + 1 < bytecode->count ? bytecode->instructions[i + 1].action : MT_ACT_UNKNOWN;
    const struct mt_node *left = &planner->flow.nodes[mt_flow_peek(&planner->flow, 1)];
    bool other = left->kind == MT_NODE_CONST ||
                 (left->kind == MT_NODE_FAST &&
                  (next != MT_ACT_STORE_FAST || left->index != bytecode->instructions[i + 1].arg));
    if (!other &&
        (next == MT_ACT_STORE_FAST || next == MT_ACT_STORE_DEREF || next == MT_ACT_STORE_NAME))
        add_site(planner, i, MT_SITE_CONCAT, MT_LOCAL);
}

/* The number of the method of a call, if by its name it can change a builtin container; else 0. */
static uint8_t mutating_method(struct mt_planner *planner, PyObject *name)
{
    if (!name)
        return 0;
    mt_name_clear(&planner->text);
    mt_name_string(&planner->text, name);
    if (planner->text.size >= sizeof(planner->text.bytes))
        return 0;
    planner->text.bytes[planner->text.size] = '\0';
    return mt_snapshot_method(planner->text.bytes);
}

static void call_site(struct mt_planner *planner, uint32_t i)
{
    const struct mt_flow *flow = &planner->flow;
    struct mt_call shape;
    mt_opcodes_call(&planner->bytecode.instructions[i], &shape);
    int64_t self_at = shape.function_at - 1;
    const struct mt_node *function = &flow->nodes[mt_flow_peek(flow, shape.function_at)];
    bool is_bound = function->kind != MT_NODE_METHOD;
    if (is_bound) {
        self_at = shape.callable_at;
        function = &flow->nodes[mt_flow_peek(flow, self_at)];
        if (function->kind != MT_NODE_ATTR)
            return;
    }
    uint8_t method = mutating_method(planner, mt_opcodes_name(planner->code, function->index));
    if (!method || !is_variable(planner, function->first))
        return;
    struct mt_draft *draft = add_site(planner, i, MT_SITE_CALL, MT_LOCAL);
    if (!draft)
        return;
    draft->site.name_index = function->index + 1;
    draft->site.method = method;
    draft->site.depth_self = (int32_t)self_at;
    draft->site.self_is_bound = is_bound;
    set_variable(planner, draft, function->first);
}

/* ---- the walk -------------------------------------------------------------------------------- */

static void emit(struct mt_planner *planner, uint32_t i)
{
    const struct mt_instruction *instruction = &planner->bytecode.instructions[i];
    switch ((enum mt_action)instruction->action) {
    case MT_ACT_STORE_FAST: store_fast(planner, i, instruction->arg); break;
    case MT_ACT_STORE_LOAD_FAST: store_fast(planner, i, instruction->arg >> 4); break;
    case MT_ACT_STORE_FAST_PAIR: store_fast_pair(planner, i); break;
    case MT_ACT_DELETE_FAST: fast_site(planner, i, MT_SITE_DELETE_FAST, instruction->arg); break;
    case MT_ACT_STORE_DEREF: deref_site(planner, i, MT_SITE_STORE_DEREF); break;
    case MT_ACT_DELETE_DEREF: deref_site(planner, i, MT_SITE_DELETE_DEREF); break;
    case MT_ACT_STORE_NAME: name_site(planner, i, MT_SITE_STORE_NAME, MT_NAME); break;
    case MT_ACT_DELETE_NAME: name_site(planner, i, MT_SITE_DELETE_NAME, MT_NAME); break;
    case MT_ACT_STORE_GLOBAL: name_site(planner, i, MT_SITE_STORE_GLOBAL, MT_GLOBAL); break;
    case MT_ACT_DELETE_GLOBAL: name_site(planner, i, MT_SITE_DELETE_GLOBAL, MT_GLOBAL); break;
    case MT_ACT_STORE_ATTR: attribute_site(planner, i, MT_SITE_STORE_ATTR); break;
    case MT_ACT_DELETE_ATTR: attribute_site(planner, i, MT_SITE_DELETE_ATTR); break;
    case MT_ACT_STORE_ITEM: item_site(planner, i, MT_SITE_STORE_ITEM); break;
    case MT_ACT_DELETE_ITEM: item_site(planner, i, MT_SITE_DELETE_ITEM); break;
    case MT_ACT_STORE_SLICE: slice_site(planner, i); break;
    case MT_ACT_INPLACE:
    case MT_ACT_INPLACE_MULTIPLY:
        if (operand_can_mutate(planner, (enum mt_action)instruction->action))
            add_site(planner, i, MT_SITE_INPLACE, MT_LOCAL);
        break;
    case MT_ACT_ADD: concat_site(planner, i); break;
    case MT_ACT_CALL: call_site(planner, i); break;
    default: break;
    }
}

/* The number of an in-place operator's site is kept with its result. */
static void note_inplace(struct mt_planner *planner, uint32_t i, uint32_t draft)
{
    uint8_t action = planner->bytecode.instructions[i].action;
    if (action != MT_ACT_INPLACE && action != MT_ACT_INPLACE_MULTIPLY && action != MT_ACT_ADD)
        return;
    struct mt_node *result = &planner->flow.nodes[mt_flow_peek(&planner->flow, 0)];
    if (result->kind == MT_NODE_INPLACE)
        result->index = draft;
}

static void walk(struct mt_planner *planner)
{
    for (uint32_t i = 0; i < planner->bytecode.count && !planner->no_memory; i++) {
        uint32_t before = planner->draft_count;
        mt_flow_enter(&planner->flow, i);
        emit(planner, i);
        mt_flow_step(&planner->flow, i);
        note_inplace(planner, i, planner->draft_count > before ? before : MT_NO_DRAFT);
    }
}

/* ---- the block ---------------------------------------------------------------------------------- */

/* Number the sites that stay: an in-place operator whose result goes somewhere else than
 * to a store changes no variable. */
static uint32_t number_sites(struct mt_planner *planner)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < planner->draft_count; i++) {
        struct mt_draft *draft = &planner->drafts[i];
        bool operates = draft->site.op == MT_SITE_INPLACE || draft->site.op == MT_SITE_CONCAT;
        bool stays = !operates || draft->site.partner >= 0;
        draft->moved = stays ? count++ : MT_NO_DRAFT;
    }
    return count;
}

static uint32_t argument_limit(PyCodeObject *code)
{
    int64_t count = (int64_t)code->co_argcount + code->co_kwonlyargcount;
    count += (code->co_flags & CO_VARARGS) != 0;
    count += (code->co_flags & CO_VARKEYWORDS) != 0;
    return count > 0 && count <= code->co_nlocals ? (uint32_t)count : 0;
}

/* Where in the strings each argument's name is; 0: it has none to show. */
static uint32_t collect_arguments(struct mt_planner *planner, struct mt_argument *arguments,
                                  uint32_t limit)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < limit; i++) {
        PyObject *name = mt_opcodes_fast_name(planner->code, i);
        uint32_t position = name ? intern_string(planner, name) : 0;
        if (!position || planner->strings[position] == '.')
            continue;
        struct mt_argument *argument = &arguments[count++];
        memset(argument, 0, sizeof(*argument));
        argument->slot = (int32_t)mt_opcodes_argument_slot(planner->code, i, &argument->is_cell);
        argument->name_at = position;
    }
    return count;
}

static void fill_sites(const struct mt_planner *planner, struct mt_plan *plan, const char *strings)
{
    for (uint32_t i = 0; i < planner->draft_count; i++) {
        const struct mt_draft *draft = &planner->drafts[i];
        if (draft->moved == MT_NO_DRAFT)
            continue;
        struct mt_site *site = &plan->sites[draft->moved];
        *site = draft->site;
        site->name_at = (uint32_t)(strings + draft->name - (const char *)site);
        site->key_at = (uint32_t)(strings + draft->key - (const char *)site);
        if (site->partner >= 0)
            site->partner = (int32_t)planner->drafts[site->partner].moved;
    }
}

static bool has_own_unit(const struct mt_draft *draft)
{
    return draft->moved != MT_NO_DRAFT && draft->site.op != MT_SITE_CONTAINER &&
           !draft->site.second;
}

/* Units up to the instruction behind the last site: its events can be asked for as well. */
static uint32_t units_with_sites(const struct mt_planner *planner)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < planner->draft_count; i++) {
        if (has_own_unit(&planner->drafts[i]))
            count = (uint32_t)mt_site_next(&planner->drafts[i].site) / 2 + 1;
    }
    return count;
}

/* What there is to see at an instruction with this site. */
static struct mt_seen seen_at(const struct mt_planner *planner, const struct mt_draft *draft)
{
    const struct mt_site *site = &draft->site;
    bool operates = site->op == MT_SITE_INPLACE || site->op == MT_SITE_CONCAT;
    enum mt_interest interest = MT_INTEREST_ALL;

    if (site->op == MT_SITE_STORE_FAST && !site->second && !site->restores)
        interest = MT_INTEREST_STORE;
    else if (operates && planner->drafts[site->partner].site.op == MT_SITE_STORE_FAST)
        interest = MT_INTEREST_OPERATOR;
    return (struct mt_seen){(uint8_t)interest, (uint16_t)draft->moved};
}

/* The plan's stretches, in a block of their own. */
static void find_stretches(const struct mt_planner *planner, struct mt_stretches *ret)
{
    const struct mt_bytecode *bytecode = &planner->bytecode;
    struct mt_seen *seen = MT_HAVE_STRETCHES ? PyMem_RawCalloc(bytecode->count + 1, sizeof *seen)
                                             : NULL;
    uint32_t at = 0;

    if (!seen)
        return;
    for (uint32_t i = 0; i < planner->draft_count; i++) {
        const struct mt_draft *draft = &planner->drafts[i];
        if (!has_own_unit(draft))
            continue;
        while (bytecode->instructions[at].unit < (uint32_t)draft->site.offset / 2)
            at++;
        seen[at] = seen_at(planner, draft);
    }
    mt_stretches_find(bytecode, seen, ret);
    PyMem_RawFree(seen);
}

/* In the order of their alignment. */
static void *take(char **cursor, size_t size)
{
    void *ret = *cursor;
    *cursor += size;
    return ret;
}

/* Copy what was found into one block. */
static struct mt_plan *assemble(struct mt_planner *planner, uint32_t qualname,
                                const struct mt_argument *arguments, uint32_t argument_count)
{
    uint32_t site_count = number_sites(planner), unit_count = units_with_sites(planner);
    bool is_wide = site_count >= UINT16_MAX;
    if (is_wide)
        unit_count = 0;
    size_t sites_size = site_count * sizeof(struct mt_site);
    size_t arguments_size = argument_count * sizeof(struct mt_argument);
    size_t site_at_size = unit_count * sizeof(uint16_t);
    struct mt_stretches stretches = {NULL, 0};
    if (!is_wide)
        find_stretches(planner, &stretches);
    size_t stretches_size = stretches.unit_count * sizeof *stretches.at;
    size_t bytes = sizeof(struct mt_plan) + sites_size + arguments_size + site_at_size +
                   stretches_size + planner->strings_size;
    char *cursor = PyMem_RawCalloc(1, bytes);
    if (!cursor) {
        PyMem_RawFree(stretches.at);
        return NULL;
    }
    struct mt_plan *plan = take(&cursor, sizeof(*plan));
    plan->sites = take(&cursor, sites_size);
    plan->arguments = take(&cursor, arguments_size);
    plan->site_at = take(&cursor, site_at_size);
    plan->stretches.unit_count = stretches.unit_count;
    plan->stretches.at = take(&cursor, stretches_size);
    if (stretches_size)
        memcpy(plan->stretches.at, stretches.at, stretches_size);
    PyMem_RawFree(stretches.at);
    char *strings = memcpy(cursor, planner->strings, planner->strings_size);

    plan->code = planner->code;
    plan->bytes = (uint32_t)bytes;
    plan->site_count = site_count;
    plan->unit_count = unit_count;
    plan->is_wide = is_wide;
    plan->argument_count = argument_count;
    plan->qualname = strings + qualname;
    plan->is_generator = planner->code->co_flags &
                         (CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR);
    fill_sites(planner, plan, strings);
    mt_plan_update_sites(plan);
    for (uint32_t i = 0; i < argument_count; i++) {
        struct mt_argument *argument = &plan->arguments[i];
        *argument = arguments[i];
        argument->name_at += (uint32_t)(strings - (const char *)argument);
    }
    return plan;
}

// Does no event of this site's instruction change anything that somebody wants to know?
static bool is_silent(const struct mt_plan *plan, uint32_t i)
{
    const struct mt_site *site = &plan->sites[i];
    bool paired = i + 1 < plan->site_count && site[1].second;

    return site->muted && (!paired || site[1].muted);
}

void mt_plan_update_sites(struct mt_plan *plan)
{
    for (uint32_t i = 0; i < plan->site_count; i++) {
        struct mt_site *site = &plan->sites[i];
        if (site->partner >= 0 && site->muted != plan->sites[site->partner].muted)
            site->muted = plan->sites[site->partner].muted = false;
    }
    for (uint32_t i = 0; !plan->is_wide && i < plan->site_count; i++) {
        const struct mt_site *site = &plan->sites[i];
        if (site->op == MT_SITE_CONTAINER || site->second)
            continue;
        uint32_t unit = (uint32_t)site->offset / 2;
        uint16_t index = is_silent(plan, i) ? 0 : (uint16_t)(i + 1);
        plan->site_at[unit] = index;
        // Up to 3.11 the event comes at the first prefix.
        if (!MT_HAS_MONITORING)
            plan->site_at[unit - site->prefixes] = index;
    }
}

struct mt_site *mt_plan_find_wide(const struct mt_plan *plan, int offset)
{
    uint32_t low = 0, high = plan->site_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (plan->sites[middle].offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < plan->site_count && plan->sites[low].offset == offset;
    return found && !is_silent(plan, low) ? &plan->sites[low] : NULL;
}

static uint32_t intern_qualname(struct mt_planner *planner);
static void note_children(const struct mt_bytecode *bytecode);

static enum mt_status plan_code(struct mt_planner *planner, struct mt_plan **ret)
{
    if (mt_code_slot_count(planner->code) > MT_PLAN_SLOTS_MAX)
        return MT_REFUSED;
    if (!mt_opcodes_decode(planner->code, &planner->bytecode))
        return MT_NO_MEMORY;
    if (planner->bytecode.count > MT_PLAN_INSTRUCTIONS_MAX)
        return MT_REFUSED;
    if (!mt_flow_solve(&planner->bytecode, &planner->flow) || !reserve_strings(planner, 1))
        return MT_NO_MEMORY;
    planner->strings[planner->strings_size++] = '\0';
    mt_lines_init(&planner->lines, planner->code);
    walk(planner);
    note_children(&planner->bytecode);
    uint32_t qualname = intern_qualname(planner), limit = argument_limit(planner->code);
    struct mt_argument *arguments = PyMem_RawMalloc((limit + 1) * sizeof(*arguments));
    if (!arguments)
        return MT_NO_MEMORY;
    uint32_t argument_count = collect_arguments(planner, arguments, limit);
    if (!planner->no_memory)
        *ret = assemble(planner, qualname, arguments, argument_count);
    PyMem_RawFree(arguments);
    return *ret ? MT_OK : MT_NO_MEMORY;
}

enum mt_status mt_plan_create(PyCodeObject *code, struct mt_plan **ret)
{
    struct mt_planner planner;
    *ret = NULL;
    memset(&planner, 0, offsetof(struct mt_planner, text));
    planner.code = code;
    enum mt_status status = plan_code(&planner, ret);
    mt_flow_deinit(&planner.flow);
    mt_opcodes_deinit(&planner.bytecode);
    PyMem_RawFree(planner.drafts);
    PyMem_RawFree(planner.strings);
    PyMem_RawFree(planner.interned);
    return status;
}

void mt_plan_destroy(struct mt_plan *plan)
{
    PyMem_RawFree(plan->after);
    PyMem_RawFree(plan);
}

/* ---- qualified names -------------------------------------------------------------------------- */

/* Up to 3.10 code objects have no qualified name (3.11: bpo-44530). The code that makes a
 * function has it as a constant; it is seen before the function can run, unless recording
 * began in between. So the names of what seen code makes are remembered here, by the address
 * of the code made. Code can die and its address be used again: what is found must fit. */
struct mt_known_name {
    PyCodeObject *code; /* borrowed, only compared */
    int first_line;
    char *qualname;
};

enum { MT_KNOWN_NAMES_MAX = 1 << 16 };

static struct mt_known_name *known_names; /* hash table, never full; under the GIL */
static uint32_t known_count, known_capacity;

/* The entry of `code`, or the free one that it would get. `table` is not empty. */
static struct mt_known_name *known_slot(struct mt_known_name *table, uint32_t capacity,
                                        PyCodeObject *code)
{
    uint32_t slot = (uint32_t)((uintptr_t)code >> 4) * 2654435769u & (capacity - 1);
    while (table[slot].code && table[slot].code != code)
        slot = (slot + 1) & (capacity - 1);
    return &table[slot];
}

static bool grow_known(void)
{
    uint32_t capacity = known_capacity ? 2 * known_capacity : 64;
    struct mt_known_name *table = PyMem_RawCalloc(capacity, sizeof(*table));
    if (!table)
        return false;
    for (uint32_t i = 0; i < known_capacity; i++) {
        if (known_names[i].code)
            *known_slot(table, capacity, known_names[i].code) = known_names[i];
    }
    PyMem_RawFree(known_names);
    known_names = table;
    known_capacity = capacity;
    return true;
}

static void note_child(PyCodeObject *code, PyObject *qualname)
{
    struct mt_name text;
    mt_name_clear(&text);
    mt_name_string(&text, qualname);
    if (known_count == MT_KNOWN_NAMES_MAX || (2 * known_count >= known_capacity && !grow_known()))
        return;
    char *copy = PyMem_RawMalloc(text.size + 1);
    if (!copy)
        return;
    memcpy(copy, text.bytes, text.size);
    copy[text.size] = '\0';
    struct mt_known_name *entry = known_slot(known_names, known_capacity, code);
    if (entry->code)
        PyMem_RawFree(entry->qualname);
    else
        known_count++;
    *entry = (struct mt_known_name){code, code->co_firstlineno, copy};
}

static void note_children(const struct mt_bytecode *bytecode)
{
    PyCodeObject *child;
    PyObject *qualname;
    for (uint32_t i = 0; !MT_HAS_QUALNAME && i < bytecode->count; i++) {
        if (mt_opcodes_made_function(bytecode, i, &child, &qualname))
            note_child(child, qualname);
    }
}

void mt_plan_note_children(PyCodeObject *code)
{
    struct mt_bytecode bytecode;
    if (MT_HAS_QUALNAME || !mt_opcodes_decode(code, &bytecode))
        return;
    note_children(&bytecode);
    mt_opcodes_deinit(&bytecode);
}

/* The remembered name of `code`, if it ends in the code's own name; planner->text has that. */
static const char *known_qualname(const struct mt_planner *planner)
{
    if (!known_capacity)
        return NULL;
    const struct mt_known_name *entry = known_slot(known_names, known_capacity, planner->code);
    if (!entry->code || entry->first_line != planner->code->co_firstlineno)
        return NULL;
    size_t size = strlen(entry->qualname), name_size = planner->text.size;
    if (size < name_size ||
        memcmp(entry->qualname + size - name_size, planner->text.bytes, name_size) != 0)
        return NULL;
    return size == name_size || entry->qualname[size - name_size - 1] == '.' ? entry->qualname
                                                                             : NULL;
}

/* A class body begins by storing its own qualified name. NULL: it is no class body. */
static PyObject *class_qualname(const struct mt_bytecode *bytecode)
{
    if (MT_HAS_QUALNAME || bytecode->count < 4)
        return NULL;
    const struct mt_instruction *store = &bytecode->instructions[3];
    if (store->action != MT_ACT_STORE_NAME || store[-1].action != MT_ACT_CONST)
        return NULL;
    PyObject *name = mt_opcodes_name(bytecode->code, store->index);
    PyObject *qualname = mt_opcodes_const(bytecode->code, store[-1].index);
    if (!name || PyUnicode_CompareWithASCIIString(name, "__qualname__") != 0)
        return NULL;
    return qualname && PyUnicode_Check(qualname) ? qualname : NULL;
}

/* The code's qualified name, as best known. */
static uint32_t intern_qualname(struct mt_planner *planner)
{
    PyObject *qualname = mt_opcodes_qualname(planner->code);
    if (!qualname)
        qualname = class_qualname(&planner->bytecode);
    mt_name_clear(&planner->text);
    mt_name_string(&planner->text, qualname ? qualname : planner->code->co_name);
    const char *known = qualname ? NULL : known_qualname(planner);
    if (known) {
        planner->text.size = (uint32_t)strlen(known);
        memcpy(planner->text.bytes, known, planner->text.size);
    }
    return intern(planner);
}
