#include "actors/metrics.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <cstdlib>
#include <fstream>

namespace signalbox {
BOOST_AUTO_TEST_SUITE(metrics_tests)
namespace {

config::settings two_models() {
  config::settings s;
  s.gpus = {{config::gib}, {config::gib}};
  s.models.resize(2);
  s.models[0].name = "red";
  s.models[1].name = "bl\"ue\\";  // must be escaped
  return s;
}

}  // namespace

BOOST_AUTO_TEST_CASE(promtool_accepts_everything) {
  const auto settings = two_models();
  metrics m(settings.gpus.size(), 2);
  const auto red = m.of_model(settings.models[0].name), blue = m.of_model(settings.models[1].name);
  red->request_ended(metric_route::chat_completions, 200);
  red->queue_waited(std::chrono::milliseconds(3));
  blue->first_token(std::chrono::milliseconds(30));
  blue->crashed(scheduling::exit_reason::oom);
  m.leases(1, 1, config::gib);
  char path[] = "/tmp/signalbox-metrics-XXXXXX";
  const int fd = mkstemp(path);
  BOOST_REQUIRE(fd >= 0);
  std::ofstream(path) << m.render();
  const auto command = std::string("promtool check metrics < ") + path + " 2>&1";
  FILE* tool = popen(command.c_str(), "r");
  BOOST_REQUIRE(tool != nullptr);
  std::string said;
  for (int c; (c = std::fgetc(tool)) != EOF;) said.push_back(static_cast<char>(c));
  BOOST_TEST(pclose(tool) == 0, said);
  BOOST_TEST(said == "");
  std::remove(path);
}

BOOST_AUTO_TEST_CASE(series_exist_from_the_start_and_grow_with_models_only) {
  const auto settings = two_models();
  metrics m(settings.gpus.size(), 2);
  const auto lines = [&m] {
    const auto text = m.render();
    return std::count(text.begin(), text.end(), '\n');
  };
  const auto without_models = lines();
  auto red = m.of_model("red"), blue = m.of_model("blue");
  const auto at_start = lines();
  for (int i = 0; i < 100000; ++i) {
    m.request_refused(metric_route::chat_completions, 404);
    (i % 2 == 0 ? red : blue)
        ->request_ended(static_cast<metric_route>(i % metric_route_count), i % 700);
  }
  red->state_changed(scheduling::lifecycle_state::ready);
  red->loaded(true, std::chrono::seconds(1));
  blue->tokens(10, 20);
  BOOST_TEST(lines() == at_start);
  const auto again = m.of_model("blue");
  BOOST_TEST(lines() == at_start);
  blue = nullptr;
  BOOST_TEST(lines() == at_start);
  BOOST_TEST(m.render().find("signalbox_tokens_total{kind=\"prompt\",model=\"blue\"} 10\n") !=
             std::string::npos);
  red = nullptr;
  BOOST_TEST(lines() < at_start);
  BOOST_TEST(lines() > without_models);
  BOOST_TEST(m.render().find("signalbox_requests_total{model=\"none\",route=\"chat_completions\","
                             "status_class=\"4xx\"} 100000") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(exactly_one_state_is_the_present_one) {
  const auto settings = two_models();
  metrics m(settings.gpus.size(), 1);
  const auto red = m.of_model("red");
  red->state_changed(scheduling::lifecycle_state::starting);
  red->state_changed(scheduling::lifecycle_state::ready);
  const auto text = m.render();
  std::size_t ones = 0;
  for (std::size_t at = 0;
       (at = text.find("signalbox_model_state{model=\"red\"", at)) != std::string::npos; ++at) {
    ones += text.substr(text.find("} ", at) + 2, 1) == "1";
  }
  BOOST_TEST(ones == 1u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox
