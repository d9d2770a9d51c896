#include "access/user_token.hpp"

#include <sodium.h>
#include <boost/test/unit_test.hpp>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "access/token_cache.hpp"
#include "tests/scratch_folder.hpp"

using namespace std::chrono_literals;
using namespace signalbox;
using nlohmann::json;

namespace {

const std::string secret(40, 's'), other_secret(40, 'o');
const wall_time now{std::chrono::seconds(1'800'000'000)};
constexpr std::int64_t now_s = 1'800'000'000;

token_claims claims_of(const std::string& user, token_type type = token_type::access) {
  const std::string session = type == token_type::refresh ? "login" : "";
  return {type, user, "app", {"realtime"}, 1, session, now, now + 1h};
}

std::string base64(std::string_view bytes) {
  constexpr int variant = sodium_base64_VARIANT_URLSAFE_NO_PADDING;
  std::string text(sodium_base64_encoded_len(bytes.size(), variant), '\0');
  sodium_bin2base64(text.data(), text.size(), reinterpret_cast<const unsigned char*>(bytes.data()),
                    bytes.size(), variant);
  text.pop_back();  // the NUL that it ends with
  return text;
}

// A token as no library would make it, signed right by HMAC with SHA-256.
std::string forge(const std::string& header, const std::string& claims,
                  const std::string& key = secret) {
  const auto signed_part = base64(header) + "." + base64(claims);
  std::array<unsigned char, crypto_auth_hmacsha256_BYTES> mac;
  crypto_auth_hmacsha256_state state;
  crypto_auth_hmacsha256_init(&state, reinterpret_cast<const unsigned char*>(key.data()),
                              key.size());
  crypto_auth_hmacsha256_update(&state, reinterpret_cast<const unsigned char*>(signed_part.data()),
                                signed_part.size());
  crypto_auth_hmacsha256_final(&state, mac.data());
  return signed_part + "." + base64({reinterpret_cast<const char*>(mac.data()), mac.size()});
}

const std::string hs256 = R"({"alg":"HS256","typ":"JWT"})";

json right_claims() {
  return {{"sub", "alice"},    {"client_id", "app"},  {"scopes", {"realtime"}}, {"generation", 1},
          {"iat", now_s - 10}, {"exp", now_s + 3600}, {"type", "access"}};
}

json with(const char* name, json value) {
  auto claims = right_claims();
  claims[name] = std::move(value);
  return claims;
}

user_record user(const std::string& name, std::vector<std::string> scopes = {"realtime"}) {
  user_record made;
  made.name = name;
  made.password_hash = "hash";
  made.scopes = std::move(scopes);
  return made;
}

keys_changed news_of(std::vector<user_record> users) {
  keys_changed news;
  news.users = std::move(users);
  return news;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(user_tokens)

BOOST_AUTO_TEST_CASE(what_is_signed_is_read) {
  const token_signer signer(secret);
  auto claims = claims_of("größe \"'\\", token_type::refresh);
  claims.scopes = {"realtime", "monitor"};
  const auto token = signer.sign(claims);
  BOOST_TEST(token != signer.sign(claims));
  const auto reading = signer.read(token, now + 10s);
  BOOST_REQUIRE((reading.problem == token_problem::none));
  BOOST_TEST((reading.claims.type == token_type::refresh));
  BOOST_TEST(reading.claims.session == "login");
  BOOST_TEST(reading.claims.user == claims.user);
  BOOST_TEST(reading.claims.client_id == "app");
  BOOST_TEST(reading.claims.scopes == claims.scopes, boost::test_tools::per_element());
  BOOST_TEST(reading.claims.generation == 1);
  BOOST_TEST((reading.claims.issued_at == now));
  BOOST_TEST((reading.claims.expires_at == now + 1h));
  BOOST_TEST((signer.read(token, now + 1h - 1s).problem == token_problem::none));
  BOOST_TEST((signer.read(token, now + 1h).problem == token_problem::expired));
}

BOOST_AUTO_TEST_CASE(one_secret_before_is_accepted_too) {
  const auto old_token = token_signer(secret).sign(claims_of("alice"));
  const token_signer rotated(other_secret, secret);
  BOOST_TEST((rotated.read(old_token, now).problem == token_problem::none));
  const auto new_token = rotated.sign(claims_of("alice"));
  BOOST_TEST((rotated.read(new_token, now).problem == token_problem::none));
  BOOST_TEST((token_signer(secret).read(new_token, now).problem == token_problem::invalid));
  BOOST_TEST((token_signer(other_secret).read(old_token, now).problem == token_problem::invalid));
}

BOOST_AUTO_TEST_CASE(a_right_token_of_another_library_is_read) {
  const token_signer signer(secret);
  BOOST_TEST(
      (signer.read(forge(hs256, right_claims().dump()), now).problem == token_problem::none));
  BOOST_TEST((signer.read(forge(R"({"alg":"HS256"})", right_claims().dump()), now).problem ==
              token_problem::none));
}

BOOST_AUTO_TEST_CASE(only_our_algorithm_counts) {
  const token_signer signer(secret);
  const auto claims = right_claims().dump();
  for (const auto* header :
       {R"({"alg":"none"})", R"({"alg":"None","typ":"JWT"})", R"({"alg":"RS256","typ":"JWT"})",
        R"({"alg":"HS512","typ":"JWT"})", R"({"alg":"HS384"})", R"({"alg":"ES256"})",
        R"({"typ":"JWT"})", R"({"alg":null})", R"({"alg":["HS256"]})", R"([])", R"("HS256")", "",
        "{", R"({"alg":"HS256")"}) {
    BOOST_TEST((signer.read(forge(header, claims), now).problem == token_problem::invalid), header);
    const auto unsigned_token = base64(header) + "." + base64(claims) + ".";
    BOOST_TEST((signer.read(unsigned_token, now).problem == token_problem::invalid), header);
  }
}

BOOST_AUTO_TEST_CASE(malformed_tokens_are_refused) {
  const token_signer signer(secret);
  const auto good = signer.sign(claims_of("alice"));
  const auto dot = good.rfind('.');
  std::vector<std::string> wrong{"",
                                 ".",
                                 "..",
                                 "...",
                                 "a.b",
                                 "a.b.c",
                                 good + ".",
                                 good + "x",
                                 good + "=",
                                 "." + good,
                                 good.substr(0, dot),
                                 good.substr(0, dot + 1),
                                 good.substr(0, good.size() - 1),
                                 " " + good,
                                 good + "\n",
                                 std::string("a.b\0.c", 6),
                                 std::string(100'000, 'a'),
                                 std::string(2000, 'a') + "." + std::string(2000, 'b') + ".c",
                                 "\xff\xfe.\xff.\xff"};
  // Every single character counts, but for the bits of the last that encode nothing.
  for (std::size_t i = 0; i + 1 < good.size(); ++i) {
    auto changed = good;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    wrong.push_back(changed);
  }
  for (const auto& token : wrong) {
    BOOST_TEST((signer.read(token, now).problem == token_problem::invalid), token.substr(0, 80));
  }
  const std::string nested = std::string(900, '[') + std::string(900, ']');
  BOOST_TEST((signer.read(forge(hs256, nested), now).problem == token_problem::invalid));
  BOOST_TEST((signer.read(forge(hs256, right_claims().dump(), other_secret), now).problem ==
              token_problem::invalid));
}

BOOST_AUTO_TEST_CASE(claims_have_their_types) {
  const token_signer signer(secret);
  std::vector<json> wrong{with("sub", 7),
                          with("sub", nullptr),
                          with("type", "id"),
                          with("type", 1),
                          with("type", "refresh"),  // of which login?
                          with("scopes", "realtime"),
                          with("scopes", {1}),
                          with("client_id", json::object()),
                          with("generation", "1"),
                          with("generation", -1),
                          with("exp", "never"),
                          with("exp", 1.8e9 + 3600.5),
                          with("exp", -1),
                          with("exp", 9223372036854775807),
                          with("iat", nullptr),
                          with("iat", now_s + 61),
                          with("nbf", now_s + 61),
                          with("nbf", "soon")};
  for (const auto* name : {"sub", "client_id", "scopes", "generation", "iat", "exp", "type"}) {
    auto claims = right_claims();
    claims.erase(name);
    wrong.push_back(claims);
  }
  for (const auto& claims : wrong) {
    BOOST_TEST((signer.read(forge(hs256, claims.dump()), now).problem == token_problem::invalid),
               claims.dump());
  }
  for (const auto& claims : {with("iat", now_s + 60), with("nbf", now_s + 60)}) {
    BOOST_TEST((signer.read(forge(hs256, claims.dump()), now).problem == token_problem::none));
  }
  BOOST_TEST((signer.read(forge(hs256, with("exp", now_s).dump()), now).problem ==
              token_problem::expired));
}

BOOST_AUTO_TEST_CASE(the_secret_is_made_once) {
  const scratch_folder scratch;
  const auto& folder = scratch.path();
  const auto token = make_token_signer({}, folder).sign(claims_of("alice"));
  BOOST_TEST((make_token_signer({}, folder).read(token, now).problem == token_problem::none));
  const auto file = folder / "jwt-secret";
  BOOST_TEST((std::filesystem::status(file).permissions() == std::filesystem::perms(0600)));
  config::security_options given;
  given.jwt_secret = secret;
  BOOST_TEST((make_token_signer(given, folder).read(token, now).problem == token_problem::invalid));
  std::ofstream(file) << "short\n";
  BOOST_CHECK_THROW(make_token_signer({}, folder), std::runtime_error);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(users_come_in)

BOOST_AUTO_TEST_CASE(an_access_token_of_a_user_finds_a_principal) {
  key_ring ring({}, {60, 10, 0, 0, 0});
  ring.apply(news_of({user("alice", {"realtime", "monitor"})}));
  const token_signer signer(secret);
  token_cache cache;
  const auto token = signer.sign(claims_of("alice"));
  const auto find = [&](const std::string& text, wall_time at = now) {
    return cache.find(text, signer, *ring.users(), at);
  };
  const auto who = find(token).who;
  BOOST_REQUIRE(who);
  BOOST_TEST(who->key_id == "user:alice");
  BOOST_TEST(who->limits.requests_per_minute == 60);
  BOOST_TEST(who->may(scope::realtime));
  BOOST_TEST(!who->may(scope::monitor));  // the token has it not
  BOOST_TEST(find(token).who == who);     // remembered
  BOOST_TEST(find(signer.sign(claims_of("alice"))).who->account == who->account);
  BOOST_TEST(!find(signer.sign(claims_of("alice", token_type::refresh))).who);
  BOOST_TEST(!find(signer.sign(claims_of("bob"))).who);
  BOOST_TEST(!find("nonsense").who);
  BOOST_TEST(find(token, now + 1h).expired);
  BOOST_TEST(!find(token, now + 1h).who);
}

BOOST_AUTO_TEST_CASE(a_change_of_the_user_counts_at_once) {
  key_ring ring({});
  ring.apply(news_of({user("alice"), user("bob")}));
  const token_signer signer(secret);
  token_cache cache;
  const auto token = signer.sign(claims_of("alice"));
  const auto find = [&] { return cache.find(token, signer, *ring.users(), now).who; };
  const auto before = find();
  BOOST_REQUIRE(before);
  auto changed = user("alice", {"batch"});
  ring.apply(news_of({changed}));
  BOOST_TEST(find()->account == before->account);
  BOOST_TEST(!find()->may(scope::realtime));
  BOOST_TEST(!find()->may(scope::batch));
  changed.scopes = {"admin"};  // which implies what the token has, and no more
  ring.apply(news_of({changed}));
  BOOST_TEST(find()->may(scope::realtime));
  BOOST_TEST(!find()->may(scope::admin));
  changed.disabled = true;
  ring.apply(news_of({changed}));
  BOOST_TEST(!find());
  changed.disabled = false;
  ring.apply(news_of({changed}));
  BOOST_TEST(find());
  changed.generation = 2;
  ring.apply(news_of({changed}));
  BOOST_TEST(!find());
  BOOST_TEST(ring.users()->find("bob"));
}

BOOST_AUTO_TEST_CASE(few_tokens_are_remembered) {
  key_ring ring({});
  ring.apply(news_of({user("alice")}));
  const token_signer signer(secret);
  token_cache cache(4);
  const auto kept = signer.sign(claims_of("alice"));
  const auto who = cache.find(kept, signer, *ring.users(), now).who;
  for (int i = 0; i < 100; ++i) {
    cache.find(signer.sign(claims_of("alice")), signer, *ring.users(), now);
    BOOST_TEST(cache.find(kept, signer, *ring.users(), now).who == who);  // as it is in use
    BOOST_TEST(cache.size() <= 8u);
  }
}

BOOST_AUTO_TEST_SUITE_END()
