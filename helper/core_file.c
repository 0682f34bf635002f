/* Finds a buffer in a core file: a PT_LOAD segment that begins with the magic.
 *
 * In the reader. No Python.h. Threads: no state. The file is not trusted: every offset is
 * checked against its size. Facts about the format: elf(5), core(5). */
#include <elf.h>
#include <string.h>

#include "core_file.h"

/* `size` bytes at `offset`, copied; false if they aren't there. */
static bool read_at(const struct mt_mapped *file, uint64_t offset, void *to, size_t size)
{
    if (offset > file->size || file->size - offset < size)
        return false;
    memcpy(to, file->bytes + offset, size);
    return true;
}

/* Number of program headers; more than 65534 are counted in section 0. */
static uint64_t count_segments(const struct mt_mapped *file, const Elf64_Ehdr *header)
{
    Elf64_Shdr first;
    if (header->e_phnum == PN_XNUM && read_at(file, header->e_shoff, &first, sizeof first))
        return first.sh_info;
    return header->e_phnum;
}

/* What a segment holds of a buffer: its rank as a candidate, 0 for none. */
static int rank_segment(const struct mt_mapped *file, const Elf64_Phdr *segment)
{
    struct mt_control control;
    if (segment->p_type != PT_LOAD || segment->p_filesz < sizeof control ||
        !read_at(file, segment->p_offset, &control, sizeof control) ||
        memcmp(control.magic, MT_MAGIC, sizeof control.magic) != 0)
        return 0;
    // The one that the debuggee wrote knows its own address; a program that had one loaded
    // to look at has it elsewhere.
    return control.base == segment->p_vaddr ? 2 : 1;
}

enum mt_status mt_core_file_open(struct mt_source *source, const char *path, char *error)
{
    struct mt_mapped file;
    enum mt_status status = mt_source_map(path, 0, 0, &file, error);
    if (status != MT_OK)
        return status;
    source->mapping = file;
    Elf64_Ehdr header;
    if (!read_at(&file, 0, &header, sizeof header) ||
        memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
        header.e_type != ET_CORE || header.e_phentsize != sizeof(Elf64_Phdr))
        return mt_packets_error(error, MT_CORRUPT, "%s is no 64-bit ELF core file", path);

    int best_rank = 0;
    Elf64_Phdr best = {0};
    uint64_t count = count_segments(&file, &header);
    for (uint64_t i = 0; i < count; i++) {
        Elf64_Phdr segment;
        if (!read_at(&file, header.e_phoff + i * sizeof segment, &segment, sizeof segment))
            break;
        int rank = rank_segment(&file, &segment);
        if (rank > best_rank) {
            best_rank = rank;
            best = segment;
        }
    }
    if (best_rank == 0)
        return mt_packets_error(error, MT_NOT_FOUND,
                                "%s holds no memtrace buffer: memtrace wasn't on in that process, "
                                "or its coredump_filter left out shared memory (bit 1)",
                                path);
    uint64_t bytes = file.size - best.p_offset;
    if (bytes > best.p_filesz)
        bytes = best.p_filesz;
    return mt_source_init_buffer(source, file.bytes + best.p_offset, bytes, false, error);
}
