/* The reader: merge, filters, names, cores, recordings, and input that means harm. */
#define _GNU_SOURCE
#include "clock.h"
#include "units.h"

#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "event.h"
#include "packets.h"

#define ASSERT_SEQS(reader, expected, ...) \
    assert_string_equal(seqs(reader, (struct mt_filter){__VA_ARGS__}), expected)

/* A small bank: two functions, three kinds of targets, two threads (their numbers made up). */
enum { FIRST_THREAD = 4711, SECOND_THREAD = 4712 };

struct bank {
    struct mt_control *control;
    struct mt_reader *reader;
    uint32_t balance, attribute, flags, point;
    struct mt_ring first, second;
};

static uint64_t append_key(struct mt_ring *ring, uint32_t site, uint32_t activation,
                           struct mt_value key)
{
    struct mt_value old_value = value_absent(), new_value = value_int(1);
    struct mt_record record = {MT_NEW, site, activation, &old_value, &new_value, &key};
    return mt_ring_append(ring, &record);
}

static int set_up(void **state)
{
    static struct bank bank;
    bank = (struct bank){.control = open_buffer(MT_BUFFER_BYTES_MIN)};
    uint32_t transfer = mt_defs_code(TEXT("/srv/bank.py"), TEXT("transfer"), 10);
    uint32_t method = mt_defs_code(TEXT("/srv/model.py"), TEXT("Account.close"), 20);
    bank.balance =
        mt_defs_site(mt_defs_reserve_sites(1), transfer, 12, MT_LOCAL, TEXT("balance"), TEXT(""));
    bank.attribute = mt_defs_site(mt_defs_reserve_sites(1), method, 22, MT_ATTRIBUTE,
                                  TEXT("self.balance"), TEXT(""));
    bank.flags =
        mt_defs_site(mt_defs_reserve_sites(1), transfer, 13, MT_ITEM, TEXT("flags"), TEXT(""));
    bank.point =
        mt_defs_site(mt_defs_reserve_sites(1), transfer, 14, MT_ITEM, TEXT("grid"), TEXT("point"));
    mt_ring_init(&bank.first, FIRST_THREAD);
    mt_ring_init(&bank.second, SECOND_THREAD);
    append(&bank.first, MT_NEW, bank.balance, value_absent(), value_int(100));      // 1
    append(&bank.second, MT_MODIFIED, bank.attribute, value_int(5), value_int(6));  // 2
    append_key(&bank.first, bank.flags, 2, value_int(4));                           // 3
    append_key(&bank.second, bank.flags, 3, value_str("a"));                        // 4
    append(&bank.second, MT_NEW, bank.point, value_absent(), value_int(1));         // 5
    append(&bank.first, MT_MODIFIED, bank.balance, value_int(100), value_int(-20)); // 6
    append(&bank.first, MT_DELETED, bank.balance, value_int(-20), value_absent());  // 7
    bank.reader = open_live(bank.control);
    *state = &bank;
    return 0;
}

static int tear_down(void **state)
{
    struct bank *bank = *state;
    mt_reader_close(bank->reader);
    mt_buffer_destroy(bank->control);
    return 0;
}

/* The event's line of text, roughly as log shows it. Static. */
static const char *line_of(struct mt_reader *reader, const struct mt_event *event)
{
    static char text[512];
    char old_text[128], new_text[128];
    mt_reader_value_text(reader, event->old_bytes, event->old_size, old_text, sizeof old_text);
    mt_reader_value_text(reader, event->new_bytes, event->new_size, new_text, sizeof new_text);
    snprintf(text, sizeof text, "%u %s:%s:%u %u %s %s>%s", event->thread, event->file,
             event->function, event->line, event->kind, event->name, old_text, new_text);
    return text;
}

static void assert_lines(struct mt_reader *reader, struct mt_filter filter,
                         const char *const *expected, size_t count)
{
    struct mt_cursor *cursor = query(reader, filter);
    struct mt_event event;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(mt_cursor_next(cursor, &event), 1);
        assert_string_equal(line_of(reader, &event), expected[i]);
    }
    assert_int_equal(mt_cursor_next(cursor, &event), 0);
    assert_int_equal(mt_cursor_next(cursor, &event), 0);
    mt_cursor_close(cursor);
}

