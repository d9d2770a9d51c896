// What all fuzz targets share. Each is a program of libFuzzer's with one try_input(), which reads
// an input with what it tests and requires properties of the result.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace signalbox::fuzz {

// Defined by each target.
void try_input(std::string_view input);

// Ends the program unless the property holds; libFuzzer then keeps the input.
void require(bool holds, std::string_view property);

// A way to cut an input: where each piece ends, in ascending order. The last piece ends with the
// input.
using cut = std::vector<std::size_t>;

cut uncut(std::string_view input);

// Returns some ways to cut an input: byte by byte, in two at every place of a short input and at
// some of a long one, in pieces of random sizes. They are the same for the same input.
std::vector<cut> cuts_of(std::string_view input);

// Calls `feed` with each piece that is not empty. A piece has memory of its own, so that
// AddressSanitizer sees whoever reads beyond it or keeps it.
template <typename Feed>
void feed_pieces(std::string_view input, const cut& ends, Feed feed) {
  std::size_t from = 0;
  for (const auto end : ends) {
    if (end == from) continue;
    const std::vector<char> piece(input.begin() + from, input.begin() + end);
    feed(std::string_view(piece.data(), piece.size()));
    from = end;
  }
}

}  // namespace signalbox::fuzz
