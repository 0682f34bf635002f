/* Raw memory of CPython's builtin objects, per version.
 *
 * Layouts come from the interpreter's own headers where these are installed (internal
 * ones included); structures that CPython keeps inside a .c file are described here, with
 * the file they are in. Needs the GIL; see the header for what nothing here ever does. */
#include "pyobject.h"

#include <string.h>

#if PY_VERSION_HEX >= 0x030B0000
/* 3.11 moved the dict tables from a .c file into an internal header. */
#define Py_BUILD_CORE 1
#undef _PyGC_FINALIZED /* 3.12: a macro here, a function there */
#include <internal/pycore_dict.h>
#include <internal/pycore_moduleobject.h>
#undef Py_BUILD_CORE
#else
/* Objects/dict-common.h of 3.8 to 3.10; not installed. */
struct _dictkeysobject {
    Py_ssize_t dk_refcnt;
    Py_ssize_t dk_size;
    void *dk_lookup;
    Py_ssize_t dk_usable;
    Py_ssize_t dk_nentries;
    char dk_indices[];
};

typedef struct {
    Py_hash_t me_hash;
    PyObject *me_key;
    PyObject *me_value;
} PyDictKeyEntry;

/* Objects/moduleobject.c, internal/pycore_moduleobject.h of 3.10: same beginning. */
typedef struct {
    PyObject_HEAD
    PyObject *md_dict;
    struct PyModuleDef *md_def;
    void *md_state;
    PyObject *md_weaklist;
    PyObject *md_name;
} PyModuleObject;
#endif

enum {
    INDEX_EMPTY = -1,
    INDEX_REMOVED = -2,
    PERTURB_SHIFT = 5,
};

/* ---- int ------------------------------------------------------------------------------ */

static unsigned bit_length64(uint64_t bits)
{
    return bits ? 64 - (unsigned)__builtin_clzll(bits) : 0;
}

bool mt_pyobject_int64(PyObject *integer, int64_t *ret)
{
    struct mt_digits number = mt_pyobject_digits(integer);
    if (mt_pyobject_bit_length(&number) > 64)
        return false;
    uint64_t magnitude = 0;
    for (size_t i = number.count; i-- > 0;)
        magnitude = magnitude << PyLong_SHIFT | number.digits[i];
    if (magnitude > (uint64_t)INT64_MAX + (number.negative ? 1 : 0))
        return false;
    *ret = (int64_t)(number.negative ? 0 - magnitude : magnitude);
    return true;
}

uint64_t mt_pyobject_bit_length(const struct mt_digits *number)
{
    if (number->count == 0)
        return 0;
    return (uint64_t)(number->count - 1) * PyLong_SHIFT +
           bit_length64(number->digits[number->count - 1]);
}

uint64_t mt_pyobject_leading_bits(const struct mt_digits *number, bool *rest)
{
    uint64_t leading = 0;
    unsigned have = 0;
    bool lower = false;
    for (size_t i = number->count; i-- > 0;) {
        uint64_t bits = number->digits[i];
        unsigned width = have == 0 ? bit_length64(bits) : PyLong_SHIFT;
        if (have == 0 || have + width <= 64) {
            leading = leading << width | bits;
            have += width;
        } else {
            unsigned taken = 64 - have, left = width - taken;
            if (taken)
                leading = leading << taken | bits >> left;
            have = 64;
            lower |= (bits & (((uint64_t)1 << left) - 1)) != 0;
            if (!rest)
                break;
        }
    }
    if (rest)
        *rest = lower;
    return leading;
}

/* ---- dict ------------------------------------------------------------------------------ */

static size_t keys_size(const PyDictKeysObject *keys)
{
#if PY_VERSION_HEX >= 0x030B0000
    return (size_t)1 << keys->dk_log2_size;
#else
    return (size_t)keys->dk_size;
#endif
}

static const void *keys_entries(const PyDictKeysObject *keys)
{
#if PY_VERSION_HEX >= 0x030B0000
    return keys->dk_indices + ((size_t)1 << keys->dk_log2_index_bytes);
#else
    size_t size = keys_size(keys);
    size_t width = size <= 0xff ? 1 : size <= 0xffff ? 2 : size <= 0xffffffff ? 4 : 8;
    return keys->dk_indices + size * width;
#endif
}

/* Index of an entry at a position of the hash table, or INDEX_*. */
static Py_ssize_t keys_index(const PyDictKeysObject *keys, size_t position)
{
    size_t size = keys_size(keys);
    /* Relaxed: another thread may add to shared keys. It is complete when it is seen whole. */
    if (size <= 0xff)
        return __atomic_load_n((const int8_t *)keys->dk_indices + position, __ATOMIC_RELAXED);
    if (size <= 0xffff)
        return __atomic_load_n((const int16_t *)keys->dk_indices + position, __ATOMIC_RELAXED);
    if (size <= 0xffffffff)
        return __atomic_load_n((const int32_t *)keys->dk_indices + position, __ATOMIC_RELAXED);
    return (Py_ssize_t)__atomic_load_n((const int64_t *)keys->dk_indices + position,
                                       __ATOMIC_RELAXED);
}

