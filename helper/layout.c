/* Where CPython keeps what: see layout.h.
 *
 * Nothing here looks at an object: the compiler works the offsets out from the
 * interpreter's own headers, internal ones included, so they are those of this build
 * (debug, free-threaded, …) and not of a table that was copied once. Each version branch
 * names what changed. Any thread, no GIL. */
#define Py_BUILD_CORE 1
#include <Python.h>
#include <frameobject.h>
#include <stddef.h>
#include <string.h>
#if PY_VERSION_HEX < 0x030B0000
#include <longintrepr.h> /* part of Python.h from 3.11 on */
#endif
#if PY_VERSION_HEX >= 0x030D0000
#include <internal/pycore_list.h>
#endif
#if PY_VERSION_HEX >= 0x030B0000
#include <internal/pycore_dict.h> /* dict keys: private to dictobject.c before */
#include <internal/pycore_frame.h>
#endif
#if PY_VERSION_HEX >= 0x030A0000
#include <internal/pycore_moduleobject.h> /* private to moduleobject.c before */
#endif
#if PY_VERSION_HEX >= 0x03090000
#include <internal/pycore_interp.h> /* split off pycore_pystate.h in 3.9 */
#include <internal/pycore_runtime.h>
#endif
#include <internal/pycore_pystate.h>

#include "layout.h"

#define AT(type, field) ((int32_t)offsetof(type, field))
#define WORD ((int32_t)sizeof(void *))

/* A bit field has no offset: see which bit it sets. `interned` in front of it has 2 bits, 8 in
 * builds without the GIL, and had 16 in pre-releases of 3.14. */
static int32_t unicode_kind_shift(void)
{
    PyASCIIObject probe;
    uint32_t bits;

    memset(&probe, 0, sizeof probe);
    probe.state.kind = 1;
    memcpy(&bits, &probe.state, sizeof bits);
    return __builtin_ctz(bits);
}

static void fill_objects(struct mt_layout *ret)
{
    ret->object_type = AT(PyObject, ob_type);
    ret->var_size = AT(PyVarObject, ob_size);
    ret->type_name = AT(PyTypeObject, tp_name);
    ret->type_flags = AT(PyTypeObject, tp_flags);
    ret->type_basicsize = AT(PyTypeObject, tp_basicsize);
    ret->type_dictoffset = AT(PyTypeObject, tp_dictoffset);
    ret->type_base = AT(PyTypeObject, tp_base);
    ret->type_dict = AT(PyTypeObject, tp_dict);
    ret->type_mro = AT(PyTypeObject, tp_mro);
    ret->member_descr_member = AT(PyMemberDescrObject, d_member);
    ret->heap_type_cached_keys = AT(PyHeapTypeObject, ht_cached_keys);
#if PY_VERSION_HEX >= 0x030C0000
    /* 3.12 moved sign and size of an int from ob_size to lv_tag (gh-101291). */
    ret->long_tag = AT(PyLongObject, long_value.lv_tag);
    ret->long_digits = AT(PyLongObject, long_value.ob_digit);
#else
    ret->long_digits = AT(PyLongObject, ob_digit);
#endif
    ret->float_value = AT(PyFloatObject, ob_fval);
    ret->complex_value = AT(PyComplexObject, cval);
    ret->bytes_data = AT(PyBytesObject, ob_sval);
    ret->bytearray_start = AT(PyByteArrayObject, ob_start);
    ret->unicode_length = AT(PyASCIIObject, length);
    ret->unicode_state = AT(PyASCIIObject, state);
    ret->unicode_kind_shift = unicode_kind_shift();
    ret->unicode_ascii_data = (int32_t)sizeof(PyASCIIObject);
    ret->unicode_compact_data = (int32_t)sizeof(PyCompactUnicodeObject);
    ret->unicode_utf8 = AT(PyCompactUnicodeObject, utf8);
    ret->unicode_utf8_length = AT(PyCompactUnicodeObject, utf8_length);
    ret->tuple_items = AT(PyTupleObject, ob_item);
    ret->list_items = AT(PyListObject, ob_item);
    ret->set_fill = AT(PySetObject, fill);
    ret->set_used = AT(PySetObject, used);
    ret->set_mask = AT(PySetObject, mask);
    ret->set_table = AT(PySetObject, table);
    ret->cell_contents = AT(PyCellObject, ob_ref);
    ret->function_qualname = AT(PyFunctionObject, func_qualname);
#if PY_VERSION_HEX >= 0x030A0000
    ret->module_dict = AT(PyModuleObject, md_dict);
#else
    ret->module_dict = (int32_t)sizeof(PyObject); /* the first field, in a private struct */
#endif
}

