#include "http/serve/body_blocks.hpp"

#include <sys/mman.h>

#include <cstring>
#include <new>

namespace signalbox::http {

namespace {

constexpr std::size_t block_bytes = 256 * 1024;

}  // namespace

void body_blocks::unmap::operator()(char* block) const {
  ::munmap(block, block_bytes);
}

std::unique_ptr<char, body_blocks::unmap> body_blocks::map_block() {
  void* const block =
      ::mmap(nullptr, block_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (block == MAP_FAILED) throw std::bad_alloc();
  return std::unique_ptr<char, unmap>(static_cast<char*>(block));
}

void body_blocks::append(std::string_view bytes) {
  while (!bytes.empty()) {
    if (blocks_.empty() || last_ == block_bytes) {
      blocks_.push_back(map_block());
      last_ = 0;
    }
    const auto part = bytes.substr(0, block_bytes - last_);
    std::memcpy(blocks_.back().get() + last_, part.data(), part.size());
    last_ += part.size();
    bytes.remove_prefix(part.size());
  }
}

void body_blocks::move_to(std::string& text) {
  for (auto& block : blocks_) {
    text.append(block.get(), &block == &blocks_.back() ? last_ : block_bytes);
    block.reset();
  }
  blocks_.clear();
}

}  // namespace signalbox::http
