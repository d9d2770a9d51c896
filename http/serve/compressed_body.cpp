#include "http/serve/compressed_body.hpp"

#include <zlib.h>
#include <zstd.h>

#include <array>
#include <new>

#include "text/ascii.hpp"

namespace signalbox::http {

namespace {

constexpr std::size_t piece_bytes = 16 * 1024;
constexpr int gzip_only = 16;                // added to the logarithm of the window
constexpr std::size_t gzip_memory = 44'000;  // as zlib's zconf.h tells
constexpr int zstd_window_log = 23;          // 8 MiB

class gzip_decoder final : public body_decoder {
 public:
  gzip_decoder() {
    if (inflateInit2(&stream_, MAX_WBITS + gzip_only) != Z_OK) throw std::bad_alloc();
  }
  gzip_decoder(const gzip_decoder&) = delete;
  gzip_decoder& operator=(const gzip_decoder&) = delete;
  ~gzip_decoder() override { inflateEnd(&stream_); }

  bool feed(std::string_view bytes, const taker& take) override {
    std::array<Bytef, piece_bytes> piece;
    // zlib does not write to its input.
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream_.avail_in = static_cast<uInt>(bytes.size());
    for (bool is_full = false; stream_.avail_in > 0 || is_full;) {
      if (is_at_end_) inflateReset(&stream_);  // another member follows
      stream_.next_out = piece.data();
      stream_.avail_out = piece.size();
      const int result = inflate(&stream_, Z_NO_FLUSH);
      // Z_BUF_ERROR: a full piece was all that there was.
      if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) return false;
      is_at_end_ = result == Z_STREAM_END;
      is_full = !is_at_end_ && stream_.avail_out == 0;
      const auto size = piece.size() - stream_.avail_out;
      if (size > 0 && !take({reinterpret_cast<const char*>(piece.data()), size})) return true;
    }
    return true;
  }

  bool is_complete() const override { return is_at_end_; }
  std::size_t memory() const override { return gzip_memory; }

 private:
  z_stream stream_{};
  bool is_at_end_ = false;  // of a member
};

class zstd_decoder final : public body_decoder {
 public:
  zstd_decoder() : context_(ZSTD_createDCtx(), &ZSTD_freeDCtx) {
    if (!context_) throw std::bad_alloc();
    ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, zstd_window_log);
  }

  bool feed(std::string_view bytes, const taker& take) override {
    std::array<char, piece_bytes> piece;
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    for (bool is_full = false; in.pos < in.size || is_full;) {
      if (is_between_ && !may_begin_frame(bytes[in.pos])) return false;
      ZSTD_outBuffer out{piece.data(), piece.size(), 0};
      const auto left = ZSTD_decompressStream(context_.get(), &out, &in);
      if (ZSTD_isError(left) != 0) return false;
      has_begun_ = true;
      is_between_ = left == 0;
      is_full = !is_between_ && out.pos == out.size;
      if (out.pos > 0 && !take({piece.data(), out.pos})) return true;
    }
    return true;
  }

  bool is_complete() const override { return has_begun_ && is_between_; }
  std::size_t memory() const override { return ZSTD_sizeof_DCtx(context_.get()); }

 private:
  // The library may also read what came before RFC 8878, with windows that nothing bounds. The
  // first byte tells these formats from ours and from frames to be skipped.
  static bool may_begin_frame(char first) { return first == 0x28 || (first & 0xf0) == 0x50; }

  const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context_;
  bool has_begun_ = false;
  bool is_between_ = true;  // of two frames
};

}  // namespace

std::optional<content_coding> coding_of(std::string_view content_encoding) {
  const auto is = [&](std::string_view name) {
    return equals_ignoring_case(content_encoding, name);
  };
  if (content_encoding.empty() || is("identity")) return content_coding::identity;
  if (is("gzip") || is("x-gzip")) return content_coding::gzip;
  if (is("zstd")) return content_coding::zstd;
  return std::nullopt;
}

std::unique_ptr<body_decoder> make_decoder(content_coding coding) {
  switch (coding) {
    case content_coding::gzip:
      return std::make_unique<gzip_decoder>();
    case content_coding::zstd:
      return std::make_unique<zstd_decoder>();
    case content_coding::identity:
      break;
  }
  return nullptr;
}

}  // namespace signalbox::http
