#include "http/admin/lease_routes.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "access/lease_document.hpp"
#include "actors/control_plane.hpp"
#include "http/serve/gateway_state.hpp"
#include "http/serve/json_route.hpp"

namespace signalbox::http {

namespace {

using nlohmann::json;
using scheduling::outside_state;
using scheduling::outside_verdict;

constexpr double max_lease_wait_s = 60;
constexpr duration grant_patience = std::chrono::seconds(1);  // of a request that says none

scheduling::lease_viewer viewer_of(const routed_request& request) {
  return {request.who->key_id, request.who->may(scope::monitor), request.who->may(scope::admin)};
}

// Returns the parameter `wait`; nothing when it is no number from 0 to 60.
std::optional<duration> wait_of(const routed_request& request, duration usual) {
  const auto text = query_value(request.client, "wait");
  if (text.empty()) return usual;
  double seconds = 0;
  const auto* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, seconds);
  if (error != std::errc() || rest != end || !(seconds >= 0 && seconds <= max_lease_wait_s)) {
    return std::nullopt;
  }
  return from_seconds(seconds);
}

void refuse_wait(const responder& reply) {
  reply.refuse(error_code::invalid_value, "wait must be a number of seconds from 0 to 60.", "wait");
}

void refuse_without_scope(const responder& reply, scope needed, const std::string& param) {
  reply.refuse(error_code::missing_scope,
               "This key lacks the scope '" + std::string(to_string(needed)) + "'.", param);
}

void refuse_unknown(const responder& reply, const std::string& error) {
  spdlog::error("leases: {}", error);
  reply.refuse(error_code::internal,
               "The leases are not known at this moment; please try again later.");
}

bool shows_token(const scheduling::outside_view& lease, const scheduling::lease_viewer& who) {
  return who.changes_all || lease.request.key_id == who.key_id;
}

json document_of(const scheduling::outside_view& lease, const scheduling::lease_viewer& who) {
  return to_document(lease, shows_token(lease, who), std::chrono::steady_clock::now(),
                     std::chrono::system_clock::now());
}

void refuse(const responder& reply, outside_verdict why, const std::string& id) {
  switch (why) {
    case outside_verdict::not_owner:
      return refuse_without_scope(reply, scope::admin, {});
    case outside_verdict::stale_token:
      return reply.refuse(error_code::stale_token,
                          "The token is not that of the lease, or the lease is over: stop using "
                          "its GPUs.",
                          "token");
    case outside_verdict::too_many:
      return reply.refuse(error_code::too_many_leases, "There are too many leases.", {},
                          {{"Retry-After", "5"}});
    case outside_verdict::too_many_of_key:
      return reply.refuse(error_code::too_many_leases, "This key has too many leases.", {},
                          {{"Retry-After", "5"}});
    default:
      return reply.refuse(error_code::not_found, "There is no lease '" + id + "'.");
  }
}

// Sends a question or an order, and answers what is refused. Else `on_done` gets the lease.
template <typename Order, typename OnDone>
void ask_leases(shard& home, const responder& reply, const std::string& id, duration wait,
                Order order, OnDone on_done) {
  auto& control = home.gateway().control();
  control.ask<lease_answer>(
      control.handles()->outside, ask_timeout + wait, std::move(order),
      [reply, id, on_done](const lease_answer& answer) {
        if (answer.has_no_such_process) {
          return reply.refuse(error_code::invalid_value,
                              "pid must be the number of a process on the gateway's machine.",
                              "pid");
        }
        if (!answer.lease) return refuse(reply, answer.verdict, id);
        on_done(*answer.lease);
      },
      [reply](const std::string& error) { refuse_unknown(reply, error); });
}

}  // namespace

