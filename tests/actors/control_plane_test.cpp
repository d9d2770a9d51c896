// The control plane as a whole: real actors on real threads, real runtimes (the simulated one, as a
// process), a real PostgreSQL. The test is the shard.
#include "actors/control_plane.hpp"

#include <boost/test/unit_test.hpp>

#include <condition_variable>
#include <future>
#include <map>
#include <mutex>
#include <optional>
#include <set>

#include "actors/status_board.hpp"
#include "persistence/cluster/private_cluster.hpp"
#include "persistence/database.hpp"
#include "persistence/key_store.hpp"
#include "persistence/migrator.hpp"
#include "persistence/stores.hpp"
#include "runtimes/driver.hpp"
#include "tests/persistence/support.hpp"

namespace signalbox::test {
namespace {

// One PostgreSQL for all tests: to make and remove one takes longer than they do.
struct server {
  server() {
    folder.emplace();
    start();
    persistence::database db{cluster->url()};
    persistence::migrate(db);
  }
  ~server() {
    cluster.reset();
    folder.reset();
  }
  static void start() { cluster = std::make_unique<persistence::private_cluster>(folder->path()); }

  static inline std::optional<persistence::test::temporary_folder> folder;
  static inline std::unique_ptr<persistence::private_cluster> cluster;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(control_plane_tests, *boost::unit_test::fixture<server>())
namespace {

using namespace std::chrono_literals;
constexpr duration limit = 60s;  // for anything that is waited for

// A shard without HTTP: every permit is used at once and given back; credits are not used, and come
// back when they are called back.
class simple_shard : public shard_inbox {
 public:
  void post(std::vector<shard_event> events) override {
    const std::lock_guard lock(mutex_);
    for (auto& e : events) events_.push_back(std::move(e));
    changed_.notify_all();
  }

  // Handles what comes until `done()`; false when that is not within the limit.
  template <class Predicate>
  bool serve(control_plane& plane, Predicate done) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    std::unique_lock lock(mutex_);
    while (!done()) {
      if (std::chrono::steady_clock::now() >= deadline) return false;
      changed_.wait_for(lock, 10ms, [this] { return !events_.empty(); });
      for (auto& e : std::exchange(events_, {})) {
        lock.unlock();
        std::visit([&](const auto& event) { handle(plane, event); }, e);
        lock.lock();
      }
    }
    return true;
  }

  void submit(control_plane& plane, model_index model, ticket_id id) {
    waiting[id] = model;
    send_tickets(plane, model, {id});
  }

  std::map<ticket_id, model_index> waiting;
  std::vector<ticket_id> granted;  // in order
  std::vector<ticket_refused> refused;
  std::size_t queue_restarts = 0;
  std::vector<model_index> gone;
  std::map<model_index, std::set<std::pair<backend_id, std::uint64_t>>> runs;  // seen

 private:
  void send_tickets(control_plane& plane, model_index model, const std::vector<ticket_id>& ids) {
    shard_batch batch;
    for (auto id : ids) {
      scheduling::ticket t;
      t.id = id;
      t.deadline = std::chrono::steady_clock::now() + limit;
      batch.tickets.push_back(t);
    }
    caf::anon_send(plane.handles()->queue_of(model), batch);
  }

  void give_back(control_plane& plane, model_index model, backend_id backend, std::uint32_t units) {
    shard_batch batch;
    batch.backends = {{.backend = backend, .units_returned = units, .ended = units}};
    batch.settled.completed = units;
    caf::anon_send(plane.handles()->queue_of(model), batch);
  }

