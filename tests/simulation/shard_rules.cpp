#include "tests/simulation/shard_rules.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace signalbox::simulation {

shard_rules::account& shard_rules::side::of(backend_id backend) {
  for (auto& a : accounts) {
    if (a.backend == backend) return a;
  }
  accounts.push_back({.backend = backend});
  return accounts.back();
}

void shard_rules::introduced(model_index m, std::span<const scheduling::backend_units> in_use) {
  auto& s = models_[m];
  for (auto& a : s.accounts) {
    a.units = a.ended = 0;
    for (const auto& [backend, units] : in_use) a.units += backend == a.backend ? units : 0;
    w_.require(a.units == total(a.permits), "a shard introduces what it has in use", a.units,
               total(a.permits));
  }
  ++s.life;
  s.charged_permits = s.begun = s.charges_ended = 0;
  s.settled = {};
  s.balance = 0;
}

void shard_rules::came(model_index m, backend_id backend, std::uint32_t units) {
  models_[m].of(backend).units += units;
}

void shard_rules::begun(model_index m, backend_id backend, work_class work, bool by_credit) {
  auto& s = models_[m];
  auto& a = s.of(backend);
  ++a.permits[index_of(work)];
  ++s.charged_permits;
  s.begun += by_credit;
  w_.require(!by_credit || s.waiting == 0, "no credit is taken past who waits", backend);
  w_.require(total(a.permits) <= a.units, "a shard has a unit for each permit", total(a.permits),
             a.units);
}

void shard_rules::release(side& s, backend_id backend, work_class work, std::uint32_t charged_by) {
  auto& permits = s.of(backend).permits[index_of(work)];
  w_.require(permits > 0, "a permit ends once", backend);
  --permits;
  if (charged_by != s.life) return;
  --s.charged_permits;
  ++s.charges_ended;
}

void shard_rules::ended(model_index m, backend_id backend, work_class work, http::outcome how,
                        double cost, std::uint32_t charged_by) {
  auto& s = models_[m];
  release(s, backend, work, charged_by);
  ++s.of(backend).ended;
  ++s.settled[static_cast<std::size_t>(how)];
  if (charged_by == s.life) s.balance -= cost;
}

void shard_rules::preempted(model_index m, backend_id backend, work_class work,
                            std::uint32_t charged_by) {
  release(models_[m], backend, work, charged_by);
}

void shard_rules::sent(model_index m, const shard_batch& batch) {
  auto& s = models_[m];
  check_units(s, batch);
  check_counts(s, batch);
  check_charges(s, batch);
}

void shard_rules::check_units(side& s, const shard_batch& batch) {
  for (const auto& report : batch.backends) {
    auto& a = s.of(report.backend);
    w_.require(report.in_use == a.permits, "a report says what is in use", report.backend);
    w_.require(report.ended == std::exchange(a.ended, 0), "a report counts what ended",
               report.backend, report.ended);
    w_.require(report.units_returned <= a.units - total(a.permits),
               "no unit is returned that is in use, or twice", report.backend,
               report.units_returned);
    a.units -= report.units_returned;
  }
  for (const auto& a : s.accounts) {
    w_.require(a.ended == 0, "no end is left out", a.backend);
    w_.require(s.waiting == 0 || a.units == total(a.permits), "no credit is kept while one waits",
               a.backend, a.units);
  }
  std::erase_if(s.accounts, [](const account& a) { return a.units == 0; });
}

// A preempted request is no attempt: it is in none of these.
void shard_rules::check_counts(side& s, const shard_batch& batch) {
  const auto& is = batch.settled;
  const std::array<std::uint32_t, 4> told{is.completed, is.failed, is.cancelled, is.timed_out};
  w_.require(told == s.settled, "each permit is counted once, and no preempted one", is.total());
  s.settled = {};
}

void shard_rules::check_charges(side& s, const shard_batch& batch) {
  std::uint32_t begun = 0, ended = 0;
  for (const auto& served : batch.served) {
    begun += served.begun;
    ended += served.ended;
    s.balance += served.charged + served.corrected;
  }
  w_.require(begun == std::exchange(s.begun, 0), "each credit that is taken is charged", begun);
  w_.require(ended == std::exchange(s.charges_ended, 0), "each charge ends once", ended);
  if (s.charged_permits > 0) return;
  w_.require(std::abs(s.balance) < 0.01, "charges are corrected to what requests did cost",
             static_cast<std::uint64_t>(std::abs(s.balance)));
  s.balance = 0;
}

std::uint32_t shard_rules::permits(model_index m, backend_id backend) const {
  for (const auto& a : models_[m].accounts) {
    if (a.backend == backend) return total(a.permits);
  }
  return 0;
}

}  // namespace signalbox::simulation
