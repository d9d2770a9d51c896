// Reads the path of /upstream/{model}/{path}: which model it is for, and what its runtime is asked.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "actors/model_table.hpp"
#include "http/serve/reply.hpp"

namespace signalbox::http {

struct route;

struct upstream_target {
  std::string model_name;          // as the client wrote it, decoded
  served_model_ptr model;          // null: no model has the name
  std::string path;                // for the runtime; begins with a slash; decoded if it is `known`
  std::string plain_path;          // the path, decoded
  bool has_encoded_slash = false;  // in the path as it came
  const route* known = nullptr;    // our route of inference with this path; null: there is none
};

// `text` is what stands behind /upstream/, percent-encoded. As names of models may have slashes,
// the model is the longest name or alias that fits. Behind it nothing means "/". Refuses a path
// that could mean another one to the runtime than to us: with an empty segment or one of dots, also
// when it is encoded (more than once, too), with a backslash or a control character.
std::variant<upstream_target, request_problem> read_upstream_target(const model_table& models,
                                                                    std::string_view method,
                                                                    std::string_view text);

// Returns whether a decoded path is one of models[].upstream_paths. A pattern is a path, or ends in
// "/*" and stands for all paths below.
bool is_listed(const std::vector<std::string>& patterns, std::string_view plain_path);

// Returns whether a principal may ask a model's runtime for a decoded path: with the scope of
// /upstream for any, and with `realtime` for those that the model lists.
bool may_ask(const principal& who, scope of_upstream, const config::model_options& model,
             std::string_view plain_path);

}  // namespace signalbox::http
