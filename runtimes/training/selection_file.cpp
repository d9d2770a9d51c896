#include "runtimes/training/selection_file.hpp"

#include <fmt/format.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "runtimes/training/checkpoint_folder.hpp"
#include "system/private_file.hpp"

namespace signalbox::runtimes {

selection_file::selection_file(const std::filesystem::path& data_dir)
    : path_(data_dir / "training.json") {}

scheduling::training_selection selection_file::load() const {
  std::error_code problem;
  if (!std::filesystem::exists(path_, problem) && !problem) return {};
  std::ifstream in(path_, std::ios::binary);
  const auto document = nlohmann::json::parse(in, nullptr, false);
  try {
    const scheduling::training_selection found{document.at("folder").get<std::string>(),
                                               document.at("held").get<bool>(),
                                               document.at("paused").get<bool>()};
    if (found.folder.empty() || checkpoint_folder::is_name(found.folder)) return found;
  } catch (const nlohmann::json::exception&) {  // the error below says what to do
  }
  throw std::runtime_error(
      fmt::format("{} cannot be read as a selected checkpoint: put it right, or remove it and "
                  "select the checkpoint again",
                  path_.string()));
}

void selection_file::save(const scheduling::training_selection& selection) const {
  const nlohmann::ordered_json document{
      {"folder", selection.folder}, {"held", selection.is_held}, {"paused", selection.is_paused}};
  write_private_file(path_, document.dump() + "\n");
}

}  // namespace signalbox::runtimes
