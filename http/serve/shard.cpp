#include "http/serve/shard.hpp"

#include <spdlog/spdlog.h>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <chrono>
#include <future>
#include <mutex>

#include "actors/control_plane.hpp"
#include "http/proxy/client_answer.hpp"
#include "http/serve/client_door.hpp"
#include "http/serve/gateway_state.hpp"
#include "http/serve/identity.hpp"
#include "http/serve/polled_socket.hpp"
#include "http/serve/reply.hpp"

namespace signalbox::http {

namespace asio = boost::asio;

namespace {

// Deadlines, SSE comments and reports are late by at most this. No answer waits for a tick.
constexpr auto tick_period = std::chrono::milliseconds(100);

// The states of limits are sent this often. A crash forgets what was used of them since.
constexpr auto limit_state_gap = std::chrono::seconds(1);

// Usage is flushed early at this size, so that clients which use a new X-Client-ID for each request
// do not fill the memory between two ticks.
constexpr std::size_t max_usage_rows = 1000;

}  // namespace

// The shard's inbox. It may outlive the shard, because actors hold it.
class shard::inbox_port final : public shard_inbox {
 public:
  explicit inbox_port(shard& owner) : owner_(&owner) {}

  void post(std::vector<shard_event> events) override {
    std::lock_guard lock(mutex_);
    if (!owner_) return;
    asio::post(owner_->io_,
               [owner = owner_, events = std::move(events)] { owner->receive(events); });
  }

  void run(std::function<void()> task) {
    std::lock_guard lock(mutex_);
    if (owner_) asio::post(owner_->io_, std::move(task));
  }

  void close() {
    std::lock_guard lock(mutex_);
    owner_ = nullptr;
  }