static const char *const bank_lines[] = {
    "4711 /srv/bank.py:transfer:12 0 balance >100",
    "4712 /srv/model.py:Account.close:22 1 self.balance 5>6",
    "4711 /srv/bank.py:transfer:13 0 flags[4] >1",
    "4712 /srv/bank.py:transfer:13 0 flags['a'] >1",
    "4712 /srv/bank.py:transfer:14 0 grid[point] >1",
    "4711 /srv/bank.py:transfer:12 1 balance 100>-20",
    "4711 /srv/bank.py:transfer:12 4 balance -20>",
};

static void test_reader_gives_events_of_all_threads_in_order(void **state)
{
    struct bank *bank = *state;
    assert_lines(bank->reader, (struct mt_filter){0}, bank_lines, 7);
}

static void test_reader_filters_by_variable(void **state)
{
    struct mt_reader *reader = ((struct bank *)*state)->reader;
    ASSERT_SEQS(reader, "1 6 7", .variable = "balance");
    ASSERT_SEQS(reader, "2", .variable = "self.*");
    ASSERT_SEQS(reader, "1 2 6 7", .variable = "*balance");
    ASSERT_SEQS(reader, "3", .variable = "flags[4]");
    ASSERT_SEQS(reader, "4", .variable = "flags['a']");
    ASSERT_SEQS(reader, "3 4", .variable = "flags*");
    ASSERT_SEQS(reader, "5", .variable = "grid[point]");
    ASSERT_SEQS(reader, "", .variable = "flags");
    ASSERT_SEQS(reader, "", .variable = "balanc");
    ASSERT_SEQS(reader, "2 3", .variable = "self.balance, flags[4]");
    ASSERT_SEQS(reader, "1 2 3 4 5 6 7", .variable = "");
}

static void test_reader_filters_by_function_and_file(void **state)
{
    struct mt_reader *reader = ((struct bank *)*state)->reader;
    ASSERT_SEQS(reader, "2", .function = "Account.close");
    ASSERT_SEQS(reader, "2", .function = "close");
    ASSERT_SEQS(reader, "2", .function = "Acc*");
    ASSERT_SEQS(reader, "1 3 4 5 6 7", .function = "transfer");
    ASSERT_SEQS(reader, "2", .file = "model.py");
    ASSERT_SEQS(reader, "2", .file = "/srv/model.py");
    ASSERT_SEQS(reader, "1 2 3 4 5 6 7", .file = "/srv/*");
    ASSERT_SEQS(reader, "", .file = "srv");
    ASSERT_SEQS(reader, "1 6 7", .file = "bank.py", .variable = "balance");
}

static void test_reader_filters_by_the_other_fields(void **state)
{
    struct mt_reader *reader = ((struct bank *)*state)->reader;
    ASSERT_SEQS(reader, "2 4 5", .thread = SECOND_THREAD);
    ASSERT_SEQS(reader, "2 6", .kinds = 1 << MT_MODIFIED);
    ASSERT_SEQS(reader, "2 6 7", .kinds = 1 << MT_MODIFIED | 1 << MT_DELETED);
    ASSERT_SEQS(reader, "5 6 7", .since_seq = 4);
    ASSERT_SEQS(reader, "1 2 3 4", .until_seq = 4);
    ASSERT_SEQS(reader, "4", .activation = 3);
    ASSERT_SEQS(reader, "", .since_ns = UINT64_MAX);
    ASSERT_SEQS(reader, "1 2 3 4 5 6 7", .since_ns = 1);
}

static void test_reader_gives_the_last_that_match(void **state)
{
    struct mt_reader *reader = ((struct bank *)*state)->reader;
    ASSERT_SEQS(reader, "7", .last = 1);
    ASSERT_SEQS(reader, "5 6 7", .last = 3);
    ASSERT_SEQS(reader, "1 2 3 4 5 6 7", .last = 100);
    ASSERT_SEQS(reader, "6 7", .variable = "balance", .last = 2);
    ASSERT_SEQS(reader, "4 5", .thread = SECOND_THREAD, .last = 2);
    ASSERT_SEQS(reader, "3 4", .until_seq = 4, .last = 2);
    ASSERT_SEQS(reader, "", .variable = "nothing", .last = 2);
    assert_lines(reader, (struct mt_filter){.last = 2}, bank_lines + 5, 2);
}

