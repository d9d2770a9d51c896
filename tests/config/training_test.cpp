// The section `training`, and the variables of seed 000.
#include <boost/test/unit_test.hpp>

#include "config/model_changes.hpp"
#include "tests/config/support.hpp"

using namespace signalbox::config;

BOOST_AUTO_TEST_SUITE(training_section)

namespace {

const std::string a_model = "models: [{name: m, command: [run, '{port}']}]\n";

training_options training_of(const std::string& yaml, const environment& env = variables({})) {
  return load_text(a_model + yaml, "f", env).training;
}

std::string complaint_of(const std::string& yaml) {
  return error_of(a_model + yaml);
}

}  // namespace

BOOST_AUTO_TEST_CASE(without_it_there_is_no_training) {
  BOOST_TEST(!training_of("").is_configured);
  BOOST_TEST(!training_of("", variables({{"LLM_ADMIN_TOKEN", "0123456789abcdef"},
                                         {"LENTMIIEN_COOLDOWN_SEC", ""}}))
                  .is_configured);
}

BOOST_AUTO_TEST_CASE(an_empty_one_is_seed_000) {
  const auto t = training_of("training:\n");
  BOOST_TEST(t.is_configured);
  BOOST_TEST((t.driver == trainer_driver::docker));
  BOOST_TEST(t.container == "lentmiienlm-train");
  BOOST_TEST(t.tensorboard.container == "lentmiienlm-tensorboard");
  BOOST_TEST(t.tensorboard.url == "http://127.0.0.1:6006");
  BOOST_TEST(t.checkpoints_dir == "lentmiien-lm/checkpoints");
  BOOST_TEST(t.poll_s == 5.0);
  BOOST_TEST(t.frozen_timeout_s == 300.0);
  BOOST_TEST(t.cooldown_s == 600.0);
  BOOST_TEST(t.stop_grace_s == 20.0);
  BOOST_TEST(t.status_file == "status.json");
  BOOST_TEST(t.checkpoint_wait_s == 0.0);
  BOOST_TEST(t.gpu_memory == 0u);
  BOOST_TEST(t.gpu_count == 0u);
}

BOOST_AUTO_TEST_CASE(each_variable_of_seed_000_makes_it_and_sets_its_option) {
  const auto with = [](const std::string& name, const std::string& text) {
    const auto t = training_of("", variables({{name, text}}));
    BOOST_TEST(t.is_configured, name);
    return t;
  };
  BOOST_TEST(with("LENTMIIEN_TRAIN_CONTAINER_NAME", "x").container == "x");
  BOOST_TEST(with("LENTMIIEN_TENSORBOARD_CONTAINER_NAME", "x").tensorboard.container == "x");
  BOOST_TEST(with("LENTMIIEN_TENSORBOARD_URL", "http://tb:1").tensorboard.url == "http://tb:1");
  BOOST_TEST(with("LENTMIIEN_CHECKPOINTS_DIR", "/ckpt").checkpoints_dir == "/ckpt");
  BOOST_TEST(with("LENTMIIEN_MONITOR_POLL_SEC", "2").poll_s == 2.0);
  BOOST_TEST(with("LENTMIIEN_FROZEN_TIMEOUT_SEC", "60.5").frozen_timeout_s == 60.5);
  BOOST_TEST(with("LENTMIIEN_COOLDOWN_SEC", "0").cooldown_s == 0.0);
  BOOST_TEST(with("LENTMIIEN_TRAIN_STOP_TIMEOUT_SEC", "7").stop_grace_s == 7.0);
}

BOOST_AUTO_TEST_CASE(a_variable_overrides_the_file) {
  const auto t = training_of("training: {cooldown_s: 1, container: mine}\n",
                             variables({{"LENTMIIEN_COOLDOWN_SEC", "2"}}));
  BOOST_TEST(t.cooldown_s == 2.0);
  BOOST_TEST(t.container == "mine");
  BOOST_TEST(error_of(a_model, variables({{"LENTMIIEN_COOLDOWN_SEC", "soon"}})) ==
             "environment LENTMIIEN_COOLDOWN_SEC: training.cooldown_s: found \"soon\", allowed a "
             "number of seconds from 0 to 86400");
}

