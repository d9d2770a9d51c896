#include "runtimes/training/checkpoint_folder.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <boost/test/unit_test.hpp>

#include "tests/scratch_folder.hpp"

using namespace signalbox;
using namespace signalbox::runtimes;
using config::trainer_status_format;
using scheduling::training_word;
namespace fs = std::filesystem;

BOOST_AUTO_TEST_SUITE(checkpoints)

namespace {

const std::string is_training = R"({"state": "training", "time": 1})";

// The checkpoints are in "checkpoints"; what is beside it must never be seen.
struct trainers_disk {
  trainers_disk() { fs::create_directory(scratch.path("checkpoints")); }

  fs::path add(const std::string& checkpoint, const std::string& text = is_training) const {
    const auto folder = fs::path(scratch.path("checkpoints")) / checkpoint;
    fs::create_directories(folder);
    std::ofstream(folder / "status.json") << text;
    return folder;
  }
  checkpoint_folder folder(trainer_status_format format = trainer_status_format::json) const {
    return {scratch.path("checkpoints"), "status.json", format};
  }
  std::vector<std::string> listed() const {
    std::vector<std::string> names;
    for (const auto& found : folder().list().found) names.push_back(found.checkpoint);
    return names;
  }

  scratch_folder scratch;
};

using names = std::vector<std::string>;

}  // namespace

BOOST_AUTO_TEST_CASE(all_below_are_listed_in_order) {
  const trainers_disk disk;
  disk.add("smoke_test");
  disk.add("big/second");
  disk.add("big/first", "{");
  fs::create_directories(disk.scratch.path("checkpoints/empty"));
  std::ofstream(disk.scratch.path("checkpoints/status.json")) << is_training;  // of no checkpoint
  const auto list = disk.folder().list();
  BOOST_TEST(disk.listed() == (names{"big/first", "big/second", "smoke_test"}));
  BOOST_TEST(list.found[0].status.error == "is not valid JSON, or not all of it");
  BOOST_CHECK(list.found[2].status.word == training_word::training);
  BOOST_TEST(!list.is_cut);
  BOOST_TEST(list.error == "");
}

BOOST_AUTO_TEST_CASE(a_folder_that_is_not_there) {
  const trainers_disk disk;
  const checkpoint_folder gone(disk.scratch.path("nowhere"), "status.json",
                               trainer_status_format::json);
  BOOST_TEST(gone.list().error == "No such file or directory");
  BOOST_TEST(gone.list().found.empty());
  BOOST_TEST(!gone.has("run"));
  BOOST_TEST(gone.read("run").error == "No such file or directory");
  BOOST_TEST(disk.folder().list().found.empty());
  BOOST_TEST(disk.folder().list().error == "");
}

BOOST_AUTO_TEST_CASE(one_is_read) {
  const trainers_disk disk;
  const auto folder = disk.add("run");
  BOOST_TEST(disk.folder().has("run"));
  BOOST_CHECK(disk.folder().read("run").time == 1.);
  fs::remove(folder / "status.json");
  BOOST_TEST(disk.folder().has("run"));
  BOOST_TEST(disk.folder().read("run").error == "there is no status.json");
}

BOOST_AUTO_TEST_CASE(names_lead_nowhere_else) {
  const trainers_disk disk;
  disk.add("run/a/b/c");
  fs::create_directory(disk.scratch.path("beside"));
  std::ofstream(disk.scratch.path("beside/status.json")) << is_training;
  for (const std::string bad :
       {"", ".", "..", "/", "../beside", "run/..", "run/../../beside", "./run", "run//a", "/run",
        "run/", "a\nb", "\x7f", "\xff", "run/a/b/c/d"}) {
    BOOST_TEST_CONTEXT("'" << bad << "'") {
      BOOST_TEST(!checkpoint_folder::is_name(bad));
      BOOST_TEST(!disk.folder().has(bad));
      BOOST_TEST(disk.folder().read(bad).error == "is no name of a checkpoint");
    }
  }
  BOOST_TEST(!checkpoint_folder::is_name(disk.scratch.path("beside")));
  BOOST_TEST(!checkpoint_folder::is_name(std::string("run\0", 4)));
  BOOST_TEST(!checkpoint_folder::is_name(std::string(256, 'a')));
  BOOST_TEST(checkpoint_folder::is_name(std::string(255, 'a')));
  BOOST_TEST(disk.folder().has("run/a/b/c"));
  BOOST_TEST(checkpoint_folder::is_name("größe 2 #x?"));
}

