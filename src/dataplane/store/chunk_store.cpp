#include "dataplane/store/chunk_store.h"

#include <array>
#include <atomic>
#include <bit>

#include <millrace/assert.h>

#include "dataplane/base/fault.h"

namespace millrace::store {

/// Opens slab 0; the Slab array follows it through as many leading slabs as it takes.
struct SlabDirectory {
    uint32_t slab_count;
    uint32_t slabs_cut;  ///< slabs from here on were never used; at first the number of slabs that the directory takes
    uint8_t reserved[56];
};
static_assert(sizeof(SlabDirectory) == 64);

namespace {

constexpr uint32_t unit_bytes = 128;
constexpr uint32_t slab_units = ChunkStore::slab_bytes / unit_bytes;
constexpr uint16_t no_unit = 0xffff;
constexpr uint8_t no_class = 0xff;
constexpr size_t class_count = std::size(chunk_class_bytes);

// Set in ChunkHeader::size_class while a chunk is free: what free() and mark_live() recognise it by.
constexpr uint8_t free_bit = 0x80;

struct ClassShape {
    uint16_t units;      ///< of one chunk
    uint16_t end_units;  ///< of all chunks in a slab
    uint32_t share;      ///< bytes of the slab that one chunk costs, with what is left over at the slab's end
};

constexpr std::array<ClassShape, class_count> class_shapes = [] {
    std::array<ClassShape, class_count> shapes{};
    for (size_t i = 0; i < class_count; ++i) {
        const uint32_t units = chunk_class_bytes[i] / unit_bytes;
        const uint32_t count = slab_units / units;
        shapes[i] = {static_cast<uint16_t>(units), static_cast<uint16_t>(count * units),
                     uint32_t{ChunkStore::slab_bytes} / count};
    }
    return shapes;
}();

// Class by size in units, header included.
constexpr std::array<uint8_t, chunk_class_bytes[class_count - 1] / unit_bytes + 1> class_by_units = [] {
    std::array<uint8_t, chunk_class_bytes[class_count - 1] / unit_bytes + 1> classes{};
    for (uint32_t units = 0, size_class = 0; units < classes.size(); ++units) {
        if (units * unit_bytes > chunk_class_bytes[size_class]) ++size_class;
        classes[units] = static_cast<uint8_t>(size_class);
    }
    return classes;
}();

constexpr uint64_t directory_slabs(uint64_t slab_count) {
    return (sizeof(SlabDirectory) + slab_count * sizeof(Slab) + ChunkStore::slab_bytes - 1) / ChunkStore::slab_bytes;
}

constexpr ChunkId id_of(uint32_t slab, uint32_t unit) {
    return slab * slab_units + unit;
}

bool has_room(const Slab& slab) {
    return slab.free_unit != no_unit || slab.fresh_unit != class_shapes[slab.size_class].end_units;
}

}  // namespace

ChunkStore::ChunkStore(std::span<std::byte> arena) noexcept
    : arena_(arena),
      directory_(reinterpret_cast<SlabDirectory*>(arena.data())),
      slabs_(reinterpret_cast<Slab*>(arena.data() + sizeof(SlabDirectory))),
      slab_count_(static_cast<uint32_t>(arena.size() / slab_bytes)),
      bytes_total_((slab_count_ - directory_slabs(slab_count_)) * slab_bytes) {
    MILLRACE_ASSERT(arena.size() % slab_bytes == 0 && arena.size() / slab_bytes >= 2);
    MILLRACE_ASSERT(arena.size() <= uint64_t{1} << 39);
    MILLRACE_ASSERT(reinterpret_cast<uintptr_t>(arena.data()) % 4096 == 0);
}

ChunkStore ChunkStore::format(std::span<std::byte> arena) {
    ChunkStore store(arena);
    *store.directory_ = {store.slab_count_, static_cast<uint32_t>(directory_slabs(store.slab_count_)), {}};
    return store;
}

std::optional<ChunkStore> ChunkStore::join(std::span<std::byte> arena) {
    ChunkStore store(arena);
    const SlabDirectory& directory = *store.directory_;
    if (directory.slab_count != store.slab_count_ || directory.slabs_cut > store.slab_count_ ||
        directory.slabs_cut < directory_slabs(store.slab_count_))
        return std::nullopt;
    store.recovered_ = false;
    return store;
}

void ChunkStore::link(uint32_t& head, uint32_t slab) noexcept {
    slabs_[slab].prev = 0;
    slabs_[slab].next = head;
    if (head != 0) slabs_[head].prev = slab;
    head = slab;
}

void ChunkStore::unlink(uint32_t& head, uint32_t slab) noexcept {
    const Slab& links = slabs_[slab];
    if (links.prev != 0)
        slabs_[links.prev].next = links.next;
    else
        head = links.next;
    if (links.next != 0) slabs_[links.next].prev = links.prev;
}

// Gives the class a slab, one that was used before if possible; 0 when none is left.
uint32_t ChunkStore::cut_slab(uint8_t size_class) noexcept {
    uint32_t slab = empty_;
    if (slab != 0) {
        unlink(empty_, slab);
    } else if (directory_->slabs_cut < slab_count_) {
        slab = directory_->slabs_cut;
    } else {
        // The last resort: an empty slab that another class has kept to itself.
        for (uint32_t& head : with_room_)
            if (slab == 0 && head != 0 && slabs_[head].used == 0) unlink(head, slab = head);
        if (slab == 0) return 0;
    }
    slabs_[slab] = {0, 0, no_unit, 0, 0, size_class, 0};
    std::atomic_signal_fence(std::memory_order_release);
    if (slab == directory_->slabs_cut) ++directory_->slabs_cut;
    link(with_room_[size_class], slab);
    return slab;
}

ChunkId ChunkStore::allocate(uint32_t payload_bytes) noexcept {
    MILLRACE_ASSERT(payload_bytes - 1 < chunk_payload_max && recovered_);
    const uint32_t bytes = payload_bytes + uint32_t{sizeof(ChunkHeader)};
    const uint32_t short_by = fault(Fault::store_chunk_class_too_small) ? unit_bytes : 0;
    uint8_t size_class = class_by_units[(bytes + unit_bytes - 1 - short_by) / unit_bytes];

    uint32_t slab_number = with_room_[size_class] != 0 ? with_room_[size_class] : cut_slab(size_class);
    // Where no slab is left, a larger chunk than needed does as well.
    while (slab_number == 0 && ++size_class < class_count) slab_number = with_room_[size_class];
    if (slab_number == 0) {
        ++exhausted_total_;
        return no_chunk;
    }
    uint32_t& head = with_room_[size_class];
    Slab& slab = slabs_[slab_number];
    uint32_t unit = slab.free_unit;
    if (unit != no_unit) {
        slab.free_unit = static_cast<uint16_t>(header(id_of(slab_number, unit)).next);
    } else {
        // Not threaded through a free list before, since that would touch all pages of the slab at once.
        unit = slab.fresh_unit;
        slab.fresh_unit = static_cast<uint16_t>(unit + class_shapes[size_class].units);
    }
    ++slab.used;
    if (!has_room(slab)) unlink(head, slab_number);
    bytes_in_use_ += chunk_class_bytes[size_class];
    bytes_taken_ += class_shapes[size_class].share;

    const ChunkId id = id_of(slab_number, unit);
    header(id) = {0, 0, 0, 0, size_class, 0};
    // Class and slab stand before any record can name the chunk, whatever the caller's code is inlined with.
    std::atomic_signal_fence(std::memory_order_release);
    return id;
}

void ChunkStore::free(ChunkId id) noexcept {
    const uint32_t slab_number = id / slab_units;
    MILLRACE_ASSERT(slab_number < directory_->slabs_cut && slab_number >= directory_slabs(slab_count_) && recovered_);
    Slab& slab = slabs_[slab_number];
    ChunkHeader& chunk = header(id);
    const uint8_t size_class = slab.size_class;
    const bool double_free = chunk.size_class != size_class || size_class >= class_count || slab.used == 0;
    if (double_free && fault(Fault::store_double_free_ignored)) return;
    MILLRACE_ASSERT(!double_free);

    uint32_t& head = with_room_[size_class];
    if (!has_room(slab)) link(head, slab_number);
    chunk.size_class = size_class | free_bit;
    chunk.next = slab.free_unit;
    slab.free_unit = static_cast<uint16_t>(id % slab_units);
    --slab.used;
    bytes_in_use_ -= chunk_class_bytes[size_class];
    bytes_taken_ -= class_shapes[size_class].share;

    // An empty slab is for any class again, unless it is the only one of its class with room: the next allocation would
    // cut it anew.
    if (slab.used == 0 && (head != slab_number || slab.next != 0)) {
        unlink(head, slab_number);
        slab.size_class = no_class;
        link(empty_, slab_number);
    }
}

void ChunkStore::begin_recovery() noexcept {
    recovered_ = false;
    bytes_in_use_ = bytes_taken_ = 0;
    for (uint32_t& head : with_room_) head = 0;
    empty_ = 0;
    for (uint32_t number = static_cast<uint32_t>(directory_slabs(slab_count_)); number < directory_->slabs_cut;
         ++number) {
        Slab& slab = slabs_[number];
        slab.used = 0;
        if (slab.size_class >= class_count || slab.fresh_unit > class_shapes[slab.size_class].end_units ||
            slab.fresh_unit % class_shapes[slab.size_class].units != 0) {
            slab.size_class = no_class;
            continue;
        }
        const uint32_t units = class_shapes[slab.size_class].units;
        for (uint32_t unit = 0; unit < slab.fresh_unit; unit += units)
            header(id_of(number, unit)).size_class = slab.size_class | free_bit;
    }
}

bool ChunkStore::mark_live(ChunkId id) noexcept {
    MILLRACE_ASSERT(!recovered_);
    const uint32_t slab_number = id / slab_units;
    const uint32_t unit = id % slab_units;
    if (slab_number < directory_slabs(slab_count_) || slab_number >= directory_->slabs_cut) return false;
    Slab& slab = slabs_[slab_number];
    if (slab.size_class == no_class || unit >= slab.fresh_unit) return false;
    if (unit % class_shapes[slab.size_class].units != 0) return false;
    ChunkHeader& chunk = header(id);
    if (chunk.size_class != (slab.size_class | free_bit)) return false;
    const uint32_t bytes = chunk_class_bytes[slab.size_class];
    if (chunk.length > bytes - sizeof(ChunkHeader)) return false;
    if (fault(Fault::store_recovery_frees_live_chunk) && unit + class_shapes[slab.size_class].units == slab.fresh_unit)
        return true;
    chunk.size_class = slab.size_class;
    ++slab.used;
    bytes_in_use_ += bytes;
    bytes_taken_ += class_shapes[slab.size_class].share;
    return true;
}

void ChunkStore::end_recovery() noexcept {
    // Downwards, so that the lists hand out low slabs and low chunks first.
    for (uint32_t number = directory_->slabs_cut; number-- > directory_slabs(slab_count_);) {
        Slab& slab = slabs_[number];
        if (slab.used == 0) {
            slab.size_class = no_class;
            link(empty_, number);
            continue;
        }
        slab.free_unit = no_unit;
        const uint32_t units = class_shapes[slab.size_class].units;
        for (uint32_t unit = slab.fresh_unit; unit > 0;) {
            unit -= units;
            ChunkHeader& chunk = header(id_of(number, unit));
            if ((chunk.size_class & free_bit) == 0) continue;
            chunk.next = slab.free_unit;
            slab.free_unit = static_cast<uint16_t>(unit);
        }
        if (has_room(slab)) link(with_room_[slab.size_class], number);
    }
    recovered_ = true;
}

uint64_t ChunkStore::bytes_of_slabs() const noexcept {
    return uint64_t{directory_->slabs_cut} * slab_bytes;
}

}  // namespace millrace::store