  void handle(control_plane& plane, const permit_granted& e) {
    BOOST_TEST(waiting.erase(e.ticket) == 1u);  // exactly once
    granted.push_back(e.ticket);
    runs[e.model].emplace(e.endpoint->backend, e.endpoint->incarnation);
    give_back(plane, e.model, e.endpoint->backend, 1);
  }
  void handle(control_plane&, const ticket_refused& e) {
    waiting.erase(e.ticket);
    refused.push_back(e);
  }
  void handle(control_plane&, const credits_given& e) {
    credits_[{e.model, e.endpoint->backend}] += e.count;
  }
  void handle(control_plane& plane, const credits_recalled& e) {
    const auto units = std::exchange(credits_[{e.model, e.backend}], 0);
    if (units > 0) give_back(plane, e.model, e.backend, units);
  }
  void handle(control_plane&, const ticket_placed&) {}
  void handle(control_plane&, const class_preempted&) {}
  void handle(control_plane&, const model_gone& e) { gone.push_back(e.model); }
  void handle(control_plane& plane, const queue_restarted& e) {
    ++queue_restarts;
    std::erase_if(credits_, [&e](const auto& c) { return c.first.first == e.model; });
    const auto self = std::shared_ptr<shard_inbox>(std::shared_ptr<void>(), this);
    caf::anon_send(plane.handles()->queue_of(e.model), shard_attached{0, self, {}, e.life});
    std::vector<ticket_id> ids;
    for (const auto& [id, model] : waiting) {
      if (model == e.model) ids.push_back(id);
    }
    send_tickets(plane, e.model, ids);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<shard_event> events_;
  std::map<std::pair<model_index, backend_id>, std::uint32_t> credits_;
};

config::settings make_settings() {
  config::settings s;
  s.data_dir = server::folder->path();
  s.gpus = {{24 * config::gib}};
  s.scheduling.min_residency_s = 0.2;
  s.scheduling.load_backoff_s = 0.1;
  s.usage.retention_days = 36500;  // the days of these tests are not those of the clock
  for (const auto* name : {"red", "blue"}) {
    config::model_options m;
    m.name = name;
    m.command = {"signalbox-sim-runtime", "--port", "{port}", "--model", "{model}"};
    m.gpu_memory = 16 * config::gib;
    m.max_concurrent = 2;
    m.max_waiting = 1000;
    m.stop_grace_s = 2;
    s.models.push_back(m);
  }
  config::model_options broken;
  broken.name = "broken";
  broken.command = {"/bin/sh", "-c", "echo first words; echo last words >&2; exit 3"};
  s.models.push_back(broken);
  return s;
}

struct fixture {
  ~fixture() { plane.shutdown(duration::zero()); }  // nobody serves the shard any more

  template <class Answer, class Target, class Message>
  Answer ask(const Target& target, Message message) {
    auto promise = std::make_shared<std::promise<Answer>>();
    plane.ask<Answer>(
        target, limit, message, [promise](Answer a) { promise->set_value(a); },
        [promise](std::string text) {
          promise->set_exception(std::make_exception_ptr(std::runtime_error(text)));
        });
    return promise->get_future().get();
  }

