#include "http/serve/client_connections.hpp"

#include <spdlog/spdlog.h>

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <exception>
#include <utility>

namespace signalbox::http {
namespace {

namespace asio = boost::asio;

bool is_of_client(const boost::system::error_code& error) {
  return error == asio::error::connection_reset || error == asio::error::connection_aborted ||
         error == asio::error::broken_pipe || error == asio::error::not_connected;
}

}  // namespace

void begin_or_drop(client_connections& served, accepted_connection made) {
  try {
    served.begin(std::move(made));
  } catch (const boost::system::system_error& e) {
    const auto level = is_of_client(e.code()) ? spdlog::level::debug : spdlog::level::err;
    spdlog::log(level, "a connection was dropped: {}", e.what());
  } catch (const std::exception& e) {
    spdlog::error("a connection was dropped: {}", e.what());
  }
}

}  // namespace signalbox::http
