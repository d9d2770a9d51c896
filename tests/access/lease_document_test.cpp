#include "access/lease_document.hpp"

#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>

using namespace signalbox;
using namespace std::chrono_literals;
using nlohmann::json;

BOOST_AUTO_TEST_SUITE(lease_documents)

namespace {

lease_wish wish_of(const json& body) {
  const auto read = read_lease_wish(body);
  BOOST_REQUIRE(std::holds_alternative<lease_wish>(read));
  return std::get<lease_wish>(read);
}

std::string wrong_member(const json& body) {
  const auto read = read_lease_wish(body);
  BOOST_REQUIRE_MESSAGE(std::holds_alternative<document_problem>(read), body.dump());
  return std::get<document_problem>(read).param;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_wish_for_memory_gpus_or_all) {
  const auto memory = wish_of({{"class", "batch"}, {"memory", "20GiB"}});
  BOOST_CHECK((memory.request.need == scheduling::gpu_need{20 * config::gib, 1}));
  BOOST_CHECK(memory.request.work == work_class::batch);
  BOOST_CHECK(memory.request.ttl == 60s);
  BOOST_CHECK_EQUAL(memory.pid, 0);
  const auto gpus = wish_of({{"class", "realtime"}, {"gpus", 2}});
  BOOST_CHECK((gpus.request.need == scheduling::gpu_need{scheduling::whole_gpu, 2}));
  const auto all = wish_of(
      {{"class", "training"}, {"all", true}, {"ttl_s", 5}, {"pid", 42}, {"reason", "night run"}});
  BOOST_CHECK(all.request.need == scheduling::whole_machine);
  BOOST_CHECK(all.request.ttl == 5s);
  BOOST_CHECK_EQUAL(all.pid, 42);
  BOOST_CHECK_EQUAL(all.request.reason, "night run");
}

BOOST_AUTO_TEST_CASE(what_is_wrong_is_named) {
  const json good{{"class", "batch"}, {"memory", "1GiB"}};
  const auto with = [&](const std::string& member, const json& value) {
    auto body = good;
    body[member] = value;
    return wrong_member(body);
  };
  for (const json& value : {json("urgent"), json(1), json(nullptr)}) {
    BOOST_CHECK_EQUAL(with("class", value), "class");
  }
  for (const json& value : {json("20"), json("20 apples"), json(20), json("0"), json("-1GiB"),
                            json("18446744073709551615")}) {
    BOOST_CHECK_EQUAL(with("memory", value), "memory");
  }
  for (const json& value : {json(4.9), json(3601), json("60"), json(-1), json(nullptr)}) {
    BOOST_CHECK_EQUAL(with("ttl_s", value), "ttl_s");
  }
  for (const json& value : {json(std::string(201, 'x')), json("two\nlines"), json(1)}) {
    BOOST_CHECK_EQUAL(with("reason", value), "reason");
  }
  for (const json& value : {json(0), json(-5), json(1.5), json(4294967296), json("1")}) {
    BOOST_CHECK_EQUAL(with("pid", value), "pid");
  }
  BOOST_CHECK_EQUAL(with("prio", 1), "prio");
  BOOST_CHECK_EQUAL(with("gpus", 1), "memory");  // one of them only
  BOOST_CHECK_EQUAL(with("gpus", 0), "gpus");
  BOOST_CHECK_EQUAL(with("all", false), "all");
  BOOST_CHECK_EQUAL(wrong_member({{"class", "batch"}}), "memory");
  BOOST_CHECK_EQUAL(wrong_member({{"memory", "1GiB"}}), "class");
  BOOST_CHECK_EQUAL(wrong_member(json::array()), "");
}

BOOST_AUTO_TEST_CASE(tokens_are_decimal_texts) {
  const auto read = read_lease_token({{"token", "18446744073709551615"}});
  BOOST_CHECK_EQUAL(std::get<fencing_token>(read), 18446744073709551615u);
  for (const json& body :
       {json{{"token", 7}}, json{{"token", ""}}, json{{"token", "7 "}}, json{{"token", "0x7"}},
        json{{"token", "18446744073709551616"}}, json::object()}) {
    const auto wrong = read_lease_token(body);
    BOOST_REQUIRE_MESSAGE(std::holds_alternative<document_problem>(wrong), body.dump());
    BOOST_CHECK_EQUAL(std::get<document_problem>(wrong).param, "token");
  }
  const auto more = read_lease_token({{"token", "7"}, {"ttl_s", 9}});
  BOOST_CHECK_EQUAL(std::get<document_problem>(more).param, "ttl_s");
}

BOOST_AUTO_TEST_CASE(scopes_are_those_of_the_class) {
  BOOST_CHECK(scope_of(work_class::realtime) == scope::realtime);
  BOOST_CHECK(scope_of(work_class::batch) == scope::batch);
  BOOST_CHECK(scope_of(work_class::eval) == scope::eval);
  BOOST_CHECK(scope_of(work_class::training) == scope::admin);
}

BOOST_AUTO_TEST_CASE(a_lease_as_its_owner_sees_it) {
  scheduling::outside_view view;
  view.request = wish_of({{"class", "batch"}, {"memory", "20GiB"}}).request;
  view.request.id = "lease_1";
  view.state = scheduling::outside_state::granted;
  view.token = 4294967297;
  view.gpus = {{1, 20 * config::gib}};
  const time_point now{1h};
  const wall_time wall{std::chrono::seconds(1700000000)};
  view.expires_at = now + 60s;
  const auto document = to_document(view, true, now, wall);
  BOOST_CHECK_EQUAL(document["token"], "4294967297");
  BOOST_CHECK_EQUAL(document["state"], "granted");
  BOOST_CHECK_EQUAL(document["gpus"][0]["index"], 1);
  BOOST_CHECK_EQUAL(document["gpus"][0]["memory_bytes"], 20 * config::gib);
  BOOST_CHECK_EQUAL(document["needs"]["memory"], "20GiB");
  BOOST_CHECK_EQUAL(document["expires_at"], "2023-11-14T22:14:20.000000Z");
  BOOST_CHECK_EQUAL(document["yield_requested"], false);
  BOOST_CHECK(document["yield_by"].is_null());
  BOOST_CHECK(document["end"].is_null());
  view.yield_by = now + 1s;
  BOOST_CHECK_EQUAL(to_document(view, true, now, wall)["yield_requested"], true);
  BOOST_CHECK(to_document(view, false, now, wall)["token"].is_null());
}

BOOST_AUTO_TEST_SUITE_END()
