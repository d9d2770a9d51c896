#include "scheduling/outside_leases.hpp"

#include <algorithm>
#include <utility>

namespace signalbox::scheduling {

bool outside_leases::may_see(const lease& l, const lease_viewer& who) {
  return who.sees_all || who.changes_all || l.request.key_id == who.key_id;
}

// Tells what keeps the viewer from a change of the lease.
outside_answer outside_leases::changeable(const std::string& id, const lease_viewer& who) const {
  const auto found = leases_.find(id);
  if (found == leases_.end() || !may_see(found->second, who)) {
    return {outside_verdict::unknown, {}};
  }
  const bool may = who.changes_all || found->second.request.key_id == who.key_id;
  return {may ? outside_verdict::done : outside_verdict::not_owner, {}};
}

outside_effects outside_leases::restore(const std::vector<outside_record>& records,
                                        time_point now) {
  outside_effects out;
  for (const auto& record : records) {
    lease l;
    l.request = record.request;
    l.number = ++last_number_;
    l.token = record.token;
    l.gpus = record.gpus;
    l.at = phase::granted;
    l.expires_at = now + record.request.ttl;  // rule restored
    if (record.request.process) l.look_at = now;
    const auto [place, is_new] = leases_.emplace(record.request.id, std::move(l));
    if (!is_new) continue;
    ++open_;
    out.push_back(adopt_memory{record.request.id});
    if (record.is_ending) begin_end(place->second, lease_end::expired, out, now);
    advance(place->second, out, now);
  }
  return out;
}

outside_answer outside_leases::submit(const outside_request& request, time_point asked_until,
                                      time_point now) {
  forget_ended(now);
  if (open_ >= options_.max_leases) return {outside_verdict::too_many, {}};
  const auto of_key = std::count_if(leases_.begin(), leases_.end(), [&](const auto& entry) {
    return entry.second.at != phase::ended && entry.second.request.key_id == request.key_id;
  });
  if (of_key >= options_.max_leases_of_key) return {outside_verdict::too_many_of_key, {}};
  lease l;
  l.request = request;
  l.number = ++last_number_;
  l.asked_until = std::max(asked_until, now);
  leases_.emplace(request.id, std::move(l));
  ++open_;
  return {outside_verdict::done, {request_memory{request.id}}};
}

outside_answer outside_leases::ask(const std::string& id, const lease_viewer& who,
                                   time_point asked_until, time_point now) {
  const auto found = leases_.find(id);
  if (found == leases_.end() || !may_see(found->second, who)) {
    return {outside_verdict::unknown, {}};
  }
  auto& l = found->second;
  if (l.request.key_id == who.key_id) {
    l.asked_until = std::max({l.asked_until, asked_until, now});
  }
  return {};
}

// Rule renewed.
outside_answer outside_leases::renew(const std::string& id, const lease_viewer& who,
                                     fencing_token token, time_point now) {
  auto answer = changeable(id, who);
  if (answer.verdict != outside_verdict::done) return answer;
  auto& l = leases_.at(id);
  advance(l, answer.effects, now);  // its end may be due
  if (l.at != phase::granted || token != l.token) {
    answer.verdict = outside_verdict::stale_token;
    return answer;
  }
  l.expires_at = now + l.request.ttl;
  return answer;
}

outside_answer outside_leases::release(const std::string& id, const lease_viewer& who,
                                       time_point now) {
  auto answer = changeable(id, who);
  if (answer.verdict != outside_verdict::done) return answer;
  auto& l = leases_.at(id);
  auto& out = answer.effects;
  switch (l.at) {
    case phase::waiting:
    case phase::granting:
      end_waiting(l, lease_end::released, out, now);
      break;
    case phase::granted:
      begin_end(l, lease_end::released, out, now);
      break;
    case phase::ending:  // late, or an admin's order about a process that does not go
      if (l.request.process) {
        l.given_up_at = std::min(l.given_up_at, now + options_.release_grace);
      } else {
        begin_return(l, true, out);
      }
      break;
    case phase::returning:
    case phase::ended:
      break;
  }
  return answer;
}

outside_effects outside_leases::memory_granted(const std::string& id, fencing_token token,
                                               const gpu_set& gpus, time_point now) {
  outside_effects out;
  const auto found = leases_.find(id);
  if (found == leases_.end() || found->second.at == phase::ended) {
    out.push_back(return_memory{id, true});
    return out;
  }
  auto& l = found->second;
  if (l.at != phase::waiting) return out;  // adopted: it keeps its token
  l.token = token;
  l.gpus = gpus;
  l.at = phase::granting;
  l.asked_until = std::max(l.asked_until, now);
  note_change(l);
  save(out);
  return out;
}

outside_effects outside_leases::memory_refused(const std::string& id, time_point now) {
  outside_effects out;
  const auto found = leases_.find(id);
  if (found == leases_.end()) return out;
  auto& l = found->second;
  if (l.at == phase::waiting) {
    end_waiting(l, lease_end::refused, out, now);
  } else if (has_memory(l) && l.at != phase::returning) {
    l.end = lease_end::lost;
    begin_return(l, false, out);
  }
  return out;
}

outside_effects outside_leases::asked_back(const std::string& id, time_point now) {
  outside_effects out;
  const auto found = leases_.find(id);
  if (found == leases_.end()) return out;
  auto& l = found->second;
  if ((l.at != phase::granting && l.at != phase::granted) || l.yield_by != never) return out;
  l.yield_by = now + options_.yield_grace;
  if (l.at == phase::granted) out.push_back(lease_moved{id});
  return out;
}

outside_effects outside_leases::pool_restarted() const {
  outside_effects out;
  for (const auto& [id, l] : leases_) {
    if (has_memory(l)) out.push_back(adopt_memory{id});
  }
  for (const auto& [id, l] : leases_) {
    if (l.at == phase::waiting) out.push_back(request_memory{id});
  }
  return out;
}

outside_effects outside_leases::saved(std::uint64_t change, bool is_durable, time_point now) {
  outside_effects out;
  if (change != saving_change_) return out;
  saving_change_ = 0;
  if (is_durable) {
    saved_change_ = change;
  } else {
    save_again_at_ = now + options_.retry_gap;
  }
  for (auto& [id, l] : leases_) {
    if (l.at == phase::granting && l.change <= saved_change_) {  // rule told
      l.at = phase::granted;
      l.expires_at = now + l.request.ttl;
      out.push_back(lease_moved{id});
    } else if (l.at == phase::returning && (l.change <= saved_change_ || !is_durable)) {
      finish(l, out, now);  // rule forgotten
    }
  }
  save(out);
  return out;
}

outside_effects outside_leases::process_seen(const std::string& id, bool is_gone, time_point now) {
  outside_effects out;
  const auto found = leases_.find(id);
  if (found == leases_.end()) return out;
  auto& l = found->second;
  if (l.at == phase::ending) {
    if (is_gone) {
      begin_return(l, true, out);
    } else {
      l.look_at = now + options_.look_gap;
    }
  } else if (l.at == phase::granted && is_gone) {  // while we were away
    l.end = lease_end::expired;
    begin_return(l, true, out);
  }
  return out;
}

outside_effects outside_leases::advance(time_point now) {
  outside_effects out;
  for (auto& [id, l] : leases_) advance(l, out, now);
  forget_ended(now);
  if (now >= save_again_at_) {
    save_again_at_ = never;
    save(out);
  }
  return out;
}

void outside_leases::advance(lease& l, outside_effects& out, time_point now) {
  if (deadline_of(l) > now) return;
  switch (l.at) {
    case phase::waiting:
    case phase::granting:
      end_waiting(l, lease_end::dropped, out, now);
      break;
    case phase::granted:
      if (now >= std::min(l.expires_at, l.yield_by)) {
        begin_end(l, l.expires_at <= now ? lease_end::expired : lease_end::unyielded, out, now);
      } else {
        l.look_at = never;
        out.push_back(look_for_process{l.request.id});
      }
      break;
    case phase::ending:
      if (now >= l.given_up_at) {
        begin_return(l, false, out);
      } else {
        l.look_at = never;  // until the answer
        out.push_back(look_for_process{l.request.id});
      }
      break;
    case phase::returning:
    case phase::ended:
      break;
  }
}

time_point outside_leases::deadline_of(const lease& l) {
  switch (l.at) {
    case phase::waiting:
    case phase::granting:
      return l.asked_until + l.request.ttl;
    case phase::granted:
      return std::min({l.expires_at, l.yield_by, l.look_at});
    case phase::ending:
      return std::min(l.given_up_at, l.look_at);
    case phase::returning:
      return never;
    case phase::ended:
      return l.forgotten_at;
  }
  return never;
}

time_point outside_leases::next_deadline() const {
  auto next = save_again_at_;
  for (const auto& [id, l] : leases_) next = std::min(next, deadline_of(l));
  return next;
}

// Rule returned: decides when the memory of a lease that is over may be somebody else's.
void outside_leases::begin_end(lease& l, lease_end why, outside_effects& out, time_point now) {
  l.end = why;
  const bool is_release = why == lease_end::released;
  if (is_release && !l.request.process) return begin_return(l, true, out);
  l.at = phase::ending;
  l.look_at = never;
  l.given_up_at = is_release || !l.request.process ? now + options_.release_grace : never;
  if (l.request.process) out.push_back(look_for_process{l.request.id});
  out.push_back(lease_moved{l.request.id});
  note_change(l);
  save(out);
}

void outside_leases::begin_return(lease& l, bool is_verified, outside_effects& out) {
  const bool was_told = l.at == phase::ending;
  l.at = phase::returning;
  l.is_verified = is_verified;
  if (!was_told) out.push_back(lease_moved{l.request.id});
  note_change(l);
  save(out);
}

void outside_leases::finish(lease& l, outside_effects& out, time_point now) {
  l.at = phase::ended;
  l.forgotten_at = now + options_.memory_of_ends;
  --open_;
  out.push_back(return_memory{l.request.id, l.is_verified});
  out.push_back(lease_ended{l.request.id, l.end, l.is_verified});
  out.push_back(lease_moved{l.request.id});
}

// Ends a lease whose grant nobody was told; nothing has used its memory.
void outside_leases::end_waiting(lease& l, lease_end why, outside_effects& out, time_point now) {
  l.end = why;
  if (l.at == phase::granting) {
    l.token = 0;  // for ever untold
    return begin_return(l, true, out);
  }
  l.at = phase::ended;
  l.forgotten_at = now + options_.memory_of_ends;
  --open_;
  if (why != lease_end::refused) out.push_back(withdraw_request{l.request.id});
  out.push_back(lease_ended{l.request.id, why, true});
  out.push_back(lease_moved{l.request.id});
}

void outside_leases::save(outside_effects& out) {
  if (saving_change_ != 0 || save_again_at_ != never || saved_change_ == last_change_) return;
  saving_change_ = last_change_;
  out.push_back(save_leases{saving_change_});
}

void outside_leases::forget_ended(time_point now) {
  std::erase_if(leases_, [&](const auto& entry) {
    return entry.second.at == phase::ended && entry.second.forgotten_at <= now;
  });
  while (leases_.size() - open_ > options_.max_leases) {
    auto oldest = leases_.end();
    for (auto it = leases_.begin(); it != leases_.end(); ++it) {
      if (it->second.at != phase::ended) continue;
      if (oldest == leases_.end() || it->second.number < oldest->second.number) oldest = it;
    }
    leases_.erase(oldest);
  }
}

}  // namespace signalbox::scheduling
