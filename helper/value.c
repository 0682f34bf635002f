/* Objects → captured values, comparison of scalars, type ids, redaction.
 *
 * Needs the GIL, which also guards the globals here; without it they are set alone (guard.h),
 * and each type id is one atomic word. Containers are held still while they are read. Reads
 * objects' memory through pyobject.c and public macros; see value.h for what is never done. The
 * cost of a capture is bounded by the budget: every item written takes bytes of it, and at most
 * SLOTS_PER_BYTE table positions are looked at for each byte of it. */
#include "value.h"

#include "defs.h"
#include "guard.h"
#include "pyobject.h"

enum {
    VALUE_SIZE = 64,           /* budget until mt_value_configure */
    VALUE_SIZE_MIN = 24,       /* any value that is no container fits, nested: BIGINT has 19 */
    DEPTH_MAX = 8,             /* containers within containers */
    SLOTS_PER_BYTE = 4,        /* table positions looked at in sparse dicts and sets */
    KEY_BYTES = 64,            /* longest str or bytes that is an item's key */
    STR_MIN = 8,               /* of a longer str in a container, show that much or nothing */
    NAME_BYTES = 256,          /* of a type's name, and of a key that redaction looks at */
    COMPARE_BYTES = 64 * 1024, /* longest contents that mt_value_compare looks at */
    TYPE_SLOTS = 4096,         /* table of type ids, a power of two */
    TYPE_PROBES = 16,
    TYPE_DEFINITIONS = 65536, /* no more than that, whatever the program makes up */
};

static uint32_t budget = VALUE_SIZE;
static const char *redact_globs = "\0"; /* each ends in '\0', the list in another; borrowed */

/* Type ids by the name: its hash, and the id in the low TYPE_ID_BITS. 0: free. One word, so that
 * a thread that comes while another writes sees all of an entry or nothing. */
enum { TYPE_ID_BITS = 17 };
static uint64_t type_ids[TYPE_SLOTS];
static uint32_t types_defined;
_Static_assert(TYPE_DEFINITIONS < 1 << TYPE_ID_BITS, "an id has room beside the hash");

void mt_value_configure(const struct mt_value_options *options)
{
    budget = options->size;
    if (budget > MT_VALUE_BYTES_MAX)
        budget = MT_VALUE_BYTES_MAX;
    redact_globs = options->redact ? options->redact : "\0";
    memset(type_ids, 0, sizeof type_ids);
    types_defined = 0;
}

/* ---- redaction -------------------------------------------------------------------------- */

static char lower(char character)
{
    return character >= 'A' && character <= 'Z' ? (char)(character - 'A' + 'a') : character;
}

/* Does one character match the set at `glob` (behind its '[')? *end is behind its ']', or
 * NULL when the set is not closed: then '[' stands for itself. */
static bool set_matches(const char *glob, char character, const char **end)
{
    bool negated = *glob == '!' || *glob == '^', matches = false;
    const char *at = glob + negated;
    for (bool first = true; *at && (first || *at != ']'); first = false) {
        char low = lower(*at), high = low;
        if (at[1] == '-' && at[2] && at[2] != ']') {
            high = lower(at[2]);
            at += 2;
        }
        matches |= character >= low && character <= high;
        at++;
    }
    *end = *at ? at + 1 : NULL;
    return matches != negated;
}

/* One glob element other than '*' against one character; *next is behind the element. */
static bool element_matches(const char *glob, char character, const char **next)
{
    *next = glob + 1;
    if (*glob == '?')
        return true;
    if (*glob == '[') {
        const char *end;
        bool matches = set_matches(glob + 1, character, &end);
        if (end) {
            *next = end;
            return matches;
        }
    }
    return lower(*glob) == character;
}

/* Shell pattern (* ? [set]) against a name, ASCII case ignored. At most size x length steps:
 * only the last '*' is ever gone back to. */
static bool glob_matches(const char *glob, const char *name, size_t size)
{
    const char *star = NULL, *next;
    size_t at = 0, star_at = 0;
    while (at < size) {
        if (*glob == '*') {
            star = ++glob;
            star_at = at;
        } else if (*glob && element_matches(glob, lower(name[at]), &next)) {
            glob = next;
            at++;
        } else if (star) {
            glob = star;
            at = ++star_at;
        } else {
            return false;
        }
    }
    while (*glob == '*')
        glob++;
    return !*glob;
}

bool mt_value_is_redacted(const char *name, size_t size)
{
    for (const char *glob = redact_globs; *glob; glob += strlen(glob) + 1)
        if (glob_matches(glob, name, size))
            return true;
    return false;
}

