// One end of a tunnel: the socket of a client or of a runtime that has left HTTP.
#pragma once

#include <boost/asio/buffer.hpp>
#include <cstddef>
#include <functional>
#include <memory>

#include "http/serve/polled_socket.hpp"

namespace signalbox::http {

class tunnel_end {
 public:
  using transfer_done = std::function<void(const io_error& error, std::size_t bytes)>;

  virtual ~tunnel_end() = default;
  // Reads what is there, or waits. One read and one write may wait at once; both are told later,
  // never from within these calls, also when the end is closed meanwhile.
  virtual void read(boost::asio::mutable_buffer into, transfer_done done) = 0;
  virtual void write(boost::asio::const_buffer all, transfer_done done) = 0;  // all of it
  // Tells the peer that nothing more comes, when nothing is being written. Returns whether the peer
  // may still send: over TLS we take an end for the end of both ways.
  virtual bool end_sending() = 0;
  // `has_time`: the peer can still read what was written.
  virtual void close(bool has_time) = 0;
};
using tunnel_end_ptr = std::shared_ptr<tunnel_end>;

}  // namespace signalbox::http