static void test_reader_gives_the_same_by_merging_and_by_last(void **state)
{
    struct bank *bank = *state;
    for (int32_t i = 0; i < 60000; i++)
        append_int(i % 7 < 3 ? &bank->first : &bank->second, i % 5 ? bank->balance : 2, i);
    struct mt_cursor *all = query(bank->reader, (struct mt_filter){.variable = "balance"});
    struct mt_cursor *last =
        query(bank->reader, (struct mt_filter){.variable = "balance", .last = 1u << 30});
    struct mt_event a, b;
    uint64_t count = 0;
    while (mt_cursor_next(all, &a)) {
        assert_int_equal(mt_cursor_next(last, &b), 1);
        assert_int_equal(a.seq, b.seq);
        assert_int_equal(a.time_ns, b.time_ns);
        assert_int_equal(a.thread, b.thread);
        count++;
    }
    assert_int_equal(mt_cursor_next(last, &b), 0);
    assert_true(count > 10000);
    mt_cursor_close(all);
    mt_cursor_close(last);
    // And the tail alone, without a look at most packets.
    ASSERT_SEQS(bank->reader, "60006 60007", .last = 2);
}

static void test_reader_sees_later_events_in_a_later_query_only(void **state)
{
    struct bank *bank = *state;
    struct mt_cursor *cursor = query(bank->reader, (struct mt_filter){.since_seq = 6});
    uint32_t code = mt_defs_code(TEXT("late.py"), TEXT("late"), 1);
    uint32_t site =
        mt_defs_site(mt_defs_reserve_sites(1), code, 2, MT_LOCAL, TEXT("late"), TEXT(""));
    append_int(&bank->first, site, 1);
    struct mt_event event;
    assert_int_equal(mt_cursor_next(cursor, &event), 1);
    assert_int_equal(event.seq, 7);
    assert_int_equal(mt_cursor_next(cursor, &event), 0);
    mt_cursor_close(cursor);
    static const char *const late[] = {"4711 late.py:late:2 1 late 0>1"};
    assert_lines(bank->reader, (struct mt_filter){.since_seq = 7}, late, 1);
}

static void test_reader_shows_lost_definitions_as_such(void **state)
{
    struct bank *bank = *state;
    append_int(&bank->first, 0, 1);
    append_int(&bank->first, 99999, 2);
    static const char *const lost[] = {"4711 ?:?:0 1 ? 0>1", "4711 ?:?:0 1 ? 1>2"};
    assert_lines(bank->reader, (struct mt_filter){.since_seq = 7}, lost, 2);
    ASSERT_SEQS(bank->reader, "8 9", .variable = "[?]");
}

struct names {
    char text[256];
    size_t size;
};

static void join_name(const char *text, void *context)
{
    struct names *names = context;
    names->size +=
        (size_t)snprintf(names->text + names->size, sizeof names->text - names->size, "%s ", text);
    assert_true(names->size < sizeof names->text);
}

static const char *names_of(struct mt_reader *reader, int what)
{
    static struct names names;
    names = (struct names){.size = 0};
    mt_reader_names(reader, what, join_name, &names);
    return names.text;
}

static void test_reader_names_what_has_definitions_once(void **state)
{
    struct bank *bank = *state;
    mt_defs_site(mt_defs_reserve_sites(1), 1, 99, MT_LOCAL, TEXT("balance"), TEXT(""));
    assert_string_equal(names_of(bank->reader, 0), "Account.close transfer ");
    assert_string_equal(names_of(bank->reader, 1), "/srv/bank.py /srv/model.py ");
    assert_string_equal(names_of(bank->reader, 2), "balance flags grid[point] self.balance ");
}

static void test_reader_totals_what_can_be_read(void **state)
{
    struct bank *bank = *state;
    struct mt_totals totals;
    mt_reader_totals(bank->reader, &totals);
    assert_int_equal(totals.events, 7);
    assert_int_equal(totals.threads, 2);
    assert_int_equal(totals.packets, 2);
    assert_int_equal(totals.first_seq, 1);
    assert_int_equal(totals.last_seq, 7);
    assert_true(totals.first_ns >= bank->control->started_ns);
    assert_true(totals.last_ns >= totals.first_ns && totals.last_ns <= mt_clock_ns());
    assert_int_equal(totals.torn, 0);
    assert_int_equal(totals.discarded, 0);
}

static void test_reader_drops_and_counts_a_packet_that_is_being_reset(void **state)
{
    struct bank *bank = *state;
    struct mt_slot *slots =
        (struct mt_slot *)(void *)((char *)bank->control + bank->control->slots_offset);
    slots[bank->first.packet_index].generation++;
    ASSERT_SEQS(bank->reader, "2 4 5", 0);
    struct mt_totals totals;
    mt_reader_totals(bank->reader, &totals);
    assert_int_equal(totals.torn, 1);
    slots[bank->first.packet_index].generation++;
}

