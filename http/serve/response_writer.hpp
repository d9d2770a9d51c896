// Writes one answer to a client: its head, and a body whole or in pieces. RESTinio's own builders
// compare each field name with all that they know, and always send a length or chunks.
#pragma once

#include <array>
#include <cstddef>
#include <restinio/request_handler.hpp>
#include <string>
#include <string_view>
#include <utility>

namespace signalbox::http {

struct raw_output {};
using write_callback = restinio::write_status_cb_t;

}  // namespace signalbox::http

// RESTinio's builder for bytes as they go out.
template <>
class restinio::response_builder_t<signalbox::http::raw_output> final
    : public base_response_builder_t<response_builder_t<signalbox::http::raw_output>> {
 public:
  using base_response_builder_t<response_builder_t>::base_response_builder_t;

  template <std::size_t Count>
  void put(std::array<std::string, Count> pieces, bool is_last, bool is_closing,
           write_status_cb_t written) {
    writable_items_container_t items;
    items.reserve(Count);
    for (auto& piece : pieces) {
      if (!piece.empty()) items.emplace_back(std::move(piece));
    }
    write_group_t group(std::move(items));
    if (written) group.after_write_notificator(std::move(written));
    const auto connection = is_last ? std::move(m_connection) : m_connection;
    connection->write_response_parts(
        m_request_id,
        {is_last ? response_parts_attr_t::final_parts : response_parts_attr_t::not_final_parts,
         is_closing ? response_connection_attr_t::connection_close
                    : response_connection_attr_t::connection_keepalive},
        std::move(group));
  }
};

namespace signalbox::http {

class response_writer {
 public:
  // Call it on the thread of the shard, but not inside a request handler.
  response_writer(const restinio::request_handle_t& client, int status);

  // `value` may have further lines behind it ("1\r\nOther: 2").
  void add(std::string_view name, std::string_view value);

  // Sends a whole answer. HEAD gets it without the body, and so do the statuses that have none,
  // 204 and 304 (RFC 9110 6.4.1).
  void send(std::string body);

  // Sends the head alone, which answers HEAD as somebody else told it. `length`: the value of its
  // Content-Length, if it has one.
  void send_head(std::string_view length);

  // Sends the head of a body that comes in pieces, which are `length` bytes in all, the value of a
  // Content-Length. Without one they go in chunks, or to a client with HTTP/1.0 until the
  // connection closes (RFC 9112 6.3).
  void begin(std::string_view length = {});
  // `written` is called when the kernel has taken the piece, or with an error; perhaps before this
  // returns when the connection is closing already.
  void write(std::string piece, write_callback written);
  void end(std::string last);  // `last` may be empty

 private:
  void put_piece(std::string piece, bool is_last, write_callback written);
  void finish_head();

  restinio::response_builder_t<raw_output> out_;
  std::string head_;
  const int status_;
  const bool is_head_request_, is_http10_;
  bool is_closing_, is_chunked_ = false;
};

}  // namespace signalbox::http