/* Key, its hash and, of a combined table, value of an entry. Key NULL: removed. */
static void keys_entry(const PyDictKeysObject *keys, Py_ssize_t index, PyObject **key,
                       Py_hash_t *hash, PyObject **value)
{
#if PY_VERSION_HEX >= 0x030B0000
    /* 3.11 (bpo-46845): tables of str keys alone leave out the hash. */
    if (DK_IS_UNICODE(keys)) {
        const PyDictUnicodeEntry *entry = (const PyDictUnicodeEntry *)keys_entries(keys) + index;
        /* Acquire pairs with the store of a key that is added to shared keys (3.13). */
        *key = __atomic_load_n(&entry->me_key, __ATOMIC_ACQUIRE);
        *hash = *key ? mt_pyobject_known_hash(*key) : -1;
        *value = entry->me_value;
        return;
    }
#endif
    const PyDictKeyEntry *entry = (const PyDictKeyEntry *)keys_entries(keys) + index;
    *key = entry->me_key;
    *hash = entry->me_hash;
    *value = entry->me_value;
}

/* Values of a split table, with the order in which they were inserted. */
static void split_values(struct mt_table *table, const void *values)
{
#if PY_VERSION_HEX >= 0x030D0000
    /* 3.13 (gh-115776): a header before the values, the order behind them. */
    const PyDictValues *split = values;
    table->values = split->values;
    table->order = (const uint8_t *)&split->values[split->capacity];
    table->order_step = 1;
    table->slots = split->size;
#elif PY_VERSION_HEX >= 0x030B0000
    /* 3.11 (bpo-45340): bytes before the values, growing downwards: size, then the order. */
    const PyDictValues *split = values;
    table->values = split->values;
    table->order = (const uint8_t *)values - 3;
    table->order_step = -1;
    table->slots = ((const uint8_t *)values)[-2];
#else
    /* Up to 3.10 a split table is in the order of its keys. */
    table->values = values;
    table->order = NULL;
    table->order_step = 0;
    table->slots = table->keys->dk_nentries;
#endif
}

void mt_pyobject_dict(PyObject *dict, struct mt_table *ret)
{
    PyDictObject *object = (PyDictObject *)dict;
    *ret = (struct mt_table){.keys = object->ma_keys, .used = object->ma_used};
    if (object->ma_values)
        split_values(ret, object->ma_values);
    else
        ret->slots = object->ma_keys->dk_nentries;
}

bool mt_pyobject_dict_at(const struct mt_table *table, Py_ssize_t position, PyObject **key,
                         PyObject **value)
{
    Py_ssize_t index = table->order ? table->order[position * table->order_step] : position;
    Py_hash_t hash;
    keys_entry(table->keys, index, key, &hash, value);
    if (table->values)
        *value = table->values[index];
    return *key && *value;
}

void mt_pyobject_probe(const struct mt_table *table, Py_hash_t hash, struct mt_probe *ret)
{
    size_t mask = keys_size(table->keys) - 1;
    *ret = (struct mt_probe){.table = table,
                             .hash = (size_t)hash,
                             .perturb = (size_t)hash,
                             .index = (size_t)hash & mask,
                             .mask = mask};
}

bool mt_pyobject_probe_next(struct mt_probe *probe, PyObject **key, PyObject **value)
{
    const struct mt_table *table = probe->table;
    for (;;) {
        Py_ssize_t index = keys_index(table->keys, probe->index);
        if (index == INDEX_EMPTY)
            return false;
        probe->perturb >>= PERTURB_SHIFT;
        probe->index = (probe->index * 5 + probe->perturb + 1) & probe->mask;
        if (index < 0)
            continue;
        Py_hash_t hash;
        keys_entry(table->keys, index, key, &hash, value);
        if (!*key || (size_t)hash != probe->hash)
            continue;
        if (table->values)
            *value = table->values[index];
        return true;
    }
}

uint64_t mt_pyobject_dict_version(PyObject *dict)
{
#if PY_VERSION_HEX < 0x030C0000
    return ((PyDictObject *)dict)->ma_version_tag;
#else
    /* 3.12 (PEP 699) deprecated it; 3.13 and 3.14 stop changing it with the contents. */
    return 0;
#endif
}

/* ---- instances, types, modules ---------------------------------------------------------- */