static void test_reader_drops_a_packet_that_was_reused_since_it_was_listed(void **state)
{
    struct bank *bank = *state;
    struct mt_source source = {0};
    struct mt_packet_list list;
    char error[MT_DETAIL_BYTES];
    assert_int_equal(
        mt_source_init_buffer(&source, bank->control, bank->control->buffer_bytes, true, error),
        MT_OK);
    assert_int_equal(mt_packets_list(&source, MT_STREAM_EVENTS, &list), MT_OK);
    assert_int_equal(list.count, 2);
    while (bank->control->lost_overwritten == 0)
        append_int(&bank->first, bank->balance, 1);
    assert_int_equal(mt_packet_fetch(&source, &list.packets[0]), MT_OVERWRITTEN);
    assert_null(list.packets[0].bytes);
    assert_int_equal(mt_packet_fetch(&source, &list.packets[1]), MT_OK);
    mt_packets_free(&list);
}

static void test_reader_leaves_events_behind_its_horizon_to_the_next_query(void **state)
{
    // Another thread may have numbered an event before these that isn't in its packet yet.
    struct bank *bank = *state;
    bank->control->next_seq = 5;
    ASSERT_SEQS(bank->reader, "1 2 3 4", 0);
    ASSERT_SEQS(bank->reader, "4", .last = 1);
    bank->control->next_seq = 8;
    ASSERT_SEQS(bank->reader, "5 6 7", .since_seq = 4);
}

/* ---- what can't be opened ---------------------------------------------------------------- */

static void assert_refused(const void *buffer, uint64_t bytes, enum mt_status expected)
{
    char error[MT_DETAIL_BYTES];
    struct mt_reader *reader = NULL;
    assert_int_equal(mt_reader_open_memory(buffer, bytes, 0, &reader, error), expected);
    assert_null(reader);
    assert_true(strlen(error) > 10);
}

/* A copy of the buffer that may be spoilt. */
static struct mt_control *copy_buffer(const struct bank *bank)
{
    uint64_t bytes = bank->control->buffer_bytes;
    struct mt_control *copy = malloc(bytes);
    memcpy(copy, bank->control, bytes);
    return copy;
}

static void test_reader_refuses_what_is_no_buffer(void **state)
{
    struct bank *bank = *state;
    struct mt_control *copy = copy_buffer(bank);
    uint64_t bytes = copy->buffer_bytes;
    assert_refused(copy, 100, MT_TRUNCATED);
    assert_refused(copy, bytes - 1, MT_TRUNCATED);
    copy->abi_version++;
    assert_refused(copy, bytes, MT_WRONG_VERSION);
    copy->abi_version--;
    copy->packet_count++;
    assert_refused(copy, bytes, MT_CORRUPT);
    copy->packet_count--;
    copy->slots_offset = bytes - 8;
    assert_refused(copy, bytes, MT_CORRUPT);
    copy->slots_offset = UINT64_MAX - 7;
    assert_refused(copy, bytes, MT_CORRUPT);
    copy->slots_offset = bank->control->slots_offset;
    copy->packets_offset = UINT64_MAX - 7;
    assert_refused(copy, bytes, MT_CORRUPT);
    copy->magic[0] = '\0';
    assert_refused(copy, bytes, MT_CORRUPT);
    free(copy);
}

static void ignore_name(const char *text, void *context)
{
    assert_true(strlen(text) < MT_PACKET_BYTES);
}

/* Use everything of a reader whose data may be anything. */
static void exercise(struct mt_reader *reader)
{
    static const struct mt_filter filters[] = {
        {0},
        {.variable = "*a*", .last = 5},
        {.function = "trans*", .file = "*.py"},
    };
    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
        struct mt_cursor *cursor = query(reader, filters[i]);
        struct mt_event event;
        char text[64];
        while (mt_cursor_next(cursor, &event)) {
            mt_reader_value_text(reader, event.old_bytes, event.old_size, text, sizeof text);
            mt_reader_value_text(reader, event.new_bytes, event.new_size, text, sizeof text);
            mt_reader_value_type(reader, event.new_bytes, event.new_size);
            assert_true(strlen(event.name) < 16 * MT_PACKET_BYTES);
        }
        mt_cursor_close(cursor);
    }
    struct mt_totals totals;
    mt_reader_totals(reader, &totals);
    for (int what = 0; what < 3; what++)
        mt_reader_names(reader, what, ignore_name, NULL);
}

