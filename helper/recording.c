/* Recordings: CTF 1.8 directories, written from what a source holds, and opened again.
 *
 * In the reader, never in the debuggee. No Python.h. Threads: no state.
 *
 * A packet of the buffer is a CTF packet already (memtrace.h); saving gives it its true
 * size and the time of its last event, and files it by thread. What babeltrace2 2.0.4
 * refuses, and this therefore never writes: an unfinished event, a packet of zeros, packets
 * out of order, and numbers of packets that go back within a file (a thread id that the
 * kernel gave out again begins another file). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "event.h"
#include "recording.h"

/* ---- metadata ----------------------------------------------------------------------- */

/* The language is TSDL; the numbers are those of memtrace.h. */
static const char metadata_types[] =
    "typealias integer { size = 8;  align = 8; signed = false; } := u8;\n"
    "typealias integer { size = 16; align = 8; signed = false; } := u16;\n"
    "typealias integer { size = 32; align = 8; signed = false; } := u32;\n"
    "typealias integer { size = 64; align = 8; signed = false; } := u64;\n"
    "typealias integer { size = 32; align = 8; signed = true; } := i32;\n"
    "typealias integer { size = 64; align = 8; signed = true; } := i64;\n"
    "typealias integer { size = 64; align = 8; signed = false; base = 16; } := address;\n"
    "typealias integer { size = 8; align = 8; signed = false; base = 16; } := byte;\n"
    "typealias integer { size = 4; align = 1; signed = false; } := tag4;\n"
    "typealias integer { size = 8; align = 8; signed = false; encoding = UTF8; } := utf8;\n"
    "typealias floating_point { exp_dig = 11; mant_dig = 53; align = 8; } := f64;\n";

static const char metadata_streams[] =
    "typealias integer { size = 32; align = 8; signed = false;\n"
    "                    map = clock.monotonic.value; } := time32;\n"
    "typealias integer { size = 64; align = 8; signed = false;\n"
    "                    map = clock.monotonic.value; } := time64;\n"
    "struct packet_context {\n"
    "  u64 packet_size; u64 content_size; time64 timestamp_begin; time64 timestamp_end;\n"
    "  u64 events_discarded; u64 packet_seq_num; u64 first_seq; u64 event_count;\n"
    "  u32 pid; u32 tid;\n"
    "};\n"
    "stream {\n"
    "  id = 0;\n"
    "  packet.context := struct packet_context;\n"
    "  event.header := struct {\n"
    "    enum : u8 { compact = 0 ... 15, extended = 16 ... 31 } id;\n"
    "    variant <id> { time32 compact; time64 extended; } time;\n"
    "  };\n"
    "};\n"
    "stream {\n"
    "  id = 1;\n"
    "  packet.context := struct packet_context;\n"
    "  event.header := struct { u8 id; };\n"
    "};\n"
    "variant value {\n"
    "  struct {} unbound; struct {} none; struct {} no; struct {} yes;\n"
    "  i32 int32; i64 int64; f64 real;\n"
    "  struct { u32 length; u16 size; utf8 text[size]; } str;\n"
    "  struct { u32 length; u16 size; byte data[size]; } bytes;\n"
    "  struct { u32 type; address at; } object;\n"
    "  struct { u16 size; byte data[size]; } compound;\n"
    "  struct {} unknown; struct {} redacted;\n"
    "};\n"
    "event {\n"
    "  name = \"code\"; id = 1; stream_id = 1;\n"
    "  fields := struct { u32 code; u32 first_line; string file; string qualname; };\n"
    "};\n"
    "event {\n"
    "  name = \"site\"; id = 2; stream_id = 1;\n"
    "  fields := struct {\n"
    "    u32 site; u32 code; u32 line;\n"
    "    enum : u8 { argument = 0, local, cell, global, name, attribute, item } scope;\n"
    "    string name; string key;\n"
    "  };\n"
    "};\n"
    "event {\n"
    "  name = \"type\"; id = 3; stream_id = 1;\n"
    "  fields := struct { u32 type; string name; };\n"
    "};\n"
    "event {\n"
    "  name = \"note\"; id = 4; stream_id = 1;\n"
    "  fields := struct { u32 note; u64 seq; u64 time; string text; };\n"
    "};\n";

#define TAGS                                                                           \
    "{ unbound = 0, none, no, yes, int32, int64, real, str, bytes, object, compound, " \
    "unknown, redacted }"