#if PY_VERSION_HEX >= 0x030B0000
/* An instance's values without a dict; the keys are its type's. False: it has none. */
static bool inline_values(PyObject *object, struct mt_table *ret)
{
    PyTypeObject *type = Py_TYPE(object);
    const void *values;
#if PY_VERSION_HEX >= 0x030D0000
    /* 3.13 (gh-115776): the values are part of the object, until a dict takes them over. */
    if (!(type->tp_flags & Py_TPFLAGS_INLINE_VALUES))
        return false;
    const PyDictValues *split = (const PyDictValues *)((char *)object + type->tp_basicsize);
    if (!split->valid)
        return false;
    values = split;
#elif PY_VERSION_HEX >= 0x030C0000
    /* 3.12 (gh-95245): one word for dict or values, the values marked by the lowest bit. */
    const char *word = ((char **)object)[-3];
    if (!((uintptr_t)word & 1))
        return false;
    values = word + 1;
#else
    /* 3.11 (bpo-45340): a pointer of its own before the object. */
    values = ((void **)object)[-4];
    if (!values)
        return false;
#endif
    *ret = (struct mt_table){.keys = ((PyHeapTypeObject *)type)->ht_cached_keys, .used = -1};
    split_values(ret, values);
    return true;
}

static PyObject *managed_dict(PyObject *object)
{
#if PY_VERSION_HEX >= 0x030D0000
    return *(PyObject **)((char *)object + MANAGED_DICT_OFFSET);
#else
    return ((PyObject **)object)[-3];
#endif
}
#endif

/* Address of the dict pointer where tp_dictoffset says so, or NULL. */
static PyObject **plain_dict_pointer(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    Py_ssize_t offset = type->tp_dictoffset;
    if (offset == 0)
        return NULL;
    if (offset < 0) {
        /* From the end of a variable-sized object (a subclass of int, tuple, …). */
        size_t items;
        if (PyLong_Check(object)) {
            items = mt_pyobject_digits(object).count;
        } else {
            Py_ssize_t size = ((PyVarObject *)object)->ob_size;
            items = (size_t)(size < 0 ? -size : size);
        }
        offset += (Py_ssize_t)_PyObject_VAR_SIZE(type, items);
        if (offset <= 0)
            return NULL;
    }
    return (PyObject **)((char *)object + offset);
}

PyObject *mt_pyobject_instance_dict(PyObject *object)
{
#if PY_VERSION_HEX >= 0x030B0000
    /* 3.11 (bpo-45340): dicts of most classes' instances are before the object. */
    if (Py_TYPE(object)->tp_flags & Py_TPFLAGS_MANAGED_DICT)
        return managed_dict(object);
#endif
    PyObject **pointer = plain_dict_pointer(object);
    return pointer ? *pointer : NULL;
}

enum mt_instance mt_pyobject_instance(PyObject *object, struct mt_table *ret)
{
#if PY_VERSION_HEX >= 0x030B0000
    bool is_managed = (Py_TYPE(object)->tp_flags & Py_TPFLAGS_MANAGED_DICT) != 0;
    if (is_managed && inline_values(object, ret))
        return MT_INSTANCE_TABLE;
#else
    bool is_managed = false;
#endif
    if (!is_managed && !plain_dict_pointer(object))
        return MT_INSTANCE_NO_DICT;
    PyObject *dict = mt_pyobject_instance_dict(object);
    if (!dict)
        return MT_INSTANCE_EMPTY;
    mt_pyobject_dict(dict, ret);
    return MT_INSTANCE_TABLE;
}

PyObject *mt_pyobject_type_dict(PyTypeObject *type)
{
    /* 3.12 (gh-94673) keeps the dicts of static builtin types per interpreter: NULL here. */
    return type->tp_dict;
}

bool mt_pyobject_type_is_immutable(PyTypeObject *type)
{
#if PY_VERSION_HEX >= 0x030A0000
    /* 3.10 (bpo-43908) */
    return (type->tp_flags & Py_TPFLAGS_IMMUTABLETYPE) != 0;
#else
    return !(type->tp_flags & Py_TPFLAGS_HEAPTYPE);
#endif
}

PyObject *mt_pyobject_module_name(PyObject *module)
{
    return ((PyModuleObject *)module)->md_name;
}

/* ---- sequences and sets ------------------------------------------------------------------- */

/* Modules/_collectionsmodule.c, 3.8 to 3.14. */
enum { DEQUE_BLOCK = 64 };

struct deque_block {
    struct deque_block *leftlink;
    PyObject *data[DEQUE_BLOCK];
    struct deque_block *rightlink;
};

struct deque_object {
    PyObject_VAR_HEAD struct deque_block *leftblock, *rightblock;
    Py_ssize_t leftindex, rightindex;
    size_t state;
    Py_ssize_t maxlen;
};

