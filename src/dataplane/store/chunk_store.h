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

class ChunkStore {
  public:
    static constexpr size_t slab_bytes = 65536;

    /// Formats `arena` (zeroed memory, a multiple of slab_bytes, at least two slabs, at most 512 GiB, aligned to a page)
    /// as an empty store. The store keeps the span; the memory must outlive it.
    static ChunkStore format(std::span<std::byte> arena);

    /// The smallest chunk whose payload capacity is at least `payload_bytes` (1…chunk_payload_max), its header zeroed
    /// but for `size_class`. no_chunk when the arena is exhausted (counted in `exhausted_total`).
    ChunkId allocate(uint32_t payload_bytes) noexcept;

    /// Gives a chunk back. Asserts that the id names a live chunk.
    void free(ChunkId id) noexcept;

    ChunkHeader& header(ChunkId id) noexcept { return *reinterpret_cast<ChunkHeader*>(arena_.data() + size_t{id} * 128); }
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
    /// Bytes of slabs cut so far: what the arena costs in memory.
    uint64_t bytes_of_slabs() const noexcept;
    uint64_t exhausted_total() const noexcept { return exhausted_total_; }

  private:
    std::span<std::byte> arena_;
    uint64_t bytes_in_use_ = 0;
    uint64_t exhausted_total_ = 0;
};

}  // namespace millrace::store
