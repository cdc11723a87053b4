#include "dataplane/base/toeplitz.h"

#include "dataplane/base/fault.h"

namespace millrace {

Toeplitz::Toeplitz(std::span<const uint8_t, key_size> key) {
    for (size_t position = 0; position < input_size_max; ++position) {
        // Bit n of the input (0 is the first on the wire) contributes the 32 key bits from bit n on; a byte's eight
        // windows lie within five bytes of the key.
        uint64_t window = 0;
        for (size_t i = 0; i < 5; ++i) window = window << 8 | key[position + i];
        for (uint32_t value = 0; value < 256; ++value) {
            uint32_t part = 0;
            for (uint32_t bit = 0; bit < 8; ++bit)
                if ((value & 0x80u >> bit) != 0) part ^= static_cast<uint32_t>(window >> (8 - bit));
            if (fault(Fault::toeplitz_skips_byte) && position == 9) part = 0;
            tables_[position][value] = part;
        }
    }
}

}  // namespace millrace
