// Thousands of damaged configurations, from a seed: each either loads, and is then valid, or ends
// in a config_error. Nothing else may happen.
#include <boost/test/unit_test.hpp>

#include <random>

#include "tests/config/support.hpp"

using namespace signalbox::config;

namespace {

constexpr std::uint64_t seed = 20261120;
constexpr int rounds = 3000;

class mutator {
 public:
  explicit mutator(std::uint64_t seed_value) : random_(seed_value) {}

  std::string mutate(std::string text) {
    for (std::size_t n = 1 + below(4); n > 0; --n) mutate_once(text);
    return text;
  }

 private:
  std::size_t below(std::size_t limit) { return limit == 0 ? 0 : random_() % limit; }

  void mutate_once(std::string& text) {
    static const std::vector<std::string> pieces{"\n",
                                                 ": ",
                                                 "- ",
                                                 "{",
                                                 "}",
                                                 "[",
                                                 "]",
                                                 "\"",
                                                 "'",
                                                 "&a ",
                                                 "*a",
                                                 "|",
                                                 ">",
                                                 "!!str ",
                                                 "---\n",
                                                 "#",
                                                 "~",
                                                 "-1",
                                                 "99999999999999999999",
                                                 ".nan",
                                                 "\t",
                                                 std::string(1, '\0'),
                                                 "\xff",
                                                 "é",
                                                 "? ",
                                                 "<<: ",
                                                 "%YAML 1.2\n",
                                                 "model",
                                                 "true",
                                                 "1e400",
                                                 "\\x00",
                                                 ","};
    std::size_t at = below(text.size()), length = below(40);
    switch (below(6)) {
      case 0:
        text.erase(at, length);
        break;
      case 1:
        text.insert(at, pieces[below(pieces.size())]);
        break;
      case 2:
        text.replace(at, below(8), pieces[below(pieces.size())]);
        break;
      case 3:
        text.insert(at, text.substr(below(text.size()), length));
        break;
      case 4:
        text.resize(at);
        break;
      default:
        text[at] = static_cast<char>(below(256));
        break;
    }
    if (text.empty()) text = "x";
  }

  std::mt19937_64 random_;
};

void try_many(const std::string& original) {
  BOOST_TEST_MESSAGE("seed " << seed);
  mutator damage(seed);
  const environment env = variables({{"OPS_KEY", "0123456789abcdef"}});
  int loaded = 0, refused = 0;
  for (int i = 0; i < rounds; ++i) {
    std::string text = damage.mutate(original);
    BOOST_TEST_CONTEXT("round " << i << ":\n" << text) {
      try {
        settings s = load_text(text, "f", env);
        validate(s);
        ++loaded;
      } catch (const config_error& e) {
        if (std::string(e.what()).empty()) BOOST_ERROR("an error without a word");
        ++refused;
      } catch (const std::exception& e) {
        BOOST_ERROR(e.what());
      }
    }
  }
  BOOST_TEST_MESSAGE(loaded << " loaded, " << refused << " refused");
  BOOST_TEST((loaded > rounds / 100 && refused > rounds / 100));
}

}  // namespace

BOOST_AUTO_TEST_CASE(damaged_examples) {
  try_many(source_file("config/signalbox.example.yaml"));
}

BOOST_AUTO_TEST_CASE(damaged_demos) {
  try_many(source_file("config/demo.yaml"));
}

BOOST_AUTO_TEST_CASE(damaged_yaml_for_json) {
  mutator damage(seed);
  const std::string original = source_file("config/demo.yaml");
  int converted = 0;
  for (int i = 0; i < rounds; ++i) {
    std::string text = damage.mutate(original);
    BOOST_TEST_CONTEXT("seed " << seed << ", round " << i << ":\n" << text) {
      try {
        converted += yaml_to_json(text).empty() ? 0 : 1;
      } catch (const config_error&) {
      } catch (const std::exception& e) {
        BOOST_ERROR(e.what());
      }
    }
  }
  BOOST_TEST((converted > rounds / 100 && converted < rounds));
}