static uint32_t random_state;

static uint32_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}

static void test_reader_survives_any_damage(void **state)
{
    struct bank *bank = *state;
    struct mt_control *copy = copy_buffer(bank);
    uint8_t *bytes = (uint8_t *)copy;
    uint64_t size = copy->buffer_bytes;
    // Where it hurts: the control block, the slots, and the packets that are in use.
    uint64_t packets = copy->packets_offset;
    uint64_t bases[] = {0, copy->slots_offset, packets, packets + MT_PACKET_BYTES,
                        packets + 2 * MT_PACKET_BYTES};
    random_state = 2463534242u;
    uint32_t opened = 0;
    for (int round = 0; round < 3000; round++) {
        uint64_t places[4];
        uint8_t saved[4];
        for (int i = 0; i < 4; i++) {
            places[i] = bases[next_random() % 5] + next_random() % 400;
            saved[i] = bytes[places[i]];
            bytes[places[i]] = (uint8_t)(next_random() >> 8);
        }
        char error[MT_DETAIL_BYTES];
        struct mt_reader *reader = NULL;
        if (mt_reader_open_memory(copy, size, round % 2, &reader, error) == MT_OK) {
            exercise(reader);
            mt_reader_close(reader);
            opened++;
        }
        for (int i = 4; i-- > 0;)
            bytes[places[i]] = saved[i];
    }
    assert_true(opened > 1000);
    free(copy);
}

/* ---- files ----------------------------------------------------------------------------- */

/* A directory of its own, removed at the end. */
static char *make_directory(void)
{
    static char path[64];
    strcpy(path, "/tmp/memtrace-test-XXXXXX");
    assert_non_null(mkdtemp(path));
    return path;
}

static void remove_directory(const char *path)
{
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", path);
    assert_int_equal(system(command), 0);
}

static void write_file(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static int open_core(const char *path, struct mt_reader **ret)
{
    char error[MT_DETAIL_BYTES] = "";
    int status = mt_reader_open_core(path, ret, error);
    assert_int_equal(status == MT_OK, error[0] == '\0');
    return status;
}

static void test_reader_finds_the_buffer_in_a_core(void **state)
{
    struct bank *bank = *state;
    uint64_t size = bank->control->buffer_bytes;
    struct {
        Elf64_Ehdr header;
        Elf64_Phdr segments[3];
    } head = {
        .header =
            {
                .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, 1},
                .e_type = ET_CORE,
                .e_machine = EM_X86_64,
                .e_version = 1,
                .e_phoff = sizeof(Elf64_Ehdr),
                .e_phentsize = sizeof(Elf64_Phdr),
                .e_phnum = 3,
            },
        .segments =
            {
                {.p_type = PT_NOTE, .p_offset = 4096, .p_filesz = size},
                {.p_type = PT_LOAD, .p_offset = 0, .p_filesz = 4096, .p_vaddr = 0x1000},
                {.p_type = PT_LOAD,
                 .p_offset = 4096,
                 .p_filesz = size,
                 .p_vaddr = (uintptr_t)bank->control},
            },
    };
    char path[96], *directory = make_directory();
    uint8_t *core = calloc(1, 4096 + size);
    memcpy(core, &head, sizeof head);
    memcpy(core + 4096, bank->control, size);
    snprintf(path, sizeof path, "%s/core", directory);

    write_file(path, core, 4096 + size);
    struct mt_reader *reader = NULL;
    assert_int_equal(open_core(path, &reader), MT_OK);
    assert_lines(reader, (struct mt_filter){0}, bank_lines, 7);
    assert_int_equal(mt_reader_control(reader)->pid, getpid());
    mt_reader_close(reader);

    write_file(path, core, size);
    assert_int_equal(open_core(path, &reader), MT_TRUNCATED);
    memset(core + 4096, 0, 8);
    write_file(path, core, 4096 + size);
    assert_int_equal(open_core(path, &reader), MT_NOT_FOUND);
    core[EI_CLASS] = ELFCLASS32;
    write_file(path, core, 4096 + size);
    assert_int_equal(open_core(path, &reader), MT_CORRUPT);
    write_file(path, "", 0);
    assert_int_equal(open_core(path, &reader), MT_CORRUPT);
    remove(path);
    assert_int_equal(open_core(path, &reader), MT_NOT_FOUND);
    free(core);
    remove_directory(directory);
}