static void print_event_classes(FILE *file)
{
    static const char *const kinds[] = {"NEW", "MODIFIED", "MUTATED", "REBOUND", "DELETED"};
    _Static_assert(sizeof kinds / sizeof kinds[0] == MT_KIND_COUNT, "a name for every kind");
    for (int id = 0; id <= (MT_EVENT_KIND_MASK | MT_EVENT_KEY | MT_EVENT_EXTENDED); id++) {
        int kind = id & MT_EVENT_KIND_MASK;
        if (kind >= MT_KIND_COUNT)
            continue;
        fprintf(file,
                "event {\n"
                "  name = \"%s\"; id = %d; stream_id = 0;\n"
                "  fields := struct {\n"
                "    %s seq;\n"
                "    enum : tag4 " TAGS " old_tag; enum : tag4 " TAGS " new_tag;\n"
                "    u32 site; u32 activation;\n"
                "%s"
                "    variant value <old_tag> old; variant value <new_tag> new;\n"
                "  };\n"
                "};\n",
                kinds[kind], id, id & MT_EVENT_EXTENDED ? "u64" : "u16",
                id & MT_EVENT_KEY ? "    enum : u8 " TAGS " key_tag;\n"
                                    "    variant value <key_tag> key;\n"
                                  : "");
    }
}

/* Between quotes: control characters and what isn't ASCII go as '?'. */
static void print_quoted(FILE *file, const char *text, size_t size)
{
    fputc('"', file);
    for (size_t i = 0; i < size && text[i]; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            fputc('\\', file);
        fputc(c < 0x20 || c >= 0x7f ? '?' : c, file);
    }
    fputc('"', file);
}

static void print_environment(FILE *file, const struct mt_control *control)
{
    fprintf(file,
            "env {\n  domain = \"python\"; tracer_name = \"memtrace\";\n"
            "  memtrace_abi = %d;\n  pid = %" PRIu32 ";\n  python_version = ",
            MT_ABI_VERSION, control->pid);
    print_quoted(file, control->python_version, sizeof control->python_version);
    fprintf(file, ";\n  soabi = ");
    print_quoted(file, control->soabi, sizeof control->soabi);
    fprintf(file, ";\n  driver = ");
    print_quoted(file, control->driver, sizeof control->driver);
    fprintf(file, ";\n  program = ");
    print_quoted(file, control->program, sizeof control->program);
    fprintf(file, ";\n};\n");
}

static void print_metadata(FILE *file, const struct mt_control *control)
{
    char uuid[37];
    const uint8_t *u = control->uuid;
    snprintf(uuid, sizeof uuid,
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1],
             u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14],
             u[15]);
    // What to add to CLOCK_MONOTONIC for the time of day.
    uint64_t offset = control->started_realtime_ns - control->started_ns;
    fprintf(file, "/* CTF 1.8 */\n%s", metadata_types);
    fprintf(file,
            "trace {\n"
            "  major = 1; minor = 8; byte_order = le; uuid = \"%s\";\n"
            "  packet.header := struct { u32 magic; u8 uuid[16]; u32 stream_id; };\n"
            "};\n",
            uuid);
    print_environment(file, control);
    fprintf(file,
            "clock {\n"
            "  name = monotonic; freq = 1000000000;\n"
            "  offset_s = %" PRIu64 "; offset = %" PRIu64 ";\n"
            "};\n%s",
            offset / 1000000000u, offset % 1000000000u, metadata_streams);
    print_event_classes(file);
}

/* ---- saving ------------------------------------------------------------------------ */

/* A save on its way. */
struct saving {
    const struct mt_source *source;
    const char *path;
    int directory; /* descriptor */
    uint64_t horizon;
    char *error;
};

static enum mt_status fail(const struct saving *saving, const char *name)
{
    return mt_packets_error(saving->error, MT_IO_ERROR, "%s/%s: %s", saving->path, name,
                            strerror(errno));
}