static void fill_dicts(struct mt_layout *ret)
{
    ret->dict_used = AT(PyDictObject, ma_used);
    ret->dict_keys = AT(PyDictObject, ma_keys);
    ret->dict_values = AT(PyDictObject, ma_values);
#if PY_VERSION_HEX >= 0x030B0000
    ret->keys_log2_size = AT(PyDictKeysObject, dk_log2_size);
    ret->keys_kind = AT(PyDictKeysObject, dk_kind);
    ret->keys_usable = AT(PyDictKeysObject, dk_usable);
    ret->keys_nentries = AT(PyDictKeysObject, dk_nentries);
    ret->keys_indices = AT(PyDictKeysObject, dk_indices);
    ret->values_items = AT(PyDictValues, values);
#else
    /* Private to dictobject.c, the same from 3.6 to 3.10: five words (references, size, the
     * lookup function, usable, entries), then the indices. */
    ret->keys_size = WORD;
    ret->keys_usable = 3 * WORD;
    ret->keys_nentries = 4 * WORD;
    ret->keys_indices = 5 * WORD;
    ret->values_items = 0;
#endif
#if PY_VERSION_HEX >= 0x030D0000
    /* 3.13: a plain dict pointer again, the values are inside the object (gh-115776). */
    ret->managed_dict_offset = (int32_t)MANAGED_DICT_OFFSET;
#elif PY_VERSION_HEX >= 0x030C0000
    /* 3.12: one word, a dict or (low bit set) the values; without a name (gh-98586). */
    ret->managed_dict_offset = -3 * WORD;
#elif PY_VERSION_HEX >= 0x030B0000
    /* 3.11 has a word for each, without a name for the second (bpo-45340). */
    ret->managed_dict_offset = -3 * WORD;
    ret->managed_values_offset = -4 * WORD;
#endif
}

static void fill_code(struct mt_layout *ret)
{
    ret->code_filename = AT(PyCodeObject, co_filename);
    ret->code_name = AT(PyCodeObject, co_name);
    ret->code_first_line = AT(PyCodeObject, co_firstlineno);
    ret->code_names = AT(PyCodeObject, co_names);
    ret->code_nlocals = AT(PyCodeObject, co_nlocals);
    ret->code_arg_count = AT(PyCodeObject, co_argcount);
    ret->code_flags = AT(PyCodeObject, co_flags);
#if PY_VERSION_HEX >= 0x030B0000
    /* 3.11: bytecode inside the code object, and one array of names for all variables. */
    ret->code_qualname = AT(PyCodeObject, co_qualname);
    ret->code_lines = AT(PyCodeObject, co_linetable);
    ret->code_bytes = AT(PyCodeObject, co_code_adaptive);
    ret->code_nlocalsplus = AT(PyCodeObject, co_nlocalsplus);
    ret->code_localsplus_names = AT(PyCodeObject, co_localsplusnames);
    ret->code_localsplus_kinds = AT(PyCodeObject, co_localspluskinds);
#else
#if PY_VERSION_HEX >= 0x030A0000
    ret->code_lines = AT(PyCodeObject, co_linetable); /* PEP 626 */
#else
    ret->code_lines = AT(PyCodeObject, co_lnotab);
#endif
    ret->code_bytes = AT(PyCodeObject, co_code);
    ret->code_varnames = AT(PyCodeObject, co_varnames);
    ret->code_cellvars = AT(PyCodeObject, co_cellvars);
    ret->code_freevars = AT(PyCodeObject, co_freevars);
#endif
}