static void test_reader_keeps_what_a_killed_process_recorded(void **state)
{
    // The child records and is killed; the parent has mapped its memfd through /proc.
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        mt_buffer_abandon();
        struct mt_control *control = open_buffer(MT_BUFFER_BYTES_MIN);
        struct mt_ring ring;
        mt_ring_init(&ring, 1);
        append_int(&ring, 1, 1);
        int fd = -1;
        for (int i = 200; i < 300 && fd < 0; i++)
            if (fcntl(i, F_GET_SEALS) > 0)
                fd = i;
        if (write(ready[1], &fd, sizeof fd) != sizeof fd || !control)
            _exit(1);
        for (;;)
            pause();
    }
    int fd;
    assert_int_equal(read(ready[0], &fd, sizeof fd), sizeof fd);
    char path[64], error[MT_DETAIL_BYTES];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", child, fd);
    struct mt_reader *reader = NULL;
    if (mt_reader_open_file(path, 0, 0, 1, &reader, error) != MT_OK)
        fail_msg("%s", error);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    ASSERT_SEQS(reader, "1", 0);
    assert_int_equal(mt_reader_control(reader)->pid, child);
    mt_reader_close(reader);
    close(ready[0]);
    close(ready[1]);
}

/* ---- recordings ---------------------------------------------------------------------------- */

static struct mt_reader *open_directory(const char *path)
{
    char error[MT_DETAIL_BYTES];
    struct mt_reader *reader = NULL;
    if (mt_reader_open_directory(path, &reader, error) != MT_OK)
        fail_msg("%s", error);
    return reader;
}

static void save(struct mt_reader *reader, const char *path)
{
    char error[MT_DETAIL_BYTES];
    if (mt_reader_save(reader, path, error) != MT_OK)
        fail_msg("%s", error);
}

static void test_saved_recording_reads_the_same(void **state)
{
    struct bank *bank = *state;
    char path[96], again[96], *directory = make_directory();
    snprintf(path, sizeof path, "%s/trace", directory);
    snprintf(again, sizeof again, "%s/again", directory);
    save(bank->reader, path);
    struct mt_reader *saved = open_directory(path);
    assert_null(mt_reader_control(saved));
    assert_lines(saved, (struct mt_filter){0}, bank_lines, 7);
    save(saved, again);
    struct mt_reader *twice = open_directory(again);
    assert_lines(twice, (struct mt_filter){0}, bank_lines, 7);
    mt_reader_close(twice);
    mt_reader_close(saved);
    remove_directory(directory);
}

static void test_reader_drops_and_counts_the_cut_end_of_a_recording(void **state)
{
    struct bank *bank = *state;
    char path[96], name[128], *directory = make_directory();
    snprintf(path, sizeof path, "%s/trace", directory);
    save(bank->reader, path);
    snprintf(name, sizeof name, "%s/thread-4711", path);
    struct stat status;
    assert_int_equal(stat(name, &status), 0);
    assert_int_equal(truncate(name, status.st_size - 1), 0);
    struct mt_reader *reader = open_directory(path);
    struct mt_totals totals;
    ASSERT_SEQS(reader, "2 4 5", 0);
    mt_reader_totals(reader, &totals);
    assert_int_equal(totals.torn, 1);
    mt_reader_close(reader);
    remove_directory(directory);
}

/* What babeltrace2 shows of the directory. */
static void run_babeltrace(const char *path, char *text, size_t size)
{
    char command[160];
    snprintf(command, sizeof command, "babeltrace2 '%s'", path);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t got = fread(text, 1, size - 1, pipe);
    text[got] = '\0';
    pclose(pipe);
}

/* `what` occurs behind `from`; returns the place behind it. */
static const char *assert_follows(const char *from, const char *what)
{
    const char *found = strstr(from, what);
    if (!found)
        fail_msg("%s is not in: %s", what, from);
    return found + strlen(what);
}

/* It opens the directory and has nothing to say on stderr, not even a warning. */
static void assert_babeltrace_is_content(const char *path)
{
    char command[160], text[512];
    snprintf(command, sizeof command, "babeltrace2 '%s' 2>&1 >/dev/null", path);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t got = fread(text, 1, sizeof text - 1, pipe);
    text[got] = '\0';
    int status = pclose(pipe);
    if (status != 0 || got > 0)
        fail_msg("babeltrace2 ended with %d: %s", status, text);
}

