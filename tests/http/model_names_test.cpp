#include "http/serve/model_names.hpp"

#include <boost/test/unit_test.hpp>

namespace signalbox::http {

BOOST_AUTO_TEST_CASE(ollamas_default_tag_may_stand_behind_a_name) {
  std::vector<served_model_ptr> models;
  for (const auto* const name : {"plain", "tagged:latest", "sized:7b", "both", "both:latest"}) {
    config::model_options options;
    options.name = name;
    options.aliases = {std::string("org/") + name};
    const auto index = static_cast<model_index>(models.size());
    models.push_back(std::make_shared<const served_model>(served_model{index, options, 0, {}}));
  }
  const model_table table(models);
  struct scene {
    std::string_view asked, found;  // empty: none
  };
  const scene scenes[] = {
      {"plain", "plain"},
      {"plain:latest", "plain"},
      {"org/plain:latest", "plain"},
      {"tagged:latest", "tagged:latest"},
      {"tagged", ""},
      {"tagged:latest:latest", "tagged:latest"},
      {"sized:7b", "sized:7b"},
      {"sized:7b:latest", "sized:7b"},
      {"both", "both"},
      {"both:latest", "both:latest"},
      {"plain:Latest", ""},
      {"plain:7b", ""},
      {"plain:", ""},
      {":latest", ""},
      {"none:latest", ""},
  };
  for (const auto& [asked, found] : scenes) {
    const auto model = find_model(table, asked, dialect::ollama);
    BOOST_TEST((model ? model->options.name : "") == found, asked);
  }
  BOOST_TEST(!find_model(table, "plain:latest", dialect::openai));
  BOOST_TEST(!find_model(table, "plain:latest", dialect::anthropic));
  BOOST_TEST(find_model(table, "plain", dialect::openai) == models[0]);
}

}  // namespace signalbox::http
