#include "tests/simulation/world.hpp"

#include <algorithm>
#include <sstream>

namespace signalbox::simulation {

namespace {

constexpr std::size_t remembered = 60;

double seconds_of(time_point t) {  // since the start of the simulation
  return to_seconds(t.time_since_epoch() - std::chrono::hours(1));
}

}  // namespace

void world::at(time_point when, std::function<void()> what) {
  events_.emplace(std::max(when, now_), std::move(what));
}

void world::send(actor_id from, actor_id to, std::function<void()> what) {
  auto pair = std::make_pair(from, to);
  auto delay = chance(0.05) ? between(std::chrono::milliseconds(1), std::chrono::seconds(1))
                            : between(duration(0), std::chrono::milliseconds(2));
  auto& last = last_delivery_.try_emplace(pair, now_).first->second;
  last = std::max(last, now_ + delay);
  ++in_transit_[pair];
  at(last, [this, pair, what = std::move(what)] {
    --in_transit_[pair];
    what();
  });
}

std::size_t world::in_transit(actor_id a, actor_id b) const {
  auto count = [this](actor_id from, actor_id to) {
    auto found = in_transit_.find({from, to});
    return found == in_transit_.end() ? 0 : found->second;
  };
  return count(a, b) + count(b, a);
}

bool world::step() {
  if (events_.empty()) return false;
  auto first = events_.extract(events_.begin());
  now_ = first.key();
  ++steps_;
  first.mapped()();
  return true;
}

duration world::between(duration low, duration high) {
  return low + duration(static_cast<std::int64_t>(below((high - low).count() + 1)));
}

void world::note(const char* what, long a, long b) {
  happenings_.push_back({now_, what, a, b});
  if (happenings_.size() > remembered) happenings_.pop_front();
}

void world::require(bool holds, const char* rule, long a, long b) const {
  if (holds) return;
  std::ostringstream text;
  text << rule << " (" << a << ", " << b << ") at " << seconds_of(now_) << " s";
  throw broken_rule(text.str());
}

std::string world::history() const {
  std::ostringstream text;
  for (const auto& h : happenings_) {
    text << "  " << seconds_of(h.when) << " s: " << h.what << ' ' << h.a << ' ' << h.b << '\n';
  }
  return text.str();
}

}  // namespace signalbox::simulation