static bool key_is_redacted(PyObject *key)
{
    char name[NAME_BYTES];
    struct mt_characters characters;
    bool whole;
    if (!*redact_globs)
        return false;
    if (PyUnicode_Check(key) && mt_pyobject_characters(key, &characters))
        return mt_value_is_redacted(name, mt_pyobject_utf8(&characters, name, sizeof name, &whole));
    if (PyBytes_Check(key)) {
        size_t size = (size_t)PyBytes_GET_SIZE(key);
        return mt_value_is_redacted(PyBytes_AS_STRING(key), size < NAME_BYTES ? size : NAME_BYTES);
    }
    return false;
}

/* ---- type ids --------------------------------------------------------------------------- */

/* type.__name__, read from memory: UTF-8 into `buffer`, or a part of tp_name. */
static struct mt_text type_name(PyTypeObject *type, char buffer[NAME_BYTES])
{
    struct mt_characters characters;
    bool whole;
    if (type->tp_flags & Py_TPFLAGS_HEAPTYPE) {
        PyObject *name = ((PyHeapTypeObject *)type)->ht_name;
        if (name && PyUnicode_Check(name) && mt_pyobject_characters(name, &characters)) {
            if (characters.ascii && characters.length <= NAME_BYTES)
                return (struct mt_text){characters.data, (size_t)characters.length};
            size_t size = mt_pyobject_utf8(&characters, buffer, NAME_BYTES, &whole);
            return (struct mt_text){buffer, size};
        }
    }
    const char *dot = strrchr(type->tp_name, '.');
    const char *name = dot ? dot + 1 : type->tp_name;
    return (struct mt_text){name, strnlen(name, NAME_BYTES)};
}

static uint64_t hash_bytes(const void *bytes, size_t size, uint64_t seed)
{
    const unsigned char *at = bytes;
    uint64_t hash = seed ^ (size * 0x9E3779B97F4A7C15u);
    for (; size >= 8; size -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        hash = (hash ^ word) * 0xD6E8FEB86659FD93u;
        hash ^= hash >> 32;
    }
    uint64_t word = 0;
    memcpy(&word, at, size);
    hash = (hash ^ word) * 0xD6E8FEB86659FD93u;
    hash ^= hash >> 29;
    return hash;
}

static __attribute__((noinline)) uint64_t hash_type_name(PyTypeObject *type)
{
    char buffer[NAME_BYTES];
    struct mt_text name = type_name(type, buffer);
    return hash_bytes(name.bytes, name.size, 0);
}

/* Not below 1 << TYPE_ID_BITS. The name of a class made in Python has its hash already. */
static uint64_t hash_type(PyTypeObject *type)
{
    PyObject *name = type->tp_flags & Py_TPFLAGS_HEAPTYPE ? ((PyHeapTypeObject *)type)->ht_name
                                                          : NULL;
    Py_hash_t hash = -1;
    if (name && PyUnicode_CheckExact(name)) {
        hash = mt_pyobject_known_hash(name);
        if (hash == -1)
            hash = PyObject_Hash(name);
    }
    return (hash != -1 ? (uint64_t)hash : hash_type_name(type)) | (uint64_t)1 << 63;
}

/* A type of this name is met for the first time, or again after `entry` was given away. */
static __attribute__((noinline)) uint32_t define_type(PyTypeObject *type, uint64_t hash,
                                                      uint64_t *entry)
{
    char buffer[NAME_BYTES];

    if (__atomic_load_n(&types_defined, __ATOMIC_RELAXED) >= TYPE_DEFINITIONS)
        return 0;
    __atomic_fetch_add(&types_defined, 1, __ATOMIC_RELAXED);
    uint32_t id = mt_defs_type(type_name(type, buffer));
    if (id >> TYPE_ID_BITS == 0)
        __atomic_store_n(entry, hash >> TYPE_ID_BITS << TYPE_ID_BITS | id, __ATOMIC_RELEASE);
    return id;
}

uint32_t mt_value_type_id(PyTypeObject *type)
{
    uint64_t hash = hash_type(type);
    uint64_t *entry = NULL;
    for (uint32_t i = 0; i < TYPE_PROBES; i++) {
        entry = &type_ids[(hash + i) & (TYPE_SLOTS - 1)];
        // Acquire pairs with the store in define_type: who sees an id may name it in an event.
        uint64_t word = __atomic_load_n(entry, __ATOMIC_ACQUIRE);
        if (word >> TYPE_ID_BITS == hash >> TYPE_ID_BITS)
            return (uint32_t)word & ((1 << TYPE_ID_BITS) - 1);
        if (!word)
            break;
    }
    /* Crowded: the last one looked at goes, and is defined again when it is met again. Two
     * threads that meet a type at once define it twice. */
    return define_type(type, hash, entry);
}