bool mt_pyobject_is_deque_type(PyTypeObject *type)
{
    /* A class made in Python can be given any name, but has no method table. */
    return type->tp_methods && type->tp_name[0] == 'c' &&
           strcmp(type->tp_name, "collections.deque") == 0 &&
           strcmp(type->tp_methods[0].ml_name, "append") == 0 && type->tp_itemsize == 0 &&
           type->tp_basicsize >= (Py_ssize_t)sizeof(struct deque_object);
}

void mt_pyobject_deque_begin(PyObject *deque, struct mt_deque_walk *ret)
{
    struct deque_object *object = (struct deque_object *)deque;
    *ret = (struct mt_deque_walk){object->leftblock, object->leftindex, Py_SIZE(deque)};
}

PyObject *mt_pyobject_deque_next(struct mt_deque_walk *walk)
{
    const struct deque_block *block = walk->block;
    if (walk->left <= 0)
        return NULL;
    if (walk->index == DEQUE_BLOCK) {
        block = walk->block = block->rightlink;
        walk->index = 0;
    }
    walk->left--;
    return block->data[walk->index++];
}

PyObject *mt_pyobject_deque_at(PyObject *deque, Py_ssize_t index)
{
    struct deque_object *object = (struct deque_object *)deque;
    const struct deque_block *block;
    if (index < Py_SIZE(deque) / 2) {
        index += object->leftindex;
        for (block = object->leftblock; index >= DEQUE_BLOCK; index -= DEQUE_BLOCK)
            block = block->rightlink;
    } else {
        index = object->rightindex - (Py_SIZE(deque) - 1 - index);
        for (block = object->rightblock; index < 0; index += DEQUE_BLOCK)
            block = block->leftlink;
    }
    return block->data[index];
}

Py_ssize_t mt_pyobject_set_slots(PyObject *set)
{
    return ((PySetObject *)set)->mask + 1;
}

PyObject *mt_pyobject_set_at(PyObject *set, Py_ssize_t position)
{
    const setentry *entry = &((PySetObject *)set)->table[position];
    /* Removed entries hold a dummy key and hash -1. */
    return entry->key && entry->hash != -1 ? entry->key : NULL;
}

/* Objects/rangeobject.c, 3.8 to 3.14. */
struct range_object {
    PyObject_HEAD
    PyObject *start, *stop, *step;
};

void mt_pyobject_range(PyObject *range, PyObject *ret[3])
{
    struct range_object *object = (struct range_object *)range;
    ret[0] = object->start;
    ret[1] = object->stop;
    ret[2] = object->step;
}

/* ---- str --------------------------------------------------------------------------------- */

bool mt_pyobject_characters(PyObject *string, struct mt_characters *ret)
{
#if PY_VERSION_HEX < 0x030C0000
    /* 3.12 (PEP 623) removed strings that are made ready later. */
    if (!PyUnicode_IS_READY(string))
        return false;
#endif
    ret->data = PyUnicode_DATA(string);
    ret->length = PyUnicode_GET_LENGTH(string);
    ret->kind = (int)PyUnicode_KIND(string);
    ret->ascii = PyUnicode_IS_ASCII(string);
    return true;
}

static uint32_t character_at(const struct mt_characters *string, Py_ssize_t index)
{
    switch (string->kind) {
    case 1: return ((const uint8_t *)string->data)[index];
    case 2: return ((const uint16_t *)string->data)[index];
    default: return ((const uint32_t *)string->data)[index];
    }
}

static size_t encode_character(uint32_t character, char bytes[4])
{
    if (character < 0x80) {
        bytes[0] = (char)character;
        return 1;
    }
    if (character < 0x800) {
        bytes[0] = (char)(0xC0 | character >> 6);
        bytes[1] = (char)(0x80 | (character & 0x3F));
        return 2;
    }
    if (character < 0x10000) {
        bytes[0] = (char)(0xE0 | character >> 12);
        bytes[1] = (char)(0x80 | (character >> 6 & 0x3F));
        bytes[2] = (char)(0x80 | (character & 0x3F));
        return 3;
    }
    bytes[0] = (char)(0xF0 | character >> 18);
    bytes[1] = (char)(0x80 | (character >> 12 & 0x3F));
    bytes[2] = (char)(0x80 | (character >> 6 & 0x3F));
    bytes[3] = (char)(0x80 | (character & 0x3F));
    return 4;
}

size_t mt_pyobject_utf8(const struct mt_characters *string, char *ret, size_t size, bool *whole)
{
    if (string->ascii) {
        size_t length = (size_t)string->length;
        *whole = length <= size;
        if (!*whole)
            length = size;
        memcpy(ret, string->data, length);
        return length;
    }
    size_t used = 0;
    for (Py_ssize_t i = 0; i < string->length; i++) {
        char bytes[4];
        size_t count = encode_character(character_at(string, i), bytes);
        if (used + count > size) {
            *whole = false;
            return used;
        }
        memcpy(ret + used, bytes, count);
        used += count;
    }
    *whole = true;
    return used;
}
