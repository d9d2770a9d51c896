#include "persistence/lease_file.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "system/private_file.hpp"

namespace signalbox::persistence {
namespace {

using nlohmann::json;
using scheduling::outside_record;

work_class class_of(const std::string& name) {
  if (const auto work = work_class_of(name)) return *work;
  throw std::runtime_error("there is no class " + name);
}

json gpus_of(const scheduling::gpu_set& gpus) {
  json all = json::array();
  for (const auto& share : gpus) {
    all.push_back({{"index", share.gpu}, {"memory_bytes", share.memory}});
  }
  return all;
}

json document_of(const outside_record& record) {
  const auto& r = record.request;
  json lease{{"id", r.id},
             {"key_id", r.key_id},
             {"reason", r.reason},
             {"class", to_string(r.work)},
             {"need", {{"memory", r.need.memory}, {"count", r.need.count}}},
             {"ttl_ns", r.ttl.count()},
             {"token", record.token},
             {"gpus", gpus_of(record.gpus)},
             {"is_ending", record.is_ending}};
  if (r.process) {
    lease["process"] = {{"pid", r.process->pid}, {"start_ticks", r.process->start_ticks}};
  }
  return lease;
}

outside_record record_of(const json& lease) {
  outside_record record;
  auto& r = record.request;
  r.id = lease.at("id");
  r.key_id = lease.at("key_id");
  r.reason = lease.at("reason");
  r.work = class_of(lease.at("class"));
  r.need = {lease.at("need").at("memory").get<std::uint64_t>(),
            lease.at("need").at("count").get<std::uint32_t>()};
  r.ttl = duration(lease.at("ttl_ns").get<std::int64_t>());
  if (lease.contains("process")) {
    const auto& process = lease["process"];
    r.process = scheduling::process_mark{process.at("pid").get<std::int64_t>(),
                                         process.at("start_ticks").get<std::uint64_t>()};
  }
  record.token = lease.at("token");
  for (const auto& share : lease.at("gpus")) {
    record.gpus.push_back(
        {share.at("index").get<std::uint32_t>(), share.at("memory_bytes").get<std::uint64_t>()});
  }
  record.is_ending = lease.at("is_ending");
  return record;
}

}  // namespace

std::vector<outside_record> lease_file::read() const {
  if (!std::filesystem::exists(path_)) return {};
  std::ifstream in(path_);
  if (!in) throw std::runtime_error(path_.string() + ": " + std::strerror(errno));
  try {
    std::vector<outside_record> records;
    const auto document = json::parse(in);
    for (const auto& lease : document.at("leases")) records.push_back(record_of(lease));
    return records;
  } catch (const std::exception& e) {
    throw std::runtime_error(
        fmt::format("{} is not what a gateway writes: {}. Put it right; or, once no program uses "
                    "GPU memory under a lease of this gateway, remove it",
                    path_.string(), e.what()));
  }
}

void lease_file::write(const std::vector<outside_record>& records) const {
  json leases = json::array();
  for (const auto& record : records) leases.push_back(document_of(record));
  write_private_file(path_, json{{"leases", leases}}.dump(2) + "\n");
}

}  // namespace signalbox::persistence