void create_lease(shard& home, routed_request request) {
  const auto reply = reply_to(home, request);
  const auto wait = wait_of(request, grant_patience);
  if (!wait) return refuse_wait(reply);
  const auto body = read_object(reply, request);
  if (!body) return;
  auto read = read_lease_wish(*body);
  if (const auto* problem = std::get_if<document_problem>(&read)) {
    return reply.refuse(error_code::invalid_value, problem->message, problem->param);
  }
  auto& wish = std::get<lease_wish>(read);
  const auto needed = scope_of(wish.request.work);
  if (!request.who->may(needed)) return refuse_without_scope(reply, needed, "class");
  const auto who = viewer_of(request);
  wish.request.id = make_id("lease_");
  wish.request.key_id = who.key_id;
  const auto id = wish.request.id;
  const auto need = wish.request.need;
  ask_leases(home, reply, id, *wait, submit_lease{std::move(wish.request), wish.pid, *wait},
             [reply, who, need](const scheduling::outside_view& lease) {
               if (lease.end == scheduling::lease_end::refused) {
                 return reply.refuse(error_code::invalid_value,
                                     "This machine never has so much GPU memory for one lease.",
                                     need_member(need));
               }
               const bool is_granted = lease.state == outside_state::granted;
               answer_json(reply, document_of(lease, who), is_granted ? 201 : 202);
             });
}

void list_outside_leases(shard& home, routed_request request) {
  const auto reply = reply_to(home, request);
  const auto limit = limit_of(request);
  if (!limit) {
    return reply.refuse(error_code::invalid_value, "limit must be a number from 1 to 1000.",
                        "limit");
  }
  const auto who = viewer_of(request);
  const auto after = query_value(request.client, "after");
  auto& control = home.gateway().control();
  control.ask<lease_list>(
      control.handles()->outside, ask_timeout, list_leases{who},
      [=](const lease_list& list) {
        const auto& all = list.leases;
        auto it = all.begin();
        if (!after.empty()) {
          it = std::find_if(all.begin(), all.end(),
                            [&](const auto& lease) { return lease.request.id == after; });
          if (it == all.end()) {
            return reply.refuse(error_code::invalid_value,
                                "after must be the id of a lease that has not ended; please begin "
                                "the list anew.",
                                "after");
          }
          ++it;
        }
        json data = json::array();
        for (; it != all.end() && data.size() < *limit; ++it) {
          data.push_back(document_of(*it, who));
        }
        const auto next = it == all.end() ? json(nullptr) : data.back()["id"];
        answer_json(reply, {{"object", "list"}, {"data", data}, {"next", next}});
      },
      [reply](const std::string& error) { refuse_unknown(reply, error); });
}

void show_lease(shard& home, routed_request request) {
  const auto reply = reply_to(home, request);
  const auto wait = wait_of(request, duration::zero());
  if (!wait) return refuse_wait(reply);
  const auto who = viewer_of(request);
  const auto id = parameter_of(request);
  ask_leases(home, reply, id, *wait, find_lease{id, who, *wait},
             [reply, who](const scheduling::outside_view& lease) {
               answer_json(reply, document_of(lease, who));
             });
}

void renew_outside_lease(shard& home, routed_request request) {
  const auto reply = reply_to(home, request);
  const auto body = read_object(reply, request);
  if (!body) return;
  const auto read = read_lease_token(*body);
  if (const auto* problem = std::get_if<document_problem>(&read)) {
    return reply.refuse(error_code::invalid_value, problem->message, problem->param);
  }
  const auto who = viewer_of(request);
  const auto id = parameter_of(request);
  ask_leases(home, reply, id, {}, renew_lease{id, who, std::get<fencing_token>(read)},
             [reply, who](const scheduling::outside_view& lease) {
               answer_json(reply, document_of(lease, who));
             });
}

void release_outside_lease(shard& home, routed_request request) {
  const auto reply = reply_to(home, request);
  const auto who = viewer_of(request);
  const auto id = parameter_of(request);
  ask_leases(home, reply, id, {}, end_lease{id, who},
             [reply, who](const scheduling::outside_view& lease) {
               answer_json(reply, document_of(lease, who));
             });
}

}  // namespace signalbox::http