 private:
  std::mutex mutex_;
  shard* owner_;
};

shard::shard(shard_id id, gateway_state& gateway)
    : id_(id),
      gateway_(gateway),
      timer_(io_),
      inbox_(std::make_shared<inbox_port>(*this)),
      pool_(io_, &gateway.pools()),
      gate_(
          id,
          {gateway.settings().scheduling.prompt_token_weight,
           gateway.settings().scheduling.completion_token_weight},
          [this](model_index model, shard_batch batch) { send(model, std::move(batch)); },
          [this] { poller().at_turn_end([this] { gate_.flush(); }); },
          [] { return std::chrono::steady_clock::now(); },
          [this](model_index model, work_class work) { preempt(model, work); }) {
  gateway_.pools().add(pool_, poster());
}

shard::~shard() {
  stop();
}

time_point shard::now() const {
  return std::chrono::steady_clock::now();
}

bool shard::may_go_on(const call_request& request) {
  const auto who = identify(*this, request.shown).who;
  if (!who || !who->may_use(request.model->options)) return false;
  if (request.plain_path.empty()) return who->may(request.needed);
  const auto model = gateway_.models()->find(request.model->options.name);
  return model && may_ask(*who, request.needed, model->options, request.plain_path);
}

shard_inbox_ptr shard::inbox() const {
  return inbox_;
}

shard::task_poster shard::poster() const {
  return [port = inbox_](std::function<void()> task) { port->run(std::move(task)); };
}

socket_poller& shard::poller() {
  return asio::use_service<socket_poller>(io_);
}

void shard::run() {
  asio::post(io_, [this] { tick(); });
  thread_ = std::thread([this] {
    auto work = asio::make_work_guard(io_);
    while (!io_.stopped()) {
      try {
        io_.run();
      } catch (const std::exception& e) {
        // The failure of a handler ends its request only, which its deadline cleans up.
        spdlog::error("shard {}: {}", id_, e.what());
      }
    }
  });
}

void shard::stop() {
  inbox_->close();
  io_.stop();
  if (thread_.joinable()) thread_.join();
  asked_.clear();
  io_.shutdown();
}

void shard::client_connected(connection_key client) {
  clients_.try_emplace(client);
  gateway_.meters().shard_connections(id_, static_cast<std::uint32_t>(clients_.size()));
}

void shard::client_gone(connection_key client) {
  const auto found = clients_.find(client);
  if (found == clients_.end()) return;
  const auto requests = std::move(found->second);
  clients_.erase(found);
  gateway_.meters().shard_connections(id_, static_cast<std::uint32_t>(clients_.size()));
  for (const auto& request : requests) request->call().cancel();
  left(requests.size());
}

void shard::watch(std::weak_ptr<client_door> door) {
  watched_.push_back(std::move(door));
}

void shard::probe(connection_key client) {
  const auto found = clients_.find(client);
  if (found == clients_.end()) return;
  const auto requests = found->second;  // a write that fails removes its request
  for (const auto& request : requests) request->probe();
}

void shard::tick_doors(time_point now) {
  for (const auto& weak : std::vector(watched_)) {
    if (const auto door = weak.lock()) door->tick(now);
  }
  std::erase_if(watched_, [](const auto& weak) { return weak.expired(); });
}

void shard::left(std::size_t requests) {
  std::lock_guard lock(active_mutex_);
  active_ -= requests;
  if (active_ == 0) idle_.notify_all();
}

void shard::finish() {
  auto done = std::make_shared<std::promise<void>>();
  poster()([this, done] {
    for (const auto& request : all_requests()) request->call().cut_off();
    gate_.flush_reports();
    flush_usage();
    flush_missing();
    flush_limit_states();
    done->set_value();
  });
  done->get_future().wait_for(std::chrono::seconds(5));
}

std::vector<std::shared_ptr<client_answer>> shard::all_requests() const {
  std::vector<std::shared_ptr<client_answer>> all;
  for (const auto& [client, requests] : clients_) {
    all.insert(all.end(), requests.begin(), requests.end());
  }
  return all;
}

// Walks over a copy, as tick() does: calls change while they are preempted.
void shard::preempt(model_index model, work_class work) {
  for (const auto& request : all_requests()) {
    auto& call = request->call();
    if (call.request().model->index == model && call.request().work == work) call.preempt();
  }
}

bool shard::wait_idle(time_point deadline) {
  std::unique_lock lock(active_mutex_);
  return idle_.wait_until(lock, deadline, [this] { return active_ == 0; });
}

void shard::begin(connection_key client, std::shared_ptr<client_answer> request) {
  {
    std::lock_guard lock(active_mutex_);
    ++active_;
  }
  clients_[client].push_back(request);
  request->call().start();
}

void shard::ended(connection_key client, const client_answer& request) {
  const auto found = clients_.find(client);
  if (found == clients_.end()) return;
  const auto erased =
      std::erase_if(found->second, [&](const auto& r) { return r.get() == &request; });
  left(erased);
}

std::uint64_t shard::keep(asked_request request) {
  asked_.emplace(++next_asked_, std::make_unique<asked_request>(std::move(request)));
  const std::lock_guard lock(active_mutex_);
  ++active_;
  return next_asked_;
}

std::unique_ptr<asked_request> shard::hand_over(std::uint64_t id) {
  auto node = asked_.extract(id);
  if (!node) return nullptr;
  left(1);
  return std::move(node.mapped());
}

void shard::at_turn_end(std::shared_ptr<upstream_call> call) {
  if (turn_end_.empty()) poller().at_turn_end([this] { end_turn(); });
  turn_end_.push_back(std::move(call));
}

void shard::end_turn() {
  if (std::any_of(turn_end_.begin(), turn_end_.end(),
                  [](const auto& call) { return call->is_about_to_send(); })) {
    pool_.look();
  }
  auto calls = std::exchange(turn_end_, {});
  const auto now = std::chrono::steady_clock::now();
  for (const auto& call : calls) {
    try {
      call->turn_ended(now);
    } catch (const std::exception& e) {
      // As in run(), the other requests go on.
      spdlog::error("shard {}: {}", id_, e.what());
    }
  }
  calls.clear();
  if (turn_end_.empty()) turn_end_.swap(calls);  // keeps its memory for reuse
}

void shard::account(const principal_ptr& who, const served_model_ptr& model, usage_source source,
                    std::string_view client_id, usage_counts counts) {
  counts.last_seen = ticked_at_;
  if (who->limits.tokens_per_minute > 0) note_use(who);
  const auto date = today().date;
  auto found = usage_.find(std::tuple(who.get(), model.get(), source, date, client_id));
  if (found == usage_.end()) {
    if (usage_.size() >= max_usage_rows) flush_usage();
    const usage_key key(who.get(), model.get(), source, date, client_id);
    found = usage_.emplace(key, pending_usage{who, model, {}}).first;
  }
  found->second.counts += counts;
}

const scheduling::counted_day& shard::today() {
  const auto at = now();
  if (at >= today_.ends_at) today_ = gateway_.keys().day(at, std::chrono::system_clock::now());
  return today_;
}

void shard::note_use(const principal_ptr& who) {
  auto& is_noted = who->account->is_noted;
  if (is_noted.load(std::memory_order_relaxed)) return;  // a write costs other shards' caches
  if (!is_noted.exchange(true, std::memory_order_relaxed)) noted_.push_back(who);
}

void shard::flush_limit_states() {
  if (noted_.empty()) return;
  save_limit_states states;
  for (const auto& who : noted_) {
    who->account->is_noted.store(false, std::memory_order_relaxed);
    states.states.push_back(state_of(*who));
  }
  noted_.clear();
  caf::anon_send(gateway_.control().handles()->keys, std::move(states));
}

void shard::tick() {
  timer_.expires_after(tick_period);
  timer_.async_wait([this](const boost::system::error_code& e) {
    if (!e) tick();
  });
  ticked_at_ = std::chrono::system_clock::now();
  const auto now = std::chrono::steady_clock::now();
  // We walk over a copy, because a request that ends removes itself from the original.
  for (const auto& request : all_requests()) request->tick(now);
  poller().check_deadlines(now);
  tick_doors(now);
  gate_.flush_reports();
  flush_usage();
  flush_missing();
  if (auto* log = gateway_.log()) gateway_.meters().request_log_lost(log->flush());
  if (now < next_limit_flush_) return;
  next_limit_flush_ = now + limit_state_gap;
  flush_limit_states();
}

void shard::flush_usage() {
  if (usage_.empty()) return;
  usage_batch batch;
  batch.rows.reserve(usage_.size());
  for (auto& [key, pending] : usage_) {
    const auto& [who, model, source, day, client_id] = key;
    batch.rows.push_back(
        {pending.counts, who->key_id, client_id, model->options.name, source, day});
  }
  usage_.clear();
  caf::anon_send(gateway_.control().handles()->usage, std::move(batch));
}

void shard::note_missing(const principal& who, std::string_view model, std::string_view client_id) {
  const auto now = std::chrono::system_clock::now();  // exact, so that they can be ordered
  auto found = missing_.find(model);
  if (found == missing_.end()) {
    if (missing_.size() >= max_missing_models) flush_missing();
    found = missing_.emplace(model, missing_model{}).first;
    found->second.first_seen = now;
  }
  auto& m = found->second;
  ++m.requests;
  m.last_seen = now;
  m.last_client_id = client_id;
  m.last_key_id = who.key_id;
}

void shard::flush_missing() {
  if (missing_.empty()) return;
  missing_model_batch batch;
  for (auto& [name, m] : missing_) {
    m.model = name;
    batch.models.push_back(std::move(m));
  }
  missing_.clear();
  // The ledger drops the names it got first, so those that were seen last come last.
  std::stable_sort(batch.models.begin(), batch.models.end(),
                   [](const auto& a, const auto& b) { return a.last_seen < b.last_seen; });
  caf::anon_send(gateway_.control().handles()->usage, std::move(batch));
}

void shard::send(model_index model, shard_batch batch) {
  if (const auto queue = gateway_.control().handles()->queue_of(model)) {
    caf::anon_send(queue, std::move(batch));
  } else {
    // The model was removed meanwhile, so the gate must refuse the tickets of this batch.
    inbox_->post({model_gone{model}});
  }
}

void shard::receive(const std::vector<shard_event>& events) {
  for (const auto& event : events) {
    if (const auto* restarted = std::get_if<queue_restarted>(&event)) {
      const auto queue = gateway_.control().handles()->queue_of(restarted->model);
      if (!queue) continue;
      auto in_use = gate_.reintroduce(restarted->model);
      caf::anon_send(queue, shard_attached{id_, inbox_, std::move(in_use), restarted->life});
    } else {
      gate_.handle(event);
    }
  }
}

}  // namespace signalbox::http
