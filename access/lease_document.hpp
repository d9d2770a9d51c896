// Outside leases as JSON: what /v1/leases takes and answers.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <variant>

#include "access/authentication.hpp"
#include "access/key_document.hpp"
#include "records/wall_time.hpp"
#include "scheduling/outside_leases.hpp"

namespace signalbox {

// What a program asks for; without id and key.
struct lease_wish {
  scheduling::outside_request request;
  std::int64_t pid = 0;  // 0: none was named
};

// Reads the body of POST /v1/leases. Every member is checked, and none may be unknown.
std::variant<lease_wish, document_problem> read_lease_wish(const nlohmann::json& body);
// Reads the body of a renewal, {"token": "123"}.
std::variant<fencing_token, document_problem> read_lease_token(const nlohmann::json& body);

// The scope that a key needs for a lease of this class.
scope scope_of(work_class work);
// The member of the body that named the need.
std::string need_member(const scheduling::gpu_need& need);

// The two times are the same moment. Tokens are for those who may renew.
nlohmann::json to_document(const scheduling::outside_view& lease, bool shows_token, time_point now,
                           wall_time wall_now);

}  // namespace signalbox