/* ---- writing ---------------------------------------------------------------------------- */

/* Where the nested encoding goes. `parents`: the containers around the one being written. */
struct writer {
    uint8_t *at, *end;
    int depth;
    PyObject *parents[DEPTH_MAX];
};

static size_t room(const struct writer *writer)
{
    return (size_t)(writer->end - writer->at);
}

/* The caller has made sure that there is room. */
static inline void put(struct writer *writer, const void *bytes, size_t size)
{
    memcpy(writer->at, bytes, size);
    writer->at += size;
}

#define PUT(writer, type, value) put(writer, &(type){value}, sizeof(type))

static uint32_t saturated32(uint64_t number)
{
    return number < UINT32_MAX ? (uint32_t)number : UINT32_MAX;
}

/* Each put_* writes one nested value whole and returns true, or returns false and leaves
 * the writer as it was, because there is no room. */

static bool put_tag(struct writer *writer, uint8_t tag)
{
    if (room(writer) < 1)
        return false;
    PUT(writer, uint8_t, tag);
    return true;
}

/* For a value that must be there, of which the room was kept free. */
static void put_ellipsis(struct writer *writer)
{
    PUT(writer, uint8_t, MT_NESTED_ELLIPSIS);
}

enum {
    TEXT_HEADER = 1 + 4 + 2,
    OBJECT_HEADER = 1 + 4 + 8,
    NAMED_HEADER = OBJECT_HEADER + 2,
    ITEMS_HEADER = 1 + 8 + 2,
    BIGINT_HEADER = 1 + 1 + 8 + 8 + 1,
    COMPLEX_SIZE = 1 + 16,
};

/* Room for a part of a text that is worth showing? */
static bool text_fits(const struct writer *writer, uint64_t length)
{
    return room(writer) >= TEXT_HEADER + (length < STR_MIN ? length : STR_MIN);
}

/* STR, BYTES, BYTEARRAY: the header before, and the size when it is known. */
static uint8_t *put_text_header(struct writer *writer, uint8_t tag, uint64_t length)
{
    PUT(writer, uint8_t, tag);
    PUT(writer, uint32_t, saturated32(length));
    uint8_t *size = writer->at;
    PUT(writer, uint16_t, 0);
    return size;
}

static void set_size16(uint8_t *at, size_t size)
{
    memcpy(at, &(uint16_t){(uint16_t)size}, 2);
}

static bool put_object(struct writer *writer, uint8_t tag, PyObject *object)
{
    if (room(writer) < OBJECT_HEADER)
        return false;
    PUT(writer, uint8_t, tag);
    PUT(writer, uint32_t, mt_value_type_id(Py_TYPE(object)));
    PUT(writer, uint64_t, (uintptr_t)object);
    return true;
}

static bool put_string(struct writer *writer, PyObject *object)
{
    struct mt_characters characters;
    bool whole;
    if (!mt_pyobject_characters(object, &characters))
        return put_object(writer, MT_TAG_OBJECT, object);
    /* A character takes up to four bytes: enough room for some of them, at any rate. */
    if (!text_fits(writer, (uint64_t)characters.length))
        return false;
    uint8_t *size = put_text_header(writer, MT_TAG_STR, (uint64_t)characters.length);
    size_t written = mt_pyobject_utf8(&characters, (char *)writer->at, room(writer), &whole);
    writer->at += written;
    set_size16(size, written);
    return true;
}

static bool put_raw(struct writer *writer, uint8_t tag, const void *bytes, Py_ssize_t length)
{
    if (!text_fits(writer, (uint64_t)length))
        return false;
    uint8_t *size = put_text_header(writer, tag, (uint64_t)length);
    size_t written = room(writer) < (size_t)length ? room(writer) : (size_t)length;
    if (written)
        put(writer, bytes, written);
    set_size16(size, written);
    return true;
}

static bool put_bytearray(struct writer *writer, PyObject *object)
{
    if (!mt_guard_begin(object))
        return put_tag(writer, MT_NESTED_ELLIPSIS);
    bool written = put_raw(writer, MT_NESTED_BYTEARRAY, ((PyByteArrayObject *)object)->ob_start,
                           Py_SIZE(object));
    mt_guard_end();
    return written;
}

