/* The buffer: layout, commit, reuse, losses, and readers that look on while threads write. */
#define _GNU_SOURCE
#include "clock.h"
#include "units.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "event.h"

static uint32_t own_tid(void)
{
    return (uint32_t)syscall(SYS_gettid);
}

static struct mt_slot *slots(struct mt_control *control)
{
    return (struct mt_slot *)(void *)((char *)control + control->slots_offset);
}

/* Number of the descriptor that is the memfd, or -1. */
static int find_memfd(void)
{
    DIR *directory = opendir("/proc/self/fd");
    int found = -1;
    for (struct dirent *entry; (entry = readdir(directory));) {
        char target[PATH_MAX] = "";
        if (readlinkat(dirfd(directory), entry->d_name, target, sizeof target - 1) > 0 &&
            strcmp(target, "/memfd:" MT_MEMFD_NAME " (deleted)") == 0)
            found = atoi(entry->d_name);
    }
    closedir(directory);
    return found;
}

static void test_buffer_says_where_everything_is(void **state)
{
    struct mt_control *control = open_buffer(1);
    assert_int_equal(control->buffer_bytes, MT_BUFFER_BYTES_MIN);
    assert_memory_equal(control->magic, MT_MAGIC, 8);
    assert_int_equal(control->abi_version, MT_ABI_VERSION);
    assert_int_equal(control->packet_count, MT_BUFFER_BYTES_MIN / MT_PACKET_BYTES - 2);
    assert_int_equal(control->packets_offset + (uint64_t)control->packet_count * MT_PACKET_BYTES,
                     control->buffer_bytes);
    assert_int_equal(control->base, (uintptr_t)control);
    assert_int_equal(control->pid, getpid());
    assert_int_equal(control->next_seq, 1);
    assert_true(strlen(control->program) > 0);
    mt_buffer_destroy(control);
}

static void test_buffer_of_many_packets_has_room_for_their_slots(void **state)
{
    struct mt_control *control = open_buffer((uint64_t)1 << 30);
    uint64_t slots_end = control->slots_offset + control->packet_count * sizeof(struct mt_slot);
    assert_true(slots_end <= control->packets_offset);
    assert_int_equal(control->packets_offset % MT_PACKET_BYTES, 0);
    assert_true(control->packets_offset + (uint64_t)control->packet_count * MT_PACKET_BYTES <=
                control->buffer_bytes);
    assert_true(control->packet_count > 16000);
    mt_buffer_destroy(control);
}

static void test_buffer_keeps_out_of_the_programs_way(void **state)
{
    struct mt_control *control = open_buffer(MT_BUFFER_BYTES_MIN);
    int fd = find_memfd();
    assert_true(fd >= 200);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(ftruncate(fd, 0), -1);
    mt_buffer_destroy(control);
    assert_int_equal(find_memfd(), -1);
}

static void test_buffer_that_cannot_be_had_is_an_error(void **state)
{
    struct mt_control *control = NULL;
    assert_int_equal(mt_buffer_create(UINT64_MAX, &control), MT_NO_MEMORY);
    assert_null(control);
    assert_null(mt_control);
}