BOOST_AUTO_TEST_CASE(every_option_arrives) {
  const auto t = training_of(R"(training:
  driver: process
  command: [train, --data, "{data}"]
  environment: [A=b]
  status_file: beat
  status_format: heartbeat
  stop_signal: INT
  checkpoint_signal: HUP
  checkpoint_wait_s: 30
  start_timeout_s: 5
  backoff_s: 1
  backoff_max_s: 2
  over_pinned: true
  gpu: {memory: 8GiB, count: 1}
gpus: [{memory: 24GiB}]
)");
  BOOST_TEST((t.driver == trainer_driver::process));
  BOOST_TEST(t.command == (std::vector<std::string>{"train", "--data", "{data}"}));
  BOOST_TEST(t.environment == std::vector<std::string>{"A=b"});
  BOOST_TEST(t.status_file == "beat");
  BOOST_TEST((t.status_format == trainer_status_format::heartbeat));
  BOOST_TEST((t.stop_signal == trainer_signal::interrupt));
  BOOST_TEST((t.checkpoint_signal == trainer_signal::hangup));
  BOOST_TEST(t.checkpoint_wait_s == 30.0);
  BOOST_TEST(t.start_timeout_s == 5.0);
  BOOST_TEST(t.backoff_max_s == 2.0);
  BOOST_TEST(t.over_pinned);
  BOOST_TEST(t.gpu_memory == 8 * gib);
  BOOST_TEST(t.gpu_count == 1u);
}

BOOST_AUTO_TEST_CASE(what_does_not_go_together_is_told) {
  BOOST_TEST(complaint_of("training: {driver: process}\n") ==
             "f:2: training: found no command, which driver process needs");
  BOOST_TEST(complaint_of("training: {command: [x]}\n") ==
             "f:2: training.command: allowed with driver process only");
  BOOST_TEST(complaint_of("training: {driver: process, command: [x], environment: [A]}\n") ==
             "f:2: training.environment[0]: found an entry without a name and =, allowed "
             "NAME=VALUE");
  BOOST_TEST(complaint_of("training: {status_file: ../x}\n") ==
             "f:2: training.status_file: found \"../x\", allowed a name without /");
  BOOST_TEST(complaint_of("training: {frozen_timeout_s: 5}\n") ==
             "f:2: training.frozen_timeout_s: found 5, allowed above poll_s (5)");
  BOOST_TEST(complaint_of("training: {backoff_s: 601}\n") ==
             "f:2: training.backoff_s: found 601, allowed up to backoff_max_s (600)");
  BOOST_TEST(complaint_of("training: {tensorboard: {url: 'tb:6006'}}\n") ==
             "f:2: training.tensorboard.url: found \"tb:6006\", allowed http://HOST:PORT, with or "
             "without a path");
  BOOST_TEST(complaint_of("training: {stop_signal: KILL}\n") ==
             "f:2: training.stop_signal: found \"KILL\", allowed one of TERM, INT, QUIT, HUP, "
             "USR1, USR2");
}

BOOST_AUTO_TEST_CASE(its_need_fits_the_gpus) {
  const std::string gpus = "gpus: [{memory: 24GiB}, {memory: 8GiB}]\n";
  BOOST_TEST(complaint_of(gpus + "training: {gpu: {memory: 24GiB, count: 1}}\n") == "");
  BOOST_TEST(complaint_of(gpus + "training: {gpu: {memory: 8GiB}}\n") == "");
  BOOST_TEST(complaint_of(gpus + "training: {gpu: {count: 2}}\n") == "");
  BOOST_TEST(complaint_of(gpus + "training: {gpu: {memory: 9GiB}}\n") ==
             "f:3: training.gpu: found 9GiB on all GPUs, but so much is on 1 of 2");
  BOOST_TEST(complaint_of(gpus + "training: {gpu: {count: 3}}\n") ==
             "f:3: training.gpu: found all memory on 3 GPUs, but so much is on 2 of 2");
}

BOOST_AUTO_TEST_CASE(a_section_that_comes_or_goes_is_a_change) {
  const auto without = load_text(a_model, "f", variables({}));
  const auto with = load_text(a_model + "training:\n", "f", variables({}));
  BOOST_TEST(changed_options(without, with) == std::vector<std::string>{"training"});
  BOOST_TEST(changed_options(with, with).empty());
}

BOOST_AUTO_TEST_SUITE_END()
