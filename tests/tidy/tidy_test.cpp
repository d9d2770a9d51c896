// The tree keeps the rules of the house; and every rule finds what it is there to find.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <iostream>

#include "tests/tidy/functions.hpp"
#include "tests/tidy/rules.hpp"
#include "tests/tidy/sizes.hpp"

using namespace signalbox::tidy;

namespace {

const std::vector<source>& tree() {
  static const std::vector<source> files = read_tree(SIGNALBOX_SOURCE_DIR);
  return files;
}

void report(const findings& found) {
  for (const finding& f : found) {
    std::string line = f.line > 0 ? ":" + std::to_string(f.line) : "";
    BOOST_ERROR(f.path + line + ": " + f.what);
  }
}

void expect_clean(findings (*check)(const source&)) {
  for (const source& file : tree()) report(check(file));
}

// The lines that the rule complains of.
std::vector<std::size_t> found(findings (*check)(const source&), const std::string& path,
                               const std::string& text) {
  std::vector<std::size_t> lines;
  for (const finding& f : check({path, text})) lines.push_back(f.line);
  return lines;
}

using lines = std::vector<std::size_t>;

std::string repeated(const std::string& text, std::size_t times) {
  std::string out;
  for (std::size_t i = 0; i < times; ++i) out += text;
  return out;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(the_tree)

BOOST_AUTO_TEST_CASE(was_found) {
  auto has = [](const std::vector<source>& files, std::string_view path) {
    return std::any_of(files.begin(), files.end(),
                       [&](const source& file) { return file.path == path; });
  };
  BOOST_TEST(has(tree(), "tests/tidy/tidy_test.cpp"));
  BOOST_TEST(has(tree(), "scheduling/types.hpp"));
  BOOST_TEST(has(read_tree_by_walking(SIGNALBOX_SOURCE_DIR), "tests/tidy/tidy_test.cpp"));
}

BOOST_AUTO_TEST_CASE(include_direction) {
  expect_clean(check_includes);
}
BOOST_AUTO_TEST_CASE(line_length) {
  expect_clean(check_line_length);
}
BOOST_AUTO_TEST_CASE(function_length) {
  expect_clean(check_function_length);
}
BOOST_AUTO_TEST_CASE(file_length) {
  expect_clean(check_file_length);
}
BOOST_AUTO_TEST_CASE(environment_only_in_config) {
  expect_clean(check_getenv);
}
BOOST_AUTO_TEST_CASE(nothing_left_to_do) {
  expect_clean(check_markers);
}
BOOST_AUTO_TEST_CASE(no_banners) {
  expect_clean(check_banners);
}
BOOST_AUTO_TEST_CASE(no_sleeps_in_tests) {
  expect_clean(check_sleeps);
}
BOOST_AUTO_TEST_CASE(no_home_paths) {
  expect_clean(check_home_paths);
}

// Prints the sizes at every log level, so that a plain run of the program shows them.
BOOST_AUTO_TEST_CASE(sizes_in_limits) {
  sizes sources = sizes_of(tree(), false), tests = sizes_of(tree(), true);
  std::cout << "sources (without tests/): " << describe(sources) << '\n'
            << "tests/: " << describe(tests) << std::endl;
  BOOST_TEST(!sources.functions.empty());
  for (const std::string& what : over_limits(figures_of(sources))) BOOST_ERROR(what);
}

BOOST_AUTO_TEST_CASE(migrations_are_consecutive) {
  std::vector<std::string> paths;
  for (const source& file : tree()) paths.push_back(file.path);
  report(check_migrations(paths));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(the_rules)

BOOST_AUTO_TEST_CASE(code_without_comments_and_literals) {
  BOOST_TEST(only_code("a // b\nc") == "a     \nc");
  BOOST_TEST(only_code("a /* b\n */ c") == "a     \n    c");
  BOOST_TEST(only_code("f(\"\\\"{\", '{')") == "f(     ,    )");
  BOOST_TEST(only_code("R\"x({\n\")x\" + 1'000'000") == "     \n     + 1'000'000");
  BOOST_TEST(only_code("\"//\" a") == "     a");
}

BOOST_AUTO_TEST_CASE(finds_wrong_includes) {
  auto bad = [](const std::string& path, const std::string& header) {
    return found(check_includes, path, "#include <vector>\n#include " + header + "\n") == lines{2};
  };
  BOOST_TEST(bad("scheduling/a.cpp", "<caf/all.hpp>"));
  BOOST_TEST(bad("scheduling/a.cpp", "<unistd.h>"));
  BOOST_TEST(bad("scheduling/a.cpp", "\"config/load.hpp\""));
  BOOST_TEST(!bad("scheduling/a.cpp", "\"scheduling/types.hpp\""));
  BOOST_TEST(!bad("scheduling/a.cpp", "<chrono>"));
  BOOST_TEST(bad("config/a.cpp", "\"scheduling/admission.hpp\""));
  BOOST_TEST(!bad("config/a.cpp", "<yaml-cpp/yaml.h>"));
  BOOST_TEST(!bad("config/a.cpp", "<arpa/inet.h>"));
  BOOST_TEST(bad("config/a.cpp", "<spdlog/spdlog.h>"));
  BOOST_TEST(bad("actors/messages.hpp", "<caf/all.hpp>"));
  BOOST_TEST(bad("actors/messages.hpp", "\"runtimes/driver.hpp\""));
  BOOST_TEST(bad("actors/control_plane.hpp", "\"runtimes/driver.hpp\""));
  BOOST_TEST(!bad("actors/a.cpp", "<caf/all.hpp>"));
  BOOST_TEST(bad("actors/a.cpp", "\"http/shard.hpp\""));
  BOOST_TEST(bad("actors/a.cpp", "\"a.hpp\""));
  BOOST_TEST(bad("persistence/a.cpp", "\"actors/actors.hpp\""));
  BOOST_TEST(!bad("persistence/a.cpp", "<pqxx/pqxx>"));
  BOOST_TEST(bad("runtimes/a.cpp", "<pqxx/pqxx>"));
  BOOST_TEST(!bad("runtimes/a.cpp", "<boost/locale/utf.hpp>"));
  BOOST_TEST(bad("runtimes/a.cpp", "<boost/locale.hpp>"));
  BOOST_TEST(bad("runtimes/sim/a.cpp", "\"config/settings.hpp\""));
  BOOST_TEST(bad("http/a.cpp", "  \"actors/model_queue_actor.hpp\""));
  BOOST_TEST(bad("http/a.cpp", "<boost/beast.hpp>"));
  BOOST_TEST(!bad("http/a.cpp", "<boost/asio.hpp>"));
  BOOST_TEST(bad("http/a.cpp", "\"fuzz/support.hpp\""));
  BOOST_TEST(bad("fuzz/a.cpp", "\"actors/actors.hpp\""));
  BOOST_TEST(!bad("fuzz/a.cpp", "\"http/proxy/sse.hpp\""));
  BOOST_TEST(!bad("tests/a.cpp", "<caf/all.hpp>"));
}

BOOST_AUTO_TEST_CASE(finds_long_lines) {
  std::string text =
      std::string(100, 'a') + "\n" + std::string(101, 'a') + "\n" + repeated("→", 100) + "\n";
  BOOST_TEST(found(check_line_length, "a.cpp", text) == lines{2});
  BOOST_TEST(found(check_line_length, "a.md", text).empty());
}

BOOST_AUTO_TEST_CASE(finds_long_functions) {
  auto check = [](const std::string& text) { return found(check_function_length, "a.cpp", text); };
  std::string body68 = repeated("  if (x) { y({1}); }\n", 68), body69 = body68 + "  y();\n";
  BOOST_TEST(check("void f() {\n" + body68 + "}\n").empty());
  BOOST_TEST(check("void f() {\n" + body69 + "}\n") == lines{1});
  BOOST_TEST(check("namespace a {\nclass b {\n public:\n  b() : c_{1}, d_(2) {\n" + body69 +
                   "}\n};\n}\n") == lines{3});
  BOOST_TEST(check("int g(int a = {},\n      int b = 2) const noexcept {\n" + body69 + "}\n") ==
             lines{1});
  BOOST_TEST(
      check("MACRO(a)\nMACRO(b)\nnamespace c {\n" + repeated("int f();\n", 100) + "}\n").empty());
  BOOST_TEST(check("struct s {\n" + repeated("  int f() { return 1; }\n", 100) + "};\n").empty());
  BOOST_TEST(check("const int table[] = {\n" + repeated("  f(1),\n", 100) + "};\n").empty());
  BOOST_TEST(
      check("// f() {\n" + repeated("//\n", 100) + "// }\nconst char* a = \"f() {\";\n").empty());
  BOOST_TEST(check("int a;\n#define B() {\nBOOST_AUTO_TEST_CASE(c) {\n" + body69 + "}\n") ==
             lines{3});
}

BOOST_AUTO_TEST_CASE(measures_function_bodies) {
  auto bodies = [](const std::string& text) {
    std::vector<std::size_t> out;
    for (const function_lines& function : functions_of(text)) out.push_back(function.body());
    return out;
  };
  BOOST_TEST(bodies("int a(int b,\n      int c) {\n  return b;\n}\n") == lines{3});
  BOOST_TEST(bodies("struct s {\n  s() : a_{1} {}\n  int f() const { return a_; }\n};\n") ==
             (lines{1, 1}));
  BOOST_TEST(bodies("void f() {\n  auto g = [] {\n    h();\n  };\n  g();\n}\n") == lines{6});
  BOOST_TEST(bodies("BOOST_AUTO_TEST_CASE(a) {\n  b();\n}\nint c = 1;\nint d[] = {\n1};\n") ==
             lines{3});
}

BOOST_AUTO_TEST_CASE(takes_percentiles) {
  BOOST_TEST(percentile({}, 50) == 0u);
  BOOST_TEST(percentile({3}, 90) == 3u);
  BOOST_TEST(percentile({4, 1, 3, 2}, 50) == 2u);
  BOOST_TEST(percentile({10, 9, 8, 7, 6, 5, 4, 3, 2, 1}, 90) == 9u);
  BOOST_TEST(percentile({1, 5, 2}, 100) == 5u);
}

BOOST_AUTO_TEST_CASE(measures_sources_apart_from_tests) {
  const std::vector<source> files{
      {"a.cpp", "void f() {\n}\n"}, {"tests/b.cpp", "void g() {}\n"}, {"c.sql", "--\n--\n--\n"}};
  BOOST_TEST(sizes_of(files, false).files == lines{2});
  BOOST_TEST(sizes_of(files, false).functions == lines{2});
  BOOST_TEST(sizes_of(files, true).files == lines{1});
  BOOST_TEST(sizes_of(files, true).functions == lines{1});
}

BOOST_AUTO_TEST_CASE(finds_sizes_over_limits) {
  BOOST_TEST(over_limits(size_limits).empty());
  auto wrong = [](auto member) {
    size_figures figures = size_limits;
    ++(figures.*member);
    return over_limits(figures).size();
  };
  BOOST_TEST(wrong(&size_figures::file_median) == 1u);
  BOOST_TEST(wrong(&size_figures::file_max) == 1u);
  BOOST_TEST(wrong(&size_figures::function_median) == 1u);
  BOOST_TEST(wrong(&size_figures::function_p90) == 1u);
}

BOOST_AUTO_TEST_CASE(finds_long_files) {
  BOOST_TEST(found(check_file_length, "a.sql", repeated("\n", 400)).empty());
  BOOST_TEST(found(check_file_length, "a.sql", repeated("\n", 401)) == lines{0});
}

BOOST_AUTO_TEST_CASE(finds_getenv) {
  BOOST_TEST(found(check_getenv, "http/a.cpp", "\nauto a = std::getenv(\"A\");\n") == lines{2});
  BOOST_TEST(found(check_getenv, "http/a.cpp", "// getenv\nint my_getenv;\n").empty());
  BOOST_TEST(found(check_getenv, "config/a.cpp", "std::getenv(\"A\");\n").empty());
}

BOOST_AUTO_TEST_CASE(finds_markers) {
  BOOST_TEST(found(check_markers, "README.md", std::string("a\nb TO") + "DO: c\n") == lines{2});
  BOOST_TEST(found(check_markers, "a.cpp", std::string("// FIX") + "ME\n") == lines{1});
  BOOST_TEST(found(check_markers, "a.cpp", "mkstemp(\"aXXXXXX\");\n").empty());
}

BOOST_AUTO_TEST_CASE(finds_banners) {
  auto check = [](const std::string& text) { return found(check_banners, "a.cpp", text); };
  BOOST_TEST(check("a\n//"
                   "///\n") == lines{2});
  BOOST_TEST(check("  // --"
                   "---\n") == lines{1});
  BOOST_TEST(check("// =="
                   "=== b =====\n") == lines{1});
  BOOST_TEST(found(check_banners, "a.sql",
                   "--"
                   "---\n") == lines{1});
  BOOST_TEST(check("// http://a/b --help\nint a = b -----c;\n").empty());
}

BOOST_AUTO_TEST_CASE(finds_sleeps) {
  const std::string text = "\nstd::this_thread::sleep_for(1s);\n";
  BOOST_TEST(found(check_sleeps, "tests/http/a.cpp", text) == lines{2});
  BOOST_TEST(found(check_sleeps, "tests/http/a.cpp", "// sleep\n\"sleep\"\n").empty());
  BOOST_TEST(found(check_sleeps, "runtimes/a.cpp", text).empty());
}

BOOST_AUTO_TEST_CASE(finds_home_paths) {
  BOOST_TEST(found(check_home_paths, "dev", std::string("cd /ho") + "me/ann/x\n") == lines{1});
  BOOST_TEST(found(check_home_paths, "dev", std::string("GET /v1/ho") + "me/x\n").empty());
}

BOOST_AUTO_TEST_CASE(finds_wrong_migrations) {
  auto wrong = [](const std::vector<std::string>& paths) { return check_migrations(paths).size(); };
  BOOST_TEST(wrong({"migrations/0001_a.sql", "migrations/0002_b_c.sql", "x/0009_a.sql"}) == 0u);
  BOOST_TEST(wrong({"migrations/0001_a.sql", "migrations/0003_b.sql"}) == 1u);
  BOOST_TEST(wrong({"migrations/0001_a.sql", "migrations/0001_b.sql"}) == 1u);
  BOOST_TEST(wrong({"migrations/0001_A.sql"}) == 1u);
  BOOST_TEST(wrong({"migrations/0001_.sql"}) == 1u);
  BOOST_TEST(wrong({"migrations/README"}) == 1u);
}

BOOST_AUTO_TEST_SUITE_END()
