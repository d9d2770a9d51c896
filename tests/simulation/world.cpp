#include "tests/simulation/world.hpp"

#include <algorithm>
#include <cmath>
#include <sstream>

namespace signalbox::simulation {

using namespace std::chrono_literals;

namespace {

constexpr time_point beginning{std::chrono::hours(1)};

}  // namespace

world::world(std::uint64_t seed)
    : random_(seed),
      slow_messages_(chance(0.3) ? 0 : 0.05),
      slowest_(between_magnitudes(3ms, 2s)),
      actors_(1) {}

void world::plan(time_point when, event e) {
  std::uint32_t slot;
  if (unused_.empty()) {
    slot = static_cast<std::uint32_t>(events_.size());
    events_.push_back(std::move(e));
  } else {
    slot = unused_.back();
    unused_.pop_back();
    events_[slot] = std::move(e);
  }
  queue_.push_back({when, planned_++, slot});
  std::push_heap(queue_.begin(), queue_.end(), is_later());
}

void world::at(time_point when, callback what, actor_id whose) {
  plan(std::max(when, now_), {std::move(what), whose, 0});
}

actor_id world::begin_actor() {
  actors_.emplace_back();
  return static_cast<actor_id>(actors_.size() - 1);
}

duration world::delay() {
  if (chance(slow_messages_)) return between(1ms, slowest_);
  return chance(0.3) ? duration::zero() : between(0us, 2ms);
}

void world::send(actor_id from, actor_id to, callback what, topic about) {
  auto& last = actors_[from].last_sent;
  last = std::max(last, now_ + delay());
  if (about != 0) {
    if (in_transit_.size() <= about) in_transit_.resize(about + 1);
    ++in_transit_[about];
  }
  plan(last, {std::move(what), to, about});
}

std::uint32_t world::in_transit(topic about) const {
  return about < in_transit_.size() ? in_transit_[about] : 0;
}

bool world::step() {
  if (queue_.empty()) return false;
  std::pop_heap(queue_.begin(), queue_.end(), is_later());
  const auto next = queue_.back();
  queue_.pop_back();
  const auto e = std::move(events_[next.slot]);
  unused_.push_back(next.slot);
  now_ = next.when;
  ++steps_;
  if (e.about != 0) --in_transit_[e.about];
  if (is_alive(e.whose)) e.what();
  return true;
}

duration world::between(duration low, duration high) {
  return low + duration(static_cast<std::int64_t>(
                   below(static_cast<std::uint64_t>((high - low).count()) + 1)));
}

duration world::between_magnitudes(duration low, duration high) {
  const double magnitude = static_cast<double>(random_() >> 11) * 0x1p-53;
  return from_seconds(to_seconds(low) * std::pow(to_seconds(high) / to_seconds(low), magnitude));
}

void world::note(const char* what, std::uint64_t a, std::uint64_t b) {
  happenings_[happened_++ % happenings_.size()] = {steps_, now_, what, a, b};
}

void world::fail(const char* rule, std::uint64_t a, std::uint64_t b) const {
  std::ostringstream text;
  text << rule << " (" << a << ", " << b << "), at step " << steps_ << ", "
       << to_seconds(now_ - beginning) << " s";
  throw broken_rule(text.str());
}

std::string world::history() const {
  std::ostringstream text;
  const auto remembered = std::min(happened_, happenings_.size());
  for (auto i = happened_ - remembered; i < happened_; ++i) {
    const auto& h = happenings_[i % happenings_.size()];
    text << "  step " << h.step << ", " << to_seconds(h.when - beginning) << " s: " << h.what << ' '
         << h.a << ' ' << h.b << '\n';
  }
  return text.str();
}

}  // namespace signalbox::simulation
