// Finds a model by the name in a request.
#pragma once

#include <string_view>

#include "actors/model_table.hpp"
#include "http/serve/dialect.hpp"

namespace signalbox::http {

// Returns the model with this name or alias; null: there is none. Ollama's clients put `:latest`
// behind a name without a tag: in that dialect such a name also finds the model without it, if no
// model has the whole name.
served_model_ptr find_model(const model_table& models, std::string_view name, dialect spoken);

}  // namespace signalbox::http