  persistence::database db{server::cluster->url()};
  config::settings settings = make_settings();
  metrics recorder{settings.gpus.size(), 1};
  std::unique_ptr<runtimes::runtime_driver> driver =
      runtimes::make_runtime_driver({server::folder->path(), SIGNALBOX_BINARY_DIR});
  std::shared_ptr<simple_shard> shard = std::make_shared<simple_shard>();
  control_plane plane{settings, *driver, db, recorder, [] { std::abort(); }};
  ticket_id last_ticket = 0;
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(two_models_are_swapped_without_losing_or_reordering, fixture) {
  plane.attach_shard(0, shard);
  constexpr ticket_id count = 60;
  for (ticket_id id = 1; id <= count; ++id) shard->submit(plane, id % 2, id);
  BOOST_REQUIRE(shard->serve(plane, [&] { return shard->waiting.empty(); }));
  BOOST_TEST(shard->refused.empty());
  BOOST_TEST(shard->granted.size() == count);
  for (ticket_id parity : {0u, 1u}) {
    ticket_id last = 0;
    for (auto id : shard->granted) {
      if (id % 2 != parity) continue;
      BOOST_TEST(id > last);
      last = id;
    }
  }
  BOOST_TEST(shard->runs[0].size() == 1u);  // collated: one load each
  BOOST_TEST(shard->runs[1].size() == 1u);
}

BOOST_FIXTURE_TEST_CASE(a_crash_is_in_the_store_with_the_last_lines_of_its_log, fixture) {
  plane.attach_shard(0, shard);
  shard->submit(plane, 2, 1);
  BOOST_REQUIRE(shard->serve(plane, [&] { return shard->waiting.empty(); }));
  BOOST_REQUIRE_EQUAL(shard->refused.size(), 1u);
  BOOST_TEST((shard->refused[0].why == refusal::model_failed));
  const auto list = ask<crash_list>(plane.handles()->crashes, list_crashes{10});
  BOOST_REQUIRE(!list.crashes.empty());
  BOOST_TEST(list.crashes[0].model == "broken");
  BOOST_TEST(list.crashes[0].detail.starts_with("exit status 3"));
  BOOST_REQUIRE_EQUAL(list.crashes[0].log_tail.size(), 2u);
  persistence::crash_store store(db);
  BOOST_TEST(store.newest(10).size() == list.crashes.size());
}

BOOST_FIXTURE_TEST_CASE(an_orderly_shutdown_lets_backends_drain_and_tells_of_no_crash, fixture) {
  plane.attach_shard(0, shard);
  shard->submit(plane, 0, 1);
  BOOST_REQUIRE(shard->serve(plane, [&] { return shard->waiting.empty(); }));
  auto stopped = std::async(std::launch::async, [&] { plane.shutdown(30s); });
  shard->submit(plane, 1, 2);  // refused, or swapped in, but answered
  BOOST_REQUIRE(shard->serve(plane, [&] { return shard->waiting.empty(); }));
  BOOST_REQUIRE(shard->serve(plane, [&] {
    return plane.board().snapshot()->model_state("red") == scheduling::lifecycle_state::stopped;
  }));
  stopped.get();
  BOOST_TEST(recorder.render().find("signalbox_crashes_total{model=\"red\",reason=\"crashed\"} "
                                    "0\n") != std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(a_killed_queue_loses_no_ticket, fixture) {
  plane.attach_shard(0, shard);
  for (ticket_id id = 1; id <= 20; ++id) shard->submit(plane, 0, id);
  caf::anon_send_exit(plane.handles()->queue_of(0), caf::exit_reason::kill);
  BOOST_REQUIRE(
      shard->serve(plane, [&] { return shard->waiting.empty() && shard->queue_restarts == 1; }));
  BOOST_TEST(shard->granted.size() == 20u);
}

// The epoch that makes it so is in the database, and each life of a pool takes the next one.
BOOST_FIXTURE_TEST_CASE(fencing_tokens_grow_over_restarts_of_pool_and_gateway, fixture) {
  const auto load_red = [this](control_plane& on) {
    on.attach_shard(0, shard);
    shard->submit(on, 0, ++last_ticket);
    BOOST_REQUIRE(shard->serve(on, [&] { return shard->waiting.empty(); }));
    const auto& leases = on.board().snapshot()->leases;
    BOOST_REQUIRE_EQUAL(leases.size(), 1u);
    return leases.begin()->first;
  };
  const auto first = load_red(plane);
  const auto pool = plane.handles()->leases;
  caf::anon_send_exit(pool, caf::exit_reason::kill);
  BOOST_REQUIRE(shard->serve(plane, [&] { return plane.handles()->leases != pool; }));
  const auto second = load_red(plane);
  BOOST_TEST(second > first);
  plane.shutdown(duration::zero());
  persistence::database again{server::cluster->url()};  // the plane has closed the other one
  control_plane next{settings, *driver, again, recorder, [] { std::abort(); }};
  BOOST_TEST(load_red(next) > second);
  next.shutdown(duration::zero());
}

namespace {

// Hears of keys as the gateway does.
struct key_ear {
  std::mutex mutex;
  std::condition_variable told;
  std::map<std::string, key_record> keys;
  int complete = 0;  // how often everything was told

  key_listener listener() {
    return [this](const keys_changed& news) {
      std::lock_guard lock(mutex);
      for (const auto& key : news.keys) keys[key.id] = key;
      complete += news.states.empty() ? 0 : 1;
      told.notify_all();
    };
  }
  template <typename Condition>
  bool wait(Condition condition) {
    std::unique_lock lock(mutex);
    return told.wait_for(lock, limit, [&] { return condition(keys); });
  }
};

key_record made_key(const std::string& id, std::uint8_t first) {
  key_record key;
  key.id = id;
  key.digest[0] = first;
  key.scopes = {"realtime"};
  return key;
}

}  // namespace

BOOST_FIXTURE_TEST_CASE(changes_of_keys_are_told_before_they_are_answered, fixture) {
  key_ear ear;
  persistence::key_store store(db);
  store.add({made_key("before", 1)});
  const auto later = std::chrono::system_clock::now() + 1h;
  store.save_states({{"before", later, later}});
  plane.subscribe_to_keys(ear.listener());
  BOOST_TEST(ear.keys.contains("before"));
  const auto keys = plane.handles()->keys;
  BOOST_TEST((ask<key_answer>(keys, create_key{made_key("made", 2)}).problem == key_problem::none));
  BOOST_TEST(ear.keys.contains("made"));
  BOOST_TEST(
      (ask<key_answer>(keys, create_key{made_key("made", 3)}).problem == key_problem::exists));
  secret_digest digest{};
  digest[0] = 4;
  const auto rotated = ask<key_answer>(keys, rotate_key{"made", digest, "hint", 60});
  BOOST_REQUIRE_EQUAL(rotated.keys.size(), 1u);
  BOOST_TEST(rotated.keys[0].old_digest.has_value());
  BOOST_TEST((ask<key_answer>(keys, revoke_key{"none"}).problem == key_problem::not_found));
  BOOST_TEST((ask<key_answer>(keys, revoke_key{"made"}).problem == key_problem::none));
  BOOST_TEST(ear.keys["made"].revoked_at.has_value());
  BOOST_TEST(
      (ask<key_answer>(keys, rotate_key{"made", digest, "", 1}).problem == key_problem::revoked));
  // Somebody else's change.
  store.revoke("before");
  BOOST_TEST(ear.wait([](const auto& all) { return all.at("before").revoked_at.has_value(); }));
  BOOST_TEST(ask<key_answer>(keys, list_keys{1, {}}).keys.size() == 1u);
}

BOOST_FIXTURE_TEST_CASE(a_registry_that_died_tells_everything_again, fixture) {
  key_ear ear;
  plane.subscribe_to_keys(ear.listener());
  const int before = ear.complete;
  caf::anon_send_exit(plane.handles()->keys, caf::exit_reason::kill);
  BOOST_TEST(ear.wait([&](const auto&) { return ear.complete > before; }));
}

BOOST_FIXTURE_TEST_CASE(usage_is_exact_over_a_database_that_goes_and_comes, fixture) {
  const auto flush = [&] { return ask<bool>(plane.handles()->usage, flush_usage{}); };
  const auto use = [&](std::uint64_t times) {
    for (std::uint64_t i = 0; i < times; ++i) {
      usage_row row;
      row.key_id = "key" + std::to_string(i % 3);
      row.model = "red";
      row.day = 20000;
      row.requests = row.successes = 1;
      row.completion_tokens = 7;
      caf::anon_send(plane.handles()->usage, usage_batch{{row}});
    }
  };
  use(500);
  BOOST_TEST(flush());
  use(250);
  server::cluster.reset();
  use(250);
  BOOST_TEST(!flush());
  use(500);
  server::start();
  BOOST_TEST(flush());
  std::uint64_t requests = 0, tokens = 0;
  for (const auto& row : persistence::usage_store(db).rows_of_day(20000)) {
    requests += row.requests;
    tokens += row.completion_tokens;
  }
  BOOST_TEST(requests == 1500u);
  BOOST_TEST(tokens == 10500u);
  BOOST_TEST(recorder.render().find("signalbox_usage_dropped_total 0\n") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::test
