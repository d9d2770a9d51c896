// Finds the functions of a C++ source by its braces. A lambda is part of the function around it.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace signalbox::tidy {

// Line numbers from 1. The header is the text before the opening brace: return type, name,
// parameters and member initializers.
struct function_lines {
  std::size_t header;
  std::size_t opening_brace;
  std::size_t closing_brace;

  std::size_t with_header() const { return closing_brace - header + 1; }
  std::size_t body() const { return closing_brace - opening_brace + 1; }
};

// The functions, methods and Boost test cases that `cpp` defines, in their order in the text.
std::vector<function_lines> functions_of(std::string_view cpp);

}  // namespace signalbox::tidy