/* Little-endian magnitude of an int, `size` bytes. */
static void put_magnitude(struct writer *writer, const struct mt_digits *number, size_t size)
{
    uint64_t bits = 0;
    unsigned have = 0;
    size_t next = 0;
    for (size_t i = 0; i < size; i++) {
        if (have < 8 && next < number->count) {
            bits |= (uint64_t)number->digits[next++] << have;
            have += PyLong_SHIFT;
        }
        PUT(writer, uint8_t, (uint8_t)bits);
        bits >>= 8;
        have = have > 8 ? have - 8 : 0;
    }
}

static bool put_integer(struct writer *writer, PyObject *object)
{
    int64_t value;
    if (mt_pyobject_int64(object, &value)) {
        bool small = value >= INT32_MIN && value <= INT32_MAX;
        if (room(writer) < 1u + (small ? 4 : 8))
            return false;
        if (small) {
            PUT(writer, uint8_t, MT_TAG_INT32);
            PUT(writer, int32_t, (int32_t)value);
        } else {
            PUT(writer, uint8_t, MT_TAG_INT64);
            PUT(writer, int64_t, value);
        }
        return true;
    }
    if (room(writer) < BIGINT_HEADER)
        return false;
    struct mt_digits number = mt_pyobject_digits(object);
    uint64_t bits = mt_pyobject_bit_length(&number), size = (bits + 7) / 8;
    if (size > UINT8_MAX || size > room(writer) - BIGINT_HEADER)
        size = 0;
    PUT(writer, uint8_t, MT_NESTED_BIGINT);
    PUT(writer, uint8_t, number.negative);
    PUT(writer, uint64_t, bits);
    PUT(writer, uint64_t, mt_pyobject_leading_bits(&number, NULL));
    PUT(writer, uint8_t, (uint8_t)size);
    put_magnitude(writer, &number, (size_t)size);
    return true;
}

static bool put_float(struct writer *writer, PyObject *object)
{
    if (room(writer) < 1 + sizeof(double))
        return false;
    PUT(writer, uint8_t, MT_TAG_FLOAT);
    PUT(writer, double, PyFloat_AS_DOUBLE(object));
    return true;
}

static bool put_complex(struct writer *writer, PyObject *object)
{
    if (room(writer) < COMPLEX_SIZE)
        return false;
    PUT(writer, uint8_t, MT_NESTED_COMPLEX);
    PUT(writer, double, ((PyComplexObject *)object)->cval.real);
    PUT(writer, double, ((PyComplexObject *)object)->cval.imag);
    return true;
}

/* ---- containers ------------------------------------------------------------------------- */

static bool put_nested(struct writer *writer, PyObject *object);

/* Of so many. */
static Py_ssize_t slots_looked_at(Py_ssize_t slots)
{
    Py_ssize_t most = (Py_ssize_t)SLOTS_PER_BYTE * budget;
    return slots < most ? slots : most;
}

/* Goes through a dict's, set's or deque's items; `key` is set for dicts only. */
struct items {
    uint8_t tag;
    uint64_t length;
    PyObject *container;
    Py_ssize_t position, slots;
    struct mt_table table;
    struct mt_deque_walk deque;
};

static void items_begin(struct items *items, uint8_t tag, PyObject *container)
{
    *items = (struct items){.tag = tag, .container = container};
    switch (tag) {
    case MT_NESTED_DICT:
        mt_pyobject_dict(container, &items->table);
        items->length = (uint64_t)items->table.used;
        items->slots = items->table.slots;
        break;
    case MT_NESTED_SET:
    case MT_NESTED_FROZENSET:
        items->length = (uint64_t)PySet_GET_SIZE(container);
        items->slots = mt_pyobject_set_slots(container);
        break;
    case MT_NESTED_DEQUE:
        mt_pyobject_deque_begin(container, &items->deque);
        items->length = (uint64_t)Py_SIZE(container);
        items->slots = Py_SIZE(container);
        break;
    default: break;
    }
    items->slots = slots_looked_at(items->slots);
}

static bool items_next(struct items *items, PyObject **key, PyObject **value)
{
    *key = NULL;
    while (items->position < items->slots) {
        Py_ssize_t position = items->position++;
        switch (items->tag) {
        case MT_NESTED_DICT:
            if (mt_pyobject_dict_at(&items->table, position, key, value))
                return true;
            break;
        case MT_NESTED_SET:
        case MT_NESTED_FROZENSET: *value = mt_pyobject_set_at(items->container, position); break;
        case MT_NESTED_DEQUE: *value = mt_pyobject_deque_next(&items->deque); break;
        default: return false;
        }
        if (items->tag != MT_NESTED_DICT && *value)
            return true;
    }
    return false;
}