static void fill_threads(struct mt_layout *ret)
{
    ret->tstate_next = AT(PyThreadState, next);
    ret->tstate_interp = AT(PyThreadState, interp);
    ret->tstate_thread_id = AT(PyThreadState, thread_id);
#if PY_VERSION_HEX >= 0x030B0000
    ret->tstate_native_id = AT(PyThreadState, native_thread_id);
    ret->interp_threads_head = AT(PyInterpreterState, threads.head);
#else
    ret->interp_threads_head = AT(PyInterpreterState, tstate_head);
#endif
    ret->interp_next = AT(PyInterpreterState, next);
#if PY_VERSION_HEX >= 0x030C0000
    ret->interp_modules = AT(PyInterpreterState, imports.modules);
#else
    ret->interp_modules = AT(PyInterpreterState, modules);
#endif
    ret->runtime_interpreters_head = AT(_PyRuntimeState, interpreters.head);
    ret->runtime_main_interpreter = AT(_PyRuntimeState, interpreters.main);
#if PY_VERSION_HEX >= 0x030C0000
    ret->interp_gil = AT(PyInterpreterState, ceval.gil); /* PEP 684: one of each interpreter */
#else
    ret->runtime_gil = AT(_PyRuntimeState, ceval.gil);
#endif
    ret->gil_last_holder = AT(struct _gil_runtime_state, last_holder);
    ret->gil_locked = AT(struct _gil_runtime_state, locked);
}

static void fill_frames(struct mt_layout *ret)
{
#if PY_VERSION_HEX >= 0x030D0000
    /* 3.13 gave up the cframe, and a frame's code became "executable" (gh-108614). */
    ret->tstate_frame = AT(PyThreadState, current_frame);
    ret->frame_code = AT(_PyInterpreterFrame, f_executable);
    ret->frame_instruction = AT(_PyInterpreterFrame, instr_ptr);
#elif PY_VERSION_HEX >= 0x030B0000
    ret->tstate_frame = AT(PyThreadState, cframe);
    ret->cframe_current_frame = AT(_PyCFrame, current_frame);
    ret->frame_code = AT(_PyInterpreterFrame, f_code);
    ret->frame_instruction = AT(_PyInterpreterFrame, prev_instr);
#endif
#if PY_VERSION_HEX >= 0x030B0000
    ret->frame_back = AT(_PyInterpreterFrame, previous);
    ret->frame_locals = AT(_PyInterpreterFrame, f_locals);
    ret->frame_globals = AT(_PyInterpreterFrame, f_globals);
    ret->frame_builtins = AT(_PyInterpreterFrame, f_builtins);
    ret->frame_localsplus = AT(_PyInterpreterFrame, localsplus);
    ret->frame_owner = AT(_PyInterpreterFrame, owner);
    ret->frame_object_frame = AT(PyFrameObject, f_frame);
#else
    ret->tstate_frame = AT(PyThreadState, frame);
    ret->frame_code = AT(PyFrameObject, f_code);
    ret->frame_instruction = AT(PyFrameObject, f_lasti);
    ret->frame_back = AT(PyFrameObject, f_back);
    ret->frame_locals = AT(PyFrameObject, f_locals);
    ret->frame_globals = AT(PyFrameObject, f_globals);
    ret->frame_builtins = AT(PyFrameObject, f_builtins);
    ret->frame_localsplus = AT(PyFrameObject, f_localsplus);
#endif
}

void mt_layout_fill(struct mt_layout *ret)
{
    memset(ret, 0xff, sizeof(*ret)); /* -1 everywhere */
    ret->managed_dict_offset = 0;
    ret->managed_values_offset = 0;
    fill_objects(ret);
    fill_dicts(ret);
    fill_code(ret);
    fill_threads(ret);
    fill_frames(ret);
}