static void skip_without_babeltrace(void)
{
    if (system("command -v babeltrace2 >/dev/null") != 0) {
        print_message("skipped: babeltrace2 is not installed\n");
        skip();
    }
}

static void test_saved_recording_opens_in_babeltrace(void **state)
{
    skip_without_babeltrace();
    struct bank *bank = *state;
    double number = 2.5;
    append(&bank->second, MT_MUTATED, bank->balance, value_of(MT_TAG_FLOAT, &number, 8),
           value_str("text"));
    bank->first.last_time -= (uint64_t)5 << 32; // an extended one
    append_int(&bank->first, bank->balance, 9);
    char path[96], text[16384], *directory = make_directory();
    snprintf(path, sizeof path, "%s/trace", directory);
    save(bank->reader, path);
    assert_babeltrace_is_content(path);
    run_babeltrace(path, text, sizeof text);
    assert_follows(text, "qualname = \"Account.close\"");
    assert_follows(text, "name = \"self.balance\"");
    const char *at = assert_follows(text, "NEW");
    at = assert_follows(at, "new = { 100 }");
    at = assert_follows(at, "MODIFIED");
    at = assert_follows(at, "new = { 6 }");
    at = assert_follows(at, "\"a\"");
    at = assert_follows(at, "new = { -20 }");
    at = assert_follows(at, "DELETED");
    at = assert_follows(at, "MUTATED");
    at = assert_follows(at, "2.5");
    at = assert_follows(at, "\"text\"");
    assert_follows(at, "new = { 9 }");
    remove_directory(directory);
}

static void test_saved_recording_of_a_wrapped_ring_opens_in_babeltrace(void **state)
{
    skip_without_babeltrace();
    struct bank *bank = *state;
    for (int32_t i = 0; i < 60000; i++)
        append_int(i % 7 < 3 ? &bank->first : &bank->second, bank->balance, i);
    // A later thread to which the kernel gave the number of the first one.
    mt_ring_close(&bank->first);
    mt_ring_init(&bank->first, FIRST_THREAD);
    append_int(&bank->first, bank->balance, 60000);
    struct mt_totals totals, saved_totals;
    mt_reader_totals(bank->reader, &totals);
    char path[96], *directory = make_directory();
    snprintf(path, sizeof path, "%s/trace", directory);
    save(bank->reader, path);
    struct mt_reader *saved = open_directory(path);
    mt_reader_totals(saved, &saved_totals);
    assert_int_equal(saved_totals.events, totals.events);
    assert_int_equal(saved_totals.last_seq, totals.last_seq);
    assert_int_equal(saved_totals.last_ns, totals.last_ns);
    mt_reader_close(saved);
    char command[160], text[256];
    snprintf(command, sizeof command, "babeltrace2 '%s' | grep -c 'MODIFIED.*new_tag'", path);
    FILE *pipe = popen(command, "r");
    assert_non_null(fgets(text, sizeof text, pipe));
    pclose(pipe);
    assert_int_equal(strtoull(text, NULL, 10), totals.events);
    assert_babeltrace_is_content(path);
    remove_directory(directory);
}

static void test_save_refuses_a_directory_with_something_in_it(void **state)
{
    struct bank *bank = *state;
    char path[96], error[MT_DETAIL_BYTES], *directory = make_directory();
    snprintf(path, sizeof path, "%s/file", directory);
    write_file(path, "x", 1);
    assert_int_equal(mt_reader_save(bank->reader, directory, error), MT_IO_ERROR);
    assert_non_null(strstr(error, "isn't empty"));
    assert_int_equal(mt_reader_save(bank->reader, path, error), MT_IO_ERROR);
    assert_int_equal(mt_reader_save(bank->reader, "/nowhere/trace", error), MT_IO_ERROR);
    remove_directory(directory);
}

