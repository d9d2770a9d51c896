#include "access/lease_document.hpp"

#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "config/settings.hpp"
#include "config/values.hpp"
#include "text/rfc3339.hpp"

namespace signalbox {

namespace {

using nlohmann::json;
using scheduling::all_gpus;
using scheduling::whole_gpu;

constexpr std::size_t max_reason_bytes = 200;
constexpr std::uint64_t max_gpus = 64;  // as in the configuration

using problem_or_none = std::optional<document_problem>;

document_problem not_allowed(const std::string& member, const std::string& allowed) {
  return {member + " must be " + allowed + ".", member};
}

document_problem unknown_member(const std::string& member) {
  return {"The field " + member + " is unknown.", member};
}

// Returns nothing when it is no whole number within the bounds.
std::optional<std::uint64_t> whole_number(const json& value, std::uint64_t min, std::uint64_t max) {
  if (!value.is_number_integer() || value < 0) return std::nullopt;
  const auto number = value.get<std::uint64_t>();
  return number >= min && number <= max ? std::optional(number) : std::nullopt;
}

problem_or_none read_class(const json& value, work_class& out) {
  const auto found =
      value.is_string() ? work_class_of(value.get_ref<const std::string&>()) : std::nullopt;
  if (!found) return not_allowed("class", "realtime, batch, eval or training");
  out = *found;
  return std::nullopt;
}

problem_or_none read_memory(const json& value, scheduling::gpu_need& out) {
  const auto bytes =
      value.is_string() ? config::parse_size(value.get_ref<const std::string&>()) : std::nullopt;
  // The largest number stands for a whole GPU.
  if (!bytes || *bytes < config::mib || *bytes == whole_gpu) {
    return not_allowed("memory", "a size of at least 1MiB, such as \"20GiB\"");
  }
  out = {*bytes, 1};
  return std::nullopt;
}

problem_or_none read_gpus(const json& value, scheduling::gpu_need& out) {
  const auto count = whole_number(value, 1, max_gpus);
  if (!count) return not_allowed("gpus", "a number of whole GPUs from 1 to 64");
  out = {whole_gpu, static_cast<std::uint32_t>(*count)};
  return std::nullopt;
}

problem_or_none read_all(const json& value, scheduling::gpu_need& out) {
  if (!value.is_boolean() || !value.get<bool>()) return not_allowed("all", "true");
  out = scheduling::whole_machine;
  return std::nullopt;
}

problem_or_none read_ttl(const json& value, duration& out) {
  const double seconds = value.is_number() ? value.get<double>() : -1;
  if (!(seconds >= to_seconds(scheduling::min_lease_ttl) &&
        seconds <= to_seconds(scheduling::max_lease_ttl))) {
    return not_allowed("ttl_s", "a number of seconds from 5 to 3600");
  }
  out = from_seconds(seconds);
  return std::nullopt;
}

problem_or_none read_reason(const json& value, std::string& out) {
  if (!value.is_string() || value.get_ref<const std::string&>().size() > max_reason_bytes ||
      !config::is_plain_text(value.get_ref<const std::string&>())) {
    return not_allowed("reason", "a text of up to 200 bytes without control characters");
  }
  out = value.get<std::string>();
  return std::nullopt;
}

problem_or_none read_pid(const json& value, std::int64_t& out) {
  const auto pid = whole_number(value, 1, std::numeric_limits<std::int32_t>::max());
  if (!pid) return not_allowed("pid", "the number of a process on the gateway's machine");
  out = static_cast<std::int64_t>(*pid);
  return std::nullopt;
}

problem_or_none read_member(const std::string& name, const json& value, lease_wish& wish) {
  auto& request = wish.request;
  if (name == "class") return read_class(value, request.work);
  if (name == "memory") return read_memory(value, request.need);
  if (name == "gpus") return read_gpus(value, request.need);
  if (name == "all") return read_all(value, request.need);
  if (name == "ttl_s") return read_ttl(value, request.ttl);
  if (name == "reason") return read_reason(value, request.reason);
  if (name == "pid") return read_pid(value, wish.pid);
  return unknown_member(name);
}

json needs_of(const scheduling::gpu_need& need) {
  if (need == scheduling::whole_machine) return {{"all", true}};
  if (need.memory == whole_gpu) return {{"gpus", need.count}};
  return {{"memory", config::format_size(need.memory)}};
}

json gpus_of(const scheduling::gpu_set& gpus) {
  json all = json::array();
  for (const auto& share : gpus) {
    all.push_back({{"index", share.gpu}, {"uuid", nullptr}, {"memory_bytes", share.memory}});
  }
  return all;
}

}  // namespace

std::variant<lease_wish, document_problem> read_lease_wish(const json& body) {
  if (!body.is_object()) return document_problem{"The body must be a JSON object.", ""};
  lease_wish wish;
  for (const auto& [name, value] : body.items()) {
    if (auto found = read_member(name, value, wish)) return *found;
  }
  if (!body.contains("class")) return not_allowed("class", "realtime, batch, eval or training");
  if (body.contains("memory") + body.contains("gpus") + body.contains("all") != 1) {
    return document_problem{"Exactly one of memory, gpus and all must be given.", "memory"};
  }
  return wish;
}

std::variant<fencing_token, document_problem> read_lease_token(const json& body) {
  if (!body.is_object()) return document_problem{"The body must be a JSON object.", ""};
  for (const auto& [name, value] : body.items()) {
    if (name != "token") return unknown_member(name);
  }
  const auto text = body.contains("token") && body["token"].is_string()
                        ? body["token"].get<std::string>()
                        : std::string();
  fencing_token token = 0;
  const auto* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, token);
  if (text.empty() || error != std::errc() || rest != end) {
    return not_allowed("token", "the lease's token, a text of decimal digits");
  }
  return token;
}

scope scope_of(work_class work) {
  switch (work) {
    case work_class::realtime:
      return scope::realtime;
    case work_class::batch:
      return scope::batch;
    case work_class::eval:
      return scope::eval;
    case work_class::training:
      break;
  }
  return scope::admin;
}

std::string need_member(const scheduling::gpu_need& need) {
  return needs_of(need).begin().key();
}

json to_document(const scheduling::outside_view& lease, bool shows_token, time_point now,
                 wall_time wall_now) {
  const auto moment = [&](time_point at) {
    if (at == never) return json(nullptr);
    return json(rfc3339(wall_now + std::chrono::duration_cast<wall_time::duration>(at - now)));
  };
  const auto& request = lease.request;
  json document{{"id", request.id},
                {"object", "lease"},
                {"state", to_string(lease.state)},
                {"key_id", request.key_id},
                {"class", to_string(request.work)},
                {"needs", needs_of(request.need)},
                {"reason", request.reason},
                {"ttl_s", to_seconds(request.ttl)},
                {"token", nullptr},
                {"gpus", gpus_of(lease.gpus)},
                {"expires_at", moment(lease.expires_at)},
                {"yield_requested", lease.yield_by != never},
                {"yield_by", moment(lease.yield_by)},
                {"end", nullptr},
                {"pid", nullptr}};
  if (shows_token && lease.token != 0) document["token"] = std::to_string(lease.token);
  if (lease.end) document["end"] = to_string(*lease.end);
  if (request.process) document["pid"] = request.process->pid;
  return document;
}

}  // namespace signalbox
