// RESTinio's parser with the callbacks of our doors. Included by client_connections_of.hpp only.
#pragma once

#include <http_parser.h>
#include <spdlog/spdlog.h>

#include <exception>
#include <restinio/http_server.hpp>
#include <restinio/null_timer_manager.hpp>

#include "http/serve/client_door.hpp"

namespace signalbox::http {

// Calls back the door of the parser. No exception may pass through the parser, which is C.
template <typename Callback>
int call_door(http_parser* parser, Callback callback) noexcept {
  auto& door = client_door::of(parser);
  try {
    return callback(door);
  } catch (const std::exception& e) {
    spdlog::error("a request could not be read: {}", e.what());
  }
  try {
    return door.fails();
  } catch (const std::exception&) {
    return -1;
  }
}

// Chooses the callbacks below for a server.
struct door_methods : restinio::default_http_methods_t {};

}  // namespace signalbox::http

namespace restinio::impl {

inline http_parser_ctx_t& context_of(http_parser* parser) {
  return *static_cast<http_parser_ctx_t*>(parser->data);
}

template <>
inline http_parser_settings create_parser_settings<signalbox::http::door_methods>() noexcept {
  using signalbox::http::call_door;
  using signalbox::http::error_code;
  http_parser_settings settings;
  http_parser_settings_init(&settings);
  settings.on_message_begin = [](http_parser* parser) {
    return call_door(parser, [parser](auto& door) { return door.message_begins(parser); });
  };
  settings.on_url = [](http_parser* parser, const char* at, std::size_t length) {
    if (restinio_url_cb(parser, at, length) == 0) return 0;
    return call_door(parser,
                     [](auto& door) { return door.head_is_too_large(error_code::uri_too_long); });
  };
  settings.on_header_field = [](http_parser* parser, const char* at, std::size_t length) {
    if (restinio_header_field_cb(parser, at, length) == 0) return 0;
    return call_door(
        parser, [](auto& door) { return door.head_is_too_large(error_code::header_too_large); });
  };
  settings.on_header_value = [](http_parser* parser, const char* at, std::size_t length) {
    if (restinio_header_value_cb(parser, at, length) == 0) return 0;
    return call_door(
        parser, [](auto& door) { return door.head_is_too_large(error_code::header_too_large); });
  };
  settings.on_headers_complete = [](http_parser* parser) {
    auto& ctx = context_of(parser);
    ctx.m_leading_headers_completed = true;
    ctx.m_header.http_major(parser->http_major);
    ctx.m_header.http_minor(parser->http_minor);
    ctx.m_header.method(signalbox::http::door_methods::from_nodejs(parser->method));
    return call_door(parser,
                     [&](auto& door) { return door.head_ends(*parser, ctx.m_header, ctx.m_body); });
  };
  settings.on_chunk_header = [](http_parser* parser) {
    return call_door(parser, [](auto& door) { return door.chunk_begins(); });
  };
  settings.on_body = [](http_parser* parser, const char* at, std::size_t length) {
    return call_door(parser, [&](auto& door) {
      return door.body_arrives(context_of(parser).m_body, {at, length});
    });
  };
  settings.on_message_complete = [](http_parser* parser) {
    return call_door(parser, [parser](auto& door) {
      auto& ctx = context_of(parser);
      if (const int result = door.message_ends(ctx.m_body); result != 0) return result;
      const int result = restinio_message_complete_cb<signalbox::http::door_methods>(parser);
      if (door.wants_close()) ctx.m_header.should_keep_alive(false);
      // What comes behind the last chunk is dropped, as RFC 9110 6.5.1 allows.
      ctx.m_chunked_info_block = {};
      return result;
    });
  };
  return settings;
}

}  // namespace restinio::impl
