// A tunnel copies both ways, reads no further than it can write, and ends with its ends.
#include "http/proxy/tunnel.hpp"

#include <boost/asio/error.hpp>
#include <boost/test/unit_test.hpp>

#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace signalbox::http {

namespace {

// An end that does what the test says: reads and writes wait until then.
class scripted_end final : public tunnel_end {
 public:
  explicit scripted_end(bool may_half_close = true) : may_half_close_(may_half_close) {}

  void read(boost::asio::mutable_buffer into, transfer_done tell) override {
    BOOST_TEST(!reader_);  // one at a time
    into_ = into;
    reader_ = std::move(tell);
  }
  void write(boost::asio::const_buffer all, transfer_done tell) override {
    BOOST_TEST(!writer_);
    unwritten_.assign(static_cast<const char*>(all.data()), all.size());
    writer_ = std::move(tell);
  }
  bool end_sending() override {
    has_ended_sending = true;
    return may_half_close_;
  }
  void close(bool has_time) override {
    BOOST_TEST(!closed.has_value());  // once
    closed = has_time;
  }

  bool is_read() const { return reader_ != nullptr; }
  bool is_written() const { return writer_ != nullptr; }
  void say(std::string_view text) {
    BOOST_REQUIRE(text.size() <= into_.size());
    std::memcpy(into_.data(), text.data(), text.size());
    std::exchange(reader_, nullptr)({}, text.size());
  }
  void fail_read(const io_error& error) { std::exchange(reader_, nullptr)(error, 0); }
  // What is being written was taken.
  void take() {
    heard += unwritten_;
    std::exchange(writer_, nullptr)({}, unwritten_.size());
  }
  // A handler that waits keeps its tunnel, which keeps this.
  void forget() { reader_ = writer_ = nullptr; }
  void fail_write() { std::exchange(writer_, nullptr)(boost::asio::error::broken_pipe, 0); }

  std::string heard;
  bool has_ended_sending = false;
  std::optional<bool> closed;

 private:
  const bool may_half_close_;
  boost::asio::mutable_buffer into_;
  transfer_done reader_, writer_;
  std::string unwritten_;
};

constexpr std::string_view message = "\x81\x02hi", closing = "\x88\x02\x03\xe8";

struct tunnel_fixture {
  std::shared_ptr<scripted_end> client = std::make_shared<scripted_end>();
  std::shared_ptr<scripted_end> runtime = std::make_shared<scripted_end>();
  std::shared_ptr<tunnel> between;
  std::optional<tunnel::cause> ended;

