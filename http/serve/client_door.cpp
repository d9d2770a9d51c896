#include "http/serve/client_door.hpp"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <unordered_map>
#include <utility>

#include "http/serve/gateway_state.hpp"
#include "http/serve/reply.hpp"
#include "http/serve/shard.hpp"
#include "text/ascii.hpp"
#include "text/json_text.hpp"

namespace signalbox::http {

namespace asio = boost::asio;

namespace {

// A body is too slow when it falls behind this after the time that a head may take.
constexpr double min_body_bytes_per_s = 500;

// A body of unknown length is collected in blocks when it grows larger than this.
constexpr std::size_t first_block_bytes = 64 * 1024;

// A client that sends no more may be gone, which a write shows: the kernel of a client that is gone
// resets the connection. Interim responses can be written before any answer (RFC 9110 15.2).
constexpr auto first_probe_after = std::chrono::milliseconds(500);
constexpr auto probe_gap = std::chrono::seconds(10);
constexpr std::string_view interim_response = "HTTP/1.1 100 Continue\r\n\r\n";

thread_local client_door* visited = nullptr;  // its socket's handler runs
thread_local client_door* ended = nullptr;    // its request's last byte was read

// The doors of RESTinio's parsers, which know no connection.
thread_local std::unordered_map<const http_parser*, client_door*> doors;

constexpr int go_on = 0, fail = -1;  // what http_parser's callbacks return

request_problem not_decodable() {
  return {error_code::bad_request, "The body is not in the coding that Content-Encoding names."};
}

// Returns whether nobody can disagree on where a request ends that is refused for this. Who reads
// a head otherwise than we do, such as a blank before a colon, may find another end (RFC
// 9112 11.2).
bool leaves_end_clear(error_code code) {
  return code != error_code::bad_request && code != error_code::header_too_large &&
         code != error_code::length_required && code != error_code::unsupported_version;
}

// An answer of bytes that stand for themselves has no room for a question. TCP's keepalive asks the
// client's kernel: it answers with a reset once it has forgotten a socket that was closed, which
// Linux does after a minute (tcp_fin_timeout).
void ask_by_keepalive(int descriptor) {
  constexpr int gap_s = 5, unanswered = 6;
  const auto set = [&](int level, int option, int value) {
    ::setsockopt(descriptor, level, option, &value, sizeof value);
  };
  set(IPPROTO_TCP, TCP_KEEPIDLE, gap_s);
  set(IPPROTO_TCP, TCP_KEEPINTVL, gap_s);
  set(IPPROTO_TCP, TCP_KEEPCNT, unanswered);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
}

std::chrono::seconds timeout_of(const shard& home) {
  return std::chrono::seconds(home.gateway().settings().server.header_read_timeout_s);
}

}  // namespace

client_door::client_door(shard& home, const asio::ip::tcp::endpoint& peer)
    : home_(home), peer_(peer) {}

client_door::~client_door() {
  detach();
}

// Another connection's parser may have the same address soon.
void client_door::detach() {
  socket_ = nullptr;
  if (parser_ != nullptr) doors.erase(std::exchange(parser_, nullptr));
  if (ended == this) ended = nullptr;
  request_ = {};  // its share owns this
}

client_door::visit::visit(client_door& door) : before_(std::exchange(visited, &door)) {}

client_door::visit::~visit() {
  visited = before_;
}

void client_door::begins(connection_key key, bool may_half_close) {
  key_ = key;
  may_half_close_ = may_half_close;
  socket_->polled().set_write_timeout(
      std::chrono::seconds(home_.gateway().settings().server.write_timeout_s));
  socket_->polled().on_peer_end([weak = weak_from_this()](bool is_broken) {
    if (const auto me = weak.lock()) me->peer_ended(is_broken);
  });
}

// --- The socket.

// The deadline for a head is a fixed one, because a head is small. So is that of an idle
// connection, whatever empty lines it sends.
void client_door::read_begins() {
  if (phase_ != phase::between) return;
  if (idle_since_ == time_point{}) idle_since_ = home_.now();
  socket_->polled().read_by(idle_since_ + timeout_of(home_));
}

void client_door::arrived(std::string_view bytes) {
  const bool is_empty_line = bytes.find_first_not_of("\r\n") == std::string_view::npos;
  has_bytes_ = has_bytes_ || phase_ != phase::between || !is_empty_line;
  framing_.feed(bytes);
}

void client_door::read_failed(const io_error& error) {
  is_timed_out_ = error == asio::error::timed_out;
}

void client_door::write_begins() {
  has_answered_ = true;
  ++writes_;
}

void client_door::write_ended() {
  --writes_;
}

// RESTinio learns of it by itself when it reads. While it writes, or waits for an answer, it does
// not.
void client_door::peer_ended(bool is_broken, bool was_there) {
  if (!is_answering() || is_tunnel_ || socket_ == nullptr || !socket_->is_open()) return;
  // A proxy that speaks HTTP/1.0 says so, and closes when its own client leaves. Such a request
  // cannot be asked whether anybody is there, as it knows no interim answers.
  const bool is_of_proxy = is_http10_ && wants_close_ && !has_answered_ && !was_there;
  if (is_broken || is_of_proxy || !may_half_close_) return leave();
  if (probe_at_ != never) return;
  ask_by_keepalive(socket_->polled().descriptor());
  probe_at_ = home_.now() + first_probe_after;
  home_.watch(weak_from_this());
}

void client_door::tick(time_point now) {
  if (socket_ == nullptr || !socket_->is_open() || !is_answering() || is_tunnel_) return;
  if (now < probe_at_) return;
  probe_at_ = now + probe_gap;
  if (has_answered_) {
    home_.probe(key_);
  } else if (!is_http10_) {
    socket_->write_aside(interim_response);
  }
}

// Without a handler that waits, RESTinio's connection goes with the requests that refer to it.
void client_door::leave() {
  const auto me = shared_from_this();
  socket_->close_now();
  home_.client_gone(key_);
}

void client_door::break_off() {
  if (socket_ == nullptr || !socket_->is_open()) return;
  socket_->polled().reset_when_closed();
  leave();
}

bool client_door::say_last_words() {
  if (is_answering()) return true;
  const auto problem = last_problem();
  if (!problem) return has_answered_ && !is_timed_out_;
  if (header_ != nullptr) {
    request_.problem = problem;
    socket_->write_aside(refusal_of_head(home_, *header_, request_));
  } else {
    socket_->write_aside(refusal_of_bytes(home_, peer_, *problem));
  }
  return true;
}

// Returns what was wrong with the bytes after which the connection is closed.
std::optional<request_problem> client_door::last_problem() const {
  if (request_.problem) return request_.problem;
  if (!has_bytes_) return std::nullopt;
  if (is_timed_out_) {
    return request_problem{error_code::request_timeout,
                           "The request did not arrive within its time limit."};
  }
  if (!framing_.problem().empty()) {
    return request_problem{error_code::bad_request, std::string(framing_.problem())};
  }
  const auto error = parser_ != nullptr ? HTTP_PARSER_ERRNO(parser_) : HPE_INVALID_METHOD;
  if (error == HPE_HEADER_OVERFLOW) {
    return request_problem{
        error_code::header_too_large,
        fmt::format("The head of the request has more than {} bytes.", HTTP_MAX_HEADER_SIZE)};
  }
  // Without an error the client has closed in the middle of a request.
  if (error == HPE_OK || error == HPE_PAUSED) return std::nullopt;
  return request_problem{error_code::bad_request, fmt::format("This is no request of HTTP/1.1: {}.",
                                                              http_errno_description(error))};
}

// --- The parser.

// An answer that ends may lead to the next message on another connection than the visited one.
client_door& client_door::of(http_parser* parser) {
  const auto found = doors.find(parser);
  return found != doors.end() ? *found->second : *visited;
}

int client_door::message_begins(http_parser* parser) {
  if (parser_ == nullptr) {
    parser_ = parser;
    doors.emplace(parser, this);
  }
  phase_ = phase::head;
  idle_since_ = {};
  has_bytes_ = true;
  has_answered_ = false;
  request_ = {};
  header_ = nullptr;
  blocks_.clear();
  body_size_ = compressed_size_ = 0;
  socket_->polled().read_by(home_.now() + timeout_of(home_));
  framing_.message_begins();
  return go_on;
}

int client_door::refuse(request_problem why) {
  request_.problem = std::move(why);
  return fail;
}

int client_door::fails() {
  return refuse({error_code::internal, "The gateway could not read the request."});
}

int client_door::head_is_too_large(error_code code) {
  const auto& server = home_.gateway().settings().server;
  if (code == error_code::uri_too_long) {
    return refuse({code, "The target of the request is too long."});
  }
  return refuse({error_code::header_too_large,
                 fmt::format("The header has more than {} fields (server.header_count_limit), or "
                             "one of more than {} bytes (server.header_limit).",
                             server.header_count_limit, server.header_limit)});
}

int client_door::head_ends(http_parser& parser, restinio::http_request_header_t& header,
                           std::string& body) {
  // We change to no other protocol, and RESTinio would read no further for one.
  parser.upgrade = 0;
  header_ = &header;
  is_http10_ = parser.http_major == 1 && parser.http_minor == 0;
  request_framing framing;
  framing.is_http10 = is_http10_;
  framing.is_other_version = parser.http_major != 1 || parser.http_minor > 1;
  framing.is_chunked = (parser.flags & F_CHUNKED) != 0;
  if ((parser.flags & F_CONTENTLENGTH) != 0) framing.length = parser.content_length;
  framing.problem = framing_.problem();
  read_head(home_, peer_, header, framing, request_);
  wants_close_ = request_.headers.wants_close;
  const auto length = framing.length.value_or(0);
  has_length_ = !framing.is_chunked;
  share_ = body_share(home_.gateway().bodies());
  decoder_share_ = body_share(home_.gateway().bodies());
  if (!request_.problem) decoder_ = make_decoder(request_.coding);
  const auto kept = decoder_ ? 0 : length;
  if (!request_.problem && !share_.grow(kept)) request_.problem = too_many_bodies();
  const bool is_all_there = !framing.is_chunked && framing_.unread() >= length;
  if (request_.problem) {
    const bool is_end_clear =
        framing_.problem().empty() && leaves_end_clear(request_.problem->code);
    if (!is_all_there || !is_end_clear) return fail;
  }
  if (framing_.unread() == 0 && !is_all_there && !is_http10_ &&
      equals_ignoring_case(request_.headers.expect, "100-continue")) {
    socket_->write_aside(interim_response);
  }
  phase_ = phase::body;
  socket_->polled().expect_pace({home_.now(), timeout_of(home_), min_body_bytes_per_s});
  if (framing.is_chunked) {
    framing_.body_has_chunks();
    return chunk_begins();
  }
  if (!decoder_) body.reserve(length + scan_padding);  // it is scanned where it is
  framing_.body_has_length(length);
  return go_on;
}

int client_door::chunk_begins() {
  if (framing_.problem().empty()) return go_on;
  return refuse({error_code::bad_request, std::string(framing_.problem())});
}

int client_door::body_arrives(std::string& body, std::string_view bytes) {
  if (!has_length_ && chunk_begins() != go_on) return fail;
  if (decoder_) return decode(body, bytes);
  if (!has_length_) return take(body, bytes);
  body.append(bytes);
  return go_on;
}

// Others are served between the reads of a socket. What one of them brings, 8 KiB, takes up to 10
// ms (of gzip that makes 8 MiB), although 32 MiB that were made to be slow take 4 s in all.
int client_door::decode(std::string& body, std::string_view bytes) {
  compressed_size_ += bytes.size();
  const auto limit = body_limit_of(home_, request_);
  if (compressed_size_ > limit) return refuse(body_too_large(limit));
  const bool is_valid =
      decoder_->feed(bytes, [&](std::string_view text) { return take(body, text) == go_on; });
  if (request_.problem) return fail;
  if (!is_valid) return refuse(not_decodable());
  const auto counted = decoder_share_.bytes();
  const bool has_room =
      decoder_->memory() <= counted || decoder_share_.grow(decoder_->memory() - counted);
  return has_room ? go_on : refuse(too_many_bodies());
}

// More of a body whose length is not known before its end.
int client_door::take(std::string& body, std::string_view bytes) {
  body_size_ += bytes.size();
  const auto limit = body_limit_of(home_, request_);
  if (body_size_ > limit) return refuse(body_too_large(limit));
  if (!share_.grow(bytes.size())) return refuse(too_many_bodies());
  append(body, bytes);
  return go_on;
}

void client_door::append(std::string& body, std::string_view bytes) {
  const auto size = body.size() + bytes.size();
  if (blocks_.empty() && size <= first_block_bytes) {
    if (size > body.capacity()) body.reserve(size + size / 8);
    body.append(bytes);
    return;
  }
  blocks_.append(bytes);
}

void client_door::join_blocks(std::string& body) {
  if (blocks_.empty()) return;
  body.reserve(body_size_ + scan_padding);
  blocks_.move_to(body);
}

int client_door::message_ends(std::string& body) {
  if (!framing_.is_at_end()) {
    const auto why = framing_.problem();
    return refuse({error_code::bad_request,
                   std::string(why.empty() ? "The end of the request is not clear." : why)});
  }
  if (decoder_ && !decoder_->is_complete()) return refuse(not_decodable());
  decoder_.reset();
  decoder_share_ = {};
  join_blocks(body);
  header_ = nullptr;
  phase_ = phase::between;
  has_bytes_ = framing_.has_more();
  request_.is_followed = has_bytes_;
  // Bytes of another protocol must not be read as requests when it is refused.
  if (has_bytes_ && request_.headers.wants_upgrade && request_.upstream) wants_close_ = true;
  ++requests_;
  request_.share = std::make_shared<request_share>(shared_from_this(), std::move(share_));
  ended = this;
  if (socket_->polled().is_closing()) {
    asio::post(home_.io(), [weak = weak_from_this()] {
      if (const auto me = weak.lock()) me->peer_ended(false, true);
    });
  }
  return go_on;
}

routed_request client_door::take_ended() {
  return std::exchange(std::exchange(ended, nullptr)->request_, {});
}

}  // namespace signalbox::http