BOOST_AUTO_TEST_CASE(symbolic_links_are_not_followed) {
  const trainers_disk disk;
  const auto run = disk.add("run");
  fs::create_directory(disk.scratch.path("beside"));
  std::ofstream(disk.scratch.path("beside/status.json")) << is_training;
  fs::create_directory_symlink(disk.scratch.path("beside"), disk.scratch.path("checkpoints/out"));
  fs::create_directory_symlink(run, disk.scratch.path("checkpoints/latest"));
  fs::create_directory_symlink("..", run / "up");
  fs::create_directory(disk.scratch.path("checkpoints/file"));
  fs::create_symlink(disk.scratch.path("beside/status.json"),
                     disk.scratch.path("checkpoints/file/status.json"));
  BOOST_TEST(disk.listed() == (names{"file", "run"}));
  BOOST_TEST(disk.folder().read("file").error == "is a symbolic link, which is not followed");
  for (const auto* name : {"out", "latest", "run/up", "run/up/run"}) {
    BOOST_TEST_CONTEXT(name) {
      BOOST_TEST(!disk.folder().has(name));
      BOOST_CHECK(disk.folder().read(name).word == training_word::unreadable);
    }
  }
}

BOOST_AUTO_TEST_CASE(the_folder_itself_may_be_a_link) {
  const trainers_disk disk;
  disk.add("run");
  const auto link = disk.scratch.path("link");
  fs::create_directory_symlink(disk.scratch.path("checkpoints"), link);
  const checkpoint_folder folder(link, "status.json", trainer_status_format::json);
  BOOST_TEST(folder.has("run"));
  BOOST_TEST(folder.list().found.size() == 1u);
}

BOOST_AUTO_TEST_CASE(what_is_no_plain_file_is_not_waited_for) {
  const trainers_disk disk;
  fs::create_directories(disk.scratch.path("checkpoints/fifo"));
  BOOST_REQUIRE(::mkfifo(disk.scratch.path("checkpoints/fifo/status.json").c_str(), 0600) == 0);
  fs::create_directories(disk.scratch.path("checkpoints/folder/status.json"));
  BOOST_TEST(disk.folder().read("fifo").error == "is no plain file");
  BOOST_TEST(disk.folder().read("folder").error == "is no plain file");
  BOOST_TEST(disk.listed() == (names{"fifo", "folder"}));
}

BOOST_AUTO_TEST_CASE(a_file_that_is_too_large_is_not_read) {
  const trainers_disk disk;
  const auto folder = disk.add("run");
  fs::resize_file(folder / "status.json", 1ULL << 40);  // sparse
  BOOST_TEST(disk.folder().read("run").error == "is larger than 65536 bytes");
}

BOOST_AUTO_TEST_CASE(a_list_has_its_limit) {
  const trainers_disk disk;
  for (std::size_t i = 0; i <= checkpoint_folder::max_checkpoints; ++i) {
    disk.add("run" + std::to_string(i));
  }
  const auto list = disk.folder().list();
  BOOST_TEST(list.is_cut);
  BOOST_TEST(list.found.size() == checkpoint_folder::max_checkpoints);
}

BOOST_AUTO_TEST_CASE(depth_has_its_limit) {
  const trainers_disk disk;
  disk.add("a/b/c/d/e");
  disk.add("a/b/c/d");
  BOOST_TEST(disk.listed() == names{"a/b/c/d"});
}

BOOST_AUTO_TEST_CASE(a_heartbeat_is_its_time) {
  const trainers_disk disk;
  const auto folder = disk.add("run", "");
  const timespec times[2] = {{1'700'000'000, 0}, {1'700'000'000, 500'000'000}};
  BOOST_REQUIRE(::utimensat(AT_FDCWD, (folder / "status.json").c_str(), times, 0) == 0);
  const auto status = disk.folder(trainer_status_format::heartbeat).read("run");
  BOOST_CHECK(status.word == training_word::training);
  BOOST_CHECK(status.time == 1'700'000'000.5);
}

BOOST_AUTO_TEST_SUITE_END()