  ~tunnel_fixture() {
    client->forget();
    runtime->forget();
  }
  void begin(std::string head = "head", std::string_view rest = {}, bool is_websocket = false) {
    between = std::make_shared<tunnel>(client, runtime, [this](tunnel::cause how) {
      BOOST_TEST(!ended.has_value());  // once
      ended = how;
    });
    if (is_websocket) between->expect_websocket();
    between->start(std::move(head), rest);
  }
  void begin_websocket() {
    begin("head", {}, true);
    client->take();
  }
  void begin_after_head() {
    begin();
    client->take();
  }
  void require_ended(tunnel::cause how) {
    BOOST_REQUIRE(ended.has_value());
    BOOST_TEST((*ended == how));
    BOOST_TEST(client->closed.has_value());
    BOOST_TEST(runtime->closed.has_value());
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(tunnels, tunnel_fixture)

BOOST_AUTO_TEST_CASE(the_head_comes_first_and_bytes_go_both_ways) {
  begin("head", " and more");
  BOOST_TEST(!runtime->is_read());  // what it says would come too early
  client->say("question");          // who asks need not wait
  runtime->take();
  client->take();
  runtime->say("answer");
  client->take();
  BOOST_TEST(client->heard == "head and moreanswer");
  BOOST_TEST(runtime->heard == "question");
  BOOST_TEST(between->bytes_of_client() == 8u);
  BOOST_TEST(between->bytes_of_runtime() == 9u + 6u);
  BOOST_TEST(!ended.has_value());
}

BOOST_AUTO_TEST_CASE(no_more_is_read_than_was_written) {
  begin_after_head();
  runtime->say("much");
  BOOST_TEST(!runtime->is_read());
  BOOST_TEST(client->is_read());  // the other way goes on
  client->take();
  BOOST_TEST(runtime->is_read());
}

BOOST_AUTO_TEST_CASE(who_sends_no_more_still_hears) {
  begin_after_head();
  client->fail_read(boost::asio::error::eof);
  BOOST_TEST(runtime->has_ended_sending);
  BOOST_TEST(!ended.has_value());
  runtime->say("answer");
  client->take();
  BOOST_TEST(client->heard == "headanswer");
  runtime->fail_read(boost::asio::error::eof);
  BOOST_TEST(client->has_ended_sending);
  require_ended(tunnel::cause::complete);
  BOOST_TEST(*client->closed);
}

BOOST_AUTO_TEST_CASE(an_end_that_cannot_close_one_side_closes_both) {
  client = std::make_shared<scripted_end>(false);
  begin_after_head();
  runtime->say("last words");
  client->take();
  runtime->fail_read(boost::asio::error::eof);
  require_ended(tunnel::cause::complete);
  BOOST_TEST(*client->closed);  // it has time to read them
  client->fail_read(boost::asio::error::operation_aborted);
}

BOOST_AUTO_TEST_CASE(who_breaks_is_told) {
  begin_after_head();
  client->fail_read(boost::asio::error::connection_reset);
  require_ended(tunnel::cause::client_broke);
  BOOST_TEST(!*client->closed);
  runtime->fail_read(boost::asio::error::operation_aborted);  // comes late, and changes nothing
}

BOOST_AUTO_TEST_CASE(a_runtime_that_breaks_is_told) {
  begin_after_head();
  runtime->fail_read(boost::asio::error::connection_reset);
  require_ended(tunnel::cause::runtime_broke);
  BOOST_TEST(*client->closed);
}

BOOST_AUTO_TEST_CASE(a_write_that_fails_ends_it) {
  begin_after_head();
  client->say("question");
  runtime->fail_write();
  require_ended(tunnel::cause::runtime_broke);
}

BOOST_AUTO_TEST_CASE(a_client_that_does_not_take_the_head_ends_it) {
  begin();
  client->fail_write();
  require_ended(tunnel::cause::client_broke);
}

BOOST_AUTO_TEST_CASE(a_websocket_whose_runtime_ends_without_a_word_broke) {
  begin_websocket();
  runtime->say(message);
  client->take();
  runtime->fail_read(boost::asio::error::eof);
  require_ended(tunnel::cause::runtime_broke);
  client->fail_read(boost::asio::error::operation_aborted);
}

BOOST_AUTO_TEST_CASE(a_websocket_that_was_closed_is_complete_however_it_ends) {
  for (const bool client_closes : {false, true}) {
    for (const bool client_ends : {false, true}) {
      for (const auto& error :
           {io_error(boost::asio::error::eof), io_error(boost::asio::error::connection_reset)}) {
        client = std::make_shared<scripted_end>(false);
        runtime = std::make_shared<scripted_end>(false);
        ended.reset();
        begin_websocket();
        (client_closes ? client : runtime)->say(closing);
        (client_closes ? runtime : client)->take();
        (client_ends ? client : runtime)->fail_read(error);
        require_ended(tunnel::cause::complete);
        client->forget();
        runtime->forget();
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_websocket_that_its_client_just_leaves_is_complete) {
  begin_websocket();
  client->say(message);
  runtime->take();
  client->fail_read(boost::asio::error::eof);
  BOOST_TEST(!ended.has_value());  // the runtime may still close it
  runtime->fail_read(boost::asio::error::connection_reset);
  require_ended(tunnel::cause::complete);
}

BOOST_AUTO_TEST_CASE(a_websocket_that_breaks_was_broken_by_whoever_did) {
  begin_websocket();
  client->fail_read(boost::asio::error::connection_reset);
  require_ended(tunnel::cause::client_broke);
}

BOOST_AUTO_TEST_CASE(a_close_that_came_with_the_head_counts) {
  begin("head", closing, true);
  client->take();
  runtime->fail_read(boost::asio::error::eof);
  BOOST_TEST(client->has_ended_sending);
  client->fail_read(boost::asio::error::eof);
  require_ended(tunnel::cause::complete);
}

BOOST_AUTO_TEST_CASE(one_that_is_closed_tells_nobody) {
  begin_after_head();
  between->close();
  BOOST_TEST(client->closed.has_value());
  BOOST_TEST(runtime->closed.has_value());
  runtime->fail_read(boost::asio::error::operation_aborted);
  client->fail_read(boost::asio::error::operation_aborted);
  between->close();
  BOOST_TEST(!ended.has_value());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::http