/* A key and its value. A value that has no room is an ellipsis beside its key. */
static bool put_pair(struct writer *writer, PyObject *key, PyObject *value)
{
    if (room(writer) < 2)
        return false;
    writer->end--; /* kept free for the ellipsis */
    bool fits = put_nested(writer, key);
    writer->end++;
    if (!fits)
        return false;
    if (key_is_redacted(key)) {
        PUT(writer, uint8_t, MT_TAG_REDACTED);
        return true;
    }
    if (!put_nested(writer, value))
        put_ellipsis(writer);
    return true;
}

static bool is_parent(const struct writer *writer, PyObject *container)
{
    for (int i = 0; i < writer->depth; i++)
        if (writer->parents[i] == container)
            return true;
    return false;
}

/* The header, with a count of items that is yet to be set. */
static uint8_t *put_items_header(struct writer *writer, uint8_t tag, uint64_t length)
{
    PUT(writer, uint8_t, tag);
    PUT(writer, uint64_t, length);
    uint8_t *count_at = writer->at;
    PUT(writer, uint16_t, 0);
    return count_at;
}

/* The commonest item. False: it is another, or has no room; nothing was written. */
static inline bool put_small_int(struct writer *writer, PyObject *object)
{
    int32_t small;
    if (!PyLong_CheckExact(object) || !mt_pyobject_small_int(object, &small) ||
        room(writer) < 1 + sizeof small)
        return false;
    writer->at[0] = MT_TAG_INT32;
    memcpy(writer->at + 1, &small, sizeof small);
    writer->at += 1 + sizeof small;
    return true;
}

/* Items of a list or tuple, as many as fit; how many they are. */
static size_t put_sequence(struct writer *writer, PyObject *const *items, Py_ssize_t length)
{
    size_t count = 0;
    for (Py_ssize_t i = 0, end = slots_looked_at(length); i < end; i++) {
        /* C code that is still filling it. */
        if (!items[i])
            continue;
        if (!put_small_int(writer, items[i]) && !put_nested(writer, items[i]))
            break;
        count++;
    }
    return count;
}

static size_t put_others(struct writer *writer, struct items *items)
{
    PyObject *key, *value;
    size_t count = 0;
    while (items_next(items, &key, &value) &&
           (key ? put_pair(writer, key, value) : put_nested(writer, value)))
        count++;
    return count;
}

/* Of a container that is held still, with room for the header. */
static void put_held_items(struct writer *writer, uint8_t tag, PyObject *container)
{
    uint8_t *count_at;
    size_t count;
    writer->parents[writer->depth++] = container;
    if (tag == MT_NESTED_LIST || tag == MT_NESTED_TUPLE) {
        Py_ssize_t length = Py_SIZE(container);
        count_at = put_items_header(writer, tag, (uint64_t)length);
        count = put_sequence(writer,
                             tag == MT_NESTED_LIST ? ((PyListObject *)container)->ob_item
                                                   : ((PyTupleObject *)container)->ob_item,
                             length);
    } else {
        struct items items;
        items_begin(&items, tag, container);
        count_at = put_items_header(writer, tag, items.length);
        count = put_others(writer, &items);
    }
    writer->depth--;
    set_size16(count_at, count);
}

static bool put_items(struct writer *writer, uint8_t tag, PyObject *container)
{
    bool is_fixed = tag == MT_NESTED_TUPLE || tag == MT_NESTED_FROZENSET;
    if (writer->depth == DEPTH_MAX || is_parent(writer, container))
        return put_tag(writer, MT_NESTED_ELLIPSIS);
    if (room(writer) < ITEMS_HEADER)
        return false;
    if (!is_fixed && !mt_guard_begin(container))
        return put_tag(writer, MT_NESTED_ELLIPSIS);
    put_held_items(writer, tag, container);
    if (!is_fixed)
        mt_guard_end();
    return true;
}

/* `count` values one behind the other, whatever the room: at least an ellipsis each. */
static bool put_parts(struct writer *writer, uint8_t tag, PyObject *const *parts, size_t count)
{
    if (room(writer) < 1 + count)
        return false;
    PUT(writer, uint8_t, tag);
    for (size_t i = 0; i < count; i++) {
        size_t kept = count - 1 - i;
        writer->end -= kept;
        if (!parts[i] || !put_nested(writer, parts[i]))
            put_ellipsis(writer);
        writer->end += kept;
    }
    return true;
}

static bool put_range(struct writer *writer, PyObject *object)
{
    PyObject *parts[3];
    mt_pyobject_range(object, parts);
    return put_parts(writer, MT_NESTED_RANGE, parts, 3);
}

