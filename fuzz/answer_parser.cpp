// The answers of runtimes, as a connection to one reads them with its callbacks of http_parser.
// However they are cut they mean the same; and a plain reading of one that is well-formed finds the
// same. Compiled without access control: the bytes come from here instead of from a socket.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <cstring>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fuzz/plain_http.hpp"
#include "fuzz/support.hpp"
#include "http/proxy/upstream.hpp"
#include "http/proxy/upstream_pool.hpp"

namespace signalbox::fuzz {

namespace {

using namespace signalbox::http;

struct answer {
  int heads = 0, status = 0;
  plain_fields fields;
  std::string body;
  std::optional<upstream_end> end;

  bool operator==(const answer&) const = default;
};

class recorder : public upstream_sink {
 public:
  void upstream_headers(upstream_head& head) override {
    require(!read.end && read.heads++ == 0, "an answer has one head, before its end");
    upstream_head taken;
    std::swap(taken, head);
    read.status = taken.status;
    taken.for_each_field([this](std::string_view name, std::string_view value) {
      read.fields.push_back(plain_field(name, value));
    });
  }
  void upstream_body(std::string_view bytes) override {
    require(!read.end && read.heads == 1, "a body lies between head and end");
    read.body.append(bytes);
    if (abandons != nullptr) std::exchange(abandons, nullptr)->abandon();
  }
  void upstream_ended(upstream_end how) override {
    require(!read.end, "an answer ends once");
    read.end = how;
  }

  answer read;
  upstream_connection* abandons = nullptr;  // at the first byte of a body
};

// A connection that has sent its request. Nothing runs the loop.
class connection {
 public:
  connection(upstream_sink& sink, bool is_head_request) {
    auto& c = *connection_;
    c.sink_ = &sink;
    c.reading_ = true;  // so that it asks no socket for more
    c.pieces_ = {is_head_request ? "HEAD / HTTP/1.1\r\n\r\n" : "GET / HTTP/1.1\r\n\r\n"};
    http_parser_init(&c.parser_, HTTP_RESPONSE);
    c.parser_.data = &c;
  }

  void receive(std::string_view piece) {
    auto& c = *connection_;
    while (!piece.empty()) {
      const auto part = piece.substr(0, c.buffer_.size());
      std::memcpy(c.buffer_.data(), part.data(), part.size());
      c.received(part.size());
      piece.remove_prefix(part.size());
    }
  }

  void close() { connection_->read_failed(true); }
  upstream_connection& get() { return *connection_; }

 private:
  static boost::asio::io_context& loop() {
    spdlog::set_level(spdlog::level::off);
    static boost::asio::io_context io;
    return io;
  }

  upstream_pool pool_{loop()};
  upstream_connection_ptr connection_ =
      std::make_shared<upstream_connection>(loop(), pool_, std::make_shared<backend_endpoint>());
};

answer read_answer(std::string_view input, const cut& ends, bool to_head_request) {
  recorder sink;
  connection runtime(sink, to_head_request);
  feed_pieces(input, ends, [&runtime](std::string_view piece) { runtime.receive(piece); });
  runtime.close();
  require(sink.read.end.has_value(), "an answer ends with its connection at the latest");
  return sink.read;
}

// Whether a list has this option, which says more than how long the connection lasts.
bool names(std::string_view list, std::string_view option) {
  if (option == "keep-alive" || option == "close") return false;
  for (std::size_t begin = 0; begin <= list.size();) {
    const auto end = std::min(list.find(',', begin), list.size());
    if (plain_field(list.substr(begin, end - begin), {}).first == option) return true;
    begin = end + 1;
  }
  return false;
}

// The fields that a Connection field names are not for us.
plain_fields without_hop(const plain_fields& fields) {
  const auto is_named = [&fields](const auto& field) {
    return std::any_of(fields.begin(), fields.end(), [&field](const auto& other) {
      return other.first == "connection" && names(other.second, field.first);
    });
  };
  plain_fields kept;
  std::remove_copy_if(fields.begin(), fields.end(), std::back_inserter(kept), is_named);
  return kept;
}

void require_plain_reading(const answer& read, std::string_view input, bool to_head_request) {
  const auto plain = read_plain_answer(input, to_head_request);
  if (!plain) return;
  require(
      read.end == (plain->ends_with_text ? upstream_end::complete_at_eof : upstream_end::complete),
      "a well-formed answer is complete");
  require(read.status == plain->status, "the status is the same");
  require(read.fields == without_hop(plain->fields), "the fields are the same");
  require(read.body == plain->body, "the body is the same");
}

void try_abandoning(std::string_view input) {
  recorder sink;
  connection runtime(sink, false);
  sink.abandons = &runtime.get();
  runtime.receive(input);
  require(sink.abandons != nullptr || !sink.read.end, "what is abandoned tells no end");
}

}  // namespace

void try_input(std::string_view input) {
  const auto whole = read_answer(input, uncut(input), false);
  require_plain_reading(whole, input, false);
  for (const auto& ends : cuts_of(input)) {
    require(read_answer(input, ends, false) == whole, "a cut changes nothing");
  }
  const auto to_head = read_answer(input, uncut(input), true);
  require(to_head.body.empty(), "the answer to HEAD has no body");
  require_plain_reading(to_head, input, true);
  try_abandoning(input);
}

}  // namespace signalbox::fuzz