/* A new file of the directory, or NULL. */
static FILE *create_file(const struct saving *saving, const char *name)
{
    int fd = openat(saving->directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return NULL;
    FILE *file = fdopen(fd, "w");
    if (!file)
        close(fd);
    return file;
}

/* Close it and say whether everything got to it: a full disk shows up here. */
static enum mt_status finish_file(const struct saving *saving, FILE *file, const char *name)
{
    bool failed = ferror(file) != 0;
    failed = fclose(file) != 0 || failed;
    return failed ? fail(saving, name) : MT_OK;
}

/* Write the packet as a finished one of just its size: `content` bytes, ended at `end_ns`. */
static void write_packet(FILE *file, const struct mt_packet *packet, uint32_t content,
                         uint64_t events, uint64_t end_ns)
{
    struct mt_packet_header header;
    memcpy(&header, packet->bytes, sizeof header);
    header.packet_bits = header.content_bits = (uint64_t)content * 8;
    header.timestamp_end = end_ns;
    header.event_count = events;
    fwrite(&header, sizeof header, 1, file);
    fwrite(packet->bytes + sizeof header, content - sizeof header, 1, file);
}

/* The whole events of the packet, up to the horizon. */
static void write_events(const struct saving *saving, FILE *file, const struct mt_packet *packet)
{
    struct mt_decoder decoder = mt_decoder_begin(packet->bytes, packet->content);
    const uint8_t *end = decoder.at;
    struct mt_raw_event event;
    uint64_t events = 0, end_ns = packet->begin_ns;
    while (mt_decode_event(&decoder, &event) == MT_DECODED_EVENT && event.seq < saving->horizon &&
           event.time_ns >= end_ns) {
        end = decoder.at;
        end_ns = event.time_ns;
        events++;
    }
    if (events > 0)
        write_packet(file, packet, (uint32_t)(end - packet->bytes), events, end_ns);
}

/* Packets [*at, …) that belong in one file: one thread, numbers that grow. */
static size_t count_stream(const struct mt_packet_list *list, size_t at)
{
    const struct mt_packet *packet = &list->packets[at];
    size_t count = 1;
    for (; at + count < list->count; count++, packet++)
        if (packet[1].pid != packet->pid || packet[1].tid != packet->tid ||
            packet[1].packet_seq <= packet->packet_seq)
            break;
    return count;
}

static enum mt_status save_events(const struct saving *saving, const struct mt_packet_list *list)
{
    enum mt_status status = MT_OK;
    uint32_t again = 0; // how often the thread id was seen before
    for (size_t at = 0; at < list->count && status == MT_OK;) {
        uint32_t tid = list->packets[at].tid;
        again = at > 0 && list->packets[at - 1].tid == tid ? again + 1 : 0;
        char name[48];
        if (again == 0)
            snprintf(name, sizeof name, "thread-%" PRIu32, tid);
        else
            snprintf(name, sizeof name, "thread-%" PRIu32 "-%" PRIu32, tid, again + 1);
        FILE *file = create_file(saving, name);
        if (!file)
            return fail(saving, name);
        size_t count = count_stream(list, at);
        for (size_t i = 0; i < count; i++)
            write_events(saving, file, &list->packets[at + i]);
        status = finish_file(saving, file, name);
        at += count;
    }
    return status;
}

static enum mt_status save_definitions(const struct saving *saving,
                                       const struct mt_packet_list *list)
{
    static const char name[] = "definitions";
    FILE *file = create_file(saving, name);
    if (!file)
        return fail(saving, name);
    for (size_t i = 0; i < list->count; i++) {
        const struct mt_packet *packet = &list->packets[i];
        struct mt_packet_header header;
        memcpy(&header, packet->bytes, sizeof header);
        if (packet->content > sizeof header)
            write_packet(file, packet, packet->content, header.event_count, packet->begin_ns);
    }
    return finish_file(saving, file, name);
}

/* Last, so that a directory with metadata is a whole trace. */
static enum mt_status save_metadata(const struct saving *saving)
{
    static const char name[] = "metadata";
    FILE *file = create_file(saving, name);
    if (!file)
        return fail(saving, name);
    if (saving->source->buffer)
        print_metadata(file, (const struct mt_control *)(const void *)saving->source->buffer);
    else
        fputs(saving->source->metadata, file);
    return finish_file(saving, file, name);
}

static enum mt_status save_streams(struct saving *saving)
{
    // Definitions after the events: they hold every id that the events name.
    struct mt_packet_list events = {0}, definitions = {0};
    enum mt_status status = mt_packets_list(saving->source, MT_STREAM_EVENTS, &events);
    if (status == MT_OK)
        status = mt_packets_fetch(saving->source, &events);
    if (status == MT_OK)
        status = mt_packets_list(saving->source, MT_STREAM_DEFS, &definitions);
    if (status == MT_OK)
        status = mt_packets_fetch(saving->source, &definitions);
    saving->horizon = events.horizon;
    if (status == MT_OK)
        status = save_events(saving, &events);
    else
        mt_packets_error(saving->error, status, "no memory to copy the buffer");
    if (status == MT_OK)
        status = save_definitions(saving, &definitions);
    mt_packets_free(&events);
    mt_packets_free(&definitions);
    return status;
}

static bool is_dot(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* A descriptor of the directory, made if need be; -1 and the reason in `error`. */
static int open_empty_directory(const char *path, char *error)
{
    if (mkdir(path, 0777) != 0 && errno != EEXIST) {
        mt_packets_error(error, MT_IO_ERROR, "%s: %s", path, strerror(errno));
        return -1;
    }
    DIR *directory = opendir(path);
    if (!directory) {
        mt_packets_error(error, MT_IO_ERROR, "%s: %s", path, strerror(errno));
        return -1;
    }
    bool empty = true;
    for (struct dirent *entry; (entry = readdir(directory));)
        empty = empty && is_dot(entry->d_name);
    int fd = empty ? fcntl(dirfd(directory), F_DUPFD_CLOEXEC, 0) : -1;
    if (!empty)
        mt_packets_error(error, MT_IO_ERROR, "%s isn't empty: name a new directory", path);
    else if (fd < 0)
        mt_packets_error(error, MT_IO_ERROR, "%s: %s", path, strerror(errno));
    closedir(directory);
    return fd;
}

enum mt_status mt_recording_save(const struct mt_source *source, const char *path, char *error)
{
    struct saving saving = {.source = source, .path = path, .error = error};
    saving.directory = open_empty_directory(path, error);
    if (saving.directory < 0)
        return MT_IO_ERROR;
    enum mt_status status = save_streams(&saving);
    if (status == MT_OK)
        status = save_metadata(&saving);
    close(saving.directory);
    return status;
}

/* ---- opening ----------------------------------------------------------------------- */

/* The number behind `key` in the metadata, or -1. */
static long find_number(const char *metadata, const char *key)
{
    const char *found = strstr(metadata, key);
    return found ? strtol(found + strlen(key), NULL, 10) : -1;
}

static enum mt_status open_metadata(struct mt_source *source, const char *path, char *error)
{
    char name[PATH_MAX];
    struct mt_mapped mapped;
    if ((size_t)snprintf(name, sizeof name, "%s/metadata", path) >= sizeof name)
        return mt_packets_error(error, MT_IO_ERROR, "that path is too long");
    enum mt_status status = mt_source_map(name, 0, 0, &mapped, error);
    if (status == MT_NOT_FOUND)
        return mt_packets_error(error, MT_NOT_FOUND, "%s is no recording: it has no metadata",
                                path);
    if (status != MT_OK)
        return status;
    source->metadata = mapped.bytes ? strndup((const char *)mapped.bytes, mapped.size) : strdup("");
    if (mapped.bytes)
        munmap((void *)(uintptr_t)mapped.bytes, mapped.size);
    if (!source->metadata)
        return mt_packets_error(error, MT_NO_MEMORY, "no memory for the metadata");
    long version = find_number(source->metadata, "memtrace_abi = ");
    if (strncmp(source->metadata, "/* CTF 1.8 */", 13) != 0 || version < 0)
        return mt_packets_error(error, MT_CORRUPT, "%s is no recording of memtrace", path);
    if (version != MT_ABI_VERSION)
        return mt_packets_error(error, MT_WRONG_VERSION,
                                "%s has version %ld, this reader knows version %d: use the "
                                "memtrace that recorded it",
                                path, version, MT_ABI_VERSION);
    return MT_OK;
}

static enum mt_status open_stream(struct mt_source *source, const char *path, const char *entry,
                                  char *error)
{
    char name[PATH_MAX];
    if ((size_t)snprintf(name, sizeof name, "%s/%s", path, entry) >= sizeof name)
        return mt_packets_error(error, MT_IO_ERROR, "that path is too long");
    struct mt_mapped *grown = realloc(source->files, (source->file_count + 1) * sizeof *grown);
    if (!grown)
        return mt_packets_error(error, MT_NO_MEMORY, "no memory for %s", name);
    source->files = grown;
    enum mt_status status = mt_source_map(name, 0, 0, &source->files[source->file_count], error);
    if (status == MT_OK)
        source->file_count++;
    return status;
}

enum mt_status mt_recording_open(struct mt_source *source, const char *path, char *error)
{
    enum mt_status status = open_metadata(source, path, error);
    if (status != MT_OK)
        return status;
    DIR *directory = opendir(path);
    if (!directory)
        return mt_packets_error(error, MT_IO_ERROR, "%s: %s", path, strerror(errno));
    for (struct dirent *entry; status == MT_OK && (entry = readdir(directory));) {
        // Hidden files are no streams, by the format.
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, "metadata") != 0)
            status = open_stream(source, path, entry->d_name, error);
    }
    closedir(directory);
    return status;
}