static bool put_slice(struct writer *writer, PyObject *object)
{
    const PySliceObject *slice = (const PySliceObject *)object;
    if (writer->depth == DEPTH_MAX)
        return put_tag(writer, MT_NESTED_ELLIPSIS);
    /* Its parts can be anything, slices too. */
    writer->parents[writer->depth++] = object;
    PyObject *parts[3] = {slice->start, slice->stop, slice->step};
    bool written = put_parts(writer, MT_NESTED_SLICE, parts, 3);
    writer->depth--;
    return written;
}

/* ---- everything else -------------------------------------------------------------------- */

/* The name of a function, class or module where it is an exact str in memory. */
static struct mt_text name_of(PyObject *object, char buffer[NAME_BYTES])
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject *name = NULL;
    struct mt_characters characters;
    bool whole;
    if (PyType_Check(object))
        return type_name((PyTypeObject *)object, buffer);
    if (type == &PyCFunction_Type) {
        const char *c_name = ((PyCFunctionObject *)object)->m_ml->ml_name;
        return (struct mt_text){c_name, c_name ? strnlen(c_name, NAME_BYTES) : 0};
    }
    if (type == &PyMethod_Type) {
        object = PyMethod_GET_FUNCTION(object);
        type = Py_TYPE(object);
    }
    /* A function can be given another name meanwhile. */
    if (!mt_guard_begin(object))
        return (struct mt_text){NULL, 0};
    if (type == &PyFunction_Type)
        name = ((PyFunctionObject *)object)->func_qualname;
    else if (PyModule_Check(object))
        name = mt_pyobject_module_name(object);
    struct mt_text text = {NULL, 0};
    if (name && PyUnicode_CheckExact(name) && mt_pyobject_characters(name, &characters))
        text = (struct mt_text){buffer, mt_pyobject_utf8(&characters, buffer, NAME_BYTES, &whole)};
    mt_guard_end();
    return text;
}

/* How much of a name there is room for, without a torn character at its end. */
static size_t name_cut(struct mt_text name, size_t size)
{
    if (name.size <= size)
        return name.size;
    while (size && ((unsigned char)name.bytes[size] & 0xC0) == 0x80)
        size--;
    return size;
}

static bool put_named(struct writer *writer, PyObject *object)
{
    char buffer[NAME_BYTES];
    struct mt_text name = name_of(object, buffer);
    if (!name.bytes || room(writer) < NAMED_HEADER + STR_MIN)
        return put_object(writer, MT_TAG_OBJECT, object);
    put_object(writer, MT_NESTED_NAMED, object);
    size_t size = name_cut(name, room(writer) - 2);
    PUT(writer, uint16_t, (uint16_t)size);
    put(writer, name.bytes, size);
    return true;
}

static bool is_named(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    return type == &PyFunction_Type || type == &PyCFunction_Type || type == &PyMethod_Type ||
           PyType_Check(object) || PyModule_Check(object);
}

/* The tag of a container type (itself, no subclass) that is looked into, or 0: what is left of them
 * besides list, dict and tuple. */
static uint8_t other_container_tag(PyTypeObject *type)
{
    if (type == &PySet_Type)
        return MT_NESTED_SET;
    if (type == &PyFrozenSet_Type)
        return MT_NESTED_FROZENSET;
    return mt_pyobject_is_deque_type(type) ? MT_NESTED_DEQUE : 0;
}

/* Write `object` as an object of `type`, which is its type or a base of it. *known false:
 * `type` is none that is looked into; nothing was written. */
static bool put_as(struct writer *writer, PyObject *object, PyTypeObject *type, bool *known)
{
    *known = true;
    if (type == &PyUnicode_Type)
        return put_string(writer, object);
    if (type == &PyLong_Type)
        return put_integer(writer, object);
    if (type == &PyList_Type)
        return put_items(writer, MT_NESTED_LIST, object);
    if (type == &PyDict_Type)
        return put_items(writer, MT_NESTED_DICT, object);
    if (type == &PyTuple_Type)
        return put_items(writer, MT_NESTED_TUPLE, object);
    if (type == &PyFloat_Type)
        return put_float(writer, object);
    if (type == &PyBytes_Type)
        return put_raw(writer, MT_TAG_BYTES, PyBytes_AS_STRING(object), PyBytes_GET_SIZE(object));
    if (type == &PyByteArray_Type)
        return put_bytearray(writer, object);
    if (type == &PyComplex_Type)
        return put_complex(writer, object);
    uint8_t tag = other_container_tag(type);
    if (tag)
        return put_items(writer, tag, object);
    *known = false;
    return false;
}

/* An instance of a class made in Python, as are its bases up to object: there is nothing in it to
 * look into. (One made by C code may be; it has methods in a table.) */
