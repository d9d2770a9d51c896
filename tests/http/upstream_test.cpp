// Connections to runtimes: which answers are none, which fields end here, how long an idle
// connection is kept and when it is not used again, and what is acknowledged at once.
#include "http/proxy/upstream.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>

#include "tests/http/upstream_rig.hpp"

namespace signalbox::http {
namespace {

using namespace std::chrono_literals;

// Whether most of the tries took less time than the kernel needs to acknowledge what it need not
// acknowledge at once. Some may be slow for another reason.
bool are_mostly_soon(const std::vector<duration>& tries) {
  const auto late = std::count_if(tries.begin(), tries.end(), [](duration d) { return d > 30ms; });
  return 4 * late < static_cast<std::ptrdiff_t>(tries.size());
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(upstream_connections, upstream_fixture)

BOOST_AUTO_TEST_CASE(a_status_that_no_answer_has_ends_the_exchange_at_once) {
  for (const std::string status : {"000", "099", "101", "600", "999", "1000", "20", "x", ""}) {
    BOOST_TEST_CONTEXT(status) {
      answer_recorder sink;
      ask(sink);
      // The body that it promises does not come.
      runtime.say("HTTP/1.1 " + status + " Odd\r\nConnection: Upgrade\r\nUpgrade: x\r\n" +
                  "Content-Length: 10\r\n\r\n");
      if (status == "20" || status.empty()) runtime.hang_up();  // may be the beginning of one
      wait_for_end(sink);
      BOOST_TEST((*sink.end == upstream_end::not_http || *sink.end == upstream_end::broken));
      BOOST_TEST(sink.status == 0);
    }
  }
  BOOST_TEST(link().open() == 0u);
}

BOOST_AUTO_TEST_CASE(an_answer_without_a_length_ends_with_its_connection_but_not_by_a_reset) {
  for (const bool is_reset : {false, true}) {
    answer_recorder sink;
    ask(sink);
    runtime.say("HTTP/1.1 200 OK\r\n\r\n{\"half\":");
    run_until([&] { return !sink.body.empty(); });
    is_reset ? runtime.reset() : runtime.hang_up();
    wait_for_end(sink);
    BOOST_TEST((*sink.end == (is_reset ? upstream_end::broken : upstream_end::complete_at_eof)));
  }
}

// http_parser skips two bytes there, and would go on with what follows them.
BOOST_AUTO_TEST_CASE(only_crlf_may_follow_the_data_of_a_chunk) {
  const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const std::string behind : {"\r\n", "XX", "\rX", "X\n", "\n\r", "\n\n", "\r\r"}) {
    for (std::size_t cut = 0; cut <= 2; ++cut) {
      BOOST_TEST_CONTEXT(behind << " cut at " << cut) {
        answer_recorder sink;
        ask(sink);
        runtime.switch_nagle_off();
        const bool is_right = behind == "\r\n";
        runtime.say(head + "5\r\nhello" + behind.substr(0, cut));
        run_until([&] { return sink.body == "hello"; });
        if (!sink.end) runtime.say(behind.substr(cut) + "0\r\n\r\n");
        wait_for_end(sink);
        BOOST_TEST((*sink.end == (is_right ? upstream_end::complete : upstream_end::not_http)));
        BOOST_TEST(sink.body == "hello");
        BOOST_TEST(link().open() == (is_right ? 1u : 0u));
      }
    }
  }
}

// Behind a CR http_parser takes any byte for the LF.
BOOST_AUTO_TEST_CASE(only_crlf_may_follow_the_size_of_a_chunk) {
  const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  struct scene {
    std::string chunks, body;
    bool is_right;
  };
  const scene scenes[] = {{"5\r\nhello\r\n0\r\n\r\n", "hello", true},
                          {"5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nX: y\r\n\r\n", "hello!", true},
                          {"5\rXhello\r\n0\r\n\r\n", "", false},
                          {"5\r\rhello\r\n0\r\n\r\n", "", false},
                          {"5;a\rXhello\r\n0\r\n\r\n", "", false},
                          {"5\r\nhello\r\n1\rX!\r\n0\r\n\r\n", "hello", false},
                          {"5\r\nhello\r\n0\rX\r\n", "hello", false},
                          {"5\r\nhello\r\n0\r\r\n\r\n", "hello", false}};
  for (const auto& [chunks, body, is_right] : scenes) {
    const auto bytes = head + chunks;
    for (std::size_t cut = head.size() - 1; cut <= bytes.size(); ++cut) {
      BOOST_TEST_CONTEXT(chunks << " cut at " << cut) {
        answer_recorder sink;
        ask(sink);
        runtime.switch_nagle_off();
        runtime.say(bytes.substr(0, cut));
        run_what_is_ready();
        if (!sink.end) runtime.say(bytes.substr(cut));
        wait_for_end(sink);
        BOOST_TEST((*sink.end == (is_right ? upstream_end::complete : upstream_end::not_http)));
        BOOST_TEST(sink.body == body);
        BOOST_TEST(link().open() == (is_right ? 1u : 0u));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(an_interim_answer_is_none) {
  for (const std::string status : {"100 Continue", "102 Processing", "103 Early Hints"}) {
    answer_recorder sink;
    ask(sink);
    runtime.say("HTTP/1.1 " + status + "\r\nX-Early: 1\r\n\r\n");
    runtime.say_whole("{}", "599 Last");
    wait_for_end(sink);
    BOOST_TEST(sink.status == 599);
    BOOST_TEST(sink.fields.size() == 2u);
  }
  BOOST_TEST(runtime.connections == 1);
}

BOOST_AUTO_TEST_CASE(fields_that_connection_names_end_here) {
  const std::pair<std::string, std::string> cases[] = {
      {"", "A B"},
      {"Connection: keep-alive\r\n", "A B Connection"},
      {"Connection: close, a\r\n", "B Connection"},
      {"connection: keep-alive\r\nCONNECTION:  B ,\tA \r\n", "connection CONNECTION"},
      {"Connection: a b, ab\r\n", "A B Connection"},
      {"Connection: connection, , A\r\n", "B"},
  };
  for (const auto& [fields, left] : cases) {
    BOOST_TEST_CONTEXT(fields) {
      answer_recorder sink;
      ask(sink);
      runtime.say("HTTP/1.1 204 None\r\nA: 1\r\nB: 2\r\n" + fields + "\r\n");
      wait_for_end(sink);
      std::string names;
      for (const auto& [name, value] : sink.fields) names += (names.empty() ? "" : " ") + name;
      BOOST_TEST(names == left);
    }
  }
}

BOOST_AUTO_TEST_CASE(an_idle_connection_is_kept_as_long_as_it_is_told_or_promised) {
  struct promise {
    duration rule;
    std::string fields;
    duration kept;  // zero: not at all
  };
  const promise cases[] = {
      {800ms, "", 800ms},
      {10s, "", 10s},
      {0s, "", 0s},
      {0s, "Keep-Alive: timeout=5\r\n", 0s},
      {800ms, "Keep-Alive: timeout=5, max=100\r\n", 4500ms},
      {10s, "keep-alive: max=100 , TIMEOUT=5\r\n", 4500ms},
      {800ms, "Keep-Alive: timeout=1\r\n", 500ms},
      {800ms, "Keep-Alive: timeout=0\r\n", 0s},
      {800ms, "Keep-Alive: timeout=4000000000\r\n", 59500ms},
      {800ms, "Keep-Alive: timeout=5s, timeoutx=7, 9\r\n", 800ms},
      {800ms, "Connection: close\r\nKeep-Alive: timeout=5\r\n", 0s},
  };
  auto& poller = boost::asio::use_service<socket_poller>(io);
  for (const auto& one : cases) {
    BOOST_TEST_CONTEXT(one.fields << " " << one.rule.count()) {
      keep_idle(one.rule);
      const auto before = std::chrono::steady_clock::now();
      exchange(pool, one.fields);
      const auto after = std::chrono::steady_clock::now();
      BOOST_TEST(link().open() == (one.kept > 0s ? 1u : 0u));
      poller.check_deadlines(before + one.kept - 1ms);
      BOOST_TEST(link().open() == (one.kept > 0s ? 1u : 0u));
      poller.check_deadlines(after + one.kept + 1ms);
      BOOST_TEST(link().open() == 0u);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_connection_in_use_has_no_such_limit) {
  keep_idle(1ms);
  exchange();
  answer_recorder sink;
  pool.take(place, false)->send({"GET / HTTP/1.1\r\n\r\n"}, sink);
  boost::asio::use_service<socket_poller>(io).check_deadlines(std::chrono::steady_clock::now() +
                                                              1h);
  run_until([&] { return runtime.requests.size() == 2; });
  runtime.say_whole("{}");
  wait_for_end(sink);
  BOOST_TEST((*sink.end == upstream_end::complete));
  BOOST_TEST(runtime.connections == 1);
}

// Such bytes would be taken for the next answer. Who sends some will send more.
BOOST_AUTO_TEST_CASE(bytes_that_nobody_asked_for_end_the_reuse_of_connections) {
  const std::string late = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate";
  enum class when { with_the_answer, while_idle, just_before_the_next };
  for (const auto at : {when::with_the_answer, when::while_idle, when::just_before_the_next}) {
    place->link = std::make_shared<backend_link>();
    ++place->incarnation;
    exchange();
    BOOST_TEST(link().open() == 1u);
    answer_recorder sink;
    ask(sink);
    runtime.switch_nagle_off();
    const std::string behind = at == when::with_the_answer ? late : "";
    runtime.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}" + behind);
    wait_for_end(sink);
    BOOST_TEST(sink.body == "{}");
    if (at != when::with_the_answer) runtime.say(late);
    if (at == when::while_idle) run_until([this] { return link().open() == 0; });
    pool.look();
    const auto before = runtime.connections;
    for (int i = 1; i <= 3; ++i) {
      exchange();
      BOOST_TEST(runtime.connections == before + i);
      BOOST_TEST(link().open() == 0u);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_runtime_that_moved_is_asked_at_its_new_address) {
  exchange();
  using boost::asio::ip::make_address;
  scripted_runtime other(io, {make_address("127.0.0.2"), runtime.port()});
  link().move_to("127.0.0.2");
  answer_recorder sink;
  pool.take(place, false)->send({"GET / HTTP/1.1\r\n\r\n"}, sink);
  run_until([&] { return other.requests.size() == 1; });
  other.say_whole("{}");
  wait_for_end(sink);
  BOOST_TEST((*sink.end == upstream_end::complete));
  run_until([this] { return runtime.closed_by_caller == 1; });
  BOOST_TEST(link().open() == 1u);
}

// A scripted runtime leaves Nagle's algorithm on.
BOOST_AUTO_TEST_CASE(a_body_does_not_wait_for_the_acknowledgement_of_its_head) {
  for (const std::string framing : {"Content-Length: 4\r\n", "Transfer-Encoding: chunked\r\n"}) {
    BOOST_TEST_CONTEXT(framing) {
      const bool is_chunked = framing[0] == 'T';
      std::vector<duration> tries;
      for (int i = 0; i < 40; ++i) {
        answer_recorder sink;
        ask(sink);
        const auto began = std::chrono::steady_clock::now();
        runtime.say("HTTP/1.1 200 OK\r\n" + framing + "\r\n");
        runtime.say(is_chunked ? "2\r\nab\r\n" : "ab");
        run_until([&] { return !sink.body.empty(); });
        tries.push_back(std::chrono::steady_clock::now() - began);
        runtime.say(is_chunked ? "0\r\n\r\n" : "cd");
        wait_for_end(sink);
      }
      BOOST_TEST(are_mostly_soon(tries));
      BOOST_TEST(runtime.connections == 1);
    }
  }
}

BOOST_AUTO_TEST_CASE(an_event_after_a_silence_is_acknowledged_at_once) {
  std::vector<duration> tries;
  for (int i = 0; i < 10; ++i) {
    answer_recorder sink;
    ask(sink);
    runtime.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    runtime.say("2\r\nab\r\n");
    run_until([&] { return sink.body == "ab" && runtime.is_acknowledged(); });
    run_until([until = std::chrono::steady_clock::now() + 40ms] {
      return std::chrono::steady_clock::now() >= until;
    });
    runtime.say("2\r\ncd\r\n");
    runtime.say("2\r\nef\r\n");  // kept back until the one before it is acknowledged
    const auto began = std::chrono::steady_clock::now();
    run_until([&] { return sink.body == "abcdef"; });
    tries.push_back(std::chrono::steady_clock::now() - began);
    runtime.say("0\r\n\r\n");
    wait_for_end(sink);
  }
  BOOST_TEST(are_mostly_soon(tries));
}

BOOST_AUTO_TEST_CASE(events_that_come_in_a_lump_do_so_once) {
  answer_recorder sink;
  ask(sink);
  runtime.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  // The second and the third are kept back together until the first is acknowledged.
  std::vector<duration> tries;
  for (int i = 0; i < 40; ++i) {
    const auto before = sink.body.size();
    for (int k = 0; k < 3; ++k) runtime.say("2\r\nab\r\n");
    const auto began = std::chrono::steady_clock::now();
    run_until([&] { return sink.body.size() == before + 6; });
    tries.push_back(std::chrono::steady_clock::now() - began);
  }
  BOOST_TEST(are_mostly_soon(tries));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::http