static void test_abandoned_buffer_stays_as_the_parent_had_it(void **state)
{
    struct mt_control *control = open_buffer(MT_BUFFER_BYTES_MIN);
    struct mt_ring ring;
    mt_ring_init(&ring, own_tid());
    append_int(&ring, 1, 1);
    pid_t child = fork();
    if (child == 0) {
        mt_buffer_abandon();
        // A stale pointer into the parent's buffer: harmless, and nothing of it is there.
        bool empty = control->magic[0] == '\0' && ring.packet->magic == 0;
        ring.packet->content_bits = 0;
        control->next_seq = 99;
        _exit(mt_control == NULL && empty && find_memfd() == -1 ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    assert_int_equal(control->next_seq, 2);
    assert_true(ring.packet->content_bits > sizeof *ring.packet * 8);
    mt_buffer_destroy(control);
}

/* Decode the open packet of `ring` from its start. */
static struct mt_decoder decode_ring(const struct mt_ring *ring)
{
    return mt_decoder_begin((const uint8_t *)ring->packet,
                            (uint32_t)(ring->packet->content_bits / 8));
}

static void test_ring_numbers_times_and_commits(void **state)
{
    struct mt_control *control = open_buffer(MT_BUFFER_BYTES_MIN);
    struct mt_ring ring;
    mt_ring_init(&ring, own_tid());
    uint64_t before = mt_clock_ns();
    for (int32_t i = 0; i < 5; i++)
        assert_int_equal(append_int(&ring, 7, i), i + 1);
    struct mt_decoder decoder = decode_ring(&ring);
    uint64_t last_time = before;
    for (int32_t i = 0; i < 5; i++) {
        struct mt_raw_event event;
        assert_int_equal(mt_decode_event(&decoder, &event), MT_DECODED_EVENT);
        assert_int_equal(event.seq, i + 1);
        assert_int_equal(event.kind, MT_MODIFIED);
        assert_int_equal(event.site, 7);
        assert_int_equal(event.activation, 1);
        assert_true(event.time_ns >= last_time && event.time_ns <= mt_clock_ns());
        last_time = event.time_ns;
        int32_t old_number, new_number;
        memcpy(&old_number, event.key, 4);
        memcpy(&new_number, event.key + 4, 4);
        assert_int_equal(old_number, i - 1);
        assert_int_equal(new_number, i);
    }
    struct mt_raw_event event;
    assert_int_equal(mt_decode_event(&decoder, &event), MT_DECODED_END);
    assert_int_equal(ring.packet->event_count, 5);
    mt_buffer_destroy(control);
}

static void test_ring_scalar_event_takes_at_most_32_bytes(void **state)
{
    struct mt_control *control = open_buffer(MT_BUFFER_BYTES_MIN);
    struct mt_ring ring;
    mt_ring_init(&ring, own_tid());
    append_int(&ring, 1, 1);
    uint32_t used = ring.used;
    double number = 1.5;
    append(&ring, MT_MODIFIED, 1, value_of(MT_TAG_FLOAT, &number, 8),
           value_of(MT_TAG_FLOAT, &number, 8));
    assert_in_range(ring.used - used, 1, 32);
    mt_buffer_destroy(control);
}

/* One event as its ring has it, but for seq and time, which differ. */
struct image {
    uint8_t bytes[64];
    size_t size;
};

/* What was written since `ring` was `before`. */
static struct image image_since(const struct mt_ring *ring, const struct mt_ring *before)
{
    struct image image = {.size = 0};
    if (!ring->packet)
        return image;
    uint32_t from = ring->packet == before->packet ? before->used : sizeof *ring->packet;
    const uint8_t *event = (const uint8_t *)ring->packet + from;
    // memtrace.h, "An event": id, then time and seq.
    size_t stamp = *event & MT_EVENT_EXTENDED ? 16 : 6;
    assert_in_range(ring->used - from, 1 + stamp + 9, sizeof image.bytes);
    image.bytes[image.size++] = *event;
    memcpy(image.bytes + 1, event + 1 + stamp, ring->used - from - 1 - stamp);
    image.size += ring->used - from - 1 - stamp;
    assert_int_equal(ring->packet->content_bits, (uint64_t)ring->used * 8);
    return image;
}

/* How often the short way found no room. */
static int general_ways;

/* Append the same event by the short and by the general way, and compare. */
static void assert_same_event(struct mt_ring *quick, struct mt_ring *general, enum mt_kind kind,
                              struct mt_scalar key, struct mt_scalar old_value,
                              struct mt_scalar new_value)
{
    const uint32_t site = 0xfedcba98, activation = 0x87654321;
    struct mt_ring quick_before = *quick, general_before = *general;
    struct mt_value old_wide = value_of(old_value.tag, &old_value.bits, mt_scalar_size(old_value));
    struct mt_value new_wide = value_of(new_value.tag, &new_value.bits, mt_scalar_size(new_value));
    struct mt_value key_wide = value_of(key.tag, &key.bits, mt_scalar_size(key));
    struct mt_record record = {kind,      site,      activation,
                               &old_wide, &new_wide, key.tag == MT_TAG_ABSENT ? NULL : &key_wide};
    uint64_t seq = mt_ring_append(general, &record);
    general->last_seq++; // as far from the next as the other ring's
    uint64_t quick_seq = mt_control->next_seq;
    if (!mt_ring_append_scalars(quick, mt_clock_ns(), kind, site, activation, key, old_value,
                                new_value)) {
        // No packet, or no room in it: the general way goes on.
        general_ways++;
        assert_int_equal(mt_control->next_seq, quick_seq);
        assert_int_equal(mt_ring_append(quick, &record), quick_seq);
    }
    assert_int_equal(mt_control->next_seq, quick_seq + 1);
    assert_true(seq != 0);
    assert_int_equal(quick_seq, seq + 1);
    struct image expected = image_since(general, &general_before);
    struct image image = image_since(quick, &quick_before);
    assert_int_equal(image.size, expected.size);
    assert_memory_equal(image.bytes, expected.bytes, expected.size);
    assert_int_equal(quick->last_seq, quick_seq);
}

static void test_ring_appends_scalars_as_it_appends_any_value(void **state)
{
    static const struct mt_scalar scalars[] = {
        {0, MT_TAG_ABSENT},
        {0, MT_TAG_NONE},
        {0, MT_TAG_TRUE},
        {0, MT_TAG_FALSE},
        {0x80000000, MT_TAG_INT32},
        {0x8000000000000001, MT_TAG_INT64},
        {0x3ff8000000000000, MT_TAG_FLOAT},
    };
    enum { SCALARS = sizeof scalars / sizeof *scalars };
    struct mt_control *control = open_buffer(MT_BUFFER_BYTES_MIN);
    struct mt_ring quick, general;
    mt_ring_init(&quick, own_tid());
    mt_ring_init(&general, own_tid());
    // Some packets full, so that each way comes to the end of one.
    for (int i = 0; i < 20000; i++)
        assert_same_event(&quick, &general, (enum mt_kind)(i % MT_KIND_COUNT),
                          scalars[i / SCALARS / SCALARS % SCALARS], scalars[i % SCALARS],
                          scalars[i / SCALARS % SCALARS]);
    assert_true(quick.packet_seq > 3);
    assert_in_range(general_ways, 1, quick.packet_seq);
    // Too far from the event before, in number and in time.
    control->next_seq += UINT16_MAX + 5;
    assert_same_event(&quick, &general, MT_NEW, scalars[0], scalars[0], scalars[6]);
    quick.last_time = general.last_time -= (uint64_t)5 << 32;
    assert_same_event(&quick, &general, MT_MODIFIED, scalars[4], scalars[4], scalars[5]);
    assert_int_equal(control->lost_no_packet, 0);
    mt_buffer_destroy(control);
}

static void test_ring_goes_extended_where_the_difference_does_not_fit(void **state)
{
    struct mt_control *control = open_buffer(MT_BUFFER_BYTES_MIN);
    struct mt_ring ring;
    mt_ring_init(&ring, own_tid());
    append_int(&ring, 1, 1);
    control->next_seq += UINT16_MAX - 1; // the largest step that fits
    append_int(&ring, 1, 2);
    control->next_seq += UINT16_MAX; // one more
    append_int(&ring, 1, 3);
    ring.last_time -= (uint64_t)5 << 32; // as if the event before was 21 s ago
    append_int(&ring, 1, 4);
    struct mt_decoder decoder = decode_ring(&ring);
    struct mt_raw_event event;
    bool extended[] = {false, false, true, true};
    uint64_t seqs_expected[] = {1, 65536, 131072, 131073};
    for (int i = 0; i < 4; i++) {
        assert_int_equal((*decoder.at & MT_EVENT_EXTENDED) != 0, extended[i]);
        assert_int_equal(mt_decode_event(&decoder, &event), MT_DECODED_EVENT);
        assert_int_equal(event.seq, seqs_expected[i]);
        assert_true(event.time_ns <= mt_clock_ns() && event.time_ns >= control->started_ns);
    }
    mt_buffer_destroy(control);
}

static void test_ring_keeps_keys_and_long_values(void **state)
{
    struct mt_control *control = open_buffer(MT_BUFFER_BYTES_MIN);
    struct mt_ring ring;
    mt_ring_init(&ring, own_tid());
    char text[301];
    memset(text, 'x', 300);
    text[300] = '\0';
    struct mt_value old_value = value_str("short"), new_value = value_str(text);
    struct mt_value key = value_str("a key longer than a scalar");
    struct mt_record record = {MT_MODIFIED, 3, 2, &old_value, &new_value, &key};
    mt_ring_append(&ring, &record);
    struct mt_decoder decoder = decode_ring(&ring);
    struct mt_raw_event event = {0};
    assert_int_equal(mt_decode_event(&decoder, &event), MT_DECODED_EVENT);
    assert_true(event.has_key);
    assert_int_equal(event.key_tag, MT_TAG_STR);
    assert_memory_equal(event.key, key.bytes, key.size);
    assert_memory_equal(event.key + event.key_size, old_value.bytes, old_value.size);
    assert_memory_equal(event.key + event.key_size + event.old_size, new_value.bytes,
                        new_value.size);
    assert_int_equal(mt_decode_event(&decoder, &event), MT_DECODED_END);
    mt_buffer_destroy(control);
}

static void test_ring_that_wraps_loses_the_oldest_and_counts_it(void **state)
{
    struct mt_control *control = open_buffer(MT_BUFFER_BYTES_MIN);
    struct mt_ring ring;
    mt_ring_init(&ring, own_tid());
    uint64_t last = 0;
    for (int32_t i = 0; i < 200000; i++)
        last = append_int(&ring, 1, i);
    struct mt_reader *reader = open_live(control);
    struct mt_totals totals;
    mt_reader_totals(reader, &totals);
    assert_int_equal(last, 200000);
    assert_int_equal(totals.last_seq, last);
    assert_int_equal(totals.torn, 0);
    assert_true(control->lost_overwritten > 0);
    assert_int_equal(totals.events + control->lost_overwritten, last);
    assert_int_equal(totals.first_seq, control->lost_overwritten + 1);
    assert_int_equal(totals.packets, control->packet_count);
    mt_reader_close(reader);
    mt_buffer_destroy(control);
}

static void test_ring_counts_what_it_drops(void **state)
{
    struct mt_control *control = open_buffer(MT_BUFFER_BYTES_MIN);
    for (uint32_t i = 0; i < control->packet_count; i++)
        slots(control)[i] = (struct mt_slot){.use = MT_SLOT_DEFS};
    struct mt_ring ring;
    mt_ring_init(&ring, own_tid());
    errno = 4711;
    assert_int_equal(append_int(&ring, 1, 1), 0);
    assert_int_equal(append_int(&ring, 1, 2), 0);
    assert_int_equal(errno, 4711);
    assert_int_equal(control->lost_no_packet, 2);
    // A packet comes free: the next one tells how many are missing, and their numbers are.
    slots(control)[3].use = MT_SLOT_FREE;
    assert_int_equal(append_int(&ring, 1, 3), 3);
    assert_int_equal(ring.packet->events_discarded, 2);
    assert_int_equal(ring.packet->first_seq, 3);
    mt_buffer_destroy(control);
}

/* A thread that leaves its packet open, or holds it until told to end. */
struct other {
    uint32_t tid;
    pthread_barrier_t *ready, *end;
};

static void *write_one_event(void *argument)
{
    struct other *other = argument;
    struct mt_ring ring;
    other->tid = own_tid();
    mt_ring_init(&ring, other->tid);
    append_int(&ring, 1, 1);
    if (other->ready) {
        pthread_barrier_wait(other->ready);
        pthread_barrier_wait(other->end);
    }
    return NULL;
}

static void fill_buffer(struct mt_ring *ring, struct mt_control *control)
{
    for (uint64_t packets = ring->packet_seq + control->packet_count + 2;
         ring->packet_seq < packets;)
        append_int(ring, 1, 1);
}

/* pthread_join() returns when the kernel says so, but the thread id may linger a moment. */
static void wait_until_gone(uint32_t tid)
{
    while (syscall(SYS_tgkill, getpid(), tid, 0) == 0)
        sched_yield();
}

static void test_ring_takes_back_the_packet_of_a_dead_thread(void **state)
{
    struct mt_control *control = open_buffer(MT_BUFFER_BYTES_MIN);
    struct other other = {0};
    pthread_t thread;
    pthread_create(&thread, NULL, write_one_event, &other);
    pthread_join(thread, NULL);
    wait_until_gone(other.tid);
    assert_int_equal(slots(control)[0].use, MT_SLOT_OPEN);
    assert_int_equal(slots(control)[0].tid, other.tid);
    struct mt_ring ring;
    mt_ring_init(&ring, own_tid());
    errno = 4711;
    fill_buffer(&ring, control);
    assert_int_equal(errno, 4711);
    assert_int_equal(slots(control)[0].tid, own_tid());
    mt_buffer_destroy(control);
}

static void test_ring_leaves_the_open_packet_of_a_live_thread_alone(void **state)
{
    struct mt_control *control = open_buffer(MT_BUFFER_BYTES_MIN);
    pthread_barrier_t ready, end;
    pthread_barrier_init(&ready, NULL, 2);
    pthread_barrier_init(&end, NULL, 2);
    struct other other = {.ready = &ready, .end = &end};
    pthread_t thread;
    pthread_create(&thread, NULL, write_one_event, &other);
    pthread_barrier_wait(&ready);
    struct mt_ring ring;
    mt_ring_init(&ring, own_tid());
    fill_buffer(&ring, control);
    assert_int_equal(slots(control)[0].tid, other.tid);
    assert_int_equal(slots(control)[0].use, MT_SLOT_OPEN);
    pthread_barrier_wait(&end);
    pthread_join(thread, NULL);
    mt_buffer_destroy(control);
}

static void test_ring_gives_at_most_half_of_the_buffer_to_definitions(void **state)
{
    struct mt_control *control = open_buffer(MT_BUFFER_BYTES_MIN);
    uint32_t taken = 0;
    while (mt_ring_take_defs_packet())
        taken++;
    assert_int_equal(taken, control->packet_count / 2);
    struct mt_ring ring;
    mt_ring_init(&ring, own_tid());
    fill_buffer(&ring, control);
    uint32_t definitions = 0;
    for (uint32_t i = 0; i < control->packet_count; i++)
        definitions += slots(control)[i].use == MT_SLOT_DEFS;
    assert_int_equal(definitions, taken);
    mt_buffer_destroy(control);
}

/* ---- readers beside writers ------------------------------------------------------------ */

enum { WRITERS = 4, EVENTS_EACH = 60000 };

struct writing {
    uint32_t writer;
    uint32_t done;
    pthread_barrier_t *start;
    pthread_mutex_t *turn; /* held for each event, as the GIL is; NULL: all write at once */
};

/* Both values of an event tell its writer and number, so that a mixture would show. */
static void *write_events(void *argument)
{
    struct writing *writing = argument;
    struct mt_ring ring;
    mt_ring_init(&ring, own_tid());
    pthread_barrier_wait(writing->start);
    for (uint32_t i = 0; i < EVENTS_EACH; i++) {
        uint64_t stamp = (uint64_t)writing->writer << 32 | i;
        struct mt_value value = value_of(MT_TAG_INT64, &stamp, 8);
        if (writing->turn)
            pthread_mutex_lock(writing->turn);
        append(&ring, MT_MODIFIED, writing->writer + 1, value, value);
        if (writing->turn)
            pthread_mutex_unlock(writing->turn);
    }
    mt_ring_close(&ring);
    __atomic_store_n(&writing->done, 1, __ATOMIC_RELEASE); // pairs with all_done()
    return NULL;
}

static bool all_done(struct writing *writings)
{
    bool done = true;
    for (int i = 0; i < WRITERS; i++)
        done = __atomic_load_n(&writings[i].done, __ATOMIC_ACQUIRE) && done;
    return done;
}

/* Every event that can be read is whole and in order. Returns how many there were. */
static uint64_t check_events(struct mt_reader *reader)
{
    struct mt_cursor *cursor = query(reader, (struct mt_filter){0});
    struct mt_event event;
    uint64_t last_seq = 0, count = 0, last_stamp[WRITERS] = {0};
    while (mt_cursor_next(cursor, &event)) {
        uint64_t stamp;
        assert_true(event.seq > last_seq);
        last_seq = event.seq;
        assert_int_equal(event.old_size, 9);
        assert_int_equal(event.new_size, 9);
        assert_memory_equal(event.old_bytes, event.new_bytes, 9);
        memcpy(&stamp, event.old_bytes + 1, 8);
        uint32_t writer = (uint32_t)(stamp >> 32);
        assert_int_equal(event.site, writer + 1);
        assert_true(count == 0 || (uint32_t)stamp >= last_stamp[writer]);
        last_stamp[writer] = (uint32_t)stamp;
        count++;
    }
    mt_cursor_close(cursor);
    return count;
}

static void read_while_threads_write(pthread_mutex_t *turn)
{
    struct mt_control *control = open_buffer(MT_BUFFER_BYTES_MIN);
    struct mt_reader *reader = open_live(control);
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, WRITERS + 1);
    struct writing writings[WRITERS] = {0};
    pthread_t threads[WRITERS];
    for (uint32_t i = 0; i < WRITERS; i++) {
        writings[i] = (struct writing){.writer = i, .start = &start, .turn = turn};
        pthread_create(&threads[i], NULL, write_events, &writings[i]);
    }
    pthread_barrier_wait(&start);
    do
        check_events(reader);
    while (!all_done(writings));
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);

    // At rest every event is accounted for.
    struct mt_totals totals;
    mt_reader_totals(reader, &totals);
    assert_int_equal(totals.torn, 0);
    assert_true(control->lost_overwritten > 0);
    assert_int_equal(control->next_seq - 1, WRITERS * EVENTS_EACH);
    assert_int_equal(totals.events + control->lost_overwritten + control->lost_no_packet,
                     WRITERS * EVENTS_EACH);
    assert_int_equal(check_events(reader), totals.events);
    mt_reader_close(reader);
    mt_buffer_destroy(control);
}