static bool is_plain_instance(PyTypeObject *type)
{
    while (type->tp_flags & Py_TPFLAGS_HEAPTYPE && !type->tp_methods)
        type = type->tp_base;
    return type == &PyBaseObject_Type;
}

/* An instance of a class: with the builtin's part, where it derives from one. */
static bool put_instance(struct writer *writer, PyObject *object)
{
    uint8_t *start = writer->at;
    /* The nested value takes a byte at least. */
    if (room(writer) <= OBJECT_HEADER)
        return put_object(writer, MT_TAG_OBJECT, object);
    put_object(writer, MT_NESTED_SUBCLASS, object);
    /* tp_base is the base that decides the layout, whatever else is in the MRO. */
    for (PyTypeObject *base = Py_TYPE(object)->tp_base; base; base = base->tp_base) {
        bool known, written = put_as(writer, object, base, &known);
        if (!known)
            continue;
        if (!written)
            put_ellipsis(writer);
        return true;
    }
    *start = MT_TAG_OBJECT; /* which has the same fields */
    return true;
}

static bool put_nested(struct writer *writer, PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    bool known;
    if (put_small_int(writer, object))
        return true;
    if (object == Py_None)
        return put_tag(writer, MT_TAG_NONE);
    if (type == &PyBool_Type)
        return put_tag(writer, object == Py_True ? MT_TAG_TRUE : MT_TAG_FALSE);
    if (is_plain_instance(type))
        return put_object(writer, MT_TAG_OBJECT, object);
    bool written = put_as(writer, object, type, &known);
    if (known)
        return written;
    if (type == &PyRange_Type)
        return put_range(writer, object);
    if (type == &PySlice_Type)
        return put_slice(writer, object);
    if (is_named(object))
        return put_named(writer, object);
    return put_instance(writer, object);
}

/* ---- top level -------------------------------------------------------------------------- */

static void capture_object(PyObject *object, struct mt_value *ret)
{
    struct writer writer = {.at = ret->bytes};

    ret->tag = MT_TAG_OBJECT;
    PUT(&writer, uint32_t, mt_value_type_id(Py_TYPE(object)));
    PUT(&writer, uint64_t, (uintptr_t)object);
    ret->size = 4 + 8;
}

/* The commonest str, up to `size` bytes of it. */
static void capture_ascii(PyObject *object, size_t size, struct mt_value *ret)
{
    size_t length = (size_t)PyUnicode_GET_LENGTH(object);
    size_t written = length < size ? length : size;

    ret->tag = MT_TAG_STR;
    ret->size = (uint16_t)(4 + 2 + written);
    memcpy(ret->bytes, &(uint32_t){saturated32(length)}, 4);
    set_size16(ret->bytes + 4, written);
    memcpy(ret->bytes + 4 + 2, (PyASCIIObject *)object + 1, written);
}

/* A str or bytes of its own, up to `size` bytes of it. */
static void capture_text(PyObject *object, size_t size, struct mt_value *ret)
{
    if (PyUnicode_CheckExact(object) && PyUnicode_IS_COMPACT_ASCII(object)) {
        capture_ascii(object, size, ret);
        return;
    }
    struct writer writer = {.at = ret->bytes, .end = ret->bytes + 4 + 2 + size};
    struct mt_characters characters;
    uint64_t length;
    size_t written;
    bool whole;
    uint8_t *bytes = ret->bytes + 4 + 2;
    if (PyBytes_CheckExact(object)) {
        ret->tag = MT_TAG_BYTES;
        length = (uint64_t)PyBytes_GET_SIZE(object);
        written = length < size ? (size_t)length : size;
        memcpy(bytes, PyBytes_AS_STRING(object), written);
    } else if (mt_pyobject_characters(object, &characters)) {
        ret->tag = MT_TAG_STR;
        length = (uint64_t)characters.length;
        written = mt_pyobject_utf8(&characters, (char *)bytes, size, &whole);
    } else {
        capture_object(object, ret);
        return;
    }
    PUT(&writer, uint32_t, saturated32(length));
    PUT(&writer, uint16_t, (uint16_t)written);
    ret->size = (uint16_t)(4 + 2 + written);
}

/* Nested tags that are tags of their own at the top level too: all of the lower range. */
static bool is_simple(uint8_t tag)
{
    return tag < MT_NESTED_BIGINT;
}

