// Chunks: where payload waits (unacknowledged, out of order, a partial head or record). Everything lies in one arena of
// a region file, so it outlives the process. The arena is cut into 64 KiB slabs, each slab into chunks of one size
// class; a chunk is named by its offset in 128 B units, never by a pointer. One thread (the worker that owns the shard)
// allocates and frees.
//
//   arena:  | slab 0: directory | slab 1: 512 × 128 B | slab 2: 42 × 1,536 B | untouched, costs no memory ...
//
// Free lists and slab counts are rebuilt from the live chunks after a restart; the chunks themselves are the truth.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <span>

namespace millrace::store {

/// Offset of a chunk in the arena in units of 128 B; 0 is "no chunk".
using ChunkId = uint32_t;
inline constexpr ChunkId no_chunk = 0;

/// Stands at the start of each chunk; payload follows at once. Owners link chunks through `next` as they like.
struct ChunkHeader {
    ChunkId next;        ///< owner's link
    uint32_t seq;        ///< owner's use; TCP: sequence number of the first payload byte
    uint32_t sent_at;    ///< owner's use; TCP: when a byte of it was last sent, low 32 bits of microseconds
    uint16_t length;     ///< payload bytes filled
    uint8_t size_class;  ///< index into chunk_class_bytes; the store's
    uint8_t flags;       ///< owner's use
};
static_assert(sizeof(ChunkHeader) == 16);

/// Sizes of the classes, header included. The last one holds a whole request head at its default limit.
inline constexpr uint32_t chunk_class_bytes[] = {128, 256, 512, 1024, 1536, 4096, 8192, 16384 + 128};
inline constexpr uint32_t chunk_payload_max = chunk_class_bytes[std::size(chunk_class_bytes) - 1] - sizeof(ChunkHeader);

struct SlabDirectory;

/// What the directory knows of a slab; units are 128 B from the slab's start.
struct Slab {
    uint32_t next, prev;  ///< slabs of the same list (with room, or empty); 0: none
    uint16_t free_unit;   ///< first of the freed chunks, linked by ChunkHeader::next; no_unit: none
    uint16_t fresh_unit;  ///< chunks from here on were never handed out and their headers never written
    uint16_t used;        ///< chunks allocated
    uint8_t size_class;   ///< no_class while the slab belongs to none
    uint8_t reserved;
};
static_assert(sizeof(Slab) == 16);

class ChunkStore {
  public:
    static constexpr size_t slab_bytes = 65536;

    /// Formats `arena` (zeroed memory, a multiple of slab_bytes, at least two slabs, at most 512 GiB, aligned to a
    /// page) as an empty store. The store keeps the span; the memory must outlive it.
    static ChunkStore format(std::span<std::byte> arena);

    /// Takes over the arena that an earlier process left. The store must then be recovered (begin_recovery, mark_live
    /// for each chunk that a live record names, end_recovery) before anything else. Empty when the directory doesn't
    /// fit the arena.
    static std::optional<ChunkStore> join(std::span<std::byte> arena);

    /// The smallest chunk that can be had with a payload capacity of at least `payload_bytes` (1…chunk_payload_max),
    /// its header zeroed but for `size_class`. no_chunk when the arena is exhausted (counted in `exhausted_total`).
    ChunkId allocate(uint32_t payload_bytes) noexcept;

    /// Gives a chunk back. Asserts that the id names a live chunk. Unlink it from its record first: a crash between
    /// the two then costs nothing.
    void free(ChunkId id) noexcept;

    /// From here every chunk counts as free. Chunks keep their contents. May be begun again after a crash within it.
    void begin_recovery() noexcept;

    /// Declares a chunk live. False, with nothing changed, when the id can't name one (out of bounds, not where a chunk
    /// starts, never handed out, `length` beyond its capacity) or was declared already: its record is damaged.
    bool mark_live(ChunkId id) noexcept;

    /// Rebuilds the free lists from what was not declared live.
    void end_recovery() noexcept;

    ChunkHeader& header(ChunkId id) noexcept {
        return *reinterpret_cast<ChunkHeader*>(arena_.data() + size_t{id} * 128);
    }
    const ChunkHeader& header(ChunkId id) const noexcept {
        return *reinterpret_cast<const ChunkHeader*>(arena_.data() + size_t{id} * 128);
    }

    /// The payload bytes filled so far (`length`).
    std::span<const uint8_t> payload(ChunkId id) const noexcept {
        return {reinterpret_cast<const uint8_t*>(&header(id) + 1), header(id).length};
    }

    /// The whole payload capacity of the chunk, for writing.
    std::span<uint8_t> capacity(ChunkId id) noexcept {
        return {reinterpret_cast<uint8_t*>(&header(id) + 1),
                chunk_class_bytes[header(id).size_class] - sizeof(ChunkHeader)};
    }

    /// Bytes of chunks now allocated, headers and class rounding included.
    uint64_t bytes_in_use() const noexcept { return bytes_in_use_; }
    /// Bytes of slabs cut so far, with the directory's part: what the arena costs in memory. Never less than before:
    /// what a burst took stays for the next one.
    uint64_t bytes_of_slabs() const noexcept;
    /// What is left of bytes_total(), the bytes of all slabs that chunks can have: each chunk counts with its part of
    /// what is left over at the end of its slab. Chunks may be had from it in sizes that its slabs are cut to.
    uint64_t bytes_free() const noexcept { return bytes_total_ - bytes_taken_; }
    uint64_t bytes_total() const noexcept { return bytes_total_; }
    uint64_t exhausted_total() const noexcept { return exhausted_total_; }

  private:
    static constexpr size_t class_count = std::size(chunk_class_bytes);

    explicit ChunkStore(std::span<std::byte> arena) noexcept;
    uint32_t cut_slab(uint8_t size_class) noexcept;
    void link(uint32_t& head, uint32_t slab) noexcept;
    void unlink(uint32_t& head, uint32_t slab) noexcept;

    std::span<std::byte> arena_;
    SlabDirectory* directory_;
    Slab* slabs_;  ///< one per slab of the arena, the directory's own included; in the leading slabs
    uint32_t slab_count_;
    uint64_t bytes_total_;
    uint32_t with_room_[class_count] = {};  ///< heads: slabs of the class with a chunk to give
    uint32_t empty_ = 0;                    ///< head: slabs that were cut and are of no class now
    bool recovered_ = true;
    uint64_t bytes_in_use_ = 0;
    uint64_t bytes_taken_ = 0;
    uint64_t exhausted_total_ = 0;
};

}  // namespace millrace::store
