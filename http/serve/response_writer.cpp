#include "http/serve/response_writer.hpp"

#include <fmt/format.h>

#include "http/serve/error.hpp"
#include "http/serve/reply.hpp"
#include "text/append.hpp"

namespace signalbox::http {

response_writer::response_writer(const restinio::request_handle_t& client, int status)
    : out_(client->create_response<raw_output>()),
      status_(status),
      is_head_request_(method_of(client) == "HEAD"),
      is_http10_(client->header().http_minor() == 0),
      is_closing_(!client->header().should_keep_alive()) {
  head_.reserve(1024);
  append(head_, "HTTP/1.1 ", std::to_string(status), " ", reason_phrase(status), "\r\n");
}

void response_writer::add(std::string_view name, std::string_view value) {
  append(head_, name, ": ", value, "\r\n");
}

void response_writer::finish_head() {
  head_ += is_closing_ ? "Connection: close\r\n\r\n" : "Connection: keep-alive\r\n\r\n";
}

void response_writer::send(std::string body) {
  const bool has_no_body = status_ == 204 || status_ == 304;
  if (!has_no_body) add("Content-Length", std::to_string(body.size()));
  finish_head();
  if (has_no_body || is_head_request_) body.clear();
  out_.put<2>({std::move(head_), std::move(body)}, true, is_closing_, {});
}

void response_writer::send_head(std::string_view length) {
  if (!length.empty()) add("Content-Length", length);
  finish_head();
  out_.put<1>({std::move(head_)}, true, is_closing_, {});
}

void response_writer::begin(std::string_view length) {
  is_chunked_ = length.empty() && !is_http10_;
  is_closing_ = is_closing_ || (length.empty() && is_http10_);
  if (!length.empty()) add("Content-Length", length);
  if (is_chunked_) add("Transfer-Encoding", "chunked");
  finish_head();
  out_.put<1>({std::move(head_)}, false, is_closing_, {});
}

void response_writer::write(std::string piece, write_callback written) {
  put_piece(std::move(piece), false, std::move(written));
}

void response_writer::end(std::string last) {
  put_piece(std::move(last), true, {});
}

void response_writer::put_piece(std::string piece, bool is_last, write_callback written) {
  std::string size, after;
  if (is_chunked_) {
    if (!piece.empty()) {
      size = fmt::format("{:x}\r\n", piece.size());
      after = "\r\n";
    }
    if (is_last) after += "0\r\n\r\n";
  }
  out_.put<3>({std::move(size), std::move(piece), std::move(after)}, is_last, is_closing_,
              std::move(written));
}

}  // namespace signalbox::http