void mt_value_capture_other(PyObject *object, struct mt_value *ret)
{
    if (PyUnicode_CheckExact(object) || PyBytes_CheckExact(object)) {
        capture_text(object, budget, ret);
        return;
    }
    if (is_plain_instance(Py_TYPE(object))) {
        capture_object(object, ret);
        return;
    }
    /* Behind the room for a compound's size, so that only simple values have to be moved. */
    struct writer writer = {.at = ret->bytes + 2};
    writer.end = writer.at + (budget < VALUE_SIZE_MIN ? VALUE_SIZE_MIN : budget);
    put_nested(&writer, object);
    size_t size = (size_t)(writer.at - (ret->bytes + 2));
    if (is_simple(ret->bytes[2])) {
        ret->tag = ret->bytes[2];
        ret->size = (uint16_t)(size - 1);
        memmove(ret->bytes, ret->bytes + 3, size - 1);
    } else {
        ret->tag = MT_TAG_COMPOUND;
        ret->size = (uint16_t)(2 + size);
        set_size16(ret->bytes, size);
    }
}

bool mt_value_capture_key(PyObject *object, struct mt_value *ret)
{
    PyTypeObject *type = Py_TYPE(object);
    struct mt_characters characters;
    char bytes[KEY_BYTES];
    int64_t number;
    bool whole = true;
    if (type == &PyUnicode_Type) {
        if (!mt_pyobject_characters(object, &characters))
            return false;
        mt_pyobject_utf8(&characters, bytes, sizeof bytes, &whole);
    } else if (type == &PyBytes_Type) {
        whole = PyBytes_GET_SIZE(object) <= KEY_BYTES;
    } else if (type == &PyLong_Type) {
        whole = mt_pyobject_int64(object, &number);
    } else if (type != &PyBool_Type && type != &PyFloat_Type && object != Py_None) {
        return false;
    }
    if (!whole)
        return false;
    if (type == &PyUnicode_Type || type == &PyBytes_Type)
        capture_text(object, KEY_BYTES, ret);
    else
        mt_value_capture(object, ret);
    return true;
}

/* ---- comparison ------------------------------------------------------------------------- */

static enum mt_sameness same_bytes(const void *left, const void *right, size_t size)
{
    return size <= COMPARE_BYTES && memcmp(left, right, size) == 0 ? MT_EQUAL : MT_DIFFERENT;
}

static enum mt_sameness compare_strings(PyObject *left, PyObject *right)
{
    struct mt_characters a, b;
    if (PyUnicode_IS_COMPACT_ASCII(left) && PyUnicode_IS_COMPACT_ASCII(right)) {
        size_t size = (size_t)PyUnicode_GET_LENGTH(left);
        if (size != (size_t)PyUnicode_GET_LENGTH(right))
            return MT_DIFFERENT;
        return same_bytes((PyASCIIObject *)left + 1, (PyASCIIObject *)right + 1, size);
    }
    if (!mt_pyobject_characters(left, &a) || !mt_pyobject_characters(right, &b) ||
        a.length != b.length || a.kind != b.kind)
        return MT_DIFFERENT;
    return same_bytes(a.data, b.data, (size_t)a.length * (size_t)a.kind);
}

static enum mt_sameness compare_integers(PyObject *left, PyObject *right)
{
    struct mt_digits a = mt_pyobject_digits(left), b = mt_pyobject_digits(right);
    if (a.count != b.count || a.negative != b.negative)
        return MT_DIFFERENT;
    return same_bytes(a.digits, b.digits, a.count * sizeof *a.digits);
}

enum mt_sameness mt_value_compare(PyObject *old_object, PyObject *new_object)
{
    if (old_object == new_object)
        return MT_SAME_OBJECT;
    if (!old_object || !new_object || Py_TYPE(old_object) != Py_TYPE(new_object))
        return MT_DIFFERENT;
    PyTypeObject *type = Py_TYPE(old_object);
    if (type == &PyLong_Type)
        return compare_integers(old_object, new_object);
    if (type == &PyUnicode_Type)
        return compare_strings(old_object, new_object);
    if (type == &PyFloat_Type)
        return PyFloat_AS_DOUBLE(old_object) == PyFloat_AS_DOUBLE(new_object) ? MT_EQUAL
                                                                              : MT_DIFFERENT;
    if (type == &PyBytes_Type) {
        Py_ssize_t size = PyBytes_GET_SIZE(old_object);
        if (size != PyBytes_GET_SIZE(new_object))
            return MT_DIFFERENT;
        return same_bytes(PyBytes_AS_STRING(old_object), PyBytes_AS_STRING(new_object),
                          (size_t)size);
    }
    if (type == &PyComplex_Type) {
        Py_complex a = ((PyComplexObject *)old_object)->cval;
        Py_complex b = ((PyComplexObject *)new_object)->cval;
        return a.real == b.real && a.imag == b.imag ? MT_EQUAL : MT_DIFFERENT;
    }
    return MT_DIFFERENT;
}
