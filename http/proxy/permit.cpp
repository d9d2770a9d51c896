// The permit, which is declared in admission_gate.hpp.
#include <utility>

#include "http/proxy/admission_gate.hpp"

namespace signalbox::http {

std::string_view to_string(outcome value) {
  switch (value) {
    case outcome::completed:
      return "completed";
    case outcome::failed:
      return "failed";
    case outcome::cancelled:
      return "cancelled";
    case outcome::timed_out:
      return "timed_out";
  }
  return "failed";
}

permit::permit(permit&& other) noexcept
    : gate_(std::exchange(other.gate_, nullptr)),
      endpoint_(std::move(other.endpoint_)),
      account_(other.account_) {}

permit& permit::operator=(permit&& other) noexcept {
  if (this != &other) {
    settle(outcome::cancelled);
    gate_ = std::exchange(other.gate_, nullptr);
    endpoint_ = std::move(other.endpoint_);
    account_ = other.account_;
  }
  return *this;
}

void permit::used(std::uint64_t prompt_tokens, std::uint64_t completion_tokens) {
  account_.prompt_tokens = static_cast<double>(prompt_tokens);
  account_.completion_tokens = static_cast<double>(completion_tokens);
}

// The queue hears of it at the next tick.
void permit::heard() {
  account_.heard = true;
  auto* signs = gate_ ? gate_->signs_of(account_) : nullptr;
  if (signs == nullptr) return;
  signs->heard = true;
  signs->deadlines = 0;
  gate_->side_of(account_.model).dirty = true;
}

void permit::refused() {
  auto* signs = gate_ ? gate_->signs_of(account_) : nullptr;
  if (signs == nullptr) return;
  signs->refused = true;
  gate_->mark_urgent(gate_->side_of(account_.model));
}

void permit::settle(outcome how) {
  if (gate_) settle(how, gate_->now_());
}

void permit::settle(outcome how, time_point now) {
  if (auto* gate = std::exchange(gate_, nullptr)) gate->ended(account_, how, now);
}

}  // namespace signalbox::http
