/* See plan_stretch.h. Threads: none, works on its own structures. */
#include "plan_stretch.h"

#include "plan_opcodes.h"

#if MT_HAVE_STRETCHES

enum {
    MT_STRETCH_LENGTH_MAX = 256, /* instructions: keeps the work linear */
    MT_LOOPS_MAX = 4,            /* nested ones that count */
};

struct finder {
    const struct mt_bytecode *bytecode;
    const struct mt_seen *seen;
    int32_t *lines;  /* by instruction */
    uint8_t *starts; /* by instruction: may a line event come here? */
    int32_t *loops;  /* by instruction: how many it is in */
};

// While a stretch is gone through.
struct walk {
    const struct finder *finder;
    uint32_t begin, end; // instructions of one line, one after the other
    uint32_t inner;      // the farthest that a jump within them leads to
    uint32_t stretch;    // so far
    bool operates;
};

static const struct mt_instruction *instruction_at(const struct finder *finder, uint32_t i)
{
    return &finder->bytecode->instructions[i];
}

// Does the code do nothing but return, from here on?
static bool returns(const struct finder *finder, uint32_t i)
{
    const struct mt_instruction *instruction = instruction_at(finder, i);

    if (instruction->action == MT_ACT_CONST && i + 1 < finder->bytecode->count)
        return mt_opcodes_returns(instruction_at(finder, i + 1));
    return mt_opcodes_returns(instruction);
}

// Is there a line event when control comes from instruction `i` of the stretch to `to`, outside?
static bool is_told(const struct walk *walk, uint32_t i, uint32_t to)
{
    const int32_t *lines = walk->finder->lines;

    if (to < i)
        return lines[to] != -1;
    return to > i && lines[to] != -1 && lines[to] != lines[walk->begin];
}

// The stretch can be left from instruction `i`, for `to`. False: unseen.
static bool may_leave(const struct walk *walk, uint32_t i, uint32_t to)
{
    return to < walk->finder->bytecode->count &&
           (is_told(walk, i, to) || (to > i && returns(walk->finder, to)));
}

// Behind the store nothing may run code, or let go of the GIL: it has happened, and isn't told yet.
static bool may_follow_store(const struct mt_instruction *instruction)
{
    return instruction->action == MT_ACT_CONST || instruction->action == MT_ACT_LOAD_FAST ||
           mt_opcodes_returns(instruction) || mt_opcodes_only_jumps(instruction);
}

static bool note_interest(struct walk *walk, uint32_t i)
{
    const struct mt_seen *seen = &walk->finder->seen[i];

    switch ((enum mt_interest)seen->interest) {
    case MT_INTEREST_NONE: return true;
    case MT_INTEREST_OPERATOR: return walk->operates = true;
    case MT_INTEREST_STORE:
        // The only one: no other may follow it.
        walk->stretch = MT_STRETCH_STORE + (uint32_t)seen->site;
        return walk->stretch <= UINT16_MAX;
    case MT_INTEREST_ALL: return false;
    }
    return false;
}

static bool take_jump(struct walk *walk, uint32_t i, uint32_t to)
{
    if (to <= i || to >= walk->end)
        return may_leave(walk, i, to);
    if (to > walk->inner)
        walk->inner = to;
    return true;
}

// Go through the instructions of the line. False: each of them is to be seen.
static bool go_through(struct walk *walk)
{
    for (uint32_t i = walk->begin; i < walk->end; i++) {
        const struct mt_instruction *instruction = instruction_at(walk->finder, i);
        if (!mt_opcodes_goes_on(instruction) ||
            (walk->stretch != MT_STRETCH_EMPTY && !may_follow_store(instruction)) ||
            !note_interest(walk, i) ||
            (instruction->target != MT_NO_TARGET && !take_jump(walk, i, instruction->target)))
            return false;
        if (instruction->ends && walk->inner <= i)
            return true;
    }
    return may_leave(walk, walk->end - 1, walk->end);
}

// The stretch that a line event at instruction `begin` is the first of; it ends at *ret_end.
static uint16_t find_stretch(const struct finder *finder, uint32_t begin, uint32_t *ret_end)
{
    struct walk walk = {
        .finder = finder, .begin = begin, .end = begin, .stretch = MT_STRETCH_EMPTY};

    while (walk.end < finder->bytecode->count && walk.end - begin < MT_STRETCH_LENGTH_MAX &&
           finder->lines[walk.end] == finder->lines[begin])
        walk.end++;
    *ret_end = walk.end;
    if (finder->lines[begin] == -1 || walk.end - begin == MT_STRETCH_LENGTH_MAX ||
        !go_through(&walk) || (walk.operates && walk.stretch == MT_STRETCH_EMPTY))
        return MT_STRETCH_NONE;
    return (uint16_t)walk.stretch;
}

static void find_lines(struct finder *finder)
{
    struct mt_lines lines;

    mt_lines_init(&lines, finder->bytecode->code);
    for (uint32_t i = 0; i < finder->bytecode->count; i++) {
        finder->lines[i] = mt_lines_at(&lines, instruction_at(finder, i)->unit);
        finder->starts[i] = i == 0 || finder->lines[i] != finder->lines[i - 1];
    }
}

static void find_jumps(struct finder *finder)
{
    const uint32_t count = finder->bytecode->count;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t target = instruction_at(finder, i)->target;
        if (target >= count)
            continue;
        finder->starts[target] |= target <= i || finder->lines[target] != finder->lines[i];
        if (target > i)
            continue;
        finder->loops[target]++;
        if (i + 1 < count)
            finder->loops[i + 1]--;
    }
    for (uint32_t i = 1; i < count; i++)
        finder->loops[i] += finder->loops[i - 1];
}

// Instruction events that are saved, less the line events that come instead, where a loop's
// count eightfold.
static int64_t gain_of(const struct finder *finder, uint32_t begin, uint32_t end, bool found)
{
    int32_t loops = finder->loops[begin];
    int64_t often = (int64_t)1 << 3 * (loops < MT_LOOPS_MAX ? loops : MT_LOOPS_MAX);

    return found ? often * ((int64_t)(end - begin) - 1) : -often;
}

// Into `at`. False: not worth it.
static bool find_all(const struct finder *finder, uint16_t *at)
{
    int64_t gain = 0;

    for (uint32_t i = 0; i < finder->bytecode->count; i++) {
        uint32_t end;
        if (!finder->starts[i])
            continue;
        uint16_t stretch = find_stretch(finder, i, &end);
        gain += gain_of(finder, i, end, stretch != MT_STRETCH_NONE);
        at[instruction_at(finder, i)->first] = stretch;
    }
    return gain > 0;
}

void mt_stretches_find(const struct mt_bytecode *bytecode, const struct mt_seen *seen,
                       struct mt_stretches *ret)
{
    size_t count = bytecode->count;
    char *space = PyMem_RawCalloc(count + 1, 2 * sizeof(int32_t) + 1);

    *ret = (struct mt_stretches){PyMem_RawCalloc(bytecode->unit_count + 1, sizeof *ret->at), 0};
    if (space && ret->at) {
        struct finder finder = {
            .bytecode = bytecode,
            .seen = seen,
            .lines = (int32_t *)(void *)space,
            .loops = (int32_t *)(void *)space + count,
            .starts = (uint8_t *)space + 2 * count * sizeof(int32_t),
        };
        find_lines(&finder);
        find_jumps(&finder);
        if (find_all(&finder, ret->at))
            ret->unit_count = bytecode->unit_count;
    }
    PyMem_RawFree(space);
    if (ret->unit_count)
        return;
    PyMem_RawFree(ret->at);
    ret->at = NULL;
}

#endif