static void test_save_reports_a_full_disk(void **state)
{
    struct bank *bank = *state;
    if (geteuid() != 0 || access("/dev/full", W_OK) != 0) {
        print_message("skipped: needs root, to mount a file system of one page\n");
        skip();
    }
    char command[160], error[MT_DETAIL_BYTES], path[96], *directory = make_directory();
    snprintf(command, sizeof command,
             "mount -t tmpfs -o size=4k,nr_inodes=10 none '%s' 2>/dev/null", directory);
    if (system(command) != 0) {
        remove_directory(directory);
        print_message("skipped: mounting a tmpfs is not permitted here\n");
        skip();
    }
    snprintf(path, sizeof path, "%s/trace", directory);
    int status = mt_reader_save(bank->reader, path, error);
    snprintf(command, sizeof command, "umount '%s'", directory);
    assert_int_equal(system(command), 0);
    remove_directory(directory);
    assert_int_equal(status, MT_IO_ERROR);
    assert_non_null(strstr(error, "No space left"));
}

static void test_reader_refuses_a_directory_that_is_no_recording(void **state)
{
    char path[96], error[MT_DETAIL_BYTES], *directory = make_directory();
    struct mt_reader *reader = NULL;
    assert_int_equal(mt_reader_open_directory(directory, &reader, error), MT_NOT_FOUND);
    snprintf(path, sizeof path, "%s/metadata", directory);
    write_file(path, "/* CTF 1.8 */", 13);
    assert_int_equal(mt_reader_open_directory(directory, &reader, error), MT_CORRUPT);
    write_file(path, "/* CTF 1.8 */ memtrace_abi = 77;", 32);
    assert_int_equal(mt_reader_open_directory(directory, &reader, error), MT_WRONG_VERSION);
    remove_directory(directory);
}

static void test_reader_survives_any_damage_of_a_recording(void **state)
{
    struct bank *bank = *state;
    char path[96], name[128], *directory = make_directory();
    snprintf(path, sizeof path, "%s/trace", directory);
    save(bank->reader, path);
    static const char *const files[] = {"definitions", "thread-4711"};
    random_state = 88172645u;
    for (int f = 0; f < 2; f++) {
        snprintf(name, sizeof name, "%s/%s", path, files[f]);
        FILE *file = fopen(name, "r");
        uint8_t bytes[4096], spoilt[4096];
        size_t size = fread(bytes, 1, sizeof bytes, file);
        fclose(file);
        for (int round = 0; round < 600; round++) {
            memcpy(spoilt, bytes, size);
            for (int i = 0; i < 3; i++)
                spoilt[next_random() % size] = (uint8_t)next_random();
            write_file(name, spoilt, round % 3 ? size : next_random() % size);
            struct mt_reader *reader = open_directory(path);
            exercise(reader);
            mt_reader_close(reader);
        }
        write_file(name, bytes, size);
    }
    remove_directory(directory);
}

#define BANK_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BANK_TEST(test_reader_gives_events_of_all_threads_in_order),
        BANK_TEST(test_reader_filters_by_variable),
        BANK_TEST(test_reader_filters_by_function_and_file),
        BANK_TEST(test_reader_filters_by_the_other_fields),
        BANK_TEST(test_reader_gives_the_last_that_match),
        BANK_TEST(test_reader_gives_the_same_by_merging_and_by_last),
        BANK_TEST(test_reader_sees_later_events_in_a_later_query_only),
        BANK_TEST(test_reader_shows_lost_definitions_as_such),
        BANK_TEST(test_reader_names_what_has_definitions_once),
        BANK_TEST(test_reader_totals_what_can_be_read),
        BANK_TEST(test_reader_drops_and_counts_a_packet_that_is_being_reset),
        BANK_TEST(test_reader_drops_a_packet_that_was_reused_since_it_was_listed),
        BANK_TEST(test_reader_leaves_events_behind_its_horizon_to_the_next_query),
        BANK_TEST(test_reader_refuses_what_is_no_buffer),
        BANK_TEST(test_reader_survives_any_damage),
        BANK_TEST(test_reader_finds_the_buffer_in_a_core),
        BANK_TEST(test_reader_keeps_what_a_killed_process_recorded),
        BANK_TEST(test_saved_recording_reads_the_same),
        BANK_TEST(test_reader_drops_and_counts_the_cut_end_of_a_recording),
        BANK_TEST(test_saved_recording_opens_in_babeltrace),
        BANK_TEST(test_saved_recording_of_a_wrapped_ring_opens_in_babeltrace),
        BANK_TEST(test_save_refuses_a_directory_with_something_in_it),
        BANK_TEST(test_save_reports_a_full_disk),
        BANK_TEST(test_reader_refuses_a_directory_that_is_no_recording),
        BANK_TEST(test_reader_survives_any_damage_of_a_recording),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
