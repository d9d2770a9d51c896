// What the log says of connections that end while a shard begins to serve them.
#include "http/serve/client_connections.hpp"

#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <boost/test/unit_test.hpp>
#include <functional>
#include <memory>
#include <new>
#include <sstream>
#include <string>

namespace signalbox::http {
namespace {

struct failing_connections final : client_connections {
  std::function<void()> fail;
  void begin(accepted_connection) override { fail(); }
};

// The lines that begin_or_drop writes, each as "<level> <text>".
std::string log_of(const std::function<void()>& fail) {
  std::ostringstream text;
  const auto before = spdlog::default_logger();
  const auto sink = std::make_shared<spdlog::sinks::ostream_sink_mt>(text);
  const auto logger = std::make_shared<spdlog::logger>("watched", sink);
  logger->set_level(spdlog::level::debug);
  logger->set_pattern("%l %v");
  spdlog::set_default_logger(logger);
  failing_connections served;
  served.fail = fail;
  begin_or_drop(served, {});
  spdlog::set_default_logger(before);
  return text.str();
}

std::string log_of(boost::asio::error::basic_errors error) {
  return log_of([error] { throw boost::system::system_error(error, "begin"); });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(client_connection_begins)

BOOST_AUTO_TEST_CASE(a_client_that_is_gone_already_is_no_error) {
  for (const auto error : {boost::asio::error::connection_reset, boost::asio::error::not_connected,
                           boost::asio::error::broken_pipe}) {
    const auto line = log_of(error);
    BOOST_TEST(line.starts_with("debug a connection was dropped: begin"), line);
  }
}

BOOST_AUTO_TEST_CASE(what_is_our_own_fault_is_one) {
  BOOST_TEST(log_of(boost::asio::error::no_memory)
                 .starts_with("error a connection was dropped: begin"));
  BOOST_TEST(log_of([] { throw std::bad_alloc(); })
                 .starts_with("error a connection was dropped: "));
}

BOOST_AUTO_TEST_CASE(a_connection_that_begins_is_not_logged) {
  BOOST_TEST(log_of([] {}) == "");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::http
