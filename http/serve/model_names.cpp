#include "http/serve/model_names.hpp"

namespace signalbox::http {

served_model_ptr find_model(const model_table& models, std::string_view name, dialect spoken) {
  constexpr std::string_view default_tag = ":latest";
  auto model = models.find(name);
  if (model || spoken != dialect::ollama || !name.ends_with(default_tag)) return model;
  name.remove_suffix(default_tag.size());
  return models.find(name);
}

}  // namespace signalbox::http