static void test_ring_shows_readers_whole_events_while_threads_write(void **state)
{
    read_while_threads_write(NULL);
}

static void test_ring_numbers_each_event_once_where_threads_take_turns(void **state)
{
    pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

    mt_ring_serialised = true;
    read_while_threads_write(&turn);
    mt_ring_serialised = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buffer_says_where_everything_is),
        cmocka_unit_test(test_buffer_of_many_packets_has_room_for_their_slots),
        cmocka_unit_test(test_buffer_keeps_out_of_the_programs_way),
        cmocka_unit_test(test_buffer_that_cannot_be_had_is_an_error),
        cmocka_unit_test(test_abandoned_buffer_stays_as_the_parent_had_it),
        cmocka_unit_test(test_ring_numbers_times_and_commits),
        cmocka_unit_test(test_ring_scalar_event_takes_at_most_32_bytes),
        cmocka_unit_test(test_ring_appends_scalars_as_it_appends_any_value),
        cmocka_unit_test(test_ring_goes_extended_where_the_difference_does_not_fit),
        cmocka_unit_test(test_ring_keeps_keys_and_long_values),
        cmocka_unit_test(test_ring_that_wraps_loses_the_oldest_and_counts_it),
        cmocka_unit_test(test_ring_counts_what_it_drops),
        cmocka_unit_test(test_ring_takes_back_the_packet_of_a_dead_thread),
        cmocka_unit_test(test_ring_leaves_the_open_packet_of_a_live_thread_alone),
        cmocka_unit_test(test_ring_gives_at_most_half_of_the_buffer_to_definitions),
        cmocka_unit_test(test_ring_shows_readers_whole_events_while_threads_write),
        cmocka_unit_test(test_ring_numbers_each_event_once_where_threads_take_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
