// Text that is put together from many pieces.
#pragma once

#include <string>
#include <string_view>

namespace signalbox {

// Appends all pieces. A head has dozens, and append() looks at the capacity for each.
template <typename... Pieces>  // each converts to std::string_view, and none is of `text`
void append(std::string& text, const Pieces&... pieces) {
  const std::string_view views[] = {pieces...};
  std::size_t size = text.size(), total = size;
  for (const auto& view : views) total += view.size();
  text.resize(total);
  for (const auto& view : views) size += view.copy(text.data() + size, view.size());
}

}  // namespace signalbox
