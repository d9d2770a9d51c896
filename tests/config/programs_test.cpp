#include "config/programs.hpp"

#include <boost/test/unit_test.hpp>

#include "tests/config/support.hpp"

using namespace signalbox::config;

namespace {

// A file with two models; the second one's command, from line 5.
std::string with_command(const std::string& command) {
  return "models:\n  - {name: good, command: [sh, '{port}', '{model}', '{data}']}\n"
         "  - name: m\n    command:\n" +
         command;
}

const environment env = variables({{"PATH", "/nowhere:/bin"}});

std::string strict_error_of(const std::string& yaml, const std::string& program_dir = "/nowhere") {
  try {
    load_text(yaml, "f", env, {{program_dir, {}}});
    return "";
  } catch (const config_error& e) {
    return e.what();
  }
}

std::vector<std::string> doubts_of(const std::string& yaml) {
  std::vector<std::string> lines;
  load_text(yaml, "f", env,
            {{"/nowhere", [&](const std::string& line) { lines.push_back(line); }}});
  return lines;
}

}  // namespace

BOOST_AUTO_TEST_CASE(programs_are_found_as_a_shell_would_find_them) {
  BOOST_TEST(find_program("sh", "/nonexistent", "/nowhere:/bin").value_or("") == "/bin/sh");
  BOOST_TEST(find_program("sh", "/usr/bin", "/bin").value_or("") == "/usr/bin/sh");
  BOOST_TEST(find_program("sh", "", "::/bin").value_or("") == "/bin/sh");
  BOOST_TEST(find_program("/bin/sh", "", "").value_or("") == "/bin/sh");
  BOOST_TEST(!find_program("no-such-program", "/bin", "/usr/bin"));
  BOOST_TEST(!find_program("/etc/passwd", "", ""));  // not executable
  BOOST_TEST(!find_program("/bin", "", ""));         // not a file
}

BOOST_AUTO_TEST_CASE(a_program_that_is_not_there_is_named) {
  const auto found = [](const std::string& what) {
    return "f:5: models[1].command[0]: found \"" + what;
  };
  const auto command = [](const std::string& program) {
    return with_command("      - " + program + "\n      - '{port}'\n");
  };
  BOOST_TEST(strict_error_of(command("llama-servr")) ==
             found("llama-servr\", which is neither beside the gateway nor in PATH"));
  BOOST_TEST(strict_error_of(command("/opt/none")) == found("/opt/none\", which does not exist"));
  BOOST_TEST(strict_error_of(command("/etc/passwd")) ==
             found("/etc/passwd\", which is not an executable file"));
  BOOST_TEST(strict_error_of(command("sh")) == "");
  BOOST_TEST(strict_error_of(command("test_config"), SIGNALBOX_BINARY_DIR) == "");
  BOOST_TEST(strict_error_of("models: [{name: m, driver: external, endpoint: 'http://h:1'}]") ==
             "");
}

BOOST_AUTO_TEST_CASE(a_placeholder_that_stands_for_nothing_is_named) {
  const auto words = [](const std::string& text) {
    return with_command("      - sh\n      - '{port}'\n      - '" + text + "'\n");
  };
  BOOST_TEST(strict_error_of(words("--p={prot}")) ==
             "f:7: models[1].command[2]: found {prot}, which is not a placeholder; did you mean "
             "{port}?");
  BOOST_TEST(strict_error_of(words("{gpu_index}:{port}")) ==
             "f:7: models[1].command[2]: found {gpu_index}, which is not a placeholder");
  for (const char* fine : {"{port} {model}/{data}", "${home}", "{{role}}", "{\"a\": {\"b\": 1}}",
                           "{ print }", "{Model}", "{}", "{", "{port"}) {
    BOOST_TEST(strict_error_of(words(fine)) == "", fine);
  }
}

BOOST_AUTO_TEST_CASE(doubts_come_with_other_mistakes_and_without_them_can_be_told_only) {
  const auto yaml = with_command("      - none\n      - '{port}'\n      - '{modle}'\n");
  const auto doubts = doubts_of(yaml);
  BOOST_REQUIRE_EQUAL(doubts.size(), 2u);
  BOOST_TEST(doubts[0] + "\n" + doubts[1] == strict_error_of(yaml));
  BOOST_TEST(error_of(yaml) == "");  // nobody asked
  BOOST_TEST(strict_error_of(yaml + "server: {header_limit: 1GiB}\n").find("header_limit") !=
             std::string::npos);
  BOOST_CHECK_THROW(doubts_of("models: []"), config_error);
}

BOOST_AUTO_TEST_CASE(the_trainers_command_is_checked_too) {
  const auto trainer = [](const std::string& command) {
    return with_command("      - sh\n      - '{port}'\n") +
           "training: {driver: process, command: " + command + "}\n";
  };
  BOOST_TEST(strict_error_of(trainer("[sh, '{data}']")) == "");
  BOOST_TEST(strict_error_of(trainer("[no-such-trainer]")) ==
             "f:7: training.command[0]: found \"no-such-trainer\", which is neither beside the "
             "gateway nor in PATH");
  BOOST_TEST(strict_error_of(trainer("[sh, '{port}']")) ==
             "f:7: training.command[1]: found {port}, which is not a placeholder");
}
